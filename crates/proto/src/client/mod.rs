//! The inert visitor: what the worms of 2017 and their kin send, as far as a decoy must answer it.
//!
//! It speaks the *protocol* and nothing more: no exploit, no code, only the requests' layouts with a payload
//! that the caller hands in. Written from the protocol's description on its own, apart from [`crate::wire`],
//! so that each side checks the other. Like all of this crate it does no I/O: [`visit::Visit`] is given each
//! reply and gives the next request; whoever owns a socket (or a
//! [`Connection`](crate::connection::Connection) in memory) carries them across.
//!
//! [`chance`] (seeded numbers), [`exploit`] (the connections around EternalBlue's transaction, filled with
//! nothing), [`implant`] (keys and opcodes), [`reply`] (reading as naively as the worm does), [`request`]
//! (layouts), [`sender`] (who sends what), [`upload`] (which chunks in which order), [`visit`] (one TCP
//! connection).

pub mod chance;
pub mod exploit;
pub mod implant;
pub mod reply;
pub mod request;
pub mod sender;
pub mod upload;
pub mod visit;
