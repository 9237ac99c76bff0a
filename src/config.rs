//! What the proxy, the emulated backend and the demo were asked to be, checked and in the units the code uses.
//!
//! Everything here is meant, nothing is as typed: names are resolved, defaults filled in, contradictions refused
//! (see [`crate::cli`] for the flags and [`mod@file`] for the TOML file, which share one shape). Deliberately absent:
//! opening anything. A `Config` names a port or a log file; whether it can be had is found out by who runs it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::balance::Options;
use crate::emulator::profile::Profile;

pub mod address;
mod choices;
pub mod defaults;
pub mod file;
pub mod given;
pub(crate) mod human;
pub mod messages;
pub mod names;
pub mod origin;
pub mod settings;
mod shown;
pub mod statuses;
pub mod value;
pub mod workers;

#[cfg(test)]
mod tests;

pub use self::settings::{Loaded, Settings};
pub use self::statuses::Statuses;
pub use crate::balance::{Average, Objective, Routing, Variant};
pub use crate::http1::persist::Trust;
pub use crate::http1::rewrite::{ForwardedFields, ViaFields};
pub use ipnet::IpNet as Cidr;

/// The policy of a proxy that was not told which. One constant, for it is bound to change.
pub const ROUTING_DEFAULT: Routing = Routing::Elastic;

/// Everything `tidegate proxy` can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyConfig {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// At least one; no two with the same address.
    pub backends: Vec<BackendConfig>,
    /// Whether connections to backends are kept for reuse.
    pub upstream: UpstreamMode,
    /// Whether client connections are kept after an answer; independent of `upstream`.
    pub client_keepalive: bool,
    /// Loops, each on a thread of its own; 1 to [`workers::WORKERS_MAX`].
    pub workers: usize,
    /// Which policy picks the backend.
    pub routing: Routing,
    /// What it is told; those options that it does not heed change nothing.
    pub policy_options: Options,
    /// Policies that are asked and told everything and decide nothing.
    pub shadow: Vec<Variant>,
    /// The CSV with their figures; none when absent.
    pub shadow_log: Option<PathBuf>,
    /// Whether every decision is kept and explained.
    pub explain: bool,
    /// The CSV with a row per request; none when absent.
    pub log: Option<PathBuf>,
    /// Whether each decision is told on the console, in the original's words.
    pub log_decisions: bool,
    /// An old log is emptied at the start, not continued.
    pub log_truncate: bool,
    /// Where the admin page listens; none when absent.
    pub admin: Option<SocketAddr>,
    /// Holds the token that the page's orders need; no orders when absent.
    pub admin_token_file: Option<PathBuf>,
    /// Further names the admin address may go by.
    pub admin_hosts: Vec<String>,
    /// Whether failing backends are taken out for a while.
    pub ejection: bool,
    /// When, for how long, and how much of the pool; counts only while `ejection`.
    pub ejector: Ejector,
    /// Active checks; none when absent.
    pub health: Option<HealthCheck>,
    /// Further attempts after the first, per request.
    pub retries: u32,
    /// How many retries all requests together may use.
    pub retry_budget: RetryBudget,
    /// Peers whose X-Forwarded-* fields are believed and appended to.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether a request without X-Request-Id gets one.
    pub request_id: bool,
    /// Bounds on heads.
    pub limits: crate::http1::Limits,
    /// Bytes a request body may have: 413 beyond it; unlimited when absent.
    pub request_body_max: Option<u64>,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// Client connections at once; as many as file descriptors allow when absent.
    pub max_clients: Option<usize>,
    /// Whether clients are heard of only with their first bytes.
    pub defer_accept: bool,
    /// Connections to one backend at once; unlimited when absent.
    pub max_connections_per_backend: Option<usize>,
    /// Where requests wait while every backend is at `max_connections_per_backend`.
    pub queue: Queue,
    /// Which connections to backends may serve another request.
    pub pool_trust: Trust,
    /// Whether a request ends because its client has closed its side.
    pub abort_on_close: AbortOnClose,
    /// Bytes of a request body that are kept so that it can be sent again.
    pub retry_body_max: u64,
    /// What is said to backends of the client and of the host it asked for.
    pub forwarded: ForwardedFields,
    /// Whether X-Real-IP is sent to backends.
    pub x_real_ip: bool,
    /// Which messages get a Via.
    pub via: ViaFields,
    /// From failing readiness to refusing connections, when told to stop.
    pub drain_delay: Duration,
    /// From refusing connections to the hard stop.
    pub drain_timeout: Duration,
}

