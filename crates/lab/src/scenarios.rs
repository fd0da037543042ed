//! The behaviours whose transcripts are kept as goldens, played in the theatre.

mod exploits;
mod unknown;

use crate::samples::cli::{Arch, Kind, payload};
use crate::theatre::{Theatre, decoy};
use roridula_proto::client::chance::Chance;
use roridula_proto::client::request::{self, Header};
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{Chunk, KeyChoice, Upload, in_order, shuffle, with_repeats};
use roridula_proto::client::visit::{Goal, Plan};
use roridula_proto::connection::{self, Decoy, Ending, Ms17010, Policy, SharedState};
use roridula_proto::event::Transport;
use std::str::FromStr;

/// A payload that the generator can make again: what a transcript refers to instead of megabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadSpec {
    /// Which generator.
    pub kind: Kind,
    /// For which machine.
    pub arch: Arch,
    /// Its size, where the kind leaves that open.
    pub size: usize,
    /// Its variant.
    pub seed: u64,
}

impl PayloadSpec {
    const fn raw(size: usize, seed: u64) -> Self {
        Self { kind: Kind::Raw, arch: Arch::X86, size, seed }
    }

    /// Base64 letters that mean nothing.
    pub const fn filler(size: usize, seed: u64) -> Self {
        Self { kind: Kind::Filler, arch: Arch::X86, size, seed }
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        payload(self.kind, self.arch, self.seed, self.size)
    }

    /// As a line of `payloads.txt`.
    pub fn to_line(&self) -> String {
        let word = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
        format!("{} {} {} {}", word(&self.kind), word(&self.arch), self.size, self.seed)
    }
}

impl FromStr for PayloadSpec {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        use clap::ValueEnum as _;
        let bad = || format!("`{line}` is not `kind arch size seed`");
        let [kind, arch, size, seed] =
            line.split_whitespace().collect::<Vec<_>>().try_into().map_err(|_| bad())?;
        Ok(Self {
            kind: Kind::from_str(kind, true)?,
            arch: Arch::from_str(arch, true)?,
            size: size.parse().map_err(|_| bad())?,
            seed: seed.parse().map_err(|_| bad())?,
        })
    }
}

/// One behaviour.
pub struct Scenario {
    /// The folder's name.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// The decoy's settings, as `--set` takes them.
    pub settings: &'static [&'static str],
    /// Uploads, from number 1.
    pub payloads: Vec<PayloadSpec>,
    /// Port 139 instead of 445.
    pub transport: Transport,
    /// What other connections did before.
    pub shared: SharedState,
    play: Play,
}

type Play = Box<dyn Fn(&mut Theatre, &[Vec<u8>])>;

impl Scenario {
    fn new(
        name: &'static str,
        about: &'static str,
        play: impl Fn(&mut Theatre, &[Vec<u8>]) + 'static,
    ) -> Self {
        Self {
            name,
            about,
            settings: &[],
            payloads: Vec::new(),
            transport: Transport::DirectTcp,
            shared: SharedState::default(),
            play: Box::new(play),
        }
    }

    fn with(mut self, payload: PayloadSpec) -> Self {
        self.payloads.push(payload);
        self
    }

    /// Plays it from accept to end.
    pub fn play(&self) -> Theatre {
        let payloads: Vec<Vec<u8>> = self.payloads.iter().map(PayloadSpec::bytes).collect();
        let mut theatre = Theatre::open(decoy_with(self.settings), self.transport, self.shared);
        (self.play)(&mut theatre, &payloads);
        theatre
    }
}

/// The goldens' decoy with `--set`-like settings.
///
/// # Panics
/// On a setting that no golden uses.
pub fn decoy_with<S: AsRef<str>>(settings: &[S]) -> Decoy {
    let mut decoy = decoy();
    for setting in settings {
        match setting.as_ref() {
            "implant.arch=x86" => decoy.implant.arch = connection::Arch::X86,
            "implant.policy=absent" => decoy.implant.policy = Policy::Absent,
            "implant.policy=after-exploit" => decoy.implant.policy = Policy::AfterExploit,
            "implant.key_seed=0xE536D014" => decoy.implant.key_seed = Some(0xe536_d014),
            "ms17_010=patched" => decoy.ms17_010 = Ms17010::Patched,
            other => panic!("unknown setting {other}"),
        }
    }
    decoy
}

