//! Micro cases: one worker and one client on one core, so that figures repeat to a few percent. On two cores the same request
//! costs two to three times as much as soon as both processes sleep in between.

use testkit::fastcgi::Request;
use testkit::sandbox::Sandbox;
use testkit::setup::Listen;
use testkit::target::Target;
use testkit::{Outcome, say};

use crate::bodies;
use crate::client::{Check, Single};
use crate::figures::Row;
use crate::options::Options;
use crate::pair::{OURS, Pair, Pinned, setup};

/// A case: a request, how it is sent, and how often in one round.
struct Case {
    name: &'static str,
    settings: Settings,
    kept: bool,
    requests: usize,
    request: fn(&Sandbox) -> Outcome<Request>,
    /// Whether two answers have different numbers.
    has_numbers: bool,
}

/// What a case needs of the pool. Cases with the same needs share two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settings {
    Unix,
    Tcp,
    /// With `pm.status_path`, for which requests are counted and their CPU time is measured.
    Status,
}

/// Kept, on a unix socket.
const fn kept(name: &'static str, requests: usize, request: fn(&Sandbox) -> Outcome<Request>) -> Case {
    Case { name, settings: Settings::Unix, kept: true, requests, request, has_numbers: false }
}

const CASES: [Case; 14] = [
    kept("hello, kept, unix", 10_000, hello),
    Case { settings: Settings::Tcp, ..kept("hello, kept, TCP", 10_000, hello) },
    Case { kept: false, ..kept("hello, new connection, unix", 10_000, hello) },
    Case { settings: Settings::Tcp, kept: false, ..kept("hello, new connection, TCP", 10_000, hello) },
    kept("$_SERVER page", 10_000, |pages| page(pages, "server.php")),
    kept("100 KB of output", 5_000, output),
    kept("form: one field of 100 KB", 2_000, |pages| Ok(bodies::one_field(pages))),
    kept("form: 200 encoded fields", 1_000, |pages| Ok(bodies::encoded_fields(pages))),
    kept("form: 900 nested fields", 2_000, |pages| Ok(bodies::nested_fields(pages))),
    kept("upload of 64 MB, FastCGI", 8, |pages| Ok(bodies::upload(pages))),
    kept("upload of 64 MB, REQUEST_BODY_FILE", 8, bodies::upload_by_file),
    kept("application of 200 classes", 1_000, |pages| page(pages, "application.php")),
    Case { settings: Settings::Status, ..kept("hello, kept, unix, pm.status_path is set", 10_000, hello) },
    Case { settings: Settings::Status, has_numbers: true, ..kept("status page", 10_000, status) },
];

fn page(pages: &Sandbox, name: &str) -> Outcome<Request> {
    Ok(Request::get(&pages.page(name)))
}

fn status(_: &Sandbox) -> Outcome<Request> {
    Ok(Request::of_pool("/status", ""))
}

fn hello(pages: &Sandbox) -> Outcome<Request> {
    page(pages, "hello.php")
}

fn output(pages: &Sandbox) -> Outcome<Request> {
    Ok(page(pages, "download.php")?.param("QUERY_STRING", "kb=100"))
}

/// Measures all cases.
///
/// # Errors
/// If a server does not start, or an answer is wrong.
pub(crate) fn run(ours: &Target, pages: &Sandbox, options: &Options) -> Outcome<Vec<Row>> {
    let _pinned = Pinned::to_one_core()?;
    let mut rows = Vec::new();
    for settings in [Settings::Unix, Settings::Tcp, Settings::Status] {
        let setup = match settings {
            Settings::Unix => setup(1, Listen::Unix),
            Settings::Tcp => setup(1, Listen::Tcp),
            Settings::Status => setup(1, Listen::Unix).pool("pm.status_path = /status"),
        };
        let pair = Pair::start(ours, &setup, options)?;
        for (at, case) in
            CASES.iter().enumerate().filter(|(_, case)| case.settings == settings && options.wants(case.name))
        {
            say(case.name);
            rows.push((at, measure(&pair, pages, case, options)?));
        }
        pair.stop()?;
    }
    rows.sort_by_key(|(at, _)| *at);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn measure(pair: &Pair, pages: &Sandbox, case: &Case, options: &Options) -> Outcome<Row> {
    let request = (case.request)(pages)?;
    let bytes = Request { keep: case.kept, ..request }.encode(1);
    let requests = options.requests(case.requests, 2);
    let client = |at: usize| Single::new(&pair.0[at].address, &bytes, case.kept);
    // Both must answer what ours answers.
    let check = Check::like(client(OURS).ask()?, case.has_numbers);
    for at in 0..2 {
        client(at).run(&check, requests / 5 + 1)?;
    }
    Row::measure(case.name.to_owned(), pair, options.rounds, [requests, requests / 10 + 1], |at, requests| {
        client(at).run(&check, requests)
    })
}
