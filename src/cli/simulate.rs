//! The flags of `tidegate simulate`: which policies meet which backends under which load, in virtual time.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::bench::{LoadArgs, Rate, once};
use crate::bench::file::{self, Over};
use crate::bench::plan::matrix;
use crate::bench::{Driver, LoadPlan};
use crate::config::given::Given;
use crate::config::value::Value;
use crate::config::{Routing, UpstreamMode, Variant};
use crate::load::Spacing;
use crate::simulate::SimulateConfig;

/// More would only make intervals narrower than the model is right.
pub(super) const SEEDS_MAX: u32 = 10_000;
const NETWORK_MAX: Duration = Duration::from_secs(10);

/// As typed.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct SimulateArgs {
    /// File with scenarios, as in bench --help [default: the original's backends]
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: Option<PathBuf>,

    /// Routings to compare (repeat, or separate with commas) [default: the file's, else all]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Scenarios")]
    pub routing: Option<Vec<Given<Variant>>>,

    /// Added to each attempt, from half of it to one and a half, for network and proxy
    #[arg(long, value_name = "DURATION", default_value = "200us", help_heading = "Scenarios")]
    pub network: Given<Duration>,

    /// Connections at once [default: the file's, else 100]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub connections: Option<Given<u32>>,

    /// Requests a second, whatever the answers do (an open loop) [default: the file's, else a closed loop]
    #[arg(long, value_name = "R", help_heading = "Load")]
    pub rate: Option<Given<Rate>>,

    /// How the requests of an open loop are spread [default: the file's, else poisson]
    #[arg(long, value_name = "poisson|constant", help_heading = "Load")]
    pub arrivals: Option<Given<Spacing>>,

    /// How long each round is measured [default: the file's, else 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    pub duration: Option<Given<Duration>>,

    /// How long each round runs before anything counts [default: the file's, else 2s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    pub warmup: Option<Given<Duration>>,

    /// Rounds, each a seed of its own; the same for all routings. Fewer than 5 give no intervals and no winners
    #[arg(long, value_name = "N", default_value = "20", help_heading = "Load")]
    pub seeds: Given<u32>,

    /// What the seeds are drawn from: the same gives the same table [default: the file's, else 1]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub seed: Option<Given<u64>>,

    /// Write summary.md, .csv, .json and report.html to this directory [default: only the table is printed]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
}

impl SimulateArgs {
    /// What is meant by them; reads the file.
    pub(crate) fn config(self) -> Result<SimulateConfig, String> {
        let routings = self.routing.map(|names| names.into_iter().map(|name| name.0).collect::<Vec<_>>());
        once("routing", routings.as_deref().unwrap_or_default())?;
        checked_seeds(self.seeds.0)?;
        if self.network.0 > NETWORK_MAX {
            return Err(format!("--network '{}': must be at most 10s", self.network.0.show()));
        }
        let flags = LoadArgs {
            driver: Some(Given(Driver::BuiltIn)),
            connections: self.connections,
            rate: self.rate,
            arrivals: self.arrivals,
            rounds: Some(self.seeds),
            duration: self.duration,
            warmup: self.warmup,
            seed: self.seed,
        };
        let (plans, load, title) = match &self.scenario {
            Some(path) => {
                let read = file::read(path, &Over { routings, ..Over::default() })?;
                let title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                (read.plans, flags.or(read.load), title)
            }
            None => {
                let routings = routings.unwrap_or_else(|| Routing::ALL.map(Variant::from).to_vec());
                let plans = matrix(&routings, &[UpstreamMode::Persistent], None);
                (plans, flags, "original".to_owned())
            }
        };
        let load = LoadArgs { seed: load.seed.clone().or(Some(Given(1))), ..load };
        let load: LoadPlan = load.plan()?;
        Ok(SimulateConfig { title, plans, load, network: self.network.0, out: self.out })
    }
}

/// Refuses none and too many.
pub(super) fn checked_seeds(seeds: u32) -> Result<(), String> {
    match seeds {
        1..=SEEDS_MAX => Ok(()),
        _ => Err(format!("--seeds '{seeds}': must be from 1 to {SEEDS_MAX}")),
    }
}
