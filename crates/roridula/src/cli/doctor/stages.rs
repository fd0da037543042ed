//! The visit as an inert worm, stage by stage, and whether its upload became a sample.

use super::finding::Finding;
use super::journal::{JOURNAL_WAIT, Journal};
use super::target::{Proof, Target};
use super::visit::{self, Death, End, Walk};
use roridula_desk::story::{size, span};
use roridula_evidence::{Published, SampleId, rfc3339, wall_clock};
use roridula_proto::client::implant::Status;
use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Checked, Goal, Outcome, Stage};
use roridula_proto::connection::{Ms17010, Policy};
use roridula_proto::event::{Event, Reason, UploadState};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes of a chunk: small, so that a readable text takes several.
const CHUNK_BYTES: u32 = 64;

/// Whom to visit, and what is known of it beforehand.
pub(super) struct Visiting<'a> {
    /// Where.
    pub(super) target: Target,
    /// What it must show first; without it nothing but one NEGOTIATE is sent.
    pub(super) proof: Option<Proof>,
    /// What the honeypot plays: (`implant.policy`, `ms17_010`); unknown elsewhere.
    pub(super) plays: Option<(Policy, Ms17010)>,
    /// Where the upload must turn up; unknown elsewhere.
    pub(super) journal: Option<&'a Journal>,
}

/// Visits as a worm does, and says where it would die.
pub(super) fn visit(visiting: &Visiting<'_>) -> Vec<Finding> {
    let walk = visit::check(visiting.target, visiting.proof);
    let mut findings = answered(&walk, visiting.target, false);
    let end = match walk.end {
        End::Outcome(Outcome::Checked(checked)) => {
            findings.push(checked_finding(checked, &walk, visiting.plays));
            None
        }
        end => Some(end),
    };
    match end {
        None => findings.extend(upload(visiting)),
        Some(end) => findings.extend(ended(&end, visiting, false)),
    }
    findings
}

/// A second connection: ping, upload, and a look into the journal.
fn upload(visiting: &Visiting<'_>) -> Vec<Finding> {
    let text = text();
    let chunks = in_order(text.len(), CHUNK_BYTES);
    let upload = Upload { payload: text.as_bytes(), chunks, key: KeyChoice::FromPing };
    let after = visiting.journal.map_or(0, Journal::last_seq);
    let walk = visit::implant(visiting.target, Goal::Uploads(vec![upload]));
    let mut findings = answered(&walk, visiting.target, true);
    let execs = walk.stages.iter().filter(|(stage, _)| matches!(stage, Stage::Exec(..)));
    let took = span(micros(execs.clone().map(|(_, took)| *took).sum()));
    let sent = format!("{} chunks answered, {took}", execs.count());
    match &walk.end {
        End::Outcome(Outcome::Uploaded) => {
            let what = format!("{}, {sent}", size(text.len() as u64));
            findings.push(Finding::ok("visit.upload", what));
            findings.push(captured(visiting, after, text.as_bytes(), walk.from));
        }
        End::HeldBack => {
            let what = format!("{sent}; the last one is held back, as always on another machine");
            findings.push(Finding::ok("visit.upload", what));
            findings.push(look_there());
        }
        End::Outcome(Outcome::NotImplanted) => findings.extend(not_implanted(visiting, after, walk.from)),
        end => findings.extend(ended(end, visiting, true)),
    }
    findings
}

/// A text that says what it is, another one each time: a known sample would not be written again.
fn text() -> String {
    format!(
        "This is a test upload of `roridula doctor`: readable text and nothing else.\n\
         Sent at {} by process {} to see whether an upload arrives byte for byte.\n",
        rfc3339(wall_clock()),
        std::process::id()
    )
}

/// Where a stage stands in the list.
fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Negotiate => "visit.negotiate",
        Stage::Setup => "visit.session-setup",
        Stage::Tree => "visit.tree-connect",
        Stage::Peek => "visit.ms17-010",
        Stage::Ping => "visit.ping",
        _ => "visit.upload",
    }
}

/// A line for each stage that was answered well and speaks for itself. A second connection is told from its
/// ping on.
fn answered(walk: &Walk, target: Target, again: bool) -> Vec<Finding> {
    let stopped = match &walk.end {
        End::Outcome(Outcome::Refused(stage, _)) => Some(*stage),
        End::Outcome(Outcome::NotImplanted) => Some(Stage::Ping),
        End::Stranger(_) => Some(Stage::Negotiate),
        _ => None,
    };
    let line = |&(stage, took): &(Stage, Duration)| {
        let what = match stage {
            _ if stopped == Some(stage) => return None,
            Stage::Negotiate if !again => format!("{} shows this install's proof", target.address),
            Stage::Setup if !again => "anonymous, let in".to_owned(),
            Stage::Tree if !again => "IPC$, let in".to_owned(),
            Stage::Ping => "DoublePulsar answers".to_owned(),
            _ => return None,
        };
        Some(Finding::ok(name(stage), format!("{what}, {}", span(micros(took)))))
    };
    walk.stages.iter().filter_map(line).collect()
}

