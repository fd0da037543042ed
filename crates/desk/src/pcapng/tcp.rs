//! TCP over IP: the packets that two well-behaved hosts would have exchanged.
//!
//! Nothing is lost, nothing is sent twice, and nobody waits: every second full segment is acknowledged, as RFC 1122
//! (4.2.3.2) asks for, and data that goes the other way acknowledges what came before it.

use roridula_proto::time::WallClock;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// Bytes of IP and TCP that an Ethernet frame carries.
const MTU: usize = 1500;
const TCP_HEADER: usize = 20;
/// What both sides can take; without scaling, no more can be said.
const WINDOW: u16 = u16::MAX;
/// Both sides' TTL or hop limit: where Windows begins.
const HOPS: u8 = 128;
/// IP's number for TCP.
const TCP: u8 = 6;
/// Segments that may be unacknowledged.
const UNACKNOWLEDGED_MAX: u32 = 2;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The visitor.
    Visitor,
    /// The honeypot.
    Decoy,
}

impl Side {
    /// The one that it talks to.
    pub const fn other(self) -> Self {
        match self {
            Self::Visitor => Self::Decoy,
            Self::Decoy => Self::Visitor,
        }
    }
}

/// Both ends' addresses, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    visitor: SocketAddr,
    decoy: SocketAddr,
}

impl Ends {
    /// IPv4 where both are, mapped or not; else IPv6.
    pub fn new(visitor: SocketAddr, decoy: SocketAddr) -> Self {
        let family = |ip: IpAddr, other: IpAddr| match (ip.to_canonical(), other.to_canonical()) {
            (IpAddr::V4(ip), IpAddr::V6(_)) => IpAddr::V6(ip.to_ipv6_mapped()),
            (ip, _) => ip,
        };
        Self {
            visitor: SocketAddr::new(family(visitor.ip(), decoy.ip()), visitor.port()),
            decoy: SocketAddr::new(family(decoy.ip(), visitor.ip()), decoy.port()),
        }
    }

    const fn of(&self, side: Side) -> SocketAddr {
        match side {
            Side::Visitor => self.visitor,
            Side::Decoy => self.decoy,
        }
    }
}

/// A packet, from its IP header on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When.
    pub at: WallClock,
    /// Who sent it.
    pub from: Side,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What is said about it.
    pub comments: Vec<String>,
}

/// A remark on some of the bytes that are sent: it goes on every packet that carries one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which bytes.
    pub bytes: Range<usize>,
    /// The remark.
    pub text: String,
}

/// One side's place in its stream.
#[derive(Clone, Copy, Debug)]
struct Sender {
    /// Sequence number of its next byte.
    next: u32,
    /// Segments of it that the other side has not acknowledged.
    unacknowledged: u32,
}

/// One connection, from its handshake on. Packets queue up until they are taken.
#[derive(Debug)]
pub struct Flow {
    ends: Ends,
    visitor: Sender,
    decoy: Sender,
    packets: VecDeque<Packet>,
}

impl Flow {
    /// The three-way handshake at `at`; `initial` are the first sequence numbers of visitor and decoy. `comments` go
    /// on the first packet.
    pub fn open(ends: Ends, initial: [u32; 2], at: WallClock, comments: Vec<String>) -> Self {
        let [visitor, decoy] = initial.map(|next| Sender { next, unacknowledged: 0 });
        let mut flow = Self { ends, visitor, decoy, packets: VecDeque::new() };
        flow.packet(at, Side::Visitor, SYN, &[], comments);
        flow.packet(at, Side::Decoy, SYN | ACK, &[], Vec::new());
        flow.packet(at, Side::Visitor, ACK, &[], Vec::new());
        flow
    }

