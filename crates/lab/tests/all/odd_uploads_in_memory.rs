//! Uploads that no known tool sends but that the protocol allows, or that a liar might send.

use roridula_lab::samples;
use roridula_lab::scenarios::decoy_with;
use roridula_lab::theatre::{Kept, Theatre};
use roridula_proto::client::implant::key_of_seed;
use roridula_proto::client::request::{self, Carrier, Header, exec_params};
use roridula_proto::client::sender::Sender;
use roridula_proto::client::visit::{Goal, Plan};
use roridula_proto::connection::{Ending, SharedState};
use roridula_proto::event::{Transport, UploadState};

const SEED: u32 = 0xe536_d014;
const EXEC: u32 = 0x001a_8925;
const HEADER: Header = Header { flags: 0x18, flags2: 0xc007, tid: 0x0800, pid: 0xfeff, uid: 0x0800, mid: 66 };

/// A connection that is past its ping.
struct Hand {
    theatre: Theatre,
    key: u32,
}

impl Hand {
    fn new() -> Self {
        let decoy = decoy_with(&["implant.key_seed=0xE536D014"]);
        let mut theatre = Theatre::open(decoy, Transport::DirectTcp, SharedState::default());
        theatre.visit(Plan {
            sender: Sender::WannaCry,
            goal: Goal::Ping,
            path_host: "192.168.56.20".into(),
            later_target: true,
            stubborn: false,
            seed: 1,
        });
        Self { theatre, key: key_of_seed(SEED) }
    }

    fn frame(&self, total: u32, claimed: u32, offset: u32, data: &[u8]) -> Vec<u8> {
        let params = exec_params(total, claimed, offset, self.key);
        let mut frame = Vec::new();
        request::carrier(
            &mut frame,
            HEADER,
            &Carrier { timeout: EXEC, params, data, key: self.key, data_count: None },
        );
        frame
    }

    fn exec(&mut self, total: u32, offset: u32, data: &[u8]) -> Vec<u8> {
        let frame = self.frame(total, data.len() as u32, offset, data);
        self.theatre.bytes(&frame)
    }

    fn end(mut self) -> Vec<Kept> {
        self.theatre.end(Ending::Closed);
        self.theatre.seen.uploads.into_values().collect()
    }
}

fn one_complete(uploads: &[Kept], payload: &[u8]) {
    let states: Vec<_> = uploads.iter().map(|kept| (kept.end.clone(), kept.sample().len())).collect();
    assert_eq!(uploads.len(), 1, "{states:?}");
    assert!(uploads[0].sample() == payload, "other bytes: {states:?}");
    assert_eq!(uploads[0].end.as_ref().map(|end| end.0), Some(UploadState::Complete));
}

#[test]
fn a_ping_between_chunks_disturbs_nothing() {
    let payload = samples::raw(9000, 1);
    let mut hand = Hand::new();
    hand.exec(9000, 0, &payload[..4096]);
    let mut ping = Vec::new();
    request::carrier(&mut ping, Header { mid: 65, ..HEADER }, &Carrier::bare(0x00ee_3401));
    let reply = hand.theatre.bytes(&ping);
    assert_eq!(reply[34], 81);
    hand.exec(9000, 4096, &payload[4096..8192]);
    hand.exec(9000, 8192, &payload[8192..]);
    one_complete(&hand.end(), &payload);
}

#[test]
fn chunks_of_any_size_and_overlap_make_one_payload() {
    let payload = samples::raw(9000, 2);
    let mut hand = Hand::new();
    for (start, end) in [(0, 100), (100, 101), (50, 4000), (3999, 4096), (4096, 8999), (2000, 9000)] {
        hand.exec(9000, start as u32, &payload[start..end]);
    }
    one_complete(&hand.end(), &payload);
}

#[test]
fn an_empty_chunk_changes_nothing() {
    let payload = samples::raw(5000, 3);
    let mut hand = Hand::new();
    hand.exec(5000, 0, &payload[..4096]);
    hand.exec(5000, 4096, &[]);
    hand.exec(5000, 4096, &payload[4096..]);
    one_complete(&hand.end(), &payload);
}

/// The parameters promise more than the frame holds: what is here is kept, in its place.
#[test]
fn a_chunk_that_promises_too_much_is_kept_as_it_came() {
    let payload = samples::raw(9000, 4);
    for claimed in [0, 4097, 8000, u32::MAX] {
        let mut hand = Hand::new();
        hand.exec(9000, 0, &payload[..4096]);
        let lie = hand.frame(9000, claimed, 4096, &payload[4096..8192]);
        hand.theatre.bytes(&lie);
        hand.exec(9000, 8192, &payload[8192..]);
        let uploads = hand.end();
        assert!(uploads[0].sample() == payload, "claimed {claimed}: {} uploads", uploads.len());
    }
}

