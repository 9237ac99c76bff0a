//! The figures of several workers as those of one proxy.
//!
//! Counts are added, backends found by their URL: after a reload one worker may have it at another index for a while.
//! Absent: when to do so; whoever looks does it (dashboard/).

use std::sync::Arc;

use super::stats::{BackendSnapshot, Counters, Snapshot, Summary};
use crate::balance::shadow::ShadowFigures;

/// `first` and the others added up. What cannot be added (the routing's name, averages the policies keep of the same
/// samples) is the first one's.
pub fn merged(first: &Snapshot, others: impl Iterator<Item = Arc<Snapshot>>) -> Snapshot {
    let mut sum = first.clone();
    for other in others {
        add_counters(&mut sum.counters, &other.counters);
        add_summary(&mut sum.latency, &other.latency);
        sum.uptime_s = sum.uptime_s.max(other.uptime_s);
        for backend in &other.backends {
            match sum.backends.iter_mut().find(|known| known.url == backend.url) {
                Some(known) => add_backend(known, backend),
                None => sum.backends.push(backend.clone()),
            }
        }
        for (shadow, more) in sum.shadow.iter_mut().zip(&other.shadow) {
            add_shadow(shadow, more);
        }
    }
    let all: u64 = sum.backends.iter().map(|backend| backend.requests).sum();
    for backend in &mut sum.backends {
        backend.share = if all == 0 { 0.0 } else { backend.requests as f64 / all as f64 };
    }
    sum
}

fn add_counters(sum: &mut Counters, more: &Counters) {
    sum.clients_accepted += more.clients_accepted;
    sum.clients_active += more.clients_active;
    sum.requests += more.requests;
    for (sum, more) in sum.responses.iter_mut().zip(more.responses) {
        *sum += more;
    }
    sum.refused += more.refused;
    sum.client_gone += more.client_gone;
    sum.retries += more.retries;
    sum.bytes_in += more.bytes_in;
    sum.bytes_out += more.bytes_out;
}

fn add_backend(sum: &mut BackendSnapshot, more: &BackendSnapshot) {
    sum.in_flight += more.in_flight;
    sum.requests += more.requests;
    sum.errors += more.errors;
    add_summary(&mut sum.latency, &more.latency);
}

fn add_summary(sum: &mut Summary, more: &Summary) {
    let worst = |one: Option<f64>, other: Option<f64>| one.into_iter().chain(other).reduce(f64::max);
    sum.mean_ms = sum.mean_ms.or(more.mean_ms);
    sum.p50_ms = sum.p50_ms.or(more.p50_ms);
    sum.p95_ms = worst(sum.p95_ms, more.p95_ms);
    sum.p99_ms = worst(sum.p99_ms, more.p99_ms);
    sum.max_ms = worst(sum.max_ms, more.max_ms);
}

fn add_shadow(sum: &mut ShadowFigures, more: &ShadowFigures) {
    let mean = |one: Option<f64>, weight: u64, other: Option<f64>, other_weight: u64| {
        let total = one.map_or(0.0, |mean| mean * weight as f64)
            + other.map_or(0.0, |mean| mean * other_weight as f64);
        let weights = one.map_or(0, |_| weight) + other.map_or(0, |_| other_weight);
        (weights > 0).then(|| total / weights as f64)
    };
    sum.mean_ms_agreed = mean(sum.mean_ms_agreed, sum.agreed, more.mean_ms_agreed, more.agreed);
    sum.mean_ms_all = mean(sum.mean_ms_all, sum.decisions, more.mean_ms_all, more.decisions);
    sum.decisions += more.decisions;
    sum.agreed += more.agreed;
    sum.agreed_share = if sum.decisions == 0 { 0.0 } else { sum.agreed as f64 / sum.decisions as f64 };
}
