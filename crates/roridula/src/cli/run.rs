//! `roridula run`

use super::{Failure, SettingsArgs, check, out};
use crate::console::{self, ConsoleHandle, Told};
use crate::courtesy::Courtesy;
use crate::rules;
use crate::sandbox::{self, Plan};
use crate::settings::Settings;
use crate::triage::{self, TriageHandle};
use crate::{decoy, live};
use clap::Args;
use roridula_desk::console::Listen;
use roridula_desk::incident::Incidents;
use roridula_desk::lookup::LookupHandle;
use roridula_desk::sink::{Cursor, JsonLines, Lines, Pump, PumpHandle, Rotation, Sink, SinkError};
use roridula_evidence::{Committed, Options, Reader, Store};
use roridula_proto::connection::Policy;
use roridula_sensor::{BindError, Bound, Sensor};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// A second Ctrl-C earlier than this is the first one, delivered twice.
const INSISTING_AFTER: Duration = Duration::from_secs(1);

/// How long a stop waits for a sink that takes nothing.
const SINK_PATIENCE: Duration = Duration::from_secs(3);

/// How long the first lines wait for the console to say where it is.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(3);

/// Listen for visitors and catch what they bring
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo roridula run                              ports 445 and 139, then another user without rights
  roridula run --listen 127.0.0.1:4445           a first try without root
  roridula run --set implant.arch=x86            worms send their 32-bit payload
  roridula run --config /etc/roridula.toml --json | jq .

It runs until Ctrl-C or SIGTERM and leaves everything on disk. SIGHUP opens the JSON log anew.
Meanwhile, from another terminal: roridula events --follow, roridula samples list.")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// The web console's address, or `off`
    #[arg(long, value_name = "ADDR:PORT|off")]
    console: Option<Listen>,
    /// Print events as JSON lines instead of the live view
    #[arg(long)]
    json: bool,
    /// Show every event in the live view, not only each stage
    #[arg(long, short)]
    verbose: bool,
}

