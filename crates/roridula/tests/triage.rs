//! Triage from outside: the worker processes, their limits, `roridula triage`, the user's rules.

// Tests own sockets, processes and a clock for their deadlines.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Honeypot, json, payload, roridula, sha256, text, upload, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use roridula_desk::sample::Reports;
use roridula_evidence::Reader;
use roridula_triage::Depth;
use serde_json::Value;
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// A rule that takes as long as a rule may (5 seconds) on whatever holds [`SLOW`]: time to look at the worker.
const SLOW_RULE: &str = "rule slow { strings: $a = \"SLOW-MARKER\"
    condition: $a and for all i in (0..2000000000) : (i >= 0) }";
const SLOW: &[u8] = b"a text that means nothing, with SLOW-MARKER in it";
/// A rule that the engine cannot be interrupted in, on whatever [`endless`] gives.
const ENDLESS_RULE: &str =
    "rule endless { strings: $a = /(a|aa|aaa)*b.*c.*d/ $b = /.*.*.*x/ condition: any of them }";
const MARKED_RULE: &str = "rule marked { meta: author = \"A. User\" license = \"CC0-1.0\"
    strings: $a = \"TEST-MARKER\" condition: $a }";
const MARKED: &[u8] = b"another text that means nothing, with TEST-MARKER in it";

/// Letters without a line's end.
fn endless() -> Vec<u8> {
    (0..200_000u32).map(|at| b'a' + (at.wrapping_mul(2_654_435_761) >> 16) as u8 % 26).collect()
}

/// A directory with `data` and `rules` in it.
struct World {
    dir: tempfile::TempDir,
    data: PathBuf,
}

impl World {
    fn new(rules: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let world = Self { dir, data };
        std::fs::create_dir(world.rules()).unwrap();
        rules.iter().for_each(|(name, text)| world.rule(name, text));
        world
    }

    fn rules(&self) -> PathBuf {
        self.dir.path().join("rules")
    }

    /// What a report says of a file that is too slow.
    fn left_out(&self, name: &str) -> String {
        let file = self.rules().join(name);
        format!("the rules of {} were not asked: too slow (`roridula rules check` tells how)", file.display())
    }

    fn rule(&self, name: &str, text: &str) {
        std::fs::write(self.rules().join(name), text).unwrap();
    }

    fn setting(&self) -> String {
        format!("triage.rules=[\"{}\"]", self.rules().display())
    }

    fn start(&self, set: &[&str]) -> Honeypot {
        self.launch(Command::new(env!("CARGO_BIN_EXE_roridula")), set)
    }

    /// The same by a command that ends in the program.
    fn launch(&self, program: Command, set: &[&str]) -> Honeypot {
        let setting = self.setting();
        let args = std::iter::once(setting.as_str()).chain(set.iter().copied());
        Honeypot::launch(program, &self.data, &args.flat_map(|set| ["--set", set]).collect::<Vec<_>>())
    }

    /// The arguments, and those that name the directory and the rules.
    fn with<'a>(&'a self, args: &[&'a str], setting: &'a str) -> Vec<&'a str> {
        let data = self.data.to_str().unwrap();
        args.iter().copied().chain(["--data", data, "--set", setting]).collect()
    }

    /// How much of a report is kept.
    fn depth(&self, sample: &[u8]) -> Option<Depth> {
        let reader = Reader::open(&self.data).unwrap();
        let id = reader.sample(&sha256(sample)).unwrap()?.sha256;
        Some(Reports::open(&self.data).unwrap().get(id).unwrap()?.depth)
    }

    /// Names of the rules that fit a sample, as its kept report says.
    fn hits(&self, sample: &[u8]) -> Option<Vec<String>> {
        let reader = Reader::open(&self.data).unwrap();
        let id = reader.sample(&sha256(sample)).unwrap()?.sha256;
        let report = Reports::open(&self.data).unwrap().get(id).unwrap()?;
        Some(report.layers.iter().flat_map(|layer| &layer.hits).map(|hit| hit.rule.clone()).collect())
    }
}

