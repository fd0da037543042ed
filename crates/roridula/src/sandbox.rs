//! Rights: who the honeypot becomes once its ports are bound, and what a triage worker may not do.

use crate::cli::Failure;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, User, setgid, setgroups, setuid};
use std::fmt;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// What a data directory of ours holds; nothing else in it is ever given to another user.
const OURS: &[&str] = &[
    "journal.sqlite",
    "journal.sqlite-wal",
    "journal.sqlite-shm",
    "samples",
    "spool",
    "crashes",
    "secret",
    "lock",
    "desk",
    "console",
];

/// Who the honeypot will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Whoever started it: not root, nothing to give up.
    Myself,
    /// Root becomes this user.
    Become {
        /// Its name.
        name: String,
        /// Its id.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Root stays root, without capabilities; why.
    StayRoot(String),
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Myself => write!(f, "stays uid {}", Uid::effective()),
            Self::Become { name, uid, .. } => {
                write!(f, "becomes {name} (uid {uid}) once the ports are bound")
            }
            Self::StayRoot(why) => write!(f, "STAYS ROOT: {why}"),
        }
    }
}

/// Who the honeypot would become for this data directory. An explicit `run_as` that cannot be had is an
/// error, the default one is not.
pub(crate) fn plan(data: &Path, run_as: Option<&str>) -> Result<Plan, Failure> {
    if !Uid::effective().is_root() {
        return match run_as {
            Some(name) if current_name().as_deref() != Some(name) => Err(Failure::new(format!(
                "run_as = \"{name}\" needs a start as root (this is uid {})",
                Uid::effective()
            ))),
            _ => Ok(Plan::Myself),
        };
    }
    let user = match run_as {
        Some(name) => named(name).ok_or_else(|| {
            Failure::new(format!("run_as = \"{name}\": no such user; make it with `useradd --system {name}`"))
        })?,
        None => match named("roridula").or_else(|| named("nobody")) {
            Some(user) => user,
            None => return Ok(Plan::StayRoot("there is neither a user `roridula` nor `nobody`".to_owned())),
        },
    };
    if user.uid.is_root() {
        return Ok(Plan::StayRoot("run_as says so".to_owned()));
    }
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    match barrier(data, uid, gid) {
        None => Ok(Plan::Become { name: user.name, uid, gid }),
        Some(at) => {
            let what = format!(
                "{} may not enter {}; give --data a place that it can reach, as /var/lib/roridula",
                user.name,
                at.display()
            );
            if run_as.is_some() { Err(Failure(format!("run_as: {what}"))) } else { Ok(Plan::StayRoot(what)) }
        }
    }
}

fn named(name: &str) -> Option<User> {
    User::from_name(name).ok().flatten()
}

fn current_name() -> Option<String> {
    User::from_uid(Uid::effective()).ok().flatten().map(|user| user.name)
}

/// The first directory above `data` that the user may not pass.
fn barrier(data: &Path, uid: u32, gid: u32) -> Option<PathBuf> {
    let absolute = fs::canonicalize(data).or_else(|_| std::path::absolute(data)).ok()?;
    // As far as it is there it is walked as it really lies, not as its symbolic links show it.
    let real = absolute.ancestors().skip(1).find_map(|dir| fs::canonicalize(dir).ok())?;
    let above: Vec<_> = real.ancestors().collect();
    let shut = |dir: &&&Path| {
        fs::metadata(dir).is_ok_and(|meta| {
            let bit = match (meta.uid() == uid, meta.gid() == gid) {
                (true, _) => 0o100,
                (_, true) => 0o010,
                _ => 0o001,
            };
            meta.mode() & bit == 0
        })
    };
    above.iter().rev().find(shut).map(|dir| dir.to_path_buf())
}

/// Makes the data directory, gives it to the planned user and becomes that user for good. To be called before
/// any thread is started and after the ports are bound.
pub(crate) fn settle(data: &Path, plan: &Plan) -> Result<(), Failure> {
    let at = |error: std::io::Error| Failure::new(format!("data directory {}: {error}", data.display()));
    make_data(data)?;
    match plan {
        // A right to bind low ports (a service's, or the file's) has done its work.
        Plan::Myself => drop_capabilities(true)?,
        Plan::Become { uid, gid, .. } => {
            hand_over(data, *uid, *gid)?;
            let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
            let changed = setgroups(&[gid]).and_then(|()| setgid(gid)).and_then(|()| setuid(uid));
            changed.map_err(|error| Failure::new(format!("cannot become uid {uid}: {error}")))?;
        }
        Plan::StayRoot(_) => {
            let owned = fs::metadata(data).map_err(at)?.uid() == 0;
            drop_capabilities(owned)?;
        }
    }
    nix::sys::prctl::set_no_new_privs().map_err(|error| Failure::new(format!("no_new_privs: {error}")))
}

