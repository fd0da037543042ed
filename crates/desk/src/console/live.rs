//! The live feed: incidents as they grow, as server-sent events.
//!
//! An event's data is the row of the incident as the page shows it, so that a row that came by the feed and one that came
//! with the page are the same.

use super::Desk;
use super::ask::Problem;
use super::view::incident_row;
use crate::incident::{Filter, Incident, Incidents};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Readers at the same time.
const READERS_MAX: usize = 64;
/// Rows that a slow reader may be behind; then it misses some.
const BEHIND_MAX: usize = 256;
/// Incidents that are looked at for news.
const NEWEST: usize = 40;

/// Who reads along, and what was told last.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: Sender<String>,
    /// The state of each of the newest incidents; none before the first look.
    told: Mutex<Option<HashMap<String, u64>>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { sender: broadcast::channel(BEHIND_MAX).0, told: Mutex::default() }
    }
}

impl Feed {
    /// Tells what is new among the newest incidents.
    pub(crate) fn look(&self, incidents: &mut Incidents) -> Result<(), Problem> {
        let filter = Filter { limit: Some(NEWEST), ..Filter::default() };
        let newest = incidents.list(&filter).map_err(Problem::failed)?;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.take();
        let now = told.insert(HashMap::new());
        for incident in newest.iter().rev() {
            let (name, state) = (incident.id.to_string(), state(incident));
            if before.as_ref().is_some_and(|before| before.get(&name) != Some(&state)) {
                // Nobody listening is no failure.
                let _ = self.sender.send(incident_row(incident).into_string());
            }
            now.insert(name, state);
        }
        Ok(())
    }
}

/// Changes whenever the row would.
fn state(incident: &Incident) -> u64 {
    incident.last.0.wrapping_add(incident.connections)
}

/// `/live`
pub(crate) fn routes() -> Router<Desk> {
    Router::new().route("/live", get(live))
}

async fn live(State(desk): State<Desk>) -> Response {
    if desk.live.sender.receiver_count() >= READERS_MAX {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many read along already").into_response();
    }
    let stream = futures_util::stream::unfold(desk.live.sender.subscribe(), next);
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

async fn next(mut rows: Receiver<String>) -> Option<(Result<Event, Infallible>, Receiver<String>)> {
    loop {
        match rows.recv().await {
            Ok(row) => return Some((Ok(Event::default().event("incident").data(row)), rows)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