/// One origin server.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendConfig {
    /// `http://host:port` with the host as given: the name it has in the log. Of a host with several addresses
    /// `http://host:port#address`.
    pub url: String,
    /// Where that was found when it was last looked up.
    pub address: SocketAddr,
    /// Capacity relative to the others; finite and > 0.
    pub weight: f64,
}

/// What becomes of a connection to a backend after an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamMode {
    /// It goes back to the pool.
    #[default]
    Persistent,
    /// It is closed; each request dials afresh and says `Connection: close`.
    NonPersistent,
}

/// How long each phase of an exchange may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request head to its blank line: 408.
    pub request_head: Duration,
    /// Without a byte of the request body: 408.
    pub request_body: Duration,
    /// Bytes a second a request body must average, so that drips do not hold a session; 0 asks for nothing.
    pub request_body_rate: u64,
    /// Without the client taking a byte of the answer: cut.
    pub client_write: Duration,
    /// A kept client connection without a request: closed.
    pub client_idle: Duration,
    /// Connecting to a backend: the next one, else again until the queue's time is over, then 504. And how long a request
    /// waits when all refuse: 502.
    pub connect: Duration,
    /// From sending the request to the response head: 504.
    pub upstream: Duration,
    /// Without a byte of the response body: cut.
    pub response_body: Duration,
    /// An unused connection in the pool: closed.
    pub upstream_idle: Duration,
    /// A tunnel without a byte either way: closed.
    pub tunnel_idle: Duration,
    /// From sending the request to the response head, interim responses (102) included: 504.
    pub interim: Duration,
    /// Without a byte of what a client still sends after its last answer: closed. Until then it is discarded, so that a
    /// reset does not erase the answer.
    pub linger: Duration,
    /// The same, in all.
    pub linger_total: Duration,
}

/// Whether a request ends because its client has closed its side of the connection. A client that has sent all it has to
/// send may close its side and still read the answer (half-close); most that close have left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AbortOnClose {
    /// While the request waits for a place on a backend; not once a backend has it.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never before a time-out or a failed write.
    Off,
}

/// When a backend is taken out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejector {
    /// Failures in a row that do it; at least 1.
    pub failures: u32,
    /// The first time out, doubled with each further one.
    pub time: Duration,
    /// The longest time out.
    pub time_max: Duration,
    /// Percent of the pool that may be out at once, 0..=100; everything is used when more fail.
    pub share_max: u32,
}

/// Active checks: a GET of `path` on each backend, whatever the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Origin-form target.
    pub path: String,
    /// The Host it is asked for; `None`: each backend's name as configured.
    pub host: Option<String>,
    /// Statuses of a backend that is well.
    pub expected: Statuses,
    /// Between the starts of two checks of one backend.
    pub interval: Duration,
    /// For the whole check.
    pub timeout: Duration,
    /// Failures in a row until it is down; at least 1.
    pub fall: u32,
    /// Successes in a row until it is up again; at least 1.
    pub rise: u32,
}

/// Bound on retries in total, so that a failing pool is not also flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Percent of requests that may be retried, 0..=100.
    pub percent: u32,
    /// Retries a second that are always allowed.
    pub per_second: u32,
}

/// Requests that wait for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many may wait: 503 with Retry-After beyond it.
    pub max: usize,
    /// How long one may wait: 503.
    pub timeout: Duration,
}

/// Everything `tidegate backend` can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct EmulatorConfig {
    /// Its name, and which of the original's cycles it runs; unknown ones act as A.
    pub id: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How long it takes to answer, whatever its `id`; the cycle of `id` when absent.
    pub latency: Option<Profile>,
    /// Requests it works on at once, further ones waiting in order; unlimited when absent.
    pub concurrency: Option<usize>,
    /// Length of the answer's body; the original's text when absent.
    pub body_bytes: Option<u64>,
    /// For the random draws of latency and failure; a different one each start when absent.
    pub seed: Option<u64>,
    /// Share of requests answered with a 500, 0..=1.
    pub fail_rate: f64,
}

impl EmulatorConfig {
    /// The original's backend of this name.
    pub fn original(id: &str, listen: SocketAddr) -> EmulatorConfig {
        EmulatorConfig {
            id: id.to_owned(),
            listen,
            latency: None,
            concurrency: None,
            body_bytes: None,
            seed: None,
            fail_rate: 0.0,
        }
    }
}

