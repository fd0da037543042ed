//! Standard output: tables, JSON, colour.

use roridula_desk::index::Progress;
use roridula_desk::json;
use roridula_desk::story::Weight;
use roridula_evidence::{Published, rfc3339};
use roridula_proto::connection::ConnectionId;
use roridula_proto::time::WallClock;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::time::{Duration, Instant};

/// A bar on standard error for work of `len` steps; nothing where that is no terminal, or for what is soon done.
pub(crate) fn progress(len: u64, what: &'static str) -> indicatif::ProgressBar {
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
    let bar = ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr());
    let form = "{msg} {bar:30} {pos} of {len}, {per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
    bar
}

/// Catching a view up for longer than this shows how far it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far a view is that is being caught up with the journal; nothing for what is soon done.
pub(crate) struct CatchingUp {
    what: &'static str,
    since: Instant,
    bar: Option<indicatif::ProgressBar>,
}

impl CatchingUp {
    /// Nothing is shown yet.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, since: Instant::now(), bar: None }
    }

    /// It is so far now.
    pub(crate) fn show(&mut self, now: Progress) {
        if self.since.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| progress(now.total, self.what));
        bar.set_length(now.total);
        bar.set_position(now.done);
    }

    /// It is done.
    pub(crate) fn clear(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Buffered standard output.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Prints one value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = stdout();
    writeln!(out, "{}", json::pretty(value)?)?;
    out.flush()
}

/// Writes rows under a head, columns aligned; a column whose head begins with `>` is aligned to the right.
pub(crate) fn table(out: &mut impl Write, head: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let right: Vec<bool> = head.iter().map(|name| name.starts_with('>')).collect();
    let head: Vec<String> = head.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for ((cell, &width), &right) in row.iter().zip(&widths).zip(&right) {
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) = if right { (pad, String::new()) } else { (String::new(), pad) };
            line += &format!("{before}{cell}{after}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A moment as people read it: `2026-11-23 02:50:00 UTC` without its fraction.
pub(crate) fn moment(at: WallClock) -> String {
    let text = rfc3339(at);
    format!("{} {}", &text[..10], &text[11..19])
}

/// The clock of a moment, with milliseconds: `02:50:00.123`.
pub(crate) fn clock(at: WallClock) -> String {
    // Every line of the live view has one: no calendar.
    let millis = at.0 / 1000;
    let (hour, minute, second) = (millis / 3_600_000 % 24, millis / 60_000 % 60, millis / 1000 % 60);
    format!("{hour:02}:{minute:02}:{second:02}.{:03}", millis % 1000)
}

/// The part of a connection's name that tells it from others on a screen: its last six characters.
pub(crate) fn short(connection: ConnectionId) -> String {
    connection.to_string()[7..].to_owned()
}

/// Whether `text` is the end of a connection's name, long enough to mean it.
pub(crate) fn is_short_for(text: &str, connection: ConnectionId) -> bool {
    text.len() >= 3 && connection.to_string().ends_with(text)
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether and how to colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Colour on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn detect() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: io::stdout().is_terminal() && !refused }
    }

    /// `text` in the colour of `weight`.
    pub(crate) fn weight(self, weight: Weight, text: &str) -> String {
        match weight {
            Weight::Detail => self.code("2", text),
            Weight::Stage => text.to_owned(),
            Weight::Attack => self.code("33", text),
            Weight::Catch => self.code("1;32", text),
            Weight::Trouble => self.code("1;31", text),
        }
    }

    /// `text`, not so loud.
    pub(crate) fn dim(self, text: &str) -> String {
        self.code("2", text)
    }

    fn code(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// An event as one line: clock, visitor, connection, what happened.
pub(crate) fn event_line(paint: Paint, event: &Published) -> String {
    let source = event.source.map_or(String::new(), |source| {
        let ip = source.ip().to_canonical();
        std::net::SocketAddr::new(ip, source.port()).to_string()
    });
    let connection = event.connection.map_or(String::new(), short);
    told(
        paint,
        event.time,
        &source,
        &connection,
        roridula_desk::story::weight(&event.event),
        &roridula_desk::story::line(&event.event),
    )
}

/// A line about a visitor.
pub(crate) fn told(
    paint: Paint,
    at: WallClock,
    source: &str,
    connection: &str,
    weight: Weight,
    text: &str,
) -> String {
    if !paint.on {
        return format!("{}  {source:<21}  {connection:<6}  {text}", clock(at));
    }
    let head = format!("{}  {source:<21}  {connection:<6}", clock(at));
    format!("{}  {}", paint.dim(&head), paint.weight(weight, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let mut out = Vec::new();
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["bcd".to_owned(), "7".to_owned()]];
        table(&mut out, &["NAME", ">N"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME   N\na     10\nbcd    7\n");
    }

    #[test]
    fn moments_read_well() {
        let at = WallClock(1_700_000_000_123_456);
        assert_eq!((moment(at).as_str(), clock(at).as_str()), ("2023-11-14 22:13:20", "22:13:20.123"));
        for id in [ConnectionId(u64::MAX), ConnectionId(1_700_000_000_000_000 << 10)] {
            assert_eq!(short(id).len(), 6);
            assert!(is_short_for(&short(id), id) && is_short_for(&id.to_string(), id));
            assert!(!is_short_for(&short(id)[4..], id));
        }
    }
}