/// The parameters name less than the frame holds: the implant takes no more, and the rest is kept apart, raw.
#[test]
fn a_chunk_that_names_less_ends_where_it_says_and_the_rest_is_kept() {
    let payload = samples::raw(5000, 14);
    let mut hand = Hand::new();
    hand.exec(5000, 0, &payload[..4096]);
    let padded = [&payload[4096..], &[0; 3192][..]].concat();
    let last = hand.frame(5000, 904, 4096, &padded);
    hand.theatre.bytes(&last);
    let uploads = hand.end();
    assert_eq!(uploads.len(), 2);
    assert_eq!(uploads[1].sample(), last[last.len() - 3192..], "as it was on the wire");
    one_complete(&uploads[..1], &payload);
}

/// DataCount says one thing, the frame another: the smaller one counts.
#[test]
fn a_data_count_that_lies_never_pads_or_loses() {
    let payload = samples::raw(4096, 5);
    for count in [4097u16, 5000, u16::MAX] {
        let mut hand = Hand::new();
        let params = exec_params(4096, 4096, 0, hand.key);
        let mut frame = Vec::new();
        let carrier =
            Carrier { timeout: EXEC, params, data: &payload, key: hand.key, data_count: Some(count) };
        request::carrier(&mut frame, HEADER, &carrier);
        hand.theatre.bytes(&frame);
        let uploads = hand.end();
        let kept: Vec<u8> = uploads.iter().flat_map(Kept::sample).collect();
        assert!(kept == payload, "DataCount {count}: {} bytes in {} uploads", kept.len(), uploads.len());
    }
}

/// Parameters and data may stand anywhere in the message.
#[test]
fn offsets_are_followed_not_assumed() {
    let payload = samples::raw(1000, 6);
    let mut hand = Hand::new();
    let mut frame = hand.frame(1000, 1000, 0, &payload);
    // Twenty more bytes between parameters and data: DataOffset 98, BCC and the frame's length grow.
    let at = 4 + 78;
    frame.splice(at..at, [0xee; 20]);
    let words = 4 + 33;
    frame[words + 24..words + 26].copy_from_slice(&98u16.to_le_bytes());
    frame[words + 30..words + 32].copy_from_slice(&(1000u16 + 13 + 20).to_le_bytes());
    request::finish(&mut frame);
    hand.theatre.bytes(&frame);
    one_complete(&hand.end(), &payload);
}

/// One exec in a primary and two secondaries: reassembled by totals and displacements.
#[test]
fn an_exec_in_secondaries_is_one_chunk() {
    let payload = samples::raw(6000, 7);
    let mut hand = Hand::new();
    let key = hand.key;
    let mut primary = hand.frame(6000, 6000, 0, &payload[..2000]);
    // TotalDataCount is the whole chunk; DataCount only what is here.
    let words = 4 + 33;
    primary[words + 2..words + 4].copy_from_slice(&6000u16.to_le_bytes());
    let interim = hand.theatre.bytes(&primary);
    assert_eq!((interim.len(), &interim[9..13]), (39, &[0, 0, 0, 0][..]), "an interim reply, status 0");
    let mut replies = Vec::new();
    for start in [2000usize, 4000] {
        replies = hand.theatre.bytes(&secondary(&payload[start..start + 2000], start as u16, key));
    }
    assert_eq!(replies[34], 82, "the reply to the whole");
    one_complete(&hand.end(), &payload);
}

/// TRANSACTION2_SECONDARY with 9 words.
fn secondary(data: &[u8], displacement: u16, key: u32) -> Vec<u8> {
    let mut frame = Vec::new();
    request::tree_disconnect(&mut frame, HEADER);
    frame[8] = 0x33;
    frame.truncate(4 + 32);
    frame.push(9);
    let len = data.len() as u16;
    for word in [12, 6000, 0, 0, 0, len, 32 + 1 + 18 + 2, displacement, 0] {
        frame.extend_from_slice(&u16::to_le_bytes(word));
    }
    frame.extend_from_slice(&len.to_le_bytes());
    // Chunks are decoded as one, so the key's place depends on the displacement; 2000 is a multiple of 4.
    roridula_proto::client::implant::append_xored(&mut frame, data, key);
    request::finish(&mut frame);
    frame
}

