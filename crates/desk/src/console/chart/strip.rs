//! A drawing as small as a cell of a table: columns over time, logarithmic.

use super::scaled;
use maud::{Markup, html};

/// Units of its width and height.
const WIDTH: u64 = 144;
const HEIGHT: u64 = 24;
/// As high is a single one: a thinner line is taken for the axis.
const HEIGHT_MIN: u64 = 6;

/// Columns in order; `most` is how high the highest of all such drawings is, so that they can be compared;
/// `label` says the same in words.
pub(crate) fn strip(values: &[u64], most: u64, label: &str) -> Markup {
    let step = WIDTH as f64 / values.len().max(1) as f64;
    let width = format!("{:.1}", (step - 0.4).max(0.8));
    html! {
        svg.strip viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img"
            aria-label=(label) {
            title { (label) }
            line.axis x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (at, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
                @let height = scaled(*value, most, HEIGHT).max(HEIGHT_MIN);
                rect.bar x=(format!("{:.1}", at as f64 * step)) y=(HEIGHT - height) width=(width) height=(height) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_has_a_column_for_each_value_that_is_more_than_nothing() {
        let drawn = strip(&[0, 1, 100, 0], 100, "captures a day").into_string();
        assert_eq!(drawn.matches("<rect").count(), 2);
        assert!(strip(&[1], 1_000_000, "").into_string().contains("height=\"6\""), "one is seen");
        assert!(drawn.contains("aria-label=\"captures a day\"") && drawn.contains("height=\"24\""));
        assert_eq!(strip(&[], 0, "").into_string().matches("<rect").count(), 0);
    }
}
