//! The answer to a request.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use super::detail;
use super::families;
use super::health::{self, Question};
use super::http::{Refusal, Request, is_own_host};
use super::overview::{self, About};
use super::page;
use super::samples::Samples;
use super::views::Views;
use crate::json;
use crate::metrics::Format;
use crate::overview::{Overview, PoolDetail};
use crate::scoreboard::Fact;
use crate::sys::clock::{self, Moment};
use crate::text::url_decoded;

/// Metrics are not written more often than this: a client that asks without a pause must not cost the machine a processor.
const FRESH: Duration = Duration::from_millis(20);

/// They take at most one part in so many of a processor.
const SHARE: u32 = 10;

/// How many answers for people and programs are kept while they are fresh.
const KEPT: usize = 8;

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answers {
    /// Any `Host` will do: no browser can address a unix socket.
    unix: bool,
    allowed_hosts: Vec<String>,
    about: About,
    /// This process is about to end: connections are not kept.
    pub(super) leaving: bool,
    /// The last metrics of each format, and until when they are fresh.
    text: Option<(Moment, String)>,
    open: Option<(Moment, String)>,
    overview: Option<(Moment, Overview)>,
    /// The last answers for people and programs, each with its path and until when it is fresh.
    rendered: VecDeque<(String, Moment, Answer)>,
    rendering: Rendering,
    samples: Samples,
}

