//! The two averages of the original system, shared by its three modes, and its console lines.
//!
//! A sample is whole milliseconds, halves rounded to even as Python's `round` does; zero is not recorded; a sample
//! goes into both averages whatever the mode; an error is a sample like any other. That is kept exactly, hazards
//! included: a backend that refuses within half a millisecond while unmeasured rounds to zero, is never measured and
//! so gets every request for ever; one that refuses within 1-2 ms becomes the best average. Use `least-time` or
//! `elastic` where that matters. Deliberately absent: in-flight counts and weights, which the original never looks at.

use std::fmt;

use super::{Candidate, Observation, Outcome, Pick, Reason, Stage, remap};

/// Samples the moving average keeps.
const SMA_SAMPLES: usize = 3;
/// Weight of the newest sample in the exponential average.
const EWMA_ALPHA: f64 = 0.2;

/// Both averages of every backend, in milliseconds.
#[derive(Clone, Debug)]
pub struct OriginalAverages {
    backends: Vec<Averages>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Averages {
    ring: [f64; SMA_SAMPLES],
    samples: u64,
    ewma: Option<f64>,
}

impl OriginalAverages {
    /// Nothing measured, for `backends` backends.
    pub fn new(backends: usize) -> OriginalAverages {
        OriginalAverages { backends: vec![Averages::default(); backends] }
    }

    /// Takes an observation as the original does: at the end of the exchange, success or failure alike.
    ///
    /// The original has no notion of a client that left, so an abandoned request is not a sample here.
    pub fn observe(&mut self, seen: &Observation) {
        if seen.stage == Stage::End && seen.outcome != Outcome::Abandoned {
            self.record(seen.backend, seen.latency_ms);
        }
    }

    /// Records one latency into both averages of `backend`.
    pub fn record(&mut self, backend: usize, latency_ms: f64) {
        let sample = latency_ms.round_ties_even();
        let Some(averages) = self.backends.get_mut(backend) else { return };
        if sample > 0.0 && sample.is_finite() {
            averages.ring[averages.samples as usize % SMA_SAMPLES] = sample;
            averages.samples += 1;
            averages.ewma =
                Some(averages.ewma.map_or(sample, |old| EWMA_ALPHA * sample + (1.0 - EWMA_ALPHA) * old));
        }
    }

    /// Mean of the last three samples of `backend`, `None` before the first.
    pub fn sma(&self, backend: usize) -> Option<f64> {
        let averages = self.backends.get(backend)?;
        let kept = averages.samples.min(SMA_SAMPLES as u64) as usize;
        (kept > 0).then(|| averages.ring[..kept].iter().sum::<f64>() / kept as f64)
    }

    /// Exponential average of `backend`, `None` before the first sample.
    pub fn ewma(&self, backend: usize) -> Option<f64> {
        self.backends.get(backend)?.ewma
    }

    /// Moves the state to a new backend list, as [`super::Policy::rebuild`].
    pub fn rebuild(&mut self, keep: &[Option<usize>]) {
        remap(&mut self.backends, keep, Averages::default);
    }
}

/// The rule both adaptive modes share: the first unmeasured backend in configured order, however much it already has
/// in flight; else the least average, ties to the first.
pub(super) fn pick_least(candidates: &[Candidate], average: impl Fn(usize) -> Option<f64>) -> Option<Pick> {
    let unmeasured =
        candidates.iter().enumerate().find(|(i, candidate)| candidate.up && average(*i).is_none());
    if let Some((backend, _)) = unmeasured {
        return Some(Pick::new(backend, Reason::Unmeasured));
    }
    let backend = super::least(candidates, |i, _| average(i).unwrap_or(f64::NAN))?;
    Some(Pick::new(backend, Reason::Best))
}

/// Writes the original's console lines for one decision, newline included.
///
/// `tag` is what stands in the brackets and `plural` what the averages are called (`EWMAs`); without it only the
/// choice is written. `averages` must be as they were when the pick was made. Backends are labelled by port.
pub(super) fn write_decision<U: AsRef<str>>(
    out: &mut impl fmt::Write,
    tag: &str,
    plural: Option<&str>,
    urls: &[U],
    pick: Pick,
    average: impl Fn(usize) -> Option<f64>,
) -> fmt::Result {
    let chosen = urls.get(pick.backend).map_or("?", AsRef::as_ref);
    let Some(plural) = plural else { return writeln!(out, "[{tag}] Chosen: {chosen}") };
    if pick.probe {
        return writeln!(out, "[{tag}] Probing unmeasured: {chosen}");
    }
    write!(out, "[{tag}] {plural}: ")?;
    write_averages(out, urls, "ms", average)?;
    writeln!(out, "[{tag}] Chosen: {chosen}")
}

/// `8081=405.1ms, 8082=211.8ms` and a newline; a backend without a number is left out.
pub(super) fn write_averages<U: AsRef<str>>(
    out: &mut impl fmt::Write,
    urls: &[U],
    unit: &str,
    average: impl Fn(usize) -> Option<f64>,
) -> fmt::Result {
    let mut separator = "";
    for (index, url) in urls.iter().enumerate() {
        if let Some(value) = average(index) {
            write!(out, "{separator}{}={value:.1}{unit}", port_label(url.as_ref()))?;
            separator = ", ";
        }
    }
    writeln!(out)
}

/// The port of a URL or address, or all of it when it names none.
pub(super) fn port_label(url: &str) -> &str {
    let authority = url.trim_end_matches('/');
    match authority.rsplit_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => port,
        _ => url,
    }
}
