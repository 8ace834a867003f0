//! The path rules against stock php-fpm's: the same variables over FastCGI to both, and everything that the script then
//! sees is equal. `CGI_FPM_GENERATED` is the number of cases, `CGI_FPM_SEED` chooses another series of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

mod script;
mod wire;

use std::env;
use std::fmt::Write as _;

use testkit::clock::ms;
use testkit::fastcgi::{Answer, Client};
use testkit::sandbox::Sandbox;
use testkit::server::Server;
use testkit::setup::Setup;
use testkit::stream::Address;
use testkit::target::Target;
use testkit::{Outcome, ensure, turn};

use script::{Case, FILES, Rules};

#[test]
fn agrees_with_php_fpm() -> Outcome {
    let Some(target) = Target::find_ours("script_oracle::agrees_with_php_fpm") else { return Ok(()) };
    let _turn = turn::shared()?;
    let site = Sandbox::new()?;
    let root = furnish(&site)?;
    let mut ours = Side::start(&target, &root)?;
    let mut stock = Side::start(&target.partner(), &root)?;
    let (mut asked, mut ran, mut different) = (0, 0, Vec::new());
    for bytes in series() {
        let case = Case::read(&bytes, &root);
        asked += 1;
        let answer = ours.ask(&case)?;
        ran += usize::from(answer.contains("\n--\n"));
        if answer != stock.ask(&case)? {
            different.push(explain(&least(case, &mut ours, &mut stock)?, &mut ours, &mut stock)?);
        }
        if different.len() == 10 {
            break;
        }
    }
    ensure!(
        different.is_empty(),
        "{} of {asked} cases differ, such as these:\n{}",
        different.len(),
        different.join("\n")
    );
    ensure!(ran * 6 > asked, "only {ran} of {asked} cases ran a script");
    ours.server.stop()?;
    stock.server.stop()
}

/// The bytes of each case.
fn series() -> impl Iterator<Item = Vec<u8>> {
    let number = |name, usual| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let mut state: u64 = number("CGI_FPM_SEED", 0);
    // SplitMix64.
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..number("CGI_FPM_GENERATED", 5000)).map(move |_| (0..6).flat_map(|_| next().to_le_bytes()).collect())
}

/// The site that `script::FILES` describes; each script says what it sees.
fn furnish(site: &Sandbox) -> Outcome<String> {
    let root = site.file("site");
    std::fs::create_dir_all(&root)?;
    for name in FILES {
        let file = root.join(name);
        std::fs::create_dir_all(file.parent().ok_or("no parent")?)?;
        if name != "link.php" {
            std::fs::copy(site.page("seen.php"), file)?;
        }
    }
    std::os::unix::fs::symlink("info.php", root.join("link.php"))?;
    std::os::unix::fs::symlink("nowhere", root.join("broken.php"))?;
    Ok(root.display().to_string())
}

/// A server with a pool for each kind of rules, a worker each.
struct Side {
    server: Server,
    clients: Vec<Client>,
}

impl Side {
    fn start(target: &Target, root: &str) -> Outcome<Self> {
        let sandbox = Sandbox::new()?;
        let socket = |rules: Rules| Address::Unix(sandbox.file(&format!("{rules:?}.sock")));
        let sockets = Rules::ALL.map(socket);
        let [first, others @ ..] = &sockets;
        let mut setup = Setup::new(1);
        for (address, lines) in others.iter().zip(pools(root)) {
            let Address::Unix(path) = address else { continue };
            setup = setup.pool(&format!("{lines}\nlisten = {}\npm = static\npm.max_children = 1", path.display()));
            if let Some(user) = testkit::target::web_user() {
                setup = setup.pool(&format!("user = {user}\ngroup = {user}"));
            }
        }
        let server = Server::start_at(first.clone(), sandbox, target, &setup)?;
        let clients = sockets.iter().map(|socket| Client::connect(socket, ms(10_000))).collect::<Outcome<_>>()?;
        Ok(Self { server, clients })
    }

    fn ask(&mut self, case: &Case) -> Outcome<String> {
        let at = Rules::ALL.iter().position(|rules| *rules == case.rules).ok_or("no such pool")?;
        let mut request = wire::Request { id: 1, keep: true, piece: 32 * 1024, ..wire::Request::default() };
        let pairs = [("REQUEST_METHOD", &b"GET"[..])].into_iter().chain(case.pairs.iter().map(|(n, v)| (*n, &v[..])));
        request.pairs = pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        self.clients[at].send(&request.encode())?;
        let answer =
            self.clients[at].answer().map_err(|e| format!("{e}:\n{}{}", shown(case), self.server.log.tail(3)))?;
        Ok(comparable(&text(&answer)))
    }
}

/// What makes the pools behind the first one different.
fn pools(root: &str) -> [String; 3] {
    [
        "[believe]\nphp_admin_value[cgi.fix_pathinfo] = 0".to_owned(),
        "[discard]\nphp_admin_value[cgi.fix_pathinfo] = 0\nphp_admin_value[cgi.discard_path] = 1".to_owned(),
        format!("[docroot]\nphp_admin_value[doc_root] = {root}"),
    ]
}

/// The last three bytes of END_REQUEST are reserved; php-fpm sends what happens to be there.
fn text(answer: &Answer) -> String {
    let latin = |bytes: &[u8]| bytes.iter().map(|&byte| char::from(byte)).collect::<String>();
    format!("{}\n-- stderr\n{}\n-- {:?}", latin(&answer.stdout), latin(&answer.stderr), answer.end.get(..5))
}

/// php-fpm cuts Apache's SCRIPT_FILENAME in place and lets `getenv()` have what stands behind (docs/differences.md).
fn comparable(text: &str) -> String {
    let cut = |line: &str| match line.split_once("\\000") {
        Some((head, _)) if line.starts_with("SCRIPT_FILENAME=") => format!("{head}'"),
        _ => line.to_owned(),
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// The case without what isn't needed for the difference.
fn least(case: Case, ours: &mut Side, stock: &mut Side) -> Outcome<Case> {
    let mut least = case;
    let mut at = 0;
    while at < least.pairs.len() {
        let mut fewer = least.clone();
        fewer.pairs.remove(at);
        if ours.ask(&fewer)? == stock.ask(&fewer)? {
            at += 1;
        } else {
            least = fewer;
        }
    }
    Ok(least)
}

fn shown(case: &Case) -> String {
    let lines = case.pairs.iter().map(|(name, value)| format!("{name}={}\n", value.escape_ascii()));
    format!("=== {:?}\n{}", case.rules, lines.collect::<String>())
}

fn explain(case: &Case, ours: &mut Side, stock: &mut Side) -> Outcome<String> {
    let mut text = shown(case);
    let (ours, stock) = (ours.ask(case)?, stock.ask(case)?);
    let (ours, stock): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), stock.lines().collect());
    for (side, lines, others) in [("ours", &ours, &stock), ("php-fpm", &stock, &ours)] {
        for line in lines.iter().filter(|line| !others.contains(line)) {
            let _ = writeln!(text, "  {side}: {line:?}");
        }
    }
    if ours.len() == stock.len() && ours.iter().all(|line| stock.contains(line)) {
        text.push_str("  another order\n");
    }
    Ok(text)
}