fn bring(honeypot: &Honeypot, sample: &[u8]) {
    drop(upload(honeypot.address, sample, usize::MAX));
}

/// The next `sample.triaged` of this sample.
fn triaged(honeypot: &mut Honeypot, sample: &[u8]) -> Value {
    loop {
        let told = honeypot.event("sample.triaged");
        if told["sha256"] == sha256(sample) {
            return told;
        }
    }
}

/// The workers of a process.
fn workers(parent: u32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let ours = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        status.contains(&format!("PPid:\t{parent}\n")) && command.windows(6).any(|part| part == b"worker")
    };
    pids.filter(ours).collect()
}

/// CPU time of a process in clock ticks (100 a second); 0 when it has ended.
fn ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(") ") else { return 0 };
    let fields: Vec<&str> = rest.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Whether there is no such process any more, not even as a zombie.
fn is_gone(pid: i32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}

/// A worker that has read everything of a sample of `SLOW`'s size: it waits in the rule.
fn slow_worker(honeypot: &Honeypot, idle: &HashMap<i32, u64>) -> i32 {
    wait_for("a worker at the slow sample", || {
        let at_it = |pid: &i32| ticks(*pid) >= idle.get(pid).copied().unwrap_or(0) + 50;
        workers(honeypot.pid()).into_iter().find(at_it)
    })
}

/// What each worker has used up when it waits for work.
fn idle(honeypot: &Honeypot) -> HashMap<i32, u64> {
    workers(honeypot.pid()).into_iter().map(|pid| (pid, ticks(pid))).collect()
}

/// Brings a first sample, so that a worker is there and has compiled its rules.
fn warm(honeypot: &mut Honeypot) -> HashMap<i32, u64> {
    bring(honeypot, b"the first sample, of no meaning");
    assert_eq!(triaged(honeypot, b"the first sample, of no meaning")["error"], "");
    idle(honeypot)
}

#[test]
fn a_killed_worker_is_replaced_and_its_sample_done() {
    let world = World::new(&[("slow.yar", SLOW_RULE)]);
    let mut honeypot = world.start(&[]);
    let idle = warm(&mut honeypot);
    bring(&honeypot, SLOW);
    let worker = slow_worker(&honeypot, &idle);
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    let told = triaged(&mut honeypot, SLOW);
    // It was looked into all the same, and what was left out is told.
    assert_eq!((&told["error"], told["rules"] == ""), (&world.left_out("slow.yar").into(), false), "{told}");
    assert!(is_gone(worker) && workers(honeypot.pid()).len() == 1);
    honeypot.stop();
}

/// Kills the worker of `parent` that is at an endless rule, as `tries` of them come.
fn kill_at_endless_rule(parent: u32, tries: u32) {
    // More than compiling the rules takes.
    const TICKS: u64 = 150;
    for _ in 0..tries {
        let busy = |pid: &i32| ticks(*pid) >= TICKS;
        let worker = wait_for("a worker at the endless rule", || workers(parent).into_iter().find(busy));
        kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
        wait_for("the worker's end", || is_gone(worker).then_some(()));
    }
}

#[test]
fn a_file_of_rules_that_is_too_slow_is_left_out_and_the_others_work() {
    // One that the engine's clock ends, and one that it does not.
    for (rule, mut slow) in [(SLOW_RULE, SLOW.to_vec()), (ENDLESS_RULE, endless())] {
        let world = World::new(&[("slow.yar", rule), ("marked.yar", MARKED_RULE)]);
        let mut honeypot = world.start(&["triage.timeout_secs=6"]);
        slow.extend_from_slice(MARKED);
        for more in [&b""[..], b"x"] {
            let slow = [&slow, more].concat();
            bring(&honeypot, &slow);
            let told = triaged(&mut honeypot, &slow);
            assert_eq!((&told["error"], told["rules"] == ""), (&world.left_out("slow.yar").into(), false));
            assert!(world.hits(&slow).unwrap().contains(&"marked".to_owned()));
            assert_eq!(world.depth(&slow), Some(Depth::Full));
        }
        honeypot.stop();
    }
}

