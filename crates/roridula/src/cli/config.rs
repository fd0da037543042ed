//! `roridula config`

use super::{Failure, out};
use crate::settings::DEFAULT_TOML;
use std::io::Write;

/// Prints the commented default file.
pub(crate) fn print() -> Result<(), Failure> {
    let mut out = out::stdout();
    out.write_all(DEFAULT_TOML.as_bytes())?;
    Ok(out.flush()?)
}
