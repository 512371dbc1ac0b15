//! The reinsman binary.
fn main() {}
