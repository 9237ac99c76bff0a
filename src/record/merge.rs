//! The figures of several workers as those of one proxy.
//!
//! Counts and distributions are added, backends found by their URL: after a reload one worker may have it at another
//! index for a while. Absent: when to do so; whoever looks does it, on its own thread (dashboard/).

use std::sync::Arc;

use super::latencies::Distribution;
use super::recent::{RECENT, RecentRow};
use super::snapshot::{BackendSnapshot, Counters, Live, Snapshot};
use crate::balance::shadow::ShadowFigures;

/// All of `workers` added up, the first one's first. What cannot be added (the routing's name, what the policies have
/// made of the same samples) is the first one's; the time is that of the latest. `None` of none.
pub fn merged(workers: &[Arc<Snapshot>]) -> Option<Snapshot> {
    let (first, others) = workers.split_first()?;
    let mut sum = (**first).clone();
    for other in others {
        if other.wall.at > sum.wall.at {
            (sum.wall, sum.uptime_s) = (other.wall, other.uptime_s);
        }
        add_counters(&mut sum.counters, &other.counters);
        add_distribution(&mut sum.overhead, &other.overhead);
        sum.busy_us += other.busy_us;
        sum.fresh |= other.fresh;
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
    sum.recent = recent(workers);
    sum.recent_mean_ms = mean_of(workers.iter().map(|one| (one.recent_mean_ms, one.recent.len() as u64)));
    Some(sum)
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
    sum.dispatched += more.dispatched;
    sum.reused += more.reused;
    sum.ejections += more.ejections;
    sum.log_drops = sum.log_drops.max(more.log_drops); // one log, whose count all know
    sum.bytes_in += more.bytes_in;
    sum.bytes_out += more.bytes_out;
}

fn add_distribution(sum: &mut Arc<Distribution>, more: &Distribution) {
    if more.count() > 0 {
        Arc::make_mut(sum).merge(more);
    }
}

fn add_backend(sum: &mut BackendSnapshot, more: &BackendSnapshot) {
    sum.requests += more.requests;
    sum.errors += more.errors;
    sum.retries_from += more.retries_from;
    add_distribution(&mut sum.latencies, &more.latencies);
    let Live { in_flight, idle, open, .. } = &mut sum.live;
    *in_flight += more.live.in_flight;
    *idle += more.live.idle;
    *open += more.live.open;
    // Only who has put it out knows why.
    if sum.live.why.is_none() && sum.live.state == more.live.state {
        sum.live.why.clone_from(&more.live.why);
    }
}

fn add_shadow(sum: &mut ShadowFigures, more: &ShadowFigures) {
    sum.mean_ms_agreed = mean_of([(sum.mean_ms_agreed, sum.agreed), (more.mean_ms_agreed, more.agreed)]);
    sum.mean_ms_all = mean_of([(sum.mean_ms_all, sum.decisions), (more.mean_ms_all, more.decisions)]);
    sum.decisions += more.decisions;
    sum.agreed += more.agreed;
    sum.agreed_share = if sum.decisions == 0 { 0.0 } else { sum.agreed as f64 / sum.decisions as f64 };
}

/// Mean of means, each of so many.
fn mean_of(means: impl IntoIterator<Item = (Option<f64>, u64)>) -> Option<f64> {
    let known = means.into_iter().filter_map(|(mean, count)| mean.map(|mean| (mean, count as f64)));
    let (sum, count) = known.fold((0.0, 0.0), |(sum, all), (mean, count)| (sum + mean * count, all + count));
    (count > 0.0).then(|| sum / count)
}

/// The last requests of all, newest first, numbered by their time: the numbers of each worker's are its own.
fn recent(workers: &[Arc<Snapshot>]) -> Arc<[RecentRow]> {
    let count = workers.len() as u64;
    let numbered = |(worker, row): (u64, &RecentRow)| {
        let mut row = *row;
        row.seq = row.at.as_nanos() / 1_000 * count + worker;
        row
    };
    let rows = (0..).zip(workers).flat_map(|(worker, one)| one.recent.iter().map(move |row| (worker, row)));
    let mut rows: Vec<RecentRow> = rows.map(numbered).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
    rows.truncate(RECENT);
    rows.into()
}
