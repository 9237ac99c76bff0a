//! The figures of one moment, by value.
//!
//! What is large is shared with the snapshot before when it has not been copied anew: see [`Snapshot::fresh`]. Everything
//! counts from the start; a rate is the difference of two. Absent: how any of it is written (dashboard/).

use std::sync::Arc;

use serde::Serialize;

use super::latencies::{Distribution, Summary, merged};
use super::recent::RecentRow;
use crate::balance::shadow::ShadowFigures;
use crate::clock::{Time, Wall};

/// Plain counts since the start. The owner adds to the fields it alone knows about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Client connections accepted.
    pub clients_accepted: u64,
    /// Client connections open now.
    pub clients_active: u64,
    /// Exchanges ended, however they ended.
    pub requests: u64,
    /// Of these, answers by class of status; index 0 holds those with none.
    pub responses: [u64; 6],
    /// Exchanges answered with an error without choosing a backend.
    pub refused: u64,
    /// Exchanges the client left.
    pub client_gone: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Attempts in all.
    pub dispatched: u64,
    /// Exchanges whose last attempt went over a pooled connection.
    pub reused: u64,
    /// Times a backend was put out.
    pub ejections: u64,
    /// Times a backend sent bytes that nobody had asked for, behind an answer or later.
    pub surplus: u64,
    /// What became of connections to backends behind whole answers, by the number of the reason
    /// ([`Why::ALL`](crate::http1::persist::Why::ALL)).
    pub kept: [u64; 16],
    /// Rows the log has lost.
    pub log_drops: u64,
    /// Bytes received from clients.
    pub bytes_in: u64,
    /// Bytes sent to clients.
    pub bytes_out: u64,
}

/// Whether a backend gets requests, and if not, why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    #[default]
    Up,
    /// Put out for its failures.
    Ejected,
    /// One request is trying it.
    Trial,
    /// It fails its active checks.
    Down,
    /// Told to get nothing new.
    Draining,
    /// No longer configured; what is in flight ends.
    Removed,
}

impl State {
    /// All of them.
    pub const ALL: [State; 6] =
        [State::Up, State::Ejected, State::Trial, State::Down, State::Draining, State::Removed];

    /// As the JSON spells it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Ejected => "ejected",
            State::Trial => "trial",
            State::Down => "down",
            State::Draining => "draining",
            State::Removed => "removed",
        }
    }
}

/// An active check that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// When.
    pub at: Time,
    /// How.
    pub ok: bool,
    /// In words.
    pub text: &'static str,
    /// Of the answer, if one came.
    pub status: Option<u16>,
}

/// What the upstream table and the policy know about a backend at this moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Requests dispatched and not finished.
    pub in_flight: u32,
    /// The simple moving average of the original.
    pub sma_ms: Option<f64>,
    /// The exponential average of the original.
    pub ewma_ms: Option<f64>,
    /// Whether it gets requests.
    pub state: State,
    /// Why it does not.
    pub why: Option<String>,
    /// Until when it does not.
    pub until: Option<Time>,
    /// Capacity relative to the others.
    pub weight: f64,
    /// What the policy ranks it by.
    pub score: Option<f64>,
    /// Connections in the pool.
    pub idle: usize,
    /// Connections open, those included.
    pub open: usize,
    /// Decayed share of failures among its answers.
    pub failure_rate: f64,
    /// The last active check.
    pub last_check: Option<LastCheck>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendSnapshot {
    /// Its URL.
    pub url: String,
    /// Exchanges it was the last backend of.
    pub requests: u64,
    /// Attempts it failed.
    pub errors: u64,
    /// Attempts it failed that were made again elsewhere.
    pub retries_from: u64,
    /// Its part of all backends' requests, 0..=1.
    pub share: f64,
    /// Its latencies.
    pub latencies: Arc<Distribution>,
    /// What others know of it.
    pub live: Live,
}

/// The state of the proxy.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub wall: Wall,
    /// Unix milliseconds of the start.
    pub started_ms: u64,
    /// Seconds since then.
    pub uptime_s: f64,
    /// Canonical name of the routing in force.
    pub routing: String,
    /// Counts.
    pub counters: Counters,
    /// In configured order.
    pub backends: Vec<BackendSnapshot>,
    /// Microseconds that exchanges took beyond what their backend took; empty unless somebody could look.
    pub overhead: Arc<Distribution>,
    /// The last requests, newest first; empty unless somebody could look.
    pub recent: Arc<[RecentRow]>,
    /// Mean of their latencies.
    pub recent_mean_ms: Option<f64>,
    /// How long the reactor has not been waiting, in all.
    pub busy_us: u64,
    /// Whether latencies and requests were copied anew, so that all its figures are of one moment.
    pub fresh: bool,
    /// A decision of late in words.
    pub sentence: Option<String>,
    /// Whether every decision is kept.
    pub explain: bool,
    /// The shadow policies, in configured order.
    pub shadow: Vec<ShadowFigures>,
}

impl Snapshot {
    /// Latencies over all backends.
    pub fn latency(&self) -> Summary {
        merged(self.backends.iter().map(|backend| &backend.latencies)).summary()
    }

    /// Requests in flight on all backends.
    pub fn in_flight(&self) -> u64 {
        self.backends.iter().map(|backend| u64::from(backend.live.in_flight)).sum()
    }
}