    /// The first packet that was not taken yet.
    pub fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }

    /// Takes that one.
    pub fn take(&mut self) -> Option<Packet> {
        self.packets.pop_front()
    }

    /// One write of `from`, in as many segments as it needs.
    pub fn send(&mut self, at: WallClock, from: Side, bytes: &[u8], notes: &[Note]) {
        let mss = self.mss();
        for (number, segment) in bytes.chunks(mss).enumerate() {
            let place = number * mss..number * mss + segment.len();
            let is_last = place.end == bytes.len();
            let about = |note: &&Note| note.bytes.start < place.end && place.start < note.bytes.end;
            let comments = notes.iter().filter(about).map(|note| note.text.clone()).collect();
            self.packet(at, from, if is_last { PSH | ACK } else { ACK }, segment, comments);
            if self.sender(from).unacknowledged >= UNACKNOWLEDGED_MAX && !is_last {
                self.acknowledge(at, from.other());
            }
        }
        // The last segments' acknowledgement travels with an answer, if there is one at once.
        if self.sender(from).unacknowledged > UNACKNOWLEDGED_MAX {
            self.acknowledge(at, from.other());
        }
    }

    /// `from` acknowledges what it has not yet, if there is anything.
    pub fn acknowledge(&mut self, at: WallClock, from: Side) {
        if self.sender(from.other()).unacknowledged > 0 {
            self.packet(at, from, ACK, &[], Vec::new());
        }
    }

    /// `from` sends nothing more.
    pub fn finish(&mut self, at: WallClock, from: Side, comments: Vec<String>) {
        self.packet(at, from, FIN | ACK, &[], comments);
    }

    /// `from` ends the connection at once.
    pub fn reset(&mut self, at: WallClock, from: Side, comments: Vec<String>) {
        self.packet(at, from, RST | ACK, &[], comments);
    }

    /// Bytes of data in a segment.
    fn mss(&self) -> usize {
        MTU - TCP_HEADER - if self.ends.visitor.is_ipv4() { 20 } else { 40 }
    }

    fn sender(&mut self, side: Side) -> &mut Sender {
        match side {
            Side::Visitor => &mut self.visitor,
            Side::Decoy => &mut self.decoy,
        }
    }

    fn packet(&mut self, at: WallClock, from: Side, flags: u8, data: &[u8], comments: Vec<String>) {
        let acknowledged = self.sender(from.other());
        let ack = if flags & ACK == 0 { 0 } else { acknowledged.next };
        acknowledged.unacknowledged = 0;
        let counted = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let sender = self.sender(from);
        let seq = sender.next;
        sender.next = sender.next.wrapping_add(counted);
        sender.unacknowledged += u32::from(counted > 0);
        // Maximum segment size: kind 2, 4 bytes.
        let mss = (self.mss() as u16).to_be_bytes();
        let options: &[u8] = if flags & SYN == 0 { &[] } else { &[2, 4, mss[0], mss[1]] };
        let words = ((TCP_HEADER + options.len()) / 4) as u8;
        let mut tcp = Vec::with_capacity(MTU);
        tcp.extend(self.ends.of(from).port().to_be_bytes());
        tcp.extend(self.ends.of(from.other()).port().to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([words << 4, flags]);
        tcp.extend(WINDOW.to_be_bytes());
        // Checksum and urgent pointer.
        tcp.extend([0; 4]);
        tcp.extend(options);
        tcp.extend(data);
        let bytes = self.ip(from, tcp);
        self.packets.push_back(Packet { at, from, bytes, comments });
    }

    /// Puts the IP header before a TCP segment and fills in the checksums.
    fn ip(&self, from: Side, mut tcp: Vec<u8>) -> Vec<u8> {
        let len = tcp.len() as u16;
        let (mut header, addresses) = match (self.ends.of(from).ip(), self.ends.of(from.other()).ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let [high, low] = (20 + len).to_be_bytes();
                // No fragments; the identification may then be anything.
                let header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, TCP, 0, 0];
                (header, [source.octets(), destination.octets()].concat())
            }
            (source, destination) => {
                let [high, low] = len.to_be_bytes();
                let octets = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                let header = vec![0x60, 0, 0, 0, high, low, TCP, HOPS];
                (header, [octets(source), octets(destination)].concat())
            }
        };
        let is_v4 = addresses.len() == 8;
        header.extend(&addresses);
        if is_v4 {
            let sum = checksum(0, &header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        // The pseudo header: addresses, protocol, length (RFC 9293, 3.1; RFC 8200, 8.1).
        let pseudo = sum(u32::from(TCP) + u32::from(len), &addresses);
        let sum = checksum(pseudo, &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        header.extend(tcp);
        header
    }
}

/// Adds the 16-bit words of less than 64 KiB to `start`.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    let (words, odd) = bytes.as_chunks::<2>();
    let words = words.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    start + words.sum::<u32>() + odd.first().map_or(0, |&byte| u32::from(byte) << 8)
}

