//! The flags of `tidegate demo`: backends, proxy and load in one process.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Failure;
use super::bench::{CONNECTIONS_MAX, once};
use crate::config::address::Address;
use crate::config::given::Given;
use crate::config::settings::{ADMIN_TAKEN, same_place};
use crate::config::value::{OrNone, Value};
use crate::config::workers::Workers;
use crate::config::{DemoConfig, Routing, UpstreamMode, Variant};

/// As typed.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct DemoArgs {
    /// How long each routing is driven
    #[arg(long, value_name = "DURATION", default_value = "20s", help_heading = "Load")]
    pub duration: Given<Duration>,

    /// Clients, each sending its next request when it has its answer
    #[arg(long, value_name = "N", default_value = "100", help_heading = "Load")]
    pub connections: Given<u32>,

    /// Stay up without load, for wrk or a browser
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_value = "off",
        default_missing_value = "on",
        help_heading = "Load"
    )]
    pub serve: Given<bool>,

    /// Routings to drive, one after the other (repeat, or separate with commas)
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "round-robin,adaptive_sma,adaptive_ewma,elastic",
        help_heading = "Proxy"
    )]
    pub routing: Vec<Given<Driven>>,

    /// Keep connections to backends for reuse, or dial one per request
    #[arg(long, value_name = "MODE", default_value = "persistent", help_heading = "Proxy")]
    pub upstream: Given<UpstreamMode>,

    /// Keep client connections after an answer; the original's non-persistent scenarios did not
    #[arg(long, value_name = "on|off", default_value = "on", help_heading = "Proxy")]
    pub client_keepalive: Given<bool>,

    /// Threads that serve; auto: as many as the machine has cores
    #[arg(long, value_name = "N|auto", default_value = "1", help_heading = "Proxy")]
    pub workers: Given<Workers>,

    /// Where the proxy listens; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9090", help_heading = "Listening")]
    pub listen: Given<Address>,

    /// Where the live page, metrics and health endpoints are served
    #[arg(long, value_name = "HOST:PORT|none", default_value = "127.0.0.1:5002", help_heading = "Listening")]
    pub admin: Given<OrNone<Address>>,

    /// File with a token of 16 characters or more: who shows it may change things on the page, the
    /// backends' delay too [default: none, and nothing can be changed]
    #[arg(long, value_name = "FILE", help_heading = "Listening")]
    pub admin_token_file: Option<PathBuf>,

    /// Ports of the backends A, B, C, A, ...; 0 is any free one
    #[arg(
        long,
        value_name = "PORT",
        value_delimiter = ',',
        default_value = "8081,8082,8083",
        help_heading = "Listening"
    )]
    pub backend_ports: Vec<Given<u16>>,

    /// Directory of the logs
    #[arg(long, value_name = "DIR", default_value = "logs", help_heading = "Log")]
    pub log_dir: PathBuf,
}

/// A policy as it is by default: a demo has no flags for what policies are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Driven(Routing);

impl Value for Driven {
    fn parse(text: &str) -> Result<Driven, String> {
        Routing::parse(text).map(Driven).map_err(|why| match text.parse::<Variant>() {
            Ok(variant) => format!(
                "a demo drives {} as it is by default: tidegate bench and simulate take {variant}",
                variant.routing
            ),
            Err(_) => why,
        })
    }

    fn show(&self) -> String {
        self.0.show()
    }

    fn names() -> &'static [&'static str] {
        Routing::names()
    }
}

impl DemoArgs {
    /// What is meant by them.
    pub(crate) fn config(self) -> Result<DemoConfig, Failure> {
        let refuse =
            |flag: &str, value: String, why: &str| Err(Failure::Usage(format!("--{flag} '{value}': {why}")));
        if self.duration.0.is_zero() {
            return refuse("duration", self.duration.0.show(), "must be longer than 0s, like 20s");
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.connections.0) {
            let why = format!("must be from 1 to {CONNECTIONS_MAX}");
            return refuse("connections", self.connections.0.to_string(), &why);
        }
        let backend_ports: Vec<u16> = self.backend_ports.iter().map(|port| port.0).collect();
        let routings: Vec<Routing> = self.routing.iter().map(|routing| routing.0.0).collect();
        once("routing", &routings)?;
        let named: Vec<u16> = backend_ports.iter().copied().filter(|port| *port != 0).collect();
        once("backend-ports", &named)?;
        let resolve = |flag: &str, address: &Address| {
            let resolved = address.resolve();
            resolved.map_err(|why| Failure::Runtime(format!("--{flag} '{}': {why}", address.show())))
        };
        let admin = self.admin.0.0.as_ref().map(|address| resolve("admin", address)).transpose()?;
        if let Some(open) = admin.filter(|admin| !admin.ip().is_loopback() && self.admin_token_file.is_none())
        {
            let why = "is open to others: name a --admin-token-file, or an address on loopback";
            return refuse("admin", open.to_string(), why);
        }
        let listen = resolve("listen", &self.listen.0)?;
        if let Some(taken) = admin.filter(|admin| same_place(*admin, listen)) {
            return refuse("admin", taken.to_string(), ADMIN_TAKEN);
        }
        Ok(DemoConfig {
            duration: self.duration.0,
            connections: self.connections.0 as usize,
            routings,
            upstream: self.upstream.0,
            client_keepalive: self.client_keepalive.0,
            workers: self.workers.0.resolve(None),
            serve: self.serve.0,
            listen,
            admin,
            admin_token_file: self.admin_token_file,
            backend_ports,
            log_dir: self.log_dir,
        })
    }
}
