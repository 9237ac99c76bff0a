//! What is learned about one backend.

use super::pool::{Pool, decay};
use super::{Candidate, NEAR_LEAST, millis_between};
use crate::clock::Time;

/// Time constant of the window, ms: sums, so that every sample inside it weighs the same.
const WINDOW_MS: f64 = 5_000.0;
/// ... and what a sample loses to each later one, which bounds the window in samples too.
const SAMPLE_KEPT: f64 = 0.999;
/// Samples at the pool's mean that a backend's own are mixed with.
const SHRINK: f64 = 5.0;
/// A sample counts up to this multiple of the pool's mean.
const OUTLIER: f64 = 8.0;
/// Slower than this multiple of the pool's mean, a backend is probed less and less often.
const SLOW: f64 = 1.5;
const PROBE_MS: f64 = 1_000.0;
const PROBE_MAX_MS: f64 = 4_000.0;
/// Fewer samples than this say nothing about elasticity.
const RELATIVE_MIN: f64 = 3.0;
const YOUNG_MS: f64 = 60_000.0;
const YOUNG_ANSWERS: u32 = 500;
const RAMP_MS: f64 = 10_000.0;

/// State per backend.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// L, 0 while unmeasured; and its logarithm.
    pub(super) latency_ms: f64,
    pub(super) ln_latency: f64,
    /// Silence below this, in nanoseconds, cannot raise the score: the whole part of L / 1.15 (see `NEAR_LEAST`).
    pub(super) patience_ns: u64,
    /// In flight, the next one included, up to which the score is not held back.
    pub(super) limit: f64,
    /// When it last answered, or was given work while it had none.
    pub(super) last_answer: Time,
    pub(super) last_pick: Time,
    /// Whether it was ever picked.
    pub(super) asked: bool,
    /// Not picked for this long, it is worth a probe.
    pub(super) probe_after_ms: f64,
    /// Decayed sums over samples: of 1, latency, latency squared (tail mode only) and concurrency.
    count: f64,
    sum_ms: f64,
    sum_squares: f64,
    sum_concurrency: f64,
    recorded: Time,
    near: NearLn,
    /// Requests without a head yet. In flight also counts long streams, which are no sign of a stall.
    waiting: u32,
    served: u32,
}

impl Host {
    pub(super) const fn new() -> Host {
        Host {
            latency_ms: 0.0,
            ln_latency: 0.0,
            patience_ns: 0,
            limit: 2.0 + 4.0,
            last_answer: Time::ZERO,
            last_pick: Time::ZERO,
            asked: false,
            probe_after_ms: PROBE_MS,
            count: 0.0,
            sum_ms: 0.0,
            sum_squares: 0.0,
            sum_concurrency: 0.0,
            recorded: Time::ZERO,
            near: NearLn { inverse: f64::INFINITY, ln: 0.0 },
            waiting: 0,
            served: 0,
        }
    }

    /// Requests still without a head. Bounded by what is in flight, so that a pick never dispatched cannot leak.
    pub(super) fn waiting(&self, candidate: &Candidate) -> u32 {
        self.waiting.min(candidate.in_flight)
    }

    /// Whether it joined later and has not had time to show what it can do.
    pub(super) fn is_young(&self, candidate: &Candidate, now: Time) -> bool {
        candidate.joined > Time::ZERO
            && self.served < YOUNG_ANSWERS
            && millis_between(candidate.joined, now) < YOUNG_MS
    }

    pub(super) fn dispatched(&mut self, candidate: &Candidate, now: Time) {
        self.waiting = self.waiting(candidate) + 1;
        self.last_pick = now;
        if self.waiting == 1 {
            self.last_answer = now;
        }
    }

    pub(super) fn answered(&mut self, now: Time) {
        self.waiting = self.waiting.saturating_sub(1);
        self.last_answer = now;
    }

    /// What an answer to somebody else's request must not change, or not turn back.
    pub(super) fn own(&self) -> (u32, Time) {
        (self.waiting, self.last_answer)
    }

    /// An answer at `now` was another worker's: none of our own requests has its head, but the backend was picked and
    /// has answered.
    pub(super) fn heard(&mut self, (waiting, last_answer): (u32, Time), now: Time) {
        self.waiting = waiting;
        self.last_answer = last_answer.max(now);
        self.last_pick = self.last_pick.max(now);
    }