fn checked_finding(checked: Checked, walk: &Walk, plays: Option<(Policy, Ms17010)>) -> Finding {
    let took = walk.stages.last().map_or(0, |(_, took)| micros(*took));
    let (check, took) = (name(Stage::Peek), span(took));
    let wanted = plays.map(|(_, ms17_010)| ms17_010);
    match (checked, wanted) {
        (Checked::Vulnerable, Some(Ms17010::Patched)) | (Checked::Patched, Some(Ms17010::Unpatched)) => {
            let what = format!("{checked:?}, not as ms17_010 says: it was started with other settings");
            Finding::note(check, what.to_lowercase()).with_fix("start the honeypot again")
        }
        (Checked::Vulnerable, _) => Finding::ok(check, format!("vulnerable: a worm goes on, {took}")),
        (Checked::Patched, Some(_)) => Finding::ok(check, format!("patched, as ms17_010 says, {took}")),
        (Checked::Patched, None) => Finding::note(check, format!("patched: many worms go away, {took}")),
        (Checked::Undetermined(status), _) => Finding::problem(
            check,
            format!("answered with {status:#010x}, which is neither vulnerable nor patched"),
            "this is a fault of the honeypot; please report it",
        ),
    }
}

/// A visit that ended before its time.
fn ended(end: &End, visiting: &Visiting<'_>, again: bool) -> Option<Finding> {
    let address = visiting.target.address;
    let on = if again { "the second connection" } else { "a worm's first connection" };
    Some(match end {
        End::Unreachable(error) => Finding::problem(
            "visit.connect",
            format!("{address}: {error}"),
            match visiting.target.is_here {
                true => "start the honeypot; if it runs, the lines above say what is in the way",
                false => "a firewall, a router or the provider is in the way; or nothing listens there",
            },
        ),
        End::Died(stage, death) => {
            Finding::problem(name(*stage), format!("{address}: {on} dies here: {death}"), way_out(death))
        }
        End::Stranger(shown) => stranger(*shown, visiting),
        End::Outcome(Outcome::Refused(stage, status)) => Finding::problem(
            name(*stage),
            format!("{address}: {on} dies here: refused with {status:#010x}"),
            "this is a fault of the honeypot; please report it",
        ),
        End::Outcome(Outcome::UploadStopped(status)) => Finding::problem(
            "visit.upload",
            format!("{address}: a chunk was refused ({}); a worm stops here", word(*status)),
            "look at the events `limit.reached` and `capture.failed`: roridula events",
        ),
        End::Outcome(_) | End::HeldBack => return None,
    })
}

/// What the implant's status says ([`Status`]).
fn word(status: Status) -> &'static str {
    match status {
        Status::Absent => "as by a clean host",
        Status::InvalidParameters => "invalid parameters",
        Status::AllocationFailure => "no memory",
        _ => "an unknown status",
    }
}

fn way_out(death: &Death) -> &'static str {
    match death {
        Death::Silent => "what listens there is stuck, or waits for something else than SMB",
        Death::Closed => {
            "the honeypot turns visitors away (roridula events --id connection.refused), or another program \
             listens that speaks no SMB1"
        }
        Death::Garbage(_) => "another program listens there: the line `listening` may know it",
        Death::Io(_) => "the system's network is in trouble",
    }
}

/// Not the honeypot that is meant.
fn stranger(shown: Option<Proof>, visiting: &Visiting<'_>) -> Finding {
    let address = visiting.target.address;
    let check = name(Stage::Negotiate);
    match (shown, visiting.proof) {
        (Some(shown), None) => Finding::note(
            check,
            format!(
                "{address} speaks SMB1 and shows {shown}; no more was sent: what it should show is unknown"
            ),
        )
        .with_fix("give --data the honeypot's directory and run as a user who may read it (sudo)"),
        (shown, _) => {
            let shown = shown.map_or("no proof at all".to_owned(), |shown| format!("the proof {shown}"));
            Finding::problem(
                check,
                format!("{address} shows {shown}, not the one asked for; no more was sent"),
                match visiting.target.is_here {
                    true => {
                        "another SMB server or another honeypot has the port: see `listening`, or give --data"
                    }
                    false => "the address is another machine's, or the proof another sensor's",
                },
            )
        }
    }
}

