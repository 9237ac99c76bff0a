//! Running what was asked for: opens what the configuration names, starts the threads, waits for signals.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mio::net::TcpListener;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::bench::child::announce;
use crate::bulletin;
use crate::cli::Failure;
use crate::config::{self, DemoConfig, EmulatorConfig, ProxyConfig, Settings};
use crate::dashboard::{self, Board, Delays};
use crate::demo;
use crate::emulator;
use crate::emulator::script::{self, Script};
use crate::net::{self, Sockets};
use crate::proxy::{Inbox, Setup, World};
use crate::reactor::{Control, DrainTimes, Reactor};
use crate::record::console::Console;
use crate::record::row::Names;
use crate::record::shadow_log::ShadowLog;
use crate::record::stats::Snapshot;
use crate::record::writer::{LogHandle, LogWriter};
use crate::report::ReportConfig;
use crate::serve::Running;

mod crew;
mod messages;
mod page;
mod reload;
mod systemd;

use self::crew::Crew;
pub use self::messages::start_messages;
use self::messages::{tell, warn_of_unresolved};
pub use self::page::dashboard;
use self::reload::{Reloads, Target};

/// What ends a command in good order. SIGQUIT is how nginx is told so.
const ENDS: [i32; 3] = [SIGTERM, SIGINT, SIGQUIT];
/// Supervisors signal a process and its group, and a shell passes on what its process has got: those are one order.
const SAME_STOP: Duration = Duration::from_secs(1);
/// File descriptors kept back for listeners, logs and the admin page.
const DESCRIPTORS_RESERVED: u64 = 64;
/// And for each worker after the first: its poll, its waker, its listener and a copy of its poll.
const DESCRIPTORS_PER_WORKER: u64 = 4;
/// From the end of a drain to the end of the process: the last rows of the log.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// A proxy on its thread, or threads.
#[derive(Debug)]
pub struct RunningProxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// For orders.
    pub control: Control,
    /// Its latest figures.
    pub board: Arc<Board>,
    /// The admin address at work, if there is one.
    pub admin: Option<Running>,
    target: Target,
    crew: Crew,
}

impl RunningProxy {
    /// Drains it and returns its final figures; every row is in its log by then.
    ///
    /// # Errors
    /// When its loop failed.
    pub fn stop(self) -> Result<Snapshot, Failure> {
        self.control.drain_or_stop();
        self.wait()
    }

    /// Has it adopt another configuration, without losing a request.
    pub fn reload(&self, config: ProxyConfig) {
        self.target.reload(config);
    }

    /// Waits until it has ended by an order from elsewhere.
    ///
    /// # Errors
    /// When its loop failed.
    pub fn wait(self) -> Result<Snapshot, Failure> {
        let figures = self.crew.wait();
        if let Some(admin) = self.admin {
            // It has nothing to lose.
            let _ = admin.stop();
        }
        figures
    }
}

/// Opens everything a proxy needs and starts its thread: [`start_demo_proxy`] without backends of this process.
///
/// # Errors
/// As there.
pub fn start_proxy(
    config: ProxyConfig,
    ended: impl FnOnce() + Send + 'static,
) -> Result<RunningProxy, Failure> {
    start_demo_proxy(config, None, ended)
}

/// Opens everything a proxy needs and starts its threads, one per worker. `delays` are those of backends in this process.
/// `ended` runs on the last of those threads when the proxy has stopped, whatever the reason.
///
/// # Errors
/// One line: what cannot be opened and which flag names it.
pub fn start_demo_proxy(
    config: ProxyConfig,
    delays: Option<Delays>,
    ended: impl FnOnce() + Send + 'static,
) -> Result<RunningProxy, Failure> {
    let listeners = net::listen_together(config.listen, config.workers);
    let listeners = listeners.map_err(|error| cannot_listen("--listen", config.listen, &error))?;
    start_on(listeners, config, delays, ended)
}

