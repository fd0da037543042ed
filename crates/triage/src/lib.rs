//! Thin start.
