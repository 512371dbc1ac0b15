//! XML of the formats that have it: safe parsing, numbers, and where in the file something stands.
//!
//! Document type definitions are refused, so entities cannot expand, and the number of nodes is bounded; the parser does
//! not recurse.

use super::geometry::P;
use super::{ImportError, cap};
use roxmltree::{Document, Node, ParsingOptions};

/// Most nodes of a file, text between elements included.
const MAX_NODES: u32 = 4_000_000;

/// Parses a file whose root element must have this name.
pub(super) fn parse<'a>(format: &'static str, bytes: &'a [u8], root: &str) -> Result<Document<'a>, ImportError> {
    cap(bytes)?;
    let failed = |what: String| ImportError::Xml { format, what };
    let text = std::str::from_utf8(bytes).map_err(|e| failed(e.to_string()))?;
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| failed(e.to_string()))?;
    let name = document.root_element().tag_name().name();
    if name != root {
        return Err(ImportError::value("the root element", name, root));
    }
    Ok(document)
}

/// The child elements of this name.
pub(super) fn children<'a, 'i: 'a>(node: Node<'a, 'i>, name: &'a str) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    node.children().filter(move |c| c.is_element() && c.tag_name().name() == name)
}

/// The first child element of this name.
pub(super) fn child<'a, 'i: 'a>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|c| c.is_element() && c.tag_name().name() == name)
}

/// The first child element of this name, which must be there.
pub(super) fn need<'a, 'i: 'a>(node: Node<'a, 'i>, name: &str) -> Result<Node<'a, 'i>, ImportError> {
    child(node, name).ok_or_else(|| ImportError::missing(format!("{}.{name}", place(node))))
}

/// An attribute that must be there.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, ImportError> {
    node.attribute(name).ok_or_else(|| ImportError::missing(format!("{}.{name}", place(node))))
}

/// A numeric attribute that must be there.
pub(super) fn attribute_number(node: Node, name: &str) -> Result<f64, ImportError> {
    finite(attribute(node, name)?).ok_or_else(|| not_finite(format!("{}.{name}", place(node)), attribute(node, name)))
}

/// A numeric attribute, or a value where there is none.
pub(super) fn attribute_or(node: Node, name: &str, without: f64) -> Result<f64, ImportError> {
    if node.has_attribute(name) { attribute_number(node, name) } else { Ok(without) }
}

/// The text of an element, without space around it.
pub(super) fn text<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

/// The number in an element.
pub(super) fn number(node: Node) -> Result<f64, ImportError> {
    finite(text(node)).ok_or_else(|| not_finite(place(node), Ok(text(node))))
}

/// `<x>` and `<y>` of an element.
pub(super) fn point(node: Node) -> Result<P, ImportError> {
    Ok([number(need(node, "x")?)?, number(need(node, "y")?)?])
}

/// A finite number, or nothing.
pub(super) fn finite(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|v| v.is_finite())
}

fn not_finite(at: String, text: Result<&str, ImportError>) -> ImportError {
    let shown: String = text.unwrap_or_default().chars().take(60).collect();
    ImportError::value(at, format!("`{shown}`"), "a finite number")
}

/// Where an element stands, for errors: `lanelet[31].leftBound.point[3].x`; in brackets an id or a position among equals.
pub(super) fn place(node: Node) -> String {
    let mut parts: Vec<String> = Vec::new();
    for n in node.ancestors().filter(|n| n.is_element() && n.parent_element().is_some()) {
        let name = n.tag_name().name();
        let equals = |m: &Node| m.is_element() && m.tag_name().name() == name;
        let part = match n.attribute("id") {
            Some(id) => format!("{name}[{}]", id.chars().take(40).collect::<String>()),
            None => match n.prev_siblings().skip(1).filter(equals).count() {
                0 if !n.next_siblings().skip(1).any(|m| equals(&m)) => name.to_owned(),
                k => format!("{name}[{k}]"),
            },
        };
        parts.push(part);
    }
    parts.reverse();
    if parts.is_empty() { node.tag_name().name().to_owned() } else { parts.join(".") }
}
