//! Recorded connections, with what their replay needs.

use super::ask::Problem;
use crate::pcapng::Recorded;
use crate::pcapng::tcp::Ends;
use roridula_evidence::{ConnectionView, Install, Reader, UploadPayloads};
use roridula_proto::connection::{ConnectionId, Decoy, Implant, Ms17010};
use roridula_proto::identity::Identity;
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::transcript::Transcript;
use std::path::Path;

/// A connection's transcript, and what it refers to.
pub(crate) struct Recording {
    /// What the journal has of it.
    pub(crate) view: ConnectionView,
    /// Its transcript as it is kept.
    pub(crate) text: String,
    transcript: Transcript,
    payloads: UploadPayloads,
}

impl Recording {
    /// The one of this name; a problem that says why where there is none.
    pub(crate) fn load(reader: &Reader, id: ConnectionId) -> Result<Self, Problem> {
        let view = reader.connection(id).map_err(Problem::failed)?;
        let view = view.ok_or_else(|| Problem::Missing(format!("the journal has no connection {id}")))?;
        let text = reader.transcript(id).map_err(Problem::failed)?.ok_or_else(|| {
            Problem::Missing(match view.reason {
                None => format!("{id} is still open: its transcript is kept when it ends"),
                Some(_) => format!("no transcript of {id} was kept"),
            })
        })?;
        let transcript = Transcript::parse(&text).map_err(Problem::failed)?;
        let payloads = reader.payloads(id).map_err(Problem::failed)?;
        Ok(Self { view, text, transcript, payloads })
    }

    /// What was recorded.
    pub(crate) fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// The payload bytes that it refers to.
    pub(crate) fn payloads(&self) -> &UploadPayloads {
        &self.payloads
    }

    /// As a packet capture takes it; `decoy` gives the replies.
    pub(crate) fn recorded<'r>(&'r self, decoy: &'r Decoy) -> Recorded<'r> {
        Recorded {
            transcript: &self.transcript,
            payloads: &self.payloads,
            decoy,
            ends: Ends::new(self.view.source, self.view.destination),
        }
    }
}

/// Whose replies a replay gives: this install's; each transcript brings its settings.
pub(crate) fn decoy(dir: &Path) -> Result<Decoy, Problem> {
    let install = Install::load(dir).map_err(Problem::failed)?;
    Ok(Decoy {
        identity: Identity::derive(install.secret, install.installed_at),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits::default(),
        implant: Implant::default(),
        ms17_010: Ms17010::default(),
    })
}