/// A status and a text.
type Answer = ((u16, &'static str), String);

impl Answers {
    pub(super) fn new(unix: bool, allowed_hosts: Vec<String>, about: About) -> Self {
        Self {
            unix,
            allowed_hosts,
            about,
            leaving: false,
            text: None,
            open: None,
            overview: None,
            rendered: VecDeque::new(),
            rendering: Rendering::default(),
            samples: Samples::default(),
        }
    }

    /// The bytes of the answer.
    pub(super) fn to(&mut self, request: &Request, views: &mut Views, now: Moment) -> Vec<u8> {
        if !self.unix && request.host.as_ref().is_some_and(|host| !is_own_host(host, &self.allowed_hosts)) {
            let text = "The name in the Host header is not one of this machine: add it to monitor.allowed_hosts.\n";
            return response((421, "Misdirected Request"), PLAIN, text, request.head, request.keeps);
        }
        let question = match request.path.as_str() {
            path if path == "/" || path.starts_with("/pools/") => {
                let Some((status, text)) = self.rendered(path, now, |all| all.page(path, views, now)) else {
                    return busy(PLAIN, "The monitor is busy with other requests.\n", request);
                };
                if status != OK {
                    return response(status, PLAIN, &text, request.head, request.keeps);
                }
                return with_headers(OK, HTML, page::HEADERS, &text, request.head, request.keeps);
            }
            "/metrics" => {
                let text = self.metrics(request.format, views, now);
                return response(OK, request.format.content_type(), text, request.head, request.keeps);
            }
            path if path.starts_with("/api/") => {
                let Some((status, text)) = self.rendered(path, now, |all| all.api(path, views, now)) else {
                    return busy(JSON, &error("the monitor is busy with other requests"), request);
                };
                return response(status, JSON, &text, request.head, request.keeps);
            }
            "/livez" => Question::Live,
            "/readyz" => Question::Ready,
            "/startupz" => Question::Started,
            _ => {
                let text = "There are /, /pools/NAME, /metrics, /livez, /readyz, /startupz, /api/v1/overview and \
                    /api/v1/pools/NAME.
";
                return response(NOT_FOUND, PLAIN, text, request.head, request.keeps);
            }
        };
        let verbose = request.query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="));
        let checks = health::checks(question, views, now);
        let status = if health::is_ok(&checks) { OK } else { (503, "Service Unavailable") };
        response(status, PLAIN, &health::text(&checks, verbose), request.head, request.keeps)
    }

    fn metrics(&mut self, format: Format, views: &mut Views, now: Moment) -> &str {
        let kept = if format == Format::Text { &mut self.text } else { &mut self.open };
        let fresh = kept.take().filter(|(until, _)| now < *until);
        let render = || {
            let begun = clock::micros();
            let text = families::render(views, &self.about.php, format);
            (now + fresh_for(begun), text)
        };
        &kept.insert(fresh.unwrap_or_else(render)).1
    }
}

impl Answers {
    /// An answer for people and programs: the last one to that path, or one that `render` makes. `None`: such answers have taken their part
    /// of the processor.
    fn rendered(&mut self, path: &str, now: Moment, render: impl FnOnce(&mut Self) -> Answer) -> Option<Answer> {
        self.rendered.retain(|(_, until, _)| now < *until);
        if let Some((.., answer)) = self.rendered.iter().find(|(known, ..)| known == path) {
            return Some(answer.clone());
        }
        if !self.rendering.has_room(now) {
            return None;
        }
        let begun = clock::micros();
        let answer = render(self);
        self.rendering.spend(Duration::from_micros(clock::micros().saturating_sub(begun)));
        if self.rendered.len() >= KEPT {
            self.rendered.pop_front();
        }
        self.rendered.push_back((path.to_owned(), now + fresh_for(begun), answer.clone()));
        Some(answer)
    }

    fn page(&mut self, path: &str, views: &mut Views, now: Moment) -> Answer {
        let Some(name) = path.strip_prefix("/pools/") else {
            return (OK, page::overview(self.overview(views, now)));
        };
        match self.detail(&String::from_utf8_lossy(&url_decoded(name.as_bytes())), views, now) {
            Some(detail) => (OK, page::pool(&detail, self.overview(views, now).now)),
            None => (NOT_FOUND, "There is no such pool.\n".to_owned()),
        }
    }

    fn api(&mut self, path: &str, views: &mut Views, now: Moment) -> Answer {
        if path == "/api/v1/overview" {
            return (OK, json_of(self.overview(views, now)));
        }
        if path == "/api/v1/events" {
            return (OK, json_of(&BTreeMap::from([("events", &self.overview(views, now).events)])));
        }
        let Some(name) = path.strip_prefix("/api/v1/pools/") else {
            return (NOT_FOUND, error("there are /api/v1/overview, /api/v1/pools/NAME and /api/v1/events"));
        };
        let name = url_decoded(name.as_bytes());
        match self.detail(&String::from_utf8_lossy(&name), views, now) {
            Some(detail) => (OK, json_of(&detail)),
            None => (NOT_FOUND, error("there is no such pool")),
        }
    }

    /// A pool with its workers.
    pub(super) fn detail(&mut self, name: &str, views: &mut Views, now: Moment) -> Option<PoolDetail> {
        let pool = self.overview(views, now).pools.iter().find(|pool| pool.name == name)?.clone();
        Some(detail::detail(pool, views, self.about.shows_requests))
    }

    /// What there is to see of all pools. Like metrics, it is not made more often than `FRESH` and `SHARE` allow.
    pub(super) fn overview(&mut self, views: &mut Views, now: Moment) -> &Overview {
        let Self { overview, samples, about, .. } = self;
        let fresh = overview.take().filter(|(until, _)| now < *until);
        let make = || {
            let begun = clock::micros();
            let made = overview::overview(views, samples, about, now);
            (now + fresh_for(begun), made)
        };
        &overview.insert(fresh.unwrap_or_else(make)).1
    }

    /// When `sample` is due.
    pub(super) fn sample_due(&self) -> Option<Moment> {
        self.samples.due()
    }

    /// Takes numbers for later rates, if it is time.
    pub(super) fn sample(&mut self, views: &mut Views, now: Moment) {
        if self.samples.due().is_none_or(|due| due > now) || self.samples.end(now) {
            return;
        }
        let begun = clock::micros();
        let lines = views.service.get(Fact::LinesDropped);
        self.samples.take(&views.pools(), lines, now);
        self.samples.not_before(now + fresh_for(begun));
    }
}

/// The time that answers have taken in a second.
#[derive(Debug, Default)]
struct Rendering {
    since: Moment,
    spent: Duration,
}

impl Rendering {
    const SECOND: Duration = Duration::from_secs(1);

    /// Whether another answer may be made now.
    fn has_room(&mut self, now: Moment) -> bool {
        if now.since(self.since) >= Self::SECOND {
            *self = Self { since: now, spent: Duration::ZERO };
        }
        self.spent < Self::SECOND / SHARE
    }

    fn spend(&mut self, time: Duration) {
        self.spent += time;
    }
}

/// How long that is fresh what was begun at that time, in microseconds.
fn fresh_for(begun: u64) -> Duration {
    FRESH.max(Duration::from_micros(clock::micros().saturating_sub(begun)) * SHARE)
}

/// As JSON, in one line.
fn json_of(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    json::push(&mut text, value);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

fn error(text: &str) -> String {
    json_of(&BTreeMap::from([("error", text)]))
}

const OK: (u16, &str) = (200, "OK");
const NOT_FOUND: (u16, &str) = (404, "Not Found");

/// The answer to a client that asks for too much.
fn busy(content_type: &str, text: &str, request: &Request) -> Vec<u8> {
    let status = (503, "Service Unavailable");
    with_headers(status, content_type, "Retry-After: 1\r\n", text, request.head, request.keeps)
}

/// The answer to what is no request of ours. The connection is closed after it.
pub(super) fn refused(refusal: Refusal) -> Vec<u8> {
    let (status, text) = match refusal {
        Refusal::Malformed => ((400, "Bad Request"), "This is no request of HTTP/1.\n"),
        Refusal::Method => ((405, "Method Not Allowed"), "There are GET and HEAD.\n"),
        Refusal::TooLong => ((431, "Request Header Fields Too Large"), "A request may have 4096 bytes.\n"),
        Refusal::Body => ((413, "Content Too Large"), "A request may have no body.\n"),
    };
    response(status, PLAIN, text, false, false)
}

fn response(status: (u16, &str), content_type: &str, body: &str, head: bool, keeps: bool) -> Vec<u8> {
    let allow = if status.0 == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    with_headers(status, content_type, allow, body, head, keeps)
}

/// `headers`: further ones, whole lines.
fn with_headers(
    (status, reason): (u16, &str),
    content_type: &str,
    headers: &str,
    body: &str,
    head: bool,
    keeps: bool,
) -> Vec<u8> {
    let connection = if keeps { "keep-alive" } else { "close" };
    let headers = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n{headers}Connection: {connection}\r\n\r\n",
        body.len()
    );
    let mut bytes = headers.into_bytes();
    if !head {
        bytes.extend_from_slice(body.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::http;
    use super::*;
    use crate::overview::State;
    use crate::scoreboard::{Fact, Service, ServiceView};

    struct World {
        service: Service,
        views: Views,
        answers: Answers,
    }

    impl World {
        fn new(unix: bool) -> Self {
            let service = Service::create().unwrap();
            let views = Views::new(ServiceView::map(service.as_fd()).unwrap());
            Self {
                service,
                views,
                answers: Answers::new(
                    unix,
                    vec!["web1".to_owned()],
                    About { php: "8.2.0".to_owned(), cores: 2, shows_requests: false },
                ),
            }
        }

        fn get(&mut self, path: &str, host: &str, at: u64) -> String {
            let text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let request = http::read(text.as_bytes()).unwrap().unwrap();
            String::from_utf8(self.answers.to(&request, &mut self.views, Moment::at_millis(at))).unwrap()
        }
    }

    #[test]
    fn another_host_gets_nothing_over_tcp() {
        let mut world = World::new(false);
        let refused = world.get("/metrics", "evil.example", 0);
        assert!(refused.starts_with("HTTP/1.1 421 ") && !refused.contains("phpfpm_"), "{refused}");
        assert!(world.get("/metrics", "WEB1:9253", 0).starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(World::new(true).get("/metrics", "evil.example", 0).starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn metrics_are_written_again_after_a_moment() {
        let mut world = World::new(false);
        let ready = |world: &mut World, at| world.get("/metrics", "[::1]", at).contains("\nphpfpm_ready 1\n");
        assert!(!ready(&mut world, 100));
        world.service.set(Fact::Ready, 1);
        assert!(!ready(&mut world, 119) && ready(&mut world, 120));
    }

    #[test]
    fn the_overview_is_json_and_made_again_after_a_moment() {
        let mut world = World::new(false);
        let state = |world: &mut World, at| {
            let answer = world.get("/api/v1/overview", "[::1]", at);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("Content-Type: application/json\r\n") && head.contains("no-store"), "{head}");
            serde_json::from_str::<Overview>(body).unwrap().state
        };
        assert_eq!(state(&mut world, 100), State::Starting);
        world.service.set(Fact::Ready, 1);
        assert_eq!((state(&mut world, 119), state(&mut world, 120)), (State::Starting, State::Serving));
        assert_eq!(state(&mut world, 6_000), State::Hanging);
        assert!(world.get("/api/v1/overview", "evil.example", 0).starts_with("HTTP/1.1 421 "));
        let unknown = world.get("/api/v2/overview", "localhost", 0);
        assert!(unknown.starts_with("HTTP/1.1 404 ") && unknown.ends_with("and /api/v1/events\"}\n"), "{unknown}");
        let none = world.get("/api/v1/pools/no%22ne", "localhost", 0);
        assert!(
            none.starts_with("HTTP/1.1 404 ") && none.ends_with("{\"error\":\"there is no such pool\"}\n"),
            "{none}"
        );
    }

    #[test]
    fn a_client_that_asks_for_all_kinds_of_pages_gets_a_part_of_the_processor() {
        let mut world = World::new(false);
        let status = |world: &mut World, path: &str, at| world.get(path, "localhost", at)[9..12].to_owned();
        assert_eq!(status(&mut world, "/pools/a", 5_000), "404");
        world.answers.rendering.spend(Duration::from_millis(100));
        let kept = [("/pools/a", 5_010), ("/pools/a", 5_020), ("/", 5_999), ("/api/v1/events", 5_999)];
        assert_eq!(kept.map(|(path, at)| status(&mut world, path, at)), ["404", "503", "503", "503"]);
        assert_eq!(status(&mut world, "/readyz?verbose", 5_999), "503");
        assert!(world.get("/readyz?verbose", "localhost", 5_999).contains("[-] start failed"));
        assert_eq!(["/", "/api/v1/events", "/metrics"].map(|path| status(&mut world, path, 6_000)), ["200"; 3]);
        for pool in 0..2 * KEPT {
            status(&mut world, &format!("/pools/{pool}"), 6_000);
        }
        assert_eq!(world.answers.rendered.len(), KEPT);
    }

    #[test]
    fn samples_are_taken_only_while_somebody_looks() {
        let mut world = World::new(false);
        let due = |world: &World| world.answers.sample_due().map(Moment::as_millis);
        world.get("/metrics", "localhost", 0);
        assert_eq!(due(&world), None);
        world.get("/api/v1/overview", "localhost", 1_000);
        assert_eq!(due(&world), Some(2_000));
        world.answers.sample(&mut world.views, Moment::at_millis(1_999));
        assert_eq!(due(&world), Some(2_000), "not yet");
        for at in 2..=60 {
            world.answers.sample(&mut world.views, Moment::at_millis(at * 1_000));
            assert_eq!(due(&world), Some(at * 1_000 + 1_000));
        }
        world.answers.sample(&mut world.views, Moment::at_millis(61_000));
        assert_eq!(due(&world), None, "nobody has asked for a minute");
    }

    #[test]
    fn each_page_has_its_status() {
        let mut world = World::new(false);
        let status = |world: &mut World, path| world.get(path, "localhost", 0)[9..12].to_owned();
        assert_eq!((status(&mut world, "/livez"), status(&mut world, "/readyz")), ("200".to_owned(), "503".to_owned()));
        assert_eq!((status(&mut world, "/startupz"), status(&mut world, "/x")), ("503".to_owned(), "404".to_owned()));
        assert_eq!(status(&mut world, "/pools/x"), "404");
        assert!(world.get("/livez?verbose", "localhost", 0).ends_with("[+] supervisor ok\nok\n"));
    }

    #[test]
    fn the_page_has_its_policy() {
        let page = World::new(false).get("/", "localhost", 0);
        let (head, body) = page.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"), "{head}");
        assert!(
            head.contains(&format!("\r\n{}", super::page::HEADERS)) && body.starts_with("<!DOCTYPE html>"),
            "{head}"
        );
    }

    #[test]
    fn a_head_has_the_length_and_no_body() {
        let mut world = World::new(false);
        let request = http::read(b"HEAD /livez HTTP/1.0\r\n\r\n").unwrap().unwrap();
        let answer = world.answers.to(&request, &mut world.views, Moment::default());
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains("\r\nContent-Length: 3\r\n") && answer.ends_with("Connection: close\r\n\r\n"),
            "{answer}"
        );
        assert!(String::from_utf8(refused(Refusal::Method)).unwrap().contains("\r\nAllow: GET, HEAD\r\n"));
    }
}
