//! Files to take away: packet captures, transcripts, models as JSON, samples as encrypted archives.
//!
//! Each is an attachment, and none is what a browser would show or run. What is large is written as it is sent.

use super::Desk;
use super::archive;
use super::ask::{self, Ask, Problem, address};
use super::recorded::{Recording, decoy};
use super::shelf::Shelf;
use super::view::{View, connection, failed, incident, sample};
use crate::pcapng;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::StreamExt;
use roridula_evidence::Reader;
use roridula_proto::connection::{ConnectionId, Decoy};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Large files that are written at the same time; who comes then is asked to wait.
const FILES_MAX: usize = 2;
/// Connections of one packet capture: their transcripts are held at once.
pub(super) const CONNECTIONS_MAX: usize = 512;
/// Bytes that are written before they are sent.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for a slow reader.
const PIECES_MAX: usize = 4;
/// A reader that takes nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// What downloads share.
#[derive(Clone, Debug)]
struct Files {
    desk: Desk,
    turns: Arc<Semaphore>,
}

type Places = Path<BTreeMap<String, String>>;

/// The routes of all files.
pub(crate) fn routes(desk: &Desk) -> Router<Desk> {
    let files = Files { desk: desk.clone(), turns: Arc::new(Semaphore::new(FILES_MAX)) };
    Router::new()
        .route("/incidents/{id}/incident.json", get(json::<incident::Incident>))
        .route("/incidents/{id}/attack.pcapng", get(attack))
        .route("/incidents/{id}/transcripts.txt", get(transcripts))
        .route(
            "/incidents/{id}/connections/{connection}/connection.json",
            get(json::<connection::Connection>),
        )
        .route("/incidents/{id}/connections/{connection}/visit.pcapng", get(visit))
        .route("/incidents/{id}/connections/{connection}/transcript.txt", get(transcript))
        .route("/connections/{connection}", get(home_of))
        .route("/samples/{sha256}/sample.json", get(json::<sample::Sample>))
        .route("/samples/{sha256}/export", post(export))
        .route("/samples/{sha256}/diff", get(with))
        .with_state(files)
}

fn asked(uri: &Uri, Path(places): Places) -> Result<Ask, Problem> {
    Ask::new(ask::now(), uri.path(), places, Vec::new())
}

/// An answer, or what went wrong, as a page.
fn answer(uri: &Uri, found: Result<Response, Problem>) -> Response {
    let ask = Ask { path: uri.path().to_owned(), ..Ask::default() };
    found.unwrap_or_else(|problem| failed(&ask, &problem))
}

