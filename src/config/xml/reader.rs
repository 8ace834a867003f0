//! Text to a tree of elements, with the line of each. Elements must be closed in order; a DTD, entities and inclusion are
//! refused.

use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::element::{Element, Node};
use super::fault::Fault;
use crate::log::messages::config_xml::XmlError;

/// How deep elements may be nested; the format needs six levels.
const MAX_DEPTH: usize = 16;

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";

/// Returns the outermost element of a text.
///
/// # Errors
/// The first mistake.
pub(super) fn read(bytes: &[u8]) -> Result<Element, Fault> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = Lines::of(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Fault::new(lines.at(error.valid_up_to()), XmlError::NotUtf8)
            .hint("the file must be UTF-8; convert it with iconv -f ISO-8859-1 -t UTF-8")
    })?;
    if let Some(at) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(Fault::new(lines.at(at), XmlError::ControlCharacter));
    }
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    // Our own message about an element that is not closed says more.
    (config.check_end_names, config.allow_unmatched_ends, config.check_comments) = (false, true, true);
    let mut tree = Tree { open: Vec::new(), root: None };
    loop {
        let start = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let line = lines.at(start);
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(_) if text.get(start..).is_some_and(|rest| rest.starts_with("<!DOCTYPE")) => return Err(doctype(line)),
            Err(error) => {
                let at = usize::try_from(reader.error_position()).unwrap_or(start);
                return Err(not_well_formed(lines.at(at), &error));
            }
        };
        if matches!(event, Event::Eof) {
            return tree.end(line);
        }
        tree.take(event, line)?;
    }
}

/// The ends of the lines of a text.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &[u8]) -> Self {
        let newlines = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        Self(newlines.map(|(at, _)| at).collect())
    }

    /// The number of the line that a byte is in.
    fn at(&self, byte: usize) -> u32 {
        u32::try_from(self.0.partition_point(|newline| *newline < byte) + 1).unwrap_or(u32::MAX)
    }
}

/// What has been read.
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<(), Fault> {
        match event {
            Event::Start(start) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(Fault::new(line, XmlError::TooDeep { limit: MAX_DEPTH }));
                }
                self.begins(&start, line).map(|element| self.open.push(element))
            }
            Event::Empty(start) => {
                let element = self.begins(&start, line)?;
                self.add(Node::Element(element));
                Ok(())
            }
            Event::End(end) => self.close(end.name().as_ref(), line),
            Event::Text(text) => self.text(&text.xml10_content(), line),
            Event::GeneralRef(reference) => self.text(&referred(&reference, line)?, line),
            Event::CData(_) if self.open.is_empty() => Err(outside(line)),
            Event::CData(_) | Event::Comment(_) | Event::PI(_) => {
                self.add(Node::Other);
                Ok(())
            }
            Event::Decl(declaration) => declared(&declaration, line),
            Event::DocType(_) => Err(doctype(line)),
            Event::Eof => Ok(()),
        }
    }

    fn begins(&self, start: &BytesStart<'_>, line: u32) -> Result<Element, Fault> {
        let tag = start.name().as_ref().to_owned();
        let mut name = None;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| {
                Fault::new(line, XmlError::BadElement { tag: tag.clone(), reason: error.to_string() })
            })?;
            let key = attribute.key.as_ref();
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| {
                let (key, tag, reason) = (key.to_owned(), tag.clone(), error.to_string());
                Fault::new(line, XmlError::BadAttribute { key, tag, reason }).hint(ENTITIES)
            })?;
            if value == XINCLUDE {
                return Err(inclusion(line));
            }
            if key == "name" {
                name = Some(value.into_owned());
            }
        }
        if tag.starts_with("xi:") || tag == "XInclude" {
            return Err(inclusion(line));
        }
        if tag.is_empty() {
            return Err(Fault::new(line, XmlError::NoTag));
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(Fault::new(line, XmlError::AfterEnd { tag }));
        }
        Ok(Element { tag, name, line, nodes: Vec::new() })
    }

    fn close(&mut self, tag: &str, line: u32) -> Result<(), Fault> {
        let Some(element) = self.open.pop() else {
            return Err(Fault::new(line, XmlError::ClosesNothing { tag: tag.to_owned() }));
        };
        if element.tag != tag {
            let error = XmlError::WrongEnd { tag: tag.to_owned(), open: element.shown(), at: element.line };
            return Err(Fault::new(line, error).hint(format!("write </{}> before it", element.tag)));
        }
        self.add(Node::Element(element));
        Ok(())
    }

    fn add(&mut self, node: Node) {
        match (self.open.last_mut(), node) {
            (Some(element), node) => element.nodes.push(node),
            (None, Node::Element(element)) => self.root = Some(element),
            (None, _) => {}
        }
    }

    fn text(&mut self, text: &str, line: u32) -> Result<(), Fault> {
        let Some(element) = self.open.last_mut() else {
            let Some(at) = text.find(|c: char| !c.is_whitespace()) else { return Ok(()) };
            let before = text[..at].bytes().filter(|byte| *byte == b'\n').count();
            return Err(outside(line.saturating_add(u32::try_from(before).unwrap_or(0))));
        };
        match element.nodes.last_mut() {
            Some(Node::Text(before)) => before.push_str(text),
            _ => element.nodes.push(Node::Text(text.to_owned())),
        }
        Ok(())
    }

    fn end(mut self, line: u32) -> Result<Element, Fault> {
        if let Some(element) = self.open.pop() {
            let error = XmlError::NotClosed { open: element.shown(), at: element.line };
            return Err(Fault::new(line, error).hint(format!("</{}> is missing", element.tag)));
        }
        self.root.ok_or_else(|| Fault::new(line, XmlError::NoElement))
    }
}

