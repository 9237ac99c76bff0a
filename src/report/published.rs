//! What the original's authors published: one laptop, wrk -t4 -c100 -d120s, figures from the proxy's own log.

use serde::Serialize;

use super::stats::Metric;

/// Figures of one of the original's six scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published {
    /// Requests a second.
    pub throughput: f64,
    /// Mean latency.
    pub mean_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
}

impl Published {
    /// The figure for `metric`, if one was published.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Throughput => Some(self.throughput),
            Metric::Mean => Some(self.mean_ms),
            Metric::P95 => Some(self.p95_ms),
            Metric::P50 | Metric::P99 => None,
        }
    }
}

/// The published figures of a mode and a routing, if they are one of the six.
pub(super) fn find(upstream: &str, routing: &str) -> Option<Published> {
    let [throughput, mean_ms, p95_ms] = match (upstream, routing) {
        ("persistent", "round-robin") => [494.9, 201.6, 416.0],
        ("persistent", "adaptive_sma") => [467.1, 213.6, 238.0],
        ("persistent", "adaptive_ewma") => [468.7, 213.0, 239.0],
        ("non-persistent", "round-robin") => [490.6, 203.3, 429.0],
        ("non-persistent", "adaptive_sma") => [437.3, 228.1, 416.0],
        ("non-persistent", "adaptive_ewma") => [442.5, 225.3, 416.0],
        _ => return None,
    };
    Some(Published { throughput, mean_ms, p95_ms })
}
