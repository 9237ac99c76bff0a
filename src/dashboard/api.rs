//! The JSON of the admin address: figures and requests as the page, `tidegate top` and scripts read them.
//!
//! Milliseconds are floats, unknown is null, times are unix milliseconds. Absent: where any of it comes from.

use serde::Serialize;

use super::history::overall;
use crate::balance::shadow::ShadowFigures;
use crate::record::latencies::Summary;
use crate::record::recent::RecentRow;
use crate::record::snapshot::{BackendSnapshot, Counters, Snapshot, State};

/// Above this many backends a request does not carry all their averages.
const AVERAGES_MAX: usize = 64;

/// What does not change while the proxy runs.
#[derive(Clone, Debug, Default, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct About {
    pub version: String,
    pub upstream: Option<String>,
    pub listen: Option<String>,
    pub control: bool,
    pub workers: u32,
    pub demo: bool,
}

/// What is known only when it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Milliseconds since the snapshot was taken.
    pub age_ms: u64,
    /// Share of the last second the reactor was at work.
    pub busy_share: Option<f64>,
    /// New requests are welcome.
    pub ready: bool,
    /// There is more to come.
    pub live: bool,
}

/// `/api/stats`.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Stats<'s> {
    pub t: u64,
    pub started: u64,
    pub uptime_s: f64,
    pub routing: &'s str,
    #[serde(flatten)]
    pub about: &'s About,
    pub ready: bool,
    pub live: bool,
    #[serde(flatten)]
    pub counters: &'s Counters,
    pub in_flight: u64,
    #[serde(flatten)]
    pub latency: Summary,
    pub recent_mean_ms: Option<f64>,
    pub overhead_us: Option<Overhead>,
    pub busy_share: Option<f64>,
    pub sentence: Option<&'s str>,
    pub explain: bool,
    pub shadow: &'s [ShadowFigures],
    pub backends: Vec<Backend<'s>>,
}

/// The proxy's own share of the time an exchange takes, in microseconds: the loop's work, of which only a mean is known,
/// and what exchanges waited between its turns.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Overhead {
    pub mean: f64,
    pub work: f64,
    pub wait_p50: u64,
    pub wait_p99: u64,
}

/// One backend of `/api/stats`.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Backend<'s> {
    pub url: &'s str,
    pub in_flight: u32,
    pub requests: u64,
    pub errors: u64,
    pub retries_from: u64,
    pub share: f64,
    #[serde(flatten)]
    pub latency: Summary,
    pub sma_ms: Option<f64>,
    pub ewma_ms: Option<f64>,
    pub state: State,
    pub why: Option<&'s str>,
    pub until: Option<u64>,
    pub weight: f64,
    pub score: Option<f64>,
    pub idle: usize,
    pub open: usize,
    pub failure_rate: f64,
    pub last_check: Option<Check>,
}

/// An active check that has ended.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Check {
    pub t: u64,
    pub ok: bool,
    pub text: &'static str,
    pub status: Option<u16>,
}

/// One request of `/api/requests`.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Recent {
    pub seq: u64,
    pub t: u64,
    pub backend: Option<u32>,
    pub latency_ms: Option<f64>,
    pub status: u16,
    pub method: String,
    pub path: String,
    pub attempts: u32,
    pub reason: &'static str,
    pub averages: Vec<Averages>,
}

/// The original's two averages of one backend.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub struct Averages {
    pub sma_ms: Option<f64>,
    pub ewma_ms: Option<f64>,
}

