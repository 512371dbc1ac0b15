//! Number formats of GGUF tensors: their ids, names and block sizes, as the format's specification lists them.

use candle_core::quantized::GgmlDType;

/// One number format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Number in the file.
    pub id: u32,
    /// Name in the specification.
    pub name: &'static str,
    /// Elements per block; rows hold whole blocks.
    pub block: usize,
    /// Bytes per block.
    pub bytes: usize,
}

const fn kind(id: u32, name: &'static str, block: usize, bytes: usize) -> Kind {
    Kind { id, name, block, bytes }
}

/// Every format with a known size; those that [`Kind::candle`] knows can be read.
pub const KINDS: &[Kind] = &[
    kind(0, "F32", 1, 4),
    kind(1, "F16", 1, 2),
    kind(2, "Q4_0", 32, 18),
    kind(3, "Q4_1", 32, 20),
    kind(6, "Q5_0", 32, 22),
    kind(7, "Q5_1", 32, 24),
    kind(8, "Q8_0", 32, 34),
    kind(9, "Q8_1", 32, 40),
    kind(10, "Q2_K", 256, 84),
    kind(11, "Q3_K", 256, 110),
    kind(12, "Q4_K", 256, 144),
    kind(13, "Q5_K", 256, 176),
    kind(14, "Q6_K", 256, 210),
    kind(15, "Q8_K", 256, 292),
    kind(16, "IQ2_XXS", 256, 66),
    kind(17, "IQ2_XS", 256, 74),
    kind(18, "IQ3_XXS", 256, 98),
    kind(19, "IQ1_S", 256, 50),
    kind(20, "IQ4_NL", 32, 18),
    kind(21, "IQ3_S", 256, 110),
    kind(22, "IQ2_S", 256, 82),
    kind(23, "IQ4_XS", 256, 136),
    kind(24, "I8", 1, 1),
    kind(25, "I16", 1, 2),
    kind(26, "I32", 1, 4),
    kind(27, "I64", 1, 8),
    kind(28, "F64", 1, 8),
    kind(29, "IQ1_M", 256, 56),
    kind(30, "BF16", 1, 2),
    kind(34, "TQ1_0", 256, 54),
    kind(35, "TQ2_0", 256, 66),
    kind(39, "MXFP4", 32, 17),
    kind(40, "NVFP4", 64, 36),
    kind(41, "Q1_0", 128, 18),
];

impl Kind {
    /// The format of a number in the file.
    pub fn of_id(id: u32) -> Option<Kind> {
        KINDS.iter().find(|kind| kind.id == id).copied()
    }

    /// The format of a name.
    pub fn of_name(name: &str) -> Option<Kind> {
        KINDS.iter().find(|kind| kind.name == name).copied()
    }

    /// The format as candle knows it, if its values can be read.
    pub fn candle(self) -> Option<GgmlDType> {
        Some(match self.name {
            "F32" => GgmlDType::F32,
            "F16" => GgmlDType::F16,
            "BF16" => GgmlDType::BF16,
            "Q4_0" => GgmlDType::Q4_0,
            "Q4_1" => GgmlDType::Q4_1,
            "Q5_0" => GgmlDType::Q5_0,
            "Q5_1" => GgmlDType::Q5_1,
            "Q8_0" => GgmlDType::Q8_0,
            "Q2_K" => GgmlDType::Q2K,
            "Q3_K" => GgmlDType::Q3K,
            "Q4_K" => GgmlDType::Q4K,
            "Q5_K" => GgmlDType::Q5K,
            "Q6_K" => GgmlDType::Q6K,
            _ => return None,
        })
    }

    /// Names of the formats that can be read.
    pub fn readable() -> String {
        let names: Vec<&str> = KINDS.iter().filter(|kind| kind.candle().is_some()).map(|kind| kind.name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_agree_with_candle() {
        let mut known = 0;
        for kind in KINDS {
            assert_eq!(Kind::of_id(kind.id), Some(*kind), "two formats with the number {}", kind.id);
            if let Some(candle) = kind.candle() {
                assert_eq!((kind.block, kind.bytes), (candle.block_size(), candle.type_size()), "{}", kind.name);
                known += 1;
            }
        }
        assert_eq!(known, 13);
        assert_eq!(Kind::of_name("Q4_K").unwrap().id, 12);
    }
}
