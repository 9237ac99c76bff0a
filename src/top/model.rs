//! What the admin address says, and what has changed since it was last asked.
//!
//! Every field may be missing or null: an older or newer proxy is shown as far as it goes. Absent: anything to do with
//! a terminal.

use std::collections::{BTreeMap, VecDeque};

use serde::Deserialize;

/// Seconds of history kept for the small charts.
pub(super) const HISTORY: usize = 120;

/// `/api/stats`, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Stats {
    pub(super) version: Option<String>,
    pub(super) routing: String,
    pub(super) upstream: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) ready: Option<bool>,
    pub(super) uptime_s: f64,
    pub(super) requests: u64,
    /// By class of status; the first had none.
    pub(super) responses: Vec<u64>,
    pub(super) clients_active: u64,
    pub(super) retries: u64,
    pub(super) ejections: Option<u64>,
    pub(super) in_flight: Option<u64>,
    pub(super) reused: Option<u64>,
    pub(super) dispatched: Option<u64>,
    pub(super) log_drops: Option<u64>,
    pub(super) mean_ms: Option<f64>,
    pub(super) recent_mean_ms: Option<f64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p95_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) busy_share: Option<f64>,
    pub(super) overhead_us: Option<Overhead>,
    pub(super) sentence: Option<String>,
    pub(super) backends: Vec<Backend>,
}

/// The proxy's own share of the time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Overhead {
    pub(super) mean: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Backend {
    pub(super) url: String,
    pub(super) state: Option<String>,
    pub(super) why: Option<String>,
    pub(super) weight: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) share: Option<f64>,
    pub(super) mean_ms: Option<f64>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p95_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) score: Option<f64>,
}

/// `/api/log`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Log {
    pub(super) events: Vec<Event>,
}

/// Something that has happened.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Event {
    /// Milliseconds since 1970.
    pub(super) t: f64,
    pub(super) kind: String,
    /// URL of the backend it happened to, if to one.
    pub(super) backend: Option<String>,
    pub(super) text: String,
}

/// One answer of the admin address.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) stats: Stats,
    pub(super) events: Vec<Event>,
}

/// A backend between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change {
    /// Requests a second.
    pub(super) rate: f64,
    /// Of all requests in that time, 0..=1.
    pub(super) share: f64,
    /// Mean of the requests that ended in that time.
    pub(super) mean_ms: Option<f64>,
}

/// The latest look, and what came before it.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) look: Look,
    /// Requests a second: of the last interval, or since the start when there was only one look.
    pub(super) rate: f64,
    /// The rates are means of the last interval, not of the time since the start.
    pub(super) is_recent: bool,
    /// Answers of 5xx and requests without one, a second.
    pub(super) error_rate: f64,
    /// By URL, oldest first; empty after only one look.
    pub(super) history: BTreeMap<String, VecDeque<Change>>,
    looks: u64,
}

impl Watched {
    /// Takes the next look.
    pub(super) fn take(&mut self, look: Look) {
        let (old, new) = (&self.look.stats, &look.stats);
        let is_same_run = self.looks > 0 && new.uptime_s > old.uptime_s && new.requests >= old.requests;
        if is_same_run {
            self.is_recent = true;
            let seconds = new.uptime_s - old.uptime_s;
            let requests = new.requests - old.requests;
            self.rate = requests as f64 / seconds;
            self.error_rate = errors(new).saturating_sub(errors(old)) as f64 / seconds;
            for backend in &new.backends {
                let before = old.backends.iter().find(|other| other.url == backend.url);
                let change = change(before, backend, seconds, requests);
                let past = self.history.entry(backend.url.clone()).or_default();
                past.push_back(change);
                past.drain(..past.len().saturating_sub(HISTORY));
            }
            self.history.retain(|url, _| new.backends.iter().any(|backend| backend.url == *url));
        } else if self.looks == 0 || new.uptime_s < old.uptime_s || new.requests < old.requests {
            // The first one, or a proxy that was started again.
            let seconds = new.uptime_s.max(1e-3);
            (self.rate, self.error_rate) = (new.requests as f64 / seconds, errors(new) as f64 / seconds);
            self.is_recent = false;
            self.history.clear();
        }
        self.looks += 1;
        self.look = look;
    }

    /// What a backend did in the last interval.
    pub(super) fn last(&self, url: &str) -> Option<Change> {
        self.history.get(url)?.back().copied()
    }

    /// Of the requests that were sent, those on a connection that was there already.
    pub(super) fn reuse(&self) -> Option<f64> {
        let stats = &self.look.stats;
        let sent = stats.dispatched.filter(|sent| *sent > 0)?;
        Some(stats.reused? as f64 / sent as f64)
    }
}

/// Answers of 5xx, and none at all.
pub(super) fn errors(stats: &Stats) -> u64 {
    let of = |class: usize| stats.responses.get(class).copied().unwrap_or(0);
    of(0) + of(5)
}

fn change(before: Option<&Backend>, now: &Backend, seconds: f64, all: u64) -> Change {
    let nothing = Backend::default();
    let before = before.unwrap_or(&nothing);
    let requests = now.requests.saturating_sub(before.requests);
    // Means since the start, times how many: what their sums differ by is the interval's.
    let sum = |backend: &Backend| backend.mean_ms.unwrap_or(0.0) * backend.requests as f64;
    let mean = (requests > 0).then(|| ((sum(now) - sum(before)) / requests as f64).max(0.0));
    Change {
        rate: requests as f64 / seconds,
        share: if all > 0 { (requests as f64 / all as f64).min(1.0) } else { 0.0 },
        mean_ms: mean,
    }
}