#[test]
fn a_sample_that_is_too_slow_with_the_users_rules_is_done_without_them() {
    let world = World::new(&[("slow.yar", ENDLESS_RULE), ("marked.yar", MARKED_RULE)]);
    let mut honeypot = world.start(&["triage.timeout_secs=1"]);
    // What makes the rules slow stands behind the bytes that files are tried on.
    let slow = [&b"\n".repeat(100_000)[..], &endless()].concat();
    bring(&honeypot, &slow);
    // Two connections' captures may overtake each other.
    honeypot.event("sample.captured");
    bring(&honeypot, MARKED);
    let told = triaged(&mut honeypot, &slow);
    let files = ["marked.yar", "slow.yar"].map(|name| world.rules().join(name).display().to_string());
    let expected = format!("the rules of {} were not asked: a try with them took too long", files.join(", "));
    assert_eq!((&told["error"], told["rules"] == ""), (&expected.as_str().into(), false), "{told}");
    assert_eq!(world.depth(&slow), Some(Depth::Full));
    // The next one has them again.
    assert_eq!(triaged(&mut honeypot, MARKED)["error"], "");
    assert!(world.hits(MARKED).unwrap().contains(&"marked".to_owned()));
    // Where one sample after another runs out of time, the next ones are spared the rules and cost no second.
    for more in [&b"x"[..], b"y"] {
        let slow = [&slow, more].concat();
        bring(&honeypot, &slow);
        assert_eq!(triaged(&mut honeypot, &slow)["error"], *expected, "{more:?}");
    }
    let marked = [MARKED, b"!"].concat();
    bring(&honeypot, &marked);
    assert_eq!(triaged(&mut honeypot, &marked)["error"], *expected);
    assert!(!world.hits(&marked).unwrap().contains(&"marked".to_owned()));
    honeypot.stop();
}

#[test]
fn a_sample_that_kills_twice_is_left_alone_and_the_others_are_done() {
    let world = World::new(&[("slow.yar", ENDLESS_RULE)]);
    let mut honeypot = world.start(&["triage.timeout_secs=3600"]);
    let slow = endless();
    bring(&honeypot, &slow);
    kill_at_endless_rule(honeypot.pid(), 2);
    bring(&honeypot, MARKED);
    let told = triaged(&mut honeypot, &slow);
    let killed = "left alone after 2 tries: the worker died: signal: 9 (SIGKILL)";
    assert_eq!(told["error"], killed, "{told}");
    assert_eq!(triaged(&mut honeypot, MARKED)["error"], "");
    // The worker died of the full report: the first one stands.
    assert_eq!((world.depth(&slow), world.depth(MARKED)), (Some(Depth::First), Some(Depth::Full)));
    let shown = text(&["samples", "show", &sha256(&slow), "--data", world.data.to_str().unwrap()]);
    assert!(shown.contains("the rest could not be worked out, `triage --all` tries again (left"), "{shown}");
    let listed = || text(&["samples", "list", "--json", "--data", world.data.to_str().unwrap()]);
    let left = "the rest could not be worked out";
    assert_eq!(listed().matches(left).count(), 1, "{}", listed());
    let events = honeypot.stop();
    assert!(!events.iter().any(|event| event["eventid"] == "sample.triaged"), "told twice: {events:?}");

    // Nor is it tried at the next start: what is told next is of a new sample.
    let mut honeypot = world.start(&[]);
    bring(&honeypot, b"a third one");
    assert_eq!(honeypot.event("sample.triaged")["sha256"], sha256(b"a third one"));
    honeypot.stop();

    // Who asks for all of them gets it tried again: it fails as before and is marked again.
    let (setting, reader) = (world.setting(), Reader::open(&world.data).unwrap());
    let error = || reader.sample(&sha256(&slow)).unwrap().unwrap().triage_error;
    let args = world.with(&["triage", "--all", "--set", "triage.timeout_secs=3600"], &setting);
    let marks = || {
        let data = world.data.to_str().unwrap();
        text(&["events", "--json", "--id", "sample.triaged", "--data", data]).matches("left alone").count()
    };
    let mut all = Command::new(env!("CARGO_BIN_EXE_roridula"));
    let all = all.args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    kill_at_endless_rule(all.id(), 2);
    let output = all.wait_with_output().unwrap();
    assert!(!output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("left alone after 2 tries"));
    assert_eq!((marks(), error().contains("left alone")), (2, true));
    // Without the rule that it is slow in, it has a report, and the mark is gone.
    world.rule("slow.yar", MARKED_RULE);
    assert!(roridula(&args).status.success());
    assert_eq!((world.hits(&slow), error()), (Some(Vec::new()), String::new()));
    assert!(!listed().contains(left), "{}", listed());
}

