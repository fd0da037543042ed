//! What a visitor's implementation looks like: "JA3 for SMB1".
//!
//! Every SMB1 client fills in the same few dozen fields in a way of its own: dialects, flags, process and multiplex
//! ids, buffer sizes, the names that it gives its system, the paths that a template left behind. The [`Observer`]
//! writes them down as `key=value`, in the order in which they come; a hash over them names the implementation, and
//! [`tools`] says which known tool has all of them. What is by chance (a process id of the system, a Timeout made for
//! each packet) is written as a habit, so that two visits of one tool look alike.
//!
//! Nothing here depends on how the bytes were cut into segments, or on when they came.

mod features;
mod shape;
pub mod tools;

use crate::event::Event;
use crate::wire::ntlmssp::hex;
use crate::wire::smb1::header::{Header, LEN};
use crate::wire::smb1::{self, Block};
use features::Features;
use sha2::{Digest, Sha256};
use shape::{Shape, Step};

/// Bytes of the hash that are shown.
const HASH_BYTES: usize = 8;
/// Commands of one chain that are looked at.
const CHAIN_MAX: usize = 4;

/// Takes the fingerprint of one connection.
#[derive(Debug, Default)]
pub struct Observer {
    features: Features,
    shape: Shape,
}

impl Observer {
    /// A whole message of the session's protocol.
    pub fn message(&mut self, message: &[u8]) {
        let Ok(header) = Header::parse(message) else {
            return self.shape.add(Step::Foreign(head(message)));
        };
        let Ok(block) = Block::parse(message, LEN) else {
            return self.shape.add(Step::Command(header.command));
        };
        self.shape.add(Step::of(&header, &block));
        self.features.message(&header, &block, message);
        self.chained(message, header.command, block);
    }

    /// A frame of the NetBIOS session service, or of a kind that nobody knows.
    pub fn frame(&mut self, kind: u8) {
        self.shape.add(Step::Frame(kind));
    }

    /// A frame that promises more than is read.
    pub fn too_long(&mut self, claimed: u32) {
        self.shape.add(Step::TooLong(claimed));
    }

    /// The connection ended inside a frame.
    pub fn unfinished(&mut self, claimed: u32, body: &[u8]) {
        self.shape.add(Step::Unfinished(claimed, head(body)));
    }

    /// Bytes owned besides the value itself.
    pub fn memory_used(&self) -> usize {
        self.features.memory_used().saturating_add(self.shape.memory_used())
    }

    /// The fingerprint, at the connection's end.
    pub fn finish(mut self, recognised: Vec<String>) -> Event {
        let order = self.shape.order();
        self.features.put("order", &order);
        let features = self.features.into_text();
        let digest = Sha256::digest(features.as_bytes());
        let named = tools::named(&features);
        Event::ClientFingerprint {
            fingerprint: hex(digest.get(..HASH_BYTES).unwrap_or(&digest)),
            shape: self.shape.whole(&order),
            tools: named.iter().map(|tool| tool.id.to_owned()).collect(),
            grounds: tools::grounds(&named, &features),
            features,
            recognised,
        }
    }

    /// The commands that follow the first one in its message.
    fn chained(&mut self, message: &[u8], first: u8, block: Block<'_>) {
        let (mut command, mut block, mut at) = (first, block, LEN);
        for _ in 0..CHAIN_MAX {
            if !smb1::is_andx(command) {
                return;
            }
            // Strictly forward, as the chain itself is carried out.
            let Ok((next, offset)) = block.andx() else { return };
            if next == smb1::NO_ANDX || usize::from(offset) <= at {
                return;
            }
            (command, at) = (next, usize::from(offset));
            self.shape.add(Step::Chained(command));
            match Block::parse(message, at) {
                Ok(parsed) => block = parsed,
                Err(_) => return,
            }
        }
    }
}

/// The first four bytes, which say what a stranger speaks.
fn head(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |head| u32::from_be_bytes(*head))
}

#[cfg(test)]
mod tests;
