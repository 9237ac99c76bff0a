//! What a run amounts to.

use std::fmt;
use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Time;

/// Latencies from 1 µs to an hour; what is longer counts as an hour.
const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Three digits: 0.1 % of the value.
const SIGNIFICANT_DIGITS: u8 = 3;

/// How a request can fail to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    Connect,
    Reset,
    Closed,
    Timeout,
    Malformed,
}

/// Requests that were not answered, by what went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// No connection: refused, unreachable, out of ports or of file descriptors.
    pub connect: u64,
    /// The connection broke.
    pub reset: u64,
    /// The server closed before the answer was complete.
    pub closed: u64,
    /// No complete answer in time.
    pub timeout: u64,
    /// What came was not HTTP/1.1, or more than was asked for.
    pub malformed: u64,
}

impl Errors {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.connect + self.reset + self.closed + self.timeout + self.malformed
    }

    fn count(&mut self, kind: ErrorKind) {
        *match kind {
            ErrorKind::Connect => &mut self.connect,
            ErrorKind::Reset => &mut self.reset,
            ErrorKind::Closed => &mut self.closed,
            ErrorKind::Timeout => &mut self.timeout,
            ErrorKind::Malformed => &mut self.malformed,
        } += 1;
    }
}

impl fmt::Display for Errors {
    /// Those there are, such as `2 connect, 1 timeout`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.connect, "connect"),
            (self.reset, "reset"),
            (self.closed, "closed early"),
            (self.timeout, "timeout"),
            (self.malformed, "malformed"),
        ];
        let mut separator = "";
        for (count, name) in all.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

/// What a run amounts to, its warm-up left out.
///
/// Of a closed loop those requests count whose answer was complete within the measured time, of an open loop those that
/// were due in it (they are waited for).
#[derive(Clone, Debug)]
pub struct LoadResult {
    /// Complete answers of any status.
    pub requests: u64,
    /// Requests without one.
    pub errors: Errors,
    /// Of `requests`, those whose status was not 2xx. Their latencies are in the histogram too: mind that an error is
    /// often fast.
    pub non_2xx: u64,
    /// Bytes received, heads included, warm-up included.
    pub bytes: u64,
    /// The measured time; of an open loop until its last answer.
    pub elapsed: Duration,
    /// Microseconds from the intended send to the last byte of the answer, connecting included; one entry per request.
    pub histogram: Histogram<u64>,
    /// Connections opened in place of ones that had ended, warm-up included.
    pub reconnects: u64,
    /// Requests still unanswered when the run ended: neither answers nor errors.
    pub unfinished: u64,
    /// Requests of an open loop that were due and never sent, as every connection was busy to the end.
    pub unsent: u64,
    /// Share of its time that the driver's thread was not asleep, 0..=1. Near 1 the driver is the bottleneck, and its
    /// latencies are its own.
    pub busy_share: f64,
}

impl LoadResult {
    /// Answers a second; 0 for a run of no length.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.requests as f64 / seconds } else { 0.0 }
    }

    /// Mean latency in milliseconds; `None` without answers.
    pub fn mean_ms(&self) -> Option<f64> {
        (!self.histogram.is_empty()).then(|| self.histogram.mean() / 1e3)
    }

    /// Latency in milliseconds that `quantile` (0..=1) of the requests did not exceed; `None` without answers.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        (!self.histogram.is_empty()).then(|| self.histogram.value_at_quantile(quantile) as f64 / 1e3)
    }
}

/// Which requests count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Time,
    pub(super) until: Time,
    /// By when a request was due rather than by when it ended.
    pub(super) by_intent: bool,
}

impl Window {
    fn has(&self, intended: Time, ended: Time) -> bool {
        let at = if self.by_intent { intended } else { ended };
        self.from <= at && at < self.until
    }
}

/// Counts while a run goes on.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) window: Window,
    /// Answers and errors at any time, for the progress.
    pub(super) seen: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
    pub(super) reconnects: u64,
    requests: u64,
    non_2xx: u64,
    errors: Errors,
    histogram: Histogram<u64>,
    last: Time,
}

impl Tally {
    pub(super) fn new(window: Window) -> io::Result<Tally> {
        // All its memory comes now: 190 KiB, of which a workload touches a few.
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS).map_err(io::Error::other)?;
        Ok(Tally {
            window,
            seen: 0,
            failed: 0,
            bytes: 0,
            reconnects: 0,
            requests: 0,
            non_2xx: 0,
            errors: Errors::default(),
            histogram,
            last: window.from,
        })
    }

    pub(super) fn answered(&mut self, intended: Time, now: Time, status: u16) {
        self.seen += 1;
        if self.window.has(intended, now) {
            self.requests += 1;
            self.non_2xx += u64::from(!(200..300).contains(&status));
            self.histogram.saturating_record(now.micros_since(intended).clamp(1, LATENCY_US_MAX));
            self.last = now;
        }
    }

    pub(super) fn failed(&mut self, kind: ErrorKind, intended: Time, now: Time) {
        self.failed += 1;
        if self.window.has(intended, now) {
            self.errors.count(kind);
        }
    }

    /// The end of the run. `busy_share` as in [`LoadResult`].
    pub(super) fn finish(self, unfinished: u64, unsent: u64, busy_share: f64) -> LoadResult {
        let until = if self.window.by_intent { self.window.until.max(self.last) } else { self.window.until };
        LoadResult {
            requests: self.requests,
            errors: self.errors,
            non_2xx: self.non_2xx,
            bytes: self.bytes,
            elapsed: until.since(self.window.from),
            histogram: self.histogram,
            reconnects: self.reconnects,
            unfinished,
            unsent,
            busy_share,
        }
    }
}
