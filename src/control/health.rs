//! `php-fpm health`: asks the monitor, for a container's health check. It takes a second at most.

use std::time::Instant;

use super::monitor_client::{LIMIT, Monitor, Problem, Status};
use super::say::{complain, say};
use crate::cli::{HealthCheck, Options, WrongOption};
use crate::host::Host;
use crate::log::messages::terminal as texts;

/// Carries it out; returns the exit status.
pub(crate) fn run(check: Result<HealthCheck, WrongOption>, host: &Host, options: &Options) -> i32 {
    let status = match check {
        Err(wrong) => {
            complain(&texts::health_option_wrong(wrong));
            Status::WrongOption
        }
        Ok(check) => examine(&check, host, options).unwrap_or_else(|(status, text)| {
            text.lines().for_each(complain);
            status
        }),
    };
    status as i32
}

fn examine(check: &HealthCheck, host: &Host, options: &Options) -> Result<Status, Problem> {
    let monitor = Monitor::find("health", host, options)?;
    let until = Instant::now() + LIMIT;
    let ask = |path: &str| monitor.ask(path, until);
    if check.live || check.ready || check.limits.is_empty() {
        let (code, body) = ask(if check.live { "/livez?verbose" } else { "/readyz?verbose" })?;
        if code != 200 {
            return Err((Status::Unhealthy, body));
        }
        if check.verbose {
            body.lines().for_each(say);
        }
    }
    if check.limits.is_empty() {
        return Ok(Status::Healthy);
    }
    let (code, metrics) = ask("/metrics")?;
    if code != 200 {
        return Err(monitor.is_none());
    }
    within(check, &metrics).map(|()| Status::Healthy)
}

/// Whether each limit is kept by each pool, or by the one that is asked for.
fn within(check: &HealthCheck, metrics: &str) -> Result<(), Problem> {
    for (metric, most) in &check.limits {
        let values = values(metrics, metric.name);
        let mut values =
            values.iter().filter(|(pool, _)| check.pool.as_ref().is_none_or(|asked| asked == pool)).peekable();
        if values.peek().is_none() {
            let pool = check.pool.as_deref().unwrap_or("*");
            return Err((Status::NoMonitor, texts::no_such_pool_to_check(pool)));
        }
        for (pool, value) in values {
            if check.verbose {
                say(&texts::metric_value(pool, metric.option, value, most));
            }
            if value > most {
                return Err((Status::Unhealthy, texts::metric_too_high(pool, metric.option, value, most)));
            }
        }
    }
    Ok(())
}

/// The samples of a metric, by pool.
fn values(metrics: &str, name: &str) -> Vec<(String, u64)> {
    let sample = |line: &str| {
        let mut rest = line.strip_prefix(name)?.strip_prefix('{')?;
        let mut pool = None;
        while let Some((label, after)) = rest.split_once("=\"") {
            let (value, after) = label_value(after)?;
            if label == "pool" {
                pool = Some(value);
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        Some((pool?, rest.strip_prefix("} ")?.parse().ok()?))
    };
    metrics.lines().filter_map(sample).collect()
}

/// The value of a label, whose quote has been read, and what follows its closing quote. A backslash escapes.
fn label_value(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.chars());
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()? {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const METRICS: &str = "# HELP phpfpm_listen_queue x\nphpfpm_listen_queue{pool=\"www\",scrape_uri=\"unix:///x\"} 3\n\
                           phpfpm_listen_queue{pool=\"a\\\"b\",scrape_uri=\"\"} 40\nphpfpm_listen_queue_length{pool=\"www\"} 511\n\
                           phpfpm_b{scrape_uri=\"tcp://a\",pool=\"c\\\\\"} 1\nphpfpm_b{pool=\"a\\nb\\\"} 9,x=\\\"\",x=\"} 2\"} 3\nphpfpm_b{pool=\"d\\\"} 4\n\
                           phpfpm_b{x=\"\"} 5\nphpfpm_b{pool=\"e\"}\n";

    #[test]
    fn samples_are_found_by_pool() {
        assert_eq!(values(METRICS, "phpfpm_listen_queue"), [("www".to_owned(), 3), ("a\"b".to_owned(), 40)]);
        assert_eq!(values(METRICS, "phpfpm_listen_queue_length"), [("www".to_owned(), 511)]);
        assert_eq!(values(METRICS, "phpfpm_b"), [("c\\".to_owned(), 1), ("a\nb\"} 9,x=\"".to_owned(), 3)]);
        assert!(values(METRICS, "phpfpm_listen").is_empty());
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(line in ".*") {
            let _ = (values(&line, ""), values(&format!("a{{pool=\"{line}"), "a"));
        }
    }
}
