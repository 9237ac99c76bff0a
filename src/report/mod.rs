//! Reads what an experiment left behind and says what it means: tables, one page with plots, and comparisons.
//!
//! ```text
//! paths --input--> logs --rows--> samples --measure--> histograms, buckets --stats--> figures with intervals
//!       --summary--> Summary --text--> summary.md summary.csv summary.json
//!                            --html--> report.html   (chart: plotters' SVG, theme: colours by CSS)
//! ```
//!
//! A log streams through; what is kept of it is bounded, whatever its length. Absent: running experiments (the run
//! directory they write is defined in [`run`]) and drawing anything live.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::Failure;

pub mod hgrm;
pub mod run;

mod chart;
mod compare;
pub(crate) mod follow;
mod html;
mod input;
mod laps;
mod measure;
mod published;
mod rows;
mod stamp;
mod stats;
mod summary;
mod text;
mod theme;
mod verdict;

pub(crate) use laps::{Lap, Laps, summary as summary_of_laps};
pub use published::Published;
pub use stats::{Figure, Interval, Metric};
pub use summary::{BackendRow, Basis, CurvePoint, Group, Row, SeriesPoint, Source, Summary};
pub use verdict::{Control, Verdict};

/// What `tidegate report` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportConfig {
    /// A run directory, a directory of logs, or logs; with `compare` two of these.
    pub paths: Vec<PathBuf>,
    /// Where to write; beside the data if `None`.
    pub out: Option<PathBuf>,
    /// Skipped at the start of each log that no run.json describes.
    pub warmup: Duration,
    /// Compare the second path with the first.
    pub compare: bool,
    /// How much worse the second may be, as a share.
    pub threshold: f64,
}

/// Reads `paths` and works the figures out.
///
/// # Errors
/// One line naming file and line.
pub fn summarize(paths: &[PathBuf], warmup: Duration) -> Result<Summary, Failure> {
    let skip_us = i64::try_from(warmup.as_micros()).unwrap_or(i64::MAX);
    input::load(paths, skip_us).map(summary::summarize).map_err(Failure::Usage)
}

/// The table for a terminal.
pub(crate) fn brief(summary: &Summary) -> String {
    text::brief(summary)
}

/// One request of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Microseconds since 1970, when it ended.
    pub(crate) ended_us: i64,
    /// Index into the names of [`read_log`]; `None` when none was chosen.
    pub(crate) backend: Option<u16>,
    /// `None` when nothing was sent.
    pub(crate) latency_us: Option<u64>,
    /// 0 when there is none.
    pub(crate) status: u16,
}

/// A log's requests in its order, the names of its backends and of its routings, and whether its last row was cut off.
///
/// # Errors
/// One line naming file and line.
#[allow(clippy::type_complexity)]
pub(crate) fn read_log(path: &Path) -> Result<(Vec<Logged>, Vec<String>, Vec<String>, bool), String> {
    let mut requests = Vec::new();
    let log = rows::read(path, |_, row| {
        let rows::Sample { at_us, backend, latency_us, status, .. } = row;
        requests.push(Logged { ended_us: at_us, backend, latency_us, status });
    })?;
    Ok((requests, log.backends.names().to_vec(), log.routings.names().to_vec(), log.torn))
}

/// Writes summary.md, summary.csv, summary.json and report.html into `dir`, making it if need be.
///
/// # Errors
/// One line naming the file that cannot be written.
pub fn write(summary: &Summary, dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| Failure::Runtime(format!("{}: {error}", path.display()));
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    let json = serde_json::to_string_pretty(summary)
        .map_err(|error| Failure::Runtime(format!("summary.json: {error}")))?;
    let page = html::page(summary).map_err(|error| Failure::Runtime(format!("report.html: {error}")))?;
    let files = [
        ("summary.md", text::markdown(summary)),
        ("summary.csv", text::csv(summary)),
        ("summary.json", json + "\n"),
        ("report.html", page),
    ];
    for (name, content) in files {
        let path = dir.join(name);
        fs::write(&path, content).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

/// `tidegate report`: writes the files, or compares; returns what to print.
///
/// # Errors
/// [`Failure::Usage`] for what cannot be read, [`Failure::Worse`] when the second of two is worse.
pub fn report(config: &ReportConfig) -> Result<String, Failure> {
    if config.compare {
        let [before, after] = &config.paths[..] else {
            return Err(Failure::Usage("--compare takes two paths: what was, and what is".to_owned()));
        };
        let [before, after] =
            [before, after].map(|path| summarize(std::slice::from_ref(path), config.warmup));
        return compare::compare(&before?, &after?, config.threshold);
    }
    let summary = summarize(&config.paths, config.warmup)?;
    let dir = config.out.clone().unwrap_or_else(|| beside(&config.paths));
    write(&summary, &dir)?;
    Ok(format!("{}\nWritten to {}\n", text::brief(&summary), dir.join("report.html").display()))
}

/// A directory itself; for logs `report` next to the first.
fn beside(paths: &[PathBuf]) -> PathBuf {
    match paths {
        [dir] if dir.is_dir() => dir.clone(),
        [first, ..] => first.parent().unwrap_or(Path::new("")).join("report"),
        [] => PathBuf::from("report"),
    }
}
