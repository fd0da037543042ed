//! Which family a sample is of, and on what grounds.

use crate::report::{Layer, words};
use serde::{Deserialize, Serialize};

words! {
    /// How sure a verdict is.
    Confidence {
        /// A published hash of one of its parts.
        Certain = "certain",
        /// Several independent grounds: structure and rules.
        High = "high",
        /// One ground that fits no other family.
        Medium = "medium",
        /// A shape that others have too.
        Low = "low",
    }
}

/// A family, with the grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Its name.
    pub family: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why, the strongest first.
    pub grounds: Vec<Ground>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    /// The number of the layer that gives it.
    pub layer: u32,
    /// What it is: `rule WannaCry_Launcher_DLL`, `sha256 of the published worm EXE`.
    pub what: String,
}

/// What the layers say together.
pub(crate) fn verdict(_layers: &[Layer]) -> Option<Verdict> {
    None
}