#[test]
fn all_have_a_first_report_before_the_full_one_of_another_is_worked_out() {
    let world = World::new(&[("slow.yar", ENDLESS_RULE)]);
    // No full report of these ever ends: what is there then was there before.
    let slow = [endless(), [&endless()[..], b"x"].concat()];
    let mut honeypot = world.start(&["triage.enabled=false"]);
    for sample in [&slow[0][..], &slow[1], MARKED] {
        bring(&honeypot, sample);
        honeypot.event("sample.captured");
    }
    honeypot.stop();

    let mut honeypot = world.start(&["triage.timeout_secs=3600"]);
    for sample in [&slow[0][..], &slow[1], MARKED] {
        wait_for("a first report", || world.depth(sample));
        assert_eq!(world.depth(sample), Some(Depth::First));
    }
    // One that comes now gets its own before the next slow one keeps the worker busy.
    let late = [MARKED, b"!"].concat();
    bring(&honeypot, &late);
    honeypot.event("sample.captured");
    kill_at_endless_rule(honeypot.pid(), 2);
    let told = honeypot.event("sample.triaged");
    assert_eq!((&told["sha256"], told["error"] == ""), (&sha256(&slow[0]).into(), false), "{told}");
    wait_for("a first report of the late one", || world.depth(&late));
    for sample in [&slow[1][..], MARKED, &late] {
        assert_eq!(world.depth(sample), Some(Depth::First));
    }
    // All of them are done once the rule lets them, and each is told once.
    kill_at_endless_rule(honeypot.pid(), 2);
    let told = [&slow[1][..], MARKED, &late].map(|_| honeypot.event("sample.triaged")["sha256"].clone());
    assert_eq!(told, [&slow[1][..], MARKED, &late].map(|sample| Value::from(sha256(sample))));
    assert_eq!((world.depth(MARKED), world.depth(&late)), (Some(Depth::Full), Some(Depth::Full)));
    assert!(!honeypot.stop().iter().any(|event| event["eventid"] == "sample.triaged"));
}

#[test]
fn a_worker_is_shut_in_and_stands_back() {
    let world = World::new(&[("slow.yar", SLOW_RULE)]);
    // Whoever starts the honeypot leaves a file open.
    let mut program = Command::new("sh");
    program.args(["-c", "exec 9<\"$0\"; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_roridula")]);
    let mut honeypot = world.launch(program, &[]);
    let idle = warm(&mut honeypot);
    bring(&honeypot, SLOW);
    let worker = slow_worker(&honeypot, &idle);
    let open =
        |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|file| file.unwrap().file_name());
    assert!(open(honeypot.pid()).any(|file| file == "9"));
    assert!(open(worker.unsigned_abs()).all(|file| ["0", "1", "2"].iter().any(|own| file == *own)));
    let of = |name: &str| std::fs::read(format!("/proc/{worker}/{name}")).unwrap();
    let text = |name: &str| String::from_utf8(of(name)).unwrap();
    assert_eq!(of("environ"), b"", "the environment holds keys");
    let nice = text("stat").rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().to_owned();
    assert_eq!(nice, "19");
    assert!(text("status").contains("NoNewPrivs:\t1"), "{}", text("status"));
    let limits = text("limits");
    for limit in ["Max open files", "Max processes", "Max file size", "Max core file size"] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        let values: Vec<&str> = line[limit.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, ["0", "0"], "{line}");
    }
    let memory = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
    assert!(memory.contains("536870912"), "{memory}");
    honeypot.stop();
    assert!(is_gone(worker), "stopping left a worker behind");
}

