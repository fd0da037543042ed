//! What one connection, or all of an incident, has shown: counts, times, evidence, samples.
//!
//! The same structure gathers a connection's events while it is open, is added up for an incident, and takes in what
//! is told after a connection's end. Everything in it is bounded.

use super::stage::{Evidence, Stage, Tally};
use crate::index::Step;
use roridula_proto::event::{Answer, Event, KeySource, Origin, UploadState, Verdict};
use roridula_proto::time::WallClock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Samples that are listed by name; more are counted.
const SAMPLES_MAX: usize = 256;
/// Exploits that are listed by name.
const EXPLOITS_MAX: usize = 8;
/// STATUS_MORE_PROCESSING_REQUIRED: a logon's first half, no refusal ([MS-ERREF] 2.3.1).
const MORE_PROCESSING: u32 = 0xc000_0016;

/// What was seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    /// The stages of the kill chain.
    pub(super) stages: BTreeMap<Stage, Tally>,
    /// Checks for MS17-010 that were answered as an unpatched host, and as a patched one.
    pub(super) vulnerable: u64,
    pub(super) patched: u64,
    /// Pings that found no implant, and that found one.
    pub(super) pings_absent: u64,
    pub(super) pings_present: u64,
    /// The first and the last ping: when, and whether it found an implant.
    pub(super) first_ping: Option<(WallClock, bool)>,
    pub(super) last_ping: Option<(WallClock, bool)>,
    /// Exploits by name, and how often one ran to its end.
    pub(super) exploits: BTreeSet<String>,
    pub(super) completed: u64,
    /// Steps of an exploit itself: not what only makes room for one.
    pub(super) begun: u64,
    /// Removals that a present implant obeyed.
    pub(super) removed: u64,
    /// Whether an upload was XORed with a key that makes sense.
    pub(super) encoded: bool,
    /// The largest total that an upload announced.
    pub(super) announced: Option<u64>,
    /// Connects to a share that is no IPC$.
    pub(super) disk_shares: u64,
    /// Logons with an account that were refused.
    pub(super) refused_logons: u64,
    /// The last thing that was done to a present implant: its event, and whether it was its removal.
    pub(super) last_act: Option<(u64, bool)>,
    /// Whether somebody offered dialects.
    pub(super) negotiated: bool,
    /// Whether an upload arrived to its last byte.
    pub(super) whole: bool,
    /// Whether something was uploaded that nobody had brought before.
    pub(super) new: bool,
    /// What was caught.
    pub(super) samples: Vec<Caught>,
    /// Captures of samples that are not listed.
    pub(super) samples_more: u64,
    /// Bytes that could not be kept.
    pub(super) bytes_lost: u64,
    /// Events that were left out over `limits.events_max`.
    pub(super) events_dropped: u64,
}

/// A sample that was caught.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Caught {
    pub(super) sha256: String,
    pub(super) origin: Origin,
    pub(super) size: u64,
    pub(super) total: Option<u64>,
    pub(super) state: UploadState,
    pub(super) first_seen: bool,
    pub(super) recovered: bool,
    pub(super) captures: u64,
}

/// Whether a sample came through the implant (and is no buffer of an exploit, nor another rest).
pub(crate) const fn is_payload(origin: Origin) -> bool {
    match origin {
        Origin::DoublePulsar | Origin::DoublePulsarRaw | Origin::DoublePulsarConflict => true,
        Origin::ExploitBuffer | Origin::UnknownBuffer | Origin::StreamRest => false,
    }
}

/// When and where something was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) connection: u64,
    pub(super) seq: u64,
    pub(super) time: WallClock,
}

