//! The honeypot.
fn main() {}
