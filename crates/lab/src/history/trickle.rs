//! `roridula-lab trickle`: new visits for a running honeypot, another kind each time, until it is gone.

use super::payloads::{Kitchen, Recipe};
use super::recordings::{Recording, Recordings};
use super::spray;
use crate::attack::campaign::{play, upload_payload};
use crate::attack::cli::nth_source;
use crate::attack::socket::{check_target, connect};
use crate::attack::{Attack, Body, Kind, Shape};
use roridula_proto::client::chance::Chance;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

/// Visits in a row that find nobody, after which the honeypot is gone.
const NOBODY_MAX: u32 = 3;
/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_millis(500);
/// Sources that the visits come from.
const SOURCES: usize = 40;

/// Options of `trickle`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The honeypot; loopback only.
    #[arg(long)]
    pub target: SocketAddr,
    /// Seconds between two visits; by chance up to half as many more.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub every: u64,
    /// End after this many.
    #[arg(long)]
    pub count: Option<u64>,
    /// Which visits.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Visits until the honeypot is gone, or it is enough.
///
/// # Errors
/// Where the target is not this machine's.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    check_target(args.target)?;
    let mut visits = Visits {
        target: args.target,
        chance: Chance::new(args.seed),
        kitchen: Kitchen::new(args.seed),
        recordings: Recordings::load()?,
        recipes: Recipe::list(24, args.seed),
    };
    let mut nobody = 0;
    for turn in 0..args.count.unwrap_or(u64::MAX) {
        if turn > 0 {
            let more = visits.chance.next_u64() % (500 * args.every).max(1);
            std::thread::sleep(Duration::from_millis(1000 * args.every + more));
        }
        // What the honeypot refuses or cuts off is a visit like any other.
        nobody = if visits.one(turn).is_err_and(|error| is_nobody(&error)) { nobody + 1 } else { 0 };
        if nobody >= NOBODY_MAX {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether nobody listened. The visit itself tells that: a connection only to ask would be one more visitor in the feed.
fn is_nobody(error: &anyhow::Error) -> bool {
    let refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(refused))
}

struct Visits {
    target: SocketAddr,
    chance: Chance,
    kitchen: Kitchen,
    recordings: Recordings,
    recipes: Vec<Recipe>,
}

impl Visits {
    /// The visit of this turn: the first ones show one of each, for a view that is to be filled soon.
    fn one(&mut self, turn: u64) -> anyhow::Result<()> {
        let source = nth_source(u32::try_from(self.chance.below(SOURCES)).unwrap_or(0));
        let seed = self.chance.next_u64();
        let attack = |kind| Attack { source: Some(source), ..Attack::new(kind, self.target, 1 + seed % 9) };
        match turn % 10 {
            0 => drop(play(&attack(Kind::Check))?),
            1 | 6 => self.deliver(source)?,
            2 => {
                let place = self.chance.below(self.recordings.clients.len());
                self.recorded(source, place, false)?;
            }
            3 => self.logon(source, seed)?,
            4 => {
                let shape = if seed.is_multiple_of(2) { Shape::Fuzzbunch } else { Shape::Metasploit };
                let body = Body::Dll(8_000 + 2_000 * (seed % 4) as usize);
                drop(play(&Attack { shape, body, ..attack(Kind::Eternalblue) })?);
            }
            5 => drop(play(&attack(Kind::Ping))?),
            7 => {
                let place = self.chance.below(self.recordings.strangers.len());
                self.recorded(source, place, true)?;
            }
            8 => drop(play(&Attack { body: Body::Dll(9_000), ..attack(Kind::Wannacry) })?),
            _ => drop(play(&attack(if seed.is_multiple_of(2) { Kind::Kill } else { Kind::Metasploit }))?),
        }
        Ok(())
    }

    fn deliver(&mut self, source: IpAddr) -> anyhow::Result<()> {
        let recipe = self.recipes[self.chance.below(self.recipes.len())];
        let payload = self.kitchen.make(recipe);
        let attack = Attack { source: Some(source), ..Attack::new(Kind::Upload, self.target, 1) };
        upload_payload(&attack, &payload).map(drop)
    }

    fn recorded(&self, source: IpAddr, place: usize, stranger: bool) -> anyhow::Result<()> {
        let list = if stranger { &self.recordings.strangers } else { &self.recordings.clients };
        let Recording { sent, .. } = &list[place];
        let mut stream = connect(self.target, Some(source))?;
        for bytes in sent {
            say(&mut stream, bytes)?;
        }
        Ok(())
    }

    fn logon(&mut self, source: IpAddr, seed: u64) -> anyhow::Result<()> {
        let mut stream = connect(self.target, Some(source))?;
        let mut said = Ok(());
        spray::guess(
            &mut |bytes| {
                say(&mut stream, bytes).unwrap_or_else(|error| {
                    said = Err(error);
                    Vec::new()
                })
            },
            seed,
            &mut self.chance,
        );
        said
    }
}

/// Sends something, and takes what is answered soon.
fn say(stream: &mut TcpStream, bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let mut answer = vec![0; 4096];
    // Nothing is an answer too.
    let len = stream.read(&mut answer).unwrap_or(0);
    answer.truncate(len);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    #[test]
    fn who_visits_comes_from_his_own_address_alone_and_an_absent_honeypot_ends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let door = std::thread::spawn(move || {
            let mut sources = BTreeSet::new();
            for stream in listener.incoming() {
                let source = stream.unwrap().peer_addr().unwrap().ip();
                if source == IpAddr::from([127, 99, 99, 99]) {
                    break;
                }
                sources.insert(source);
            }
            sources
        });
        run(&Args { target, every: 0, count: Some(6), seed: 5 }).unwrap();
        drop(connect(target, Some([127, 99, 99, 99].into())).unwrap());
        let sources = door.join().unwrap();
        let ours: BTreeSet<IpAddr> = (0..SOURCES as u32).map(nth_source).collect();
        assert!(!sources.is_empty() && sources.is_subset(&ours), "{sources:?}");
        // Nobody is there any more: it ends without being told how often to come.
        run(&Args { target, every: 0, count: None, seed: 5 }).unwrap();
    }
}
