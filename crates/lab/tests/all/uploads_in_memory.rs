//! Every shape of upload, visitor against connection in memory: what is kept is what was sent.

use roridula_lab::samples::{self, X64, X86};
use roridula_lab::scenarios::decoy_with;
use roridula_lab::theatre::{Kept, Theatre};
use roridula_proto::client::chance::Chance;
use roridula_proto::client::implant::Status;
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{self, KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Checked, Goal, Outcome, Pinged, Plan};
use roridula_proto::connection::{Ending, SharedState};
use roridula_proto::event::{Event, KeySource, Transport, UploadState};

const SENDERS: [Sender; 5] =
    [Sender::WannaCry, Sender::FuzzBunch, Sender::Metasploit, Sender::Checker, Sender::Countercept];

fn plan(sender: Sender, goal: Goal<'_>) -> Plan<'_> {
    Plan { sender, goal, path_host: "192.168.56.20".into(), later_target: true, stubborn: false, seed: 11 }
}

fn open(settings: &[&str]) -> Theatre {
    Theatre::open(decoy_with(settings), Transport::DirectTcp, SharedState::default())
}

fn honest(payload: &[u8], chunk: u32) -> Upload<'_> {
    Upload { payload, chunks: in_order(payload.len(), chunk), key: KeyChoice::FromPing }
}

fn deliver(sender: Sender, uploads: Vec<Upload<'_>>, stubborn: bool) -> (Theatre, Outcome) {
    let mut theatre = open(&[]);
    let outcome = theatre.visit(Plan { stubborn, ..plan(sender, Goal::Uploads(uploads)) });
    theatre.end(Ending::Closed);
    for reply in &theatre.seen.replies {
        let reply = roridula_proto::client::reply::Reply(reply);
        assert!(reply.is_one_frame(), "a reply that is not one frame: {reply:02x?}");
    }
    (theatre, outcome)
}

fn state(kept: &Kept) -> UploadState {
    kept.end.as_ref().expect("the upload has ended").0
}

#[test]
fn every_sender_sees_an_unpatched_and_implanted_host() {
    for sender in SENDERS {
        let outcome = open(&[]).visit(plan(sender, Goal::Check));
        assert_eq!(outcome, Outcome::Checked(Checked::Vulnerable), "{sender:?}");
        let outcome =
            open(&["implant.arch=x86", "implant.key_seed=0xE536D014"]).visit(plan(sender, Goal::Ping));
        let expected = Pinged { status: Status::Done, seed: 0xe536_d014, arch: 0 };
        assert_eq!(outcome, Outcome::Pinged(expected), "{sender:?}");
        let Outcome::Pinged(Pinged { arch: 1, status: Status::Done, .. }) =
            open(&[]).visit(plan(sender, Goal::Ping))
        else {
            panic!("{sender:?} sees no x64 implant");
        };
    }
}

#[test]
fn settings_change_the_answers() {
    let patched = open(&["ms17_010=patched"]).visit(plan(Sender::WannaCry, Goal::Check));
    assert_eq!(patched, Outcome::Checked(Checked::Patched));
    let absent = Outcome::Pinged(Pinged { status: Status::Absent, seed: 0, arch: 0 });
    for setting in ["implant.policy=absent", "implant.policy=after-exploit"] {
        assert_eq!(open(&[setting]).visit(plan(Sender::WannaCry, Goal::Ping)), absent);
    }
    let exploited = SharedState { exploited: true, ..SharedState::default() };
    let decoy = decoy_with(&["implant.policy=after-exploit"]);
    let outcome =
        Theatre::open(decoy, Transport::DirectTcp, exploited).visit(plan(Sender::WannaCry, Goal::Ping));
    assert!(matches!(outcome, Outcome::Pinged(Pinged { status: Status::Done, .. })));
}

