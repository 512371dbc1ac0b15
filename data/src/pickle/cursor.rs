//! The input, taken from the front with every length checked first.

use super::error::PickleError;

/// What of the input has not been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    /// Position of the next byte.
    pub at: usize,
}

type Result<T> = std::result::Result<T, PickleError>;

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { bytes, at: 0 }
    }

    pub fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next byte, `None` at the end.
    pub fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        let cut = PickleError::CutOff { at: self.at, needed: n, left: self.left() };
        let Some(end) = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)) else { return Err(cut) };
        let Some(taken) = self.bytes.get(self.at..end) else { return Err(cut) };
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u64> {
        Ok(u64::from(self.array::<1>()?[0]))
    }

    pub fn u16(&mut self) -> Result<u64> {
        Ok(u64::from(u16::from_le_bytes(self.array()?)))
    }

    pub fn u32(&mut self) -> Result<u64> {
        Ok(u64::from(u32::from_le_bytes(self.array()?)))
    }

    pub fn i32(&mut self) -> Result<i64> {
        Ok(i64::from(i32::from_le_bytes(self.array()?)))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Floats are the only big-endian numbers of a pickle.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    /// Up to the next line end, which is taken and left out.
    pub fn line(&mut self) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(n) = rest.iter().position(|b| *b == b'\n') else {
            return Err(PickleError::CutOff { at: self.at, needed: 1 + rest.len() as u64, left: rest.len() });
        };
        self.at += n + 1;
        Ok(rest.get(..n).unwrap_or_default())
    }

    /// A line of UTF-8 text.
    pub fn text_line(&mut self) -> Result<&'a str> {
        let at = self.at;
        std::str::from_utf8(self.line()?).map_err(|_| PickleError::BadText { at })
    }
}
