//! The flags: those of `tidegate proxy` that both have, read by the same parsers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use tidegate::balance::Routing;
use tidegate::config::address::{Address, BackendSpec};
use tidegate::config::given::Given;
use tidegate::config::value::OrNone;
use tidegate::config::{BackendConfig, UpstreamMode, log_default};

/// The common subset of tidegate on tokio and hyper
#[derive(Parser, Debug)]
#[command(name = "tidegate-tokio", version)]
pub(crate) struct Flags {
    /// Where clients connect
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090")]
    listen: Given<Address>,

    /// A backend (repeat, or separate with commas)
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:8081,127.0.0.1:8082,127.0.0.1:8083")]
    backend: Vec<BackendSpec>,

    /// Keep connections to backends for reuse, or dial one per request
    #[arg(long, value_name = "MODE", default_value = "persistent")]
    upstream: Given<UpstreamMode>,

    /// Keep client connections after an answer
    #[arg(long, value_name = "on|off", default_value = "on")]
    client_keepalive: Given<bool>,

    /// round-robin, adaptive_sma or adaptive_ewma
    #[arg(long, value_name = "NAME", default_value = "round-robin")]
    routing: Given<Routing>,

    /// The CSV with a row per request [default: logs/<routing>_<upstream>.csv]
    #[arg(long, value_name = "FILE|none")]
    log: Option<Given<OrNone<PathBuf>>>,

    /// From sending a request (connecting included) to the head of its answer: 504
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    upstream_timeout: Given<Duration>,
}

/// What is meant by them.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) backends: Vec<BackendConfig>,
    pub(crate) persistent: bool,
    pub(crate) client_keepalive: bool,
    pub(crate) routing: Routing,
    pub(crate) log: Option<PathBuf>,
    pub(crate) upstream_timeout: Duration,
}

impl Flags {
    /// Resolves names and refuses the policies that need what is not built here. The error is one line.
    pub(crate) fn settings(self) -> Result<Settings, String> {
        let (routing, upstream) = (self.routing.0, self.upstream.0);
        if !routing.is_exact() {
            return Err(format!(
                "--routing '{routing}': only round-robin, adaptive_sma and adaptive_ewma are here"
            ));
        }
        let mut backends = Vec::new();
        for backend in &self.backend {
            let addresses = backend.address.resolve_all().map_err(|why| format!("--backend: {why}"))?;
            backends.extend(backend.at_each(&addresses));
        }
        Ok(Settings {
            listen: self.listen.0.resolve().map_err(|why| format!("--listen: {why}"))?,
            backends,
            persistent: upstream == UpstreamMode::Persistent,
            client_keepalive: self.client_keepalive.0,
            routing,
            log: self.log.map_or_else(|| Some(log_default(routing.into(), upstream)), |log| log.0.0),
            upstream_timeout: self.upstream_timeout.0,
        })
    }
}
