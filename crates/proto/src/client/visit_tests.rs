use super::*;
use crate::client::upload::in_order;

fn plan(sender: Sender, goal: Goal<'_>) -> Plan<'_> {
    Plan { sender, goal, path_host: "192.168.56.20".into(), later_target: false, stubborn: false, seed: 1 }
}

/// A reply as a real host frames it: the fields at the places where the worm looks.
fn reply(command: u8, mid: u16, status: u32, signature: u64) -> Vec<u8> {
    let mut frame = b"\0\0\0\x23\xffSMB".to_vec();
    frame.push(command);
    frame.extend(status.to_le_bytes());
    frame.extend([0x98, 0x07, 0xc0, 0, 0]);
    frame.extend(signature.to_le_bytes());
    frame.extend([0, 0, 0x00, 0x08, 0xff, 0xfe, 0x00, 0x08]);
    frame.extend(mid.to_le_bytes());
    frame.extend([0, 0, 0]);
    frame
}

/// Runs a visit against `answer`, returns the frames and the outcome.
fn run(plan: Plan<'_>, mut answer: impl FnMut(&[u8]) -> Vec<u8>) -> (Vec<Vec<u8>>, Outcome) {
    let mut visit = Visit::new(plan);
    let (mut frames, mut frame, mut last) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match visit.next(&last, &mut frame) {
            Next::Send(_) => {
                let nbss = u32::from_be_bytes([0, frame[1], frame[2], frame[3]]);
                assert_eq!(frame[0], 0);
                assert_eq!(nbss as usize + 4, frame.len());
                last = answer(&frame);
                frames.push(frame.clone());
            }
            Next::Done(outcome) => return (frames, outcome),
        }
    }
}

fn implanted(frame: &[u8]) -> Vec<u8> {
    let mid = u16::from_le_bytes([frame[34], frame[35]]);
    match frame[8] {
        0x32 if frame.len() < 100 => reply(0x32, mid.wrapping_add(16), 0xc000_0002, 0x1_e536_d014),
        0x32 => reply(0x32, mid.wrapping_add(16), 0xc000_0002, 0),
        0x25 => reply(0x25, mid, 0xc000_0205, 0),
        command => reply(command, mid, 0, 0),
    }
}

fn lens(frames: &[Vec<u8>]) -> Vec<usize> {
    frames.iter().map(|frame| frame.len() - 4).collect()
}

#[test]
fn the_worms_check_has_the_measured_lengths() {
    let mut first = plan(Sender::WannaCry, Goal::Check);
    first.path_host = "192.168.116.149".into();
    let (frames, outcome) = run(first.clone(), implanted);
    assert_eq!(lens(&frames), [84, 99, 73, 74]);
    assert_eq!(outcome, Outcome::Checked(Checked::Vulnerable));
    // BCC stays 28; the pipe check's TID and PID are both 0x0800.
    assert_eq!(frames[2][4 + 41..4 + 43], [28, 0]);
    assert_eq!(frames[3][28..34], [0, 8, 0, 8, 0, 8]);
    first.later_target = true;
    let (frames, _) = run(first, implanted);
    assert_eq!(lens(&frames), [84, 99, 91, 74]);
    assert!(frames[2].ends_with(b"?????\0TH_REPLACE__?????\0"));
}

#[test]
fn the_worms_ping_has_the_measured_lengths_and_fields() {
    let (frames, outcome) = run(plan(Sender::WannaCry, Goal::Ping), implanted);
    assert_eq!(lens(&frames), [133, 136, 92, 78]);
    let found = Pinged { status: Status::Done, seed: 0xe536_d014, arch: 1 };
    assert_eq!(outcome, Outcome::Pinged(found));
    // ET 2024216 looks for these in the reply; the request holds the same: TID, PID, UID.
    assert_eq!(frames[3][28..36], [0, 8, 0xff, 0xfe, 0, 8, 65, 0]);
    // Timeout 0x00EE3401 at words 6 and 7.
    assert_eq!(frames[3][4 + 33 + 12..][..4], [0x01, 0x34, 0xee, 0x00]);
    let (_, clean) = run(plan(Sender::WannaCry, Goal::Ping), |frame| {
        let mid = u16::from_le_bytes([frame[34], frame[35]]);
        reply(frame[8], mid, if frame[8] == 0x32 { 0xc000_0002 } else { 0 }, 0)
    });
    assert_eq!(clean, Outcome::Pinged(Pinged { status: Status::Absent, seed: 0, arch: 0 }));
}

