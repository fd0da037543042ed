//! Serves the console, in whichever process.

use crate::sandbox;
use roridula_desk::console::guard::{self, Guard};
use roridula_desk::console::server::{self, Bounds};
use roridula_desk::console::{self, ConsoleSettings};
use roridula_evidence::Reader;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// Threads that answer; what blocks runs beside them.
const THREADS: usize = 2;
/// Threads that read and wait for the disk.
const BLOCKING_MAX: usize = 8;

/// Where the console can be reached, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Serving {
    /// The address that it listens on.
    pub(crate) address: SocketAddr,
    /// SHA-256 of its certificate, where it speaks TLS.
    pub(crate) fingerprint: Option<String>,
    /// Whether the certificate is of its own making.
    pub(crate) self_made: bool,
    /// Whether it asks who comes.
    pub(crate) asks: bool,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.fingerprint.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}/", self.address)?;
        if self.address.ip().is_unspecified() {
            f.write_str(" (every address of this machine)")?;
        }
        if self.asks && self.fingerprint.is_none() && !self.address.ip().to_canonical().is_loopback() {
            f.write_str(", WITHOUT TLS: passwords and pages can be read on the way")?;
        }
        match &self.fingerprint {
            Some(fingerprint) if self.self_made => write!(f, ", its own certificate, SHA-256 {fingerprint}"),
            _ => Ok(()),
        }
    }
}

/// Serves the console of `data` until `end` is ready or a signal says so; calls `serving` once it listens. An
/// error says why it does not, and what to do.
pub(super) fn serve<E>(
    settings: &ConsoleSettings,
    data: &Path,
    end: impl Future<Output = E>,
    serving: impl FnOnce(&Serving) -> std::io::Result<()>,
) -> Result<(), String> {
    let address = settings.listen.address().ok_or("console.listen is `off`")?;
    let guard = Guard::open(settings, data).map_err(|error| error.to_string())?;
    let transport = guard::transport(settings, data).map_err(|error| error.to_string())?;
    let listener = TcpListener::bind(address).map_err(|error| bind_help(address, &error))?;
    let told = |error: std::io::Error| error.to_string();
    let serving_at = Serving {
        address: listener.local_addr().map_err(told)?,
        fingerprint: transport.as_ref().map(|transport| transport.fingerprint.clone()),
        self_made: transport.as_ref().is_some_and(|transport| transport.self_made),
        asks: guard.asks(),
    };
    // Its index of the write-ahead log stays where it is as long as somebody has it open.
    let kept = Reader::open(data).map_err(|error| error.to_string())?;
    make_desk(data)?;
    // As far as it goes.
    let _ = sandbox::confine_console(data, settings.geo.as_deref());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_MAX)
        .enable_all()
        .build()
        .map_err(told)?;
    let served = runtime.block_on(async {
        let router = guard.protect(console::router(data, settings).map_err(|error| error.to_string())?);
        listener.set_nonblocking(true).map_err(told)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(told)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(told)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(told)?;
        let stop = async {
            tokio::select! {
                _ = end => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        serving(&serving_at).map_err(told)?;
        let config = transport.map(|transport| transport.config);
        server::serve(router, listener, config, Bounds::from(settings), stop).await;
        Ok(())
    });
    runtime.shutdown_background();
    drop(kept);
    served
}

/// Makes the place of what is derived, before the console is shut in and may write nowhere else.
fn make_desk(data: &Path) -> Result<(), String> {
    let desk = data.join("desk");
    std::fs::create_dir_all(&desk).map_err(|error| {
        let (data, desk) = (data.display(), desk.display());
        format!(
            "{desk} cannot be made ({error}), where the console keeps what it derives: run it as the owner of {data}, or \
             on a copy of your own (cp -r {data} COPY; roridula console --data COPY)"
        )
    })
}

/// Serves the console of `data` alone, until Ctrl-C.
pub(crate) fn alone(
    settings: &ConsoleSettings,
    data: &Path,
    serving: impl FnOnce(&Serving) -> std::io::Result<()>,
) -> Result<(), String> {
    serve(settings, data, std::future::pending::<()>(), serving)
}

/// What to do when the console's port cannot be had.
pub(crate) fn bind_help(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "{address} is in use already, by another console perhaps; --console ADDR:PORT chooses another \
             (`run`), or --listen ADDR:PORT (`console`)"
        ),
        ErrorKind::PermissionDenied => {
            format!(
                "no right to listen on {address}: take a port above 1023, with something in front of it if need be"
            )
        }
        ErrorKind::AddrNotAvailable => format!("{address}: this machine has no such address"),
        _ => format!("cannot listen on {address}: {error}"),
    }
}
