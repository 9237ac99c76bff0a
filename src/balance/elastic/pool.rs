//! What is learned across all backends: the mean latency and the elasticity.

use super::millis_between;
use crate::clock::Time;

/// Time constant of the pool's mean latency, ms.
const MEAN_MS: f64 = 5_000.0;
/// Time constant of the regression, ms.
const REGRESSION_MS: f64 = 30_000.0;
/// The regression starts as if this much had been seen at elasticity 0.5, that is gamma 1.
const PRIOR: f64 = 4.0;

/// Pool-wide state.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// Decayed mean of all samples; 1 before the first, so that scores are those of least connections.
    pub(super) mean_ms: f64,
    pub(super) gamma: f64,
    gamma_min: f64,
    count: f64,
    sum_ms: f64,
    recorded: Time,
    /// Regression of relative latency on relative load: sums of x*x and x*y.
    xx: f64,
    xy: f64,
    regressed: Time,
}

impl Pool {
    pub(super) fn new(tail: bool) -> Pool {
        let _ = tail;
        Pool {
            mean_ms: 1.0,
            gamma: 1.0,
            gamma_min: 0.1,
            count: 0.0,
            sum_ms: 0.0,
            recorded: Time::ZERO,
            xx: 0.0,
            xy: 0.0,
            regressed: Time::ZERO,
        }
    }

    /// Adds a point of the regression and moves gamma, twice the elasticity: once for the delay a request will see,
    /// once for the delay it puts on those behind it.
    pub(super) fn learn_elasticity(&mut self, load: f64, latency: f64, now: Time) {
        let kept = decay(self.regressed, now, REGRESSION_MS);
        self.xx = self.xx * kept + load * load;
        self.xy = self.xy * kept + load * latency;
        self.regressed = self.regressed.max(now);
        self.gamma = (2.0 * (self.xy + PRIOR * 0.5) / (self.xx + PRIOR)).clamp(self.gamma_min, 2.0);
    }

    pub(super) fn record(&mut self, latency_ms: f64, now: Time) {
        let kept = decay(self.recorded, now, MEAN_MS);
        self.count = self.count * kept + 1.0;
        self.sum_ms = self.sum_ms * kept + latency_ms;
        self.recorded = self.recorded.max(now);
        // Never 0, which means unmeasured elsewhere and has no logarithm.
        self.mean_ms = (self.sum_ms / self.count).max(1e-6);
    }

    /// The mean gap between answers of late; infinite before the first.
    pub(super) fn ms_per_request(&self) -> f64 {
        MEAN_MS / self.count
    }
}

/// `exp(-gap / constant)`.
pub(super) fn decay(earlier: Time, now: Time, constant_ms: f64) -> f64 {
    (-millis_between(earlier, now) / constant_ms).exp()
}
