//! What a visitor of the past does, connection by connection.

use super::line::{Caller, Line};
use super::past::Past;
use super::payloads::{Kitchen, Recipe};
use super::recordings::{Recording, Recordings};
use super::spray;
use crate::attack::exploit::{groom_filler, overflow_filler};
use roridula_proto::client::chance::Chance;
use roridula_proto::client::exploit::{Exploit, Plan as ExploitPlan, Role};
use roridula_proto::client::sender::Sender;
use roridula_proto::client::upload::{KeyChoice, Upload, in_order};
use roridula_proto::client::visit::{Goal, Plan};
use roridula_proto::connection::{Decoy, Ending};
use roridula_proto::time::WallClock;
use std::net::SocketAddr;
use std::sync::Arc;

/// Groom connections before and behind the second hole, as the tools make them at their first attempt.
const GROOMS: (usize, usize) = (13, 5);
/// Connections of one exploit: the one that carries it, two holes, the grooms.
pub(super) const EXPLOIT_CONNECTIONS: usize = 3 + GROOMS.0 + GROOMS.1;
/// How long the tools leave the groom connections open.
const GROOM_PAUSE_US: u64 = 10_000_000;

/// What a visitor does in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// It connects and says nothing.
    Connect,
    /// What was recorded of a client.
    Client(u8),
    /// What nobody understands.
    Stranger(u8),
    /// A check for MS17-010.
    Check,
    /// A ping of the implant.
    Ping,
    /// The implant's removal.
    Kill,
    /// A logon with a guessed account.
    Logon,
    /// The exploit alone, cut off in its middle or not.
    Exploit {
        /// Whose.
        sender: Sender,
        /// Whether it is cut off.
        cut: bool,
    },
    /// An upload through the implant.
    Deliver {
        /// Whose.
        sender: Sender,
        /// What.
        recipe: Recipe,
        /// Whether EternalBlue comes first.
        exploit: bool,
        /// Bytes of the payload in hundredths that come before the connection is cut; 100: all.
        percent: u8,
    },
}

impl Act {
    /// Connections that it takes.
    pub(super) const fn connections(self) -> usize {
        match self {
            Self::Exploit { cut: true, .. } => 3,
            Self::Exploit { .. } => 2 + EXPLOIT_CONNECTIONS,
            Self::Deliver { exploit: true, .. } => 4 + EXPLOIT_CONNECTIONS,
            Self::Deliver { .. } => 3,
            _ => 1,
        }
    }

    /// Whether one visitor does it again and again.
    pub(super) const fn repeats(self) -> bool {
        !matches!(self, Self::Exploit { .. } | Self::Deliver { .. } | Self::Kill)
    }
}

/// All that acts need.
pub(super) struct Stage<'a> {
    pub(super) past: &'a mut Past,
    pub(super) kitchen: &'a mut Kitchen,
    pub(super) recordings: &'a Recordings,
    /// The decoy as it is now.
    pub(super) decoy: Arc<Decoy>,
}

/// One visitor, and when its next connection begins.
struct Visitor {
    caller: Caller,
    chance: Chance,
    seed: u64,
}

impl Visitor {
    fn plan<'p>(&self, sender: Sender, goal: Goal<'p>) -> Plan<'p> {
        let path_host = match sender {
            Sender::WannaCry => "192.168.56.20".to_owned(),
            _ => self.caller.destination.ip().to_string(),
        };
        Plan {
            sender,
            goal,
            path_host,
            later_target: !self.seed.is_multiple_of(4),
            stubborn: false,
            seed: self.seed,
        }
    }

    /// The next connection begins a while after `ended`.
    fn after(&mut self, ended: WallClock) {
        let pause_us = 300_000 + self.chance.next_u64() % 3_000_000;
        self.caller.at = WallClock(ended.0 + pause_us);
        self.next_port();
    }

    fn next_port(&mut self) {
        let port = self.caller.source.port();
        self.caller.source.set_port(if port >= 65_000 { 1_100 } else { port + 1 });
    }
}