#[test]
fn an_upload_without_any_ping_is_caught() {
    let payload = samples::raw(3000, 8);
    let mut hand = Hand::new();
    hand.key = 0x0bad_f00d;
    hand.exec(3000, 0, &payload);
    let uploads = hand.end();
    assert!(uploads.iter().any(|kept| kept.sample() == payload));
}

#[test]
fn totals_of_nothing_and_of_everything_are_survived() {
    let payload = samples::raw(1000, 9);
    for total in [0, 1, 999, 1001, u32::MAX] {
        let mut hand = Hand::new();
        hand.exec(total, 0, &payload);
        let uploads = hand.end();
        let kept: Vec<u8> = uploads.iter().flat_map(Kept::sample).collect();
        assert!(kept == payload, "total {total}: {} bytes in {} uploads", kept.len(), uploads.len());
    }
}

/// The bytes after the last frame's data (the frame is longer than the message) are nobody's payload.
#[test]
fn trailing_bytes_of_a_frame_are_no_payload() {
    let payload = samples::raw(4096, 10);
    let mut hand = Hand::new();
    let mut frame = hand.frame(4096, 4096, 0, &payload);
    frame.extend_from_slice(&[0xaa; 300]);
    request::finish(&mut frame);
    hand.theatre.bytes(&frame);
    one_complete(&hand.end(), &payload);
}

#[test]
fn garbage_in_the_middle_splits_nothing() {
    let payload = samples::raw(12_000, 21);
    let mut hand = Hand::new();
    hand.exec(12_000, 0, &payload[..4096]);
    // Parameters that no key makes sense of.
    let mut garbage = hand.frame(12_000, 4096, 4096, &[0x33; 500]);
    garbage[4 + 66..4 + 78].copy_from_slice(b"nothing sane");
    hand.theatre.bytes(&garbage);
    hand.exec(12_000, 4096, &payload[4096..8192]);
    hand.exec(12_000, 8192, &payload[8192..]);
    let uploads = hand.end();
    one_complete(&uploads[..1], &payload);
    assert_eq!(uploads[1].sample().len(), 500, "kept raw, apart");
}

#[test]
fn another_chunk_at_zero_is_a_stray_or_a_new_beginning_by_what_follows() {
    let (payload, other) = (samples::raw(8192, 31), samples::raw(8192, 32));
    let mut hand = Hand::new();
    hand.exec(8192, 0, &payload[..4096]);
    hand.exec(8192, 0, &other[..4096]);
    hand.exec(8192, 4096, &other[4096..]);
    let uploads = hand.end();
    assert_eq!((uploads[0].sample().len(), uploads.len()), (4096, 2), "a new beginning");
    one_complete(&uploads[1..], &other);
    let mut hand = Hand::new();
    hand.exec(8192, 0, &payload[..2048]);
    hand.exec(8192, 2048, &payload[2048..4096]);
    hand.exec(8192, 0, &other[..2048]);
    hand.exec(8192, 4096, &payload[4096..]);
    let uploads = hand.end();
    one_complete(&uploads[..1], &payload);
    assert_eq!(uploads[1].sample(), other[..2048], "a stray, kept as what it is");
}

#[test]
fn repeats_that_come_late_are_no_upload_of_their_own() {
    let payload = samples::raw(20_000, 41);
    let mut hand = Hand::new();
    let chunks: Vec<_> = (0u32..).step_by(4096).zip(payload.chunks(4096)).collect();
    for &(offset, chunk) in &chunks {
        hand.exec(20_000, offset, chunk);
    }
    for &(offset, chunk) in &[chunks[2], chunks[0], chunks[4]] {
        hand.exec(20_000, offset, chunk);
    }
    one_complete(&hand.end(), &payload);
    // All of it once more is a second capture; other bytes late are kept.
    let mut hand = Hand::new();
    for &(offset, chunk) in chunks.iter().chain(&chunks) {
        hand.exec(20_000, offset, chunk);
    }
    hand.exec(20_000, 4096, &[9; 100]);
    let uploads = hand.end();
    assert_eq!(uploads.iter().map(|kept| kept.sample().len()).collect::<Vec<_>>(), [20_000, 20_000, 100]);
}

#[test]
fn a_total_that_shrinks_below_what_is_here_is_a_lie() {
    let payload = samples::raw(16_000, 51);
    let mut hand = Hand::new();
    for (offset, chunk) in (0u32..).step_by(4096).zip(payload.chunks(4096)) {
        let total = if offset == 8192 { 4096 } else { 16_000 };
        hand.exec(total, offset, chunk);
    }
    one_complete(&hand.end(), &payload);
}
