//! `tidegate demo`: backends, proxy and load in one process, one routing after the other, and a table at the end.
//!
//! What it starts comes in through [`Stage`], so that the order of things, the words and the figures can be tested
//! without a network. Absent: statistics. One short run of each routing shows a shape; `bench` is for claims.

use std::fs;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::fs::Access;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::balance::Routing;
use crate::cli::Failure;
use crate::config::{
    BackendConfig, DemoConfig, EmulatorConfig, ProxyConfig, ROUTING_DEFAULT, ejects_by_default,
};
use crate::emulator::profile::Profile;
use crate::load::{self, LoadConfig, LoadResult, Progress};
use crate::net;
use crate::record::stats::Snapshot;

mod screen;
mod table;

pub use screen::Screen;
pub use table::Row;

/// Between two looks at the progress.
const REDRAW_EVERY: Duration = Duration::from_millis(100);
/// The original's three backends, in turn.
const IDS: [&str; 3] = ["A", "B", "C"];

/// What a demo needs started and stopped. Whatever it starts runs on threads of its own.
pub trait Stage {
    /// Starts a backend and says where it listens.
    ///
    /// # Errors
    /// When it cannot listen there.
    fn start_backend(&mut self, config: &EmulatorConfig) -> io::Result<SocketAddr>;

    /// Starts the proxy, with its admin address and a fresh log, and says where it listens. There is one at a time.
    ///
    /// # Errors
    /// When it cannot listen there, or its log cannot be written.
    fn start_proxy(&mut self, config: ProxyConfig) -> Result<SocketAddr, Failure>;

    /// Drains the proxy, flushes its log and gives its last figures; `None` when none is running.
    fn stop_proxy(&mut self) -> Option<Snapshot>;

    /// Stops all backends.
    fn stop_backends(&mut self);
}

/// Runs a demo on this process's stdout; the first SIGINT or SIGTERM ends it early, the second at once.
///
/// # Errors
/// A port in use, a log that cannot be written, or a stdout that is gone.
pub fn run(config: &DemoConfig, stage: &mut dyn Stage) -> Result<(), Failure> {
    // A demo that ends at its first log has told of backends for nothing.
    must_be_writable(&config.log_dir)?;
    let stop = on_signals().map_err(|error| Failure::Runtime(format!("signals: {error}")))?;
    let stdout = io::stdout();
    let live = stdout.is_terminal();
    perform(config, stage, &mut Screen::new(&mut stdout.lock(), live), &stop)
}

/// Set by the first SIGINT or SIGTERM; the second ends the process.
pub(crate) fn on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag unset and sets it, the second one ends the process.
        flag::register_conditional_shutdown(signal, 128 + signal, stop.clone())?;
        flag::register(signal, stop.clone())?;
    }
    Ok(stop)
}

/// Runs a demo on `stage`, told on `screen`, until its end or until `stop` is set.
///
/// # Errors
/// As [`run`].
pub fn perform(
    config: &DemoConfig,
    stage: &mut dyn Stage,
    screen: &mut Screen<'_>,
    stop: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let outcome = on_stage(config, stage, screen, stop);
    stage.stop_proxy();
    stage.stop_backends();
    outcome
}

