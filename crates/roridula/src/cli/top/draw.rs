//! The screen as cells: fits 80 by 24, and says less where there is less room.

use super::Time;
use super::read::{Funnel, Row, Snapshot};
use super::screen::Screen;
use crate::cli::out;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Widget, Wrap};
use roridula_desk::index::Step;
use roridula_desk::pulse::{Pulse, Verdict};
use roridula_desk::sample::{counted, thousands};
use roridula_desk::story;
use roridula_proto::event::Text;
use roridula_proto::time::WallClock;

/// Characters of a text that are shown at most, whatever there is room for.
const TEXT_MAX: usize = 400;
/// Rows from which on each step of the funnel has one of its own.
const TALL: u16 = 30;
const HELP: &str = "\
1 2 3 4, ← →   the funnel's time: 1 h, 24 h, 7 d, 30 d
↑ ↓, j k       one incident on or back
Page Up, Down  ten
Home, End      the newest, the oldest that is kept here
?              this
q, Esc         quit

More: roridula incidents show ID, samples show SHA256, doctor";

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Palette {
    on: bool,
}

impl Palette {
    /// None.
    pub(super) const PLAIN: Self = Self { on: false };

    /// All of them.
    #[cfg(test)]
    pub(super) const COLOURED: Self = Self { on: true };

    /// Colour unless `NO_COLOR` is set (<https://no-color.org>).
    pub(super) fn detect() -> Self {
        Self { on: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn style(self, color: Color) -> Style {
        if self.on { Style::new().fg(color) } else { Style::new() }
    }

    /// Loud without colour too.
    fn strong(self, color: Color) -> Style {
        self.style(color).add_modifier(Modifier::BOLD)
    }

    fn dim(self) -> Style {
        self.style(Color::DarkGray)
    }

    fn outcome(self, outcome: &str) -> Style {
        match outcome {
            "captured" => self.strong(Color::Green),
            "uploaded" | "exploited" => self.style(Color::Yellow),
            "killed" => self.style(Color::Magenta),
            _ => Style::new(),
        }
    }
}

/// A screen, to be drawn.
pub(super) struct Drawn<'a> {
    pub(super) screen: &'a Screen,
    pub(super) palette: Palette,
    /// Whether there are keys to be pressed.
    pub(super) keys: bool,
}

impl Widget for Drawn<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let snapshot = &self.screen.snapshot;
        let tall = area.height >= TALL;
        let heights = [
            Constraint::Length(3),
            Constraint::Length(if tall { 6 } else { 5 }),
            Constraint::Length(if tall { 9 } else { 5 }),
            Constraint::Min(2),
            Constraint::Length(1),
        ];
        let [head, new, funnel, feed, foot] = Layout::vertical(heights).areas(area);
        self.head(snapshot, head, buffer);
        self.news(snapshot, new, buffer);
        self.funnel(funnel, tall, buffer);
        self.feed(feed, buffer);
        if self.keys {
            let keys = "q quit  ? help  1-4 time  ↑↓ scroll";
            Line::styled(keys, self.palette.dim()).render(foot, buffer);
        }
        if self.screen.help {
            self.help(area, buffer);
        }
    }
}