fn plan(sender: Sender, goal: Goal<'_>) -> Plan<'_> {
    let path_host = if sender == Sender::WannaCry { "192.168.56.20" } else { "10.20.30.40" };
    Plan { sender, goal, path_host: path_host.into(), later_target: true, stubborn: false, seed: 7 }
}

fn visit(theatre: &mut Theatre, sender: Sender, goal: Goal<'_>) {
    theatre.visit(plan(sender, goal));
    theatre.end(Ending::Closed);
}

fn stubborn(theatre: &mut Theatre, uploads: Vec<Upload<'_>>) {
    theatre.visit(Plan { stubborn: true, ..plan(Sender::WannaCry, Goal::Uploads(uploads)) });
    theatre.end(Ending::Closed);
}

fn upload(payload: &[u8], chunks: Vec<Chunk>) -> Upload<'_> {
    Upload { payload, chunks, key: KeyChoice::FromPing }
}

fn straight(payload: &[u8]) -> Upload<'_> {
    upload(payload, in_order(payload.len(), 4096))
}

/// All of them.
pub fn all() -> Vec<Scenario> {
    let mut all = checks_and_pings();
    all.extend(uploads());
    all.extend(unordered_uploads());
    all.extend(lying_uploads());
    all.extend(strangers());
    all.extend(oddities());
    all.extend(exploits::all());
    all.extend(unknown::all());
    all
}

fn checks_and_pings() -> Vec<Scenario> {
    let check = |later_target| {
        move |theatre: &mut Theatre, _: &[Vec<u8>]| {
            let host = "192.168.116.149".into();
            theatre.visit(Plan { later_target, path_host: host, ..plan(Sender::WannaCry, Goal::Check) });
            theatre.end(Ending::Closed);
        }
    };
    let ping = |sender| move |theatre: &mut Theatre, _: &[Vec<u8>]| visit(theatre, sender, Goal::Ping);
    vec![
        Scenario::new("wannacry-check-first", "The worm's MS17-010 check on its first target.", check(false)),
        Scenario::new(
            "wannacry-check-later",
            "The same on any later target: stale bytes follow.",
            check(true),
        ),
        Scenario {
            settings: &["ms17_010=patched"],
            ..Scenario::new(
                "wannacry-check-patched",
                "The worm's check answered as a patched host.",
                check(true),
            )
        },
        Scenario::new("wannacry-ping", "The worm's ping of the implant.", ping(Sender::WannaCry)),
        Scenario {
            settings: &["implant.arch=x86", "implant.key_seed=0xE536D014"],
            ..Scenario::new(
                "wannacry-ping-x86",
                "A ping with a fixed key seed, 32 bit.",
                ping(Sender::WannaCry),
            )
        },
        Scenario {
            settings: &["implant.policy=absent"],
            ..Scenario::new("ping-policy-absent", "A ping of a clean host.", ping(Sender::WannaCry))
        },
        Scenario {
            settings: &["implant.policy=after-exploit"],
            ..Scenario::new("ping-not-exploited", "A ping before any exploit.", ping(Sender::WannaCry))
        },
        Scenario {
            shared: SharedState { dormant: true, ..SharedState::default() },
            ..Scenario::new(
                "ping-dormant",
                "A ping from a source that killed the implant.",
                ping(Sender::WannaCry),
            )
        },
        Scenario::new("checker-check", "The public checkers' MS17-010 check.", |theatre, _| {
            visit(theatre, Sender::Checker, Goal::Check);
        }),
        Scenario::new("checker-ping", "The public checkers' ping.", ping(Sender::Checker)),
        Scenario::new("countercept-kill", "Countercept's removal of the implant.", |theatre, _| {
            visit(theatre, Sender::Countercept, Goal::Kill);
        }),
    ]
}

fn uploads() -> Vec<Scenario> {
    let one = |sender| {
        move |theatre: &mut Theatre, payloads: &[Vec<u8>]| {
            visit(theatre, sender, Goal::Uploads(vec![straight(&payloads[0])]));
        }
    };
    let worm = |arch| PayloadSpec { kind: Kind::Worm, arch, size: 0, seed: 7 };
    let dll = PayloadSpec { kind: Kind::Dll, arch: Arch::X64, size: 4096, seed: 7 };
    let shell = PayloadSpec { kind: Kind::Metasploit, arch: Arch::X64, size: 4096, seed: 7 };
    vec![
        Scenario {
            settings: &["implant.arch=x86"],
            ..Scenario::new("wannacry-upload-x86", "The worm's upload, 32 bit.", one(Sender::WannaCry))
        }
        .with(worm(Arch::X86)),
        Scenario::new("wannacry-upload-x64", "The worm's upload: whole chunks only.", one(Sender::WannaCry))
            .with(worm(Arch::X64)),
        Scenario::new(
            "fuzzbunch-upload",
            "Another Timeout in each packet, a goodbye.",
            one(Sender::FuzzBunch),
        )
        .with(dll),
        Scenario::new("metasploit-exec", "One packet without a PE, MID by chance.", one(Sender::Metasploit))
            .with(shell),
        Scenario::new("upload-one-byte", "The smallest upload.", one(Sender::WannaCry))
            .with(PayloadSpec::raw(1, 1)),
        Scenario::new("upload-under-a-chunk", "Less than one chunk.", one(Sender::WannaCry))
            .with(PayloadSpec::raw(777, 2)),
        Scenario::new("upload-whole-chunks", "Two whole chunks, no short one.", one(Sender::WannaCry))
            .with(PayloadSpec::raw(8192, 3)),
        Scenario::new(
            "upload-two-in-a-row",
            "Two uploads on a connection, a ping before each.",
            |theatre, payloads| {
                let both = payloads.iter().map(|payload| straight(payload)).collect();
                visit(theatre, Sender::WannaCry, Goal::Uploads(both));
            },
        )
        .with(PayloadSpec::raw(5000, 4))
        .with(PayloadSpec::raw(6000, 5)),
    ]
}

