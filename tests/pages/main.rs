//! The documentation is true: these tests run its samples, tables and commands unchanged.
#![forbid(unsafe_code)]

mod configuration;
mod migration;
mod monitoring;
mod operations;
mod samples;
mod scripts;
mod security;
mod shared_hosting;

use std::fs;
use std::path::Path;

use testkit::Outcome;

/// A file of the source.
fn source(path: &str) -> Outcome<String> {
    Ok(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))?)
}

/// The code blocks of one language in a page.
fn blocks(page: &str, language: &str) -> Outcome<Vec<String>> {
    let (page, fence) = (source(page)?, format!("\n```{language}\n"));
    let blocks = page.split(&fence).skip(1).filter_map(|rest| rest.split_once("```").map(|(block, _)| block));
    Ok(blocks.map(str::to_owned).collect())
}
