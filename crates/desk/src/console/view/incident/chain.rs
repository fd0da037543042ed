//! The kill chain as a drawing: a lane for each connection, a numbered mark for each stage, time from left to right.

use super::{At, Lane, Mark, evidence_address, number};
use crate::console::chart;
use crate::console::text;
use crate::moment;
use maud::{Markup, html};
use roridula_proto::time::WallClock;

/// The drawing's width, and where its lanes begin and end, in its own units.
const WIDTH: u64 = 960;
const LEFT: u64 = 190;
const RIGHT: u64 = 945;
/// Height of a lane, and of one whose marks stand below its bar.
const LANE: u64 = 30;
const LANE_DEEP: u64 = 54;
/// From a bar's middle down to the middle of a mark below it.
const BELOW: u64 = 24;
/// Half of what a name on the axis takes.
const LABEL: u64 = 24;
/// Height of the axis.
const AXIS: u64 = 26;
/// Between the middles of two marks, so that none hides another.
const APART: u64 = 20;
/// Marks that fit a lane; more are in the list of stages.
const MARKS_MAX: usize = 32;
/// Divisions of the axis, about.
const TICKS: u64 = 6;

/// The part of time that is drawn.
struct Span {
    from: u64,
    length: u64,
}

impl Span {
    fn of(lanes: &[Lane]) -> Self {
        let from = lanes.iter().map(|lane| lane.member.opened.0).min().unwrap_or(0);
        // What a connection brought may be on record a little after its end.
        let last = |lane: &Lane| lane.marks.iter().map(moment).max().unwrap_or(0).max(lane.member.closed.0);
        let until = lanes.iter().map(last).max().unwrap_or(from);
        Self { from, length: until.saturating_sub(from).max(1) }
    }

    /// Where a moment stands.
    fn x(&self, at: u64) -> u64 {
        let since = at.saturating_sub(self.from).min(self.length);
        let wide = u128::from(since) * u128::from(RIGHT - LEFT) / u128::from(self.length);
        LEFT + u64::try_from(wide).unwrap_or(0)
    }

    /// Moments to be named on the axis: round numbers of microseconds since the beginning.
    fn ticks(&self) -> impl Iterator<Item = u64> + use<> {
        let step = round(self.length / TICKS);
        let length = self.length;
        (0..=TICKS * 2).map(move |at| at.saturating_mul(step)).take_while(move |at| *at <= length)
    }
}

/// The next 1, 2 or 5 times a power of ten; of longer ones, of minutes and hours.
fn round(micros: u64) -> u64 {
    let units = [1, 60_000_000, 3_600_000_000];
    let unit = units.into_iter().rev().find(|unit| micros > unit * 9 / 10 || *unit == 1).unwrap_or(1);
    let mut step = unit;
    let mut factors = [2, 5, 10].into_iter();
    let mut base = unit;
    while step < micros {
        match factors.next() {
            Some(factor) => step = base.saturating_mul(factor),
            None => {
                base = base.saturating_mul(10);
                factors = [2, 5, 10].into_iter();
                step = base;
            }
        }
    }
    step.max(1)
}

/// A length of time as the axis names it, without its parts.
pub(super) fn length(micros: u64) -> String {
    match micros {
        0 => "0".to_owned(),
        1..1000 => format!("{micros} µs"),
        1000..1_000_000 => format!("{} ms", micros / 1000),
        1_000_000..120_000_000 => format!("{} s", micros / 1_000_000),
        120_000_000..7_200_000_000 => format!("{} min", micros / 60_000_000),
        _ => format!("{} h", micros / 3_600_000_000),
    }
}

/// When a mark's stage happened; 0 where that cannot be read.
fn moment(mark: &Mark) -> u64 {
    moment::parse_time(&mark.at).map_or(0, |at| at.0)
}

/// The marks of a lane: where each happened, and where its number stands.
struct Marks<'m> {
    marks: Vec<&'m Mark>,
    happened: Vec<u64>,
    places: Vec<u64>,
}

