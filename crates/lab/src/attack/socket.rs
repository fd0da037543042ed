//! A visit over a socket, read as the worm reads: one `recv` of 1024 bytes for each reply.

use super::report::{ConnectionReport, arch_name, is_success, outcome_text, stage_name};
use anyhow::{Context, bail, ensure};
use roridula_proto::client::implant::Status;
use roridula_proto::client::reply::Reply;
use roridula_proto::client::visit::{Next, Plan, Stage, Visit};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a reply may take; the worm would wait for ever.
const REPLY_WAIT: Duration = Duration::from_secs(60);

/// Refuses everything but this machine's loopback.
pub fn check_target(target: SocketAddr) -> anyhow::Result<()> {
    ensure!(
        target.ip().to_canonical().is_loopback(),
        "{target} is not a loopback address: the lab attacks this machine only (127.0.0.0/8 or ::1)"
    );
    Ok(())
}

/// A connection from `source` to a loopback `target`, Nagle off.
pub fn connect(target: SocketAddr, source: Option<IpAddr>) -> anyhow::Result<TcpStream> {
    check_target(target)?;
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(source) = source {
        ensure!(source.to_canonical().is_loopback(), "source {source} is not a loopback address");
        // So that thousands of sources do not use up the ports of one.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(source, 0).into()).with_context(|| format!("cannot bind {source}"))?;
    }
    socket.connect(&target.into()).with_context(|| format!("cannot connect to {target}"))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_WAIT))?;
    Ok(stream)
}

/// Reads one reply into `buffer`; returns its bytes and whether it came in one piece.
pub(super) fn receive<'b>(
    stream: &mut TcpStream,
    buffer: &'b mut [u8; 1024],
) -> anyhow::Result<(&'b [u8], bool)> {
    let mut len = stream.read(buffer).context("no reply")?;
    if len == 0 {
        bail!("the server closed the connection");
    }
    let in_one_piece = Reply(&buffer[..len]).is_one_frame();
    // The worm would be lost here; the lab notes it and reads on, to see the rest.
    while !in_one_piece && !is_whole(&buffer[..len]) && len < buffer.len() {
        let more = stream.read(&mut buffer[len..]).context("the rest of a reply is missing")?;
        if more == 0 {
            bail!("the server closed the connection in the middle of a reply");
        }
        len += more;
    }
    Ok((&buffer[..len], in_one_piece))
}

fn is_whole(bytes: &[u8]) -> bool {
    match bytes {
        [_, a, b, c, rest @ ..] => u32::from_be_bytes([0, *a, *b, *c]) as usize <= rest.len(),
        _ => false,
    }
}

/// What a visit did besides its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Chunks sent, the last one perhaps in part.
    pub chunks: usize,
    /// Bytes sent of the last chunk, where it was cut.
    pub cut: Option<u32>,
}

/// Where a visit is given up, if anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GiveUp {
    /// After so many payload bytes.
    pub payload: Option<u64>,
    /// After so many bytes of any kind.
    pub stream: Option<u64>,
}

impl GiveUp {
    /// How many bytes of `frame` are still sent, if not all of them; `payload` says where it holds some.
    fn part_of(&mut self, frame: &[u8], payload: Option<(usize, u32)>) -> Option<usize> {
        let of_stream = left_of(&mut self.stream, frame.len() as u64);
        let of_payload = payload.and_then(|(at, len)| Some(at + left_of(&mut self.payload, u64::from(len))?));
        of_stream.into_iter().chain(of_payload).min()
    }
}

/// Takes `len` from what is left; where that is not enough, gives what there is.
fn left_of(left: &mut Option<u64>, len: u64) -> Option<usize> {
    let have = (*left)?;
    *left = Some(have.saturating_sub(len));
    (have < len).then(|| usize::try_from(have).unwrap_or(usize::MAX))
}

/// The word for what was done, once its request is sent.
fn stage_word(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Setup | Stage::Authenticate => Some("logon"),
        Stage::Peek => Some("probe"),
        Stage::Ping => Some("ping"),
        Stage::Exec(..) => Some("upload"),
        Stage::Kill => Some("kill"),
        Stage::Negotiate | Stage::Tree | Stage::TreeDisconnect | Stage::Logoff => None,
    }
}

fn note_stage(stages: &mut Vec<&'static str>, stage: Stage) {
    if let Some(word) = stage_word(stage).filter(|word| !stages.contains(word)) {
        stages.push(word);
    }
}

/// Runs a visit, to its end or to where it is given up.
pub fn run(
    plan: Plan<'_>,
    purpose: &'static str,
    target: SocketAddr,
    source: Option<IpAddr>,
    mut give_up: GiveUp,
) -> anyhow::Result<(ConnectionReport, Sent)> {
    let begun = Instant::now();
    let mut stream = connect(target, source)?;
    let mut report =
        ConnectionReport { purpose, from: stream.local_addr()?.to_string(), ..Default::default() };
    let mut visit = Visit::new(plan);
    let mut sent = Sent::default();
    let (mut frame, mut buffer) = (Vec::with_capacity(4200), [0; 1024]);
    let mut reply: &[u8] = &[];
    loop {
        let stage = match visit.next(reply, &mut frame) {
            Next::Send(stage) => stage,
            Next::Done(outcome) => {
                report.outcome = outcome_text(outcome, &visit.counts);
                report.succeeded = is_success(outcome);
                break;
            }
        };
        let payload = visit.payload_in_frame(stage);
        let part = give_up.part_of(&frame, payload);
        let payload_sent = payload.map_or(0, |(at, _)| part.unwrap_or(frame.len()).saturating_sub(at));
        sent.chunks += usize::from(payload.is_some());
        if payload_sent > 0 || (part.is_none() && payload.is_none()) {
            note_stage(&mut report.stages, stage);
        }
        if let Some(part) = part {
            stream.write_all(&frame[..part])?;
            sent.cut = payload.and(u32::try_from(payload_sent).ok());
            report.outcome = format!("closed in the middle of {}", stage_name(stage));
            (report.succeeded, report.cut) = (true, true);
            break;
        }
        stream.write_all(&frame).with_context(|| format!("cannot send {}", stage_name(stage)))?;
        report.requests += 1;
        let (bytes, in_one_piece) =
            receive(&mut stream, &mut buffer).with_context(|| format!("at {}", stage_name(stage)))?;
        reply = bytes;
        report.replies += 1;
        report.replies_not_in_one_piece += u64::from(!in_one_piece);
    }
    let counts = visit.counts;
    report.chunks_done = counts.done;
    report.chunks_refused =
        counts.invalid_parameters + counts.allocation_failure + counts.absent + counts.unknown;
    report.chunks_signed = counts.signed;
    if let Some(pinged) = visit.pinged.filter(|pinged| pinged.status == Status::Done) {
        report.implant_seed = Some(pinged.seed);
        report.implant_arch = Some(arch_name(pinged.arch));
    }
    report.elapsed_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok((report, sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_attacked() {
        for good in ["127.0.0.1:445", "127.9.8.7:1", "[::1]:445", "[::ffff:127.0.0.1]:445"] {
            assert!(check_target(good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in
            ["10.0.0.1:445", "192.168.1.1:445", "0.0.0.0:445", "8.8.8.8:445", "[fe80::1]:445", "[::]:1"]
        {
            assert!(check_target(bad.parse().unwrap()).is_err(), "{bad}");
            assert!(connect(bad.parse().unwrap(), None).is_err(), "{bad}");
        }
    }
}
