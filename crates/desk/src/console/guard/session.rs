//! Who has logged in: a bounded table that forgets.

use super::secret::Secret;
use crate::console::ConsoleSettings;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Open sessions. An id is known to its browser only; the table has its hash.
#[derive(Debug)]
pub(crate) struct Sessions {
    open: HashMap<[u8; 32], Session>,
    max: usize,
    idle: Duration,
    life: Duration,
}

#[derive(Debug)]
struct Session {
    begun: Instant,
    used: Instant,
}

impl Sessions {
    /// None yet.
    pub(crate) fn new(settings: &ConsoleSettings) -> Self {
        Self {
            open: HashMap::new(),
            max: usize::try_from(settings.sessions_max).unwrap_or(usize::MAX).max(1),
            idle: Duration::from_secs(settings.session_idle_secs),
            life: Duration::from_secs(settings.session_secs),
        }
    }

    /// Begins one and gives its id. The table does not grow above its bound: then the longest unused session
    /// ends.
    pub(crate) fn begin(&mut self, now: Instant) -> Secret {
        let (idle, life) = (self.idle, self.life);
        self.open.retain(|_, session| session.is_open(now, idle, life));
        while self.open.len() >= self.max {
            let longest = self.open.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            let Some(longest) = longest else { break };
            self.open.remove(&longest);
        }
        let id = Secret::random();
        self.open.insert(id.hash(), Session { begun: now, used: now });
        id
    }

    /// Whether this id's session is open; it counts as used.
    pub(crate) fn uses(&mut self, id: &Secret, now: Instant) -> bool {
        let hash = id.hash();
        let (idle, life) = (self.idle, self.life);
        match self.open.get_mut(&hash) {
            Some(session) if session.is_open(now, idle, life) => {
                session.used = now;
                true
            }
            Some(_) => {
                self.open.remove(&hash);
                false
            }
            None => false,
        }
    }

    /// Whether this id's session is open; that it is asked for is no use of it.
    pub(crate) fn holds(&self, id: &Secret, now: Instant) -> bool {
        let (idle, life) = (self.idle, self.life);
        self.open.get(&id.hash()).is_some_and(|session| session.is_open(now, idle, life))
    }

    /// Ends one.
    pub(crate) fn end(&mut self, id: &Secret) {
        self.open.remove(&id.hash());
    }

    /// Ends all.
    pub(crate) fn end_all(&mut self) {
        self.open.clear();
    }
}

impl Session {
    fn is_open(&self, now: Instant, idle: Duration, life: Duration) -> bool {
        now.saturating_duration_since(self.used) < idle && now.saturating_duration_since(self.begun) < life
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(max: u32) -> Sessions {
        Sessions::new(&ConsoleSettings {
            sessions_max: max,
            session_idle_secs: 100,
            session_secs: 250,
            ..ConsoleSettings::default()
        })
    }

    #[test]
    fn a_session_ends_unused_or_old_or_told_to() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut sessions = sessions(8);
        let id = sessions.begin(at(0));
        assert!(sessions.uses(&id, at(99)) && sessions.uses(&id, at(198)));
        assert!(!sessions.uses(&id, at(250)), "a week is a week, however busy");
        assert!(!sessions.uses(&id, at(199)), "it does not come back");
        let id = sessions.begin(at(0));
        assert!(!sessions.uses(&id, at(100)), "unused");
        let (one, two) = (sessions.begin(at(300)), sessions.begin(at(300)));
        sessions.end(&one);
        assert!(!sessions.uses(&one, at(300)) && sessions.uses(&two, at(300)));
        sessions.end_all();
        assert!(!sessions.uses(&two, at(300)));
        assert!(!sessions.uses(&Secret::random(), at(300)), "an id that nobody was given");
    }

    #[test]
    fn the_table_does_not_grow_and_the_longest_unused_goes_first() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut sessions = sessions(3);
        let ids: Vec<_> = (0..3).map(|n| sessions.begin(at(n))).collect();
        assert!(sessions.uses(&ids[0], at(5)));
        let last = sessions.begin(at(6));
        assert_eq!(sessions.open.len(), 3);
        assert!(!sessions.uses(&ids[1], at(7)));
        assert!(
            sessions.uses(&ids[0], at(7)) && sessions.uses(&ids[2], at(7)) && sessions.uses(&last, at(7))
        );
    }
}
