//! Payload as the decoy hands it over, in every order; what is at rest afterwards.

use super::{Capture, End, HELD_MAX, Upload};
use roridula_evidence::{Attribution, Options, Reader, SampleView, Store};
use roridula_proto::event::{ByteRange, Origin, UploadState};
use roridula_proto::transcript::Payloads;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tempfile::TempDir;

struct Rig {
    dir: TempDir,
    store: Store,
    capture: Capture,
    whose: Attribution,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), "t", Options::default()).unwrap();
    let capture = Capture::start(&store, 2, 0).unwrap();
    let whose = store.accept("192.0.2.1:1".parse().unwrap(), "192.0.2.2:445".parse().unwrap());
    Rig { dir, store, capture, whose }
}

impl Rig {
    fn begin(&self, upload: u32) -> Arc<Upload> {
        self.capture.begin(self.whose, upload, Origin::DoublePulsar)
    }

    /// Finishes all, and gives what is at rest, bytes and all.
    fn finish(self) -> Vec<(SampleView, Vec<u8>)> {
        self.capture.finish();
        self.store.flush();
        let reader = Reader::open(self.dir.path()).unwrap();
        let read = |sample: SampleView| {
            let bytes = std::fs::read(reader.sample_path(sample.sha256)).unwrap();
            assert_eq!(sample.sha256.to_string(), hex(&Sha256::digest(&bytes)));
            assert_eq!(sample.size, bytes.len() as u64);
            (sample, bytes)
        };
        reader.samples().unwrap().into_iter().map(read).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn ranges(ranges: &[[u64; 2]]) -> Vec<ByteRange> {
    ranges.iter().copied().map(ByteRange::from).collect()
}

fn end(state: UploadState, total: u64, present: &[[u64; 2]]) -> Option<End> {
    Some(End { state, total: Some(total), ranges: ranges(present) })
}

#[test]
fn any_order_of_the_pieces_gives_the_same_sample() {
    let rig = rig();
    let whole = bytes(100_000);
    let len = whole.len() as u64;
    for (upload, step) in [(1, 1usize), (2, 7), (3, 24)] {
        let upload = rig.begin(upload);
        let pieces: Vec<_> = whole.chunks(4096).enumerate().collect();
        for at in 0..pieces.len() {
            let (number, piece) = pieces[at * step % pieces.len()];
            upload.push(number as u64 * 4096, piece, false);
        }
        upload.end(end(UploadState::Complete, len, &[[0, len]]));
    }
    let samples = rig.finish();
    assert_eq!(samples.len(), 1);
    assert_eq!((&samples[0].1, samples[0].0.captures), (&whole, 3));
    assert_eq!(samples[0].0.state, UploadState::Complete);
}

#[test]
fn holes_stay_holes() {
    let rig = rig();
    let upload = rig.begin(1);
    upload.push(0, b"head", false);
    upload.push(8192, b"middle", false);
    upload.push(4096, b"first", false);
    upload.end(end(UploadState::Partial, 10_000, &[[0, 4], [4096, 4101], [8192, 8198]]));
    let samples = rig.finish();
    assert_eq!(samples[0].1, b"headfirstmiddle");
    assert_eq!(samples[0].0.ranges, ranges(&[[0, 4], [4096, 4101], [8192, 8198]]));
    assert_eq!((samples[0].0.state, samples[0].0.total), (UploadState::Partial, Some(10_000)));
}

#[test]
fn repeats_are_nothing_and_other_bytes_are_kept_besides() {
    let rig = rig();
    let whole = bytes(3 * 4096);
    let upload = rig.begin(1);
    for (number, piece) in whole.chunks(4096).enumerate() {
        upload.push(number as u64 * 4096, piece, false);
    }
    upload.push(0, &whole[..4096], true);
    upload.push(4096, &[b'x'; 4096], true);
    upload.push(8192, &[b'y'; 100], true);
    // Sent twice: one version more, not two.
    upload.push(4096, &[b'x'; 4096], true);
    upload.push(4096, &[b'z'; 10], true);
    upload.end(end(UploadState::Complete, whole.len() as u64, &[[0, whole.len() as u64]]));
    let connection = rig.whose.connection;
    let reader = Reader::open(rig.dir.path()).unwrap();
    rig.capture.finish();
    rig.store.flush();
    // What the transcript means is what came first.
    let payloads = reader.payloads(connection).unwrap();
    assert_eq!(payloads.read(1, 4096, 4096).unwrap(), &whole[4096..8192]);
    let mut samples = rig.finish();
    samples.sort_by_key(|(sample, _)| std::cmp::Reverse(sample.size));
    let found: Vec<_> =
        samples.iter().map(|(sample, bytes)| (sample.origin, sample.state, bytes.clone())).collect();
    let other = [vec![b'x'; 4096], vec![b'y'; 100]].concat();
    let conflict = Origin::DoublePulsarConflict;
    assert_eq!(
        found,
        [
            (Origin::DoublePulsar, UploadState::Complete, whole),
            (conflict, UploadState::Partial, other),
            (conflict, UploadState::Partial, vec![b'z'; 10]),
        ]
    );
    assert_eq!(samples[1].0.ranges, ranges(&[[4096, 8292]]));
}

#[test]
fn a_full_buffer_makes_the_task_wait_and_only_so_long() {
    let rig = rig();
    let upload = rig.begin(1);
    let whole = bytes(4_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (number, piece) in whole.chunks(8192).enumerate() {
        let held = upload.push(number as u64 * 8192, piece, false);
        assert!(held < HELD_MAX + 8192, "{held} bytes wait");
        runtime.block_on(upload.room());
    }
    let len = whole.len() as u64;
    upload.end(end(UploadState::Complete, len, &[[0, len]]));
    assert_eq!(rig.finish()[0].1, whole);
}

#[test]
fn an_upload_without_a_byte_is_no_sample() {
    let rig = rig();
    rig.begin(1).end(end(UploadState::Partial, 5, &[]));
    assert!(rig.finish().is_empty());
}

#[test]
fn what_is_to_be_forgotten_leaves_nothing() {
    let rig = rig();
    let upload = rig.begin(1);
    upload.push(0, b"a repeat", false);
    upload.push(0, b"another!", true);
    upload.end(None);
    assert!(rig.finish().is_empty());
}

#[test]
fn an_upload_that_nobody_ended_is_recovered_by_the_next_start() {
    let rig = rig();
    let upload = rig.begin(1);
    upload.push(0, b"left alone", false);
    drop(upload);
    let Rig { dir, store, capture, .. } = rig;
    capture.finish();
    drop((capture, store));
    let store = Store::open(dir.path(), "t", Options::default()).unwrap();
    assert_eq!(store.recovered().samples, 1);
    let samples = Reader::open(dir.path()).unwrap().samples().unwrap();
    assert_eq!((samples[0].size, samples[0].state), (10, UploadState::Partial));
}
