//! Every setting, its default and what it may be.
//!
//! The structures are the truth: names, types and defaults come from here. `default.toml` documents them for
//! people, and tests hold the two together both ways.

mod load;

pub(crate) use load::{SettingsError, Sources};

use roridula_desk::console::ConsoleSettings;
use roridula_desk::incident::IncidentSettings;
use roridula_desk::lookup::LookupSettings;
use roridula_proto::connection::{Arch, Ms17010, Policy};
use roridula_proto::limits::Limits;
use roridula_proto::persona::Persona;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The commented default file, as `roridula config` prints it.
pub(crate) const DEFAULT_TOML: &str = include_str!("default.toml");

/// All settings. Unknown names are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The sensor's name, in every event.
    pub(crate) sensor: String,
    /// Where to listen.
    pub(crate) listen: Vec<SocketAddr>,
    /// Which Windows to play.
    pub(crate) persona: String,
    /// How the check for MS17-010 is answered.
    pub(crate) ms17_010: Ms17010,
    /// The user to become when started as root.
    pub(crate) run_as: Option<String>,
    /// The emulated implant.
    pub(crate) implant: ImplantSettings,
    /// The bounds of one connection.
    pub(crate) limits: Limits,
    /// The bounds of all connections.
    pub(crate) gate: GateSettings,
    /// How uploads are kept.
    pub(crate) capture: CaptureSettings,
    /// The events as a file of JSON lines.
    pub(crate) json_log: JsonLogSettings,
    /// Looking into samples.
    pub(crate) triage: TriageSettings,
    /// What is kept of samples.
    pub(crate) samples: SamplesSettings,
    /// Putting connections together.
    pub(crate) incidents: IncidentSettings,
    /// Asking others about hashes.
    pub(crate) lookup: LookupSettings,
    /// The web console.
    pub(crate) console: ConsoleSettings,
}

impl Default for Settings {
    fn default() -> Self {
        let any = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
        Self {
            sensor: "roridula".to_owned(),
            listen: vec![any(445), any(139)],
            persona: Persona::WINDOWS_7_SP1.name.to_owned(),
            ms17_010: Ms17010::default(),
            run_as: None,
            implant: ImplantSettings::default(),
            limits: Limits::default(),
            gate: GateSettings::default(),
            capture: CaptureSettings::default(),
            json_log: JsonLogSettings::default(),
            triage: TriageSettings::default(),
            samples: SamplesSettings::default(),
            incidents: IncidentSettings::default(),
            lookup: LookupSettings::default(),
            console: ConsoleSettings::default(),
        }
    }
}

/// `[implant]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ImplantSettings {
    /// Who is answered.
    pub(crate) policy: Policy,
    /// Which machine it says it runs on.
    pub(crate) arch: Arch,
    /// A fixed key seed.
    pub(crate) key_seed: Option<u32>,
    /// How long a kill keeps the implant silent for its source.
    pub(crate) dormant_secs: u64,
    /// How long an exploited source stays so.
    pub(crate) exploited_secs: u64,
}

impl Default for ImplantSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            arch: Arch::default(),
            key_seed: None,
            dormant_secs: 6 * 3600,
            exploited_secs: 24 * 3600,
        }
    }
}

/// `[gate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GateSettings {
    /// Connections open at once.
    pub(crate) connections_max: u32,
    /// Of these, from one address.
    pub(crate) connections_per_source_max: u32,
    /// Of these, from one network.
    pub(crate) connections_per_network_max: u32,
    /// New connections a minute from one address.
    pub(crate) connections_per_minute_max: u32,
    /// Bytes that all connections together may own.
    pub(crate) memory_bytes_max: u64,
    /// Time that one write to a visitor may take.
    pub(crate) write_secs_max: u64,
    /// Sources whose state is remembered.
    pub(crate) sources_max: u32,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            connections_max: 16_384,
            connections_per_source_max: 1024,
            connections_per_network_max: 4096,
            connections_per_minute_max: 30_000,
            memory_bytes_max: 512 * 1024 * 1024,
            write_secs_max: 10,
            sources_max: 65_536,
        }
    }
}