/// The same on listeners that are there already, one per worker; `config.listen` does not count.
fn start_on(
    listeners: Vec<TcpListener>,
    mut config: ProxyConfig,
    delays: Option<Delays>,
    ended: impl FnOnce() + Send + 'static,
) -> Result<RunningProxy, Failure> {
    let clients_max = clients_max(&config);
    let address = listeners.first().map_or(Ok(config.listen), TcpListener::local_addr);
    let address = address.map_err(|error| cannot_listen("--listen", config.listen, &error))?;
    config.listen = address; // with the port found, when any would do
    if config.defer_accept {
        let deferred = listeners.iter().try_for_each(net::defer_accept);
        deferred
            .map_err(|error| Failure::Runtime(format!("--defer-accept on: {error}; must be off here")))?;
    }
    let drain = DrainTimes { delay: config.drain_delay, timeout: config.drain_timeout };
    let reactors = crew::reactors(listeners, drain).map_err(|error| runtime("event loop", &error))?;
    let token = dashboard::open::token(&config).map_err(Failure::Usage)?;
    if let Some(admin) = config.admin {
        // Before the last log is overwritten for nothing.
        drop(net::listen(admin).map_err(|error| cannot_listen("--admin", admin, &error))?);
    }
    let controls: Vec<Control> = reactors.iter().map(Reactor::control).collect();
    let control = Control::all(controls.clone());
    let inboxes: Vec<Inbox> = reactors.iter().map(|_| Inbox::default()).collect();
    let mut worlds = worlds(&config, &reactors, &controls, &inboxes, clients_max)?;
    let board = crew::show(&mut worlds, &reactors, config.admin.is_some())
        .ok_or_else(|| Failure::Runtime("a proxy without workers".to_owned()))?;
    let mut access = None;
    let admin = match config.admin {
        Some(address) => {
            let (board, control) = (board.clone(), control.clone());
            let view = dashboard::open::view(&config, address, board, token, control, delays);
            access = Some(view.access.clone());
            let started = dashboard::start(address, view);
            Some(started.map_err(|error| cannot_listen("--admin", address, &error))?)
        }
        None => None,
    };
    let workers = reactors.into_iter().zip(worlds).collect();
    let crew = Crew::start(workers, &control, ended).map_err(|error| runtime("reactor thread", &error))?;
    let target = Target { control: control.clone(), inboxes, access };
    Ok(RunningProxy { address, control, board, admin, target, crew })
}

/// What each worker works on, with what is opened for all of them.
fn worlds(
    config: &ProxyConfig,
    reactors: &[Reactor],
    controls: &[Control],
    inboxes: &[Inbox],
    clients_max: usize,
) -> Result<Vec<World<Sockets>>, Failure> {
    let count = reactors.len();
    let mut logs = match (&config.log, reactors.first()) {
        (Some(path), Some(first)) => open_logs(path, config, first.origin(), count)?.into_iter(),
        _ => Vec::new().into_iter(),
    };
    let console = match config.log_decisions {
        true => Some(Console::start().map_err(|error| runtime("console thread", &error))?),
        false => None,
    };
    let mut shadow_log = match &config.shadow_log {
        Some(path) => Some(ShadowLog::start(path).map_err(|error| cannot_log("--shadow-log", path, &error))?),
        None => None,
    };
    // Alone, a worker has nobody to tell.
    let mut members = if count > 1 { bulletin::members(count) } else { Vec::new() }.into_iter();
    let mut worlds = Vec::with_capacity(count);
    for (worker, (reactor, inbox)) in reactors.iter().zip(inboxes).enumerate() {
        let setup = Setup {
            config: Arc::new(config.share_of(worker, count)),
            log: logs.next(),
            shadow_log: shadow_log.take(),
            console: console.clone(),
            inbox: inbox.clone(),
            clients_max,
            seed: fastrand::u64(..),
        };
        let sockets = Sockets::new(reactor.registry().map_err(|error| runtime("event loop", &error))?);
        let mut world = World::new(sockets, setup);
        if let Some(member) = members.next() {
            let peers = controls.iter().enumerate().filter(|(peer, _)| *peer != worker);
            world.join(member, Some(Control::all(peers.map(|(_, control)| control.clone()))));
        }
        worlds.push(world);
    }
    Ok(worlds)
}