impl Facts {
    /// Takes in one event.
    pub(super) fn see(&mut self, at: Moment, event: &Event) {
        match event {
            Event::Smb1Negotiate { .. } => self.negotiated = true,
            Event::Smb1Session { account, status, .. } => {
                self.tally(at, Stage::Logon, 0);
                let refused = *status != 0 && *status != MORE_PROCESSING && !account.0.is_empty();
                self.refused_logons += u64::from(refused);
            }
            Event::Smb1Tree { path, .. } => self.disk_shares += u64::from(is_disk(&path.0)),
            Event::Ms17010Probe { verdict, stream_at, .. } => {
                self.tally(at, Stage::Probe, *stream_at);
                match verdict {
                    Verdict::Vulnerable => self.vulnerable += 1,
                    Verdict::Patched => self.patched += 1,
                }
            }
            Event::ExploitStep { exploit, step, stream_at, .. } => {
                self.tally(at, Stage::Exploit, *stream_at);
                self.begun += u64::from(!makes_room(step));
                self.add_exploit(exploit);
            }
            Event::ExploitCompleted { exploit, answer, stream_at, .. } => {
                self.tally(at, Stage::Exploit, *stream_at);
                self.add_exploit(exploit);
                self.completed += 1;
                if *answer == Answer::Present {
                    self.tally(at, Stage::Implant, *stream_at);
                }
            }
            Event::ConnectionClosed { events_dropped, .. } => {
                self.events_dropped = self.events_dropped.saturating_add(*events_dropped);
            }
            _ => self.see_implant(at, event),
        }
    }

    /// The connection was opened; told when it has ended.
    pub(super) fn connected(&mut self, at: Moment) {
        self.tally(at, Stage::Connect, 0);
    }

    fn see_implant(&mut self, at: Moment, event: &Event) {
        match event {
            Event::ImplantPing { answer, stream_at, .. } => {
                let present = *answer == Answer::Present;
                self.tally(at, Stage::Ping, *stream_at);
                self.add_ping(at.time, present);
                if present {
                    self.tally(at, Stage::Implant, *stream_at);
                    self.act(at.seq, false);
                }
            }
            Event::ImplantKill { answer, stream_at, .. } => {
                self.tally(at, Stage::Kill, *stream_at);
                if *answer == Answer::Present {
                    self.removed += 1;
                    self.act(at.seq, true);
                }
            }
            Event::UploadStarted { answer, total, key, key_source, stream_at, .. } => {
                self.tally(at, Stage::Upload, *stream_at);
                self.encoded |= *key_source != KeySource::Unknown && key.is_some_and(|key| key != 0);
                self.announced = self.announced.max(*total);
                if *answer == Answer::Present {
                    self.act(at.seq, false);
                }
            }
            Event::UploadFinished { total, state, .. } => {
                self.announced = self.announced.max(*total);
                self.whole |= *state == UploadState::Complete;
                if let Some(tally) = self.stages.get_mut(&Stage::Upload) {
                    tally.last = tally.last.max(at.time);
                }
            }
            Event::SampleCaptured { sha256, size, state, total, origin, first_seen, recovered, .. } => {
                if is_payload(*origin) {
                    self.tally(at, Stage::Capture, 0);
                    self.whole |= *state == UploadState::Complete;
                    self.new |= *first_seen;
                }
                self.add_sample(Caught {
                    sha256: sha256.clone(),
                    origin: *origin,
                    size: *size,
                    total: *total,
                    state: *state,
                    first_seen: *first_seen,
                    recovered: *recovered,
                    captures: 1,
                });
            }
            Event::CaptureFailed { bytes_lost, .. } => {
                self.bytes_lost = self.bytes_lost.saturating_add(*bytes_lost);
            }
            _ => {}
        }
    }

    /// Adds up what another connection has shown.
    pub(super) fn add(&mut self, other: Self) {
        for (stage, tally) in other.stages {
            self.stages.entry(stage).or_default().add(tally);
        }
        self.vulnerable += other.vulnerable;
        self.patched += other.patched;
        self.pings_absent += other.pings_absent;
        self.pings_present += other.pings_present;
        for ping in [other.first_ping, other.last_ping].into_iter().flatten() {
            self.place_ping(ping);
        }
        other.exploits.iter().for_each(|exploit| self.add_exploit(exploit));
        self.completed += other.completed;
        self.begun += other.begun;
        self.removed += other.removed;
        self.encoded |= other.encoded;
        self.announced = self.announced.max(other.announced);
        self.disk_shares += other.disk_shares;
        self.refused_logons += other.refused_logons;
        self.last_act = self.last_act.max(other.last_act);
        self.negotiated |= other.negotiated;
        self.whole |= other.whole;
        self.new |= other.new;
        other.samples.into_iter().for_each(|sample| self.add_sample(sample));
        self.samples_more += other.samples_more;
        self.bytes_lost = self.bytes_lost.saturating_add(other.bytes_lost);
        self.events_dropped = self.events_dropped.saturating_add(other.events_dropped);
    }

