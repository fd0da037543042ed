//! `roridula lookup`

use super::{Failure, SettingsArgs, out, reader};
use clap::Args;
use roridula_desk::lookup::{
    Found, Http, Inquirer, LookupError, LookupHandle, LookupSettings, Lookups, Outcome, Part, Service,
    ServiceStatus, Wanted, spawn, wanted,
};
use roridula_desk::sample::Reports;
use roridula_proto::time::WallClock;
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What VirusTotal and MalwareBazaar know of a sample
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roridula lookup status                         what is enabled, what is left of the quota, what waits
  roridula lookup 3f2a                           a sample: its core, then its DLL, then the bytes as caught
  roridula lookup --cached 3f2a                  only what was answered earlier; nothing goes out
  RORIDULA_VIRUSTOTAL_KEY=... roridula lookup --set lookup.virustotal.enabled=true 3f2a

Exit status 1 if nobody answered about one of them.
A whole SHA-256 that is no sample's is asked for as it is. An answer that is fresh is not asked for again.
Only hashes go out, and never a file from here. See docs/lookups.md.")]
pub(crate) struct LookupArgs {
    /// `status`, or SHA-256s: as much of a sample's as is unique, or any whole one
    #[arg(required = true, value_name = "SHA256|status")]
    what: Vec<String>,
    /// Print what was answered earlier, ask nobody
    #[arg(long)]
    cached: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn told(error: LookupError) -> Failure {
    Failure::new(error.to_string())
}

fn now() -> WallClock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallClock(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

fn open(settings: &LookupSettings, data: &Path) -> Result<Inquirer, LookupError> {
    let http = Http::new(Duration::from_secs(settings.timeout_secs), &environment)?;
    Inquirer::open(data, settings, &environment, Box::new(http))
}

/// Starts asking in the background; `None` where nobody is to be asked.
pub(super) fn start(settings: &LookupSettings, data: &Path) -> Result<Option<LookupHandle>, Failure> {
    if !settings.enabled() {
        return Ok(None);
    }
    let inquirer = open(settings, data).map_err(told)?;
    Ok(Some(spawn(inquirer, |text| tracing::warn!("{text}"))))
}

/// Whether every service that is enabled has a key, and the proxy is one; else what to do.
pub(super) fn keys(settings: &LookupSettings) -> Result<(), String> {
    let keys = Service::ALL.into_iter().filter_map(|service| service.access(settings, &environment));
    let wrong: Vec<_> = keys.filter_map(|key| key.err()).map(|error| error.to_string()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// Carries it out.
pub(crate) fn run(args: &LookupArgs, data: &Path) -> Result<(), Failure> {
    let settings = args.settings.load()?.lookup;
    if args.what == ["status"] {
        return status(args, &settings, data);
    }
    let subjects: Vec<(String, Vec<Wanted>)> =
        args.what.iter().map(|text| hashes(text, data)).collect::<Result<_, _>>()?;
    let mut answers = Vec::new();
    if args.cached {
        let book = Lookups::open(data).map_err(told)?;
        for (sha256, hashes) in subjects {
            let found = book.best(&hashes).map_err(told)?;
            answers.push(Told { sha256, found, remarks: Vec::new() });
        }
    } else {
        if !settings.enabled() {
            return Err(Failure::new(
                "look-ups are off, nothing was asked; --cached shows earlier answers, and\n\
                 --set lookup.virustotal.enabled=true or --set lookup.malwarebazaar.enabled=true asks (docs/lookups.md)",
            ));
        }
        let mut inquirer = open(&settings, data).map_err(told)?;
        for (sha256, hashes) in subjects {
            let mut remarks = Vec::new();
            for service in inquirer.services() {
                let outcome = inquirer.ask_now(service, &hashes, now()).map_err(told)?;
                remarks.extend(outcome.and_then(|outcome| remark(service, &outcome)));
            }
            let found = inquirer.book().best(&hashes).map_err(told)?;
            answers.push(Told { sha256, found, remarks });
        }
    }
    if args.json {
        out::json(&answers)?;
    } else {
        let mut out = out::stdout();
        answers.iter().try_for_each(|answer| show(&mut out, answer))?;
        out.flush()?;
    }
    unanswered(&answers)
}

/// A failure where somebody was to be asked and nothing is known: what went wrong with each.
fn unanswered(answers: &[Told]) -> Result<(), Failure> {
    let silent = answers.iter().filter(|answer| answer.found.is_empty() && !answer.remarks.is_empty());
    let told: Vec<String> = silent
        .map(|answer| format!("{}: no answer ({})", answer.sha256, answer.remarks.join("; ")))
        .collect();
    if told.is_empty() { Ok(()) } else { Err(Failure(told.join("\n"))) }
}

#[derive(Serialize)]
struct Told {
    sha256: String,
    found: Vec<Found>,
    remarks: Vec<String>,
}

fn remark(service: Service, outcome: &Outcome) -> Option<String> {
    let what = match outcome {
        Outcome::Known | Outcome::Unknown | Outcome::Uploaded => return None,
        Outcome::Waiting(until, why) => format!("not asked before {} UTC: {why}", out::moment(*until)),
        Outcome::Refused(what) => format!("refuses the key: {what}"),
        Outcome::Failed(what, _) => what.clone(),
    };
    Some(format!("{}: {what}", service.name()))
}

fn show(out: &mut impl Write, answer: &Told) -> std::io::Result<()> {
    writeln!(out, "{}", answer.sha256)?;
    for found in &answer.found {
        writeln!(out, "  {} (asked {} UTC)", found.sentence(), out::moment(found.asked))?;
        if found.sha256 != answer.sha256 {
            writeln!(out, "    hash  {}", found.sha256)?;
        }
        if !found.summary.tags.is_empty() {
            writeln!(out, "    tags  {}", found.summary.tags.join(", "))?;
        }
        if found.known {
            writeln!(out, "    link  {}", found.link)?;
        }
    }
    for remark in &answer.remarks {
        writeln!(out, "  {remark}")?;
    }
    if answer.found.is_empty() && answer.remarks.is_empty() {
        writeln!(out, "  nobody was asked yet")?;
    }
    Ok(())
}

/// The hashes that `text` stands for: those of a sample, or itself.
fn hashes(text: &str, data: &Path) -> Result<(String, Vec<Wanted>), Failure> {
    let reader = reader(data)?;
    let text = text.trim().to_ascii_lowercase();
    let sample = reader.sample(&text)?.map(|sample| sample.sha256);
    let itself = |sha256: String| {
        let raw = Wanted { sha256: sha256.clone(), part: Part::Raw };
        (sha256, vec![raw])
    };
    let Some(sample) = sample else {
        return match text.len() {
            64 => Ok(itself(text)),
            _ => Err(Failure::new(format!(
                "no sample's SHA-256 begins with `{text}`; `roridula samples list` shows them"
            ))),
        };
    };
    let reports = Reports::open(data).map_err(|error| Failure::new(error.to_string()))?;
    match reports.get(sample).map_err(|error| Failure::new(error.to_string()))? {
        Some(report) => Ok((sample.to_string(), wanted(&report))),
        None => Ok(itself(sample.to_string())),
    }
}

#[derive(Serialize)]
struct Standing {
    service: &'static str,
    enabled: bool,
    upload: bool,
    #[serde(flatten)]
    status: ServiceStatus,
}

fn status(args: &LookupArgs, settings: &LookupSettings, data: &Path) -> Result<(), Failure> {
    reader(data)?;
    keys(settings).map_err(Failure::new)?;
    let inquirer = open(settings, data).map_err(told)?;
    let enabled = inquirer.services();
    let standings = Service::ALL.into_iter().map(|service| {
        let status = inquirer.status(service, now())?;
        let upload = service == Service::VirusTotal && settings.virustotal.upload;
        Ok(Standing { service: service.id(), enabled: enabled.contains(&service), upload, status })
    });
    let standings: Vec<Standing> = standings.collect::<Result<_, LookupError>>().map_err(told)?;
    if args.json {
        return Ok(out::json(&standings)?);
    }
    let mut out = out::stdout();
    for standing in &standings {
        let status = &standing.status;
        let state = match (standing.enabled, standing.upload) {
            (false, _) => "off",
            (true, false) => "on, by hash only",
            (true, true) => "on, and unknown files are handed to it, which publishes them",
        };
        writeln!(out, "{:14} {state}", standing.service)?;
        writeln!(out, "  answers      {} known, {} unknown", status.known, status.unknown)?;
        if standing.enabled {
            writeln!(out, "  quota left   {} now, {} of the day", status.left_minute, status.left_day)?;
            writeln!(out, "  waiting      {} samples", status.queue)?;
        }
        if status.key_refused {
            writeln!(out, "  stopped      the key was refused; set another")?;
        }
        if let Some(until) = status.wait_until {
            writeln!(out, "  pause        until {} UTC", out::moment(until))?;
        }
        if let Some(at) = status.error_at {
            writeln!(out, "  last error   {} UTC: {}", out::moment(at), status.error)?;
        }
    }
    Ok(out.flush()?)
}