/// `tidegate proxy`, until told to stop.
///
/// # Errors
/// One line each: what is wrong with the configuration, or what cannot be opened.
pub fn proxy(settings: &Settings) -> Result<(), Failure> {
    let mut names = config::names::Names::default();
    let loaded = settings.load_knowing(&mut names)?;
    let config = loaded.config.clone();
    let mut signals = signals()?;
    let handle = signals.handle();
    let handed_over = systemd::listener().map_err(|error| runtime("LISTEN_FDS", &error))?;
    let running = match handed_over {
        Some(listener) => {
            let listeners = net::share(listener, config.workers);
            let listeners = listeners.map_err(|error| runtime("LISTEN_FDS", &error))?;
            start_on(listeners, config.clone(), None, move || handle.close())?
        }
        None => start_proxy(config.clone(), move || handle.close())?,
    };
    tell(&running, &config, settings);
    warn_of_unresolved(&loaded.unresolved);
    announce(running.address).map_err(|error| runtime("stdout", &error))?;
    systemd::ready(running.address);
    systemd::watch(running.control.clone());
    let reloads = Reloads::start(settings.clone(), loaded, names, &running)?;
    let mut stopping: Option<Instant> = None;
    for signal in &mut signals {
        match signal {
            SIGUSR1 => running.control.reopen_log(),
            SIGXFSZ | SIGUSR2 => {}
            SIGHUP => reloads.order(),
            _ if stopping.is_some_and(|since| since.elapsed() < SAME_STOP) => {}
            _ if stopping.is_some() => {
                tracing::warn!("second signal: stopping at once");
                running.control.drain_or_stop();
            }
            _ => {
                stopping = Some(Instant::now());
                reloads.end();
                tracing::info!(
                    "stopping when what is under way has ended; another signal, a second later, stops at once"
                );
                systemd::stopping(config.drain_delay + config.drain_timeout + STOP_MARGIN);
                running.control.drain_or_stop();
            }
        }
    }
    let figures = running.wait()?;
    let requests = figures.counters.requests;
    tracing::info!("stopped after {requests} request{}", if requests == 1 { "" } else { "s" });
    Ok(())
}

/// `tidegate backend`, until told to stop.
///
/// # Errors
/// One line: what cannot be opened.
pub fn backend(config: &EmulatorConfig, script: &Script) -> Result<(), Failure> {
    let mut signals = signals()?;
    let (over, is_over) = mpsc::channel();
    let waiting = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        // Hanging up and reopening a log mean nothing here. A receiver that is gone has ended by itself.
        let mut ends = signals.forever();
        let _ = ends.find(|signal| ENDS.contains(signal)).map(|_| over.send(()));
    });
    waiting.map_err(|error| runtime("signal thread", &error))?;
    let listening = |address| {
        tracing::info!("backend {} listening on http://{address}", config.id);
        announce(address)
    };
    script::play(config, script, &is_over, listening)
        .map_err(|error| cannot_listen("--port", config.listen, &error))
}

/// `tidegate demo`, to its table.
///
/// # Errors
/// One line: what cannot be opened.
pub fn demo(config: &DemoConfig) -> Result<(), Failure> {
    demo::run(config, &mut InProcess::default())
}

/// The demo's parts as threads of this process.
#[derive(Default)]
struct InProcess {
    backends: Vec<Running>,
    delays: Delays,
    proxy: Option<RunningProxy>,
}

impl demo::Stage for InProcess {
    fn start_backend(&mut self, config: &EmulatorConfig) -> std::io::Result<SocketAddr> {
        let (running, delay_us) = emulator::start_delayed(config)?;
        let address = running.address;
        self.delays.push((format!("http://{address}"), delay_us));
        self.backends.push(running);
        Ok(address)
    }