/// `/api/stats` of this snapshot at this moment.
pub fn stats<'s>(snapshot: &'s Snapshot, about: &'s About, moment: Moment) -> Stats<'s> {
    let overhead = &snapshot.overhead;
    let work = work_us(snapshot.busy_us, snapshot.counters.requests);
    let wait = |quantile| overhead.quantile_us(quantile).unwrap_or_default();
    Stats {
        t: snapshot.wall.unix_ms + moment.age_ms,
        started: snapshot.started_ms,
        uptime_s: rounded(snapshot.uptime_s + moment.age_ms as f64 / 1e3),
        routing: &snapshot.routing,
        about,
        ready: moment.ready,
        live: moment.live,
        counters: &snapshot.counters,
        in_flight: snapshot.in_flight(),
        latency: tidy(overall(snapshot).summary()),
        recent_mean_ms: snapshot.recent_mean_ms.map(rounded),
        overhead_us: overhead.mean_us().map(|mean| Overhead {
            mean: rounded(mean + work),
            work: rounded(work),
            wait_p50: wait(0.50),
            wait_p99: wait(0.99),
        }),
        busy_share: moment.busy_share.map(rounded),
        sentence: snapshot.sentence.as_deref(),
        explain: snapshot.explain,
        shadow: &snapshot.shadow,
        backends: snapshot.backends.iter().map(|one| backend(one, snapshot)).collect(),
    }
}

/// The reactor's own work for one request. Its stamps are those of its turns, so what it does within a turn is in no
/// difference of two of them.
pub fn work_us(busy_us: u64, requests: u64) -> f64 {
    if requests == 0 { 0.0 } else { busy_us as f64 / requests as f64 }
}

fn backend<'s>(one: &'s BackendSnapshot, snapshot: &Snapshot) -> Backend<'s> {
    let live = &one.live;
    Backend {
        url: &one.url,
        in_flight: live.in_flight,
        requests: one.requests,
        errors: one.errors,
        retries_from: one.retries_from,
        share: one.share,
        latency: tidy(one.latencies.summary()),
        sma_ms: live.sma_ms.map(rounded),
        ewma_ms: live.ewma_ms.map(rounded),
        state: live.state,
        why: live.why.as_deref(),
        until: live.until.map(|until| snapshot.wall.unix_ms(until)),
        weight: live.weight,
        score: live.score.filter(|score| score.is_finite()).map(rounded),
        idle: live.idle,
        open: live.open,
        failure_rate: rounded(live.failure_rate),
        last_check: live.last_check.map(|check| Check {
            t: snapshot.wall.unix_ms(check.at),
            ok: check.ok,
            text: check.text,
            status: check.status,
        }),
    }
}

/// The requests of a fresh snapshot after number `seq`, newest first, at most `max`.
pub fn requests(snapshot: &Snapshot, seq: u64, max: usize) -> Vec<Recent> {
    let mut averages: Vec<Averages> = snapshot
        .backends
        .iter()
        .map(|backend| Averages {
            sma_ms: backend.live.sma_ms.map(rounded),
            ewma_ms: backend.live.ewma_ms.map(rounded),
        })
        .collect();
    if averages.len() > AVERAGES_MAX {
        averages.clear();
    }
    let mut found = Vec::new();
    for row in snapshot.recent.iter().take_while(|row| row.seq > seq).take(max) {
        found.push(recent(row, snapshot, averages.clone()));
        // Back in time: before this request its backend's averages were these, and all others' the same.
        if let Some(own) = row.backend.and_then(|backend| averages.get_mut(backend as usize)) {
            *own = Averages { sma_ms: row.before.0.map(rounded), ewma_ms: row.before.1.map(rounded) };
        }
    }
    found
}

fn recent(row: &RecentRow, snapshot: &Snapshot, averages: Vec<Averages>) -> Recent {
    Recent {
        seq: row.seq,
        t: snapshot.wall.unix_ms(row.at),
        backend: row.backend,
        latency_ms: row.latency_us.map(|micros| micros as f64 / 1e3),
        status: row.status,
        method: row.method.text(),
        path: row.path.text(),
        attempts: row.attempts,
        reason: row.reason,
        averages,
    }
}

fn tidy(summary: Summary) -> Summary {
    Summary { mean_ms: summary.mean_ms.map(rounded), ..summary }
}

/// To three digits behind the point: the rest is noise, and bytes.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