#[test]
fn a_worker_ends_with_the_honeypot_however_that_ends() {
    let world = World::new(&[("slow.yar", SLOW_RULE)]);
    let mut honeypot = world.start(&["triage.timeout_secs=3600"]);
    let idle = warm(&mut honeypot);
    bring(&honeypot, SLOW);
    let worker = slow_worker(&honeypot, &idle);
    honeypot.kill();
    wait_for("the worker's end", || is_gone(worker).then_some(()));
    // Its sample has no report and is done after the next start.
    let honeypot = world.start(&[]);
    wait_for("its report", || world.depth(SLOW).filter(Depth::is_full));
    honeypot.stop();
}

/// What the kernel says that a process does: `T` is stopped.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// The first processor that this process may use.
fn a_processor() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    list.trim().split([',', '-']).next().unwrap().to_owned()
}

/// Set when it is dropped.
struct Raise<'a>(&'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_worker_steps_aside_in_a_flood_and_is_done_all_the_same() {
    let world = World::new(&[("slow.yar", SLOW_RULE)]);
    let mut program = Command::new("taskset");
    program.args(["-c", &a_processor(), env!("CARGO_BIN_EXE_roridula")]);
    let setting = world.setting();
    let open = ["gate.connections_per_minute_max=10000000", "gate.connections_per_source_max=20000"];
    let args = [setting.as_str()].into_iter().chain(open).flat_map(|set| ["--set", set]);
    let mut honeypot = Honeypot::launch(program, &world.data, &args.collect::<Vec<_>>());
    let idle = warm(&mut honeypot);
    bring(&honeypot, SLOW);
    let worker = slow_worker(&honeypot, &idle);

    let (address, over) = (honeypot.address, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let flood = || {
            while !over.load(Ordering::Relaxed) {
                drop(TcpStream::connect(address));
            }
        };
        let visitors: Vec<_> = (0..4).map(|_| scope.spawn(flood)).collect();
        // Also where what is waited for does not come.
        let end = Raise(&over);
        let stands = || wait_for("a rest", || (state(worker) == Some('T')).then_some(()));
        stands();
        wait_for("the end of a rest", || (state(worker) != Some('T')).then_some(()));
        stands();
        drop(end);
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
    });
    let told = triaged(&mut honeypot, SLOW);
    assert!(told["error"].as_str().unwrap().contains("too slow"), "{told}");
    assert_eq!(workers(honeypot.pid()), [worker]);
    assert_ne!(state(worker), Some('T'));
    honeypot.stop();
    assert!(is_gone(worker));
}

#[test]
fn several_workers_do_each_sample_once() {
    let world = World::new(&[]);
    let mut honeypot = world.start(&["triage.workers=3"]);
    let samples: Vec<Vec<u8>> = (0..40).map(|number| payload(3000, 2 * number + 1)).collect();
    samples.iter().for_each(|sample| bring(&honeypot, sample));
    let mut told: Vec<String> = Vec::new();
    while told.len() < samples.len() {
        let event = honeypot.event("sample.triaged");
        assert_eq!(event["error"], "");
        told.push(event["sha256"].as_str().unwrap().to_owned());
    }
    for event in honeypot.stop() {
        assert_ne!(event["eventid"], "sample.triaged", "{event}");
    }
    told.sort();
    let mut expected: Vec<String> = samples.iter().map(|sample| sha256(sample)).collect();
    expected.sort();
    assert_eq!(told, expected);
}

