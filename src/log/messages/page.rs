//! `docs/messages.md`, made of the catalogue.

use std::fmt::Write as _;

use super::entry::{Entry, Origin, Place};
use super::*;

const HEAD: &str = "# Messages

Every line that cgi-fpm itself writes, by topic: the text, the level, what happened, and what to do. Names in braces stand
for values. Messages of PHP and of scripts are not listed.

Lines marked *php-fpm* have the same text as in php-fpm, so scripts that look for them keep working. All other lines are
our own.

This page is made from `src/log/messages`; a test keeps both equal.
";

/// The topics in the order of the page.
const TOPICS: &[(&str, &[Entry])] = &[
    ("Start and stop", lifecycle::TABLE),
    ("Reload and graceful stop", reload::TABLE),
    ("Configuration", config::TABLE),
    ("Configuration: statements", config_values::STATEMENT_ERRORS),
    ("Configuration: values", config_values::VALUE_ERRORS),
    ("Configuration: hints", config_values::HINTS),
    ("Configuration: global rules", config::GLOBAL_ERRORS),
    ("Configuration: rules of a pool", config_pools::POOL_ERRORS),
    ("Configuration: sockets", accounts::TABLE),
    ("Configuration: users and groups", accounts::ACCOUNT_ERRORS),
    ("Configuration: addresses", accounts::ADDRESS_ERRORS),
    ("Configuration: paths of sockets", accounts::LONG_PATHS),
    ("Configuration: allowed clients", accounts::WRONG_CLIENTS),
    ("XML configuration", config_xml::XML_ERRORS),
    ("XML configuration: values", config_xml::XML_VALUE_ERRORS),
    ("Pools", pools::TABLE),
    ("PHP of a pool", programs::PROGRAM_ERRORS),
    ("Listening sockets", sockets::TABLE),
    ("Zygotes", zygotes::TABLE),
    ("Base zygotes", bases::TABLE),
    ("Set-up of workers", worker_setup::TABLE),
    ("Workers", workers::TABLE),
    ("Output of processes, slow logs", output::TABLE),
    ("Requests", requests::TABLE),
    ("PHP", php::TABLE),
    ("Scripts and requests", php::BYTES),
    ("Logs", logs::TABLE),
    ("Monitor", monitor::TABLE),
    ("Control socket", control::TABLE),
    ("Terminal", terminal::TEXTS),
    ("Terminal: errors", terminal::TABLE),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (topic, entries) in TOPICS {
        let _ = write!(page, "\n## {topic}\n");
        for entry in *entries {
            let fpm = if entry.origin == Origin::Fpm { " *php-fpm*" } else { "" };
            let what: Vec<&str> = entry.what.iter().map(|line| line.trim()).collect();
            let _ = write!(
                page,
                "\n### `{}`\n\n{}{fpm}\n",
                entry.text.replace('\n', " ").replace("{{}}", "{}"),
                place(entry.place)
            );
            let _ = write!(page, "\n{}\n\n**What to do:** {}\n", what.join(" "), entry.action);
        }
    }
    page
}

fn place(place: Place) -> String {
    match place {
        Place::Log(levels) => {
            let levels: Vec<String> = levels.iter().map(|level| format!("{level:?}").to_uppercase()).collect();
            format!("Level: {}.", levels.join(", "))
        }
        Place::Part => "Part of another message.".to_owned(),
        Place::Stderr => "Printed to standard error.".to_owned(),
        Place::Stdout => "Printed to standard output.".to_owned(),
    }
}

#[test]
fn the_page_of_messages_is_the_catalogue() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/messages.md");
    let page = page();
    if std::env::var_os("CGI_FPM_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/messages.md is not what the catalogue says: set CGI_FPM_WRITE_DOCS=1 and run this test"
    );
}

#[test]
fn no_message_is_listed_twice_or_lacks_an_explanation() {
    let entries: Vec<&Entry> = TOPICS.iter().flat_map(|(_, entries)| *entries).collect();
    for (index, entry) in entries.iter().enumerate() {
        let name = entry.name;
        let earlier = entries.iter().take(index);
        assert!(earlier.clone().all(|other| other.name != name), "{name} is there twice");
        assert!(entry.action.ends_with('.'), "{name}: the action is not a sentence");
        assert!(entry.what.iter().any(|line| line.trim().ends_with('.')), "{name}: the explanation is not a sentence");
    }
}
