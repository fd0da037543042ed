//! A conversation of the theatre as a packet capture, so that other people's dissectors can judge it.

use roridula_desk::pcapng::file::File;
use roridula_desk::pcapng::tcp::{Ends, Flow};
use roridula_proto::time::WallClock;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

pub use roridula_desk::pcapng::tcp::Side;

const VISITOR: [u8; 4] = [192, 0, 2, 10];
const FIRST_VISITOR_PORT: u16 = 49_200;
/// The address of ours in a conversation's packets.
pub const DECOY: [u8; 4] = [192, 0, 2, 20];

/// Between two messages, in microseconds.
const STEP_US: u64 = 500;

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The decoy's port.
    pub port: u16,
    /// What was said, in order.
    pub said: Vec<(Side, Vec<u8>)>,
}

/// Conversations one after the other as a pcapng file; their `tcp.stream` counts from 0.
///
/// # Panics
/// Never: memory takes everything.
pub fn file(conversations: &[Conversation]) -> Vec<u8> {
    let mut file = File::begin(Vec::new(), "a conversation of the lab").expect("memory");
    let mut at = crate::theatre::OPENED_AT;
    for (visitor_port, conversation) in (FIRST_VISITOR_PORT..).zip(conversations) {
        let visitor = SocketAddr::from((VISITOR, visitor_port));
        let ends = Ends::new(visitor, SocketAddr::from((DECOY, conversation.port)));
        let mut flow = Flow::open(ends, [1000, 5000], at, Vec::new());
        for (from, bytes) in &conversation.said {
            at = WallClock(at.0 + STEP_US);
            flow.send(at, *from, bytes, &[]);
        }
        flow.finish(at, Side::Visitor, Vec::new());
        while let Some(packet) = flow.take() {
            file.packet(&packet).expect("memory");
        }
    }
    file.finish().expect("memory")
}

/// What `tshark` prints with these arguments.
///
/// # Panics
/// If it is not installed, or finds the file unreadable.
pub fn tshark(args: &[&str]) -> String {
    let output = Command::new("tshark").args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("tshark: {error}; scripts/setup-tests.sh installs it"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark {args:?}: {}\n{error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
