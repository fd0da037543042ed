//! A connection against an ordinary client, whose requests are written byte by byte from the specification.

mod commands;
mod exploits;
mod sessions;
mod support;
