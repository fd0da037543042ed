//! The binary from outside: what a user types, and what another process sees while the honeypot runs.

// Tests own sockets, processes and a clock for their deadlines.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Honeypot, json, payload, roridula, sha256, text, upload, upload_while, wait_for};
use roridula_proto::client::visit::Outcome;
use serde_json::Value;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

#[test]
fn a_capture_is_seen_from_another_process_while_the_honeypot_runs() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut honeypot = Honeypot::start(&data, &[]);
    let at = data.to_str().unwrap();
    let bytes = payload(3 * 4096, 5);
    let (stream, outcome) = upload(honeypot.address, &bytes, usize::MAX);
    assert_eq!(outcome, Some(Outcome::Uploaded));
    let captured = honeypot.event("sample.captured");
    assert_eq!(captured["sha256"], sha256(&bytes));
    assert_eq!(captured["src_ip"], "127.0.0.1");

    let samples = json(&["samples", "list", "--json", "--data", at]);
    let sample = &samples.as_array().unwrap()[0];
    assert_eq!((&sample["sha256"], &sample["size"]), (&captured["sha256"], &Value::from(bytes.len())));
    assert_eq!((&sample["state"], &sample["origin"]), (&"complete".into(), &"doublepulsar".into()));
    assert_eq!((&sample["captures"], &sample["sources"]), (&1.into(), &1.into()));
    for name in ["md5", "sha1", "first_seen", "last_seen", "layers", "total", "ranges"] {
        assert!(!sample[name].is_null(), "{name} is missing");
    }
    let lines = text(&["events", "--json", "--data", at]);
    let last = lines.lines().last().unwrap();
    assert!(serde_json::from_str::<Value>(last).unwrap()["seq"].as_u64().unwrap() >= 5);
    let lines = text(&["events", "--json", "--id", "sample.captured", "--data", at]);
    assert_eq!(lines.lines().count(), 1);
    drop(stream);

    honeypot.event("connection.closed");
    let id = captured["connection"].as_str().unwrap();
    let shown = text(&["connections", "show", &id[7..], "--data", at]);
    assert!(shown.contains("DoublePulsar ping") && shown.contains(&sha256(&bytes)), "{shown}");
    let listed = json(&["connections", "list", "--json", "--data", at]);
    assert_eq!(listed[0]["connection"], id);
    let left = honeypot.stop();
    assert_eq!(left.last().unwrap()["eventid"], "sensor.stopped");
}

#[test]
fn replay_gives_the_same_bytes_and_the_same_sample() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let mut honeypot = Honeypot::start(&data, &[]);
    let bytes = payload(40_000, 9);
    let (stream, _) = upload(honeypot.address, &bytes, usize::MAX);
    honeypot.event("sample.captured");
    drop(stream);
    let id = honeypot.event("connection.closed")["connection"].as_str().unwrap().to_owned();
    let replayed = json(&["replay", &id, "--json", "--data", at]);
    assert_eq!(
        (&replayed["same_replies"], &replayed["same_events"]),
        (&true.into(), &true.into()),
        "{replayed}"
    );
    assert_eq!(replayed["uploads"][0]["sha256"], sha256(&bytes));
    assert_eq!(replayed["uploads"][0]["state"], "complete");
    let file = dir.path().join("visit.txt");
    std::fs::write(&file, text(&["connections", "show", &id, "--transcript", "--data", at])).unwrap();
    let again = json(&["replay", file.to_str().unwrap(), "--json", "--data", at]);
    assert_eq!(again["replies_sha256"], replayed["replies_sha256"]);
    honeypot.stop();

    // Elsewhere the payload is not there, and that is said.
    let output = roridula(&["replay", file.to_str().unwrap(), "--data", dir.path().to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("samples"), "{error}");
}

