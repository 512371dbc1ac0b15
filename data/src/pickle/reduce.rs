//! What calls and states mean: the rules behind the names of `allowed`.

use super::{
    allowed::Name,
    error::PickleError,
    machine::Machine,
    node::{Id, Node},
    numpy::{Array, DType, Kind, MAX_DIMENSIONS},
};

type Result<T> = std::result::Result<T, PickleError>;

impl<'a> Machine<'a> {
    fn node(&self, id: Option<&Id>) -> &Node<'a> {
        id.and_then(|id| self.nodes.get(*id as usize)).unwrap_or(&Node::None)
    }

    fn bad(&self, name: Name, args: &[Id], expected: &'static str) -> PickleError {
        let found: Vec<&str> = args.iter().take(8).map(|id| self.node(Some(id)).kind()).collect();
        let found = if found.is_empty() { "nothing".into() } else { found.join(", ") };
        PickleError::BadCall { at: self.at, name: name.shown(), found, expected }
    }

    /// What a call makes.
    pub(super) fn reduce(&mut self, name: Name, args: &[Id]) -> Result<Node<'a>> {
        let ([first, second, ..], n) = ([args.first(), args.get(1), args.get(2)], args.len());
        match (name, self.node(first), self.node(second)) {
            (Name::Reconstruct, Node::Name(Name::NdArray), _) if n == 3 => Ok(Node::Object(Name::NdArray, None)),
            (Name::Reconstruct, ..) => Err(self.bad(name, args, "numpy.ndarray, a shape and a type code")),
            (Name::FromBuffer, Node::Bytes(_), Node::DType(dtype)) if n == 4 => {
                let fortran = matches!(self.node(args.get(3)), Node::Text(order) if order == "F");
                self.array(*dtype, args.get(2), fortran, first)
            }
            (Name::FromBuffer, ..) => Err(self.bad(name, args, "bytes, a numpy type, a shape and an order")),
            (Name::Scalar, Node::DType(dtype), Node::Bytes(bytes)) if n == 2 => {
                let scalar = dtype.scalar(bytes).ok_or_else(|| self.bad(name, args, "a plain type and its bytes"))?;
                self.charge(dtype.size)?;
                Ok(scalar)
            }
            (Name::Scalar, ..) => Err(self.bad(name, args, "a plain numpy type and its bytes")),
            (Name::DType, Node::Text(short), _) => match DType::parse(short) {
                Some(dtype) => Ok(Node::DType(dtype)),
                None => {
                    let found = short.chars().filter(|c| !c.is_control()).take(40).collect();
                    Err(PickleError::DType { at: self.at, found })
                }
            },
            (Name::DType, ..) => Err(self.bad(name, args, "the short name of a type")),
            (Name::Encode, Node::Text(text), Node::Text(codec)) if n == 2 && is_latin(codec) => {
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                let bytes = bytes.ok_or_else(|| self.bad(name, args, "a text of characters up to 255"))?;
                self.charge(bytes.len())?;
                Ok(Node::Bytes(bytes.into()))
            }
            (Name::Encode, ..) => Err(self.bad(name, args, "a text and 'latin1'")),
            (Name::Bytes | Name::ByteArray, ..) if n == 0 => Ok(Node::Bytes(Vec::new().into())),
            (Name::Bytes | Name::ByteArray, Node::Bytes(bytes), _) if n == 1 => {
                let bytes = bytes.clone();
                self.charge(bytes.len())?;
                Ok(Node::Bytes(bytes))
            }
            (Name::Bytes | Name::ByteArray, ..) => Err(self.bad(name, args, "nothing or bytes")),
            (Name::Reconstructor, Node::Name(class @ (Name::Trajectory | Name::TrajectorySampling)), _) if n == 3 => {
                Ok(Node::Object(*class, None))
            }
            (Name::Reconstructor, ..) => Err(self.bad(name, args, "a NAVSIM class, object and None")),
            (Name::List | Name::Tuple | Name::Set, ..) if n < 2 => {
                let items = match self.node(first) {
                    Node::List(items) | Node::Tuple(items) | Node::Set(items) => items.clone(),
                    _ if n == 0 => Vec::new(),
                    _ => return Err(self.bad(name, args, "nothing or a list")),
                };
                self.charge(4 * items.len())?;
                Ok(match name {
                    Name::List => Node::List(items),
                    Name::Tuple => Node::Tuple(items),
                    _ => Node::Set(items),
                })
            }
            (Name::Dict, Node::List(rows), _) if n == 1 => self.pairs_of(name, args, &rows.clone()),
            (Name::Dict, ..) if n == 0 => Ok(Node::Dict(Vec::new())),
            (Name::DefaultDict, Node::Name(_) | Node::None, _) if n < 2 => Ok(Node::Dict(Vec::new())),
            (Name::Path, ..) => self.path(name, args),
            (Name::Trajectory | Name::TrajectorySampling, ..) if n == 0 => Ok(Node::Object(name, None)),
            _ => Err(self.bad(name, args, "other arguments")),
        }
    }

    fn pairs_of(&mut self, name: Name, args: &[Id], rows: &[Id]) -> Result<Node<'a>> {
        self.charge(8 * rows.len())?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            match self.node(Some(row)) {
                Node::List(pair) | Node::Tuple(pair) if pair.len() == 2 => {
                    entries.extend(pair.first().copied().zip(pair.get(1).copied()));
                }
                _ => return Err(self.bad(name, args, "a list of pairs")),
            }
        }
        Ok(Node::Dict(entries))
    }

    fn path(&mut self, name: Name, args: &[Id]) -> Result<Node<'a>> {
        let parts: Option<Vec<&str>> =
            args.iter().map(|id| if let Node::Text(t) = self.node(Some(id)) { Some(&**t) } else { None }).collect();
        let parts = parts.ok_or_else(|| self.bad(name, args, "texts"))?;
        let length: usize = parts.iter().map(|part| part.len() + 1).sum();
        let joined = if length > 4096 { None } else { Some(parts.join("/").replacen("//", "/", 1)) };
        let joined = joined.ok_or_else(|| self.bad(name, args, "a path of at most 4096 bytes"))?;
        self.charge(length)?;
        Ok(Node::Text(joined.into()))
    }

    /// BUILD: the state of an object.
    pub(super) fn build(&mut self) -> Result<()> {
        let state = self.pop("BUILD")?;
        let target = self.top("BUILD")?;
        let built = match (self.node(Some(&target)), self.node(Some(&state))) {
            (Node::Object(Name::NdArray, _), Node::Tuple(parts)) => {
                let parts: Vec<Id> = parts.iter().take(5).copied().collect();
                let [_, shape, dtype, order, data] = parts[..] else {
                    return Err(self.bad(Name::NdArray, &parts, "version, shape, type, order and data"));
                };
                let (Node::DType(dtype), Node::Bool(fortran)) = (self.node(Some(&dtype)), self.node(Some(&order)))
                else {
                    return Err(self.bad(Name::NdArray, &parts, "version, shape, type, order and data"));
                };
                self.array(*dtype, Some(&shape), *fortran, Some(&data))?
            }
            (Node::DType(dtype), Node::Tuple(parts)) => {
                let big = matches!(self.node(parts.get(1)), Node::Text(order) if order == ">");
                if !matches!(self.node(parts.get(2)), Node::None) || !matches!(self.node(parts.get(3)), Node::None) {
                    return Err(PickleError::DType { at: self.at, found: "a record or an array".into() });
                }
                let size = match self.node(parts.get(5)) {
                    Node::Int(n) if matches!(dtype.kind, Kind::Text | Kind::Bytes) => {
                        let size = usize::try_from(*n).ok().filter(|n| *n <= 1 << 20);
                        size.ok_or(PickleError::DType { at: self.at, found: format!("a text of {n} bytes") })?
                    }
                    _ => dtype.size,
                };
                Node::DType(DType { big, size, ..*dtype })
            }
            (Node::Object(class, _), Node::Dict(_)) => Node::Object(*class, Some(state)),
            // OrderedDict and the like carry attributes that mean nothing here.
            (Node::Dict(_) | Node::List(_) | Node::Set(_), Node::Dict(_)) => return Ok(()),
            (other, _) => {
                let found = other.kind();
                let expected = "an object and its attributes";
                return Err(PickleError::WrongOperand { at: self.at, opcode: "BUILD", expected, found });
            }
        };
        if let Some(node) = self.nodes.get_mut(target as usize) {
            *node = built;
        }
        Ok(())
    }

    /// An array whose shape and data agree.
    fn array(&self, dtype: DType, shape: Option<&Id>, fortran: bool, data: Option<&Id>) -> Result<Node<'a>> {
        let at = self.at;
        let lengths = match self.node(shape) {
            Node::Tuple(ids) if ids.len() > MAX_DIMENSIONS => {
                return Err(PickleError::Dimensions { at, found: ids.len(), limit: MAX_DIMENSIONS });
            }
            Node::Tuple(ids) => ids.iter().map(|id| self.length(id)).collect(),
            _ => self.length(shape.unwrap_or(&0)).map(|n| vec![n]),
        };
        let Some(lengths): Option<Vec<usize>> = lengths else {
            let found = self.node(shape).kind();
            return Err(PickleError::WrongOperand { at, opcode: "a numpy shape", expected: "whole numbers", found });
        };
        let size = |found: usize| PickleError::ArraySize { at, shape: format!("{lengths:?}"), item: dtype.size, found };
        // Strides are products of lengths, so these must not overflow either where one of them is 0.
        let span = lengths.iter().try_fold(dtype.size.max(1), |product, n| product.checked_mul((*n).max(1)));
        let (Some(_), count) = (span, lengths.iter().fold(1usize, |product, n| product.wrapping_mul(*n))) else {
            return Err(size(0));
        };
        match (dtype.kind, self.node(data)) {
            (Kind::Object, Node::List(items)) if items.len() == count => {}
            (Kind::Object, Node::List(items)) => return Err(size(items.len())),
            (kind, Node::Bytes(bytes)) if kind != Kind::Object => {
                if count.checked_mul(dtype.size) != Some(bytes.len()) || (dtype.size == 0 && count > 0) {
                    return Err(size(bytes.len()));
                }
            }
            (_, other) => {
                let found = other.kind();
                return Err(PickleError::WrongOperand { at, opcode: "a numpy array", expected: "its data", found });
            }
        }
        Ok(Node::Array(Array { dtype, shape: lengths, fortran, data: data.copied().unwrap_or_default() }))
    }

    fn length(&self, id: &Id) -> Option<usize> {
        if let Node::Int(n) = self.node(Some(id)) { usize::try_from(*n).ok() } else { None }
    }
}

