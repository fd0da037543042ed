//! One connection of the doctor's: the inert visitor of `proto` on a socket, with every wait and size
//! bounded.

use super::target::{Proof, Target};
use roridula_proto::client::sender::Sender;
use roridula_proto::client::visit::{Goal, Next, Outcome, Plan, Stage, Visit};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a connection may take to be accepted.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// How long a whole reply may take.
const REPLY_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a reply's message; what the worm reads at once, and more than any reply to it.
const REPLY_BYTES_MAX: usize = 1024;
/// The host in the tree connect's path, by which these visits are known in the journal.
const PATH_HOST: &str = "roridula-doctor";

/// What a connection came to.
#[derive(Debug)]
pub(super) struct Walk {
    /// The address that it came from, once there is a connection.
    pub(super) from: Option<SocketAddr>,
    /// Every stage that was answered, and how long the answer took.
    pub(super) stages: Vec<(Stage, Duration)>,
    /// How it ended.
    pub(super) end: End,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// As such a visit ends.
    Outcome(Outcome),
    /// What was sent was all that was to be sent.
    HeldBack,
    /// Nobody could be reached.
    Unreachable(std::io::Error),
    /// No reply to this request.
    Died(Stage, Death),
    /// Another machine than the one that is meant; it was sent one NEGOTIATE and nothing else.
    Stranger(Option<Proof>),
}