impl Drawn<'_> {
    fn head(&self, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
        let palette = self.palette;
        let dir = shown(&snapshot.dir.display().to_string());
        let now = format!("{} UTC", out::moment(snapshot.now));
        let title = Line::from(vec![
            Span::styled("roridula ", palette.strong(Color::Green)),
            Span::styled(dir, palette.dim()),
        ]);
        let [first, second, third] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
        title.render(first, buffer);
        if area.width >= 60 && snapshot.now != WallClock(0) {
            Line::from(now).right_aligned().render(first, buffer);
        }
        self.alive(&snapshot.pulse, snapshot.now).render(second, buffer);
        match &snapshot.trouble {
            Some(trouble) => Line::styled(shown(trouble), palette.strong(Color::Red)).render(third, buffer),
            None if snapshot.now == WallClock(0) => Line::from("reading …").render(third, buffer),
            None => self.storage(snapshot).render(third, buffer),
        }
    }

    fn alive(&self, pulse: &Pulse, now: WallClock) -> Line<'static> {
        let palette = self.palette;
        let mut spans = match (pulse.running, &pulse.started) {
            (true, Some(started)) => vec![
                Span::styled("● listening ", palette.strong(Color::Green)),
                Span::raw(shown(&started.listen.join(" "))),
            ],
            (true, None) => vec![Span::styled("● running", palette.strong(Color::Green))],
            (false, _) => vec![Span::styled("○ not running", palette.strong(Color::Red))],
        };
        if let Some(since) = pulse.since {
            spans.push(Span::raw(format!(" for {}", age(since, now))));
        }
        spans.push(Span::raw(match (&pulse.last_visitor, pulse.last_visit) {
            (Some(source), Some(at)) => format!(" · last visitor {} ago, {}", age(at, now), shown(source)),
            _ => " · no visitor yet (`roridula doctor` says why)".to_owned(),
        }));
        Line::from(spans)
    }

    fn storage(&self, snapshot: &Snapshot) -> Line<'static> {
        let pulse = &snapshot.pulse;
        let disk = match (pulse.disk_free, pulse.disk_all) {
            (Some(free), Some(all)) if free < all / 20 => {
                Span::styled(format!("disk {} free", story::size(free)), self.palette.strong(Color::Red))
            }
            (Some(free), _) => Span::raw(format!("disk {} free", story::size(free))),
            (None, _) => Span::raw("disk unknown"),
        };
        let journal = format!(" · journal {}, ", story::size(snapshot.journal));
        let behind = match pulse.lag {
            0 => Span::raw("up to date"),
            events => Span::styled(
                format!("{} events behind", thousands(events)),
                self.palette.style(Color::Yellow),
            ),
        };
        let doctor = match pulse.doctor.as_ref().map(Verdict::problems) {
            None => Span::raw(" · doctor not asked"),
            Some(0) => Span::raw(" · doctor content"),
            Some(1) => Span::styled(" · doctor: 1 problem", self.palette.strong(Color::Red)),
            Some(count) => {
                Span::styled(format!(" · doctor: {count} problems"), self.palette.strong(Color::Red))
            }
        };
        Line::from(vec![disk, Span::raw(journal), behind, doctor])
    }

    fn news(&self, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
        let inner = section("new", area, buffer);
        let news = snapshot.news;
        let cores = news.new_cores.unwrap_or_default();
        let style = if cores > 0 { self.palette.strong(Color::Green) } else { Style::new() };
        let count = Line::from(vec![
            Span::styled(format!("{} {}", thousands(cores), news.noun()), style),
            Span::raw(format!(", of {}", counted(news.uploads, "captured upload"))),
        ]);
        let mut lines = vec![count];
        match &snapshot.novel {
            Some(novel) => {
                let head: String = novel.sha256.chars().take(12).collect();
                let seen: String = novel.first_seen.chars().take(16).collect();
                let about =
                    format!("{head} · novelty {} · since {} UTC", novel.novelty, seen.replace('T', " "));
                lines.push(Line::styled(about, self.palette.dim()));
                lines.push(Line::from(shown(&novel.sentence)));
            }
            None if snapshot.samples == 0 => lines.push(Line::from("Nothing was caught yet.")),
            None if news.reports_gone == 0 => {
                lines.push(Line::from("No core of what was caught is known yet."));
            }
            None => {}
        }
        if let Some(trouble) = news.trouble() {
            lines.push(Line::styled(trouble, self.palette.strong(Color::Red)));
        }
        Paragraph::new(lines).wrap(Wrap { trim: true }).render(inner, buffer);
    }

    fn funnel(&self, area: Rect, tall: bool, buffer: &mut Buffer) {
        let times = Time::ALL.map(|time| match time == self.screen.time {
            true => format!("[{}]", time.label()),
            false => format!(" {} ", time.label()),
        });
        let title = format!("funnel of incidents {} · bars logarithmic", times.concat());
        let inner = section(&title, area, buffer);
        let at = Time::ALL.iter().position(|time| *time == self.screen.time).unwrap_or(0);
        let Funnel(counts) = self.screen.snapshot.funnels[at];
        let columns = if tall { 1 } else { 2 };
        let rows = counts.len() / columns;
        let widths = vec![Constraint::Ratio(1, u32::try_from(columns).unwrap_or(1)); columns];
        for (column, place) in Layout::horizontal(widths).spacing(2).split(inner).iter().enumerate() {
            let lines = (0..rows).map(|row| {
                let step = column * rows + row;
                self.step(Step::ALL[step].told(), counts[step], counts[0], usize::from(place.width))
            });
            Paragraph::new(lines.collect::<Vec<_>>()).render(*place, buffer);
        }
    }

    /// A step with its bar. The bars are logarithmic: one upload among a million connections is seen.
    fn step(&self, word: &str, count: u64, all: u64, width: usize) -> Line<'static> {
        const HEAD: usize = 17 + 11;
        let room = width.saturating_sub(HEAD + 1);
        let part = if all == 0 { 0.0 } else { ((count as f64).ln_1p() / (all as f64).ln_1p()).min(1.0) };
        let len = if count == 0 { 0 } else { ((part * room as f64) as usize).max(1).min(room) };
        Line::from(vec![
            Span::raw(format!("{word:<17}")),
            Span::raw(format!("{:>10} ", thousands(count))),
            Span::styled("█".repeat(len), self.palette.style(Color::Cyan)),
        ])
    }

    fn feed(&self, area: Rect, buffer: &mut Buffer) {
        let snapshot = &self.screen.snapshot;
        let title = match self.screen.first {
            0 => "incidents".to_owned(),
            first => format!("incidents from the {}. on", thousands(first as u64 + 1)),
        };
        let inner = section(&title, area, buffer);
        if snapshot.incidents.is_empty() {
            let empty = "Nobody came yet. `roridula doctor` says whether anybody can reach this machine.";
            return Paragraph::new(empty).wrap(Wrap { trim: true }).render(inner, buffer);
        }
        let rows = snapshot.incidents.iter().skip(self.screen.first).take(usize::from(inner.height));
        let lines: Vec<Line<'_>> = rows.map(|row| self.row(row, snapshot.now, inner.width)).collect();
        Paragraph::new(lines).render(inner, buffer);
    }

    fn row(&self, row: &Row, now: WallClock, width: u16) -> Line<'static> {
        let age = format!("{:>5} ", age(row.last, now));
        let outcome = Span::styled(format!("{:<10}", row.outcome), self.palette.outcome(row.outcome));
        let source = Span::raw(format!("{:<15} ", shown(&row.source)));
        let mut spans = vec![Span::styled(age, self.palette.dim()), outcome, source];
        if width >= 60 {
            let size = row.size.map_or(String::new(), story::size);
            spans.push(Span::raw(format!("{size:>9} ")));
            let tool = if row.tool.is_empty() { "?" } else { row.tool.as_str() };
            spans.push(Span::styled(format!("{} ", shown(tool)), self.palette.style(Color::Cyan)));
        }
        // Who it was stands there already.
        let who = format!(" from {} ", row.source);
        let story = row.summary.split_once(who.as_str()).filter(|_| width >= 60);
        spans.push(Span::raw(shown(story.map_or(row.summary.as_str(), |(_, did)| did))));
        Line::from(spans)
    }

    fn help(&self, area: Rect, buffer: &mut Buffer) {
        let width = area.width.min(64);
        let height = area.height.min(11);
        let box_ = Rect {
            x: area.x + (area.width - width) / 2,
            y: area.y + (area.height - height) / 2,
            width,
            height,
        };
        Clear.render(box_, buffer);
        let block = Block::bordered().title(" help ");
        Paragraph::new(HELP).block(block).wrap(Wrap { trim: false }).render(box_, buffer);
    }
}

/// A line with a title, and the room below it.
fn section(title: &str, area: Rect, buffer: &mut Buffer) -> Rect {
    let block = Block::new().borders(Borders::TOP).title(format!("─ {title} "));
    let inner = block.inner(area);
    block.render(area, buffer);
    inner
}

/// Text that may be a visitor's: what would drive a terminal is escaped, and it has an end.
fn shown(text: &str) -> String {
    let cut: String = text.chars().take(TEXT_MAX).collect();
    Text::from(cut.as_str()).to_string()
}

/// How long ago that was, in five characters at most: `12 s`, `3 min`, `5 h`, `12 d`.
fn age(at: WallClock, now: WallClock) -> String {
    let secs = now.0.saturating_sub(at.0) / 1_000_000;
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs / 60),
        3600..172_800 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// The lines of a buffer without the blanks at their ends, and without the empty ones at its end.
pub(super) fn lines(buffer: &Buffer) -> Vec<String> {
    let rows = (buffer.area.top()..buffer.area.bottom()).map(|y| {
        let cells = (buffer.area.left()..buffer.area.right()).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    });
    let mut lines: Vec<String> = rows.collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}
