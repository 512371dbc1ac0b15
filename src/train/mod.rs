//! One trainer per file, and the small pure functions they share.
