//! A funnel over several stretches of time: it is its own table, with a bar below each number.

use super::{scaled, text};
use maud::{Markup, html};

/// A stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct FunnelColumn {
    /// What it is called.
    pub(crate) name: &'static str,
    /// How many came to each step.
    pub(crate) counts: Vec<u64>,
    /// Where these are listed.
    pub(crate) links: Vec<String>,
    /// Counts of other things, which stand below.
    pub(crate) besides: Vec<u64>,
}

/// Draws it; each of the columns has a count for each of the steps and of what is told `besides`. The bars are logarithmic: a
/// funnel reads well over four orders of magnitude. `note` says what is counted.
pub(crate) fn funnel(
    caption: &str,
    steps: &[&str],
    besides: &[&str],
    columns: &[FunnelColumn],
    note: &str,
) -> Markup {
    let most = columns.iter().flat_map(|column| &column.counts).max().copied().unwrap_or(0);
    html! {
        section.funnel #funnel {
            h2 { (caption) }
            div.scroll tabindex="0" role="region" aria-label=(caption) { table {
                thead {
                    tr {
                        th scope="col" { span.hidden { "Step" } }
                        @for column in columns { th.number scope="col" { (column.name) } }
                    }
                }
                tbody {
                    @for (at, step) in steps.iter().enumerate() {
                        tr {
                            th scope="row" { (step) }
                            @for column in columns { (cell(column, at, most)) }
                        }
                    }
                }
                tfoot {
                    @for (at, name) in besides.iter().enumerate() {
                        tr {
                            th scope="row" { (name) }
                            @for column in columns {
                                td.number { (text::number(column.besides.get(at).copied().unwrap_or(0))) }
                            }
                        }
                    }
                }
            } }
            p.quiet { (note) }
        }
    }
}

fn cell(column: &FunnelColumn, at: usize, most: u64) -> Markup {
    let count = column.counts.get(at).copied().unwrap_or(0);
    let number = text::number(count);
    html! {
        td.number {
            @match column.links.get(at).filter(|_| count > 0) {
                Some(link) => { a href=(link) { (number) } }
                None => { (number) }
            }
            svg.mini viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true" {
                rect.bar width=(scaled(count, most, 100)) height="5" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_numbers_and_a_bar_and_nothing_leads_nowhere() {
        let column = |name, counts: [u64; 2]| FunnelColumn {
            name,
            counts: counts.to_vec(),
            links: vec!["/one".to_owned(), "/two".to_owned()],
            besides: vec![7_654_321],
        };
        let drawn = funnel(
            "How far",
            &["came", "went"],
            &["others"],
            &[column("1h", [1000, 0]), column("24h", [31, 1])],
            "Visits.",
        );
        let text = drawn.into_string();
        assert!(text.contains("<a href=\"/one\">1,000</a>") && text.contains("width=\"100\""), "{text}");
        assert!(text.contains("<td class=\"number\">7,654,321</td>"), "{text}");
        assert_eq!(text.matches("/two").count(), 1, "nothing came so far in the last hour");
    }
}