#[test]
fn a_kill_makes_it_dormant() {
    let mut theatre = open(&[]);
    assert_eq!(theatre.visit(plan(Sender::Countercept, Goal::Kill)), Outcome::Killed(Status::Done));
    assert_eq!(theatre.seen.changes, [roridula_proto::connection::SharedChange::Killed]);
    let dormant = SharedState { dormant: true, ..SharedState::default() };
    let mut later = Theatre::open(decoy_with::<&str>(&[]), Transport::DirectTcp, dormant);
    let absent = Outcome::Pinged(Pinged { status: Status::Absent, seed: 0, arch: 0 });
    assert_eq!(later.visit(plan(Sender::WannaCry, Goal::Ping)), absent);
}

#[test]
fn honest_uploads_of_every_size_are_whole() {
    for (size, chunk) in [
        (1, 4096),
        (2, 4096),
        (777, 4096),
        (4095, 4096),
        (4096, 4096),
        (4097, 4096),
        (8192, 4096),
        (100_000, 4096),
        (5000, 1000),
        (3000, 1),
        (200_000, 60_000),
        (12_288, 512),
    ] {
        let payload = samples::raw(size, size as u64);
        for sender in SENDERS {
            let (theatre, outcome) = deliver(sender, vec![honest(&payload, chunk)], false);
            assert_eq!(outcome, Outcome::Uploaded, "{sender:?} {size}/{chunk}");
            let kept = &theatre.seen.uploads[&1];
            assert!(kept.sample() == payload, "{sender:?} {size}/{chunk}: other bytes");
            assert_eq!(state(kept), UploadState::Complete);
            assert_eq!(theatre.seen.uploads.len(), 1);
            assert!(theatre.seen.memory_max <= decoy_with::<&str>(&[]).limits.connection_bytes_max as usize);
        }
    }
}

#[test]
fn worm_uploads_are_whole_and_cost_little_memory() {
    for layout in [X86, X64] {
        let payload = samples::worm(&layout, 3);
        let (theatre, outcome) = deliver(Sender::WannaCry, vec![honest(&payload, 4096)], false);
        assert_eq!(outcome, Outcome::Uploaded);
        assert!(theatre.seen.uploads[&1].sample() == payload);
        assert!(theatre.seen.memory_max <= 64 * 1024, "{} bytes", theatre.seen.memory_max);
    }
}

#[test]
fn order_and_repeats_do_not_matter() {
    let payload = samples::raw(70_001, 5);
    for chunk in [500, 4096, 9999] {
        let straight = in_order(payload.len(), chunk);
        let mut reversed = straight.clone();
        reversed.reverse();
        let mut shuffled = straight.clone();
        upload::shuffle(&mut shuffled, &mut Chance::new(1));
        let repeated = upload::with_repeats(&straight);
        let mut both = upload::with_repeats(&straight);
        upload::shuffle(&mut both, &mut Chance::new(2));
        // Once all places are filled the upload is over; whatever repeats come later are another upload.
        let mut missing = straight.len();
        let mut seen = std::collections::BTreeSet::new();
        both.retain(|chunk| {
            missing > 0
                && (!seen.insert(chunk.offset) || {
                    missing -= 1;
                    true
                })
        });
        for chunks in [straight, reversed, shuffled, repeated, both] {
            let upload = Upload { payload: &payload, chunks, key: KeyChoice::FromPing };
            let (theatre, outcome) = deliver(Sender::WannaCry, vec![upload], false);
            assert_eq!(outcome, Outcome::Uploaded);
            let kept = &theatre.seen.uploads[&1];
            assert!(kept.sample() == payload, "chunk {chunk}: other bytes");
            assert_eq!((state(kept), theatre.seen.uploads.len()), (UploadState::Complete, 1));
        }
    }
}

