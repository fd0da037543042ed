//! A conversation of the theatre as a packet capture, so that other people's dissectors can judge it.

/// Who sent a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The visitor.
    Visitor,
    /// The decoy.
    Decoy,
}

const VISITOR: [u8; 4] = [192, 0, 2, 10];
const FIRST_VISITOR_PORT: u16 = 49_200;
const DECOY: [u8; 4] = [192, 0, 2, 20];

/// Link type of raw IP packets.
const LINKTYPE_RAW: u32 = 101;
/// Bytes of payload in one packet.
const SEGMENT_MAX: usize = 32_000;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const PSH_ACK: u8 = 0x18;
const FIN_ACK: u8 = 0x11;

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The decoy's port.
    pub port: u16,
    /// What was said, in order.
    pub said: Vec<(From, Vec<u8>)>,
}

struct Flow<'o> {
    packets: &'o mut Vec<u8>,
    decoy_port: u16,
    visitor_port: u16,
    /// Next sequence numbers of visitor and decoy.
    next: [u32; 2],
    micros: u32,
}

/// Conversations one after the other as a classic pcap file; their `tcp.stream` counts from 0.
pub fn file(conversations: &[Conversation]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0xffff, LINKTYPE_RAW] {
        out.extend(u32::to_le_bytes(word));
    }
    for (visitor_port, conversation) in (FIRST_VISITOR_PORT..).zip(conversations) {
        let micros = u32::from(visitor_port - FIRST_VISITOR_PORT) * 10_000_000;
        let decoy_port = conversation.port;
        let mut flow = Flow { packets: &mut out, decoy_port, visitor_port, next: [1000, 5000], micros };
        flow.conversation(&conversation.said);
    }
    out
}

impl Flow<'_> {
    fn conversation(&mut self, said: &[(From, Vec<u8>)]) {
        self.packet(From::Visitor, SYN, &[]);
        self.next[0] += 1;
        self.packet(From::Decoy, SYN | ACK, &[]);
        self.next[1] += 1;
        self.packet(From::Visitor, ACK, &[]);
        for (from, bytes) in said {
            for segment in bytes.chunks(SEGMENT_MAX) {
                self.packet(*from, PSH_ACK, segment);
                self.next[usize::from(*from == From::Decoy)] += segment.len() as u32;
            }
        }
        self.packet(From::Visitor, FIN_ACK, &[]);
    }

    fn packet(&mut self, from: From, flags: u8, payload: &[u8]) {
        let from_decoy = from == From::Decoy;
        let (source, destination) = if from_decoy { (DECOY, VISITOR) } else { (VISITOR, DECOY) };
        let ports = [self.decoy_port, self.visitor_port];
        let ports = if from_decoy { ports } else { [ports[1], ports[0]] };
        let (seq, ack) = (self.next[usize::from(from_decoy)], self.next[usize::from(!from_decoy)]);
        let mut tcp = Vec::with_capacity(20 + payload.len());
        tcp.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
        tcp.extend(seq.to_be_bytes());
        tcp.extend(if flags == SYN { [0; 4] } else { ack.to_be_bytes() });
        tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend_from_slice(payload);
        let ip_len = (20 + tcp.len()) as u16;
        let mut ip = vec![0x45, 0];
        ip.extend(ip_len.to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        ip.extend(source);
        ip.extend(destination);
        let sum = checksum(&ip, 0);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let pseudo =
            u32::from(checksum_part(&source)) + u32::from(checksum_part(&destination)) + 6 + tcp.len() as u32;
        let sum = checksum(&tcp, pseudo);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        self.micros += 500;
        let len = (ip.len() + tcp.len()) as u32;
        for word in [1_494_575_040 + self.micros / 1_000_000, self.micros % 1_000_000, len, len] {
            self.packets.extend(word.to_le_bytes());
        }
        self.packets.extend(ip);
        self.packets.extend(tcp);
    }
}

/// The folded sum of two 16-bit words.
fn checksum_part(address: &[u8; 4]) -> u16 {
    let sum = u32::from(u16::from_be_bytes([address[0], address[1]]))
        + u32::from(u16::from_be_bytes([address[2], address[3]]));
    ((sum & 0xffff) + (sum >> 16)) as u16
}

fn checksum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
