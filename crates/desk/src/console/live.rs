//! The live feed: how the honeypot is, and incidents as they grow, as server-sent events.
//!
//! An event's data is HTML as the page shows it, so that a row that came by the feed and one that came with the page are
//! the same.

use super::Desk;
use super::ask::{self, Ask, FILTERS, Problem};
use super::server::Peer;
use super::share::{Share, Shares};
use super::shelf::Shelves;
use super::view::{funnel_part, has_own_funnel, incidents_filter, incidents_of_family};
use crate::incident::{Filter, Incident, Incidents};
use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Readers at the same time.
const READERS_MAX: usize = 64;
/// Pieces of news that a slow reader may be behind; then it misses some.
const BEHIND_MAX: usize = 256;
/// Incidents that are looked at for news at once.
const PAGE: usize = 32;

/// What readers are told.
#[derive(Clone, Debug)]
enum News {
    /// An incident has grown: it, and its row.
    Incident(Arc<(Incident, String)>),
    /// A part of the page, by its id, is now this.
    Part(Arc<String>),
    /// Everybody's funnel is now this; who filters has one of his own.
    Funnel(Arc<String>),
}

/// Who reads along, and what was told last.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: Sender<News>,
    /// Who reads along often has fewer places left for pages: nobody may take them all from himself.
    shares: Arc<Shares>,
    /// The state of each of the incidents in which something happened last; none before the first look.
    told: Mutex<Option<HashMap<String, u64>>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            sender: broadcast::channel(BEHIND_MAX).0,
            shares: Shares::of(READERS_MAX),
            told: Mutex::default(),
        }
    }
}

impl Feed {
    /// Whether anybody reads along.
    pub(crate) fn is_read(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells what a part of the page is now.
    pub(crate) fn part(&self, html: String) {
        // Nobody listening is no failure.
        let _ = self.sender.send(News::Part(Arc::new(html)));
    }

    /// Tells what everybody's funnel is now.
    pub(crate) fn funnel(&self, html: String) {
        // As above.
        let _ = self.sender.send(News::Funnel(Arc::new(html)));
    }

    /// Tells in which incidents something has happened; `row` shows one, and says what of its samples is news.
    pub(crate) fn look(
        &self,
        incidents: &mut Incidents,
        row: impl Fn(&Incident) -> (String, String),
    ) -> Result<(), Problem> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept where reading fails: what came meanwhile is news the next time.
        let before = told.as_ref();
        let (mut now, mut news) = (HashMap::new(), Vec::new());
        let mut cursor: Option<String> = None;
        // Page by page, until one has an incident in which nothing has happened: what comes behind it is older.
        loop {
            let page =
                incidents.page(&Filter::default(), cursor.as_deref(), PAGE).map_err(Problem::failed)?;
            let mut is_news = true;
            for incident in page.rows {
                let (shown, samples) = row(&incident);
                let (name, state) = (incident.id.to_string(), state(&incident, &samples));
                let known = before.is_none_or(|before| before.get(&name) == Some(&state));
                now.insert(name, state);
                is_news &= !known;
                if !known {
                    news.push((incident, shown));
                }
            }
            cursor = page.next;
            if !is_news || cursor.is_none() || news.len() >= BEHIND_MAX {
                break;
            }
        }
        *told = Some(now);
        for (incident, shown) in news.into_iter().rev() {
            let _ = self.sender.send(News::Incident(Arc::new((incident, shown))));
        }
        Ok(())
    }
}

/// Changes whenever the row would.
fn state(incident: &Incident, told: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let samples: Vec<_> = incident.samples.iter().map(|sample| (sample.size, sample.first_seen)).collect();
    let tool = incident.tool.label.as_deref();
    (
        incident.last.0,
        incident.connections,
        incident.outcome.as_str(),
        tool,
        &incident.summary,
        samples,
        told,
    )
        .hash(&mut hasher);
    hasher.finish()
}

/// `/live`
pub(crate) fn routes() -> Router<Desk> {
    Router::new().route("/live", get(live))
}

async fn live(
    State(desk): State<Desk>,
    peer: Option<Extension<Peer>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let ask = match asked(&pairs) {
        Ok(ask) => ask,
        Err(problem) => return (StatusCode::BAD_REQUEST, problem.to_string()).into_response(),
    };
    if desk.live.sender.receiver_count() >= READERS_MAX {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many read along already").into_response();
    }
    let peer = peer.map_or_else(Peer::default, |Extension(peer)| peer);
    let Some(share) = desk.live.shares.take(peer.remote.ip()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "you read along in too many places already")
            .into_response();
    };
    let news = desk.live.sender.subscribe();
    let reader = Reader { news, filter: incidents_filter(&ask), pairs, shelves: desk.shelves, _share: share };
    let stream = futures_util::stream::unfold(reader, next);
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// What Home asks, as of now: `24h` are others a minute later.
fn asked(pairs: &[(String, String)]) -> Result<Ask, Problem> {
    if let Some((word, _)) = pairs.iter().find(|(word, _)| !FILTERS.contains(&word.as_str())) {
        return Err(ask::unknown_word(word, &FILTERS));
    }
    Ask::new(ask::now(), "/", BTreeMap::new(), pairs.to_vec())
}

/// Who reads along.
struct Reader {
    news: Receiver<News>,
    filter: Filter,
    pairs: Vec<(String, String)>,
    shelves: Arc<Shelves>,
    /// He holds it as long as he reads.
    _share: Share,
}

impl Reader {
    /// The funnel as his own filter has it.
    async fn funnel(&self, of_all: &str) -> Result<String, Problem> {
        let ask = asked(&self.pairs)?;
        if !has_own_funnel(&ask) {
            return Ok(of_all.to_owned());
        }
        self.shelves.read(move |shelf| Ok(funnel_part(shelf, &ask)?.into_string())).await
    }

    /// Whether he asked for an incident like this. Which samples are of his family is only known by then.
    async fn wants(&self, incident: &Incident) -> Result<bool, Problem> {
        let ask = asked(&self.pairs)?;
        if ask.filter.family.is_none() {
            return Ok(self.filter.fits(incident));
        }
        Ok(self.shelves.read(move |shelf| incidents_of_family(shelf, &ask)).await?.fits(incident))
    }
}

async fn next(mut reader: Reader) -> Option<(Result<Event, Infallible>, Reader)> {
    loop {
        let event = match reader.news.recv().await {
            Ok(News::Part(html)) => Event::default().event("part").data(html.as_str()),
            Ok(News::Funnel(of_all)) => match reader.funnel(&of_all).await {
                Ok(html) => Event::default().event("part").data(html),
                // It cannot be read just now; the next one comes.
                Err(_) => continue,
            },
            Ok(News::Incident(incident)) => match reader.wants(&incident.0).await {
                Ok(true) => Event::default().event("incident").data(incident.1.as_str()),
                Ok(false) | Err(_) => continue,
            },
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return None,
        };
        return Some((Ok(event), reader));
    }
}