#[test]
fn an_upload_decodes_to_its_payload() {
    let payload: Vec<u8> = (0..9000u32).map(|n| n.to_le_bytes()[0]).collect();
    for sender in [Sender::WannaCry, Sender::FuzzBunch] {
        let upload =
            Upload { payload: &payload, chunks: in_order(payload.len(), 4096), key: KeyChoice::FromPing };
        let (frames, outcome) = run(plan(sender, Goal::Uploads(vec![upload])), implanted);
        assert_eq!(outcome, Outcome::Uploaded);
        assert_eq!(lens(&frames)[4..7], [4174, 4174, 808 + 78]);
        let key = 0xdebd_96cd_u32.to_le_bytes();
        let mut decoded = Vec::new();
        for frame in &frames[4..7] {
            let plain: Vec<u8> =
                frame[70..].iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let word =
                |at: usize| u32::from_le_bytes([plain[at], plain[at + 1], plain[at + 2], plain[at + 3]]);
            assert_eq!((word(0), word(4), word(8)), (9000, frame.len() as u32 - 82, decoded.len() as u32));
            decoded.extend_from_slice(&plain[12..]);
            let sum = frame[49..53].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            assert_eq!(sum, 0xc8);
        }
        assert_eq!(decoded, payload);
        assert_eq!(frames.len(), if sender == Sender::FuzzBunch { 9 } else { 7 });
    }
}

#[test]
fn several_uploads_ping_before_each() {
    let upload = Upload { payload: b"abcd", chunks: in_order(4, 4096), key: KeyChoice::FromPing };
    let (frames, outcome) =
        run(plan(Sender::WannaCry, Goal::Uploads(vec![upload.clone(), upload])), implanted);
    assert_eq!(lens(&frames), [133, 136, 92, 78, 82, 78, 82]);
    assert_eq!(outcome, Outcome::Uploaded);
}

#[test]
fn a_refusal_names_its_stage() {
    let denied = |frame: &[u8]| reply(frame[8], 64, if frame[8] == 0x73 { 0xc000_0022 } else { 0 }, 0);
    let (frames, outcome) = run(plan(Sender::WannaCry, Goal::Kill), denied);
    assert_eq!((frames.len(), outcome), (2, Outcome::Refused(Stage::Setup, 0xc000_0022)));
}

#[test]
fn a_logon_as_nobody_takes_two_messages() {
    let (frames, outcome) = run(plan(Sender::Smbclient, Goal::Logon), |frame| {
        let first = frame[8] == 0x73 && frame[32..34] == [0, 0];
        reply(frame[8], 1, if first { 0xc000_0016 } else { 0 }, 0)
    });
    assert_eq!(outcome, Outcome::LoggedOn);
    let commands: Vec<u8> = frames.iter().map(|frame| frame[8]).collect();
    assert_eq!(commands, [0x72, 0x73, 0x73, 0x75, 0x71, 0x74]);
    // Blobs at 59: NEGOTIATE, then AUTHENTICATE.
    for (frame, kind) in [(&frames[1], 1), (&frames[2], 3)] {
        assert_eq!((&frame[63..71], frame[71]), (&b"NTLMSSP\0"[..], kind));
    }
}

#[test]
fn metasploit_has_ids_of_its_own() {
    let ids = |seed| {
        let (frames, _) = run(Plan { seed, ..plan(Sender::Metasploit, Goal::Check) }, implanted);
        [frames[0][30..32].to_vec(), frames[0][34..36].to_vec()]
    };
    assert_ne!(ids(1), ids(2));
}