#[test]
fn killed_in_the_middle_of_an_upload_what_came_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let mut honeypot = Honeypot::start(&data, &[]);
    let bytes = payload(100 * 4096, 11);
    // What was acknowledged may be a moment from the disk. Bytes of a later chunk are written after everything about
    // the earlier ones, so once they are there, 60 chunks are safe.
    let spooled = |chunks: u64| {
        let largest = |entry: std::fs::DirEntry| entry.metadata().ok().map(|meta| meta.len());
        let sizes = std::fs::read_dir(data.join("spool")).ok()?.flatten().filter_map(largest);
        sizes.max().filter(|&size| size >= chunks * 4096)
    };
    let (stream, _) = upload_while(honeypot.address, &bytes, &mut |chunk| {
        if chunk >= 60 {
            wait_for("the spool file", || spooled(chunk as u64));
        }
        chunk < 61
    });
    honeypot.event("upload.started");
    honeypot.kill();
    drop(stream);

    let mut honeypot = Honeypot::start(&data, &[]);
    let samples = json(&["samples", "list", "--json", "--data", at]);
    let sample = &samples.as_array().unwrap()[0];
    assert_eq!(sample["state"], "partial");
    let size = sample["size"].as_u64().unwrap() as usize;
    assert!((60 * 4096..=61 * 4096).contains(&size), "{size}");
    assert_eq!(sample["sha256"], sha256(&bytes[..size]));
    let events = text(&["events", "--json", "--id", "connection.closed", "--data", at]);
    assert!(events.contains("\"killed\""), "{events}");
    assert!(text(&["events", "--json", "--data", at]).contains("\"recovered\":true"));
    // It is open for business as before.
    drop(upload(honeypot.address, &bytes, usize::MAX));
    assert_eq!(honeypot.event("sample.captured")["state"], "complete");
    honeypot.stop();
}

#[test]
fn an_export_is_an_encrypted_zip_with_the_exact_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let mut honeypot = Honeypot::start(&data, &[]);
    let bytes = payload(5000, 3);
    drop(upload(honeypot.address, &bytes, usize::MAX));
    honeypot.event("sample.captured");
    let name = sha256(&bytes);
    let out = dir.path().to_str().unwrap();
    let printed = text(&["samples", "export", &name[..8], "--output", out, "--data", at]);
    honeypot.stop();

    let file = std::fs::File::open(printed.trim()).unwrap();
    let mut zip = zip::ZipArchive::new(file).unwrap();
    assert!(zip.by_name(&format!("{name}.bin")).is_err(), "it opens without a password");
    let mut content = Vec::new();
    let mut entry = zip.by_name_decrypt(&format!("{name}.bin"), b"infected").unwrap();
    entry.read_to_end(&mut content).unwrap();
    assert_eq!(content, bytes);
    drop(entry);
    let about = zip.by_name_decrypt(&format!("{name}.json"), b"infected").unwrap();
    let about: Value = serde_json::from_reader(about).unwrap();
    assert_eq!(about["capture_list"].as_array().unwrap().len(), 1);
    let again = roridula(&["samples", "export", &name, "--output", out, "--data", at]);
    assert!(!again.status.success(), "an existing file was replaced");
}

#[test]
fn triage_finds_the_file_and_its_death_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let mut honeypot = Honeypot::start(&data, &[]);
    let bytes = payload(5000, 21);
    drop(upload(honeypot.address, &bytes, usize::MAX));
    let told = honeypot.event("sample.triaged");
    assert_eq!((&told["sha256"], &told["error"]), (&sha256(&bytes).into(), &"".into()));
    assert!(json(&["samples", "list", "--json", "--data", at])[0]["triaged"].as_bool().unwrap());
    honeypot.stop();

    // A sample that no worker could hold is told as such, and captures go on.
    let data = dir.path().join("other");
    let tight = ["--set", "triage.memory_bytes_max=134217728", "--set", "limits.upload_bytes_max=50000000"];
    let mut honeypot = Honeypot::start(&data, &tight);
    let large = payload(34 * 1024 * 1024, 22);
    drop(upload(honeypot.address, &large, usize::MAX));
    let told = honeypot.event("sample.triaged");
    assert!(told["error"].as_str().unwrap().starts_with("not looked into: it has"), "{told}");
    drop(upload(honeypot.address, &bytes, usize::MAX));
    let told = honeypot.event("sample.triaged");
    assert_eq!((&told["sha256"], &told["error"]), (&sha256(&bytes).into(), &"".into()));
    honeypot.stop();
}

