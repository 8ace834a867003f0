//! The elements of an XML file.

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    /// Its name: `section`.
    pub(super) tag: String,
    /// Its attribute `name`.
    pub(super) name: Option<String>,
    /// Where it begins.
    pub(super) line: u32,
    /// What it holds.
    pub(super) nodes: Vec<Node>,
}

/// Something in an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Another element.
    Element(Element),
    /// Text, with its references put in.
    Text(String),
    /// A comment, a processing instruction or a CDATA section: nothing that counts as text.
    Other,
}

impl Element {
    /// The elements in it.
    pub(super) fn elements(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// As it is written: `<value name="pm">`.
    pub(super) fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("<{} name=\"{name}\">", self.tag),
            None => format!("<{}>", self.tag),
        }
    }
}