/// `[capture]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CaptureSettings {
    /// Threads that hash and write payloads.
    pub(crate) threads: u32,
    /// Free disk space that uploads leave alone.
    pub(crate) reserve_bytes: u64,
    /// Whether transcripts are kept.
    pub(crate) transcripts: bool,
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self { threads: 2, reserve_bytes: 64 * 1024 * 1024, transcripts: true }
    }
}

/// `[json_log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JsonLogSettings {
    /// The file; none is written without it.
    pub(crate) path: Option<PathBuf>,
    /// Size at which a new file is begun, 0 for never.
    pub(crate) rotate_bytes: u64,
    /// Old files kept.
    pub(crate) keep: u32,
}

impl Default for JsonLogSettings {
    fn default() -> Self {
        Self { path: None, rotate_bytes: 64 * 1024 * 1024, keep: 8 }
    }
}

/// `[triage]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TriageSettings {
    /// Whether samples are looked into at all.
    pub(crate) enabled: bool,
    /// Time for one sample.
    pub(crate) timeout_secs: u64,
    /// Memory of a worker.
    pub(crate) memory_bytes_max: u64,
    /// Processes that look into samples at the same time.
    pub(crate) workers: u32,
    /// Folders with the user's rules.
    pub(crate) rules: Vec<PathBuf>,
}

impl TriageSettings {
    /// Bytes of the largest sample that is looked into: a worker needs several times as much memory.
    pub(crate) fn sample_bytes_max(&self) -> u64 {
        self.memory_bytes_max / 4
    }
}

impl Default for TriageSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            timeout_secs: 20,
            memory_bytes_max: 512 * 1024 * 1024,
            workers: 1,
            rules: Vec::new(),
        }
    }
}

/// `[samples]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SamplesSettings {
    /// How a sample is kept that is kin to an earlier one.
    pub(crate) duplicates: Duplicates,
}

/// How a sample is kept whose core, or the file around it, is in an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Duplicates {
    /// As its difference from the earlier one, from which it is rebuilt bit-exact.
    #[default]
    Difference,
    /// As a file of its own.
    Whole,
    /// Not at all where nothing about it is new: it is counted, its report stays.
    Count,
}

/// A value that the types allow and the honeypot does not: the setting's name and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The setting, with its section.
    pub(crate) key: &'static str,
    /// What is wrong and what would be right.
    pub(crate) what: String,
}

impl Settings {
    /// The persona that is named, if there is one.
    pub(crate) fn persona(&self) -> Option<Persona> {
        Persona::named(&self.persona)
    }