impl<'m> Marks<'m> {
    fn of(lane: &'m Lane, span: &Span) -> Self {
        let marks: Vec<&Mark> = lane.marks.iter().take(MARKS_MAX).collect();
        let happened: Vec<u64> = marks.iter().map(|mark| span.x(moment(mark))).collect();
        let places = places(&happened);
        Self { marks, happened, places }
    }

    /// Whether some number stands elsewhere than at its moment: then all of the lane stand below the bar, each with a line to
    /// its moment.
    fn is_moved(&self) -> bool {
        self.happened != self.places
    }

    fn height(&self) -> u64 {
        if self.is_moved() { LANE_DEEP } else { LANE }
    }
}

/// The middles of marks that want to stand at `wanted` (in order): none nearer than [`APART`] to another.
fn places(wanted: &[u64]) -> Vec<u64> {
    let mut places = Vec::with_capacity(wanted.len());
    let mut least = LEFT;
    for &at in wanted {
        let place = at.max(least);
        least = place + APART;
        places.push(place);
    }
    let mut most = RIGHT;
    for place in places.iter_mut().rev() {
        *place = (*place).min(most);
        most = most.saturating_sub(APART);
    }
    places
}

/// The whole figure.
pub(super) fn figure(incident: &str, lanes: &[Lane], more: u64) -> Markup {
    let span = Span::of(lanes);
    let marks: Vec<Marks<'_>> = lanes.iter().map(|lane| Marks::of(lane, &span)).collect();
    let tops: Vec<u64> =
        marks.iter().scan(AXIS, |top, marks| Some(std::mem::replace(top, *top + marks.height()))).collect();
    let height = AXIS + marks.iter().map(Marks::height).sum::<u64>() + 6;
    html! {
        figure.lanes {
            figcaption { "Connections and stages, from " (text::time(WallClock(span.from))) }
            (chart::sideways())
            div.scroll tabindex="0" role="region" aria-label="Kill chain on a time axis" {
                svg.chart.wide viewBox=(format!("0 0 {WIDTH} {height}")) role="group" aria-label="A lane for each connection; numbers are stages of the kill chain" {
                    @for tick in span.ticks() {
                        @let x = span.x(span.from + tick);
                        line.axis x1=(x) x2=(x) y1=(AXIS - 6) y2=(height) {}
                        // What stands at the end would be cut there.
                        text.quiet x=(x) y="14" text-anchor=(if x > RIGHT - LABEL { "end" } else { "middle" }) { (length(tick)) }
                    }
                    @for ((lane, marks), top) in lanes.iter().zip(&marks).zip(tops) {
                        (drawn(incident, lane, marks, &span, top))
                    }
                }
            }
            p.quiet {
                "The numbers are the stages below. Each opens the message that shows it."
                @if marks.iter().any(Marks::is_moved) {
                    " Where they would hide each other they stand below the bar, moved apart: a thin line leads to the moment of each."
                }
                @if more > 0 { " Not drawn: " (text::count(more, "connection")) " that show less; they are in the list." }
            }
        }
    }
}

