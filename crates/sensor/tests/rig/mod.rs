//! A running sensor on loopback, and visitors who come to it.

#![allow(dead_code, reason = "each test file uses a part")]

use roridula_evidence::{EventFilter, Options, Published, Reader, SampleView, Store};
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Goal, Next, Outcome, Plan, Visit};
use roridula_proto::connection::{Decoy, Implant, Ms17010};
use roridula_proto::identity::Identity;
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_sensor::{Sensor, SensorOptions, Served, bind};
use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Far more than anything here takes, on any machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Rig {
    pub(crate) store: Store,
    pub(crate) sensor: Sensor,
    pub(crate) address: SocketAddr,
    runtime: Runtime,
}

impl Rig {
    pub(crate) fn start(dir: &Path, options: SensorOptions) -> Self {
        Self::start_with(dir, options, Limits::default())
    }

    pub(crate) fn start_with(dir: &Path, options: SensorOptions, limits: Limits) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let store = Store::open(dir, "test", Options::default()).unwrap();
        let install = store.install();
        let decoy = Decoy {
            identity: Identity::derive(install.secret.clone(), install.installed_at),
            persona: Persona::WINDOWS_7_SP1,
            limits,
            implant: Implant::default(),
            ms17_010: Ms17010::default(),
        };
        let bound = vec![bind("127.0.0.1:0".parse().unwrap()).unwrap()];
        let context = runtime.enter();
        let sensor = Sensor::start(bound, Arc::new(decoy), store.clone(), options).unwrap();
        drop(context);
        let address = sensor.local_addrs()[0];
        Self { store, sensor, address, runtime }
    }

    pub(crate) fn stop(self) -> Served {
        let served = self.runtime.block_on(self.sensor.shutdown());
        drop(self.store);
        served
    }
}

/// Bytes that a seed makes.
pub(crate) fn payload(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(byte).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn connect(address: SocketAddr, source: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: IpAddr = source.parse().unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

pub(crate) fn plan(goal: Goal<'_>) -> Plan<'_> {
    Plan {
        sender: Sender::WannaCry,
        goal,
        path_host: "192.168.56.20".to_owned(),
        later_target: true,
        stubborn: true,
        seed: 1,
    }
}

pub(crate) fn upload(payload: &[u8]) -> Goal<'_> {
    Goal::Uploads(vec![Upload { payload, chunks: in_order(payload.len(), 4096), key: KeyChoice::FromPing }])
}

/// Plays a visit to its end, or until `requests_max` requests were answered; gives the connection, still open.
pub(crate) fn play(stream: &mut TcpStream, visit: &mut Visit<'_>, requests_max: usize) -> Option<Outcome> {
    let mut reply = Vec::new();
    let mut frame = Vec::new();
    for _ in 0..requests_max {
        frame.clear();
        match visit.next(&reply, &mut frame) {
            Next::Done(outcome) => return Some(outcome),
            Next::Send(_) => stream.write_all(&frame).unwrap(),
        }
        reply.resize(1024, 0);
        let len = stream.read(&mut reply).unwrap();
        assert!(len > 0, "closed by the server");
        reply.truncate(len);
    }
    None
}

/// A whole visit on a connection of its own.
pub(crate) fn visit<'p>(address: SocketAddr, source: &str, goal: Goal<'p>) -> (Outcome, Visit<'p>) {
    let mut visit = Visit::new(plan(goal));
    let mut stream = connect(address, source);
    (play(&mut stream, &mut visit, usize::MAX).unwrap(), visit)
}

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "{what} never came");
        std::thread::yield_now();
    }
}

pub(crate) fn sample(dir: &Path, sha256: &str) -> Option<SampleView> {
    Reader::open(dir).unwrap().sample(sha256).unwrap()
}

pub(crate) fn events(dir: &Path, id: &str) -> Vec<Published> {
    let filter = EventFilter { ids: vec![id.to_owned()], ..EventFilter::default() };
    Reader::open(dir).unwrap().events(0, &filter, usize::MAX).unwrap().events
}
