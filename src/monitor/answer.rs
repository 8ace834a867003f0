//! The answer to a request.

use std::time::Duration;

use super::families;
use super::health::{self, Question};
use super::http::{Refusal, Request, is_own_host};
use super::views::Views;
use crate::metrics::Format;
use crate::sys::clock::{self, Moment};

/// Metrics are not written more often than this: a client that asks without a pause must not cost the machine a processor.
const FRESH: Duration = Duration::from_millis(20);

/// They take at most one part in so many of a processor.
const SHARE: u32 = 10;

const PLAIN: &str = "text/plain; charset=utf-8";

/// Answers requests.
#[derive(Debug)]
pub(super) struct Answers {
    /// Any `Host` will do: no browser can address a unix socket.
    unix: bool,
    allowed_hosts: Vec<String>,
    php: String,
    /// This process is about to end: connections are not kept.
    pub(super) leaving: bool,
    /// The last metrics of each format, and until when they are fresh.
    text: Option<(Moment, String)>,
    open: Option<(Moment, String)>,
}

impl Answers {
    pub(super) fn new(unix: bool, allowed_hosts: Vec<String>, php: String) -> Self {
        Self { unix, allowed_hosts, php, leaving: false, text: None, open: None }
    }

    /// The bytes of the answer.
    pub(super) fn to(&mut self, request: &Request, views: &mut Views, now: Moment) -> Vec<u8> {
        if !self.unix && request.host.as_ref().is_some_and(|host| !is_own_host(host, &self.allowed_hosts)) {
            let text = "The name in the Host header is not one of this machine: add it to monitor.allowed_hosts.\n";
            return response((421, "Misdirected Request"), PLAIN, text, request.head, request.keeps);
        }
        let question = match request.path.as_str() {
            "/metrics" => {
                let text = self.metrics(request.format, views, now);
                return response(OK, request.format.content_type(), text, request.head, request.keeps);
            }
            "/livez" => Question::Live,
            "/readyz" => Question::Ready,
            "/startupz" => Question::Started,
            _ => {
                let text = "There are /metrics, /livez, /readyz and /startupz.\n";
                return response((404, "Not Found"), PLAIN, text, request.head, request.keeps);
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
            let text = families::render(views, &self.php, format);
            let took = Duration::from_micros(clock::micros().saturating_sub(begun));
            (now + FRESH.max(took * SHARE), text)
        };
        &kept.insert(fresh.unwrap_or_else(render)).1
    }
}

const OK: (u16, &str) = (200, "OK");

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

fn response((status, reason): (u16, &str), content_type: &str, body: &str, head: bool, keeps: bool) -> Vec<u8> {
    let connection = if keeps { "keep-alive" } else { "close" };
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let headers = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n{allow}Connection: {connection}\r\n\r\n",
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
            Self { service, views, answers: Answers::new(unix, vec!["web1".to_owned()], "8.2.0".to_owned()) }
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
    fn each_page_has_its_status() {
        let mut world = World::new(false);
        let status = |world: &mut World, path| world.get(path, "localhost", 0)[9..12].to_owned();
        assert_eq!((status(&mut world, "/livez"), status(&mut world, "/readyz")), ("200".to_owned(), "503".to_owned()));
        assert_eq!((status(&mut world, "/startupz"), status(&mut world, "/")), ("503".to_owned(), "404".to_owned()));
        assert!(world.get("/livez?verbose", "localhost", 0).ends_with("[+] supervisor ok\nok\n"));
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
