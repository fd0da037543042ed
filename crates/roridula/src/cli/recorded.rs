//! A recorded connection that a command line names, with what its replay needs.

use super::{Failure, connections, reader};
use roridula_evidence::{ConnectionView, Install, Reader};
use roridula_proto::connection::{Decoy, Implant, Ms17010};
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::WallClock;
use roridula_proto::transcript::{Payloads, Transcript};
use std::path::Path;

/// A transcript, with what its replay needs besides.
pub(super) struct Source {
    /// As it was asked for.
    pub(super) name: String,
    pub(super) transcript: Transcript,
    pub(super) payloads: Box<dyn Payloads>,
    pub(super) decoy: Decoy,
    /// What the journal has of it; `None` where it is not in this journal.
    pub(super) known: Option<ConnectionView>,
}

impl Source {
    /// A transcript file, or a connection of the journal in `data`.
    pub(super) fn find(what: &str, journal: Option<&Reader>, data: &Path) -> Result<Self, Failure> {
        let text = if Path::new(what).is_file() {
            std::fs::read_to_string(what).map_err(|error| Failure::new(format!("{what}: {error}")))?
        } else {
            kept(what, data)?
        };
        Self::of_text(what, &text, journal, data)
    }

    /// A transcript whose text is at hand; `what` names it in messages.
    pub(super) fn of_text(
        what: &str,
        text: &str,
        journal: Option<&Reader>,
        data: &Path,
    ) -> Result<Self, Failure> {
        let transcript = Transcript::parse(text).map_err(|error| Failure::new(format!("{what}: {error}")))?;
        let id = transcript.opening().id;
        let known = match journal {
            Some(reader) => reader.connection(id)?.map(|view| (reader, view)),
            None => None,
        };
        let (install, payloads): (_, Box<dyn Payloads>) = match &known {
            Some((reader, _)) => (Install::load(data)?, Box::new(reader.payloads(id)?)),
            None => (Install { secret: Secret([0; 32]), installed_at: WallClock(0) }, Box::new(())),
        };
        let decoy = Decoy {
            identity: Identity::derive(install.secret, install.installed_at),
            persona: Persona::WINDOWS_7_SP1,
            limits: Limits::default(),
            implant: Implant::default(),
            ms17_010: Ms17010::default(),
        };
        let known = known.map(|(_, view)| view);
        Ok(Self { name: what.to_owned(), transcript, payloads, decoy, known })
    }
}

/// The transcript that the journal kept of a connection.
fn kept(what: &str, data: &Path) -> Result<String, Failure> {
    let no_file = |Failure(why): Failure| Failure::new(format!("`{what}` is no file, and {why}"));
    let reader = reader(data).map_err(no_file)?;
    let id = connections::find(&reader, what).map_err(no_file)?;
    if let Some(text) = reader.transcript(id)? {
        return Ok(text);
    }
    Err(Failure::new(match reader.connection(id)? {
        None => format!("no connection {id} in {}; `roridula connections list` shows them", data.display()),
        Some(view) if view.reason.is_none() => {
            format!("{id} is still open: its transcript is kept when it ends")
        }
        Some(_) => format!("no transcript of {id} was kept"),
    }))
}
