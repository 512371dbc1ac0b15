//! numpy arrays and element types: plain numbers and texts, little- or big-endian, C or Fortran order.

use super::node::{Id, Node, View};

/// Most dimensions of an array.
pub const MAX_DIMENSIONS: usize = 8;

/// Kind of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `f2` (not read as values), `f4`, `f8`.
    Float,
    /// `i1` to `i8`.
    Int,
    /// `u1` to `u8`.
    Uint,
    /// `b1`.
    Bool,
    /// `U`: UTF-32 texts padded with zeros.
    Text,
    /// `S`: bytes padded with zeros.
    Bytes,
    /// `O`: any values; they are listed, not stored as bytes.
    Object,
}

/// Element type of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DType {
    /// What an element is.
    pub kind: Kind,
    /// Bytes of one element.
    pub size: usize,
    /// Big-endian.
    pub big: bool,
}

impl DType {
    /// From numpy's short name without byte order (`f8`, `U20`, `b1`).
    pub fn parse(name: &str) -> Option<DType> {
        let (order, name) = match name.as_bytes().first()? {
            b'<' | b'=' | b'|' => (false, name.get(1..)?),
            b'>' => (true, name.get(1..)?),
            _ => (false, name),
        };
        let kind = match name.as_bytes().first()? {
            b'f' => Kind::Float,
            b'i' => Kind::Int,
            b'u' => Kind::Uint,
            b'b' => Kind::Bool,
            b'U' => Kind::Text,
            b'S' => Kind::Bytes,
            b'O' => Kind::Object,
            _ => return None,
        };
        let digits = name.get(1..)?;
        let count: usize = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let size = if kind == Kind::Text { count.checked_mul(4)? } else { count };
        let known = match kind {
            Kind::Float => matches!(size, 4 | 8),
            Kind::Int | Kind::Uint => matches!(size, 1 | 2 | 4 | 8),
            Kind::Bool => size == 1,
            Kind::Object => true,
            Kind::Text | Kind::Bytes => size <= 1 << 20,
        };
        known.then_some(DType { kind, size, big: order })
    }

    /// One element as a number.
    fn number(self, bytes: &[u8]) -> Option<f64> {
        let mut word = [0u8; 8];
        let word = word.get_mut(..self.size)?;
        word.copy_from_slice(bytes);
        if self.big {
            word.reverse();
        }
        Some(match (self.kind, word) {
            (Kind::Float, [a, b, c, d]) => f64::from(f32::from_le_bytes([*a, *b, *c, *d])),
            (Kind::Float, [a, b, c, d, e, f, g, h]) => f64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
            (Kind::Int, word) => integer(word, true) as f64,
            (Kind::Uint, word) => integer(word, false) as u64 as f64,
            (Kind::Bool, [b]) => f64::from(u8::from(*b != 0)),
            _ => return None,
        })
    }

    /// One element as a text.
    fn text(self, bytes: &[u8]) -> Option<String> {
        match self.kind {
            Kind::Text => {
                let word = |c: &[u8]| match c {
                    [a, b, c, d] if self.big => u32::from_be_bytes([*a, *b, *c, *d]),
                    [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
                    _ => 0,
                };
                let text: Option<String> = bytes.chunks(4).map(|c| char::from_u32(word(c))).collect();
                text.map(|text| text.trim_end_matches('\0').to_owned())
            }
            Kind::Bytes => std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0').to_owned()),
            _ => None,
        }
    }

    /// One element as a value of its own; `None` for kinds that a scalar does not have here.
    pub(super) fn scalar<'a>(self, bytes: &[u8]) -> Option<Node<'a>> {
        match self.kind {
            _ if bytes.len() != self.size => None,
            Kind::Float => Some(Node::Float(self.number(bytes)?)),
            Kind::Bool => Some(Node::Bool(self.number(bytes)? != 0.0)),
            Kind::Int | Kind::Uint => {
                let mut word = bytes.to_vec();
                if self.big {
                    word.reverse();
                }
                let value = integer(&word, self.kind == Kind::Int);
                (self.kind == Kind::Int || value >= 0).then_some(Node::Int(value))
            }
            Kind::Text | Kind::Bytes => Some(Node::Text(self.text(bytes)?.into())),
            Kind::Object => None,
        }
    }
}

/// Little-endian bytes, at most 8, as a number.
fn integer(word: &[u8], signed: bool) -> i64 {
    let negative = signed && word.last().is_some_and(|b| b & 0x80 != 0);
    let mut full = [if negative { 0xff } else { 0 }; 8];
    full.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
    i64::from_le_bytes(full)
}

/// An array: where its data is and how to read it. Shape and data agree: that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Element type.
    pub dtype: DType,
    /// Lengths of the dimensions.
    pub shape: Vec<usize>,
    /// Elements of the first dimension follow each other.
    pub(super) fortran: bool,
    /// Node with the bytes, or with the list of an object array.
    pub(super) data: Id,
}

impl Array {
    /// Number of elements.
    pub fn count(&self) -> usize {
        // The product was computed with checks when the array was made.
        self.shape.iter().product()
    }

    /// Position in the data of every element, row by row.
    fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let mut strides = vec![1usize; self.shape.len()];
        if self.fortran {
            for i in 1..strides.len() {
                strides[i] = strides[i - 1] * self.shape[i - 1];
            }
        } else {
            for i in (1..strides.len()).rev() {
                strides[i - 1] = strides[i] * self.shape[i];
            }
        }
        (0..self.count()).map(move |mut flat| {
            let mut position = 0;
            for (length, stride) in self.shape.iter().zip(&strides).rev() {
                position += flat % length * stride;
                flat /= length;
            }
            position
        })
    }

    fn elements<'p, T>(&self, view: View<'p, '_>, read: impl Fn(&'p [u8]) -> Option<T>) -> Option<Vec<T>> {
        let Node::Bytes(bytes) = view.other(self.data).node() else { return None };
        let element = |at: usize| bytes.get(at * self.dtype.size..(at + 1) * self.dtype.size);
        self.positions().map(|at| read(element(at)?)).collect()
    }

    pub(super) fn numbers(&self, view: View<'_, '_>) -> Option<Vec<f64>> {
        match self.dtype.kind {
            Kind::Object => self.objects(view)?.map(View::number).collect(),
            _ => self.elements(view, |bytes| self.dtype.number(bytes)),
        }
    }

    pub(super) fn texts(&self, view: View<'_, '_>) -> Option<Vec<String>> {
        match self.dtype.kind {
            Kind::Object => self.objects(view)?.map(|v| v.text().map(str::to_owned)).collect(),
            // An empty list becomes an array of floats in numpy.
            _ if self.count() == 0 => Some(Vec::new()),
            _ => self.elements(view, |bytes| self.dtype.text(bytes)),
        }
    }

    fn objects<'p, 'a>(&self, view: View<'p, 'a>) -> Option<impl Iterator<Item = View<'p, 'a>>> {
        (self.shape.len() <= 1).then(|| view.other(self.data).items())?
    }
}