/// A file that is saved and never shown.
fn attachment(kind: &'static str, name: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // Names are ours: letters, digits and `-`.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

async fn json<V: View>(State(files): State<Files>, uri: Uri, places: Places) -> Response {
    let found = async {
        let ask = asked(&uri, places)?;
        let read = move |shelf: &mut Shelf| {
            let model = V::load(shelf, &ask)?;
            crate::json::pretty(&model).map_err(Problem::failed)
        };
        let body = files.desk.shelves.read(read).await?;
        let mut name = uri.path().trim_matches('/').replace('/', "-");
        name.retain(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        Ok(attachment("application/json", &format!("roridula-{name}"), Body::from(body)))
    };
    answer(&uri, found.await)
}

async fn transcript(State(files): State<Files>, uri: Uri, places: Places) -> Response {
    let found = async {
        let (_, id) = connection::names(&asked(&uri, places)?)?;
        let read = move |shelf: &mut Shelf| Ok(Recording::load(&shelf.reader, id)?.text);
        let text = files.desk.shelves.read(read).await?;
        Ok(attachment("text/plain; charset=utf-8", &format!("roridula-{id}.txt"), Body::from(text)))
    };
    answer(&uri, found.await)
}

async fn visit(State(files): State<Files>, uri: Uri, places: Places) -> Response {
    let found = async {
        let (_, id) = connection::names(&asked(&uri, places)?)?;
        files.written(format!("roridula-{id}.pcapng"), PACKETS, vec![id]).await
    };
    answer(&uri, found.await)
}

async fn attack(files: State<Files>, uri: Uri, places: Places) -> Response {
    of_incident(files, uri, places, "pcapng", PACKETS).await
}

async fn transcripts(files: State<Files>, uri: Uri, places: Places) -> Response {
    of_incident(files, uri, places, "txt", TRANSCRIPTS).await
}

/// A file of all connections of an incident.
async fn of_incident(
    State(files): State<Files>,
    uri: Uri,
    places: Places,
    ending: &str,
    form: Form,
) -> Response {
    let found = async {
        let id = asked(&uri, places)?.incident("id")?;
        let read = move |shelf: &mut Shelf| shelf.incidents.connections(id).map_err(Problem::failed);
        let members = files.desk.shelves.read(read).await?;
        if members.is_empty() {
            return Err(Problem::Missing(format!("there is no incident {id}")));
        }
        let ids = members.iter().take(CONNECTIONS_MAX).map(|member| member.connection).collect();
        files.written(format!("roridula-{id}.{ending}"), form, ids).await
    };
    answer(&uri, found.await)
}

/// A connection's page stands below its incident's.
async fn home_of(State(files): State<Files>, uri: Uri, Path(places): Places) -> Response {
    let found = async {
        let name = places.get("connection").map_or("", String::as_str);
        let id = ConnectionId::from_str(name);
        let id = id.map_err(|_| Problem::Missing("this is no connection's name".to_owned()))?;
        let read = move |shelf: &mut Shelf| shelf.incidents.of_connection(id).map_err(Problem::failed);
        let incident = files.desk.shelves.read(read).await?;
        let incident = incident.ok_or_else(|| {
            Problem::Missing(format!("{id} belongs to no incident: it is still open, or there is none"))
        })?;
        let to = address(&format!("/incidents/{incident}/connections/{id}"), std::iter::empty());
        Ok((StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response())
    };
    answer(&uri, found.await)
}

/// The form on a sample's page names the other one.
async fn with(uri: Uri, Path(places): Places, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let is_hex = |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let both = places.get("sha256").filter(is_hex).zip(query.get("with").filter(is_hex));
    let found = both.map(|(a, b)| {
        (StatusCode::SEE_OTHER, [(LOCATION, format!("/samples/{a}/diff/{b}"))]).into_response()
    });
    answer(&uri, found.ok_or_else(|| Problem::Bad("`with` is a SHA-256, or its beginning".to_owned())))
}

/// The second step of the dialog: the guard has checked its form's token.
async fn export(State(files): State<Files>, uri: Uri, places: Places) -> Response {
    let found = async {
        let ask = asked(&uri, places)?;
        let turn = files.turn()?;
        let read = move |shelf: &mut Shelf| {
            let sample = sample::find(shelf, &ask)?;
            Ok((sample.sha256.to_string(), archive::zip(shelf, &sample, &ask)?))
        };
        let (name, zip) = files.desk.shelves.read(read).await?;
        drop(turn);
        Ok(attachment("application/zip", &format!("{name}.zip"), Body::from(zip)))
    };
    answer(&uri, found.await)
}

impl Files {
    fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let turn = Arc::clone(&self.turns).try_acquire_owned();
        turn.map_err(|_| Problem::Busy("other files are being written: try again in a moment".to_owned()))
    }

    /// A file of these connections, written while it is sent.
    async fn written(&self, name: String, form: Form, ids: Vec<ConnectionId>) -> Result<Response, Problem> {
        let turn = self.turn()?;
        let dir: PathBuf = self.desk.shelves.read(|shelf| Ok(shelf.dir.clone())).await?;
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        let (ready, opened) = tokio::sync::oneshot::channel();
        // A shelf is for answers that come at once; a slow reader holds a thread and a turn of its own.
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let opened = open(&dir, &ids);
            let (recordings, decoy) = match opened {
                Ok(opened) => opened,
                Err(problem) => return drop(ready.send(Err(problem))),
            };
            if ready.send(Ok(())).is_err() {
                return;
            }
            let mut pipe = Pipe { sender, piece: Vec::with_capacity(PIECE) };
            if let Err(error) = (form.write)(&mut pipe, &recordings, &decoy).and_then(|()| pipe.flush()) {
                // The reader sees a file that ends early.
                let _ = pipe.sender.try_send(Err(error));
            }
        });
        opened.await.map_err(Problem::failed)??;
        // Whoever compresses it asks once more behind the end, which a bare `unfold` answers with a panic.
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })
        .fuse();
        Ok(attachment(form.kind, &name, Body::from_stream(pieces)))
    }
}

/// What connections are written as.
#[derive(Clone, Copy)]
struct Form {
    kind: &'static str,
    write: fn(&mut Pipe, &[Recording], &Decoy) -> io::Result<()>,
}

const PACKETS: Form = Form {
    kind: "application/x-pcapng",
    write: |pipe, recordings, decoy| {
        let recorded: Vec<_> = recordings.iter().map(|recording| recording.recorded(decoy)).collect();
        pcapng::write(pipe, &recorded, false).map(drop)
    },
};

/// One behind the other; each begins with its own first line.
const TRANSCRIPTS: Form = Form {
    kind: "text/plain; charset=utf-8",
    write: |pipe, recordings, _| {
        recordings.iter().try_for_each(|recording| pipe.write_all(recording.text.as_bytes()))
    },
};

type Opened = (Vec<Recording>, Decoy);

/// The recordings of these connections; those without a transcript are left out.
fn open(dir: &std::path::Path, ids: &[ConnectionId]) -> Result<Opened, Problem> {
    let reader = Reader::open(dir).map_err(Problem::failed)?;
    let mut recordings = Vec::new();
    let mut why = Problem::Missing("no transcript of any of its connections was kept".to_owned());
    for id in ids {
        match Recording::load(&reader, *id) {
            Ok(recording) => recordings.push(recording),
            Err(missing @ Problem::Missing(_)) => why = missing,
            Err(other) => return Err(other),
        }
    }
    if recordings.is_empty() {
        return Err(why);
    }
    Ok((recordings, decoy(dir)?))
}

/// Sends what is written, piece by piece.
struct Pipe {
    sender: Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let send = tokio::time::timeout(PATIENCE, self.sender.send(Ok(piece)));
        match tokio::runtime::Handle::current().block_on(send) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