/// Makes the data directory, if it is not there.
pub(crate) fn make_data(data: &Path) -> Result<(), Failure> {
    let at = |error: std::io::Error| Failure::new(format!("data directory {}: {error}", data.display()));
    if data.exists() {
        return Ok(());
    }
    // What leads there must stay passable for the user; only the directory itself is nobody else's.
    if let Some(above) = data.parent().filter(|above| !above.as_os_str().is_empty()) {
        fs::create_dir_all(above).map_err(at)?;
    }
    DirBuilder::new().mode(0o750).create(data).map_err(at)
}

/// Root that looks at a data directory becomes its owner: what is derived there must stay the owner's, and
/// nobody needs root to show a page. To be called before any thread is started.
pub(crate) fn become_owner(data: &Path) -> Result<(), Failure> {
    let failed =
        |error: nix::Error| Failure::new(format!("cannot become the owner of {}: {error}", data.display()));
    let meta = fs::metadata(data).map_err(|error| Failure::new(format!("{}: {error}", data.display())))?;
    if Uid::effective().is_root() && meta.uid() != 0 {
        let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
        setgroups(&[gid]).and_then(|()| setgid(gid)).and_then(|()| setuid(uid)).map_err(failed)?;
    } else {
        drop_capabilities(true)?;
    }
    nix::sys::prctl::set_no_new_privs().map_err(failed)
}

/// Files that the honeypot opens besides its visitors' sockets: journal, spool, sinks, triage.
const FILES_BESIDES: u64 = 256;
/// The user that owns nothing: Debian's `nobody`, and the kernel's for a user that it cannot name.
const NOBODY: u32 = 65_534;
/// By how much a triage worker stands back.
const WORKER_NICE: i32 = 19;

/// Raises the limit of open files as far as it goes, and gives how many visitors that allows: each is a
/// socket, and a tenth of them may have an upload's two files open.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, hard)| {
        if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
    });
    limit.saturating_sub(FILES_BESIDES).saturating_mul(10).checked_div(12).unwrap_or(0).max(16)
}

/// Gives the data directory, and in it what is ours, to the user.
fn hand_over(data: &Path, uid: u32, gid: u32) -> Result<(), Failure> {
    let at = |path: &Path, error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let entries: Vec<_> = fs::read_dir(data).map_err(|error| at(data, error))?.flatten().collect();
    let ours = |name: &std::ffi::OsStr| OURS.iter().any(|known| name == *known);
    // The user's rules may be there before the first start; they stay the user's.
    let known = |name: &std::ffi::OsStr| ours(name) || name == "rules";
    if !entries.is_empty() && !entries.iter().any(|entry| known(&entry.file_name())) {
        let what = "holds other files; give --data a directory of its own";
        return Err(Failure::new(format!("{} {what}", data.display())));
    }
    let mut left: Vec<PathBuf> =
        entries.iter().filter(|entry| ours(&entry.file_name())).map(|entry| entry.path()).collect();
    left.push(data.to_owned());
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).map_err(|error| at(&path, error))?;
        let foreign = (meta.uid(), meta.gid()) != (uid, gid);
        if foreign {
            lchown(&path, Some(uid), Some(gid)).map_err(|error| at(&path, error))?;
        }
        // A directory that is the user's already was filled by the user: a start does not visit every sample.
        if foreign && meta.is_dir() && path != data {
            left.extend(
                fs::read_dir(&path).map_err(|error| at(&path, error))?.flatten().map(|entry| entry.path()),
            );
        }
    }
    Ok(())
}

/// Root without capabilities is an ordinary user who happens to own root's files. Where the data directory
/// belongs to another user, the right to write there must stay.
fn drop_capabilities(data_is_roots: bool) -> Result<(), Failure> {
    use caps::{CapSet, Capability, CapsHashSet};
    let failed = |error: caps::errors::CapsError| Failure::new(format!("cannot drop capabilities: {error}"));
    let mut keep = CapsHashSet::new();
    if !data_is_roots {
        keep.insert(Capability::CAP_DAC_OVERRIDE);
    }
    // The bounding set first: emptying it needs a capability that goes next. Who lacks it has nothing that
    // the set could give back, since no_new_privs follows.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        caps::clear(None, CapSet::Bounding).map_err(failed)?;
    }
    let dropped = caps::clear(None, CapSet::Inheritable)
        .and_then(|()| caps::set(None, CapSet::Effective, &keep))
        .and_then(|()| caps::set(None, CapSet::Permitted, &keep));
    dropped.map_err(failed)
}