fn drawn(incident: &str, lane: &Lane, marks: &Marks<'_>, span: &Span, top: u64) -> Markup {
    let member = &lane.member;
    let name = member.connection.to_string();
    let tail = name.get(name.len().saturating_sub(6)..).unwrap_or(&name);
    let (from, until) = (span.x(member.opened.0), span.x(member.closed.0));
    let middle = top + LANE / 2;
    let row = middle + if marks.is_moved() { BELOW } else { 0 };
    html! {
        a href=(evidence_address(incident, member.connection, At::Beginning)) {
            text.label x="4" y=(middle + 4) { (member.role) " …" (tail) }
        }
        rect.bar x=(from) y=(middle - 5) width=(until.saturating_sub(from).max(2)) height="10" rx="2" {
            title { (member.role) ": " (text::number(member.bytes_in)) " bytes in " (length(member.closed.0.saturating_sub(member.opened.0))) ", " (text::shown(&member.reason)) }
        }
        // First, so that no line runs across a number.
        @if marks.is_moved() {
            @for (happened, x) in marks.happened.iter().zip(&marks.places) {
                line.moment x1=(happened) y1=(middle - 8) x2=(happened) y2=(middle + 8) {}
                line.moment x1=(happened) y1=(middle + 8) x2=(x) y2=(row) {}
            }
        }
        @for (mark, x) in marks.marks.iter().zip(&marks.places) {
            a href=(evidence_address(incident, member.connection, At::of(mark.stream_at, mark.seq)))
                aria-label={ (mark.stage) ": " (text::shown(&mark.what)) } {
                title { (mark.stage) ": " (text::shown(&mark.what)) }
                circle class={ "stage s" (number(mark.stage)) } cx=(x) cy=(row) r="9" {}
                text.number x=(x) y=(row + 4) text-anchor="middle" { (number(mark.stage)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Member, Role, Stage};
    use roridula_evidence::rfc3339;
    use roridula_proto::connection::ConnectionId;

    #[test]
    fn the_axis_is_named_in_round_lengths() {
        for (micros, step) in
            [(0, 1), (3, 5), (170_000, 200_000), (21_000_000, 50_000_000), (130_000_000, 300_000_000)]
        {
            assert_eq!(round(micros), step, "{micros}");
        }
        assert_eq!((length(200_000).as_str(), length(300_000_000).as_str()), ("200 ms", "5 min"));
        let span = Span { from: 7, length: u64::MAX - 7 };
        assert!(span.ticks().count() < 20);
        assert_eq!((span.x(0), span.x(7), span.x(u64::MAX)), (LEFT, LEFT, RIGHT));
    }

    #[test]
    fn what_does_not_fit_a_phone_says_so_and_no_name_on_the_axis_is_cut() {
        let drawn = figure("i1", &[], 0).into_string();
        assert!(
            drawn.contains("class=\"sideways quiet\"") && drawn.contains("text-anchor=\"end\""),
            "{drawn}"
        );
    }

    #[test]
    fn no_mark_hides_another() {
        for wanted in [vec![LEFT; 5], vec![RIGHT; 30], vec![200, 200, 500, 501, 940, 945]] {
            let places = places(&wanted);
            assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= APART), "{places:?}");
            assert!(places.iter().all(|&at| at <= RIGHT), "{places:?}");
        }
    }

    fn lane(seconds: u64, marks: &[u64]) -> Lane {
        let at = |micros: u64| WallClock(1_700_000_000_000_000 + micros);
        let mark = |&micros: &u64| Mark {
            stage: Stage::Logon,
            at: rfc3339(at(micros)),
            seq: micros,
            stream_at: None,
            what: "logged on".to_owned(),
        };
        let member = Member {
            connection: ConnectionId(7),
            opened: at(0),
            closed: at(seconds * 1_000_000),
            role: Role::Check,
            reason: "peer-closed".to_owned(),
            fingerprint: String::new(),
            tools: Vec::new(),
            bytes_in: 1,
            bytes_out: 1,
        };
        Lane { member, marks: marks.iter().map(mark).collect() }
    }

    /// Marks that are moved apart still show when each happened: a second is a second, also beside four others.
    #[test]
    fn a_moved_mark_leads_to_its_moment() {
        let apart = figure("i1", &[lane(19, &[0, 5_000_000, 10_000_000])], 0).into_string();
        assert!(!apart.contains("class=\"moment\"") && !apart.contains("moved apart"), "{apart}");
        let near = figure("i1", &[lane(19, &[0, 100_000, 200_000, 18_900_000, 19_000_000])], 0).into_string();
        let x = |micros: u64| LEFT + micros * (RIGHT - LEFT) / 19_000_000;
        for micros in [0, 100_000, 200_000, 18_900_000, 19_000_000] {
            let line = format!("class=\"moment\" x1=\"{}\"", x(micros));
            assert!(near.contains(&line), "{line}: {near}");
        }
        assert!(near.contains("moved apart: a thin line leads to the moment of each"), "{near}");
        // What is on record after the end is drawn behind it.
        let late = figure("i1", &[lane(10, &[0, 20_000_000])], 0).into_string();
        assert!(late.contains(&format!("cx=\"{RIGHT}\"")) && late.contains("width=\"377\""), "{late}");
    }
}
