//! The options of `php-fpm health`: those of php-fpm-healthcheck, and what is asked.

use std::ffi::OsString;

/// What `php-fpm health` is to find out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// `--live`: `/livez` is asked. Otherwise `/readyz`, if no limit is given or with `--ready`.
    pub live: bool,
    /// `--ready`.
    pub ready: bool,
    /// `-v`: the answer is printed.
    pub verbose: bool,
    /// `--pool`: limits are for this pool only.
    pub pool: Option<String>,
    /// A metric, the option that names it, and its highest value.
    pub limits: Vec<(&'static Metric, u64)>,
}

/// A metric that may be limited.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The option.
    pub option: &'static str,
    /// The metric of the monitor.
    pub name: &'static str,
}

const fn metric(option: &'static str, name: &'static str) -> Metric {
    Metric { option, name }
}

/// The options of php-fpm-healthcheck that take a number.
const METRICS: [Metric; 10] = [
    metric("--accepted-conn", "phpfpm_accepted_connections"),
    metric("--listen-queue", "phpfpm_listen_queue"),
    metric("--max-listen-queue", "phpfpm_max_listen_queue"),
    metric("--listen-queue-len", "phpfpm_listen_queue_length"),
    metric("--idle-processes", "phpfpm_idle_processes"),
    metric("--active-processes", "phpfpm_active_processes"),
    metric("--total-processes", "phpfpm_total_processes"),
    metric("--max-active-processes", "phpfpm_max_active_processes"),
    metric("--max-children-reached", "phpfpm_max_children_reached"),
    metric("--slow-requests", "phpfpm_slow_requests"),
];

/// An option of `php-fpm health` is wrong; the text says which.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongOption(pub String);

/// Takes the options of `health` out of the arguments. The others are left.
///
/// # Errors
/// A value that is no number.
pub(super) fn take(arguments: &[OsString]) -> Result<(HealthCheck, Vec<OsString>), WrongOption> {
    let (mut check, mut others) = (HealthCheck::default(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let (name, given) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let mut value = || {
            let next = given.or_else(|| arguments.next().and_then(|value| value.to_str()));
            next.ok_or_else(|| WrongOption(format!("{name} needs a value")))
        };
        match name {
            "--live" if given.is_none() => check.live = true,
            "--ready" if given.is_none() => check.ready = true,
            "-v" | "--verbose" if given.is_none() => check.verbose = true,
            "--pool" => check.pool = Some(value()?.to_owned()),
            _ => match METRICS.iter().find(|metric| metric.option == name) {
                Some(metric) => {
                    let text = value()?;
                    let most = text.parse().map_err(|_| WrongOption(format!("{name}: '{text}' is no whole number")))?;
                    check.limits.push((metric, most));
                }
                None => others.push(argument.clone()),
            },
        }
    }
    if check.live && check.ready {
        return Err(WrongOption("--live and --ready exclude each other".to_owned()));
    }
    Ok((check, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> Result<(HealthCheck, Vec<OsString>), WrongOption> {
        take(&text.split_ascii_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_options_of_healthcheck_are_taken() {
        let (check, others) = taken("-v --listen-queue=10 -y /etc/x.conf --accepted-conn 3000 --pool www").unwrap();
        let limits: Vec<_> = check.limits.iter().map(|(metric, most)| (metric.name, *most)).collect();
        assert_eq!(limits, [("phpfpm_listen_queue", 10), ("phpfpm_accepted_connections", 3000)]);
        assert!(check.verbose && check.pool.as_deref() == Some("www"));
        assert_eq!(others, ["-y", "/etc/x.conf"]);
    }

    #[test]
    fn wrong_values_are_told() {
        let wrong = |text| taken(text).unwrap_err().0;
        assert_eq!(wrong("--listen-queue=x"), "--listen-queue: 'x' is no whole number");
        assert_eq!(wrong("--listen-queue"), "--listen-queue needs a value");
        assert_eq!(wrong("--live --ready"), "--live and --ready exclude each other");
        assert_eq!(taken("--live=1").unwrap().1, ["--live=1"], "left for the other options, which refuse it");
    }
}
