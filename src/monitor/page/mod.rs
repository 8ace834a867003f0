//! The page for people. It works without a script; the script keeps it up to date. It is read-only, stores nothing, and loads nothing
//! but figures of this monitor. Names and URIs are hostile: they become text and nothing else (template.rs, page.js).

mod format;
mod template;
mod values;

use crate::overview::{Overview, Pool, PoolDetail};
use template::{Values, fill, inside, list, parts};
use values::word;

const FRAME: &str = include_str!("frame.html");
const OVERVIEW: &str = include_str!("overview.html");
const POOL: &str = include_str!("pool.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How many events it shows. page.js has the same number.
const EVENTS: usize = 30;

/// Headers of the page. Nothing but our style and our script counts in it: build.rs has their hashes.
pub(super) const HEADERS: &str = concat!(
    "Content-Security-Policy: default-src 'none'; style-src '",
    env!("CGI_FPM_PAGE_STYLE"),
    "'; script-src '",
    env!("CGI_FPM_PAGE_SCRIPT"),
    "'; connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'\r\n\
     Referrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n"
);

/// The page of all pools.
pub(super) fn overview(all: &Overview) -> String {
    let (main, templates) = parts(OVERVIEW);
    let (severity, state) = (word(&all.severity), word(&all.state));
    let title = format!("php-fpm, {state}");
    let main = fill(
        main,
        &vec![
            ("severity", severity.clone()),
            ("state", state),
            ("clock", format::clock(all.now)),
            ("window", format::span(all.window_seconds)),
            ("head", fill(inside(OVERVIEW, "head-of"), &values::head(all))),
            ("pools", list(inside(OVERVIEW, "row"), &all.pools, values::pool)),
            ("events", list(inside(OVERVIEW, "event"), all.events.iter().take(EVENTS), values::event)),
        ],
    );
    frame(title, &severity, main + templates)
}

/// The page of a pool. `now`: in seconds since 1970.
pub(super) fn pool(all: &PoolDetail, now: f64) -> String {
    let (main, templates) = parts(POOL);
    let PoolDetail { pool, slots, slots_left_out, running } = all;
    let mut filled = values::pool(pool);
    filled.extend(vec![
        ("clock", format::clock(now)),
        ("head", fill(inside(POOL, "head-of"), &filled)),
        ("figures", fill(inside(POOL, "figures-of"), &filled)),
        ("cells", list(inside(POOL, "cell"), slots, values::slot)),
        ("left_out", values::left_out(*slots_left_out)),
        ("workers", list(inside(POOL, "worker"), slots, values::slot)),
        ("running", list(inside(POOL, "request"), running.iter().flatten(), values::request)),
        ("no_requests", no_requests(running.is_some()).to_owned()),
        ("answers", sums(&answers(pool))),
        ("exits", sums(&exits(pool))),
    ]);
    frame(format!("{}, php-fpm", pool.name), &word(&pool.severity), fill(main, &filled) + templates)
}

fn frame(title: String, severity: &str, body: String) -> String {
    let title = match severity {
        "ok" => title,
        severity => format!("{severity}: {title}"),
    };
    let values: Values =
        vec![("title", title), ("body", body), ("style", STYLE.to_owned()), ("script", SCRIPT.to_owned())];
    fill(FRAME, &values)
}

fn no_requests(shown: bool) -> &'static str {
    if shown {
        "No request runs."
    } else {
        "monitor.show_requests = yes shows them here. Whoever sees this page would see other people's URIs then."
    }
}

type Sums<'a> = Vec<(&'a str, u64, bool)>;

fn answers(pool: &Pool) -> Sums<'_> {
    let classes = pool.requests.by_class.iter().map(|(class, number)| (class.as_str(), *number, class == "5xx"));
    classes.chain([("all", pool.requests.total, false)]).collect()
}

fn exits(pool: &Pool) -> Sums<'_> {
    let bad = |reason: &str| matches!(reason, "crash" | "timeout" | "oom" | "other");
    pool.exits.iter().map(|(reason, number)| (reason.as_str(), *number, bad(reason))).collect()
}

fn sums(sums: &Sums<'_>) -> String {
    list(inside(POOL, "sum"), sums, |(name, number, bad)| values::sum(name, *number, *bad))
}

#[cfg(test)]
mod tests;
