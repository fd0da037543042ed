//! How an event reads: one line for people.
//!
//! Attacker text is shown through [`Text`]'s `Display`, which escapes what would drive a terminal.

use roridula_proto::event::{Event, Layer, Text, UploadState, Verdict};
use std::fmt::Write;

/// Letters of what triage found.
const FOUND_MAX: usize = 240;

/// How much attention an event deserves; a display may colour by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Housekeeping of a connection.
    Detail,
    /// A stage of a visit.
    Stage,
    /// An attack's own step.
    Attack,
    /// Something was caught.
    Catch,
    /// Something went wrong here.
    Trouble,
}

/// How much attention `event` deserves.
pub fn weight(event: &Event) -> Weight {
    match event {
        Event::CaptureFailed { .. } | Event::ConnectionRefused { .. } | Event::LimitReached { .. } => {
            Weight::Trouble
        }
        Event::SampleCaptured { .. } | Event::SampleTriaged { .. } => Weight::Catch,
        Event::Ms17010Probe { .. }
        | Event::ImplantPing { .. }
        | Event::ImplantKill { .. }
        | Event::ImplantUnknown { .. }
        | Event::ExploitStep { .. }
        | Event::ExploitCompleted { .. }
        | Event::UploadStarted { .. }
        | Event::UploadOddity { .. }
        | Event::UploadFinished { .. }
        | Event::MessageMalformed { .. }
        | Event::FrameUnknown { .. } => Weight::Attack,
        Event::SensorStarted { .. }
        | Event::SensorStopped { .. }
        | Event::ConnectionOpened { .. }
        | Event::ConnectionClosed { .. }
        | Event::FrameUnfinished { .. }
        | Event::Smb1Negotiate { .. } => Weight::Stage,
        _ => Weight::Detail,
    }
}

/// What happened, in one line without its time and source.
pub fn line(event: &Event) -> String {
    connection_line(event)
        .or_else(|| smb_line(event))
        .or_else(|| attack_line(event))
        .or_else(|| sample_line(event))
        .unwrap_or_else(|| event.id().to_owned())
}

fn connection_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::SensorStarted { version, listen, persona, policy } => {
            format!("started: version {version}, {persona}, implant {policy}, on {}", listen.join(" "))
        }
        Event::SensorStopped { connections } => {
            format!("stopped after {connections} connection{}", if *connections == 1 { "" } else { "s" })
        }
        Event::ConnectionOpened { transport } => format!("connected ({transport})"),
        Event::ConnectionRefused { limit, count } => {
            format!("turned away {count} time{}: {limit}", if *count == 1 { "" } else { "s" })
        }
        Event::ConnectionClosed { reason, duration_us, bytes_in, bytes_out, events_dropped } => {
            let mut text = format!(
                "closed ({reason}) after {}, in {}, out {}",
                span(*duration_us),
                size(*bytes_in),
                size(*bytes_out)
            );
            if *events_dropped > 0 {
                let _ = write!(text, ", {events_dropped} events left out");
            }
            text
        }
        Event::ClientFingerprint { fingerprint, shape, tools, recognised, .. } => {
            let tool = if tools.is_empty() { "no known tool".to_owned() } else { tools.join(", ") };
            let known = if recognised.is_empty() { ", UNKNOWN traffic" } else { "" };
            format!("fingerprint {fingerprint}: {tool}{known}, messages {shape}")
        }
        Event::NetBiosSession { called, calling } => format!("NetBIOS session from {calling} to {called}"),
        Event::FrameUnfinished { claimed, arrived } => {
            format!("ended inside a frame: {arrived} of {claimed} bytes")
        }
        Event::FrameUnknown { kind, head } => format!("no SMB: frame type {kind:#04x}, {head}"),
        Event::MessageMalformed { command, what, at, status } => {
            format!("malformed {command:#04x} at byte {at}: {what}{}", outcome(*status))
        }
        Event::LimitReached { limit, value } => format!("limit reached: {limit} = {value}"),
        _ => return None,
    })
}

