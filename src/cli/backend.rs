//! The flags of `tidegate backend`: one emulated origin server.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use crate::config::EmulatorConfig;
use crate::config::given::Given;
use crate::config::value::{Bytes, Fraction, OrNone};
use crate::emulator::profile::Profile;
use crate::emulator::script::Script;

/// As typed. `SERVER_ID` and `PORT` are the original's; a TIDEGATE_PORT would meet the one that Kubernetes sets to
/// `tcp://...` for a service named tidegate.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct BackendArgs {
    /// Its name in the answer, and which of the original's cycles it runs (A, B or C; others as A)
    #[arg(long, env = "SERVER_ID", value_name = "NAME", default_value = "A", help_heading = "Identity")]
    pub id: String,

    /// Port it listens on; 0 is any free one
    #[arg(long, env = "PORT", value_name = "PORT", default_value = "8080", help_heading = "Identity")]
    pub port: Given<u16>,

    /// IP address it listens on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", help_heading = "Identity")]
    pub listen_ip: Given<IpAddr>,

    /// Latency, like 200ms, cycle:10ms,15ms,400ms, uniform:min=5ms,max=15ms, exponential:mean=10ms,
    /// lognormal:median=20ms,sigma=0.5, pareto:scale=5ms,shape=1.5 or bimodal:fast=10ms,slow=400ms,slow-share=0.1
    /// [default: the cycle of --id]
    #[arg(long, value_name = "PROFILE", help_heading = "Behaviour")]
    pub latency: Option<Given<Profile>>,

    /// Requests worked on at once, further ones waiting in order; none: unlimited
    #[arg(long, value_name = "N|none", default_value = "none", help_heading = "Behaviour")]
    pub concurrency: Given<OrNone<u32>>,

    /// Length of the answer's body [default: the original's text]
    #[arg(long, value_name = "SIZE", help_heading = "Behaviour")]
    pub body_bytes: Option<Given<Bytes>>,

    /// Seed of the random draws [default: another one each start]
    #[arg(long, value_name = "N", help_heading = "Behaviour")]
    pub seed: Option<Given<u64>>,

    /// Share of requests answered with 500, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0", help_heading = "Behaviour")]
    pub fail_rate: Given<Fraction>,

    /// TOML file of what changes while it runs: [[change]] tables with at, and latency, fail-rate, pause, refuse or
    /// reset [default: nothing does]
    #[arg(long, value_name = "FILE", help_heading = "Behaviour")]
    pub script: Option<PathBuf>,
}

impl BackendArgs {
    /// What is meant by them.
    pub(crate) fn config(self) -> Result<(EmulatorConfig, Script), String> {
        let concurrency = self.concurrency.0.0.map(|limit| limit as usize);
        if concurrency == Some(0) {
            return Err("--concurrency '0': must be at least 1, or none".to_owned());
        }
        let script = self.script.map(|path| Script::read(&path, "--script")).transpose()?.unwrap_or_default();
        let config = EmulatorConfig {
            id: self.id,
            listen: SocketAddr::new(self.listen_ip.0, self.port.0),
            latency: self.latency.map(|given| given.0),
            concurrency,
            body_bytes: self.body_bytes.map(|given| given.0.0),
            seed: self.seed.map(|given| given.0),
            fail_rate: self.fail_rate.0.0,
        };
        Ok((config, script))
    }
}
