//! A pool's section to statements: the settings that are required, and the original's defaults.

use std::collections::HashSet;

use super::super::listen;
use super::super::options::LoadOptions;
use super::fault::Fault;
use super::schema::NAME;
use super::section::{Given, Section};
use super::statement::{Line, Statement, entries};
use crate::config::directives::POOL_DIRECTIVES;
use crate::log::messages::config_xml::XmlError;

/// The names of the pools so far, in lower case: sections with one name would be one pool.
#[derive(Debug)]
pub(super) struct Names(HashSet<String>);

impl Default for Names {
    fn default() -> Self {
        Self(HashSet::from(["global".to_owned()]))
    }
}

impl Names {
    /// The name, or one made from it that no other pool has.
    fn own(&mut self, name: &str) -> String {
        let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let own = names.find(|name| self.0.insert(name.to_ascii_lowercase()));
        own.unwrap_or_else(|| name.to_owned())
    }
}

/// The statements of the pool that starts on this line. `None`: it is a template.
pub(super) fn lines(
    line: u32,
    section: &mut Section,
    options: &LoadOptions,
    names: &mut Names,
) -> Result<Option<Vec<Line>>, Fault> {
    let name = name(line, section, names)?;
    let Some(address) = section.text("listen").map(str::to_owned) else {
        section.remarks.push(Fault::new(line, XmlError::Template { pool: name }).hint(LISTEN));
        return Ok(None);
    };
    if listen::is_unix(&address) && section.text("listen.mode").is_none() {
        let place = section.line("listen", line);
        section.values.insert("listen.mode", Given { text: "0666".to_owned(), number: None, line: place });
        let error = XmlError::OpenSocket { pool: name.clone(), address };
        section.remarks.push(
            Fault::new(place, error)
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

const LISTEN: &str = "a pool that serves has <value name=\"listen_address\">127.0.0.1:9000</value>";

fn name(line: u32, section: &mut Section, names: &mut Names) -> Result<String, Fault> {
    let line = section.line(NAME, line);
    let given = section.text(NAME).unwrap_or("default").to_owned();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !given.bytes().all(plain) {
        return Err(
            Fault::new(line, XmlError::PoolName { name: given }).hint("names have letters, digits, _, - and dots")
        );
    }
    let own = names.own(&given);
    if own != given {
        section.remarks.push(Fault::new(line, XmlError::NameTaken { name: given, own: own.clone() }));
    }
    Ok(own)
}

/// Checks the settings that the original required.
fn required(line: u32, name: &str, section: &Section, options: &LoadOptions) -> Result<(), Fault> {
    let children = section.number("pm.max_children");
    if children.is_none_or(|children| children < 1) {
        let error = match children {
            None => XmlError::NoMaxChildren { pool: name.to_owned() },
            Some(number) => XmlError::MaxChildren { pool: name.to_owned(), number },
        };
        return Err(Fault::new(section.line("pm.max_children", line), error)
            .hint("write <value name=\"pm\"><value name=\"max_children\">5</value></value>"));
    }
    if options.root && !options.allow_root && section.text("user").is_none() {
        let error = XmlError::NoUser { pool: name.to_owned() };
        return Err(Fault::new(line, error).hint("write <value name=\"user\">nobody</value>"));
    }
    let slow = section.number("request_slowlog_timeout").is_some_and(|seconds| seconds != 0);
    if slow && section.text("slowlog").is_none() {
        return Err(Fault::new(section.line("request_slowlog_timeout", line), XmlError::NoSlowlog)
            .hint("write <value name=\"slowlog\">logs/slow.log</value>"));
    }
    Ok(())
}

/// A request that is ended before it is slow is never traced. The rules of the ini file refuse such a pair.
fn timeouts(line: u32, section: &mut Section) {
    let seconds = |directive: &str| section.number(directive).unwrap_or(0);
    let (slow, end) = (seconds("request_slowlog_timeout"), seconds("request_terminate_timeout"));
    if end != 0 && slow > end {
        let line = section.line("request_slowlog_timeout", line);
        section.remarks.push(Fault::new(line, XmlError::NeverSlow { slow, end }));
        section.values.remove("request_slowlog_timeout");
    }
}

/// The number of processes. `apache-like` becomes dynamic, which needs numbers that fit together. The original did not check
/// them, and its own sample does not fit: such numbers are changed, with a remark.
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
            let pool = name.to_owned();
            let error = XmlError::SpareChanged { pool, setting, number, least, most: highest };
            section.remarks.push(Fault::new(place, error));
        }
        match directive {
            "pm.max_spare_servers" => highest = number,
            "pm.min_spare_servers" => least = number,
            _ => {}
        }
        section.values.insert(directive, Given { text: number.to_string(), number: Some(number), line: place });
    }
}
