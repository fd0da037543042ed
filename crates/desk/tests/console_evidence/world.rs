//! A journal in which little happened: visits out of golden transcripts, played again through a real connection.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use roridula_desk::console;
use roridula_desk::incident::Incidents;
use roridula_desk::sample::Reports;
use roridula_evidence::{Attribution, Batch, Capture, Changes, Closing, Options, SampleId, Store};
use roridula_proto::connection::{CaptureOp, Connection, Decoy, Implant, Input, Ms17010, Opening, Output};
use roridula_proto::event::{Event, Origin, Transport, UploadState};
use roridula_proto::identity::Identity;
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::Timestamp;
use roridula_proto::transcript::{Payloads, Recorder, Transcript};
use roridula_triage::rules::Rules;
use roridula_triage::{Budget, Road, triage};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use tower::ServiceExt;

/// Gives these bytes for any upload.
pub(crate) struct Payload<'a>(pub(crate) &'a [u8]);

impl Payloads for Payload<'_> {
    fn read(&self, _upload: u32, offset: u64, len: u32) -> Option<Vec<u8>> {
        let start = usize::try_from(offset).ok()?;
        self.0.get(start..start + usize::try_from(len).ok()?).map(<[u8]>::to_vec)
    }
}

pub(crate) struct World {
    store: Store,
    reports: Reports,
    rules: Rules,
    dir: std::path::PathBuf,
}

impl World {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            store: Store::open(dir, "test", Options::default()).unwrap(),
            reports: Reports::open(dir).unwrap(),
            rules: Rules::compile(&[]).0,
            dir: dir.to_owned(),
        }
    }

    /// Plays a transcript's inputs to a connection of `source`, and keeps all of it. `change` may spoil what is sent.
    pub(crate) fn visit(
        &self,
        source: &str,
        transcript: &str,
        payload: &[u8],
        change: &dyn Fn(&[u8]) -> Vec<u8>,
    ) -> String {
        let whose = self.store.accept(source.parse().unwrap(), "127.0.0.1:445".parse().unwrap());
        let install = self.store.install();
        let decoy = Arc::new(Decoy {
            identity: Identity::derive(install.secret.clone(), install.installed_at),
            persona: Persona::WINDOWS_7_SP1,
            limits: Limits::default(),
            implant: Implant::default(),
            ms17_010: Ms17010::Unpatched,
        });
        let opening = Opening { id: whose.connection, at: whose.at, transport: Transport::DirectTcp };
        let mut connection = Connection::new(Arc::clone(&decoy), opening);
        let mut recorder = Recorder::new(decoy, opening);
        let (mut events, mut bytes, mut output) = (Vec::new(), Vec::new(), Output::default());
        let mut take = |now: Timestamp, input: Input<'_>| {
            let changed;
            let input = match input {
                Input::Bytes(sent) => {
                    changed = change(sent);
                    Input::Bytes(&changed)
                }
                other => other,
            };
            output.clear();
            connection.handle(now, input, &mut output);
            recorder.record(now, input, &output);
            events.extend(output.events.iter().map(|(at, event)| (opening.at.at(*at), event.clone())));
            for op in &output.capture {
                if let CaptureOp::Write { upload: 1, bytes: range, .. } = op {
                    bytes.extend_from_slice(&output.payload[range.clone()]);
                }
            }
        };
        Transcript::parse(transcript).unwrap().inputs(&Payload(payload), &mut take).unwrap();
        let closing = Closing { transcript: Some(recorder.transcript().to_text()), whole: true };
        if !bytes.is_empty() {
            self.keep(&whose, &bytes);
        }
        self.store.append_blocking(Batch {
            attribution: whose,
            events,
            changes: Changes::default(),
            closing: Some(closing),
        });
        self.store.flush();
        whose.connection.to_string()
    }

    fn keep(&self, whose: &Attribution, bytes: &[u8]) {
        let mut slot = self.store.slot(whose, 1, Origin::DoublePulsar).unwrap();
        slot.write(0, bytes).unwrap();
        let sha256 = SampleId(Sha256::digest(bytes).into());
        let capture = Capture {
            attribution: *whose,
            upload: 1,
            origin: Origin::DoublePulsar,
            state: UploadState::Complete,
            total: Some(bytes.len() as u64),
            ranges: slot.ranges().to_vec(),
            sha256,
            size: bytes.len() as u64,
        };
        self.store.keep_new(capture, slot).unwrap();
        let report = triage(bytes, Road::Payload, &self.rules, &Budget::default());
        self.reports.put(sha256, &report).unwrap();
        self.store.publish(Event::SampleTriaged {
            sha256: sha256.to_string(),
            layers: Vec::new(),
            core: String::new(),
            family: String::new(),
            confidence: String::new(),
            rules: String::new(),
            error: String::new(),
        });
    }

    /// The console over it, after everything derived has caught up; and the newest incident first.
    pub(crate) fn open(self) -> (Router, Vec<String>) {
        self.store.flush();
        let mut incidents = Incidents::open(&self.dir, None).unwrap();
        incidents.catch_up(&mut |_| ()).unwrap();
        let ids = incidents.ids(100).unwrap().iter().map(ToString::to_string).collect();
        let mut index = roridula_desk::index::Index::open_or_temporary(&self.dir).unwrap();
        index.catch_up(&mut |_| ()).unwrap();
        (console::router(&self.dir, &Default::default()).unwrap(), ids)
    }
}

/// An answer of the console.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) async fn ask(router: &Router, method: &str, address: &str) -> Answer {
    let request = Request::builder().method(method).uri(address).body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 64 << 20).await.unwrap();
    Answer { status, headers, body }
}

pub(crate) async fn get(router: &Router, address: &str) -> Answer {
    let mut answer = ask(router, "GET", address).await;
    // The samples are still being read.
    while answer.status == StatusCode::SERVICE_UNAVAILABLE {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        answer = ask(router, "GET", address).await;
    }
    assert_eq!(answer.status, StatusCode::OK, "{address}: {}", answer.text());
    answer
}
