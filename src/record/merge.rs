//! The figures of several workers as those of one proxy.
//!
//! Counts and distributions are added, backends found by their URL: after a reload one worker may have it at another
//! index for a while. Where a backend stands is told by who has looked last: a worker without clients sleeps, and shows
//! what it knew when it fell asleep. Absent: when to do so; whoever looks does it, on its own thread (dashboard/).

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
        for (index, backend) in other.backends.iter().enumerate() {
            match counterpart(&other.backends, index, &sum.backends) {
                Some(known) => add_backend(&mut sum.backends[known], backend),
                None => sum.backends.push(backend.clone()),
            }
        }
        for (shadow, more) in sum.shadow.iter_mut().zip(&other.shadow) {
            add_shadow(shadow, more);
        }
    }
    settle_states(&mut sum.backends, workers);
    let all: u64 = sum.backends.iter().map(|backend| backend.requests).sum();
    for backend in &mut sum.backends {
        backend.share = if all == 0 { 0.0 } else { backend.requests as f64 / all as f64 };
    }
    sum.recent = recent(workers, &sum.backends);
    sum.recent_mean_ms = mean_of(workers.iter().map(|one| (one.recent_mean_ms, one.recent.len() as u64)));
    Some(sum)
}

/// Where among `others` the backend is that is at this index of `own`. One name may stand twice, when it has moved and
/// its old place still drains: then the first is the first and the second the second.
fn counterpart(own: &[BackendSnapshot], index: usize, others: &[BackendSnapshot]) -> Option<usize> {
    let url = own.get(index)?.url.as_str();
    let before = own[..index].iter().filter(|one| one.url == url).count();
    let alike = others.iter().enumerate().filter(|(_, other)| other.url == url);
    alike.map(|(at, _)| at).nth(before)
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
    sum.surplus += more.surplus;
    for (sum, more) in sum.kept.iter_mut().zip(more.kept) {
        *sum += more;
    }
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
}

/// Where each stands, as the worker has it that has looked last; why, as whoever knows has it, who has put it out.
fn settle_states(backends: &mut [BackendSnapshot], workers: &[Arc<Snapshot>]) {
    let Some(latest) = workers.iter().max_by_key(|one| one.wall.at) else { return };
    for index in 0..backends.len() {
        let known = |one: &Arc<Snapshot>| {
            counterpart(backends, index, &one.backends).map(|at| one.backends[at].live.clone())
        };
        let (latest, all) = (known(latest), workers.iter().filter_map(known).collect::<Vec<_>>());
        let live = &mut backends[index].live;
        if let Some(Live { state, until, failure_rate, score, .. }) = latest {
            (live.state, live.until, live.failure_rate, live.score) = (state, until, failure_rate, score);
        }
        live.why = all.into_iter().filter(|of| of.state == live.state).find_map(|of| of.why);
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

/// Microseconds in which one worker ends no more requests than this.
const ROWS_AT_ONCE: u64 = 64;

/// The last requests of all, newest first, numbered by their time, since the numbers of each worker's are its own; those
/// only tell apart what ended together. Backends as `known`.
fn recent(workers: &[Arc<Snapshot>], known: &[BackendSnapshot]) -> Arc<[RecentRow]> {
    let count = workers.len() as u64;
    let mut rows: Vec<RecentRow> = Vec::new();
    for (worker, one) in (0..).zip(workers) {
        let indices: Vec<Option<usize>> =
            (0..one.backends.len()).map(|index| counterpart(&one.backends, index, known)).collect();
        rows.extend(one.recent.iter().map(|row| {
            let ended = row.at.as_nanos() / 1_000 / ROWS_AT_ONCE * count + worker;
            let backend = row.backend.and_then(|own| *indices.get(own as usize)?);
            let seq = ended * ROWS_AT_ONCE + row.seq % ROWS_AT_ONCE;
            let mut row = *row;
            (row.seq, row.backend) = (seq, backend.and_then(|index| u32::try_from(index).ok()));
            row
        }));
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.seq));
    rows.truncate(RECENT);
    rows.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Time, Wall};
    use crate::record::recent::Recent;
    use crate::record::row::{Facts, Row};
    use crate::record::snapshot::State;
    use crate::record::stats::Stats;
    use crate::record::tests::{facts, row};

    /// What a worker shows at this time of these backends, and of requests to the one at index 0.
    fn shown(at_ms: u64, urls: [&str; 2], states: [State; 2], requests: usize) -> Arc<Snapshot> {
        let urls = urls.map(str::to_owned);
        let live = states.map(|state| Live {
            state,
            why: (state == State::Down).then(|| "checks".to_owned()),
            ..Live::default()
        });
        let wall = Wall { at: Time::from_millis(at_ms), unix_ms: at_ms };
        let mut shown = Stats::new(Time::ZERO, &urls).snapshot(wall, "p2c", live.into(), true);
        let mut recent = Recent::default();
        let facts = Facts { backend: Some(0), ..facts() };
        (0..requests).for_each(|_| recent.push(&Row { facts, ..row() }, "ok", true, (None, None)));
        shown.recent = recent.newest_first().into();
        Arc::new(shown)
    }

    #[test]
    fn who_sleeps_does_not_say_where_a_backend_stands() {
        let urls = ["http://a", "http://b"];
        let asleep = shown(1_000, urls, [State::Up, State::Ejected], 0);
        let awake = shown(9_000, urls, [State::Down, State::Up], 0);
        for workers in [[asleep.clone(), awake.clone()], [awake, asleep]] {
            let sum = merged(&workers).unwrap();
            assert_eq!((sum.backends[0].live.state, sum.backends[1].live.state), (State::Down, State::Up));
            assert_eq!(sum.backends[0].live.why.as_deref(), Some("checks"));
            assert_eq!(sum.backends[1].live.why, None);
        }
    }

    /// A name whose address has changed stands twice while the old one drains.
    #[test]
    fn a_name_that_stands_twice_is_two_backends() {
        let worker = || shown(1_000, ["http://a", "http://a"], [State::Removed, State::Up], 3);
        let sum = merged(&[worker(), worker()]).unwrap();
        let states: Vec<State> = sum.backends.iter().map(|backend| backend.live.state).collect();
        assert_eq!(states, [State::Removed, State::Up]);
        assert!(sum.recent.iter().all(|row| row.backend == Some(0)));
    }

    /// The worker that has a backend at another index means that backend; and a number is one request's, though many
    /// end between two looks at the clock.
    #[test]
    fn requests_keep_their_backends_and_have_numbers_of_their_own() {
        let up = [State::Up; 2];
        let workers =
            [shown(1, ["http://a", "http://b"], up, 32), shown(1, ["http://b", "http://a"], up, 32)];
        let sum = merged(&workers).unwrap();
        for backend in [0, 1] {
            assert_eq!(sum.recent.iter().filter(|row| row.backend == Some(backend)).count(), 32);
        }
        assert!(sum.recent.windows(2).all(|pair| pair[0].seq > pair[1].seq), "one number twice");
    }
}