fn is_latin(codec: &str) -> bool {
    matches!(codec, "latin1" | "latin-1" | "iso-8859-1")
}

/// INT, LONG and FLOAT of protocol 0: a line of text.
pub(super) fn number_line<'a>(code: u8, at: usize, line: &str) -> Result<Node<'a>> {
    let bad = |expected| PickleError::BadNumber { at, found: line.chars().take(40).collect(), expected };
    let text = line.trim();
    match (code, text) {
        (b'I', "00") => Ok(Node::Bool(false)),
        (b'I', "01") => Ok(Node::Bool(true)),
        (b'F', _) => text.parse().map(Node::Float).map_err(|_| bad("a float")),
        _ => text.trim_end_matches('L').parse().map(Node::Int).map_err(|_| bad("a whole number of 64 bits")),
    }
}

/// STRING of protocol 0: quoted, with Python's escapes.
pub(super) fn unquoted(at: usize, line: &[u8]) -> Result<Vec<u8>> {
    let bad = |reason| PickleError::BadQuote { at, reason };
    let line = line.trim_ascii();
    let inner = match line {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err(bad("no quotes around it")),
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(c @ (b'\\' | b'\'' | b'"')) => c,
            Some(b'x') => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                let value = high.zip(low).map(|(high, low)| high * 16 + low).and_then(|v| u8::try_from(v).ok());
                value.ok_or_else(|| bad("\\x without two hexadecimal digits"))?
            }
            _ => return Err(bad("an unknown escape")),
        });
    }
    Ok(out)
}

/// UNICODE of protocol 0: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
pub(super) fn raw_unicode(at: usize, line: &[u8]) -> Result<String> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((byte, after)) = rest.split_first() {
        let digits = match after.first() {
            Some(b'u') if *byte == b'\\' => 4,
            Some(b'U') if *byte == b'\\' => 8,
            _ => {
                out.push(char::from(*byte));
                rest = after;
                continue;
            }
        };
        let code = after.get(1..=digits).and_then(|hex| std::str::from_utf8(hex).ok());
        let code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        out.push(code.ok_or(PickleError::BadQuote { at, reason: "\\u without hexadecimal digits" })?);
        rest = after.get(1 + digits..).unwrap_or_default();
    }
    Ok(out)
}
