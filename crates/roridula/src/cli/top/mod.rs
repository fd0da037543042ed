//! `roridula top`: the console's ten seconds in a terminal.
//!
//! `read` what there is to know, as a plain value → `screen` what the user wants to see of it → `draw` as cells. A thread
//! reads, so that keys answer at once; whatever cannot be read is told on the screen and tried again.

mod draw;
mod read;
mod screen;
#[cfg(test)]
mod tests;

use super::{Failure, out};
use clap::{Args, ValueEnum};
use draw::{Drawn, Palette};
use ratatui::DefaultTerminal;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::layout::Rect;
use read::{Snapshot, Source};
use screen::Screen;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

/// How long a key is waited for before news are looked for.
const BLINK: Duration = Duration::from_millis(200);
/// How often it is read anew.
const EVERY: Duration = Duration::from_secs(1);
/// Size of the frame that `--once` prints where the terminal does not say.
const ONCE: Rect = Rect::new(0, 0, 100, 40);

/// The honeypot at a glance: is it well, what is new, who came; until `q`
#[derive(Debug, Args)]
#[command(after_help = "\
Keys: q quit · ? help · 1 2 3 4 the funnel's time · arrows, Page Up and Down, Home scroll the incidents.
Without a terminal, for cron or a mail: roridula top --once")]
pub(crate) struct TopArgs {
    /// Print one frame as plain text and end
    #[arg(long)]
    once: bool,
    /// The time that the funnel shows at first
    #[arg(long, value_enum, default_value_t = Time::Day, value_name = "TIME")]
    time: Time,
}

/// Which time the funnel is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Time {
    /// The last hour
    #[value(name = "1h")]
    Hour,
    /// The last 24 hours
    #[value(name = "24h")]
    Day,
    /// The last 7 days
    #[value(name = "7d")]
    Week,
    /// The last 30 days
    #[value(name = "30d")]
    Month,
}

impl Time {
    pub(super) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "1 h",
            Self::Day => "24 h",
            Self::Week => "7 d",
            Self::Month => "30 d",
        }
    }

    pub(super) const fn micros(self) -> u64 {
        const HOUR: u64 = 3_600_000_000;
        match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 30 * 24 * HOUR,
        }
    }
}

/// Shows `data` until the user has seen enough.
pub(crate) fn run(args: &TopArgs, data: &Path) -> Result<(), Failure> {
    let mut screen = Screen::new(args.time);
    if args.once {
        let snapshot = Source::new(data).read(&mut |_| true);
        // A mail of empty lines would be taken for a quiet night.
        if let Some(trouble) = &snapshot.trouble {
            return Err(Failure::new(trouble.clone()));
        }
        screen.show(snapshot);
        return print(&screen);
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::new("this is no terminal; `roridula top --once` prints one frame"));
    }
    let news = start(Source::new(data))?;
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &mut screen, &news);
    ratatui::restore();
    shown
}

fn show(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    news: &Receiver<Snapshot>,
) -> Result<(), Failure> {
    let palette = Palette::detect();
    let mut stale = true;
    loop {
        match news.try_recv() {
            Ok(snapshot) => {
                screen.show(snapshot);
                stale = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(Failure::new("the reading thread died of a fault"));
            }
        }
        if std::mem::take(&mut stale) {
            terminal
                .draw(|frame| frame.render_widget(Drawn { screen, palette, keys: true }, frame.area()))?;
        }
        if !event::poll(BLINK)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                if screen.key(key) {
                    return Ok(());
                }
                stale = true;
            }
            Event::Resize(..) => stale = true,
            _ => {}
        }
    }
}

/// Reads again and again in a thread of its own, until nobody takes it any more.
fn start(mut source: Source) -> Result<Receiver<Snapshot>, Failure> {
    let (sender, news): (SyncSender<Snapshot>, _) = sync_channel(1);
    std::thread::Builder::new().name("top".to_owned()).spawn(move || {
        loop {
            let snapshot = source.read(&mut |progress| sender.send(progress).is_ok());
            if sender.send(snapshot).is_err() {
                return;
            }
            std::thread::sleep(EVERY);
        }
    })?;
    Ok(news)
}

/// The frame as lines of text without colour.
fn print(screen: &Screen) -> Result<(), Failure> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let size = Rect { width: columns.unwrap_or(ONCE.width).clamp(20, 1000), ..ONCE };
    let mut buffer = Buffer::empty(size);
    // Nobody presses a key on paper.
    let drawn = Drawn { screen, palette: Palette::PLAIN, keys: false };
    ratatui::widgets::Widget::render(drawn, size, &mut buffer);
    let mut out = out::stdout();
    for line in draw::lines(&buffer) {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}
