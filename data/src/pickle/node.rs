//! What a pickle holds: nodes that refer to each other by number, and a view to walk them.

use super::{
    allowed::Name,
    numpy::{Array, DType},
};
use std::borrow::Cow;

/// Number of a node.
pub type Id = u32;

/// One value. Texts and bytes are slices of the input where that is possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A set.
    Set(Vec<Id>),
    /// A dict, in the order of writing; a key that comes again counts as its last value.
    Dict(Vec<(Id, Id)>),
    /// A name of the list, before it is used.
    Name(Name),
    /// An object of one of the two classes and its attributes.
    Object(Name, Option<Id>),
    /// A numpy element type.
    DType(DType),
    /// A numpy array.
    Array(Array),
}

impl Node<'_> {
    /// As a message shows its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "a bool",
            Node::Int(_) => "a whole number",
            Node::Float(_) => "a float",
            Node::Text(_) => "a text",
            Node::Bytes(_) => "bytes",
            Node::List(_) => "a list",
            Node::Tuple(_) => "a tuple",
            Node::Set(_) => "a set",
            Node::Dict(_) => "a dict",
            Node::Name(_) => "a class or function",
            Node::Object(name, _) => name.shown(),
            Node::DType(_) => "a numpy type",
            Node::Array(_) => "a numpy array",
        }
    }
}

/// A pickle that was read.
#[derive(Debug, Clone)]
pub struct Pickle<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) root: Id,
}

impl<'a> Pickle<'a> {
    /// The outermost value.
    pub fn root(&self) -> View<'_, 'a> {
        View { pickle: self, id: self.root }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a pickle holds at least its root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// One value inside a pickle.
#[derive(Debug, Clone, Copy)]
pub struct View<'p, 'a> {
    pickle: &'p Pickle<'a>,
    id: Id,
}

impl<'p, 'a> View<'p, 'a> {
    fn at(self, id: Id) -> Self {
        View { id, ..self }
    }

    /// The node itself.
    pub fn node(self) -> &'p Node<'a> {
        // Ids are made by the machine for nodes that exist, and nodes are never removed.
        self.pickle.nodes.get(self.id as usize).unwrap_or(&Node::None)
    }

    /// Its type, for messages.
    pub fn kind(self) -> &'static str {
        self.node().kind()
    }

    /// Text.
    pub fn text(self) -> Option<&'p str> {
        if let Node::Text(text) = self.node() { Some(text) } else { None }
    }

    /// A number, bools not among them.
    pub fn number(self) -> Option<f64> {
        match self.node() {
            Node::Int(n) => Some(*n as f64),
            Node::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// A whole number, also one stored as a float.
    pub fn integer(self) -> Option<i64> {
        match self.node() {
            Node::Int(n) => Some(*n),
            Node::Float(x) if x.fract() == 0.0 && x.abs() < 9e15 => Some(*x as i64),
            _ => None,
        }
    }

    /// A bool, also one stored as 0 or 1.
    pub fn truth(self) -> Option<bool> {
        match self.node() {
            Node::Bool(b) => Some(*b),
            Node::Int(n @ (0 | 1)) => Some(*n == 1),
            _ => None,
        }
    }

    /// Elements of a list, tuple or set.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = View<'p, 'a>>> {
        match self.node() {
            Node::List(ids) | Node::Tuple(ids) | Node::Set(ids) => Some(ids.iter().map(move |id| self.at(*id))),
            _ => None,
        }
    }

    /// Keys and values of a dict, or attributes of an object.
    pub fn entries(self) -> Option<impl ExactSizeIterator<Item = (View<'p, 'a>, View<'p, 'a>)>> {
        let node = match self.node() {
            Node::Object(_, Some(state)) => self.at(*state).node(),
            node => node,
        };
        let Node::Dict(entries) = node else { return None };
        Some(entries.iter().map(move |(key, value)| (self.at(*key), self.at(*value))))
    }

    /// The value of a text key or of an attribute.
    pub fn get(self, key: &str) -> Option<View<'p, 'a>> {
        // The last one counts, as in Python.
        self.entries()?.filter(|(k, _)| k.text() == Some(key)).last().map(|(_, value)| value)
    }

    /// An array.
    pub fn array(self) -> Option<&'p Array> {
        if let Node::Array(array) = self.node() { Some(array) } else { None }
    }

    /// Numbers of an array of any shape, row by row.
    pub fn array_numbers(self) -> Option<Vec<f64>> {
        self.array()?.numbers(self)
    }

    /// Texts: a list or tuple of them, or an array.
    pub fn texts(self) -> Option<Vec<String>> {
        if let Some(items) = self.items() {
            return items.map(|item| item.text().map(str::to_owned)).collect();
        }
        self.array()?.texts(self)
    }

    /// Numbers: a list or tuple of them, or an array.
    pub fn numbers(self) -> Option<Vec<f64>> {
        match self.items() {
            Some(items) => items.map(View::number).collect(),
            None => self.array_numbers(),
        }
    }

    /// Another node of the same pickle.
    pub(super) fn other(self, id: Id) -> Self {
        self.at(id)
    }
}