    /// Concurrency and latency of a request relative to this backend's own means, less one; bounded, because one
    /// wild sample must not decide the slope.
    pub(super) fn relative(&self, concurrency: f64, latency_ms: f64) -> Option<(f64, f64)> {
        (self.count > RELATIVE_MIN && self.sum_ms > 0.0).then(|| {
            let load = (concurrency * self.count / self.sum_concurrency - 1.0).min(2.0);
            let latency = (latency_ms * self.count / self.sum_ms - 1.0).min(3.0);
            (load, latency)
        })
    }

    /// Takes a sample; `stale` says that it answers a probe of a backend not used for long.
    pub(super) fn record(
        &mut self,
        latency_ms: f64,
        concurrency: f64,
        stale: bool,
        tail: bool,
        pool: &Pool,
        now: Time,
    ) {
        let mean = pool.mean_ms;
        let latency_ms = latency_ms.min(OUTLIER * mean);
        let good = latency_ms <= SLOW * mean;
        let mut kept = decay(self.recorded, now, WINDOW_MS) * SAMPLE_KEPT;
        if stale && good {
            kept /= 2.0; // it has recovered: forget faster
        }
        self.recorded = self.recorded.max(now);
        self.served = self.served.saturating_add(1);
        self.count = self.count * kept + 1.0;
        self.sum_ms = self.sum_ms * kept + latency_ms;
        self.sum_concurrency = self.sum_concurrency * kept + concurrency;
        let per_sample = 1.0 / (self.count + SHRINK);
        self.latency_ms = (self.sum_ms + SHRINK * mean) * per_sample;
        if tail {
            self.sum_squares = self.sum_squares * kept + latency_ms * latency_ms;
            let own = self.sum_ms / self.count;
            self.latency_ms += (self.sum_squares / self.count - own * own).max(0.0).sqrt();
        }
        self.ln_latency = self.near.ln(self.latency_ms);
        self.patience_ns = (self.latency_ms * (1e6 / NEAR_LEAST)) as u64;
        self.limit = 2.0 * (self.sum_concurrency + SHRINK) * per_sample + 4.0;
        let better_than_thought = latency_ms * NEAR_LEAST < self.latency_ms;
        self.probe_after_ms = if stale && good && (better_than_thought || self.latency_ms > SLOW * mean) {
            0.0 // it is recovering, and what is known of it is old: the next look comes as soon as the spacing allows
        } else if !stale || self.latency_ms <= SLOW * mean {
            PROBE_MS
        } else {
            (2.0 * self.probe_after_ms).clamp(PROBE_MS, PROBE_MAX_MS)
        };
    }
}

/// A logarithm that was taken once and serves its neighbourhood: an estimate moves by slivers.
#[derive(Clone, Debug)]
struct NearLn {
    /// One over the number it was taken of.
    inverse: f64,
    ln: f64,
}

impl NearLn {
    /// `ln(value)`, to 2e-11. Always measured from the number it was taken of, so that errors do not add up.
    fn ln(&mut self, value: f64) -> f64 {
        let d = value * self.inverse - 1.0;
        if d.abs() < 0.02 {
            return self.ln
                + d * (1.0 - d * (1.0 / 2.0 - d * (1.0 / 3.0 - d * (1.0 / 4.0 - d * (1.0 / 5.0)))));
        }
        *self = NearLn { inverse: 1.0 / value, ln: value.ln() };
        self.ln
    }
}

/// Logarithm of the share of its score a newcomer is credited with: 0.1 rising to 1 over ten seconds.
pub(super) fn ln_ramp(candidate: &Candidate, now: Time) -> f64 {
    (millis_between(candidate.joined, now) / RAMP_MS).clamp(0.1, 1.0).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_logarithm_nearby_is_good_enough() {
        let mut near = NearLn { inverse: f64::INFINITY, ln: 0.0 };
        let mut value: f64 = 1e-6;
        for step in 0..100_000 {
            assert!((near.ln(value) - value.ln()).abs() < 2e-11, "{value}");
            value *= if step % 3 == 0 { 0.999 } else { 1.001 };
        }
        assert_eq!(near.ln(5e8), 5e8f64.ln());
    }
}