const ENTITIES: &str =
    "references are &lt; &gt; &amp; &quot; &apos; and numbers such as &#228;; write &amp; for an & that is text";

fn referred(reference: &BytesRef<'_>, line: u32) -> Result<String, Fault> {
    let name: &str = reference;
    if let Some(text) = resolve_predefined_entity(name) {
        return Ok(text.to_owned());
    }
    match reference.resolve_char_ref() {
        Ok(Some(c)) if !c.is_control() || matches!(c, '\n' | '\r' | '\t') => Ok(c.to_string()),
        _ => Err(Fault::new(line, XmlError::UnknownEntity { name: name.to_owned() }).hint(ENTITIES)),
    }
}

fn declared(declaration: &BytesDecl<'_>, line: u32) -> Result<(), Fault> {
    let Some(Ok(encoding)) = declaration.encoding() else { return Ok(()) };
    if ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let hint = format!("convert with iconv -f {encoding} -t UTF-8, and write encoding=\"UTF-8\" on this line");
    Err(Fault::new(line, XmlError::Encoding { name: encoding.into() }).hint(hint))
}

fn doctype(line: u32) -> Fault {
    Fault::new(line, XmlError::Doctype).hint("remove the DOCTYPE, and write the texts that its entities stand for")
}

fn inclusion(line: u32) -> Fault {
    Fault::new(line, XmlError::Inclusion)
        .hint("insert the content of the other file here, or convert to ini (--convert) and use include")
}

fn outside(line: u32) -> Fault {
    Fault::new(line, XmlError::TextOutside)
        .hint("free text may be anywhere between <configuration> and </configuration>")
}

fn not_well_formed(line: u32, error: &Error) -> Fault {
    let fault = Fault::new(line, XmlError::NotWellFormed { reason: sentence(&error.to_string()).to_owned() });
    match error {
        Error::IllFormed(IllFormedError::UnclosedReference) => fault.hint(ENTITIES),
        Error::IllFormed(IllFormedError::DoubleHyphenInComment) => fault.hint("a comment must not contain --"),
        Error::Syntax(SyntaxError::UnclosedTag) => fault.hint("write &lt; for a < that is text"),
        Error::Syntax(SyntaxError::UnclosedComment) => fault.hint("--> is missing"),
        _ => fault,
    }
}

/// The message of quick-xml without the prefix that names the kind of error.
fn sentence(text: &str) -> &str {
    ["syntax error: ", "ill-formed document: "].iter().find_map(|heading| text.strip_prefix(heading)).unwrap_or(text)
}