#[test]
fn a_sample_too_large_or_without_bytes_is_told_at_once_and_costs_no_worker() {
    let world = World::new(&[]);
    let mut honeypot = world.start(&[
        "triage.memory_bytes_max=134217728",
        "limits.upload_bytes_max=50000000",
        "triage.enabled=false",
    ]);
    let (large, lost) = (payload(34 * 1024 * 1024, 22), payload(5000, 23));
    for sample in [&large, &lost] {
        bring(&honeypot, sample);
        honeypot.event("sample.captured");
    }
    honeypot.stop();
    let reader = Reader::open(&world.data).unwrap();
    let id = reader.sample(&sha256(&lost)).unwrap().unwrap().sha256;
    std::fs::remove_file(reader.sample_path(id)).unwrap();

    let honeypot = world.start(&["triage.memory_bytes_max=134217728"]);
    // From the journal: it is told so soon that the honeypot may not have said that it has started.
    let error = |sample: &[u8]| {
        wait_for("the mark", || {
            let found = reader.sample(&sha256(sample)).unwrap()?;
            found.triaged.then_some(found.triage_error)
        })
    };
    let told = error(&large);
    assert!(told.starts_with("not looked into: it has 35651584 bytes, 33554432 are allowed"), "{told}");
    assert_eq!(error(&lost), "its bytes are not kept");
    assert_eq!(workers(honeypot.pid()), [0; 0], "nothing was there to look into");
    honeypot.stop();
}

#[test]
fn files_at_hand_standard_input_and_samples_are_explained() {
    let world = World::new(&[("marked.yar", MARKED_RULE)]);
    let mut honeypot = world.start(&[]);
    bring(&honeypot, MARKED);
    let told = triaged(&mut honeypot, MARKED);
    assert_eq!(told["error"], "");
    assert_eq!(world.hits(MARKED), Some(vec!["marked".to_owned()]));
    honeypot.stop();

    let (setting, name) = (world.setting(), sha256(MARKED));
    let file = world.dir.path().join("file\u{1b}[2J.bin");
    std::fs::write(&file, MARKED).unwrap();
    let path = file.to_str().unwrap();
    let shown = text(&world.with(&["triage", path, &name[..8]], &setting));
    assert!(!shown.contains('\u{1b}'), "{shown}");
    assert_eq!(shown.matches(&name).count(), 4, "twice as sample and as core: {shown}");
    assert_eq!(shown.matches("  marked (A. User, CC0-1.0, ").count(), 2, "{shown}");
    let answers = json(&world.with(&["triage", path, &name[..8], "--json"], &setting));
    assert_eq!(answers[0]["report"], answers[1]["report"]);
    let kept = json(&["samples", "show", &name, "--json", "--data", world.data.to_str().unwrap()]);
    let sentence = answers[0]["sentence"].as_str().unwrap();
    assert!(!sentence.is_empty() && kept["sentence"].as_str().unwrap().starts_with(sentence), "{kept}");
    assert_eq!(answers[1]["report"]["layers"][0]["hits"][0]["rule"], "marked");

    let mut child = Command::new(env!("CARGO_BIN_EXE_roridula"))
        .args(["triage", "-", "--json", "--rules"])
        .arg(world.rules())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(MARKED).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer[0]["report"], answers[0]["report"]);

    // A pipe that nobody writes to is not waited for.
    let pipe = world.dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let output = roridula(&world.with(&["triage", pipe.to_str().unwrap()], &setting));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("a pipe or socket, not a file"), "{error}");

    // One that fails does not keep the others from being answered, and is told.
    let output = roridula(&world.with(&["triage", "0123abcd", path, "no file", "--json"], &setting));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("no file: No such file"), "{error}");
    assert!(answers[0]["error"].as_str().unwrap().contains("neither a file nor"), "{answers}");
    assert!(answers[0]["report"].is_null() && answers[1]["error"].is_null(), "{answers}");
    assert!(answers[0]["sentence"].is_null() && answers[1]["sentence"] == sentence, "{answers}");
}