#[test]
fn a_closed_pipe_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let honeypot = Honeypot::start(&data, &[]);
    for _ in 0..5 {
        drop(upload(honeypot.address, &payload(100, 1), usize::MAX));
    }
    honeypot.stop();
    let mut child = Command::new(env!("CARGO_BIN_EXE_roridula"))
        .args(["events", "--follow", "--json", "--data"])
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe is closed before or while it writes; either way it must not complain.
    drop(child.stdout.take());
    let honeypot = Honeypot::start(&data, &[]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    honeypot.stop();
}

#[test]
fn the_json_log_survives_renaming_and_a_restart_without_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever the honeypot becomes must be able to write here.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (data, log, old) = (dir.path().join("data"), dir.path().join("e.jsonl"), dir.path().join("e.old"));
    let set = format!("json_log.path={}", log.display());
    let args = ["--set", set.as_str()];
    let lines = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut honeypot = Honeypot::start(&data, &args);
    wait_for("the log", || lines(&log).contains("sensor.started").then_some(()));
    std::fs::rename(&log, &old).unwrap();
    drop(upload(honeypot.address, &payload(100, 1), usize::MAX));
    honeypot.event("sample.captured");
    honeypot.stop();
    Honeypot::start(&data, &args).stop();

    let all = lines(&old) + &lines(&log);
    let seqs: Vec<u64> = all
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    let last = text(&["events", "--json", "--data", data.to_str().unwrap()]).lines().count() as u64;
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
}

#[test]
fn two_honeypots_do_not_share_a_directory_and_wrong_settings_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let at = data.to_str().unwrap();
    let honeypot = Honeypot::start(&data, &[]);
    let second = roridula(&["run", "--listen", "127.0.0.1:0", "--data", at]);
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && error.contains("in use"), "{error}");
    let taken = honeypot.address.to_string();
    let second = roridula(&["run", "--listen", &taken, "--data", at]);
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && error.contains("ss -ltnp"), "{error}");
    honeypot.stop();

    let config = dir.path().join("r.toml");
    std::fs::write(&config, "[implant]\npolcy = \"absent\"\n").unwrap();
    let output = roridula(&["check", "--config", config.to_str().unwrap(), "--data", at]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && error.contains("r.toml:2") && error.contains("implant.policy"),
        "{error}"
    );
    std::fs::write(&config, text(&["config"])).unwrap();
    let output =
        roridula(&["check", "--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0", "--data", at]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_port_without_the_right_to_it_is_one_message_with_the_ways_out() {
    // Root may bind anything, so this is asked of another user; without root, of ourselves.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("roridula");
    std::fs::copy(env!("CARGO_BIN_EXE_roridula"), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["run", "--listen", "127.0.0.1:445", "--data", "data"]).current_dir("/");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    }
    let output = command.output().unwrap();
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let low_ports_are_free = start.trim().parse::<u32>().unwrap() <= 445;
    assert!(
        !low_ports_are_free,
        "this machine gives port 445 to everybody: the message cannot be tested here"
    );
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    for way in ["--listen 127.0.0.1:4445", "deploy/roridula.service", "setcap", "REDIRECT"] {
        assert!(error.contains(way), "{way} is not in: {error}");
    }
}

#[test]
fn root_becomes_somebody_else() {
    if !nix::unistd::geteuid().is_root() {
        // Not skipped: without root the promise is that nothing changes and nothing is gained.
        let dir = tempfile::tempdir().unwrap();
        let honeypot = Honeypot::start(&dir.path().join("data"), &[]);
        let status = std::fs::read_to_string(format!("/proc/{}/status", honeypot.pid())).unwrap();
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        honeypot.stop();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.path().join("data");
    let status =
        |honeypot: &Honeypot| std::fs::read_to_string(format!("/proc/{}/status", honeypot.pid())).unwrap();
    let mut honeypot = Honeypot::start(&data, &[]);
    let now = status(&honeypot);
    assert!(!now.contains("Uid:\t0\t"), "{now}");
    assert!(now.contains("CapEff:\t0000000000000000") && now.contains("NoNewPrivs:\t1"), "{now}");
    drop(upload(honeypot.address, &payload(100, 1), usize::MAX));
    honeypot.event("sample.triaged");
    honeypot.stop();

    // A directory that the user cannot reach: by default root stays, without any capability.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let honeypot = Honeypot::start(&dir.path().join("deep/data"), &[]);
    let now = status(&honeypot);
    assert!(now.contains("CapEff:\t0000000000000000") && now.contains("NoNewPrivs:\t1"), "{now}");
    honeypot.stop();
    let deep = dir.path().join("deep/data");
    let run = ["run", "--listen", "127.0.0.1:0", "--set", "run_as=nobody", "--data", deep.to_str().unwrap()];
    let output = roridula(&run);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("may not enter"), "{error}");
}