/// The implant did not answer: as it should, or not.
fn not_implanted(visiting: &Visiting<'_>, after: u64, from: Option<SocketAddr>) -> Vec<Finding> {
    let check = name(Stage::Ping);
    let pinged = |published: &Published| match published.event {
        Event::ImplantPing { reason, .. } if is_from(published, from) => Some(reason),
        _ => None,
    };
    let reason = visiting.journal.and_then(|journal| journal.wait(after, &["implant.ping"], pinged));
    let why = match (reason, visiting.plays) {
        (Some(Reason::PolicyAbsent), _) | (None, Some((Policy::Absent, _))) => {
            "clean, as implant.policy = \"absent\" says: a worm tries its exploit now"
        }
        (Some(Reason::NotExploited), _) | (None, Some((Policy::AfterExploit, _))) => {
            "clean: implant.policy = \"after-exploit\" answers only a source whose exploit has run to its end"
        }
        (Some(Reason::Dormant), _) => {
            let what =
                "clean: this machine told the implant to remove itself a while ago (implant.dormant_secs)";
            return vec![Finding::note(check, what), untried()];
        }
        (_, None) => {
            let what =
                "clean: its implant.policy is \"absent\" or \"after-exploit\", or this source killed it";
            return vec![Finding::note(check, what), untried()];
        }
        _ => {
            let what = "the implant does not answer although implant.policy = \"present\"";
            return vec![Finding::problem(check, what, "this is a fault of the honeypot; please report it")];
        }
    };
    vec![Finding::ok(check, why), untried()]
}

fn untried() -> Finding {
    Finding::note("visit.upload", "not tried: a worm uploads only where the implant answers")
}

fn look_there() -> Finding {
    Finding::note("visit.journal", "whether it was kept is in the sensor's own journal")
        .with_fix("there: roridula connections list")
}

/// Whether exactly these bytes are on record as a whole sample.
fn captured(visiting: &Visiting<'_>, after: u64, bytes: &[u8], from: Option<SocketAddr>) -> Finding {
    const CHECK: &str = "visit.journal";
    let Some(journal) = visiting.journal else { return look_there() };
    let (name, len) = (SampleId(Sha256::digest(bytes).into()).to_string(), bytes.len() as u64);
    let begun = Instant::now();
    // A port that is handed on (by a container's proxy) hides where we come from; the bytes are ours all the
    // same.
    let kept = |published: &Published| match &published.event {
        Event::SampleCaptured { sha256, size, state: UploadState::Complete, .. } if *sha256 == name => {
            Some(if *size == len { Ok(published.source) } else { Err("of another size".to_owned()) })
        }
        _ if !is_from(published, from) => None,
        Event::SampleCaptured { state, .. } => Some(Err(format!("{state}, with other bytes"))),
        Event::CaptureFailed { error, .. } => Some(Err(error.escape_debug().to_string())),
        _ => None,
    };
    match journal.wait(after, &["sample.captured", "capture.failed"], kept) {
        Some(Ok(source)) => {
            let source = source
                .or(from)
                .map_or("this machine".to_owned(), |from| from.ip().to_canonical().to_string());
            let took = span(micros(begun.elapsed()));
            Finding::ok(
                CHECK,
                format!("kept whole as {}…, {took}; told as a visit from {source}", &name[..12]),
            )
        }
        Some(Err(how)) => Finding::problem(
            CHECK,
            format!("the upload was not kept as it was sent: {how}"),
            "`roridula events --id capture.failed` tells why; mostly the disk is full",
        ),
        None => Finding::problem(
            CHECK,
            format!("no sample {}… within {} seconds", &name[..12], JOURNAL_WAIT.as_secs()),
            "is --data the directory of the honeypot that listens? Its own output tells of trouble",
        ),
    }
}

/// Whether it is told of the visitor at `from`.
fn is_from(published: &Published, from: Option<SocketAddr>) -> bool {
    let plain = |at: SocketAddr| (at.ip().to_canonical(), at.port());
    published.source.map(plain) == from.map(plain)
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_triage::rules::Rules;

    #[test]
    fn our_own_rule_knows_what_the_doctor_sends() {
        let hits = Rules::compile(&[]).0.scan(text().as_bytes());
        assert_eq!(hits.iter().map(|hit| hit.rule.as_str()).collect::<Vec<_>>(), ["Roridula_Doctor"]);
    }
}
