//! Plans of words.