/// Closes what whoever started the honeypot left open for its children: a worker has its three pipes and nothing else.
/// To be called before anything is opened.
pub(crate) fn close_inherited() {
    const STDERR: i32 = 2;
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.flatten().filter_map(|file| file.file_name().to_str()?.parse().ok());
    // The list's own is closed by the time that it is complete.
    for number in numbers.filter(|number: &i32| *number > STDERR).collect::<Vec<_>>() {
        let _ = nix::unistd::close(number);
    }
}

/// Shuts a triage worker in: so much memory, no new file or process, no network, nothing written, and after
/// all others. Best effort where the kernel lacks Landlock; the rest is demanded.
pub(crate) fn confine_worker(memory_bytes: u64) -> Result<(), nix::errno::Errno> {
    // What it needs it has, so that it may be nobody; first, since the kernel forgets what follows with that.
    if Uid::effective().is_root() {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        // Root in a container may not be allowed to.
        let _ = setgroups(&[gid]).and_then(|()| setgid(gid)).and_then(|()| setuid(uid));
    }
    let cleared = [caps::CapSet::Effective, caps::CapSet::Permitted].map(|set| caps::clear(None, set));
    drop(cleared);
    nix::sys::prctl::set_no_new_privs()?;
    // A honeypot that is killed takes its worker along.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // Whoever serves a visitor goes first.
    let _ = rustix::process::nice(WORKER_NICE);
    landlock_nothing();
    setrlimit(Resource::RLIMIT_AS, memory_bytes, memory_bytes)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NPROC, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, 0)
}

/// Makes this process, started by the honeypot, the first to wait and the first to go, and none that outlives
/// it.
pub(crate) fn stand_back() -> Result<(), nix::errno::Errno> {
    nix::sys::prctl::set_no_new_privs()?;
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    let _ = rustix::process::nice(WORKER_NICE);
    // When memory is short, pages for people go before evidence.
    let _ = fs::write("/proc/self/oom_score_adj", "500");
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

/// Shuts the console in: from now on it reads the data directory and `also`, writes what is derived, binds no
/// further port and connects to none. As far as this kernel's Landlock goes; says whether that is all the
/// way.
pub(crate) fn confine_console(data: &Path, also: Option<&Path>) -> bool {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
        RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    };
    let (read, list) = (AccessFs::ReadFile, AccessFs::ReadDir);
    let mut allowed: Vec<(PathBuf, BitFlags<AccessFs>)> = vec![
        (data.to_owned(), read | list),
        (data.join("desk"), AccessFs::from_all(ABI::V4) & !BitFlags::from(AccessFs::Execute)),
        // SQLite's readers mark there how far they read.
        (data.join("journal.sqlite-shm"), read | AccessFs::WriteFile | AccessFs::Truncate),
        // Whether the honeypot runs and where, for the page about that.
        (PathBuf::from("/proc"), read | list),
    ];
    // A database that is updated is a new file in the same folder.
    let folder =
        |path: &Path| if path.is_dir() { Some(path.to_owned()) } else { path.parent().map(Path::to_owned) };
    allowed.extend(also.and_then(folder).map(|folder| (folder, read | list)));
    let restrict = || {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V4))?
            .handle_access(AccessNet::from_all(ABI::V4))?
            .create()?;
        for (path, access) in &allowed {
            // What is not there cannot be read later either.
            if let Ok(path) = PathFd::new(path) {
                rules = rules.add_rule(PathBeneath::new(path, *access))?;
            }
        }
        rules.restrict_self()
    };
    let restricted: Result<_, landlock::RulesetError> = restrict();
    // On an old kernel, who the process is still decides what it may touch.
    restricted.is_ok_and(|restricted| restricted.ruleset == RulesetStatus::FullyEnforced)
}

/// Allows so many seconds of CPU time from now on; the process is killed when they are used up.
pub(crate) fn allow_cpu(secs: u64) -> Result<(), nix::errno::Errno> {
    use nix::sys::resource::{UsageWho, getrusage};
    let used = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = used.user_time().tv_sec().saturating_add(used.system_time().tv_sec());
    // The sum of two parts that were both cut to whole seconds may be one too small.
    let until = u64::try_from(used).unwrap_or(0).saturating_add(secs).saturating_add(1);
    let (_, hard) = getrlimit(Resource::RLIMIT_CPU)?;
    setrlimit(Resource::RLIMIT_CPU, until.min(hard), hard)
}