fn on_stage(
    config: &DemoConfig,
    stage: &mut dyn Stage,
    screen: &mut Screen<'_>,
    stop: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    // Before anything is started, so that the flag to change can be named.
    must_be_free("listen", config.listen)?;
    config.admin.map_or(Ok(()), |admin| must_be_free("admin", admin))?;
    let backends = start_backends(config, stage)?;
    screen.lines(&greeting(config, &backends))?;
    if config.serve {
        return serve(config, stage, screen, stop, &backends);
    }
    let mut rows = Vec::new();
    for (index, routing) in config.routings.iter().enumerate() {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let proxy = proxy_config(config, *routing, &backends);
        let at = format!("[{}/{}] {routing}", index + 1, config.routings.len());
        screen.lines(&at)?;
        let log = proxy.log.clone();
        let address = stage.start_proxy(proxy)?;
        screen.lines(&whereabouts(config, address, log))?;
        let result = drive(config, address, &routing.to_string(), screen, stop)?;
        let Some(snapshot) = stage.stop_proxy() else { break };
        let row = Row::new(*routing, &labels(&backends), &snapshot, &result);
        screen.lines(&row.in_short())?;
        rows.push((row, result));
    }
    let stopped = stop.load(Ordering::SeqCst);
    screen.lines(&summary(config, &rows, stopped))?;
    match rows.iter().any(|(_, result)| result.requests > result.non_2xx) || stopped || rows.is_empty() {
        true => Ok(()),
        false => Err(Failure::Runtime("demo: not one request was answered".to_owned())),
    }
}

fn must_be_writable(dir: &Path) -> Result<(), Failure> {
    let allowed = || rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).map_err(io::Error::from);
    fs::create_dir_all(dir).and_then(|()| allowed()).map_err(|error| {
        Failure::Usage(format!(
            "--log-dir '{}': {error}; name a directory that can be written to",
            dir.display()
        ))
    })
}

fn must_be_free(flag: &str, address: SocketAddr) -> Result<(), Failure> {
    match net::listen(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(no_listening(flag, address, &error)),
    }
}

fn no_listening(flag: &str, address: SocketAddr, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "is in use by another program".to_owned(),
        _ => format!("cannot be listened on ({error})"),
    };
    Failure::Runtime(format!("{address} {why}: choose another with --{flag} (port 0 is any free one)"))
}

fn start_backends(config: &DemoConfig, stage: &mut dyn Stage) -> Result<Vec<(String, SocketAddr)>, Failure> {
    let mut backends = Vec::new();
    for (index, port) in config.backend_ports.iter().enumerate() {
        let id = IDS[index % IDS.len()];
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let emulator = EmulatorConfig::original(id, listen);
        let address =
            stage.start_backend(&emulator).map_err(|error| no_listening("backend-ports", listen, &error))?;
        backends.push((id.to_owned(), address));
    }
    Ok(backends)
}

fn proxy_config(config: &DemoConfig, routing: Routing, backends: &[(String, SocketAddr)]) -> ProxyConfig {
    ProxyConfig {
        listen: config.listen,
        backends: backends.iter().map(|(_, address)| BackendConfig::at(*address)).collect(),
        upstream: config.upstream,
        client_keepalive: config.client_keepalive,
        workers: config.workers,
        routing,
        log_truncate: true,
        log: Some(config.log_dir.join(format!("{routing}_{}.csv", config.upstream))),
        admin: config.admin,
        admin_token_file: config.admin_token_file.clone(),
        ejection: ejects_by_default(routing),
        explain: config.admin.is_some(), // a demo is for looking at, the page's decisions too
        ..ProxyConfig::default()
    }
}

/// What the backends are called where there is little room.
fn labels(backends: &[(String, SocketAddr)]) -> Vec<String> {
    let is_twin = |id: &String| backends.iter().filter(|(other, _)| other == id).count() > 1;
    let label = |(id, address): &(String, SocketAddr)| {
        if is_twin(id) { format!("{id}:{}", address.port()) } else { id.clone() }
    };
    backends.iter().map(label).collect()
}

fn greeting(config: &DemoConfig, backends: &[(String, SocketAddr)]) -> String {
    let mut text = String::from("Backends, each on a thread of this process:\n");
    for (id, address) in backends {
        text += &format!("  {id}  http://{address}  {}\n", Profile::for_id(id));
    }
    if !config.serve {
        let count = config.routings.len();
        text += &format!(
            "Load: {} clients, each sending its next request when it has its answer; {:?} of each of {count} \
             routing{}. Ctrl-C ends it early.\n",
            config.connections,
            config.duration,
            if count == 1 { "" } else { "s" },
        );
    }
    text
}

