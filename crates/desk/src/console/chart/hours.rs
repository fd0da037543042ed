//! Columns over time on a logarithmic axis, with what stands apart drawn in another colour and in another
//! shape.

use super::{figure, scaled, wide};
use crate::console::text;
use maud::{Markup, html};
use roridula_evidence::rfc3339;
use roridula_proto::time::WallClock;

/// Units of its width: it stands alone in its row. With few columns it is narrower, but as wide as its two ends need.
const WIDTH: u64 = 1120;
const WIDTH_MIN: u64 = 340;
/// Units of the plot's height, of the room for the axis's numbers on its left, and for the days below it.
const HEIGHT: u64 = 170;
const LEFT: u64 = 56;
const BELOW: u64 = 22;
/// Room above the highest column, for a mark on its top.
const ABOVE: u64 = 10;
/// Days that are written below between the two ends; of more, every so manieth.
const LABELS_MAX: usize = 8;
/// Room that an end's label takes.
const END: f64 = 130.0;
/// A column's width where there are few.
const STEP_MAX: f64 = 48.0;
/// Half a mark's width.
const MARK: f64 = 5.0;
/// Microseconds of a day.
const DAY: u64 = 24 * 3600 * 1_000_000;

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// When it begins.
    pub(crate) begins: WallClock,
    /// Its height.
    pub(crate) value: u64,
    /// What stands apart from it at the same time.
    pub(crate) apart: Vec<Apart>,
}

/// Something that stands apart.
#[derive(Clone, Debug)]
pub(crate) struct Apart {
    /// What it is.
    pub(crate) label: String,
    /// Its height.
    pub(crate) value: u64,
    /// An address of ours.
    pub(crate) href: String,
}

/// Columns of equal widths of time, in order and without gaps. `of` says what is counted; `apart` says what
/// it is that stands apart, or is empty.
pub(crate) fn columns(caption: &str, of: &str, apart: &str, columns: &[Column]) -> Markup {
    let heights =
        columns.iter().flat_map(|column| column.apart.iter().map(|apart| apart.value).chain([column.value]));
    let most = heights.max().unwrap_or(0);
    let step = ((WIDTH - LEFT) as f64 / columns.len().max(1) as f64).min(STEP_MAX);
    let few = (LEFT as f64 + step * columns.len() as f64) as u64;
    let right = few.clamp(WIDTH_MIN, WIDTH);
    let is_few = right < WIDTH - STEP_MAX as u64;
    let left = |at: usize| LEFT as f64 + at as f64 * step;
    let width = format!("{:.1}", (step - 0.2).max(0.8));
    let top = |value: u64| ABOVE + HEIGHT - scaled(value, most, HEIGHT);
    let drawing = html! {
        svg class={ "chart " (if is_few { "few" } else { "wide" }) } width=[is_few.then_some(right)]
            viewBox=(format!("0 0 {right} {}", ABOVE + HEIGHT + BELOW)) role="img" aria-label=(caption) {
            @for power in powers(most) {
                line.grid x1=(LEFT) x2=(right) y1=(top(power)) y2=(top(power)) {}
                text.quiet x=(LEFT - 6) y=(top(power) + 4) text-anchor="end" { (text::number(power)) }
            }
            @if powers(most).last().is_some_and(|power| most >= power.saturating_mul(2)) {
                text.quiet x=(LEFT - 6) y=(ABOVE + 4) text-anchor="end" { (text::number(most)) }
            }
            @for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.value > 0) {
                rect.bar x=(format!("{:.1}", left(at))) y=(top(column.value)) width=(width)
                    height=(scaled(column.value, most, HEIGHT)) {
                    title { (moment(column.begins)) " UTC: " (text::number(column.value)) " " (of) }
                }
            }
            @for (at, column) in columns.iter().enumerate() {
                @for one in &column.apart {
                    a href=(one.href) { path.spike d=(mark(left(at) + step / 2.0, top(one.value) as f64)) {
                        title {
                            (moment(column.begins)) " UTC: " (text::number(one.value)) " " (of) " of "
                            (text::shown(&one.label))
                        }
                    } }
                }
            }
            line.axis x1=(LEFT) x2=(right) y1=(ABOVE + HEIGHT) y2=(ABOVE + HEIGHT) {}
            @if let (Some(first), Some(last)) = (columns.first(), columns.last()) {
                text.quiet x=(LEFT) y=(ABOVE + HEIGHT + 16) { (moment(first.begins)) }
                @if columns.len() > 1 {
                    text.quiet x=(right) y=(ABOVE + HEIGHT + 16) text-anchor="end" { (moment(last.begins)) }
                }
            }
            @for (at, day) in days(columns) {
                @let x = left(at);
                @if x > LEFT as f64 + END && x < right as f64 - END - 36.0 {
                    text.quiet x=(format!("{x:.1}")) y=(ABOVE + HEIGHT + 16) { (day) }
                }
            }
        }
        @if !apart.is_empty() {
            p.quiet {
                svg.key viewBox="0 0 12 12" aria-hidden="true" { rect.bar x="3" y="1" width="6" height="11" {} }
                " " (of) ", logarithmic · "
                svg.key viewBox="0 0 12 12" aria-hidden="true" { path.spike d=(mark(6.0, 6.0)) {} }
                " " (apart)
            }
        }
    };
    figure(caption, &wide(caption, &drawing), &table(of, apart, columns))
}

