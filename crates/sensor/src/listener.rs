//! Binds and accepts.

use std::net::{SocketAddr, TcpListener};

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
}

impl Bound {
    /// The address, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds `address`. Visitors who connect from now on wait in the backlog until [`Sensor::start`](crate::Sensor::start).
pub fn bind(address: SocketAddr) -> Result<Bound, BindError> {
    let fail = |source| BindError { address, source };
    let socket = TcpListener::bind(address).map_err(fail)?;
    let address = socket.local_addr().map_err(fail)?;
    Ok(Bound { socket, address })
}
