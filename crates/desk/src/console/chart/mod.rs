//! Charts: SVG drawn here, each with its numbers behind it as a table, told apart by shape and text and not by colour alone.

mod hours;
mod strip;

pub(crate) use hours::{Apart, Column, columns};
pub(crate) use strip::strip;

use super::text;
use maud::{Markup, html};

/// Units of a chart's width; its height follows.
const WIDTH: u64 = 560;

/// A bar: what it is, how long, and where it leads.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Its label.
    pub(crate) label: String,
    /// Its length.
    pub(crate) value: u64,
    /// An address of ours, or empty.
    pub(crate) href: String,
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

/// Bars below each other, on a logarithmic scale: a funnel reads well over four orders of magnitude.
pub(crate) fn bars(caption: &str, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or(0);
    let height = bars.len() as u64 * 26 + 4;
    let drawing = html! {
        svg.chart viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(caption) {
            @for (at, bar) in bars.iter().enumerate() {
                @let top = at as u64 * 26 + 2;
                @let length = scaled(bar.value, most, WIDTH - 240);
                text.label x="150" y=(top + 16) text-anchor="end" { (text::shown_to(&bar.label, 24)) }
                rect.bar x="160" y=(top) width=(length) height="22" rx="2" {
                    title { (text::shown(&bar.label)) ": " (text::number(bar.value)) }
                }
                text.value x=(168 + length) y=(top + 16) { (text::number(bar.value)) }
            }
        }
    };
    let rows = html! {
        table {
            tbody {
                @for bar in bars {
                    tr {
                        th scope="row" {
                            @if bar.href.is_empty() { (text::shown(&bar.label)) }
                            @else { a href=(bar.href) { (text::shown(&bar.label)) } }
                        }
                        td.number { (text::number(bar.value)) }
                    }
                }
            }
        }
    };
    figure(caption, &drawing, &rows)
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
