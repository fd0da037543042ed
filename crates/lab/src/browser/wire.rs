//! The DevTools protocol on two pipes: JSON, each message ended by a zero byte.

use super::Seen;
use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One browser's wire.
#[derive(Debug)]
pub(super) struct Wire {
    to: Mutex<(ChildStdin, u64)>,
    heard: Mutex<Heard>,
    news: Condvar,
}

/// What came so far.
#[derive(Debug, Default)]
struct Heard {
    answers: HashMap<u64, Value>,
    /// What each page's session saw; the browser's own under an empty name.
    seen: HashMap<String, Seen>,
    gone: bool,
}

impl Wire {
    pub(super) fn start(to: ChildStdin, from: ChildStdout) -> anyhow::Result<Arc<Self>> {
        let wire = Arc::new(Self { to: Mutex::new((to, 0)), heard: Mutex::default(), news: Condvar::new() });
        let listening = Arc::clone(&wire);
        std::thread::Builder::new()
            .name("devtools".into())
            .spawn(move || listening.listen(BufReader::new(from)))
            .context("cannot start a thread")?;
        Ok(wire)
    }

    /// Sends a command and waits for its answer.
    pub(super) fn ask(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> anyhow::Result<Value> {
        let id = self.send(session, method, params)?;
        let mut answer = self
            .wait(patience, |heard| heard.answers.remove(&id))
            .with_context(|| format!("no answer to {method}"))?;
        if let Some(message) = answer["error"]["message"].as_str() {
            bail!("{method}: {message}");
        }
        Ok(answer["result"].take())
    }

    /// Waits until what a session has seen fits.
    pub(super) fn wait_seen<T>(
        &self,
        session: &str,
        patience: Duration,
        mut fits: impl FnMut(&mut Seen) -> Option<T>,
    ) -> anyhow::Result<T> {
        self.wait(patience, |heard| fits(heard.seen.entry(session.to_owned()).or_default()))
    }

    /// Looks at what a session has seen.
    pub(super) fn seen<T>(&self, session: &str, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(self.heard().seen.entry(session.to_owned()).or_default())
    }

    fn wait<T>(
        &self,
        patience: Duration,
        mut fits: impl FnMut(&mut Heard) -> Option<T>,
    ) -> anyhow::Result<T> {
        let deadline = Instant::now() + patience;
        let mut heard = self.heard();
        loop {
            if let Some(found) = fits(&mut heard) {
                return Ok(found);
            }
            if heard.gone {
                bail!("the browser is gone");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("nothing in {patience:?}");
            }
            heard = self.news.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn send(&self, session: Option<&str>, method: &str, params: Value) -> anyhow::Result<u64> {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        to.1 += 1;
        let id = to.1;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        to.0.write_all(&bytes).and_then(|()| to.0.flush()).map_err(|error| anyhow!("{method}: {error}"))?;
        Ok(id)
    }

    fn listen(&self, mut from: BufReader<ChildStdout>) {
        let mut bytes = Vec::new();
        while matches!(from.read_until(0, &mut bytes), Ok(1..)) {
            if bytes.last() == Some(&0) {
                bytes.pop();
            }
            if let Ok(message) = serde_json::from_slice::<Value>(&bytes) {
                self.take(message);
            }
            bytes.clear();
        }
        self.heard().gone = true;
        self.news.notify_all();
    }

    fn take(&self, mut message: Value) {
        let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
        let mut heard = self.heard();
        let Some(id) = message["id"].as_u64() else {
            let method = message["method"].as_str().unwrap_or_default().to_owned();
            heard.seen.entry(session.clone()).or_default().see(&method, &message["params"].take());
            drop(heard);
            if method == "Page.javascriptDialogOpening" {
                // A page that waits for its user would wait for ever.
                let _ = self.send(Some(&session), "Page.handleJavaScriptDialog", json!({ "accept": false }));
            }
            return self.news.notify_all();
        };
        heard.answers.insert(id, message);
        drop(heard);
        self.news.notify_all();
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
