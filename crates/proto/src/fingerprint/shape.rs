//! The order of messages, runs put together.

use crate::wire::doublepulsar::Opcode;
use crate::wire::reader::Reader;
use crate::wire::smb1::header::Header;
use crate::wire::smb1::trans::TRANS2_SESSION_SETUP;
use crate::wire::smb1::{Block, NT_TRANSACT, TRANSACTION, TRANSACTION2};
use std::fmt::{self, Write as _};

/// Steps that are told apart in one connection; what follows is told as more.
const STEPS_MAX: usize = 48;

/// One message, or whatever came instead of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A command.
    Command(u8),
    /// A command chained behind the one before.
    Chained(u8),
    /// A transaction and its subcommand.
    Transaction(u8, u16),
    /// A knock at the implant's door.
    Knock(Opcode),
    /// A message whose first four bytes are no SMB1.
    Foreign(u32),
    /// A frame of this NBSS type.
    Frame(u8),
    /// A frame that promises this many bytes, more than is read.
    TooLong(u32),
    /// The end inside a frame: bytes promised, first four bytes.
    Unfinished(u32, u32),
}

impl Step {
    /// The step that a message is.
    pub(super) fn of(header: &Header, block: &Block<'_>) -> Self {
        let mut words = Reader::new(block.words);
        let mut word_at = |at: usize| words.take(at, "").and_then(|_| words.u16_le("")).ok();
        match header.command {
            // Setup[0] behind 14 words ([MS-CIFS] 2.2.4.33.1, .46.1).
            TRANSACTION => word_at(28).map_or(Self::Command(header.command), |subcommand| {
                Self::Transaction(header.command, subcommand)
            }),
            TRANSACTION2 => match word_at(28) {
                Some(TRANS2_SESSION_SETUP) => {
                    let timeout = Reader::new(Reader::new(block.words).window(12, 4)).u32_le("").unwrap_or(0);
                    Self::Knock(Opcode::from_timeout(timeout))
                }
                Some(subcommand) => Self::Transaction(header.command, subcommand),
                None => Self::Command(header.command),
            },
            // Function ([MS-CIFS] 2.2.4.62.1).
            NT_TRANSACT => word_at(36).map_or(Self::Command(header.command), |function| {
                Self::Transaction(header.command, function)
            }),
            command => Self::Command(command),
        }
    }
}

impl Step {
    fn push_to(self, text: &mut String) {
        // Nearly all of them, at every connection's end: no formatter.
        if let Self::Command(command) = self {
            for digit in [command >> 4, command & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        } else {
            let _ = write!(text, "{self}");
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Command(command) => write!(f, "{command:02x}"),
            Self::Chained(command) => write!(f, "&{command:02x}"),
            Self::Transaction(command, sub) => write!(f, "{command:02x}/{sub:02x}"),
            Self::Knock(Opcode::Ping) => f.write_str("32.ping"),
            Self::Knock(Opcode::Exec) => f.write_str("32.exec"),
            Self::Knock(Opcode::Kill) => f.write_str("32.kill"),
            Self::Knock(Opcode::Unknown(opcode)) => write!(f, "32.{opcode:02x}"),
            Self::Foreign(head) => write!(f, "?{head:08x}"),
            Self::Frame(kind) => write!(f, "nb{kind:02x}"),
            Self::TooLong(claimed) => write!(f, "long{claimed:06x}"),
            Self::Unfinished(claimed, head) => write!(f, "cut{claimed:06x}:{head:08x}"),
        }
    }
}

/// Steps and how often each came in a row.
#[derive(Debug, Default)]
pub(super) struct Shape {
    steps: Vec<(Step, u32)>,
    more: bool,
}

impl Shape {
    pub(super) fn add(&mut self, step: Step) {
        let full = self.steps.len() >= STEPS_MAX;
        match self.steps.last_mut() {
            Some((last, count)) if *last == step && !self.more => *count = count.saturating_add(1),
            _ if full => self.more = true,
            _ => self.steps.push((step, 1)),
        }
    }

    /// The order with its counts; `order` is what [`Self::order`] gave.
    pub(super) fn whole(&self, order: &str) -> String {
        if self.is_plain() {
            return order.to_owned();
        }
        self.text(|text, count| {
            if count > 1 {
                let _ = write!(text, "*{count}");
            }
        })
    }

    /// The order without its counts: a run is `+`, however long.
    pub(super) fn order(&self) -> String {
        self.text(|text, count| {
            if count > 1 {
                text.push('+');
            }
        })
    }

    pub(super) fn memory_used(&self) -> usize {
        self.steps.capacity().saturating_mul(size_of::<(Step, u32)>())
    }

    /// Whether the order says all there is.
    fn is_plain(&self) -> bool {
        self.steps.iter().all(|(_, count)| *count == 1)
    }

    fn text(&self, run: impl Fn(&mut String, u32)) -> String {
        let mut text = String::new();
        for (step, count) in &self.steps {
            let chained = matches!(step, Step::Chained(_));
            if !text.is_empty() && !chained {
                text.push(' ');
            }
            step.push_to(&mut text);
            run(&mut text, *count);
        }
        if self.more {
            text.push_str(" …");
        }
        text
    }
}