    /// How often a stage was reached.
    pub(super) fn count(&self, stage: Stage) -> u64 {
        self.stages.get(&stage).map_or(0, |tally| tally.count)
    }

    /// Whether a step of the funnel was taken, as the index has it of a connection.
    pub(super) fn took(&self, step: Step) -> bool {
        match step {
            Step::Connect => true,
            Step::Negotiate => self.negotiated,
            Step::Probe => self.count(Stage::Probe) > 0,
            Step::Exploit => self.begun > 0 || self.completed > 0,
            Step::Ping => self.count(Stage::Ping) > 0,
            Step::Upload => self.count(Stage::Upload) > 0,
            Step::Complete => self.whole,
            Step::New => self.new,
        }
    }

    /// The samples that came through the implant.
    pub(super) fn payloads(&self) -> impl Iterator<Item = &Caught> {
        self.samples.iter().filter(|sample| is_payload(sample.origin))
    }

    /// Whether an upload through the implant is here to its last byte.
    pub(super) fn has_whole_upload(&self) -> bool {
        self.payloads().any(|sample| sample.state == UploadState::Complete)
    }

    fn tally(&mut self, at: Moment, stage: Stage, stream_at: u64) {
        // 0 is what journals of earlier versions say; no message of these stages stands there.
        let stream_at = (stream_at > 0).then_some(stream_at);
        let evidence = Evidence { connection: at.connection, seq: at.seq, stream_at };
        self.stages.entry(stage).or_default().see(at.time, evidence);
    }

    fn add_ping(&mut self, time: WallClock, present: bool) {
        match present {
            true => self.pings_present += 1,
            false => self.pings_absent += 1,
        }
        self.place_ping((time, present));
    }

    fn place_ping(&mut self, ping: (WallClock, bool)) {
        let first = self.first_ping.get_or_insert(ping);
        *first = ping.min(*first);
        self.last_ping = self.last_ping.max(Some(ping));
    }

    fn add_exploit(&mut self, exploit: &str) {
        if self.exploits.len() < EXPLOITS_MAX && !self.exploits.contains(exploit) {
            self.exploits.insert(exploit.to_owned());
        }
    }

    fn act(&mut self, seq: u64, removal: bool) {
        self.last_act = self.last_act.max(Some((seq, removal)));
    }

    fn add_sample(&mut self, sample: Caught) {
        let same = |have: &&mut Caught| have.sha256 == sample.sha256 && have.origin == sample.origin;
        if let Some(have) = self.samples.iter_mut().find(same) {
            have.captures += sample.captures;
            have.first_seen |= sample.first_seen;
            have.recovered &= sample.recovered;
            if sample.state == UploadState::Complete && have.state != UploadState::Complete {
                (have.state, have.total) = (sample.state, sample.total);
            }
        } else if self.samples.len() < SAMPLES_MAX {
            self.samples.push(sample);
        } else {
            self.samples_more += sample.captures;
        }
    }
}

/// Whether a step only prepares memory for an exploit, on a connection beside the exploit's own (the words of
/// EternalBlue's recogniser).
pub(crate) fn makes_room(step: &str) -> bool {
    matches!(step, "groom" | "hole")
}

/// Whether a tree connect's path names anything but the pipes' share.
fn is_disk(path: &str) -> bool {
    let share = path.rsplit('\\').next().unwrap_or_default();
    !share.is_empty() && !share.eq_ignore_ascii_case("IPC$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shares_of_files_are_disk_shares() {
        assert!(is_disk(r"\\192.0.2.1\ADMIN$") && is_disk(r"\\h\C$") && is_disk("public"));
        assert!(!is_disk(r"\\192.0.2.1\ipc$") && !is_disk("") && !is_disk(r"\\h\"));
    }

    #[test]
    fn listed_samples_are_bounded_and_the_rest_is_counted() {
        let mut facts = Facts::default();
        for number in 0..SAMPLES_MAX as u64 + 10 {
            let sample = Caught {
                sha256: number.to_string(),
                origin: Origin::DoublePulsar,
                size: 1,
                total: None,
                state: UploadState::Partial,
                first_seen: true,
                recovered: false,
                captures: 1,
            };
            facts.add_sample(sample);
        }
        assert_eq!((facts.samples.len(), facts.samples_more), (SAMPLES_MAX, 10));
    }
}