/// The Internet checksum (RFC 1071) of `bytes` and what was summed up before.
fn checksum(start: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum(start, bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(visitor: &str, decoy: &str) -> Flow {
        let address = |text: &str| text.parse().expect("an address");
        Flow::open(
            Ends::new(address(visitor), address(decoy)),
            [u32::MAX - 1, 7],
            WallClock(5),
            vec!["first".into()],
        )
    }

    fn drain(flow: &mut Flow) -> Vec<Packet> {
        std::iter::from_fn(|| flow.take()).collect()
    }

    /// Sequence number, acknowledgement, flags and data of an IPv4 packet.
    fn tcp(packet: &Packet) -> (u32, u32, u8, &[u8]) {
        let word = |at: usize| u32::from_be_bytes(packet.bytes[at..at + 4].try_into().expect("4 bytes"));
        let start = 20 + usize::from(packet.bytes[32] >> 4) * 4;
        (word(24), word(28), packet.bytes[33], &packet.bytes[start..])
    }

    #[test]
    fn sequence_numbers_wrap_and_every_byte_is_acknowledged() {
        let mut flow = flow("192.0.2.1:50000", "192.0.2.2:445");
        flow.send(WallClock(9), Side::Visitor, &[7; 4000], &[Note { bytes: 1459..1461, text: "n".into() }]);
        flow.send(WallClock(9), Side::Decoy, b"ok", &[]);
        flow.finish(WallClock(10), Side::Visitor, Vec::new());
        let packets = drain(&mut flow);
        let seen: Vec<_> = packets.iter().map(tcp).collect();
        let heads: Vec<_> =
            seen.iter().map(|&(seq, ack, flags, data)| (seq, ack, flags, data.len())).collect();
        let expected = [
            (u32::MAX - 1, 0, SYN, 0),
            (7, u32::MAX, SYN | ACK, 0),
            (u32::MAX, 8, ACK, 0),
            (u32::MAX, 8, ACK, 1460),
            (1459, 8, ACK, 1460),
            (8, 2919, ACK, 0),
            (2919, 8, PSH | ACK, 1080),
            (8, 3999, PSH | ACK, 2),
            (3999, 10, FIN | ACK, 0),
        ];
        assert_eq!(heads, expected);
        let noted: Vec<_> = packets.iter().map(|packet| packet.comments.len()).collect();
        assert_eq!(noted, [1, 0, 0, 1, 1, 0, 0, 0, 0]);
    }

    #[test]
    fn the_checksum_of_a_packet_that_holds_its_own_is_zero() {
        for (visitor, decoy) in [
            ("192.0.2.1:1", "192.0.2.2:445"),
            ("[2001:db8::1]:1", "[2001:db8::2]:445"),
            ("[::ffff:192.0.2.1]:1", "[2001:db8::2]:445"),
        ] {
            let mut flow = flow(visitor, decoy);
            flow.send(WallClock(9), Side::Visitor, b"odd", &[]);
            for packet in drain(&mut flow) {
                let (header, addresses) = if packet.bytes[0] >> 4 == 4 { (20, 8) } else { (40, 32) };
                let (ip, tcp) = packet.bytes.split_at(header);
                let pseudo = sum(u32::from(TCP) + tcp.len() as u32, &ip[header - addresses..]);
                assert_eq!(checksum(pseudo, tcp), 0);
                assert!(header == 40 || checksum(0, ip) == 0);
            }
        }
    }

    #[test]
    fn mapped_addresses_are_what_they_mean() {
        let address = |text: &str| text.parse().expect("an address");
        let mapped = Ends::new(address("[::ffff:192.0.2.1]:9"), address("[::ffff:192.0.2.2]:445"));
        assert_eq!(mapped, Ends::new(address("192.0.2.1:9"), address("192.0.2.2:445")));
    }
}
