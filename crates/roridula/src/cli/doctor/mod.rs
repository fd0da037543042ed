//! `roridula doctor`: why am I catching nothing?
//!
//! It looks and changes nothing: no port is bound, no lock taken, no rule touched. The one thing that it does
//! is to visit, as an inert worm, a honeypot that shows this install's proof ([`target`]).
//!
//! One file a group of checks: [`configuration`], [`rights`], [`listening`], [`reach`], [`firewall`],
//! [`disk`], [`journal`], [`clock`], [`stages`] (the visit). Each gives [`finding`]s. [`system`] reads
//! `/proc`, [`visit`] owns the socket.

mod clock;
mod configuration;
mod disk;
mod finding;
mod firewall;
mod journal;
mod listening;
mod reach;
mod rights;
mod stages;
pub(super) mod system;
mod target;
mod visit;

use super::{Failure, SettingsArgs, out};
use crate::settings::Settings;
use clap::Args;
use finding::{Finding, Verdict};
use journal::{Journal, Shut, Started};
use roridula_desk::pulse::keep_verdict;
use roridula_evidence::Install;
use roridula_proto::connection::Policy;
use stages::Visiting;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use system::Process;
use target::{Proof, Target};

/// The port of SMB over NetBIOS, which no worm of these visits first.
const NETBIOS_PORT: u16 = 139;

/// Why am I catching nothing? A list of what is in the way, and a visit as an inert worm
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo roridula doctor                                 the honeypot of this machine
  roridula doctor --data ./data                        one that was started with --data ./data
  roridula doctor --proof                              on the sensor: what it is known by
  roridula doctor --from PROOF --target sensor:445     on another machine: does a worm get through?

It changes nothing. Its visit sends a readable text instead of a payload and stands in the journal as a \
visit from this machine (share \\\\roridula-doctor\\IPC$). The proof is the server GUID, which any visitor can \
see: it grants nothing, and only tells your sensor from other machines. A machine that does not show it gets \
one NEGOTIATE and nothing else. On another machine the upload's last chunk is held back.

It ends with code 1 if there is a problem.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// As a JSON array of {check, verdict, what, fix}
    #[arg(long)]
    json: bool,
    /// Visit this address instead of the configured one; elsewhere only together with --from
    #[arg(long, value_name = "ADDR:PORT", conflicts_with_all = ["no_visit", "proof"])]
    target: Option<String>,
    /// Visit the sensor that shows this proof, and look at nothing else
    #[arg(long, value_name = "PROOF", requires = "target")]
    from: Option<Proof>,
    /// Print what this install is known by, for --from on another machine
    #[arg(long, conflicts_with_all = ["from", "json"])]
    proof: bool,
    /// Look only; visit nobody
    #[arg(long)]
    no_visit: bool,
}

