//! Layouts of bytes, no state.