fn smb_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Smb1Refused { command, subcommand, status } => {
            format!("refused command {command:#04x}/{subcommand:#06x}{}", outcome(*status))
        }
        Event::Smb1Negotiate { dialects, selected, .. } => {
            let chosen = selected.and_then(|at| dialects.get(usize::from(at)));
            let chosen = chosen.map_or("none".to_owned(), Text::to_string);
            format!("negotiate: {} dialects, chose {chosen}", dialects.len())
        }
        Event::Smb1Session { method, account, domain, workstation, native_os, status, .. } => {
            let mut text = format!("logon {method}");
            for (name, value) in
                [("as", account), ("of", domain), ("from", workstation), ("running", native_os)]
            {
                if !value.0.is_empty() {
                    let _ = write!(text, " {name} {value}");
                }
            }
            text + &outcome(*status)
        }
        Event::Smb1Tree { path, status, trailing, .. } => {
            let behind =
                if trailing.0.is_empty() { String::new() } else { format!(", behind it: {trailing}") };
            format!("share {path}{}{behind}", outcome(*status))
        }
        Event::Smb1Open { name, status, .. } => format!("open {name}{}", outcome(*status)),
        Event::Smb1Write { fid, offset, size: bytes, status } => {
            format!("write {} at {offset} to {fid:#06x}{}", size(u64::from(*bytes)), outcome(*status))
        }
        _ => return None,
    })
}

fn attack_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Ms17010Probe { verdict, .. } => {
            let meaning = if *verdict == Verdict::Vulnerable { "unpatched" } else { "patched" };
            format!("MS17-010 probe: answered {verdict} ({meaning})")
        }
        Event::ImplantPing { answer, reason, seed, arch, .. } => {
            let mut text = format!("DoublePulsar ping: answered {answer} ({reason})");
            if !arch.is_empty() {
                let _ = write!(text, ", {arch}, seed {seed:#010x}");
            }
            text
        }
        Event::ImplantKill { answer, reason, .. } => {
            format!("DoublePulsar kill: answered {answer} ({reason})")
        }
        Event::ExploitStep { exploit, step, grounds, size: bytes, .. } => {
            format!("{exploit}: {step} ({grounds}, {})", size(*bytes))
        }
        Event::ExploitCompleted { exploit, answer, reason, .. } => {
            format!("{exploit} COMPLETED: the implant is {answer} from now on ({reason})")
        }
        Event::ImplantUnknown { opcode, size: bytes, .. } => {
            format!("DoublePulsar opcode {opcode:#04x}: unknown, refused, {} of data", size(*bytes))
        }
        Event::UploadStarted { upload, answer, reason, total, key_source, .. } => {
            let total = total.map_or("size unknown".to_owned(), |total| format!("{total} bytes announced"));
            format!("upload {upload} begins: {total}, key from {key_source}, answered {answer} ({reason})")
        }
        Event::UploadOddity { upload, what, offset, value } => {
            format!("upload {upload}: {what} at {offset} ({value})")
        }
        Event::UploadFinished { upload, state, total, received, chunks, repeats, .. } => {
            let of =
                total.filter(|total| total != received).map_or(String::new(), |total| format!(" of {total}"));
            let again = if *repeats > 0 { format!(", {repeats} repeated") } else { String::new() };
            let share = total.and_then(|total| received.saturating_mul(100).checked_div(total));
            let share = share.map_or(String::new(), |percent| format!(" {percent} %,"));
            format!("upload {upload}{share} {state}: {received}{of} bytes in {chunks} chunks{again}")
        }
        _ => return None,
    })
}

fn sample_line(event: &Event) -> Option<String> {
    Some(match event {
        Event::SampleCaptured { sha256, size, state, total, origin, first_seen, recovered, .. } => {
            let of = total.filter(|total| *state != UploadState::Complete && total != size);
            let of = of.map_or(String::new(), |total| format!(" of {total}"));
            let seen = if *first_seen { "first seen" } else { "seen before" };
            let found = if *recovered { ", recovered" } else { "" };
            format!("captured {sha256} {size}{of} bytes, {state}, {origin}, {seen}{found}")
        }
        Event::SampleTriaged { sha256, layers, error, family, core, .. } => {
            let short = sha256.get(..12).unwrap_or(sha256);
            format!("triage of {short}: {}", found(layers, error, family, core))
        }
        Event::CaptureFailed { upload, error, bytes_lost } => {
            format!("CAPTURE FAILED: upload {upload}, {bytes_lost} bytes lost: {error}")
        }
        _ => return None,
    })
}