/// Looks, visits, tells.
pub(crate) fn run(args: &DoctorArgs, data: &Path) -> Result<(), Failure> {
    if args.proof {
        let mut out = out::stdout();
        writeln!(out, "{}", Proof::of(&Install::load(data)?))?;
        return Ok(out.flush()?);
    }
    let findings = match (&args.target, args.from) {
        (Some(target), Some(proof)) => {
            let target = Target::elsewhere(target)?;
            stages::visit(&Visiting { target, proof: Some(proof), plays: None, journal: None })
        }
        (target, _) => {
            let findings = examine(args, data, target.as_deref().map(Target::here).transpose()?);
            // The console shows it; where it cannot be kept, the terminal has it all the same.
            let _ = keep_verdict(data, findings.iter().map(finding::Finding::told).collect());
            findings
        }
    };
    if args.json {
        finding::print_json(&findings)?;
    } else {
        let mut out = out::stdout();
        finding::print(&mut out, &findings)?;
        out.flush()?;
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count() {
        0 => Ok(()),
        1 => Err(Failure::new("one problem was found")),
        count => Err(Failure(format!("{count} problems were found"))),
    }
}

/// What all checks look at, gathered once.
struct Patient {
    settings: Settings,
    /// Where it should listen.
    addresses: Vec<SocketAddr>,
    /// The command that starts it.
    start: String,
    /// The honeypot that has the data directory, where it can be seen.
    running: Option<Process>,
    /// What it said when it started.
    started: Option<Started>,
    journal: Result<Journal, Shut>,
    proof: Option<Proof>,
}

/// All checks of this machine.
fn examine(args: &DoctorArgs, data: &Path, target: Option<Target>) -> Vec<Finding> {
    let settings = match args.settings.load() {
        Ok(settings) => settings,
        Err(error) => return configuration::wrong(&error),
    };
    let patient = Patient::gather(args, data, settings);
    let Patient { addresses, running, .. } = &patient;
    let (sockets, own) = (system::listening(), system::own_addresses());
    let mut findings = configuration::check(&patient.settings);
    findings.extend(patient.other_policy());
    let (user, who) = rights::user(data, patient.settings.run_as.as_deref(), running.as_ref());
    findings.extend(rights::ports(addresses, &sockets, &own));
    findings.push(user);
    let start = &patient.start;
    let expected = listening::Expected { addresses, data, running: running.as_ref(), start };
    findings.extend(listening::check(&expected, &sockets));
    findings.extend(reach::check(addresses, &own, patient.proof));
    let direct = addresses.iter().copied().find(|address| address.port() != NETBIOS_PORT);
    findings.extend(direct.map(|address| firewall::check(address.port())).unwrap_or_default());
    findings.extend(disk::check(data, &patient.settings, who));
    findings.extend(journal::check(&patient.journal, &own));
    findings.push(clock::check(patient.journal.as_ref().ok().and_then(Journal::latest_time)));
    if args.no_visit {
        return findings;
    }
    let listens = |address: &SocketAddr| address.port() != 0 && system::taker(&sockets, *address).is_some();
    match target.or_else(|| direct.filter(listens).map(Target::listener)) {
        Some(target) => findings.extend(patient.visit(target)),
        None => {
            findings.push(Finding::note("visit", "nobody was visited: nothing listens where a worm comes"))
        }
    }
    findings
}

impl Patient {
    fn gather(args: &DoctorArgs, data: &Path, settings: Settings) -> Self {
        let journal = Journal::open(data);
        let running = system::lock_holder(data);
        let started = journal.as_ref().ok().and_then(Journal::started);
        let SettingsArgs { listen, config, set } = &args.settings;
        let is_told =
            !listen.is_empty() || config.is_some() || set.iter().any(|set| set.starts_with("listen"));
        // Where nothing was said of addresses, a running honeypot knows better than the defaults.
        let addresses = match &started {
            Some(Started { listen, .. }) if !is_told && running.is_some() && !listen.is_empty() => {
                listen.clone()
            }
            _ => settings.listen.clone(),
        };
        let proof = Install::load(data).ok().map(|install| Proof::of(&install));
        let start = start(args, data, &settings);
        Self { settings, addresses, start, running, started, journal, proof }
    }

    /// The policy that the honeypot was started with.
    fn policy(&self) -> Policy {
        let running = self.started.as_ref().filter(|_| self.running.is_some());
        running.and_then(|started| started.policy).unwrap_or(self.settings.implant.policy)
    }

    /// A running honeypot that was started with another policy than the one asked about.
    fn other_policy(&self) -> Option<Finding> {
        let policy = self.policy();
        (policy != self.settings.implant.policy).then(|| {
            let what =
                format!("the running honeypot has implant.policy = \"{}\"", super::check::word(&policy));
            Finding::note("configuration", what)
                .with_fix("give the doctor the same --config or --set as `run`")
        })
    }

    fn visit(&self, target: Target) -> Vec<Finding> {
        stages::visit(&Visiting {
            target,
            proof: self.proof,
            plays: Some((self.policy(), self.settings.ms17_010)),
            journal: self.journal.as_ref().ok(),
        })
    }
}

/// The command that starts the honeypot as it is asked about.
fn start(args: &DoctorArgs, data: &Path, settings: &Settings) -> String {
    let low = settings.listen.iter().any(|address| address.port() < 1024);
    let mut command = format!("{}roridula run --data {}", if low { "sudo " } else { "" }, data.display());
    let SettingsArgs { listen, config, set } = &args.settings;
    for (option, values) in [
        ("--config", config.iter().map(|path| path.display().to_string()).collect()),
        ("--listen", listen.iter().map(SocketAddr::to_string).collect()),
        ("--set", set.clone()),
    ] {
        let values: Vec<String> = values;
        command.extend(values.iter().map(|value| format!(" {option} {value}")));
    }
    command
}