/// Runs until it is told to stop.
pub(crate) fn run(args: &RunArgs, data: &Path) -> Result<(), Failure> {
    let mut settings = args.settings.load()?;
    if let Some(listen) = args.console {
        settings.console.listen = listen;
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        // A standard error that cannot be written (a full disk, a closed terminal) must not cost a thread.
        .log_internal_errors(false)
        .init();
    let visitors = sandbox::raise_open_files();
    if visitors < u64::from(settings.gate.connections_max) {
        tracing::warn!(
            "gate.connections_max is {visitors} instead of {}: this process may open no more files (ulimit -Hn)",
            settings.gate.connections_max
        );
        settings.gate.connections_max = u32::try_from(visitors).unwrap_or(u32::MAX);
    }
    let bound = bind_all(&settings.listen)?;
    // From here on nothing needs root; no thread runs yet, so that all of them will be the new user's.
    let plan = sandbox::plan(data, settings.run_as.as_deref())?;
    sandbox::settle(data, &plan)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(args, &settings, data, &plan, bound));
    runtime.shutdown_background();
    served
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<Bound>, Failure> {
    let bound = addresses.iter().map(|&address| roridula_sensor::bind(address)).collect::<Result<_, _>>();
    bound.map_err(|error| Failure(bind_help(&error)))
}

/// What to do when a port cannot be had.
pub(super) fn bind_help(error: &BindError) -> String {
    let address = error.address;
    let port = address.port();
    match error.source.kind() {
        ErrorKind::PermissionDenied => {
            let program =
                std::env::current_exe().map_or("roridula".to_owned(), |path| path.display().to_string());
            format!(
                "no right to listen on {address}: ports below 1024 need one. Any of these helps:\n  \
                 a first try, no right needed   roridula run --listen 127.0.0.1:4445   (make run LISTEN=127.0.0.1:4445)\n  \
                 as root, which it gives up     sudo {program} run\n  \
                 as a service                   deploy/roridula.service, see docs/operate.md\n  \
                 a right for this file          sudo setcap cap_net_bind_service=+ep {program}\n  \
                 a redirect of port 445         sudo iptables -t nat -A PREROUTING -p tcp --dport 445 -j REDIRECT --to-ports 4445\n  \
                 {:30} and roridula run --listen 0.0.0.0:4445",
                ""
            )
        }
        ErrorKind::AddrInUse => format!(
            "{address} is in use already, by Samba or another honeypot perhaps.\n  \
             who it is                      ss -ltnp 'sport = :{port}'\n  \
             Samba                          systemctl disable --now smbd nmbd\n  \
             or another address             roridula run --listen 127.0.0.1:4445"
        ),
        ErrorKind::AddrNotAvailable => {
            format!("{address}: this machine has no such address; `ip address` shows those that it has")
        }
        _ => error.to_string(),
    }
}

async fn serve(
    args: &RunArgs,
    settings: &Settings,
    data: &Path,
    plan: &Plan,
    bound: Vec<Bound>,
) -> Result<(), Failure> {
    let mut signals = Signals::install()?;
    let store = Store::open(data, &settings.sensor, Options::default())?;
    let reader = Reader::open(data)?;
    let before = reader.last_seq()?;
    let events = (!args.json).then(|| store.subscribe());
    let mut tellers = Tellers::start(args, settings, data, before, &store)?;
    let decoy = Arc::new(decoy::decoy(settings, store.install()));
    let sensor = Sensor::start(bound, decoy, store.clone(), decoy::sensor_options(settings))?;
    recovered(&store);
    if args.json {
        if let Plan::StayRoot(why) = plan {
            tracing::warn!("staying root: {why}");
        }
    } else {
        banner(settings, data, plan, &sensor, tellers.console.as_ref())?;
    }
    if let Some(events) = events {
        tokio::spawn(live::show(events, sensor.subscribe_progress(), args.verbose));
    }
    if !signals.until_stop(&tellers, &sensor).await {
        return Err(Failure::new(
            "a thread that keeps the evidence has died of a fault; start again, which recovers",
        ));
    }
    let say = |text: &str| {
        // Nobody may be left to read it; the work goes on.
        let _ = if args.json {
            writeln!(std::io::stderr(), "{text}")
        } else {
            writeln!(std::io::stdout(), "{text}")
        };
    };
    say("stopping: closing connections and writing everything out (Ctrl-C again gives up waiting)");
    drop(tellers.courtesy.take());
    tellers.stop_triage();
    tellers.console.iter().for_each(ConsoleHandle::end);
    let served = tokio::select! {
        served = sensor.shutdown() => served,
        () = signals.second() => {
            return Err(Failure::new("stopped at once; uploads that were arriving are recovered at the next start"));
        }
    };
    store.flush();
    tellers.stop();
    say(&format!(
        "stopped: {} connections served, {} turned away; everything is in {}",
        served.connections,
        served.refused,
        data.display()
    ));
    if served.faults > 0 {
        say(&format!("{} connections hit a fault of ours: see {}/crashes", served.faults, data.display()));
    }
    Ok(())
}

/// Says what a killed predecessor had left, if anything.
fn recovered(store: &Store) {
    let found = store.recovered();
    if found.connections > 0 || found.samples > 0 {
        tracing::warn!(
            "the last run was killed: {} connections closed in its place, {} uploads kept as they had arrived",
            found.connections,
            found.samples
        );
    }
    if found.left > 0 {
        tracing::error!(
            "{} uploads stay in {}/spool: there was no room to keep them; free some and start again",
            found.left,
            store.dir().display()
        );
    }
}

/// Says where it listens, what it plays, where things go, what to do next.
fn banner(
    settings: &Settings,
    data: &Path,
    plan: &Plan,
    sensor: &Sensor,
    console: Option<&ConsoleHandle>,
) -> Result<(), Failure> {
    let mut out = out::stdout();
    let listen: Vec<_> = sensor.local_addrs().iter().map(SocketAddr::to_string).collect();
    let implant = &settings.implant;
    writeln!(out, "Roridula {} listens on {}", env!("CARGO_PKG_VERSION"), listen.join(" and "))?;
    writeln!(
        out,
        "  plays    {}, MS17-010 {}, DoublePulsar {} ({})",
        settings.persona,
        check::word(&settings.ms17_010),
        check::word(&implant.policy),
        check::word(&implant.arch)
    )?;
    writeln!(out, "  keeps    everything in {}", data.display())?;
    match console.map(|console| console.first(CONSOLE_PATIENCE)) {
        None => writeln!(out, "  console  off")?,
        Some(None) => writeln!(out, "  console  not up yet; it says so when it is")?,
        Some(Some(Told::Serving(serving))) => writeln!(out, "  console  {serving}")?,
        Some(Some(Told::Failed(what))) => writeln!(out, "  console  not there: {what}")?,
    }
    match plan {
        Plan::StayRoot(why) => writeln!(out, "  WARNING  still root: {why}")?,
        Plan::Become { name, .. } => writeln!(out, "  runs as  {name}")?,
        Plan::Myself => {}
    }
    if implant.policy == Policy::AfterExploit {
        writeln!(
            out,
            "  note     a clean host to everybody until an exploit of his runs to its end (implant.policy)"
        )?;
    }
    let option = format!("--data {}", data.display());
    writeln!(out, "  next     roridula samples list {option}      what was caught")?;
    writeln!(out, "           roridula incidents list {option}    who attacked, and how far it came")?;
    writeln!(out, "           roridula events --follow {option}   the same view from elsewhere")?;
    writeln!(out, "Ctrl-C stops it. Times are UTC.\n")?;
    Ok(out.flush()?)
}

/// Who is told while it runs: the sinks and triage, woken when the journal has grown.
struct Tellers {
    stdout: Option<PumpHandle>,
    file: Option<PumpHandle>,
    incidents: Option<PumpHandle>,
    triage: Option<TriageHandle>,
    lookups: Option<LookupHandle>,
    console: Option<ConsoleHandle>,
    courtesy: Option<Courtesy>,
    reopen: Arc<AtomicBool>,
}

impl Tellers {
    fn start(
        args: &RunArgs,
        settings: &Settings,
        data: &Path,
        before: u64,
        store: &Store,
    ) -> Result<Self, Failure> {
        let reopen = Arc::new(AtomicBool::new(false));
        let pump = |sink: Box<dyn Sink>, cursor: Cursor| {
            let pump =
                Pump::new(Reader::open(data)?, sink, cursor).map_err(|error| Failure(error.to_string()))?;
            Ok::<_, Failure>(pump)
        };
        let stdout = match args.json {
            true => {
                let lines = Lines::new("stdout", std::io::stdout());
                Some(pump(Box::new(lines), Cursor::in_memory(before))?.spawn(complain))
            }
            false => None,
        };
        let log = &settings.json_log;
        let file = match &log.path {
            Some(path) => {
                let rotation = Rotation { bytes_max: log.rotate_bytes, keep: log.keep };
                let sink = JsonLines::new(path, rotation, reopen.clone());
                let cursor = Cursor::open(data, sink.name()).map_err(|error| Failure(error.to_string()))?;
                Some(pump(Box::new(sink), cursor)?.spawn(complain))
            }
            None => None,
        };
        let incidents = match Incidents::open(data, Some(settings.incidents)) {
            // It knows itself how far it is, and what it lacks it reads from the journal.
            Ok(view) => {
                let view = pump(Box::new(view), Cursor::in_memory(before))?;
                Some(view.in_background().spawn(complain))
            }
            // A view of what is kept is no reason to keep nothing.
            Err(error) => {
                tracing::error!("no incidents are put together while this runs: {error}");
                None
            }
        };
        let triage = match settings.triage.enabled {
            true => {
                let (rules, broken) = rules::read(&rules::folders(&settings.triage.rules, data));
                for error in broken {
                    tracing::warn!("rules left out: {}: {}", error.file, error.what);
                }
                Some(triage::start(store, data, &settings.triage, rules, settings.samples.duplicates)?)
            }
            false => None,
        };
        let lookups = super::lookup::start(&settings.lookup, data)?;
        let console = console::start(&settings.console, data, !args.json);
        let children =
            [triage.as_ref().map(TriageHandle::children), console.as_ref().map(ConsoleHandle::children)];
        let loops = tokio::runtime::Handle::current().metrics();
        let courtesy = Some(Courtesy::start(loops, children.into_iter().flatten().collect()));
        let tellers = Self { stdout, file, incidents, triage, lookups, console, courtesy, reopen };
        // Not the incidents: they look for themselves twice a second, and cost less so.
        let sinks = [&tellers.stdout, &tellers.file].into_iter().flatten();
        tokio::spawn(wake(
            store.committed(),
            sinks.map(PumpHandle::waker).collect(),
            tellers.triage.as_ref().map_or(Vec::new(), TriageHandle::wakers),
        ));
        Ok(tellers)
    }

    /// Whether events go to a pipe whose reader has gone.
    fn nobody_listens(&self) -> bool {
        self.stdout.as_ref().is_some_and(PumpHandle::is_gone)
    }

    fn stop_triage(&mut self) {
        if let Some(triage) = self.triage.take() {
            triage.stop();
        }
    }

    /// Delivers what is left.
    fn stop(mut self) {
        self.stop_triage();
        if let Some(console) = self.console.take() {
            console.stop(SINK_PATIENCE);
        }
        if let Some(lookups) = self.lookups.take() {
            // A question that is out is left behind: it is asked again.
            lookups.stop(SINK_PATIENCE);
        }
        for pump in [self.stdout.take(), self.file.take(), self.incidents.take()].into_iter().flatten() {
            if !pump.stop(SINK_PATIENCE) {
                tracing::warn!("a sink takes nothing any more; what it lacks stays in the journal");
            }
        }
    }
}

fn complain(name: &str, error: &SinkError, first: bool) {
    if first {
        tracing::error!("sink {name}: {error}; tried again until it works, nothing is lost");
    }
}

/// Wakes the sinks for every event and triage for every new sample.
async fn wake(mut committed: watch::Receiver<Committed>, sinks: Vec<Thread>, triage: Vec<Thread>) {
    let mut captures = 0;
    while committed.changed().await.is_ok() {
        sinks.iter().for_each(Thread::unpark);
        let now = committed.borrow_and_update().captures;
        if std::mem::replace(&mut captures, now) != now {
            triage.iter().for_each(Thread::unpark);
        }
    }
}

/// The signals that mean something.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when it is time to stop; `false` where that is because nothing is kept any more.
    async fn until_stop(&mut self, tellers: &Tellers, sensor: &Sensor) -> bool {
        let mut look = tokio::time::interval(Duration::from_secs(1));
        let mut warned = false;
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return true,
                _ = self.terminate.recv() => return true,
                _ = self.hangup.recv() => tellers.reopen.store(true, Ordering::Relaxed),
                // A reader that died is no reason to stop catching.
                _ = look.tick() => {
                    if !sensor.is_working() {
                        return false;
                    }
                    if !warned && tellers.nobody_listens() {
                        tracing::warn!("nobody reads standard output any more; going on without it");
                        warned = true;
                    }
                }
            }
        }
    }

    /// Returns when the user insists. `timeout`, `sudo` and some shells deliver one Ctrl-C twice: what comes at once
    /// is no insisting.
    async fn second(&mut self) {
        let first = Instant::now();
        while first.elapsed() < INSISTING_AFTER {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }
}