#[test]
fn a_wrong_key_is_recovered() {
    let payload = samples::raw(20_000, 6);
    let mut reversed = in_order(payload.len(), 4096);
    reversed.reverse();
    let mut shuffled = in_order(payload.len(), 1000);
    upload::shuffle(&mut shuffled, &mut Chance::new(4));
    for chunks in [in_order(payload.len(), 4096), reversed, shuffled] {
        let upload = Upload { payload: &payload, chunks, key: KeyChoice::Fixed(0x1357_9bdf) };
        let (theatre, _) = deliver(Sender::WannaCry, vec![upload], true);
        let samples: Vec<Vec<u8>> = theatre.seen.uploads.values().map(Kept::sample).collect();
        assert!(samples.contains(&payload), "the decoded payload is not among {} uploads", samples.len());
        let recovered = theatre.seen.events.iter().any(|(_, event)| {
            matches!(
                event,
                Event::UploadStarted { key: Some(0x1357_9bdf), key_source: KeySource::Recovered, .. }
            )
        });
        assert!(recovered, "no event says that the key was recovered");
    }
}

#[test]
fn an_upload_cut_anywhere_keeps_exactly_what_came() {
    let payload = samples::raw(9000, 8);
    let goal = || Goal::Uploads(vec![honest(&payload, 4096)]);
    let head: usize = 137 + 140 + 96 + 82;
    for cut in
        [0, 1, 81, 82, 83, 4177, 4178, 4179, 4178 + 82, 4178 + 83, 4178 + 2000, 2 * 4178, 2 * 4178 + 100]
    {
        let mut theatre = open(&[]);
        theatre.visit_until(plan(Sender::WannaCry, goal()), head + cut);
        theatre.end(Ending::Reset);
        let full = cut / 4178 * 4096;
        let expected = &payload[..full + (cut % 4178).saturating_sub(82)];
        let kept: Vec<u8> = theatre.seen.uploads.get(&1).map(Kept::sample).unwrap_or_default();
        assert!(kept == expected, "cut at {cut}: {} bytes kept of {}", kept.len(), expected.len());
        if let Some(kept) = theatre.seen.uploads.get(&1) {
            assert_eq!(state(kept), UploadState::Partial, "cut at {cut}");
        }
    }
}

#[test]
fn several_uploads_on_a_connection_each_become_a_sample() {
    let payloads: Vec<Vec<u8>> = (0..5).map(|n| samples::raw(3000 + 1234 * n, n as u64)).collect();
    let uploads = payloads.iter().map(|payload| honest(payload, 4096)).collect();
    let (theatre, outcome) = deliver(Sender::WannaCry, uploads, false);
    assert_eq!(outcome, Outcome::Uploaded);
    let kept: Vec<Vec<u8>> = theatre.seen.uploads.values().map(Kept::sample).collect();
    assert!(kept == payloads);
    // The seed changes with each finished upload, as a real implant's does.
    let seeds: std::collections::BTreeSet<u32> = theatre
        .seen
        .events
        .iter()
        .filter_map(|(_, event)| if let Event::ImplantPing { seed, .. } = event { Some(*seed) } else { None })
        .collect();
    assert_eq!(seeds.len(), payloads.len());
}

#[test]
fn lying_totals_lose_nothing() {
    let payload = samples::raw(9000, 9);
    for (name, first, later) in [
        ("too much", 20_000, 20_000),
        ("grows", 9000, 12_000),
        ("shrinks", 9000, 8500),
        ("above the limit", 64 << 20, 64 << 20),
        ("enormous", u32::MAX, u32::MAX),
        ("grows above the limit", 9000, 64 << 20),
    ] {
        let mut chunks = in_order(payload.len(), 1024);
        chunks[0].total = first;
        chunks[1..].iter_mut().for_each(|chunk| chunk.total = later);
        let upload = Upload { payload: &payload, chunks, key: KeyChoice::FromPing };
        let (theatre, _) = deliver(Sender::WannaCry, vec![upload], true);
        let kept: Vec<u8> = theatre.seen.uploads.values().flat_map(Kept::sample).collect();
        assert!(
            kept == payload,
            "total {name}: {} bytes kept in {} uploads",
            kept.len(),
            theatre.seen.uploads.len()
        );
        assert!(
            theatre.seen.uploads.values().all(|kept| kept.end.is_some()),
            "total {name}: an upload without end"
        );
    }
}
