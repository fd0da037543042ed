//! A visit over a socket, read as the worm reads: one `recv` of 1024 bytes for each reply.

use super::report::{ConnectionReport, arch_name, is_success, outcome_text, stage_name};
use anyhow::{Context, bail, ensure};
use roridula_proto::client::implant::Status;
use roridula_proto::client::reply::Reply;
use roridula_proto::client::visit::{Next, Plan, Visit};
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
fn receive<'b>(stream: &mut TcpStream, buffer: &'b mut [u8; 1024]) -> anyhow::Result<(&'b [u8], bool)> {
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

/// Runs a visit. With `drop_at`, closes after so many payload bytes.
pub fn run(
    plan: Plan<'_>,
    purpose: &'static str,
    target: SocketAddr,
    source: Option<IpAddr>,
    drop_at: Option<u64>,
) -> anyhow::Result<(ConnectionReport, Sent)> {
    let begun = Instant::now();
    let mut stream = connect(target, source)?;
    let mut report =
        ConnectionReport { purpose, from: stream.local_addr()?.to_string(), ..Default::default() };
    let mut visit = Visit::new(plan);
    let mut sent = Sent::default();
    let (mut frame, mut buffer) = (Vec::with_capacity(4200), [0; 1024]);
    let mut payload_left = drop_at;
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
        if let Some((at, len)) = visit.payload_in_frame(stage) {
            sent.chunks += 1;
            if let Some(left) = payload_left {
                if left < u64::from(len) {
                    let part = u32::try_from(left).unwrap_or(len);
                    stream.write_all(&frame[..at + part as usize])?;
                    sent.cut = Some(part);
                    report.outcome = format!("closed in the middle of {}", stage_name(stage));
                    report.succeeded = true;
                    break;
                }
                payload_left = Some(left - u64::from(len));
            }
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
