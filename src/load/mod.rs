//! The built-in load driver: many clients on one thread, in a closed or an open loop.
//!
//! In a *closed* loop each connection sends its next request when it has the last answer, so a slow server is also
//! asked less. In an *open* loop requests are due at times drawn beforehand, whatever the server does; a latency counts
//! from that time, not from the send, so that a stall shows in every request it held up (Tene's "coordinated omission").
//!
//! A request is one write of prebuilt bytes; nothing is allocated per request. Absent: pipelining, TLS, scripts,
//! correction of samples after the fact, and more threads than one: what one core can ask, a proxy on one core cannot
//! answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

mod answer;
mod arrivals;
mod client;
mod driver;
mod poll;
mod tally;

pub(crate) use arrivals::Arrivals;
pub use arrivals::Spacing;
pub use tally::{Errors, LoadResult};

/// How long a client waits for an answer, or for a connection.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// What to send where, how often and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadConfig {
    /// The server.
    pub target: SocketAddr,
    /// Value of the Host field.
    pub host: String,
    /// Request target in origin form.
    pub path: String,
    /// Request method.
    pub method: String,
    /// Request content; when there is any, Content-Length says how much.
    pub body: Vec<u8>,
    /// What sets the pace.
    pub mode: Mode,
    /// Connections at once, at least 1.
    pub connections: usize,
    /// How long is measured, after the warm-up.
    pub duration: Duration,
    /// How long is driven before anything counts.
    pub warmup: Duration,
    /// For an answer, connecting included.
    pub timeout: Duration,
    /// Of the random arrivals: one seed, one sequence.
    pub seed: u64,
}

impl LoadConfig {
    /// GET / in a closed loop of 100 connections for 20 s; every field may then be changed.
    pub fn new(target: SocketAddr) -> LoadConfig {
        LoadConfig {
            target,
            host: target.to_string(),
            path: "/".to_owned(),
            method: "GET".to_owned(),
            body: Vec::new(),
            mode: Mode::Closed,
            connections: 100,
            duration: Duration::from_secs(20),
            warmup: Duration::ZERO,
            timeout: TIMEOUT,
            seed: 0,
        }
    }

    /// The request, as it is sent each time.
    fn request(&self) -> Vec<u8> {
        let length = match self.body.len() {
            0 if matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") => {
                "Content-Length: 0\r\n".to_owned()
            }
            0 => String::new(),
            len => format!("Content-Length: {len}\r\n"),
        };
        let agent = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
        let LoadConfig { method, path, host, .. } = self;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{length}\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// What sets the pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// The answers do.
    Closed,
    /// The clock does. A request due while every connection is busy waits, and that wait counts.
    Open {
        /// Requests a second; finite and > 0.
        rate: f64,
        /// How they are spread.
        arrivals: Spacing,
    },
}

/// How a run is getting on, for whoever watches it; and the way to end it early.
#[derive(Debug, Default)]
pub struct Progress {
    requests: AtomicU64,
    errors: AtomicU64,
    stop: Arc<AtomicBool>,
}

impl Progress {
    /// Of a run that ends early once `stop` is set. What was done until then is kept.
    pub fn new(stop: Arc<AtomicBool>) -> Progress {
        Progress { stop, ..Progress::default() }
    }

    /// Answers so far, warm-up included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Failures so far, warm-up included.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// There is one writer, so plain stores will do: no locked instruction per request.
    fn show(&self, requests: u64, errors: u64) {
        self.requests.store(requests, Ordering::Relaxed);
        self.errors.store(errors, Ordering::Relaxed);
    }
}

/// Drives the load to its end on this thread.
///
/// # Errors
/// `InvalidInput` for a configuration that cannot be meant (no connections, no rate, a line break in the request), and
/// when the system has no file descriptor for the poll. What happens to requests is in the result, not an error.
pub fn run(config: &LoadConfig, progress: &Progress) -> io::Result<LoadResult> {
    check(config).map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    poll::run(config, progress)
}

fn check(config: &LoadConfig) -> Result<(), &'static str> {
    let splits = |text: &str| text.bytes().any(|byte| byte.is_ascii_control());
    if config.connections == 0 {
        return Err("a load needs at least one connection");
    }
    if let Mode::Open { rate, .. } = config.mode
        && !(rate.is_finite() && rate > 0.0)
    {
        return Err("an open loop needs a rate above 0");
    }
    if splits(&config.host)
        || [&config.method, &config.path].iter().any(|text| splits(text) || text.contains(' '))
    {
        return Err("blank or control character in method, path or host");
    }
    if config.method.is_empty() || config.path.is_empty() {
        return Err("method and path must not be empty");
    }
    Ok(())
}
