//! Replies against what public captures and public IDS rules say that Windows 7 sends.

use roridula_lab::scenarios::decoy_with;
use roridula_lab::theatre::Theatre;
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Checked, Goal, Outcome, Plan};
use roridula_proto::connection::{Decoy, SharedState};
use roridula_proto::event::Transport;
use roridula_proto::identity::{Identity, Secret};
use roridula_proto::time::WallClock;

fn replies_of(decoy: Decoy, sender: Sender, goal: Goal<'_>) -> Vec<Vec<u8>> {
    let mut theatre = Theatre::open(decoy, Transport::DirectTcp, SharedState::default());
    let path_host = "192.168.116.149".into();
    theatre.visit(Plan { sender, goal, path_host, later_target: true, stubborn: false, seed: 1 });
    theatre.seen.replies
}

fn lens(replies: &[Vec<u8>]) -> Vec<usize> {
    replies.iter().map(|reply| reply.len() - 4).collect()
}

#[test]
fn the_worms_check_gets_the_captured_answers() {
    let replies = replies_of(decoy_with::<&str>(&[]), Sender::WannaCry, Goal::Check);
    // Workgroup machine: 127; OS, LAN manager and WORKGROUP in ASCII: 121; IPC$: 46; the verdict: 35.
    assert_eq!(lens(&replies), [127, 121, 46, 35]);
    for (reply, flags2) in replies.iter().zip([0x2801_u16, 0x2001, 0x2001, 0x6801]) {
        assert_eq!(reply[13], 0x98, "Flags are the request's with the reply bit");
        assert_eq!(u16::from_le_bytes([reply[14], reply[15]]), flags2);
    }
    // ET 2025650: command 25, status 0xC0000205, Flags 98, Flags2 01 ...
    assert_eq!(replies[3][8..15], [0x25, 0x05, 0x02, 0x00, 0xc0, 0x98, 0x01]);
    // MaxMpx 50, one VC, MaxBuffer 4356, MaxRaw 65536.
    assert_eq!(replies[0][40..50], [50, 0, 1, 0, 0x04, 0x11, 0, 0, 0, 0]);
}

/// The worm's byte count stays 28 for the first target's path of any length, on every later target.
#[test]
fn the_worms_check_works_for_targets_of_any_length() {
    for host in ["1.2.3.4", "10.0.0.5", "192.168.56.20", "192.168.100.22", "192.168.116.149"] {
        for later_target in [false, true] {
            let decoy = decoy_with::<&str>(&[]);
            let mut theatre = Theatre::open(decoy, Transport::DirectTcp, SharedState::default());
            let plan = Plan {
                sender: Sender::WannaCry,
                goal: Goal::Check,
                path_host: host.into(),
                later_target,
                stubborn: false,
                seed: 1,
            };
            let outcome = theatre.visit(plan);
            assert_eq!(outcome, Outcome::Checked(Checked::Vulnerable), "{host} {later_target}");
        }
    }
}

#[test]
fn the_implants_answers_match_the_public_rules() {
    let replies = replies_of(decoy_with::<&str>(&[]), Sender::WannaCry, Goal::Ping);
    assert_eq!(lens(&replies)[2..], [56, 35]);
    let ping = &replies[3];
    // ET 2024216: 00000023 FF 'SMB' 32 020000C0 98 07C0 0000, later 00000008FFFE0008, MID 50..59, no more.
    assert_eq!(ping[..18], *b"\0\0\0\x23\xffSMB\x32\x02\0\0\xc0\x98\x07\xc0\0\0");
    assert_eq!(ping[26..34], [0, 0, 0, 8, 0xff, 0xfe, 0, 8]);
    assert!((0x50..=0x59).contains(&ping[34]));
    assert_eq!(ping.len(), 39);
    assert_ne!(ping[18..22], [0; 4], "the seed");
}

#[test]
fn chunks_are_answered_with_39_equal_bytes() {
    let payload = vec![1; 10_000];
    let upload = Upload { payload: &payload, chunks: in_order(10_000, 4096), key: KeyChoice::FromPing };
    let replies = replies_of(decoy_with::<&str>(&[]), Sender::WannaCry, Goal::Uploads(vec![upload]));
    assert_eq!(replies.len(), 7);
    for reply in &replies[4..] {
        assert_eq!(reply.len(), 39);
        assert_eq!(reply[18..26], [0; 8], "the signature of an exec reply is zero");
        assert_eq!((reply[34], reply), (0x52, &replies[4]));
    }
}

/// Only what Windows itself holds constant may be equal in the replies of two installs.
#[test]
fn two_installs_differ_in_everything_that_is_their_own() {
    let install = |secret: u8| {
        let base = decoy_with::<&str>(&[]);
        let installed = WallClock(1_494_000_000_000_000);
        Decoy { identity: Identity::derive(Secret([secret; 32]), installed), ..base }
    };
    let (one, other) = (install(1), install(2));
    let check = |decoy: &Decoy| replies_of(decoy.clone(), Sender::WannaCry, Goal::Check);
    let ping = |decoy: &Decoy| replies_of(decoy.clone(), Sender::WannaCry, Goal::Ping);
    // Extended security: the server's GUID.
    assert_ne!(check(&one)[0][73..89], check(&other)[0][73..89]);
    // Without: the challenge, then the names.
    let (a, b) = (ping(&one), ping(&other));
    assert_ne!(a[0][73..81], b[0][73..81]);
    assert_ne!(a[0][81..], b[0][81..]);
    // The implant's seed.
    assert_ne!(a[3][18..22], b[3][18..22]);
    // And the same install says the same, for the same connection at the same time.
    assert_eq!(ping(&one), a);
}
