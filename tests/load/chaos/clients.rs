//! Clients that account for each request: answered with the expected text, or lost, and when.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use testkit::clock::bar;
use testkit::fastcgi::{Client, Request, kind};
use testkit::random::Random;
use testkit::stream::Address;
use testkit::{Outcome, ensure};

use super::journal::Lost;
use super::world::{Pool, World};

/// Longer than any pause that chaos causes.
const LIMIT: Duration = Duration::from_secs(45);

/// A request waits for so long only if something was done to a process of its pool's user.
const SLOW: Duration = Duration::from_millis(1500);

/// What a client saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How long each answered request took, without its own work.
    pub(super) waits: Vec<Duration>,
    /// The start and the end of each one that took long.
    pub(super) slow: Vec<(Instant, Instant)>,
    /// Those without an answer.
    pub(super) lost: Vec<Lost>,
}

/// One client of a pool.
struct Visitor<'a> {
    world: &'a World,
    pool: &'a Pool,
    keeps: bool,
    open: Option<(Client, Instant)>,
    count: u64,
}

/// Why there is no answer.
struct Failed {
    /// Nothing of the answer had arrived.
    untouched: bool,
    what: String,
}

/// Asks one pool until the end. Every second client keeps its connection.
pub(super) fn visit(world: &World, pool: &Pool, number: usize) -> Seen {
    let thread = 1000 + (pool.number * 10 + number) as u64;
    let mut random = Random::of_thread(world.seed, thread);
    let mut visitor = Visitor { world, pool, keeps: !number.is_multiple_of(2), open: None, count: thread << 32 };
    let mut seen = Seen::default();
    while !world.over.load(Ordering::Relaxed) {
        let work = match random.below(100) {
            0..70 => 0,
            70..95 => 5 + random.below(45),
            _ => 300 + random.below(900),
        };
        let body = if random.percent(30) { random.below(40_000) } else { 0 };
        visitor.once(&mut seen, work as u64, body);
        std::thread::sleep(random.ms(20, 120));
    }
    seen
}

impl Visitor<'_> {
    fn once(&mut self, seen: &mut Seen, work: u64, body: usize) {
        let start = Instant::now();
        let used = self.open.as_ref().map(|(_, used)| *used);
        match self.ask(work, body) {
            Ok(()) => {
                let wait = start.elapsed().saturating_sub(Duration::from_millis(work));
                seen.waits.push(wait);
                if wait >= bar(SLOW) {
                    seen.slow.push((start, Instant::now()));
                }
            }
            Err(failed) => {
                self.open = None;
                let idle = used.is_some() && failed.untouched;
                seen.lost.push(Lost {
                    pool: self.pool.number,
                    owner: self.pool.owner,
                    since: used.filter(|_| idle).unwrap_or(start),
                    end: Instant::now(),
                    idle,
                    what: format!("request {:x}, {work} ms, body {body}: {}", self.count, failed.what),
                });
            }
        }
    }

    fn ask(&mut self, work: u64, body: usize) -> Result<(), Failed> {
        self.count += 1;
        let query = format!("n={:x}&ms={work}", self.count);
        let page = self.world.server.sandbox.page("chaos.php");
        let mut request = if body > 0 { Request::post(&page, &vec![b'x'; body]) } else { Request::get(&page) };
        request = request.param("QUERY_STRING", &query);
        request.keep = self.keeps;
        let mut client = match self.open.take() {
            Some((client, _)) => client,
            None => {
                connect(self.pool.addresses(), LIMIT).map_err(|e| Failed { untouched: true, what: e.to_string() })?
            }
        };
        let sent = client.send(&request.encode(1));
        // The server may have answered before it had read everything.
        let text = answer(&mut client).map_err(|failed| match sent {
            Err(error) if failed.untouched => Failed { untouched: true, what: format!("sending: {error}") },
            _ => failed,
        })?;
        self.check(&text, body).map_err(|error| Failed { untouched: false, what: error.to_string() })?;
        if self.keeps {
            self.open = Some((client, Instant::now()));
        }
        Ok(())
    }

    /// The answer is that of this request, of this pool and of its user.
    fn check(&self, text: &str, body: usize) -> Outcome {
        let words: Vec<&str> = text.split(' ').collect();
        let [number, pool, uid, _, _, length, _] = words[..] else {
            return Err(format!("{text:.300}").into());
        };
        ensure!(number == format!("{:x}", self.count), "the answer to another request: {text}");
        ensure!(pool == self.pool.name, "the answer of another pool: {text}");
        let owner = uid.parse().ok().and_then(super::world::owner_of);
        ensure!(owner == Some(self.pool.owner), "the answer of another user: {text}");
        ensure!(length == body.to_string(), "a body of {length} bytes: {text}");
        Ok(())
    }
}

fn answer(client: &mut Client) -> Result<String, Failed> {
    let (mut stdout, mut records) = (Vec::new(), 0);
    loop {
        let failed = |what: String| Failed { untouched: records == 0, what };
        match client.record().map_err(|error| failed(error.to_string()))? {
            None => return Err(failed(format!("end of connection after {records} records"))),
            Some(record) if record.kind == kind::STDOUT => stdout.extend(record.content),
            Some(record) if record.kind == kind::END_REQUEST => break,
            Some(_) => {}
        }
        records += 1;
    }
    let text = String::from_utf8_lossy(&stdout);
    Ok(text.split_once("\r\n\r\n").map_or_else(|| text.to_string(), |(_, body)| body.to_owned()))
}

/// Connects to the first socket that exists. While a reload moves a pool, the former one comes first; the list is
/// tried again, since the former one may go and the next one may come between two attempts.
fn connect(addresses: Vec<PathBuf>, limit: Duration) -> Outcome<Client> {
    let mut last = String::new();
    for address in addresses.iter().chain(&addresses) {
        match Client::connect(&Address::Unix(address.clone()), limit) {
            Ok(client) => return Ok(client),
            Err(error) => {
                let absent = error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound);
                last = format!("connecting to {}: {error}", address.display());
                ensure!(absent, "{last}");
            }
        }
    }
    Err(last.into())
}

/// What a pool tells about itself.
pub(super) struct Told {
    /// The configuration, as `Pool::expected`.
    pub(super) text: String,
    /// The worker.
    pub(super) pid: i32,
}

/// One request.
pub(super) fn ask(world: &World, pool: &Pool) -> Outcome<Told> {
    ask_within(world, pool, LIMIT)
}

/// One request that takes at most so long.
pub(super) fn ask_within(world: &World, pool: &Pool, limit: Duration) -> Outcome<Told> {
    let request = Request::get(&world.server.sandbox.page("chaos.php")).param("QUERY_STRING", "n=0&ms=0");
    let mut client = connect(pool.addresses(), limit)?;
    client.send(&request.encode(1))?;
    let text = answer(&mut client).map_err(|failed| failed.what)?;
    let words: Vec<&str> = text.split(' ').collect();
    let ["0", told @ .., "0", pid] = &words[..] else {
        return Err(format!("{}: {text:.300}", pool.name).into());
    };
    Ok(Told { text: told.join(" "), pid: pid.parse()? })
}
