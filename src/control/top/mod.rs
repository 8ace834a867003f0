//! `php-fpm top`: what the pools do, as the monitor says. On a terminal it is drawn again each second.

mod numbers;
mod picture;
mod screen;
mod table;

use std::fmt::Write as _;
use std::io::{IsTerminal, stdin, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::monitor_client::{LIMIT, Monitor, Problem, Status};
use super::say::{complain, say};
use crate::cli::{Options, Top, WrongOption};
use crate::host::Host;
use crate::log::messages::terminal as texts;
use crate::overview::{Overview, PoolDetail};
use crate::sys::failure::reason;
use crate::sys::terminal;
use picture::Seen;
use screen::{Event, Screen};
use table::Look;

const SECOND: Duration = Duration::from_secs(1);
/// Rates over a longer time than this are those since the start: the monitor keeps no numbers while nobody asks.
const RECENT: f64 = 60.0;
/// The width of a table that is printed into a file.
const WIDTH: usize = 100;

/// Carries it out; returns the exit status.
pub(crate) fn run(top: Result<Top, WrongOption>, host: &Host, options: &Options) -> i32 {
    let status = match top {
        Err(wrong) => {
            complain(&texts::top_option_wrong(wrong));
            Status::WrongOption
        }
        Ok(top) => {
            let shown = Monitor::find("top", host, options).and_then(|monitor| show(&top, &monitor));
            shown.map_or_else(
                |(status, text)| {
                    text.lines().for_each(complain);
                    status
                },
                |()| Status::Healthy,
            )
        }
    };
    status as i32
}

fn show(top: &Top, monitor: &Monitor) -> Result<(), Problem> {
    let mut seen = look(top, monitor)?;
    let draws = !top.once && !top.json && stdin().is_terminal() && stdout().is_terminal() && !is_dumb();
    if draws {
        return watch(top, monitor, seen);
    }
    if seen.overview.window_seconds > RECENT {
        sleep(SECOND);
        seen = look(top, monitor)?;
    }
    if top.json {
        let path = top.pool.as_ref().map_or_else(|| OVERVIEW.to_owned(), |name| path_of(name));
        let (_, body) = monitor.ask(&path, Instant::now() + LIMIT)?;
        body.lines().for_each(say);
    } else {
        let width = terminal::size().map_or(WIDTH, |(width, _)| width);
        picture::lines(&seen, width).iter().for_each(|(line, _)| say(line));
    }
    Ok(())
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

const OVERVIEW: &str = "/api/v1/overview";

fn look(top: &Top, monitor: &Monitor) -> Result<Seen, Problem> {
    let until = Instant::now() + LIMIT;
    let (code, body) = monitor.ask(OVERVIEW, until)?;
    let overview: Overview = read(code, &body).ok_or_else(|| monitor.is_none())?;
    let Some(name) = &top.pool else { return Ok(Seen { overview, detail: None }) };
    let (code, body) = monitor.ask(&path_of(name), until)?;
    if code == 404 {
        let pools: Vec<&str> = overview.pools.iter().map(|pool| pool.name.as_str()).collect();
        return Err((Status::NoMonitor, texts::no_such_pool_to_show(name, pools.join(", "))));
    }
    let detail: PoolDetail = read(code, &body).ok_or_else(|| monitor.is_none())?;
    Ok(Seen { overview, detail: Some(detail) })
}

fn read<T: serde::de::DeserializeOwned>(code: u16, body: &str) -> Option<T> {
    (code == 200).then(|| serde_json::from_str(body).ok()).flatten()
}

/// The path of a pool, with all but letters and digits of its name encoded.
fn path_of(name: &str) -> String {
    let mut path = "/api/v1/pools/".to_owned();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

/// Draws each second until the operator leaves. A monitor that does not answer for a while, as during a restart, is said and asked again.
fn watch(top: &Top, monitor: &Monitor, mut seen: Seen) -> Result<(), Problem> {
    let failed = |e: std::io::Error| (Status::NoAnswer, texts::cannot_draw(reason(&e)));
    let screen = Screen::enter().map_err(failed)?;
    let mut trouble: Option<String> = None;
    loop {
        let (width, height) = Screen::size();
        let mut lines = picture::lines(&seen, width);
        if let Some(text) = &trouble {
            lines.insert(0, (numbers::clip(&numbers::plain(text), width), Look::Critical));
        }
        screen.draw(&picture::fitted(lines, height, width)).map_err(failed)?;
        match screen.wait(SECOND).map_err(failed)? {
            Event::Quit => return Ok(()),
            Event::Resized => {}
            Event::Time => match look(top, monitor) {
                Ok(now) => (seen, trouble) = (now, None),
                Err((_, text)) => trouble = Some(text),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_pool_is_encoded() {
        assert_eq!(path_of("shop-1 a/b?"), "/api/v1/pools/shop%2D1%20a%2Fb%3F");
    }

    #[test]
    fn only_answers_of_a_monitor_are_read() {
        assert!(
            read::<Overview>(200, "{\"pools\":[{\"name\":\"x\",\"new\":1}]}").is_some_and(|all| all.pools.len() == 1)
        );
        assert!(read::<Overview>(200, "ok").is_none() && read::<Overview>(503, "{}").is_none());
    }
}
