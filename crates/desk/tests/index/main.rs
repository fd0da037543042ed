//! From a real journal to the index: it says what going through all events says, however it was made.

// Tests own files and threads.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod answers;
mod making;
mod naive;
mod past;
mod visitors;
