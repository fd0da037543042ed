//! What the user has chosen to see.

use super::Time;
use super::read::Snapshot;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Incidents that Page Up and Page Down pass by.
const PAGE: usize = 10;

/// What is on the screen.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) snapshot: Snapshot,
    pub(super) time: Time,
    /// The first incident that is shown, counted from the newest.
    pub(super) first: usize,
    pub(super) help: bool,
}

impl Screen {
    pub(super) fn new(time: Time) -> Self {
        Self { snapshot: Snapshot::default(), time, first: 0, help: false }
    }

    /// Shows a newer state; whoever has scrolled stays where they were.
    pub(super) fn show(&mut self, snapshot: Snapshot) {
        let at = self.snapshot.incidents.get(self.first).map(|incident| incident.id.clone());
        self.snapshot = snapshot;
        if self.first > 0 {
            let moved = self.snapshot.incidents.iter().position(|incident| Some(&incident.id) == at.as_ref());
            self.first = moved.unwrap_or(self.first);
        }
        self.clamp();
    }

    /// Does what a key says; whether it says to end.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => return true,
            KeyCode::Char('q') => return true,
            KeyCode::Esc if !self.help => return true,
            KeyCode::Esc => self.help = false,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char(digit @ '1'..='4') => {
                let at = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(1);
                self.time = Time::ALL[at - 1];
            }
            KeyCode::Right | KeyCode::Tab => self.turn(1),
            KeyCode::Left | KeyCode::BackTab => self.turn(Time::ALL.len() - 1),
            KeyCode::Down | KeyCode::Char('j') => self.first = self.first.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.saturating_sub(1),
            KeyCode::PageDown => self.first = self.first.saturating_add(PAGE),
            KeyCode::PageUp => self.first = self.first.saturating_sub(PAGE),
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = usize::MAX,
            _ => {}
        }
        self.clamp();
        false
    }

    fn turn(&mut self, steps: usize) {
        let at = Time::ALL.iter().position(|time| *time == self.time).unwrap_or(0);
        self.time = Time::ALL[(at + steps) % Time::ALL.len()];
    }

    fn clamp(&mut self) {
        self.first = self.first.min(self.snapshot.incidents.len().saturating_sub(1));
    }
}