/// Why a reply is none.
#[derive(Debug)]
pub(super) enum Death {
    /// Nothing, or not all of it, came in time.
    Silent,
    /// The other side closed.
    Closed,
    /// It is no SMB1 message; its first bytes.
    Garbage([u8; 4]),
    /// The system's error.
    Io(std::io::Error),
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(f, "no answer within {} seconds", REPLY_WAIT.as_secs()),
            Self::Closed => f.write_str("the connection was closed instead of an answer"),
            Self::Garbage(head) => {
                write!(f, "the answer is no SMB1 message (it begins with {})", crate::cli::out::hex(head))
            }
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<std::io::Error> for Death {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // Linux says "would block" where a socket's time is over.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::Silent,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// Checks for MS17-010, as far as the first answer shows `proof`.
pub(super) fn check(target: Target, proof: Option<Proof>) -> Walk {
    walk(target, Sender::Checker, Goal::Check, Guard::Proof(proof))
}

/// Goes to the implant for `goal`. Elsewhere the last chunk of an upload is held back, so that not even a
/// real implant would run what it was sent.
pub(super) fn implant(target: Target, goal: Goal<'_>) -> Walk {
    let last = match &goal {
        Goal::Uploads(uploads) => uploads.last().map(|upload| upload.chunks.len().saturating_sub(1)),
        _ => None,
    };
    let guard = match last.filter(|_| !target.is_here) {
        Some(chunk) => Guard::HoldBack(chunk),
        None => Guard::None,
    };
    walk(target, Sender::WannaCry, goal, guard)
}

/// What stops a visit early.
#[derive(Clone, Copy, Debug)]
enum Guard {
    /// Nothing.
    None,
    /// The answer to NEGOTIATE does not show this proof.
    Proof(Option<Proof>),
    /// It is this chunk's turn.
    HoldBack(usize),
}

fn walk(target: Target, sender: Sender, goal: Goal<'_>, guard: Guard) -> Walk {
    let mut walk = Walk { from: None, stages: Vec::new(), end: End::HeldBack };
    let stream = TcpStream::connect_timeout(&target.address, CONNECT_WAIT)
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return Walk { end: End::Unreachable(error), ..walk },
    };
    walk.from = stream.local_addr().ok();
    let plan = Plan {
        sender,
        goal,
        path_host: PATH_HOST.to_owned(),
        later_target: false,
        stubborn: false,
        seed: u64::from(std::process::id()),
    };
    walk.end = talk(stream, Visit::new(plan), guard, &mut walk.stages);
    walk
}

/// Request and reply in turn, until the visit is over.
fn talk(
    mut stream: TcpStream,
    mut visit: Visit<'_>,
    guard: Guard,
    stages: &mut Vec<(Stage, Duration)>,
) -> End {
    let (mut frame, mut reply) = (Vec::new(), Vec::new());
    loop {
        let stage = match visit.next(&reply, &mut frame) {
            Next::Done(outcome) => return End::Outcome(outcome),
            Next::Send(stage) => stage,
        };
        if let (Guard::HoldBack(held), Stage::Exec(_, chunk)) = (guard, stage)
            && chunk >= held
        {
            return End::HeldBack;
        }
        let begun = Instant::now();
        if let Err(death) = exchange(&mut stream, &frame, &mut reply, begun + REPLY_WAIT) {
            return End::Died(stage, death);
        }
        stages.push((stage, begun.elapsed()));
        if let (Guard::Proof(wanted), Stage::Negotiate) = (guard, stage) {
            let shown = guid(&reply);
            if shown.is_none() || shown != wanted {
                return End::Stranger(shown);
            }
        }
    }
}

/// Sends one request and reads one reply, whole and bounded, until `deadline`.
fn exchange(
    stream: &mut TcpStream,
    frame: &[u8],
    reply: &mut Vec<u8>,
    deadline: Instant,
) -> Result<(), Death> {
    stream.set_write_timeout(Some(REPLY_WAIT))?;
    stream.write_all(frame)?;
    let mut head = [0; 4];
    read_all(stream, &mut head, deadline)?;
    let len = u32::from_be_bytes([0, head[1], head[2], head[3]]);
    let len = usize::try_from(len).ok().filter(|&len| head[0] == 0 && len <= REPLY_BYTES_MAX);
    let Some(len) = len else { return Err(Death::Garbage(head)) };
    reply.clear();
    reply.extend_from_slice(&head);
    reply.resize(head.len() + len, 0);
    read_all(stream, &mut reply[head.len()..], deadline)?;
    match reply[head.len()..].first_chunk::<4>() {
        Some(b"\xffSMB") => Ok(()),
        Some(other) => Err(Death::Garbage(*other)),
        None => Err(Death::Garbage(head)),
    }
}

/// Fills `buffer`; many small pieces do not buy more time.
fn read_all(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> Result<(), Death> {
    let mut at = 0;
    while at < buffer.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Death::Silent);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer[at..]) {
            Ok(0) => return Err(Death::Closed),
            Ok(count) => at += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The ServerGUID of an extended-security NEGOTIATE's reply ([MS-SMB] 2.2.4.5.2.1), as a whole frame.
fn guid(frame: &[u8]) -> Option<Proof> {
    /// CAP_EXTENDED_SECURITY, in the highest byte of Capabilities.
    const EXTENDED: u8 = 0x80;
    let (command, words, capabilities) = (frame.get(8)?, frame.get(36)?, frame.get(59)?);
    let extended = *command == 0x72 && *words == 17 && capabilities & EXTENDED != 0;
    let guid = frame.get(73..)?.first_chunk::<16>()?;
    extended.then_some(Proof(*guid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
    use std::net::TcpListener;
    use std::thread;

    /// A peer that answers every request with the next of these and then closes; says what it was sent.
    fn peer(replies: Vec<Vec<u8>>) -> (Target, thread::JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::listener(listener.local_addr().unwrap());
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut requests = Vec::new();
            for reply in replies {
                let mut head = [0; 4];
                if stream.read_exact(&mut head).is_err() {
                    break;
                }
                let mut request = vec![0; u32::from_be_bytes(head) as usize];
                stream.read_exact(&mut request).unwrap();
                requests.push(request);
                stream.write_all(&reply).unwrap();
            }
            let mut rest = Vec::new();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let _ = stream.read_to_end(&mut rest);
            if !rest.is_empty() {
                requests.push(rest);
            }
            requests
        });
        (target, served)
    }

    /// A reply with this command, MID and ServerGUID.
    fn reply(command: u8, mid: u16, guid: [u8; 16]) -> Vec<u8> {
        let mut frame = vec![0; 100];
        frame[3] = 96;
        frame[4..8].copy_from_slice(b"\xffSMB");
        frame[8] = command;
        frame[34..36].copy_from_slice(&mid.to_le_bytes());
        (frame[36], frame[59]) = (17, 0x80);
        frame[73..89].copy_from_slice(&guid);
        frame
    }

    #[test]
    fn a_stranger_gets_one_negotiate_and_nothing_else() {
        for wanted in [Some(Proof([7; 16])), None] {
            let (target, served) = peer(vec![reply(0x72, 0, [8; 16])]);
            let walk = check(target, wanted);
            assert!(matches!(walk.end, End::Stranger(Some(Proof(shown))) if shown == [8; 16]), "{walk:?}");
            let requests = served.join().unwrap();
            assert_eq!(requests.len(), 1);
            assert_eq!(requests[0][4], 0x72);
            // Extended security is asked for, so that the GUID is shown.
            assert_ne!(u16::from_le_bytes([requests[0][10], requests[0][11]]) & 0x0800, 0);
        }
    }

    #[test]
    fn elsewhere_the_last_chunk_is_held_back() {
        let replies =
            || vec![(0x72, 64), (0x73, 64), (0x75, 64), (0x32, 81), (0x32, 82), (0x32, 82), (0x32, 82)];
        let payload = [b'.'; 12];
        for (is_here, execs) in [(true, 3), (false, 2)] {
            let (target, served) =
                peer(replies().into_iter().map(|(command, mid)| reply(command, mid, [0; 16])).collect());
            let upload = Upload { payload: &payload, chunks: in_order(12, 4), key: KeyChoice::FromPing };
            let walk = implant(Target { is_here, ..target }, Goal::Uploads(vec![upload]));
            assert_eq!(matches!(walk.end, End::HeldBack), !is_here, "{walk:?}");
            assert_eq!(walk.stages.len(), 4 + execs);
            assert_eq!(served.join().unwrap().len(), 4 + execs);
        }
    }

    #[test]
    fn what_is_no_reply_is_named() {
        let long = [&[0, 0xff, 0xff, 0xff][..], b"\xffSMB"].concat();
        for garbage in [b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), long, b"\0\0\0\x04\xfeSMB".to_vec()] {
            let (target, served) = peer(vec![garbage]);
            let walk = check(target, Some(Proof([7; 16])));
            assert!(matches!(walk.end, End::Died(Stage::Negotiate, Death::Garbage(_))), "{walk:?}");
            served.join().unwrap();
        }
        let (target, served) = peer(vec![b"\0\0\0\x40\xff".to_vec()]);
        drop(served);
        let walk = check(target, None);
        assert!(matches!(walk.end, End::Died(Stage::Negotiate, Death::Silent)), "{walk:?}");
    }
}