impl Stage<'_> {
    /// Plays an act from `at` on. `seed` tells one visitor from another.
    pub(super) fn play(&mut self, act: Act, at: WallClock, source: SocketAddr, home: SocketAddr, seed: u64) {
        let mut chance = Chance::new(seed);
        // From across the street, or from the other side of the world.
        let pace_us = 8_000 + chance.next_u64() % 120_000;
        let caller = Caller { at, source, destination: home, pace_us };
        let mut visitor = Visitor { caller, chance, seed };
        match act {
            Act::Connect => self.connect(&mut visitor),
            Act::Client(number) => {
                self.recorded(&mut visitor, &self.recordings.clients[usize::from(number)]);
            }
            Act::Stranger(number) => {
                self.recorded(&mut visitor, &self.recordings.strangers[usize::from(number)]);
            }
            Act::Check => self.visit(&mut visitor, Sender::Checker, Goal::Check),
            Act::Ping => self.visit(&mut visitor, Sender::Checker, Goal::Ping),
            Act::Kill => self.visit(&mut visitor, Sender::Countercept, Goal::Kill),
            Act::Logon => {
                let mut line = self.open(&visitor);
                spray::guess(&mut |bytes| line.bytes(self.past, bytes), seed, &mut visitor.chance);
                line.end(self.past, Ending::Closed);
            }
            Act::Exploit { sender, cut } => {
                self.visit(&mut visitor, sender, Goal::Check);
                self.visit(&mut visitor, sender, Goal::Ping);
                if cut { self.cut_exploit(&mut visitor, sender) } else { self.exploit(&mut visitor, sender) }
            }
            Act::Deliver { sender, recipe, exploit, percent } => {
                self.visit(&mut visitor, sender, Goal::Check);
                self.visit(&mut visitor, sender, Goal::Ping);
                if exploit {
                    self.exploit(&mut visitor, sender);
                    self.visit(&mut visitor, sender, Goal::Ping);
                }
                self.deliver(&mut visitor, sender, recipe, percent);
            }
        }
    }

    fn open(&mut self, visitor: &Visitor) -> Line {
        Line::open(self.past, &self.decoy, &visitor.caller)
    }

    fn connect(&mut self, visitor: &mut Visitor) {
        let line = self.open(visitor);
        match visitor.chance.below(12) {
            0 => line.fall_silent(self.past),
            1 => line.end(self.past, Ending::Reset),
            _ => line.end(self.past, Ending::Closed),
        };
    }

    fn recorded(&mut self, visitor: &mut Visitor, recording: &Recording) {
        visitor.caller.destination.set_port(recording.port);
        let mut line = self.open(visitor);
        for bytes in &recording.sent {
            line.bytes(self.past, bytes);
        }
        line.end(self.past, Ending::Closed);
    }

    fn visit(&mut self, visitor: &mut Visitor, sender: Sender, goal: Goal<'_>) {
        let mut line = self.open(visitor);
        line.visit(self.past, visitor.plan(sender, goal), usize::MAX);
        let ended = line.end(self.past, Ending::Closed);
        visitor.after(ended);
    }

    fn deliver(&mut self, visitor: &mut Visitor, sender: Sender, recipe: Recipe, percent: u8) {
        let payload = self.kitchen.make(recipe);
        let chunks = in_order(payload.len(), 4096);
        let goal = Goal::Uploads(vec![Upload { payload: &payload, chunks, key: KeyChoice::FromPing }]);
        // What stands around 4,096 bytes of payload is less than a chunk for all but the smallest.
        let (bytes_max, ending) = match percent {
            100.. => (usize::MAX, Ending::Closed),
            _ => (900 + payload.len() / 100 * usize::from(percent), Ending::Reset),
        };
        let mut line = self.open(visitor);
        line.visit(self.past, visitor.plan(sender, goal), bytes_max);
        let ended = line.end(self.past, ending);
        visitor.after(ended);
    }

    fn cut_exploit(&mut self, visitor: &mut Visitor, sender: Sender) {
        let filler = overflow_filler();
        let mut exploit = Exploit::new(exploit_plan(visitor, sender, Role::Main(&filler)));
        let mut line = self.open(visitor);
        line.exploit(self.past, &mut exploit);
        // It breaks off where the other connections would begin.
        line.end(self.past, Ending::Reset);
    }

    /// All connections of one exploit: the one that carries it stays open beside the others.
    fn exploit(&mut self, visitor: &mut Visitor, sender: Sender) {
        let (overflow, body) = (overflow_filler(), groom_filler());
        let begin = |stage: &mut Self, visitor: &mut Visitor, role| {
            let exploit = Exploit::new(exploit_plan(visitor, sender, role));
            let line = Line::open(stage.past, &stage.decoy, &visitor.caller);
            visitor.caller.at = WallClock(line.now().0 + visitor.caller.pace_us);
            visitor.next_port();
            (line, exploit)
        };
        let (mut main, mut carrying) = begin(self, visitor, Role::Main(&overflow));
        main.exploit(self.past, &mut carrying);
        visitor.caller.at = main.now();
        let mut others = vec![begin(self, visitor, Role::FirstHole)];
        others.extend((0..GROOMS.0).map(|_| begin(self, visitor, Role::Groom(&body))).collect::<Vec<_>>());
        others.push(begin(self, visitor, Role::SecondHole));
        others.extend((0..GROOMS.1).map(|_| begin(self, visitor, Role::Groom(&body))).collect::<Vec<_>>());
        for (line, exploit) in &mut others {
            line.exploit(self.past, exploit);
        }
        main.wait_until(visitor.caller.at);
        main.exploit(self.past, &mut carrying);
        let mut at = WallClock(main.now().0 + GROOM_PAUSE_US);
        for (mut line, mut exploit) in others {
            line.wait_until(at);
            line.exploit(self.past, &mut exploit);
            at = line.end(self.past, Ending::Closed);
        }
        main.wait_until(at);
        main.exploit(self.past, &mut carrying);
        let ended = main.end(self.past, Ending::Closed);
        visitor.after(ended);
    }
}

fn exploit_plan<'p>(visitor: &Visitor, sender: Sender, role: Role<'p>) -> ExploitPlan<'p> {
    let path_host = match sender {
        Sender::WannaCry => "172.16.99.5".to_owned(),
        _ => visitor.caller.destination.ip().to_string(),
    };
    ExploitPlan { sender, role, path_host, seed: visitor.seed }
}
