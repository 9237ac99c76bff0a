//! The flags of `tidegate report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::given::Given;
use crate::config::value::Value;
use crate::report::ReportConfig;

/// As typed.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct ReportArgs {
    /// A run directory, a directory of CSV logs, or CSV logs (ours or the original's)
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// Directory to write to [default: the run directory; report/ beside the first log]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Leave out the start of each log that no run.json describes
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub warmup: Given<Duration>,

    /// Compare the second of two paths with the first; exit with 3 if it is worse
    #[arg(long)]
    pub compare: bool,

    /// With --compare: how much worse is still the same
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub threshold: String,
}

impl ReportArgs {
    /// What is meant by them.
    pub(crate) fn config(self) -> Result<ReportConfig, String> {
        let ReportArgs { paths, out, warmup, compare, threshold } = self;
        if compare && paths.len() != 2 {
            return Err(format!("--compare: takes two paths, but {} are given", paths.len()));
        }
        if compare && out.is_some() {
            return Err("--out: nothing is written with --compare".to_owned());
        }
        let percent = threshold.strip_suffix('%').unwrap_or(&threshold).trim().parse::<f64>();
        let Some(percent) = percent.ok().filter(|percent| (0.0..=1000.0).contains(percent)) else {
            return Err(format!("--threshold '{threshold}': must be a percentage from 0 to 1000, like 5%"));
        };
        if warmup.0 > Duration::from_secs(86_400) {
            return Err(format!("--warmup '{}': must be at most 1d", warmup.0.show()));
        }
        Ok(ReportConfig { paths, out, warmup: warmup.0, compare, threshold: percent / 100.0 })
    }
}
