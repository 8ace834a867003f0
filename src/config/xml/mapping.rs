//! The tree of an XML file to the statements of the ini file that says the same.

use super::super::options::LoadOptions;
use super::super::paths::Prefixes;
use super::element::{Element, Node};
use super::fault::Fault;
use super::pool::{self, Names};
use super::schema::{GLOBAL, POOL};
use super::section::Section;
use super::statement::{Line, entries};
use crate::config::directives::GLOBAL_DIRECTIVES;

/// A whole file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) lines: Vec<Line>,
    /// Notes about unusual settings that are not errors.
    pub(super) remarks: Vec<Fault>,
}

/// The error log of a file that names none, below PHP's prefix.
const ERROR_LOG: &str = "logs/php-fpm.log";

/// Maps a tree.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn map(root: &Element, options: &LoadOptions, prefixes: &Prefixes) -> Result<Mapped, Fault> {
    if root.tag != "configuration" {
        let text = format!("the outermost element is <{}>", root.tag);
        return Err(Fault::new(root.line, text).hint("it must be <configuration>"));
    }
    let mut walk = Walk { prefixes, global: Section::default(), pools: Vec::new() };
    walk.configuration(root)?;
    let Walk { mut global, pools, .. } = walk;
    let mut mapped = Mapped { lines: global_lines(&global, root.line, prefixes), remarks: Vec::new() };
    mapped.remarks.append(&mut global.remarks);
    if pools.is_empty() {
        let text = "at least one pool section must be specified in config file";
        return Err(Fault::new(root.line, text).hint("write <workers><section name=\"pool\">…</section></workers>"));
    }
    let mut names = Names::default();
    let mut listens = false;
    for (line, mut section) in pools {
        let lines = pool::lines(line, &mut section, options, &mut names);
        mapped.remarks.append(&mut section.remarks);
        if let Some(mut lines) = lines? {
            mapped.lines.append(&mut lines);
            listens = true;
        }
    }
    if !listens {
        return Err(Fault::new(root.line, "no pool has a listen_address")
            .hint("write <value name=\"listen_address\">127.0.0.1:9000</value> into a pool"));
    }
    mapped.remarks.sort_by_key(|remark| remark.line);
    Ok(mapped)
}

struct Walk<'a> {
    prefixes: &'a Prefixes,
    global: Section,
    /// Each with the line where it begins.
    pools: Vec<(u32, Section)>,
}

impl Walk<'_> {
    fn configuration(&mut self, root: &Element) -> Result<(), Fault> {
        for child in root.elements() {
            match (child.tag.as_str(), child.name.as_deref()) {
                ("section", Some("global_options")) => self.global.read(child, GLOBAL, self.prefixes)?,
                ("section", Some("pool")) => {
                    return Err(Fault::new(child.line, "a pool stands outside of <workers>")
                        .hint("put <workers> and </workers> around the pools"));
                }
                ("workers", _) => self.workers(child)?,
                _ => self.other(child)?,
            }
        }
        Ok(())
    }

    fn workers(&mut self, workers: &Element) -> Result<(), Fault> {
        for child in workers.elements() {
            match (child.tag.as_str(), child.name.as_deref()) {
                ("section", Some("pool")) => {
                    let mut pool = Section::default();
                    pool.read(child, POOL, self.prefixes)?;
                    self.pools.push((child.line, pool));
                }
                ("section", Some("global_options")) => {
                    return Err(Fault::new(child.line, "global_options stand within <workers>")
                        .hint("put them between <configuration> and <workers>"));
                }
                ("workers", _) => {
                    return Err(Fault::new(child.line, "<workers> must not stand within <workers>")
                        .hint(format!("close <workers> of line {} before it", workers.line)));
                }
                _ => self.other(child)?,
            }
        }
        Ok(())
    }

    /// Settings without a directive: an error if they would be lost, otherwise a note.
    fn other(&mut self, element: &Element) -> Result<(), Fault> {
        let settings = |node: &Node| matches!(node, Node::Element(inner) if inner.tag == "value");
        match element.tag.as_str() {
            "value" => Err(Fault::new(element.line, format!("{} stands in no section", element.shown()))
                .hint("settings belong into <section name=\"global_options\"> or <section name=\"pool\">")),
            "section" => {
                let text = format!("unknown section {} is left out", element.shown());
                self.global.remarks.push(Fault::new(element.line, text));
                Ok(())
            }
            tag if element.nodes.iter().any(settings) => {
                let text = format!("the settings in <{tag}> are in no section");
                Err(Fault::new(element.line, text).hint("write <section name=\"…\">"))
            }
            tag => {
                self.global.remarks.push(Fault::new(element.line, format!("unknown element <{tag}> is left out")));
                Ok(())
            }
        }
    }
}

fn global_lines(global: &Section, line: u32, prefixes: &Prefixes) -> Vec<Line> {
    let mut lines = vec![Line::section(line, "global"), Line::entry(line, "log_format", "classic")];
    if global.text("error_log").is_none() {
        lines.push(Line::entry(line, "error_log", prefixes.global_path(ERROR_LOG)));
    }
    if global.text("daemonize").is_none() {
        lines.push(Line::entry(line, "daemonize", "no"));
    }
    lines.extend(entries(global, GLOBAL_DIRECTIVES));
    lines
}