    fn start_proxy(&mut self, config: ProxyConfig) -> Result<SocketAddr, Failure> {
        let running = start_demo_proxy(config, Some(self.delays.clone()), || {}).map_err(by_log_dir)?;
        let address = running.address;
        self.proxy = Some(running);
        Ok(address)
    }

    fn stop_proxy(&mut self) -> Option<Snapshot> {
        self.proxy.take()?.stop().ok()
    }

    fn stop_backends(&mut self) {
        for backend in self.backends.drain(..) {
            // Nothing is lost with an emulated backend that ended badly.
            let _ = backend.stop();
        }
    }
}

/// A demo has no `--log` to change.
fn by_log_dir(failure: Failure) -> Failure {
    match failure {
        Failure::Runtime(line) => Failure::Runtime(match line.strip_prefix("--log ") {
            Some(rest) => {
                format!("--log-dir: {}", rest.replace(LOG_HINT, "name a directory that can be written to"))
            }
            None => line,
        }),
        other => other,
    }
}

/// `tidegate report`, to its last file.
///
/// # Errors
/// One line: what cannot be read or written, or, comparing, what has become worse.
pub fn report(config: &ReportConfig) -> Result<(), Failure> {
    let (text, failure) = match crate::report::report(config) {
        Ok(text) => (text, None),
        Err(Failure::Worse { line, table }) => (table.clone(), Some(Failure::Worse { line, table })),
        Err(failure) => return Err(failure),
    };
    print(&text)?;
    failure.map_or(Ok(()), Err)
}

/// Writes a text on stdout. A reader that has seen enough is no failure.
///
/// # Errors
/// One line: stdout cannot be written to.
pub fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(runtime("stdout", &error)),
        _ => Ok(()),
    }
}

fn signals() -> Result<Signals, Failure> {
    // A log that reaches the limit of file sizes costs rows, like a full disk: the signal's own way is to end the process.
    // So is that of SIGUSR2, with which operators of nginx order an upgrade.
    Signals::new([SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGXFSZ])
        .map_err(|error| runtime("signal handlers", &error))
}

fn open_logs(
    path: &Path,
    config: &ProxyConfig,
    origin: Instant,
    workers: usize,
) -> Result<Vec<LogHandle>, Failure> {
    let names = Names {
        routings: vec![config.variant().name().to_owned()],
        backends: config.backends.iter().map(|backend| backend.url.clone()).collect(),
    };
    LogWriter::start_for(workers, path, config.log_truncate, names, origin)
        .map_err(|error| cannot_log("--log", path, &error))
}

/// Room for fewer than these is worth a word when nobody has said how many there are to be.
const CLIENTS_WANTED: usize = 400;

const LOG_HINT: &str = "name a file that can be written, or none";

fn cannot_log(flag: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::Runtime(format!("{flag} {}: {error}; {LOG_HINT}", path.display()))
}

/// Every client may need a backend connection too; raising the soft limit to the hard one is what it is for.
fn clients_max(config: &ProxyConfig) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_WORKER * (config.workers as u64 - 1);
    let descriptors = current.unwrap_or(u64::MAX).saturating_sub(reserved) / 2;
    let possible = usize::try_from(descriptors).unwrap_or(usize::MAX).max(1);
    let wanted = config.max_clients.unwrap_or(CLIENTS_WANTED);
    if possible < wanted {
        tracing::warn!(
            clients_max = possible,
            wanted,
            "open files are limited (ulimit -n): two for each client"
        );
    }
    config.max_clients.unwrap_or(possible).min(possible)
}

fn cannot_listen(flag: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "another process listens there; choose a free port",
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need the right to bind them",
        _ => "choose another address",
    };
    Failure::Runtime(format!("{flag} {address}: {error}; {hint}"))
}

fn runtime(what: &str, error: &std::io::Error) -> Failure {
    Failure::Runtime(format!("{what}: {error}"))
}
