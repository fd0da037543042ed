//! Uploads in lock step: one alone, and many at once.

use super::place::{Server, Which};
use crate::attack::cli::nth_source;
use crate::attack::socket::connect;
use crate::pcap::Side;
use crate::samples::chain::Chain;
use crate::samples::{X86, worm};
use crate::scenarios::decoy_with;
use crate::theatre::Theatre;
use anyhow::{Context, ensure};
use roridula_proto::client::request::EXEC_DATA_AT;
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Goal, Outcome, Plan};
use roridula_proto::connection::SharedState;
use roridula_proto::event::Transport;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Requests before the first chunk: negotiate, session setup, tree connect, ping.
const PRELIMINARIES: usize = 4;

/// The requests of one upload of 5,272,328 bytes, made beforehand, so that the client only sends.
pub struct Script(Vec<Vec<u8>>);

impl Script {
    /// The worm's 32-bit upload, encoded for the key that the measured honeypot is set to.
    pub fn new() -> anyhow::Result<Self> {
        Self::of(&worm(&X86, 7))
    }

    /// Another worm's: of the same size, with another EXE in it.
    pub fn of_worm(seed: u64) -> anyhow::Result<Self> {
        Self::of(&Chain::new(X86, seed).payload())
    }

    fn of(payload: &[u8]) -> anyhow::Result<Self> {
        let decoy = decoy_with(&["implant.arch=x86", "implant.key_seed=0xE536D014"]);
        let mut theatre = Theatre::open(decoy, Transport::DirectTcp, SharedState::default());
        let upload = Upload { payload, chunks: in_order(payload.len(), 4096), key: KeyChoice::FromPing };
        let outcome = theatre.visit(Plan {
            sender: Sender::WannaCry,
            goal: Goal::Uploads(vec![upload]),
            path_host: "192.168.56.20".into(),
            later_target: true,
            stubborn: false,
            seed: 1,
        });
        ensure!(outcome == Outcome::Uploaded, "the upload fails in memory: {outcome:?}");
        let said = theatre.conversation.into_iter();
        let frames: Vec<Vec<u8>> =
            said.filter(|(from, _)| *from == Side::Visitor).map(|(_, bytes)| bytes).collect();
        ensure!(frames.len() == PRELIMINARIES + 1288, "{} requests", frames.len());
        Ok(Self(frames))
    }

    /// How many chunks.
    pub fn chunks(&self) -> usize {
        self.0.len() - PRELIMINARIES
    }

    /// Sends all of it on a new connection; the time of the chunks alone. With a `variant`, some bytes of the
    /// first chunk differ, so that the payload is another one.
    pub fn play(
        &self,
        target: SocketAddr,
        source: Option<IpAddr>,
        variant: Option<u64>,
    ) -> anyhow::Result<Duration> {
        let mut stream = connect(target, source)?;
        let mut first = self.0[PRELIMINARIES].clone();
        if let Some(variant) = variant {
            first[EXEC_DATA_AT + 200..EXEC_DATA_AT + 208].copy_from_slice(&variant.to_le_bytes());
        }
        for frame in &self.0[..PRELIMINARIES] {
            exchange(&mut stream, frame)?;
        }
        let begun = Instant::now();
        exchange(&mut stream, &first)?;
        for frame in &self.0[PRELIMINARIES + 1..] {
            exchange(&mut stream, frame)?;
        }
        Ok(begun.elapsed())
    }

    /// The first request of all: a negotiate.
    pub fn negotiate(&self) -> &[u8] {
        &self.0[0]
    }
}

/// One request, one reply.
pub fn exchange(stream: &mut TcpStream, frame: &[u8]) -> anyhow::Result<()> {
    stream.write_all(frame)?;
    let mut buffer = [0; 1024];
    let mut len = 0;
    loop {
        let more = stream.read(&mut buffer[len..])?;
        ensure!(more > 0, "the server closed the connection");
        len += more;
        if let [_, a, b, c, rest @ ..] = &buffer[..len]
            && rest.len() >= u32::from_be_bytes([0, *a, *b, *c]) as usize
        {
            return Ok(());
        }
    }
}

/// The time of one upload's chunks, in microseconds.
pub fn one(server: &Server, script: &Script, variant: Option<u64>) -> anyhow::Result<f64> {
    Ok(script.play(server.address, None, variant)?.as_secs_f64() * 1e6)
}

/// Uploads a second with `parallel` connections at a time, each from its own address, `each` in a row.
pub fn many(
    server: &Server,
    script: &Script,
    parallel: u32,
    each: u64,
    first_variant: Option<u64>,
) -> anyhow::Result<f64> {
    let barrier = Barrier::new(parallel as usize + 1);
    let begun = std::thread::scope(|scope| -> anyhow::Result<Instant> {
        let worker = |number: u32| {
            let barrier = &barrier;
            scope.spawn(move || -> anyhow::Result<()> {
                barrier.wait();
                for turn in 0..each {
                    let variant = first_variant.map(|first| first + u64::from(number) * each + turn);
                    script.play(server.address, Some(nth_source(number)), variant)?;
                }
                Ok(())
            })
        };
        let workers: Vec<_> = (0..parallel).map(worker).collect();
        barrier.wait();
        let begun = Instant::now();
        for worker in workers {
            worker.join().ok().context("a worker died")??;
        }
        Ok(begun)
    })?;
    Ok(f64::from(parallel) * each as f64 / begun.elapsed().as_secs_f64())
}

/// Makes sure that a payload is known to the honeypot before it counts as known.
pub fn make_known(which: Which, server: &Server, script: &Script) -> anyhow::Result<()> {
    script.play(server.address, None, None)?;
    if which == Which::Bare {
        return Ok(());
    }
    let samples = server.data.as_ref().context("a honeypot has data")?.join("samples");
    let deadline = Instant::now() + crate::honeypot::PATIENCE;
    // The sample's file is named only when it is whole.
    while std::fs::read_dir(&samples).map_or(0, Iterator::count) == 0 {
        ensure!(Instant::now() < deadline, "the first upload never became a sample");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(300));
    Ok(())
}
