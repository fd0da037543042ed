//! A connection's task: bytes from the socket to the decoy, replies back, what they mean on record.
//!
//! While a visitor is silent the task holds no buffer: bytes are read into one buffer a thread once there are
//! any, and everything that follows from them is done before the thread turns to another connection. Only what
//! cannot be done at once (a visitor that does not read, a journal or a capture that is behind) makes it wait.

mod scratch;
#[cfg(test)]
mod tests;
mod visit;

use crate::SensorOptions;
use crate::capture::Capture;
use crate::gate::{Gate, Permit, Refused};
use crate::running::UploadProgress;
use crate::shared::Shared;
use roridula_evidence::Store;
use roridula_proto::connection::Decoy;
use roridula_proto::connection::Ending;
use roridula_proto::event::Transport;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, Sleep, sleep_until};
use visit::{After, Visit};

/// Everything that all connections of a sensor work with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) decoy: Arc<Decoy>,
    pub(crate) store: Store,
    pub(crate) options: SensorOptions,
    pub(crate) gate: Arc<Gate>,
    pub(crate) shared: Shared,
    pub(crate) capture: Capture,
    pub(crate) progress: broadcast::Sender<UploadProgress>,
    pub(crate) faults: AtomicU64,
    pub(crate) closing: watch::Sender<bool>,
}

impl Desk {
    /// Changes when the sensor stops. As long as anybody holds one, the sensor waits for him.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Puts on record that visitors were turned away, or counts them again when the journal is behind.
    pub(crate) fn tell_refused(&self, refused: &Refused) {
        if !self.store.try_publish_at_door(refused.source, refused.destination, refused.event()) {
            self.gate.untold(refused);
        }
    }
}

/// Starts the task of a visitor who was let in.
pub(crate) fn spawn(
    stream: TcpStream,
    source: SocketAddr,
    destination: SocketAddr,
    transport: Transport,
    permit: Permit,
    desk: &Arc<Desk>,
) {
    let attribution = desk.store.accept(source, destination);
    let visit = Box::new(Visit::new(Arc::clone(desk), attribution, transport, permit));
    tokio::spawn(serve(visit, stream, desk.closing()));
}

/// What woke the task.
enum Woken {
    /// Something was read and dealt with, or the visitor is gone.
    Read(After),
    /// The decoy's deadline, as far as was known.
    Timer,
    /// The sensor stops.
    Closing,
}

async fn serve(mut visit: Box<Visit>, mut stream: TcpStream, mut closing: watch::Receiver<bool>) {
    let mut after = visit.begin();
    let mut timer = pin!(sleep_until(visit.deadline()));
    // Registered once and polled with the rest: cheaper than anew for every read.
    let mut closed = pin!(closing.wait_for(|&closing| closing));
    loop {
        if !settle(&mut visit, &mut stream, after).await {
            return;
        }
        let woken = poll_fn(|cx| {
            if let Poll::Ready(after) = visit.poll_read(Pin::new(&mut stream), cx) {
                return Poll::Ready(Woken::Read(after));
            }
            if timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Woken::Timer);
            }
            closed.as_mut().poll(cx).map(|_| Woken::Closing)
        })
        .await;
        after = match woken {
            Woken::Read(after) => after,
            Woken::Timer => tick(&mut visit, timer.as_mut()),
            Woken::Closing => visit.end(Ending::Shutdown),
        };
    }
}

/// The deadline moves with every byte; the timer is set again only when the old one is reached.
fn tick(visit: &mut Visit, timer: Pin<&mut Sleep>) -> After {
    let deadline = visit.deadline();
    if deadline > Instant::now() {
        timer.reset(deadline);
        return After::default();
    }
    let after = visit.tick();
    timer.reset(visit.deadline().max(Instant::now() + Duration::from_millis(10)));
    after
}

/// Does what could not be done at once. Says whether the connection goes on.
async fn settle(visit: &mut Visit, stream: &mut TcpStream, after: After) -> bool {
    if !after.unsent.is_empty() {
        let write = send(stream, &after.unsent, &after.unsent_writes);
        let limit = Duration::from_secs(visit.desk.options.write_secs_max);
        if !matches!(tokio::time::timeout(limit, write).await, Ok(Ok(()))) {
            // It does not take our replies, or is gone: what it sends is read to the end, within the bounds.
            visit.set_deaf();
        }
    }
    for waiting in after.waiting {
        visit.desk.store.append_waiting(waiting).await;
    }
    for upload in visit.full_uploads() {
        upload.room().await;
    }
    if after.hang_up {
        // What we sent is to arrive even where unread bytes are left, so our side is closed first.
        let _ = tokio::io::AsyncWriteExt::shutdown(stream).await;
    }
    !after.over
}

/// Sends the rest of the replies, one write each.
async fn send(stream: &TcpStream, bytes: &[u8], writes: &[usize]) -> std::io::Result<()> {
    let mut start = 0;
    for &end in writes {
        while start < end {
            stream.writable().await?;
            match stream.try_write(bytes.get(start..end).unwrap_or_default()) {
                Ok(sent) => start += sent,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