#[test]
fn a_file_that_is_too_slow_with_one_of_the_users_is_told_without_that_one() {
    let world = World::new(&[("slow.yar", ENDLESS_RULE), ("marked.yar", MARKED_RULE)]);
    let (slow, quick) = (world.dir.path().join("slow"), world.dir.path().join("quick"));
    std::fs::write(&slow, endless()).unwrap();
    std::fs::write(&quick, MARKED).unwrap();
    let (setting, paths) = (world.setting(), [slow.to_str().unwrap(), quick.to_str().unwrap()]);
    let args = ["triage", "--set", "triage.timeout_secs=1", paths[0], paths[1]];
    let output = roridula(&world.with(&args, &setting));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    let (first, second) = shown.split_once(&sha256(MARKED)).unwrap();
    assert!(
        first.contains(&sha256(&endless())) && first.contains("left out ") && first.contains("slow.yar"),
        "{shown}"
    );
    assert!(!first.contains("marked.yar") && second.contains("marked.yar"), "{shown}");
}

#[test]
fn changed_rules_do_the_archive_again_once() {
    let world = World::new(&[]);
    let mut honeypot = world.start(&[]);
    let lost = payload(5000, 31);
    for sample in [MARKED, b"no mark", &lost] {
        bring(&honeypot, sample);
        triaged(&mut honeypot, sample);
    }
    honeypot.stop();
    assert_eq!(world.hits(MARKED), Some(Vec::new()));
    let reader = Reader::open(&world.data).unwrap();
    let id = reader.sample(&sha256(&lost)).unwrap().unwrap().sha256;
    std::fs::remove_file(reader.sample_path(id)).unwrap();

    let setting = world.setting();
    let all = |extra: &[&str]| {
        let args: Vec<&str> = ["triage", "--all"].iter().chain(extra).copied().collect();
        let output = roridula(&world.with(&args, &setting));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{error}");
        (String::from_utf8(output.stdout).unwrap(), error)
    };
    let events =
        || text(&["events", "--json", "--id", "sample.triaged", "--data", world.data.to_str().unwrap()]);
    assert!(all(&[]).0.starts_with("0 samples looked into, 3 reports of today's rules, 0 samples"));
    assert_eq!(events().lines().count(), 3);

    // A broken file is told with its line; the other one works.
    world.rule("marked.yar", MARKED_RULE);
    world.rule("broken.yar", "rule broken {\n condition:\n  $nothing }");
    let (told, error) = all(&[]);
    assert!(told.starts_with("2 samples looked into, 0 reports of today's rules, 1 sample "), "{told}");
    assert!(error.contains("broken.yar:3: "), "{error}");
    assert_eq!(world.hits(MARKED), Some(vec!["marked".to_owned()]));
    assert_eq!(world.hits(b"no mark"), Some(Vec::new()));
    assert_eq!(events().lines().count(), 5);
    assert!(all(&[]).0.starts_with("0 samples looked into, 2 reports"));
    assert!(all(&["--force"]).0.starts_with("2 samples looked into, 0 reports"));
    let tally: Value = serde_json::from_str(&all(&["--json"]).0).unwrap();
    assert_eq!(tally, serde_json::json!({ "done": 0, "current": 2, "forgotten": 1, "failed": [] }));
    let output = roridula(&world.with(&["triage", "--rules", "/nonexistent.yar", "x"], &setting));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && error.contains("--rules /nonexistent.yar: no such file"), "{error}");

    // While the honeypot runs the journal is its own: reports only, and that is said.
    let honeypot = world.start(&[]);
    let before = events().lines().count();
    let (told, error) = all(&["--force"]);
    assert!(told.starts_with("2 samples looked into") && error.contains("the honeypot runs here"), "{error}");
    assert_eq!(events().lines().count(), before);
    honeypot.stop();
}