    /// Everything that is wrong with the values.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut say = |key, what: String| found.push(Problem { key, what });
        if self.persona().is_none() {
            let known: Vec<_> = Persona::ALL.iter().map(|persona| format!("`{}`", persona.name)).collect();
            say("persona", format!("`{}` is no persona; there are {}", self.persona, known.join(", ")));
        }
        let name_fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.sensor.is_empty() || self.sensor.len() > 64 || !self.sensor.chars().all(name_fits) {
            say("sensor", "a name of 1 to 64 letters, digits, `-`, `_` and `.`".to_owned());
        }
        if self.listen.is_empty() {
            say("listen", "at least one address, as [\"0.0.0.0:445\"]".to_owned());
        }
        if self.implant.key_seed == Some(0) {
            say("implant.key_seed", "0 gives no key; any other 32-bit number does".to_owned());
        }
        for (key, what) in self.lookup.problems().into_iter().chain(self.console.problems()) {
            say(key, what);
        }
        let ranges = self.ranges().into_iter().chain(self.lookup_ranges()).chain(self.console.ranges());
        for (key, value, min, max) in ranges {
            if value < min || value > max {
                say(key, format!("{value} is out of range: {min} to {max}"));
            }
        }
        let limits = &self.limits;
        let buffers =
            [limits.frame_bytes_max, limits.reassembly_bytes_max, limits.transcript_bytes_max, 16 * 1024];
        let least: u64 = buffers.iter().map(|&bytes| u64::from(bytes)).sum();
        if u64::from(limits.connection_bytes_max) < least {
            let what = format!(
                "must hold limits.frame_bytes_max, reassembly_bytes_max, transcript_bytes_max and 16 KiB \
                 besides: at least {least}"
            );
            say("limits.connection_bytes_max", what);
        }
        found
    }

    /// As [`Self::ranges`], of `[lookup]`.
    fn lookup_ranges(&self) -> [(&'static str, u64, u64, u64); 7] {
        let lookup = &self.lookup;
        let (vt, mb) = (&lookup.virustotal, &lookup.malwarebazaar);
        [
            ("lookup.timeout_secs", lookup.timeout_secs, 1, 600),
            ("lookup.found_days", lookup.found_days, 1, 3660),
            ("lookup.unknown_days", lookup.unknown_days, 1, 366),
            ("lookup.virustotal.per_minute", vt.per_minute.into(), 1, 10_000),
            ("lookup.virustotal.per_day", vt.per_day.into(), 1, 1_000_000),
            ("lookup.malwarebazaar.per_minute", mb.per_minute.into(), 1, 10_000),
            ("lookup.malwarebazaar.per_day", mb.per_day.into(), 1, 1_000_000),
        ]
    }

    /// Numbers with bounds: name, value, least, most.
    fn ranges(&self) -> Vec<(&'static str, u64, u64, u64)> {
        const MIB: u64 = 1024 * 1024;
        const YEAR: u64 = 366 * 86_400;
        let (limits, gate) = (&self.limits, &self.gate);
        let most = u64::from(u32::MAX);
        vec![
            ("implant.dormant_secs", self.implant.dormant_secs, 0, YEAR),
            ("implant.exploited_secs", self.implant.exploited_secs, 0, YEAR),
            // A DoublePulsar chunk of 4096 bytes comes in a frame of 4174.
            ("limits.frame_bytes_max", limits.frame_bytes_max.into(), 4608, 16 * MIB - 1),
            ("limits.reassembly_bytes_max", limits.reassembly_bytes_max.into(), 4608, 64 * MIB),
            ("limits.transactions_max", limits.transactions_max.into(), 1, 1024),
            ("limits.transcript_bytes_max", limits.transcript_bytes_max.into(), 0, 64 * MIB),
            ("limits.stream_bytes_max", limits.stream_bytes_max, 1, most),
            ("limits.upload_bytes_max", limits.upload_bytes_max, 1, most),
            ("limits.uploads_max", limits.uploads_max.into(), 1, 1_000_000),
            ("limits.buffers_max", limits.buffers_max.into(), 0, 1_000_000),
            ("limits.buffer_bytes_max", limits.buffer_bytes_max, 0, 1 << 32),
            ("limits.rest_bytes_max", limits.rest_bytes_max, 0, 1 << 32),
            ("limits.ranges_max", limits.ranges_max.into(), 1, 1_000_000),
            ("limits.sessions_max", limits.sessions_max.into(), 1, 4096),
            ("limits.trees_max", limits.trees_max.into(), 1, 4096),
            ("limits.opens_max", limits.opens_max.into(), 1, 4096),
            ("limits.chain_max", limits.chain_max.into(), 1, 256),
            ("limits.events_max", limits.events_max.into(), 16, 1_000_000),
            ("limits.text_bytes_max", limits.text_bytes_max.into(), 16, 65_536),
            ("limits.idle_secs", limits.idle_secs, 1, YEAR),
            ("limits.lifetime_secs", limits.lifetime_secs, 1, YEAR),
            ("gate.connections_max", gate.connections_max.into(), 1, 1_000_000),
            ("gate.connections_per_source_max", gate.connections_per_source_max.into(), 1, 1_000_000),
            ("gate.connections_per_network_max", gate.connections_per_network_max.into(), 1, 1_000_000),
            ("gate.connections_per_minute_max", gate.connections_per_minute_max.into(), 1, most),
            ("gate.memory_bytes_max", gate.memory_bytes_max, MIB, 1024 * 1024 * MIB),
            ("gate.write_secs_max", gate.write_secs_max, 1, 3600),
            ("gate.sources_max", gate.sources_max.into(), 1, 10_000_000),
            ("capture.threads", self.capture.threads.into(), 1, 64),
            ("capture.reserve_bytes", self.capture.reserve_bytes, 0, 1 << 50),
            ("json_log.keep", self.json_log.keep.into(), 0, 10_000),
            ("triage.timeout_secs", self.triage.timeout_secs, 1, 3600),
            ("triage.workers", self.triage.workers.into(), 1, 64),
            ("triage.memory_bytes_max", self.triage.memory_bytes_max, 128 * MIB, 64 * 1024 * MIB),
            ("incidents.window_secs", self.incidents.window_secs, 1, YEAR),
            ("incidents.connections_max", self.incidents.connections_max, 1, 1_000_000),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All settings with a value, those that have none by default too.
    pub(super) fn full() -> Settings {
        let mut settings = Settings { run_as: Some("x".to_owned()), ..Settings::default() };
        settings.implant.key_seed = Some(1);
        settings.json_log.path = Some(PathBuf::from("x"));
        settings.lookup.virustotal.key_file = Some(PathBuf::from("x"));
        settings.lookup.malwarebazaar.key_file = Some(PathBuf::from("x"));
        settings.console.certificate = Some(PathBuf::from("x"));
        settings.console.key = Some(PathBuf::from("x"));
        settings.console.geo = Some(PathBuf::from("x"));
        settings
    }

    fn keys(table: &toml::Table, prefix: &str, all: &mut Vec<String>) {
        for (name, value) in table {
            match value {
                toml::Value::Table(inner) => keys(inner, &format!("{prefix}{name}."), all),
                _ => all.push(format!("{prefix}{name}")),
            }
        }
    }

    #[test]
    fn the_default_file_means_the_defaults() {
        let parsed: Settings = toml::from_str(DEFAULT_TOML).expect("default.toml parses");
        assert_eq!(parsed, Settings::default());
        assert_eq!(parsed.problems(), []);
    }

    #[test]
    fn the_default_file_shows_every_setting_with_a_comment() {
        let mut all = Vec::new();
        keys(&toml::Table::try_from(full()).expect("settings are a table"), "", &mut all);
        let mut section = String::new();
        let mut shown = Vec::new();
        let mut above = "";
        for line in DEFAULT_TOML.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = format!("{name}.");
            } else if let Some((key, _)) = line.split_once(" = ")
                && !line.starts_with("# ")
            {
                shown.push(format!("{section}{key}"));
                assert!(above.starts_with("# "), "{section}{key} has no comment above it");
            }
            above = line;
        }
        // A value that is off by default is shown as `#name = value`.
        let shown: Vec<_> = shown.iter().map(|key| key.replace('#', "")).collect();
        for key in &all {
            assert!(shown.contains(key), "default.toml does not show {key}");
        }
        assert_eq!(shown.len(), all.len(), "default.toml shows something that is no setting: {shown:?}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let mut settings = Settings { persona: "windows-95".to_owned(), ..Settings::default() };
        settings.limits.frame_bytes_max = 100;
        settings.limits.connection_bytes_max = 1000;
        settings.implant.key_seed = Some(0);
        let keys: Vec<_> = settings.problems().into_iter().map(|problem| problem.key).collect();
        let expected =
            ["persona", "implant.key_seed", "limits.frame_bytes_max", "limits.connection_bytes_max"];
        assert_eq!(keys, expected);
    }
}