#[test]
fn the_live_view_tells_each_stage_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let printed = dir.path().join("printed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_roridula"))
        .args(["run", "--listen", "127.0.0.1:0", "--console", "off", "--data"])
        .arg(dir.path().join("data"))
        .stdout(std::fs::File::create(&printed).unwrap())
        .spawn()
        .unwrap();
    let shown = || std::fs::read_to_string(&printed).unwrap();
    let address = wait_for("the first lines", || {
        let text = shown();
        let line = text.lines().next()?.split_once("listens on ")?.1.to_owned();
        text.contains("Ctrl-C stops it").then(|| line.parse().unwrap())
    });
    // As slow as it takes for a line of progress.
    let bytes = payload(4000 * 4096, 33);
    let (stream, _) = upload_while(address, &bytes, &mut |chunk| {
        std::thread::park_timeout(std::time::Duration::from_millis(5));
        chunk < 3999 && !shown().contains(" % (")
    });
    drop(stream);
    wait_for("the capture", || shown().contains("captured").then_some(()));
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());

    let text = shown();
    let stages = [
        "connected",
        "negotiate",
        "DoublePulsar ping",
        "upload 1 begins",
        " % (",
        ", partial:",
        "captured",
        "stopped:",
    ];
    let places: Vec<_> =
        stages.iter().map(|stage| text.find(stage).unwrap_or_else(|| panic!("{stage}: {text}"))).collect();
    assert!(places.is_sorted(), "{places:?}: {text}");
    assert!(!text.contains('\u{1b}'), "colour without a terminal: {text}");
}

#[test]
fn with_few_open_files_visitors_are_turned_away_and_captures_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut program = Command::new("sh");
    program.args(["-c", "ulimit -n 400; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_roridula")]);
    let doors = ["per_source_max=1000", "per_network_max=1000", "per_minute_max=1000000"];
    let doors: Vec<String> = doors.iter().map(|door| format!("gate.connections_{door}")).collect();
    let args: Vec<&str> = doors.iter().flat_map(|door| ["--set", door.as_str()]).collect();
    let mut honeypot = Honeypot::launch(program, &dir.path().join("data"), &args);
    // More visitors than files: 400, less what the honeypot needs itself.
    let crowd: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(honeypot.address).unwrap()).collect();
    assert_eq!(honeypot.event("connection.refused")["limit"], "connections_max");
    drop(crowd);
    for _ in 0..100 {
        honeypot.event("connection.closed");
    }
    let bytes = payload(9000, 3);
    assert_eq!(upload(honeypot.address, &bytes, usize::MAX).1, Some(Outcome::Uploaded));
    assert_eq!(honeypot.event("sample.captured")["sha256"], sha256(&bytes));
    honeypot.stop();
}

#[test]
fn a_file_whose_name_is_no_text_is_looked_into_and_the_telling_indicators_come_first() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(std::ffi::OsStr::from_bytes(b"odd-\xff\xfe"));
    let text = "tasksche.exe mssecsvc2.0 http://198.51.100.7/a.exe 12t9YDPgwueZ9NyMgw519p7AA8isjr6SMw";
    std::fs::write(&path, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_roridula")).arg("triage").arg(&path).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let at = |word: &str| told.rfind(word).unwrap_or_else(|| panic!("no {word}: {told}"));
    assert!(at("wallet  ") < at("url   ") && at("url   ") < at("ip   "), "{told}");
}
