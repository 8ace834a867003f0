//! One of the two servers: a pool for each kind of path rules, and one whose workers serve a single request.

use testkit::Outcome;
use testkit::clock::ms;
use testkit::fastcgi::{Answer, Client};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::{Target, web_user};

use crate::script::Rules;
use crate::wire::{Pairs, Request};

/// The pool whose workers serve one request each, so that no request sees state that php-fpm keeps of the previous
/// one.
pub(super) const ONCE: usize = Rules::ALL.len();

/// A server and a connection to each of its pools, those of `Rules::ALL` first.
pub(super) struct Side {
    pub server: Server,
    sockets: Vec<Address>,
    clients: Vec<Option<Client>>,
}

impl Side {
    /// Starts it for a site at `root`.
    pub(super) fn start(target: &Target, root: &str) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let sockets: Vec<Address> = (0..=ONCE).map(|at| Address::Unix(sandbox.file(&format!("{at}.sock")))).collect();
        let mut setup = Setup::new(1);
        for (address, lines) in sockets.iter().skip(1).zip(pools(root)) {
            let Address::Unix(path) = address else { continue };
            setup = setup.pool(&format!("{lines}\nlisten = {}\npm = static\npm.max_children = 1", path.display()));
            if let Some(user) = web_user() {
                setup = setup.pool(&format!("user = {user}\ngroup = {user}"));
            }
        }
        let server = Server::start_at(sockets[0].clone(), sandbox, target, &setup)?;
        let clients = sockets.iter().map(|_| None).collect();
        Ok(Self { server, sockets, clients })
    }

    /// Asks a pool and returns the answer as text. A request with a body has its own connection: php-fpm loses its
    /// position if it does not read the whole body.
    pub(super) fn ask(&mut self, pool: usize, pairs: &Pairs, body: &[u8]) -> Outcome<String> {
        let keep = pool != ONCE && body.is_empty();
        let request =
            Request { id: 1, keep, pairs: pairs.clone(), body: body.to_vec(), piece: 32 * 1024, ..Request::default() };
        let mut client = match self.clients[pool].take_if(|_| keep) {
            Some(client) => client,
            None => {
                // The pool's worker may wait on the kept connection.
                self.clients[pool] = None;
                Client::connect(&self.sockets[pool], ms(10_000))?
            }
        };
        client.send(&request.encode())?;
        let answer = client.answer().map_err(|error| format!("{error}; {}", self.server.log.tail(3)))?;
        if keep {
            self.clients[pool] = Some(client);
        }
        Ok(comparable(&text(&answer)).replace(&self.server.sandbox.path().display().to_string(), "DIR"))
    }
}

/// The settings in which the other pools differ from the first one.
fn pools(root: &str) -> [String; ONCE] {
    [
        "[believe]\nphp_admin_value[cgi.fix_pathinfo] = 0".to_owned(),
        "[discard]\nphp_admin_value[cgi.fix_pathinfo] = 0\nphp_admin_value[cgi.discard_path] = 1".to_owned(),
        format!("[docroot]\nphp_admin_value[doc_root] = {root}"),
        "[once]\npm.max_requests = 1".to_owned(),
    ]
}

/// The last three bytes of END_REQUEST are reserved; php-fpm sends uninitialised bytes.
fn text(answer: &Answer) -> String {
    let latin = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    format!("{}\n-- stderr\n{}\n-- {:?}", latin(&answer.stdout), latin(&answer.stderr), answer.end.get(..5))
}

/// php-fpm cuts Apache's SCRIPT_FILENAME in place, and `getenv()` returns the text after the cut
/// (docs/differences.md).
fn comparable(text: &str) -> String {
    let cut = |line: &str| match line.split_once("\\000") {
        Some((head, _)) if line.starts_with("SCRIPT_FILENAME=") => format!("{head}'"),
        _ => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// The lines that only one side has.
pub(super) fn difference(ours: &str, stock: &str) -> String {
    let (ours, stock): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), stock.lines().collect());
    let only = |name: &str, lines: &[&str], others: &[&str]| -> String {
        let only = lines.iter().filter(|line| !others.contains(line)).take(6);
        only.map(|line| format!("  {name}: {line:.300}\n")).collect()
    };
    let text = only("ours", &ours, &stock) + &only("php-fpm", &stock, &ours);
    if text.is_empty() { "  the lines come in another order\n".to_owned() } else { text }
}
