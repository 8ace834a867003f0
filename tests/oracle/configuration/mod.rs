//! Compares how cgi-fpm and stock php-fpm read configurations: the same refusals, the same messages, the same `-tt`.
//!
//! Runs only if CGI_FPM_STOCK names a stock php-fpm; CGI_FPM_PHP_SRC may name php-src, whose tests then join the corpus,
//! CGI_FPM_GENERATED a number of generated configurations, and CGI_FPM_SEED another series of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test program")]

mod arguments;
mod corpus;
mod generate;
mod stock;

use cgi_fpm::log;
use std::env;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use cgi_fpm::config::{self, LoadOptions, Message, Messages};

use stock::{Outcome, Stock};

/// One configuration to compare.
struct Case {
    name: String,
    /// `{{DIR}}` stands for a directory that only this case uses.
    conf: String,
    /// With `-p`, so that relative paths stay in the case's directory.
    prefixed: bool,
}

#[test]
fn agrees_with_stock_php_fpm() {
    let Some(program) = env::var_os("CGI_FPM_STOCK") else {
        testkit::skip("CGI_FPM_STOCK doesn't name a stock php-fpm");
        return;
    };
    let stock = Stock::new(Path::new(&program));
    let mut cases = corpus::written();
    if let Some(source) = env::var_os("CGI_FPM_PHP_SRC") {
        cases.extend(corpus::of_php_source(Path::new(&source)));
    }
    let number = |name| env::var(name).ok().and_then(|number| number.parse().ok());
    let generated = number("CGI_FPM_GENERATED").unwrap_or(300);
    let generated = usize::try_from(generated).unwrap();
    cases.extend(generate::cases(generated, number("CGI_FPM_SEED").unwrap_or(0)));
    let (accepted, different) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(threads)) {
            let (stock, accepted, different) = (&stock, &accepted, &different);
            scope.spawn(move || {
                for case in part {
                    let (theirs, ours) = both(case, stock);
                    accepted.fetch_add(usize::from(theirs.accepted), Ordering::Relaxed);
                    if !theirs.same(&ours, &case.conf) && different.fetch_add(1, Ordering::Relaxed) < 20 {
                        eprintln!("=== {}\n{}\n--- stock\n{theirs}\n--- ours\n{ours}", case.name, case.conf);
                    }
                }
            });
        }
    });
    let (accepted, different) = (accepted.into_inner(), different.into_inner());
    eprintln!("{} configurations, {accepted} accepted by stock, {different} different", cases.len());
    assert_eq!(different, 0);
}

/// The results of stock php-fpm and of cgi-fpm for a configuration.
fn both(case: &Case, stock: &Stock) -> (Outcome, Outcome) {
    let place = tempfile::tempdir().unwrap();
    corpus::furnish(place.path());
    let file = place.path().join("php-fpm.conf");
    std::fs::write(&file, case.conf.replace("{{DIR}}", place.path().to_str().unwrap())).unwrap();
    let prefix = case.prefixed.then_some(place.path());
    (stock.test(&file, prefix), ours(&file, prefix, stock))
}

#[test]
fn reads_command_lines_as_stock_php_fpm_does() {
    let Some(program) = env::var_os("CGI_FPM_STOCK") else {
        testkit::skip("CGI_FPM_STOCK doesn't name a stock php-fpm");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("php-fpm.conf");
    let log = place.path().join("log");
    let pool = "[www]\nuser = nobody\nlisten = 9000\npm = static\npm.max_children = 1\n";
    std::fs::write(&file, format!("[global]\nerror_log = {}\n{pool}", log.display())).unwrap();
    let different = arguments::differences(&Stock::new(Path::new(&program)), &file);
    assert!(different.is_empty(), "{}", different.join("\n"));
}

fn ours(file: &Path, prefix: Option<&Path>, stock: &Stock) -> Outcome {
    let options = LoadOptions {
        php_prefix: stock.prefix.clone(),
        local_state_dir: stock.prefix.join("var"),
        prefix: prefix.map(Path::to_owned),
        php_version: stock.version.clone(),
        root: nix::unistd::geteuid().is_root(),
        environment: env::vars_os().collect(),
        ..LoadOptions::default()
    };
    match config::load(file, &options).and_then(|loaded| loaded.test(true)) {
        Ok(messages) => Outcome { accepted: true, lines: lines(&messages) },
        Err(error) => Outcome { accepted: false, lines: lines(&error.messages) },
    }
}

fn lines(messages: &Messages) -> Vec<String> {
    let lines = messages.lines.iter().map(|message| match message {
        Message::Log(line) | Message::Hint(line) => format!("{}: {line}", level_name(line.level())),
        Message::Stderr(text) => text.clone(),
    });
    lines.flat_map(|line| line.split('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn level_name(level: log::Level) -> &'static str {
    match level {
        log::Level::Debug => "DEBUG",
        log::Level::Notice => "NOTICE",
        log::Level::Warning => "WARNING",
        log::Level::Error => "ERROR",
        log::Level::Alert => "ALERT",
    }
}
