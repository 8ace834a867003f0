//! `/livez`, `/readyz`, `/startupz`: whether this php-fpm works, for those who restart it or send it requests. None depends on the load:
//! a php-fpm whose workers are all busy is alive, and to kill it makes things worse.

use crate::scoreboard::Fact;
use crate::sys::clock::Moment;

use super::overview::HANGS;
use super::views::Views;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Live,
    Ready,
    Started,
}

/// A check, and why it has failed, if it has.
pub(super) type Check = (&'static str, Option<String>);

/// The checks for a question.
pub(super) fn checks(question: Question, views: &Views, now: Moment) -> Vec<Check> {
    let fact = |fact| views.service.get(fact);
    let since = now.since(Moment::at_millis(fact(Fact::Turned)));
    let turns = (
        "supervisor",
        (since > HANGS).then(|| format!("its event loop has not turned for {} seconds", since.as_secs())),
    );
    let started = ("start", (fact(Fact::Ready) == 0).then(|| "not all groups have started yet".to_owned()));
    let pools = || {
        let unserved = views.unserved(fact(Fact::Ready) == 0);
        let reason = if !views.complete {
            Some("not told yet".to_owned())
        } else if unserved.is_empty() {
            None
        } else {
            Some(format!("no generation serves: {}", unserved.join(", ")))
        };
        ("pools", reason)
    };
    let stop = || ("stop", (fact(Fact::Leaving) != 0).then(|| "php-fpm is about to stop".to_owned()));
    match question {
        Question::Live => vec![turns],
        Question::Started => vec![turns, started],
        Question::Ready => vec![turns, started, pools(), stop()],
    }
}

/// The text of an answer, as Kubernetes' own components write it. With `verbose`, or if one has failed, it lists all checks.
pub(super) fn text(checks: &[Check], verbose: bool) -> String {
    if !verbose && is_ok(checks) {
        return "ok\n".to_owned();
    }
    let lines = checks.iter().map(|(name, reason)| match reason {
        None => format!("[+] {name} ok\n"),
        Some(reason) => format!("[-] {name} failed: {reason}\n"),
    });
    lines.chain([if is_ok(checks) { "ok\n".to_owned() } else { "failed\n".to_owned() }]).collect()
}

/// Whether none has failed.
pub(super) fn is_ok(checks: &[Check]) -> bool {
    checks.iter().all(|(_, reason)| reason.is_none())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::ipc::ToMonitor;
    use crate::scoreboard::{Service, ServiceView};

    fn world() -> (Service, Views) {
        let service = Service::create().unwrap();
        service.set(Fact::Turned, 10_000);
        let view = ServiceView::map(service.as_fd()).unwrap();
        (service, Views::new(view))
    }

    fn failed(question: Question, views: &Views, at: u64) -> Vec<&'static str> {
        let checks = checks(question, views, Moment::at_millis(at));
        checks.into_iter().filter(|(_, reason)| reason.is_some()).map(|(name, _)| name).collect()
    }

    #[test]
    fn only_a_supervisor_that_hangs_is_not_alive() {
        let (_service, views) = world();
        assert_eq!(failed(Question::Live, &views, 15_000), [""; 0]);
        assert_eq!(failed(Question::Live, &views, 15_001), ["supervisor"]);
    }

    #[test]
    fn ready_is_who_has_started_and_does_not_leave() {
        let (service, mut views) = world();
        assert_eq!(failed(Question::Ready, &views, 10_000), ["start", "pools"]);
        assert_eq!(failed(Question::Started, &views, 10_000), ["start"]);
        service.set(Fact::Ready, 1);
        views.take(ToMonitor::Complete, &[]).unwrap();
        assert_eq!(failed(Question::Ready, &views, 10_000), [""; 0]);
        service.set(Fact::Leaving, 1);
        assert_eq!(failed(Question::Ready, &views, 10_000), ["stop"]);
        assert!(
            failed(Question::Live, &views, 10_000).is_empty() && failed(Question::Started, &views, 10_000).is_empty()
        );
    }

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let checks = [("a", None), ("b", Some("why".to_owned()))];
        assert_eq!(text(&checks, false), "[+] a ok\n[-] b failed: why\nfailed\n");
        assert_eq!(
            (text(&checks[..1], false), text(&checks[..1], true)),
            ("ok\n".to_owned(), "[+] a ok\nok\n".to_owned())
        );
    }
}