fn unordered_uploads() -> Vec<Scenario> {
    vec![
        Scenario::new("upload-reversed", "The last chunk first.", |theatre, payloads| {
            let mut chunks = in_order(payloads[0].len(), 1024);
            chunks.reverse();
            stubborn(theatre, vec![upload(&payloads[0], chunks)]);
        })
        .with(PayloadSpec::raw(9000, 6)),
        Scenario::new("upload-shuffled", "Chunks in an order by chance.", |theatre, payloads| {
            let mut chunks = in_order(payloads[0].len(), 512);
            shuffle(&mut chunks, &mut Chance::new(9));
            stubborn(theatre, vec![upload(&payloads[0], chunks)]);
        })
        .with(PayloadSpec::raw(9000, 7)),
        Scenario::new("upload-repeats", "Some chunks twice.", |theatre, payloads| {
            let chunks = with_repeats(&in_order(payloads[0].len(), 512));
            stubborn(theatre, vec![upload(&payloads[0], chunks)]);
        })
        .with(PayloadSpec::raw(9000, 8)),
        Scenario::new("upload-wrong-key", "A key that is not the implant's.", |theatre, payloads| {
            stubborn(theatre, vec![Upload { key: KeyChoice::Fixed(0x1234_5678), ..straight(&payloads[0]) }]);
        })
        .with(PayloadSpec::raw(9000, 9)),
    ]
}

fn lying_uploads() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "upload-total-changes",
            "Another total from the second chunk on.",
            |theatre, payloads| {
                let mut chunks = in_order(payloads[0].len(), 1024);
                for chunk in &mut chunks[1..] {
                    chunk.total = 7000;
                }
                stubborn(theatre, vec![upload(&payloads[0], chunks)]);
            },
        )
        .with(PayloadSpec::raw(9000, 10)),
        Scenario::new("upload-announced-too-much", "A total above the limit.", |theatre, payloads| {
            let mut chunks = in_order(payloads[0].len(), 4096);
            for chunk in &mut chunks {
                chunk.total = 64 << 20;
            }
            stubborn(theatre, vec![upload(&payloads[0], chunks)]);
        })
        .with(PayloadSpec::raw(9000, 11)),
        Scenario::new("upload-announced-too-little", "More bytes than announced.", |theatre, payloads| {
            let mut chunks = in_order(payloads[0].len(), 4096);
            for chunk in &mut chunks {
                chunk.total = 6000;
            }
            stubborn(theatre, vec![upload(&payloads[0], chunks)]);
        })
        .with(PayloadSpec::raw(9000, 12)),
        Scenario::new(
            "upload-lying-length",
            "A chunk that says it is longer than it is.",
            |theatre, payloads| {
                let mut chunks = in_order(payloads[0].len(), 1024);
                chunks[2].claimed_len = Some(4096);
                stubborn(theatre, vec![upload(&payloads[0], chunks)]);
            },
        )
        .with(PayloadSpec::raw(5000, 13)),
        Scenario::new("upload-conflict", "Other bytes for a place that is taken.", |theatre, payloads| {
            let mut chunks = in_order(payloads[0].len(), 1024);
            let again = Chunk { claimed_offset: Some(0), ..chunks[1] };
            chunks.insert(1, again);
            stubborn(theatre, vec![upload(&payloads[0], chunks)]);
        })
        .with(PayloadSpec::raw(5000, 14)),
        Scenario::new("upload-cut", "The connection ends inside a chunk.", |theatre, payloads| {
            let goal = Goal::Uploads(vec![straight(&payloads[0])]);
            theatre.visit_until(plan(Sender::WannaCry, goal), 137 + 140 + 96 + 82 + 4178 + 1000);
            theatre.end(Ending::Reset);
        })
        .with(PayloadSpec::raw(9000, 15)),
    ]
}

