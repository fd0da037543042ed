//! A fault of ours costs one connection.

use crate::{Sensor, SensorOptions, bind};
use roridula_evidence::{EventFilter, Options, Reader, Store};
use roridula_proto::connection::{Decoy, Implant, Input, Ms17010};
use roridula_proto::event::{CloseReason, Event};
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use roridula_proto::time::WallClock;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

const FAIL: &[u8] = b"\0\0\0\x10fail on purpose";

/// Stands for a defect of the decoy.
pub(super) fn fail_on_purpose(input: Input<'_>) {
    assert!(!matches!(input, Input::Bytes(FAIL)), "a fault on purpose");
}

#[test]
fn a_fault_closes_one_connection_and_leaves_its_transcript() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = Store::open(dir.path(), "t", Options::default()).unwrap();
    let decoy = Decoy {
        identity: Identity::derive(Secret([7; 32]), WallClock(1)),
        persona: Persona::WINDOWS_7_SP1,
        limits: Limits::default(),
        implant: Implant::default(),
        ms17_010: Ms17010::default(),
    };
    let _context = runtime.enter();
    let bound = vec![bind("127.0.0.1:0".parse().unwrap()).unwrap()];
    let sensor = Sensor::start(bound, Arc::new(decoy), store.clone(), SensorOptions::default()).unwrap();
    let address = sensor.local_addrs()[0];
    let mut other = TcpStream::connect(address).unwrap();
    let mut visitor = TcpStream::connect(address).unwrap();
    visitor.write_all(FAIL).unwrap();
    assert_eq!(visitor.read(&mut [0; 16]).unwrap_or(0), 0);

    // Everybody else is answered as before (an SMB1 negotiate without a dialect that we know).
    let mut negotiate = vec![0, 0, 0, 38, 0xff, b'S', b'M', b'B', 0x72];
    negotiate.extend([0; 27]);
    negotiate.extend([0, 3, 0, 2, b'X', 0]);
    other.write_all(&negotiate).unwrap();
    assert!(other.read(&mut [0; 64]).unwrap() > 4);

    let served = runtime.block_on(sensor.shutdown());
    assert_eq!((served.connections, served.faults), (2, 1));
    let reader = Reader::open(dir.path()).unwrap();
    let closed = EventFilter { ids: vec!["connection.closed".to_owned()], ..EventFilter::default() };
    let events = reader.events(0, &closed, 10).unwrap().events;
    let fault = events
        .iter()
        .find(|event| matches!(event.event, Event::ConnectionClosed { reason: CloseReason::Fault, .. }))
        .unwrap();
    let crash = dir.path().join("crashes").join(format!("{}.txt", fault.connection.unwrap()));
    let text = std::fs::read_to_string(crash).unwrap();
    assert!(text.contains("6661696c206f6e20707572706f7365"), "the input that did it is not in {text}");
}
