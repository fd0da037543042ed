//! Binds and accepts.

use crate::connection::{self, Desk};
use roridula_proto::event::Transport;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// The port of SMB over NetBIOS; on every other one SMB comes directly over TCP.
const NETBIOS_PORT: u16 = 139;
/// Visitors who may wait to be accepted; the system may allow fewer (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// First and longest wait after an accept that failed for want of something (descriptors, memory).
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// Why: `PermissionDenied` (a port below 1024), `AddrInUse`, `AddrNotAvailable`, …
    pub source: std::io::Error,
}

/// A socket that listens, nobody accepted yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
}

impl Bound {
    /// The address, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same socket, on which SMB is carried as `transport` says; port 139 is NetBIOS without being told.
    #[must_use]
    pub fn carrying(self, transport: Transport) -> Self {
        Self { transport, ..self }
    }
}

/// Binds `address`. Visitors who connect from now on wait in the backlog until [`Sensor::start`](crate::Sensor::start).
/// An IPv6 address takes IPv6 only, so that it and an IPv4 address can have the same port.
pub fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Connections of an earlier run that still linger do not hold the port.
        socket.set_reuse_address(true)?;
        // Replies are single writes of a few dozen bytes: nothing to gather, and the visitor waits for each. What is
        // accepted inherits it, which saves a system call for each visitor.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let socket = TcpListener::from(socket);
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    let (socket, address) = listen().map_err(|source| BindError { address, source })?;
    let transport = if address.port() == NETBIOS_PORT { Transport::NetBios } else { Transport::DirectTcp };
    Ok(Bound { socket, address, transport })
}

/// Accepts until `desk` closes.
pub(crate) async fn accept_all(bound: Bound, desk: Arc<Desk>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(bound.socket)?;
    let mut closing = desk.closing();
    let mut wait = BACK_OFF.0;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|&closing| closing) => return Ok(()),
        };
        match accepted {
            Ok((stream, source)) => {
                wait = BACK_OFF.0;
                admit(stream, source, bound.address, bound.transport, &desk);
            }
            Err(error) if is_the_visitors(&error) => {}
            Err(error) => {
                tracing::warn!(%error, wait_ms = wait.as_millis(), "cannot accept; visitors wait in the backlog");
                tokio::time::sleep(wait).await;
                wait = BACK_OFF.1.min(wait * 2);
            }
        }
    }
}

/// Whether an accept failed because of that one visitor, who is gone already.
fn is_the_visitors(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

/// Lets a visitor in, or closes at once.
fn admit(
    stream: TcpStream,
    source: SocketAddr,
    listening: SocketAddr,
    transport: Transport,
    desk: &Arc<Desk>,
) {
    let now = Instant::now();
    let admitted = match desk.store.is_stalled() {
        true => Err("journal"),
        false => desk.gate.admit(source, now),
    };
    match admitted {
        Ok(permit) => {
            // Listening on every address, the visitor says by which one it came.
            let destination = match listening.ip().is_unspecified() {
                true => stream.local_addr().unwrap_or(listening),
                false => listening,
            };
            connection::spawn(stream, source, destination, transport, permit, desk);
        }
        Err(limit) => {
            drop(stream);
            if let Some(refused) = desk.gate.refuse(source, listening, limit, now) {
                desk.tell_refused(&refused);
            }
        }
    }
}
