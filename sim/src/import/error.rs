//! What can be wrong with a file: one variant per rule, with the place, the value and what is allowed.

/// Why a scene was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system said no.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: String,
        /// Reason.
        source: std::io::Error,
    },
    /// More bytes than any scene needs.
    #[error("the file has more than {max} bytes ({bytes} were given)")]
    TooLarge {
        /// Bytes given.
        bytes: u64,
        /// Largest number allowed.
        max: u64,
    },
    /// Neither extension nor content is of a known format.
    #[error(
        "{path}: not a scene; allowed are .json (native, GPUDrive, Argoverse 2 map), .xml (CommonRoad), .xodr (OpenDRIVE) \
         and .parquet (Argoverse 2 tracks)"
    )]
    UnknownFormat {
        /// File.
        path: String,
    },
    /// JSON that does not parse or lacks a field; the text names line and column.
    #[error("{format} JSON: {source}")]
    Json {
        /// Format it was read as.
        format: &'static str,
        /// Reason.
        source: serde_json::Error,
    },
    /// XML that does not parse; the text names line and column.
    #[error("{format} XML: {what}")]
    Xml {
        /// Format it was read as.
        format: &'static str,
        /// Reason.
        what: String,
    },
    /// A Parquet file that does not parse.
    #[error("Parquet: {what}")]
    Parquet {
        /// Reason.
        what: String,
    },
    /// Something that must be there is not.
    #[error("{at} is missing")]
    Missing {
        /// Path of the field.
        at: String,
    },
    /// A value outside what is allowed.
    #[error("{at} is {value}; allowed: {allowed}")]
    Value {
        /// Path of the field.
        at: String,
        /// The value.
        value: String,
        /// What would be right.
        allowed: String,
    },
    /// A list that is too long or too short.
    #[error("{at} has {count} entries; allowed: {min} to {max}")]
    Count {
        /// Path of the list.
        at: String,
        /// Its length.
        count: usize,
        /// Least.
        min: usize,
        /// Most.
        max: usize,
    },
}

impl ImportError {
    /// A [`ImportError::Value`].
    pub(crate) fn value(at: impl Into<String>, value: impl ToString, allowed: impl Into<String>) -> Self {
        ImportError::Value { at: at.into(), value: value.to_string(), allowed: allowed.into() }
    }

    /// A [`ImportError::Missing`].
    pub(crate) fn missing(at: impl Into<String>) -> Self {
        ImportError::Missing { at: at.into() }
    }
}