const ASCII: Header = Header { flags: 0x18, flags2: 0x2801, tid: 0, pid: 0x1234, uid: 0, mid: 1 };

fn strangers() -> Vec<Scenario> {
    let text = |bytes: &'static [u8]| {
        move |theatre: &mut Theatre, _: &[Vec<u8>]| {
            theatre.bytes(bytes);
            theatre.end(Ending::Closed);
        }
    };
    vec![
        Scenario::new("silence", "Connects, says nothing, is closed after the idle time.", |theatre, _| {
            theatre.wait();
            theatre.end(Ending::Closed);
        }),
        Scenario::new(
            "http-request",
            "A web browser that took the wrong port.",
            text(b"GET / HTTP/1.1\r\n\r\n"),
        ),
        Scenario::new("unfinished-frame", "A length of 65,527 that is never kept.", |theatre, _| {
            let mut groom = b"\0\0\xff\xf7\xfeSMB".to_vec();
            groom.resize(132, 0);
            theatre.bytes(&groom);
            theatre.bytes(&[0; 4072]);
            theatre.end(Ending::Closed);
        }),
        Scenario::new("no-common-dialect", "Dialects that no Windows speaks.", |theatre, _| {
            let mut frame = Vec::new();
            request::negotiate(&mut frame, ASCII, &["NOBODY 1.0"]);
            theatre.bytes(&frame);
            theatre.end(Ending::Closed);
        }),
    ]
}

fn oddities() -> Vec<Scenario> {
    vec![
        Scenario::new("pipelined", "The whole ping in one segment, then byte by byte.", |theatre, _| {
            let frames = recorded_frames(Sender::WannaCry, Goal::Ping);
            theatre.bytes(&frames.concat());
            for byte in &frames[3] {
                theatre.input(connection::Input::Bytes(&[*byte]));
            }
            theatre.end(Ending::Closed);
        }),
        Scenario::new("unknown-command", "Commands that no Windows of that time knows.", |theatre, _| {
            let mut frame = Vec::new();
            request::negotiate(&mut frame, ASCII, &["NT LM 0.12"]);
            theatre.bytes(&frame);
            for command in [0x00, 0x2c, 0x60, 0xd0, 0xfe] {
                request::tree_disconnect(&mut frame, ASCII);
                frame[8] = command;
                theatre.bytes(&frame);
            }
            theatre.end(Ending::Closed);
        }),
        Scenario::new(
            "before-negotiate",
            "A session setup and a ping before anything else.",
            |theatre, _| {
                let frames = recorded_frames(Sender::WannaCry, Goal::Ping);
                theatre.bytes(&frames[1]);
                theatre.bytes(&frames[3]);
                theatre.end(Ending::Closed);
            },
        ),
        Scenario {
            transport: Transport::NetBios,
            ..Scenario::new(
                "netbios-session",
                "Port 139: a session request, a keep-alive, the ping.",
                |theatre, _| {
                    let called =
                        b"\x81\0\0\x44 CKFDENECFDEFFCFGEFFCCACACACACACA\0 EMEBECCACACACACACACACACACACACAAA\0";
                    theatre.bytes(called);
                    theatre.bytes(b"\x85\0\0\0");
                    visit(theatre, Sender::WannaCry, Goal::Ping);
                },
            )
        },
        Scenario::new("many-logons", "More sessions and trees than the limit.", |theatre, _| {
            let frames = recorded_frames(Sender::WannaCry, Goal::Ping);
            theatre.bytes(&frames[0]);
            for _ in 0..70 {
                theatre.bytes(&frames[1]);
                theatre.bytes(&frames[2]);
            }
            theatre.end(Ending::Closed);
        }),
    ]
}

/// A visit's frames, recorded against the default decoy.
fn recorded_frames(sender: Sender, goal: Goal<'_>) -> Vec<Vec<u8>> {
    use roridula_proto::client::visit::{Next, Visit};
    let mut theatre = Theatre::open(decoy(), Transport::DirectTcp, SharedState::default());
    let mut visit = Visit::new(plan(sender, goal));
    let (mut frames, mut frame, mut reply) = (Vec::new(), Vec::new(), Vec::new());
    while let Next::Send(_) = visit.next(&reply, &mut frame) {
        reply = theatre.bytes(&frame);
        frames.push(frame.clone());
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_lines_read_back() {
        for scenario in all() {
            for payload in &scenario.payloads {
                assert_eq!(payload.to_line().parse(), Ok(*payload));
            }
        }
        assert!("raw x86 12".parse::<PayloadSpec>().is_err());
    }
}