fn whereabouts(config: &DemoConfig, proxy: SocketAddr, log: Option<PathBuf>) -> String {
    let mut text = format!("  proxy  http://{proxy}\n");
    if let Some(admin) = config.admin.filter(|admin| admin.port() != 0) {
        text += &format!("  admin  http://{admin}\n");
    }
    if let Some(log) = log {
        text += &format!("  log    {}\n", log.display());
    }
    text
}

/// Drives the load on a thread of its own and shows how it gets on.
fn drive(
    config: &DemoConfig,
    proxy: SocketAddr,
    name: &str,
    screen: &mut Screen<'_>,
    stop: &Arc<AtomicBool>,
) -> Result<LoadResult, Failure> {
    let load =
        LoadConfig { connections: config.connections, duration: config.duration, ..LoadConfig::new(proxy) };
    let progress = Progress::new(stop.clone());
    let (over, is_over) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        let driver = scope.spawn(|| {
            let _over = over; // dropped at the end, which wakes the other side
            load::run(&load, &progress)
        });
        screen.begin();
        while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(REDRAW_EVERY) {
            screen.progress(name, config.duration, progress.requests(), progress.errors());
        }
        screen.clear();
        driver.join()
    });
    match result {
        Ok(result) => result.map_err(|error| Failure::Runtime(format!("load: {error}"))),
        Err(_) => Err(Failure::Runtime("load: the driver's thread has failed".to_owned())),
    }
}

/// Stays up for whoever comes, until told to stop.
fn serve(
    config: &DemoConfig,
    stage: &mut dyn Stage,
    screen: &mut Screen<'_>,
    stop: &Arc<AtomicBool>,
    backends: &[(String, SocketAddr)],
) -> Result<(), Failure> {
    let Some(routing) = config.routings.first() else { return Ok(()) };
    let proxy = proxy_config(config, *routing, backends);
    let log = proxy.log.clone();
    let address = stage.start_proxy(proxy)?;
    screen.lines(&format!("Routing: {routing} (another with --routing NAME)"))?;
    screen.lines(&whereabouts(config, address, log))?;
    screen.lines(&format!(
        "Load it with:  wrk -t4 -c{} -d{}s --latency http://{address}/\nCtrl-C ends it.",
        config.connections.max(4),
        config.duration.as_secs().max(1),
    ))?;
    while !stop.load(Ordering::SeqCst) {
        thread::sleep(REDRAW_EVERY); // a signal only sets the flag
    }
    let Some(snapshot) = stage.stop_proxy() else { return Ok(()) };
    screen.lines(&table::served(&labels(backends), &snapshot))
}

/// The table and what is to be said about it.
fn summary(config: &DemoConfig, rows: &[(Row, LoadResult)], stopped: bool) -> String {
    let mut text = format!("\n{}\n", table::render(rows.iter().map(|(row, _)| row)));
    for (row, result) in rows {
        text += &table::remarks(row.routing, result);
    }
    if stopped {
        let missed: Vec<&str> = config.routings[rows.len()..].iter().map(|routing| routing.name()).collect();
        let last = rows.last().map_or_else(String::new, |(row, result)| {
            format!(" {} ran {:.1} s.", row.routing, result.elapsed.as_secs_f64())
        });
        let missed =
            if missed.is_empty() { String::new() } else { format!(" Not run: {}.", missed.join(", ")) };
        text += &format!("Ended early:{last}{missed}\n");
    }
    text += &table::footer(config.connections);
    if let Some(hint) = table::hint(rows.iter().map(|(row, _)| row)) {
        text += &hint;
    }
    if !config.routings.contains(&ROUTING_DEFAULT) {
        text += &format!("With the proxy's default policy: tidegate demo --routing {ROUTING_DEFAULT}\n");
    }
    text
}

#[cfg(test)]
mod tests;
