//! A pool's section to statements: what must be there, and what the original had where nothing is said.

use std::collections::HashSet;

use super::super::listen;
use super::super::options::LoadOptions;
use super::fault::Fault;
use super::schema::NAME;
use super::section::{Given, Section};
use super::statement::{Line, Statement, entries};
use crate::config::directives::POOL_DIRECTIVES;

/// The names that pools have, in lower case, for sections of one name would be one pool.
#[derive(Debug)]
pub(super) struct Names(HashSet<String>);

impl Default for Names {
    fn default() -> Self {
        Self(HashSet::from(["global".to_owned()]))
    }
}

impl Names {
    /// The name, or a unique one made from it.
    fn own(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let own = names.find(|name| self.0.insert(name.to_ascii_lowercase()));
        own.unwrap_or_else(|| name.to_owned())
    }
}

/// The statements of the pool that begins in this line; `None`: it is a template.
pub(super) fn lines(
    line: u32,
    section: &mut Section,
    options: &LoadOptions,
    names: &mut Names,
) -> Result<Option<Vec<Line>>, Fault> {
    let name = name(line, section, names)?;
    let Some(address) = section.text("listen").map(str::to_owned) else {
        let text = format!("pool '{name}' has no listen_address: it is a template, and has no processes");
        section.remarks.push(Fault::new(line, text).hint(LISTEN));
        return Ok(None);
    };
    if listen::is_unix(&address) && section.text("listen.mode").is_none() {
        let place = section.line("listen", line);
        section.values.insert("listen.mode", Given { text: "0666".to_owned(), number: None, line: place });
        let text = format!("pool '{name}': everybody may connect to {address}, as the original had it");
        section.remarks.push(
            Fault::new(place, text)
                .hint("<value name=\"listen_options\"><value name=\"mode\">0660</value></value> keeps others out"),
        );
    }
    required(line, &name, section, options)?;
    timeouts(line, section);
    manager(line, &name, section);
    if section.text("rlimit_core").is_some_and(|limit| limit != "0") {
        // The original's workers always could dump core; today that has to be allowed.
        let line = section.line("rlimit_core", line);
        section.values.insert("process.dumpable", Given { text: "yes".to_owned(), number: None, line });
    }
    let mut lines = vec![Line::section(section.line(NAME, line), name)];
    lines.extend(entries(section, POOL_DIRECTIVES));
    // Today's php-fpm applies them from the last to the first.
    lines.extend(section.pairs.iter().rev().map(|pair| Line {
        number: pair.line,
        statement: Statement::Pair(pair.directive, pair.key.clone(), pair.value.clone()),
    }));
    Ok(Some(lines))
}

const LISTEN: &str = "one that serves has <value name=\"listen_address\">127.0.0.1:9000</value>";

fn name(line: u32, section: &mut Section, names: &mut Names) -> Result<String, Fault> {
    let line = section.line(NAME, line);
    let given = section.text(NAME).unwrap_or("default").to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !given.bytes().all(plain) {
        let text = format!("'{given}' can't be a pool's name");
        return Err(Fault::new(line, text).hint("names have letters, digits, _, - and dots"));
    }
    let own = names.own(&given);
    if own != given {
        let text = format!("the name '{given}' is taken: this pool is called '{own}'");
        section.remarks.push(Fault::new(line, text));
    }
    Ok(own)
}

/// The settings that the original requires.
fn required(line: u32, name: &str, section: &Section, options: &LoadOptions) -> Result<(), Fault> {
    let children = section.number("pm.max_children");
    if children.is_none_or(|children| children < 1) {
        let text = match children {
            None => format!("pool '{name}' has no max_children"),
            Some(number) => format!("pool '{name}' has a max_children of {number}"),
        };
        return Err(Fault::new(section.line("pm.max_children", line), text)
            .hint("write <value name=\"pm\"><value name=\"max_children\">5</value></value>"));
    }
    if options.root && !options.allow_root && section.text("user").is_none() {
        let text = format!("pool '{name}' has no user; please specify user and group other than root");
        return Err(Fault::new(line, text).hint("write <value name=\"user\">nobody</value>"));
    }
    let slow = section.number("request_slowlog_timeout").is_some_and(|seconds| seconds != 0);
    if slow && section.text("slowlog").is_none() {
        let text = "'slowlog' must be specified for use with 'request_slowlog_timeout'";
        return Err(Fault::new(section.line("request_slowlog_timeout", line), text)
            .hint("write <value name=\"slowlog\">logs/slow.log</value>"));
    }
    Ok(())
}

/// A request that is ended before it is slow is never traced; today's rules refuse such a pair.
fn timeouts(line: u32, section: &mut Section) {
    let seconds = |directive: &str| section.number(directive).unwrap_or(0);
    let (slow, end) = (seconds("request_slowlog_timeout"), seconds("request_terminate_timeout"));
    if end != 0 && slow > end {
        let line = section.line("request_slowlog_timeout", line);
        let text = format!(
            "request_slowlog_timeout ({slow}s) has no effect: request_terminate_timeout ({end}s) ends a request before"
        );
        section.remarks.push(Fault::new(line, text));
        section.values.remove("request_slowlog_timeout");
    }
}

/// The number of processes. `apache-like` becomes dynamic, which needs numbers that fit to one another; what doesn't
/// fit, as in the file that the original came with, is lowered and told, for the original never looked.
fn manager(line: u32, name: &str, section: &mut Section) {
    const SPARE: [(&str, &str, i32); 3] = [
        ("pm.max_spare_servers", "MaxSpareServers", 35),
        ("pm.min_spare_servers", "MinSpareServers", 5),
        ("pm.start_servers", "StartServers", 20),
    ];
    if section.text("pm") != Some("dynamic") {
        SPARE.iter().for_each(|(directive, ..)| drop(section.values.remove(directive)));
        let line = section.line("pm", section.line("pm.max_children", line));
        section.values.insert("pm", Given { text: "static".to_owned(), number: None, line });
        return;
    }
    let most = section.number("pm.max_children").unwrap_or(1);
    let (mut least, mut highest) = (1, most);
    for (directive, setting, default) in SPARE {
        let given = section.number(directive);
        let number = given.unwrap_or(default).clamp(least, highest);
        let place = section.line(directive, section.line("pm", line));
        if given.is_some_and(|given| given != number) {
            let text = format!("pool '{name}': {setting} is taken as {number}, between {least} and {highest}");
            section.remarks.push(Fault::new(place, text));
        }
        match directive {
            "pm.max_spare_servers" => highest = number,
            "pm.min_spare_servers" => least = number,
            _ => {}
        }
        section.values.insert(directive, Given { text: number.to_string(), number: Some(number), line: place });
    }
}
