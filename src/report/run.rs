//! `run.json`: what a finished (or interrupted) experiment was, beside its raw data.
//!
//! A run directory holds
//!
//! ```text
//! logs/<run>/run.json               this file's RunFile, written again after every round, so that Ctrl-C loses none
//!            <scenario>_<round>.csv   one row per request, as the proxy logged it
//!            <scenario>_<round>.hgrm  percentiles as the clients saw them (see `hgrm`), in milliseconds
//!            <scenario>_wrk.txt       wrk's own output, where wrk drove the load
//!            summary.md summary.csv summary.json report.html      written by `tidegate report`
//! ```
//!
//! File names in it are relative to the directory. Unknown keys are ignored, so that an older tidegate reads a newer
//! run; a newer `format` is refused. Absent: judging what the numbers mean.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name in its directory.
pub const FILE_NAME: &str = "run.json";
/// What this version writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// Cores that others may use without being mentioned; the kernel's own threads are among them.
const OTHERS_MAX: f64 = 0.3;

/// A whole experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFile {
    /// [`FORMAT`].
    pub format: u32,
    /// The exact command line.
    pub command: String,
    /// When it began, as RFC 3339.
    pub started: String,
    /// What every random choice was drawn from.
    pub seed: u64,
    /// Of the sources, if known.
    pub git_revision: Option<String>,
    /// By program, such as `tidegate`, `wrk`.
    pub versions: BTreeMap<String, String>,
    /// Where it ran.
    pub machine: Machine,
    /// Whether it was ended before all rounds were done.
    pub interrupted: bool,
    /// What was compared, in order.
    pub scenarios: Vec<Scenario>,
}

/// Where an experiment ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Kernel and architecture.
    pub system: String,
    /// Model of the processor.
    pub cpu: String,
    /// Cores usable.
    pub cores: u32,
    /// MiB of memory.
    pub memory_mib: u64,
}

/// One thing compared: a routing under a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scenario {
    /// Unique in the run; starts the file names.
    pub name: String,
    /// Canonical name of the policy.
    pub routing: String,
    /// `persistent` or `non-persistent`.
    pub upstream: String,
    /// Whether client connections were kept; the original's non-persistent proxy did not.
    pub client_keepalive: bool,
    /// The backends' profile; `original` for the original's A, B and C.
    pub profile: String,
    /// A second round robin, which must not differ from the first.
    pub control: bool,
    /// What drove it.
    pub load: Load,
    /// Seconds measured per round.
    pub duration_s: f64,
    /// Seconds driven before anything counts, per round.
    pub warmup_s: f64,
    /// The backends by name, where they are known.
    pub backends: Vec<Named>,
    /// Those finished, in order. The n-th rounds of all scenarios ran next to each other.
    pub rounds: Vec<Round>,
}

/// A backend's name, and where it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Named {
    /// As in the scenario; not always unique.
    pub id: String,
    /// As in the log, without the scheme; the same in every round.
    pub address: String,
}

/// The load of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Load {
    /// `tidegate` or `wrk`.
    pub driver: String,
    /// Connections at once.
    pub connections: u32,
    /// Requests a second of an open loop; `None` is a closed loop.
    pub rate: Option<f64>,
    /// `poisson` or `constant`, of an open loop.
    pub arrivals: Option<String>,
}

/// One time a scenario ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Round {
    /// The proxy's log.
    pub csv: Option<String>,
    /// The clients' percentiles.
    pub hgrm: Option<String>,
    /// wrk's output.
    pub wrk: Option<String>,
    /// Microseconds since 1970 of the measured time's start; without it, `warmup_s` after the log's first row.
    pub from_unix_us: Option<i64>,
    /// Microseconds since 1970 of the measured time's end; without it, the log's last row.
    pub until_unix_us: Option<i64>,
    /// The load driver's figures.
    pub load: Option<LoadFigures>,
    /// Such as that the load generator was the bottleneck.
    pub warnings: Vec<String>,
    /// Cores that neither the experiment's processes nor the load used, if known.
    pub others: Option<f64>,
}

/// What the load driver saw in a round, warm-up left out. Latencies in milliseconds, absent without answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadFigures {
    /// Complete answers.
    pub requests: u64,
    /// Requests without one.
    pub errors: u64,
    /// Answers whose status was not 2xx.
    pub non_2xx: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Answers a second.
    pub rate: f64,
    /// Mean latency.
    pub mean_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Longest.
    pub max_ms: Option<f64>,
    /// Share of its time the driver was busy, 0..=1.
    pub busy_share: Option<f64>,
}

impl RunFile {
    /// One line on who else used the machine, if that was worth a line; said once, for it goes on from round to round.
    pub(super) fn others_note(&self) -> Option<String> {
        let rounds = self.scenarios.iter().flat_map(|scenario| &scenario.rounds);
        let known: Vec<f64> = rounds.filter_map(|round| round.others).collect();
        let above = known.iter().filter(|others| **others > OTHERS_MAX).count();
        let most = known.iter().copied().fold(0.0, f64::max);
        (above > 0).then(|| {
            format!(
                "Something else used up to {most:.1} cores of this machine, more than {OTHERS_MAX} in {above} of {} rounds: \
                 the figures are in part its own.",
                known.len()
            )
        })
    }

    /// Reads `dir`'s run.json.
    ///
    /// # Errors
    /// One line naming the file, and the line in it where that is known.
    pub fn load(dir: &Path) -> Result<RunFile, String> {
        let path = dir.join(FILE_NAME);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let run: RunFile =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        if run.format == 0 || run.format > FORMAT {
            return Err(format!(
                "{}: format {}, but this version reads 1 to {FORMAT}",
                path.display(),
                run.format
            ));
        }
        Ok(run)
    }

    /// Writes `dir`'s run.json whole, under another name first: a reader sees the old one or the new one.
    ///
    /// # Errors
    /// The system's.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        let part = dir.join("run.json.part");
        fs::write(&part, text + "\n")?;
        fs::rename(part, dir.join(FILE_NAME))
    }
}
