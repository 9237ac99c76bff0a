//! A recorded log as the world: what its backends did, when they did it.
//!
//! A request that a policy sends to a backend at some time of the log is answered as one of the [`NEAREST`] requests
//! recorded on that backend nearest to that time (by when they were sent), drawn by the seed: with its latency and its
//! status, failures included. Arrivals are the log's own, or so many clients in a closed loop.
//!
//! The method's limits, of which [`Recorded::lacking`] counts the second:
//! * no feedback beyond the record: a backend that gets twice its recorded traffic answers as if it had not;
//! * where a backend was not used, the nearest sample may be far away in time;
//! * of a request with several attempts only the last is in the log, and a log knows no backend that was never used.

use std::time::Duration;

use super::world::{Begun, Load, Origins};
use crate::clock::Time;
use crate::report::Logged;

/// Samples near the time of a dispatch that one is drawn of: enough to have a spread, few enough to follow a change.
const NEAREST: usize = 16;
/// A sample further away than this says little of the moment.
const NEAR: Duration = Duration::from_secs(1);
/// In a closed loop as many are in flight on average as at the most, but for the moments between two requests.
const CLOSED_SHARE: f64 = 0.85;
/// What the log has of a request that was never answered.
const UNANSWERED: u16 = 502;

/// A log, sorted out.
#[derive(Debug)]
pub(super) struct Record {
    /// By backend, by when it was sent.
    backends: Vec<Vec<Sample>>,
    /// When each request of the log came, by time.
    pub(super) arrivals: Vec<Time>,
    /// From the first request to the last answer.
    pub(super) span: Duration,
    /// Requests in flight on average, by Little's law, and at most.
    pub(super) in_flight: (f64, usize),
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    sent: Time,
    latency: Duration,
    status: u16,
}

impl Record {
    /// Sorts the requests of a log that names `backends` backends.
    pub(super) fn new(log: &[Logged], backends: usize) -> Record {
        let sent_us = |row: &Logged| {
            row.ended_us.saturating_sub(i64::try_from(row.latency_us.unwrap_or(0)).unwrap_or(i64::MAX))
        };
        let origin = log.iter().map(sent_us).min().unwrap_or(0);
        let end = log.iter().map(|row| row.ended_us).max().unwrap_or(0);
        let after =
            |micros: i64| Duration::from_micros(u64::try_from(micros.saturating_sub(origin)).unwrap_or(0));
        let mut record = Record {
            backends: vec![Vec::new(); backends],
            arrivals: Vec::with_capacity(log.len()),
            span: after(end),
            in_flight: (0.0, 0),
        };
        for row in log {
            let sent = Time::ZERO.plus(after(sent_us(row)));
            record.arrivals.push(sent);
            let samples = row.backend.and_then(|index| record.backends.get_mut(usize::from(index)));
            if let (Some(samples), Some(latency_us)) = (samples, row.latency_us) {
                let status = if row.status == 0 { UNANSWERED } else { row.status };
                samples.push(Sample { sent, latency: Duration::from_micros(latency_us), status });
            }
        }
        record.arrivals.sort_unstable();
        record.backends.iter_mut().for_each(|samples| samples.sort_by_key(|sample| sample.sent));
        record.in_flight = (record.little(), record.most_in_flight());
        record
    }

    /// Little's law: the time spent in all requests over the time there was.
    fn little(&self) -> f64 {
        let busy: f64 = self.backends.iter().flatten().map(|sample| sample.latency.as_secs_f64()).sum();
        busy / self.span.as_secs_f64().max(1e-9)
    }

    fn most_in_flight(&self) -> usize {
        let samples = || self.backends.iter().flatten();
        let begun = samples().map(|sample| (sample.sent, true));
        let ended = samples().map(|sample| (sample.sent.plus(sample.latency), false));
        let mut changes: Vec<(Time, bool)> = begun.chain(ended).collect();
        changes.sort_unstable(); // an end before a beginning of the same moment
        let (mut now, mut most) = (0usize, 0);
        for (_, begins) in changes {
            now = if begins { now + 1 } else { now.saturating_sub(1) };
            most = most.max(now);
        }
        most
    }

    /// Whether the log looks like a closed loop's.
    pub(super) fn is_closed(&self) -> bool {
        self.in_flight.0 >= CLOSED_SHARE * self.in_flight.1 as f64
    }

    /// The log's own load, or so many clients in a closed loop.
    pub(super) fn load(&self, connections: Option<usize>) -> Load {
        match connections {
            Some(connections) => Load::Closed(connections),
            None => Load::Given(self.arrivals.clone()),
        }
    }

    /// How many clients a closed loop has.
    pub(super) fn clients(&self) -> usize {
        (self.in_flight.0.round() as usize).max(1)
    }
}

/// One round in that world.
#[derive(Debug)]
pub(super) struct Recorded<'a> {
    record: &'a Record,
    draw: fastrand::Rng,
    /// By backend, the first sample not before now: time only goes on.
    cursors: Vec<usize>,
    /// Requests answered, and those of them without a sample near their time.
    pub(super) served: u64,
    pub(super) lacking: u64,
}

impl<'a> Recorded<'a> {
    /// A round of its own draws.
    pub(super) fn new(record: &'a Record, seed: u64) -> Recorded<'a> {
        let cursors = vec![0; record.backends.len()];
        Recorded { record, draw: fastrand::Rng::with_seed(seed), cursors, served: 0, lacking: 0 }
    }
}

impl Origins for Recorded<'_> {
    fn begin(&mut self, backend: usize, now: Time) -> Begun {
        let samples = self.record.backends.get(backend).map(Vec::as_slice).unwrap_or_default();
        if samples.is_empty() {
            return Begun::Refused; // all that is known of it is that nothing could be sent there
        }
        let cursor = &mut self.cursors[backend];
        while samples.get(*cursor).is_some_and(|sample| sample.sent < now) {
            *cursor += 1;
        }
        let (from, to) = nearest(samples, *cursor, now);
        let sample = samples[self.draw.usize(from..to)];
        self.served += 1;
        self.lacking += u64::from(apart(sample.sent, now) > NEAR);
        Begun::Answer(sample.latency, sample.status)
    }
}

/// The range of the samples nearest to `now`, of which `middle` is the first that is not before.
fn nearest(samples: &[Sample], middle: usize, now: Time) -> (usize, usize) {
    let (mut from, mut to) = (middle, middle);
    while to - from < NEAREST.min(samples.len()) {
        let before = from.checked_sub(1).and_then(|index| samples.get(index));
        match (before, samples.get(to)) {
            (Some(before), Some(after)) if apart(before.sent, now) <= apart(after.sent, now) => from -= 1,
            (_, Some(_)) => to += 1,
            (Some(_), None) => from -= 1,
            (None, None) => break,
        }
    }
    (from, to)
}

fn apart(a: Time, b: Time) -> Duration {
    a.since(b).max(b.since(a))
}
