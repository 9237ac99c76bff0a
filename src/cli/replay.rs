//! The flags of `tidegate replay`: which policies meet a recorded log's backends.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::bench::{CONNECTIONS_MAX, once};
use super::simulate::checked_seeds;
use crate::config::Variant;
use crate::config::given::Given;
use crate::config::value::Value;
use crate::simulate::{Arrivals, ReplayConfig};

impl Value for Arrivals {
    fn parse(text: &str) -> Result<Arrivals, String> {
        match text {
            "recorded" => Ok(Arrivals::Recorded),
            "closed" => Ok(Arrivals::Closed),
            _ => Err("must be one of recorded, closed".to_owned()),
        }
    }

    fn show(&self) -> String {
        if *self == Arrivals::Closed { "closed" } else { "recorded" }.to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["recorded", "closed"]
    }
}

/// As typed.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
#[command(
    after_help = "A request sent to a backend at some time is answered as one of the 16 requests the log has of that \
                        backend nearest to that time, failures included, drawn by the seed. So nothing reacts beyond \
                        what was recorded: a backend that gets twice its recorded traffic answers as if it had not. \
                        Replay ranks policies on backends with room to spare; for queues that policies fill, use \
                        simulate or bench."
)]
pub(super) struct ReplayArgs {
    /// A CSV log of the proxy, or one with the original's five columns
    #[arg(value_name = "LOG.csv")]
    pub log: PathBuf,

    /// Routings to compare (repeat, or separate with commas)
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "round-robin,least-connections,peak-ewma,least-time,elastic",
        help_heading = "Replay"
    )]
    pub routing: Vec<Given<Variant>>,

    /// Requests come when the log's came, or as soon as the answers let them [default: closed with --connections or if
    /// the log has nearly as many requests in flight on average as at the most, else recorded]
    #[arg(long, value_name = "recorded|closed", help_heading = "Replay")]
    pub arrivals: Option<Given<Arrivals>>,

    /// Clients of the closed loop [default: as many as the log had in flight on average, by Little's law]
    #[arg(long, value_name = "N", help_heading = "Replay")]
    pub connections: Option<Given<u32>>,

    /// Left out at the start of each round [default: a tenth of the log]
    #[arg(long, value_name = "DURATION", help_heading = "Replay")]
    pub warmup: Option<Given<Duration>>,

    /// Rounds, each a seed of its own; the same for all routings. Fewer than 5 give no intervals and no winners
    #[arg(long, value_name = "N", default_value = "10", help_heading = "Replay")]
    pub seeds: Given<u32>,

    /// What the seeds are drawn from: the same gives the same table
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Replay")]
    pub seed: Given<u64>,

    /// Write summary.md, .csv, .json and report.html to this directory [default: only the table is printed]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
}

impl ReplayArgs {
    /// What is meant by them.
    pub(crate) fn config(self) -> Result<ReplayConfig, String> {
        let routings: Vec<Variant> = self.routing.into_iter().map(|name| name.0).collect();
        once("routing", &routings)?;
        checked_seeds(self.seeds.0)?;
        let connections = self.connections.map(|connections| connections.0);
        if let Some(wrong) = connections.filter(|connections| !(1..=CONNECTIONS_MAX).contains(connections)) {
            return Err(format!("--connections '{wrong}': must be from 1 to {CONNECTIONS_MAX}"));
        }
        let arrivals = self.arrivals.map(|arrivals| arrivals.0);
        if let (Some(Arrivals::Recorded), Some(connections)) = (arrivals, connections) {
            return Err(format!(
                "--connections '{connections}': only a closed loop has them: leave out --arrivals"
            ));
        }
        Ok(ReplayConfig {
            log: self.log,
            routings,
            connections: connections.map(|connections| connections as usize),
            arrivals,
            seeds: self.seeds.0,
            seed: self.seed.0,
            warmup: self.warmup.map(|warmup| warmup.0),
            out: self.out,
        })
    }
}