fn table(of: &str, apart: &str, columns: &[Column]) -> Markup {
    let told = columns.iter().filter(|column| column.value > 0 || !column.apart.is_empty());
    html! {
        table {
            thead { tr {
                th scope="col" { "From (UTC)" } th.number scope="col" { (of) }
                @if !apart.is_empty() { th scope="col" { "Apart: " (apart) } }
            } }
            tbody {
                @for column in told {
                    tr {
                        td.time { (text::bare_time(column.begins)) }
                        td.number { (text::number(column.value)) }
                        @if !apart.is_empty() { td {
                            @for one in &column.apart {
                                a href=(one.href) { (text::shown(&one.label)) }
                                " " (text::number(one.value)) " "
                            }
                        } }
                    }
                }
            }
        }
    }
}

/// 1, 10, 100, … up to `most`.
fn powers(most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1u64), |power| power.checked_mul(10)).take_while(move |power| *power <= most)
}

/// A diamond around a point.
fn mark(x: f64, y: f64) -> String {
    format!("M{x:.1} {:.1}l{MARK} {MARK} -{MARK} {MARK} -{MARK} -{MARK}z", y - MARK)
}

fn moment(at: WallClock) -> String {
    let text = rfc3339(at);
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

/// The columns that begin a day, with its date; of many, some.
fn days(columns: &[Column]) -> Vec<(usize, String)> {
    let midnight = |(_, column): &(usize, &Column)| column.begins.0.is_multiple_of(DAY);
    let all: Vec<(usize, &Column)> = columns.iter().enumerate().filter(midnight).collect();
    let each = all.len().div_ceil(LABELS_MAX).max(1);
    let day = |(at, column): (usize, &Column)| {
        let text = rfc3339(column.begins);
        (at, text.get(5..10).unwrap_or_default().to_owned())
    };
    all.into_iter().step_by(each).map(day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(at: u64, value: u64, apart: &[u64]) -> Column {
        let apart = apart
            .iter()
            .map(|value| Apart {
                label: "<b>\u{202e}".to_owned(),
                value: *value,
                href: "/sources/x".to_owned(),
            })
            .collect();
        Column { begins: WallClock(at * 3_600_000_000), value, apart }
    }

    #[test]
    fn what_stands_apart_has_another_shape_and_stands_in_the_table() {
        let drawn =
            columns("Hours", "connections", "one visitor", &[column(0, 9, &[]), column(1, 0, &[5000])]);
        let drawn = drawn.into_string();
        assert_eq!(drawn.matches("<rect class=\"bar\"").count(), 2, "a column, and one in the key: {drawn}");
        assert_eq!(drawn.matches("<path class=\"spike\"").count(), 2);
        assert!(drawn.contains("5,000") && drawn.contains(">1,000<") && drawn.contains(">1970-01-01 00:00<"));
        assert!(drawn.contains("&lt;b&gt;\\u{202e}") && !drawn.contains("<b>"));
    }

    #[test]
    fn nothing_and_everything_can_be_drawn() {
        assert!(columns("None", "x", "", &[]).into_string().contains("<svg"));
        let extremes = [column(0, u64::MAX, &[u64::MAX]), column(1, 1, &[0])];
        assert!(columns("All", "x", "y", &extremes).into_string().contains("10,000,000,000,000,000,000"));
    }

    #[test]
    fn few_days_are_written_below() {
        let month: Vec<Column> = (0..31 * 24).map(|hour| column(hour, 1, &[])).collect();
        let days = days(&month);
        assert!(days.len() <= LABELS_MAX && days[0] == (0, "01-01".to_owned()) && days[1].0 == 4 * 24);
    }
}