/// What triage found, on one line however many layers there are.
fn found(layers: &[Layer], error: &str, family: &str, core: &str) -> String {
    let inside = if layers.len() == 1 { "1 layer".to_owned() } else { format!("{} layers", layers.len()) };
    let core =
        layers.iter().find(|layer| layer.sha256 == core).map(|core| format!("core {}", self::layer(core)));
    let parts = [Text(family.to_owned()).to_string(), core.unwrap_or_default(), inside, error.to_owned()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let line = parts.join("; ");
    let cut = if line.chars().count() > FOUND_MAX { "…" } else { "" };
    line.chars().take(FOUND_MAX).collect::<String>() + cut
}

/// A layer in a few words.
pub fn layer(layer: &Layer) -> String {
    let short = layer.sha256.get(..12).unwrap_or(&layer.sha256);
    let mut text = layer.kind.clone();
    if !layer.name.0.is_empty() {
        let _ = write!(text, " {}", layer.name);
    }
    let _ = write!(text, " {short}… at {}, {} bytes", layer.offset, layer.size);
    if !matches!(layer.state.as_str(), "" | "intact") {
        let _ = write!(text, ", {}", layer.state);
    }
    let _ = write!(text, " ({})", layer.found_by);
    text
}

/// The status that something was answered with, where it is no success.
fn outcome(status: u32) -> String {
    if status == 0 { String::new() } else { format!(" → {status:#010x}") }
}

/// Bytes for people: `812 B`, `14.2 KiB`, `5.1 MiB`.
pub fn size(bytes: u64) -> String {
    // One decimal place by integers: no rounding surprises.
    let scaled = |unit: u64, name: &str| {
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => scaled(1024, "KiB"),
        1_048_576..1_073_741_824 => scaled(1_048_576, "MiB"),
        _ => scaled(1_073_741_824, "GiB"),
    }
}

/// A time span in microseconds for people: `850 µs`, `12.3 ms`, `4.2 s`, `3 min 5 s`.
pub fn span(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..1_000_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        1_000_000..60_000_000 => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
        _ => format!("{} min {} s", micros / 60_000_000, micros % 60_000_000 / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_proto::event::{ByteRange, Origin};

    #[test]
    fn attacker_text_is_escaped() {
        let event = Event::Smb1Tree {
            path: Text::from("\\\\h\\\u{1b}[2J"),
            service: Text::from("?????"),
            tid: 0x800,
            status: 0xc000_00cc,
            trailing: Text::default(),
        };
        assert_eq!(line(&event), "share \\\\h\\\\u{1b}[2J → 0xc00000cc");
    }

    #[test]
    fn what_triage_found_is_one_line_however_many_layers_there_are() {
        let layer = |number: usize| Layer {
            depth: 1,
            kind: "pe".to_owned(),
            name: Text("\u{1b}[2J".repeat(5)),
            state: "intact".to_owned(),
            found_by: "resource".to_owned(),
            offset: 7,
            size: 8,
            sha256: format!("{number:064}"),
        };
        let told = |count: usize| {
            line(&Event::SampleTriaged {
                sha256: "ab".repeat(32),
                layers: (0..count).map(layer).collect(),
                core: format!("{:064}", 0),
                family: "WannaCry".to_owned(),
                confidence: "high".to_owned(),
                rules: String::new(),
                error: "what was left out".repeat(100),
            })
        };
        assert!(told(1).starts_with("triage of abababababab: WannaCry; core pe \\u{1b}[2J"), "{}", told(1));
        assert!(told(64).contains("; 64 layers; what") && told(64).chars().count() < 280, "{}", told(64));
    }

    #[test]
    fn a_capture_says_hash_size_and_state() {
        let event = Event::SampleCaptured {
            upload: 1,
            sha256: "ab".repeat(32),
            md5: String::new(),
            sha1: String::new(),
            size: 3_000_000,
            state: UploadState::Partial,
            total: Some(5_272_328),
            ranges: vec![ByteRange { start: 0, end: 3_000_000 }],
            origin: Origin::DoublePulsar,
            first_seen: true,
            recovered: false,
        };
        let sha256 = "ab".repeat(32);
        let expected =
            format!("captured {sha256} 3000000 of 5272328 bytes, partial, doublepulsar, first seen");
        assert_eq!(line(&event), expected);
        assert_eq!(weight(&event), Weight::Catch);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [size(0), size(1023), size(1024), size(5_272_328)],
            ["0 B", "1023 B", "1.0 KiB", "5.0 MiB"]
        );
        assert_eq!(
            [span(5), span(12_345), span(4_210_000), span(185_000_000)],
            ["5 µs", "12.3 ms", "4.2 s", "3 min 5 s"]
        );
    }
}
