//! Converts the tree of an XML file to the statements of an ini file.

use super::super::options::LoadOptions;
use super::super::paths::Prefixes;
use super::element::{Element, Node};
use super::fault::Fault;
use super::pool::{self, Names};
use super::schema::{GLOBAL, POOL};
use super::section::Section;
use super::statement::{Line, entries};
use crate::config::directives::GLOBAL_DIRECTIVES;
use crate::log::messages::config_xml::XmlError;

/// A whole file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) lines: Vec<Line>,
    /// What is odd but not wrong.
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
        let error = XmlError::OutermostElement { tag: root.tag.clone() };
        return Err(Fault::new(root.line, error).hint("it must be <configuration>"));
    }
    let mut walk = Walk { prefixes, global: Section::default(), pools: Vec::new() };
    walk.configuration(root)?;
    let Walk { mut global, pools, .. } = walk;
    let mut mapped = Mapped { lines: global_lines(&global, root.line, prefixes), remarks: Vec::new() };
    mapped.remarks.append(&mut global.remarks);
    if pools.is_empty() {
        return Err(
            Fault::new(root.line, XmlError::NoPool).hint("write <workers><section name=\"pool\">…</section></workers>")
        );
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
        return Err(Fault::new(root.line, XmlError::NoAddress)
            .hint("write <value name=\"listen_address\">127.0.0.1:9000</value> into a pool"));
    }
    mapped.remarks.sort_by_key(|remark| remark.line);
    Ok(mapped)
}

struct Walk<'a> {
    prefixes: &'a Prefixes,
    global: Section,
    /// Each with the line where it starts.
    pools: Vec<(u32, Section)>,
}

impl Walk<'_> {
    fn configuration(&mut self, root: &Element) -> Result<(), Fault> {
        for child in root.elements() {
            match (child.tag.as_str(), child.name.as_deref()) {
                ("section", Some("global_options")) => self.global.read(child, GLOBAL, self.prefixes)?,
                ("section", Some("pool")) => {
                    return Err(Fault::new(child.line, XmlError::PoolOutside)
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
                    return Err(Fault::new(child.line, XmlError::GlobalInside)
                        .hint("put them between <configuration> and <workers>"));
                }
                ("workers", _) => {
                    return Err(Fault::new(
                        child.line,
                        XmlError::Nested { inner: child.shown(), outer: workers.shown() },
                    )
                    .hint(format!("close <workers> of line {} before it", workers.line)));
                }
                _ => self.other(child)?,
            }
        }
        Ok(())
    }

    /// An element in the wrong place. If settings would be lost, it is an error, else a remark.
    fn other(&mut self, element: &Element) -> Result<(), Fault> {
        let settings = |node: &Node| matches!(node, Node::Element(inner) if inner.tag == "value");
        match element.tag.as_str() {
            "value" => Err(Fault::new(element.line, XmlError::NoSection { element: element.shown() })
                .hint("settings belong in <section name=\"global_options\"> or <section name=\"pool\">")),
            "section" => {
                let error = XmlError::UnknownSection { element: element.shown() };
                self.global.remarks.push(Fault::new(element.line, error));
                Ok(())
            }
            tag if element.nodes.iter().any(settings) => {
                let error = XmlError::SettingsNowhere { tag: tag.to_owned() };
                Err(Fault::new(element.line, error).hint("write <section name=\"…\">"))
            }
            tag => {
                self.global.remarks.push(Fault::new(element.line, XmlError::UnknownElement { tag: tag.to_owned() }));
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