/// Forbids every file and every TCP port that this kernel's Landlock knows.
fn landlock_nothing() {
    use landlock::{ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr};
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V4))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(ABI::V4)))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.restrict_self());
    // An old kernel: the resource limits below hold all the same.
    let _ = ruleset;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_shut_directory_on_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let shut = dir.path().join("shut");
        fs::create_dir(&shut).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
        // Nobody's ids: neither owner nor group of anything here.
        let (uid, gid) = (4_000_000_000, 4_000_000_000);
        assert_eq!(barrier(&shut.join("data"), uid, gid), Some(shut.clone()));
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(barrier(&shut.join("data"), uid, gid), None);
    }

    #[test]
    fn a_directory_with_other_files_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("passwd"), "x").unwrap();
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        assert!(hand_over(dir.path(), uid, gid).is_err());
        fs::write(dir.path().join("secret"), "x").unwrap();
        assert!(hand_over(dir.path(), uid, gid).is_ok());
    }

    #[test]
    fn a_directory_with_rules_in_it_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        assert!(hand_over(dir.path(), uid, gid).is_ok());
    }

    /// Tells the test below that it is the process to be shut in.
    const SHUT_IN: &str = "RORIDULA_TEST_SHUT_IN";

    #[test]
    fn a_worker_can_open_nothing_start_nothing_and_call_nobody() {
        let name = "sandbox::tests::a_worker_can_open_nothing_start_nothing_and_call_nobody";
        if std::env::var_os(SHUT_IN).is_some() {
            return shut_in();
        }
        // In a process of its own: there is no way back.
        let program = std::env::current_exe().unwrap();
        let mut command = std::process::Command::new(program);
        let output = command.args([name, "--exact", "--nocapture"]).env(SHUT_IN, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("shut in\n"), "{output:?}");
    }

    fn shut_in() {
        use std::net::{TcpListener, UdpSocket};
        use std::os::unix::net::UnixStream;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(fs::File::open(&file).is_ok(), "all that follows would fail anyway");
        assert!(std::process::Command::new("/bin/true").status().is_ok());
        confine_worker(512 << 20).unwrap();
        assert!(!Uid::effective().is_root(), "somebody's shell started it, and it is root");
        assert!(fs::File::open(&file).is_err() && fs::File::open("/etc/passwd").is_err());
        assert!(fs::write(&file, "y").is_err() && fs::write(dir.path().join("new"), "y").is_err());
        assert!(fs::read_dir("/").is_err());
        assert!(std::net::TcpStream::connect(address).is_err() && TcpListener::bind("127.0.0.1:0").is_err());
        assert!(UdpSocket::bind("127.0.0.1:0").is_err() && UnixStream::pair().is_err());
        assert!(std::process::Command::new("/bin/true").status().is_err());
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
        // Limits that could be taken back would be none.
        assert!(setrlimit(Resource::RLIMIT_NOFILE, 64, 64).is_err());
        let room = Vec::<u8>::new().try_reserve_exact(600 << 20);
        assert!(room.is_err(), "more memory than allowed");
        println!("shut in");
    }

    #[test]
    fn a_console_writes_what_is_derived_and_calls_nobody() {
        let name = "sandbox::tests::a_console_writes_what_is_derived_and_calls_nobody";
        if std::env::var_os(SHUT_IN).is_some() {
            return console_shut_in();
        }
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let output = command.args([name, "--exact", "--nocapture"]).env(SHUT_IN, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("shut in\n"), "{output:?}");
    }

    fn console_shut_in() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (data, other) = (dir.path().join("data"), dir.path().join("other"));
        fs::create_dir_all(data.join("desk")).unwrap();
        fs::create_dir_all(&other).unwrap();
        for file in [data.join("journal.sqlite"), data.join("journal.sqlite-shm"), other.join("x.mmdb")] {
            fs::write(file, "x").unwrap();
        }
        let free = || fs::read("/etc/passwd").is_ok() && fs::write(other.join("y"), "y").is_ok();
        assert!(free(), "all that follows would fail anyway");
        let shut = confine_console(&data, Some(&other.join("x.mmdb")));
        assert!(
            fs::write(data.join("desk/index"), "y").is_ok()
                && fs::remove_file(data.join("desk/index")).is_ok()
        );
        assert!(fs::read(data.join("journal.sqlite")).is_ok() && fs::read(other.join("x.mmdb")).is_ok());
        assert!(fs::OpenOptions::new().write(true).open(data.join("journal.sqlite-shm")).is_ok());
        let mut write = fs::OpenOptions::new();
        let evidence = write.write(true).open(data.join("journal.sqlite")).is_ok();
        let calls = std::net::TcpStream::connect(address).is_ok();
        let runs = std::process::Command::new("/bin/true").status().is_ok();
        // Where the kernel has no Landlock, it says so.
        let loose = [evidence, calls, runs, free(), fs::write(data.join("new"), "y").is_ok()];
        assert_eq!(loose, [!shut; 5]);
        println!("shut in");
    }

    #[test]
    fn an_unknown_user_is_an_error_when_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let Failure(what) = plan(dir.path(), Some("no-such-user-here")).unwrap_err();
        assert!(what.contains("no-such-user-here"), "{what}");
    }
}
