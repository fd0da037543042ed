//! From settings and install to what the rooms want.

use crate::settings::Settings;
use roridula_evidence::Install;
use roridula_proto::connection::{Decoy, Implant};
use roridula_proto::identity::Identity;
use roridula_proto::persona::Persona;
use roridula_sensor::SensorOptions;

/// The decoy that `settings` describe, with this install's own identity.
pub(crate) fn decoy(settings: &Settings, install: &Install) -> Decoy {
    Decoy {
        identity: Identity::derive(install.secret.clone(), install.installed_at),
        // Settings are checked when they are loaded; the default persona is a valid answer in any case.
        persona: settings.persona().unwrap_or(Persona::WINDOWS_7_SP1),
        limits: settings.limits.clone(),
        implant: Implant {
            policy: settings.implant.policy,
            arch: settings.implant.arch,
            key_seed: settings.implant.key_seed,
        },
        ms17_010: settings.ms17_010,
    }
}

/// The sensor's bounds that `settings` describe.
pub(crate) fn sensor_options(settings: &Settings) -> SensorOptions {
    let gate = &settings.gate;
    SensorOptions {
        connections_max: size(gate.connections_max.into()),
        connections_per_source_max: size(gate.connections_per_source_max.into()),
        connections_per_network_max: size(gate.connections_per_network_max.into()),
        connections_per_minute_max: gate.connections_per_minute_max,
        memory_bytes_max: size(gate.memory_bytes_max),
        write_secs_max: gate.write_secs_max,
        dormant_secs: settings.implant.dormant_secs,
        exploited_secs: settings.implant.exploited_secs,
        sources_max: size(gate.sources_max.into()),
        capture_threads: size(settings.capture.threads.into()),
        reserve_bytes: settings.capture.reserve_bytes,
        transcripts: settings.capture.transcripts,
    }
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_sensors_own() {
        assert_eq!(sensor_options(&Settings::default()), SensorOptions::default());
    }
}
