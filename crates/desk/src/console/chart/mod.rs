//! Charts: SVG drawn here, each with its numbers behind it as a table, told apart by shape and text and not by colour alone.

mod funnel;
mod hours;
mod strip;

pub(crate) use funnel::{FunnelColumn, funnel};
pub(crate) use hours::{Apart, Column, columns};
pub(crate) use strip::strip;

use super::text;
use maud::{Markup, html};

/// A wide drawing that keeps its letters legible on a phone: it is moved sideways there.
pub(crate) fn wide(caption: &str, drawing: &Markup) -> Markup {
    html! {
        (sideways())
        div.scroll tabindex="0" role="region" aria-label=(caption) { (drawing) }
    }
}

/// Above a drawing that is moved sideways: shown where it is wider than the screen.
pub(crate) fn sideways() -> Markup {
    html! { p.sideways.quiet { "It is wider than this screen: move it sideways. ↔" } }
}

/// A figure: caption, drawing, and the same numbers as a table.
pub(crate) fn figure(caption: &str, drawing: &Markup, table: &Markup) -> Markup {
    html! {
        figure {
            figcaption { (caption) }
            (drawing)
            details.data { summary { "As a table" } (table) }
        }
    }
}

/// How long a value is of `length`, logarithmically: nothing is 0, one is visible.
pub(crate) fn scaled(value: u64, most: u64, length: u64) -> u64 {
    if value == 0 || most == 0 {
        return 0;
    }
    let share = ((value as f64) + 1.0).ln() / ((most as f64) + 1.0).ln();
    ((share * length as f64) as u64).clamp(2, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_logarithm_of_its_value() {
        assert_eq!(scaled(0, 100, 400), 0);
        assert_eq!(scaled(100, 100, 400), 400);
        assert_eq!(scaled(9, 99, 400), 200);
        assert!(scaled(1, u64::MAX, 400) >= 2);
    }
}
