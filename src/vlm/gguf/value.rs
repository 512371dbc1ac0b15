//! Metadata values of a GGUF file. Texts and arrays stay in the file, as byte ranges that the header walk has checked,
//! so a hostile file cannot make a small header large in memory.

use std::ops::Range;

/// Types of scalars, by their number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ScalarType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    U64,
    I64,
    F64,
}

impl ScalarType {
    /// The type of a number in the file; texts (8) and arrays (9) are none.
    pub fn of_id(id: u32) -> Option<ScalarType> {
        use ScalarType::*;
        let types = [
            Some(U8),
            Some(I8),
            Some(U16),
            Some(I16),
            Some(U32),
            Some(I32),
            Some(F32),
            Some(Bool),
            None,
            None,
            Some(U64),
            Some(I64),
            Some(F64),
        ];
        types.get(id as usize).copied().flatten()
    }

    /// Bytes of one value.
    pub fn size(self) -> usize {
        use ScalarType::*;
        match self {
            U8 | I8 | Bool => 1,
            U16 | I16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 => 8,
        }
    }

    /// Reads one value from its bytes.
    pub fn read(self, bytes: &[u8]) -> Scalar {
        let mut whole = [0; 8];
        let size = self.size().min(bytes.len());
        whole[..size].copy_from_slice(&bytes[..size]);
        let bits = u64::from_le_bytes(whole);
        use ScalarType::*;
        match self {
            U8 | U16 | U32 | U64 => Scalar::Unsigned(bits),
            I8 => Scalar::Signed(bits as i8 as i64),
            I16 => Scalar::Signed(bits as i16 as i64),
            I32 => Scalar::Signed(bits as i32 as i64),
            I64 => Scalar::Signed(bits as i64),
            F32 => Scalar::Float(shortest(f32::from_bits(bits as u32))),
            F64 => Scalar::Float(f64::from_bits(bits)),
            Bool => Scalar::Bool(bits != 0),
        }
    }
}

/// The f64 with the shortest decimal that rounds to this f32: 1e-6 for the f32 nearest to 1e-6, which is what the
/// number was before it was stored.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// A number or a truth value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// u8 to u64
    Unsigned(u64),
    /// i8 to i64
    Signed(i64),
    /// f32 and f64
    Float(f64),
    /// True or false.
    Bool(bool),
}

impl Scalar {
    /// A whole number that is not negative.
    pub fn unsigned(self) -> Option<u64> {
        match self {
            Scalar::Unsigned(n) => Some(n),
            Scalar::Signed(n) => u64::try_from(n).ok(),
            _ => None,
        }
    }

    /// Any number.
    pub fn number(self) -> Option<f64> {
        match self {
            Scalar::Unsigned(n) => Some(n as f64),
            Scalar::Signed(n) => Some(n as f64),
            Scalar::Float(n) => Some(n),
            Scalar::Bool(_) => None,
        }
    }
}

/// One value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number or truth value.
    Scalar(Scalar),
    /// Bytes of a text.
    Text(Range<usize>),
    /// An array.
    Array(Array),
}

/// What an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Items {
    /// Numbers or truth values.
    Scalars(ScalarType),
    /// Texts, each after its length.
    Texts,
    /// Arrays.
    Arrays,
}

/// An array in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    /// Type of the items.
    pub items: Items,
    /// Number of items.
    pub len: usize,
    /// Where they are.
    pub bytes: Range<usize>,
}

impl Array {
    /// The items, when they are scalars.
    pub fn scalars(&self, file: &[u8]) -> Option<Vec<Scalar>> {
        let Items::Scalars(kind) = self.items else { return None };
        Some(file.get(self.bytes.clone())?.chunks_exact(kind.size()).map(|bytes| kind.read(bytes)).collect())
    }

    /// The items, when they are UTF-8 texts.
    pub fn texts<'a>(&self, file: &'a [u8]) -> Option<Vec<&'a str>> {
        if self.items != Items::Texts {
            return None;
        }
        let mut bytes = file.get(self.bytes.clone())?;
        let mut texts = Vec::with_capacity(self.len.min(bytes.len() / 8));
        for _ in 0..self.len {
            let (len, rest) = bytes.split_first_chunk::<8>()?;
            let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
            texts.push(std::str::from_utf8(text).ok()?);
            bytes = rest;
        }
        Some(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_read_back() {
        assert_eq!(ScalarType::I8.read(&[0xff]), Scalar::Signed(-1));
        assert_eq!(ScalarType::U16.read(&[1, 2]), Scalar::Unsigned(513));
        assert_eq!(ScalarType::F32.read(&1e-6f32.to_le_bytes()), Scalar::Float(1e-6));
        assert_eq!(ScalarType::F32.read(&f32::NAN.to_le_bytes()).number().map(f64::is_nan), Some(true));
        assert_eq!(ScalarType::F64.read(&0.1f64.to_le_bytes()), Scalar::Float(0.1));
        assert_eq!(ScalarType::of_id(8), None);
        assert_eq!(ScalarType::of_id(12), Some(ScalarType::F64));
        assert_eq!(ScalarType::of_id(13), None);
    }
}