/// Everything `tidegate demo` can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct DemoConfig {
    /// How long each routing is driven.
    pub duration: Duration,
    /// Clients in the closed loop; at least 1.
    pub connections: usize,
    /// Which routings, one after the other; at least one.
    pub routings: Vec<Routing>,
    /// As in [`ProxyConfig`].
    pub upstream: UpstreamMode,
    /// As in [`ProxyConfig`].
    pub client_keepalive: bool,
    /// As in [`ProxyConfig`].
    pub workers: usize,
    /// Stay up without load, for a load generator of one's own.
    pub serve: bool,
    /// Where the proxy listens.
    pub listen: SocketAddr,
    /// Where the admin page listens; none when absent.
    pub admin: Option<SocketAddr>,
    /// As in [`ProxyConfig`].
    pub admin_token_file: Option<PathBuf>,
    /// Ports of the backends A, B, C, A, ...; 0 is any free one. At least one.
    pub backend_ports: Vec<u16>,
    /// Where the logs go.
    pub log_dir: PathBuf,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        ProxyConfig {
            listen: loopback(9090),
            backends: [8081, 8082, 8083].map(|port| BackendConfig::at(loopback(port))).to_vec(),
            upstream: UpstreamMode::Persistent,
            client_keepalive: true,
            workers: 1,
            routing: ROUTING_DEFAULT,
            policy_options: Options::default(),
            shadow: Vec::new(),
            shadow_log: None,
            explain: false,
            log: Some(log_default(ROUTING_DEFAULT.into(), UpstreamMode::Persistent)),
            log_decisions: false,
            log_truncate: false,
            admin: Some(loopback(5002)),
            admin_token_file: None,
            admin_hosts: Vec::new(),
            ejection: ejects_by_default(ROUTING_DEFAULT),
            ejector: Ejector::default(),
            health: None,
            retries: 2,
            retry_budget: RetryBudget { percent: 20, per_second: 10 },
            trusted_proxies: Vec::new(),
            request_id: false,
            limits: crate::http1::Limits::default(),
            request_body_max: None,
            timeouts: Timeouts::default(),
            max_clients: None,
            defer_accept: false,
            max_connections_per_backend: None,
            queue: Queue::default(),
            pool_trust: Trust::default(),
            abort_on_close: AbortOnClose::default(),
            retry_body_max: 64 * 1024,
            forwarded: ForwardedFields::default(),
            x_real_ip: false,
            via: ViaFields::default(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl ProxyConfig {
    /// The policy and what it is told, under one name.
    pub fn variant(&self) -> Variant {
        Variant::new(self.routing, self.policy_options)
    }
}

impl BackendConfig {
    /// Its name as it stands in a Host field. Of a name with several addresses the address stands behind it in the URL.
    pub fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or(&self.url).split('#').next().unwrap_or_default()
    }

    /// The backend at an address that needs no name, of weight 1.
    pub fn at(address: SocketAddr) -> BackendConfig {
        BackendConfig { url: format!("http://{address}"), address, weight: 1.0 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Timeouts {
            request_head: seconds(10),
            request_body: seconds(30),
            request_body_rate: 240,
            client_write: seconds(30),
            client_idle: seconds(75),
            connect: Duration::from_millis(3500), // a lost SYN is sent again after 1 s and after 3 s
            upstream: seconds(10),                // the original's
            response_body: seconds(30),
            upstream_idle: seconds(60),
            tunnel_idle: seconds(3600),
            interim: seconds(600),
            linger: seconds(5),
            linger_total: seconds(60),
        }
    }
}

impl Default for Ejector {
    fn default() -> Self {
        Ejector {
            failures: 5,
            time: Duration::from_secs(1),
            time_max: Duration::from_secs(10),
            share_max: 50,
        }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheck {
            host: None,
            expected: Statuses::default(),
            path: "/".to_owned(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Queue { max: 1000, timeout: Duration::from_secs(5) }
    }
}

/// Where the log goes unless told: a name of its own for each of the scenarios one compares.
pub fn log_default(policy: Variant, upstream: UpstreamMode) -> PathBuf {
    PathBuf::from(format!("logs/{}_{upstream}.csv", policy.file_name()))
}

/// The original's three routings never ejected; being exact, they do not unless asked.
pub fn ejects_by_default(routing: Routing) -> bool {
    !routing.is_exact()
}

impl std::fmt::Display for UpstreamMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            UpstreamMode::Persistent => "persistent",
            UpstreamMode::NonPersistent => "non-persistent",
        })
    }
}

/// A log shown as if it were a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardConfig {
    /// The CSV, finished or growing.
    pub log: PathBuf,
    /// Where the page listens.
    pub listen: SocketAddr,
    /// Further names it may go by.
    pub hosts: Vec<String>,
}

/// 127.0.0.1 at `port`: nothing listens to the world unless told to.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
