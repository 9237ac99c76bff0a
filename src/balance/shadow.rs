//! Other policies on the same traffic: each is asked whenever the live one is, and told how the live picks went.
//!
//! What it shows is how often a policy would have done the same, and how those requests fared. It cannot show what the
//! other picks would have brought: nobody sent them. And what a shadow learns from, it learns at the live policy's mix
//! and load; the figures are a hint what to try, not a measurement of it. One that insists on measuring a backend which the
//! live policy never asks waits for that answer for ever, and disagrees meanwhile.
//!
//! A shadow sees the live in-flight counts, draws from a generator of its own, and is told that an answer was to its
//! probe only where it agreed. Deliberately absent: sockets, clocks, files.

use serde::Serialize;

use super::variant::Variant;
use super::{AnyPolicy, Candidate, Observation, Outcome, Pick, Policy, Stage};
use crate::clock::Time;

/// Shadows at once: each costs every request a pick and two observations.
pub const SHADOWS_MAX: usize = 16;

/// Who agreed with one live pick; goes back with its observations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// One bit per shadow.
    agreed: u16,
    /// Of these, whose pick was a probe.
    probe: u16,
    /// The list of shadows these are of.
    generation: u16,
}

/// Shadow policies and what became of the requests they watched.
#[derive(Clone, Debug, Default)]
pub struct Shadows {
    each: Vec<Shadow>,
    generation: u16,
}

#[derive(Clone, Debug)]
struct Shadow {
    policy: AnyPolicy,
    draw: fastrand::Rng,
    counts: ShadowCounts,
}

/// What one shadow came to; plain sums, so that two of them can be subtracted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShadowCounts {
    /// Which policy.
    pub variant: Variant,
    /// Picks it was asked for.
    pub decisions: u64,
    /// Of these, the ones it would have made as the live policy did.
    pub agreed: u64,
    /// Attempts answered, well or badly; not those the client gave up.
    pub answered: u64,
    /// Their latencies added up, ms.
    pub sum_ms: f64,
    /// Of the answered, those it agreed with.
    pub answered_agreed: u64,
    /// Their latencies added up, ms.
    pub sum_ms_agreed: f64,
}

/// [`ShadowCounts`] as shown. Means are `None` when there is nothing to take one of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShadowFigures {
    /// Name of the policy.
    pub routing: &'static str,
    /// Picks it was asked for.
    pub decisions: u64,
    /// Of these, the ones it would have made as the live policy did.
    pub agreed: u64,
    /// Their share, 0..=1.
    pub agreed_share: f64,
    /// Mean latency of the requests it agreed with.
    pub mean_ms_agreed: Option<f64>,
    /// Mean latency of all requests since it was asked first.
    pub mean_ms_all: Option<f64>,
}

impl ShadowCounts {
    /// What has come since `earlier`; all of it when that is not an earlier state of the same.
    pub fn since(&self, earlier: &ShadowCounts) -> ShadowCounts {
        if earlier.variant != self.variant || earlier.decisions > self.decisions {
            return *self;
        }
        ShadowCounts {
            variant: self.variant,
            decisions: self.decisions - earlier.decisions,
            agreed: self.agreed.saturating_sub(earlier.agreed),
            answered: self.answered.saturating_sub(earlier.answered),
            sum_ms: self.sum_ms - earlier.sum_ms,
            answered_agreed: self.answered_agreed.saturating_sub(earlier.answered_agreed),
            sum_ms_agreed: self.sum_ms_agreed - earlier.sum_ms_agreed,
        }
    }

    /// As shown.
    pub fn figures(&self) -> ShadowFigures {
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        ShadowFigures {
            routing: self.variant.name(),
            decisions: self.decisions,
            agreed: self.agreed,
            agreed_share: mean(self.agreed as f64, self.decisions).unwrap_or(0.0),
            mean_ms_agreed: mean(self.sum_ms_agreed, self.answered_agreed),
            mean_ms_all: mean(self.sum_ms, self.answered),
        }
    }
}

impl Shadow {
    fn new(variant: Variant, backends: usize, seed: u64) -> Shadow {
        let counts = ShadowCounts { variant, ..ShadowCounts::default() };
        Shadow { policy: variant.build(backends), draw: fastrand::Rng::with_seed(seed), counts }
    }
}

impl Shadows {
    /// One of each of `variants`, [`SHADOWS_MAX`] at most; further ones are ignored.
    pub fn new(variants: &[Variant], backends: usize, seed: u64) -> Shadows {
        let one = |(index, variant): (usize, &Variant)| Shadow::new(*variant, backends, seed ^ index as u64);
        Shadows { each: variants.iter().take(SHADOWS_MAX).enumerate().map(one).collect(), generation: 0 }
    }

    /// Whether there is none: then nothing here need be called.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Asks every shadow, with what the live policy was told when it made `live`.
    pub fn pick(&mut self, candidates: &[Candidate], now: Time, live: Pick) -> Agreement {
        let mut agreement = Agreement { generation: self.generation, ..Agreement::default() };
        for (index, shadow) in self.each.iter_mut().enumerate() {
            let Some(pick) = shadow.policy.pick(candidates, now, &mut shadow.draw) else { continue };
            shadow.counts.decisions += 1;
            if pick.backend == live.backend {
                shadow.counts.agreed += 1;
                agreement.agreed |= 1 << index;
                agreement.probe |= u16::from(pick.probe) << index;
            }
        }
        agreement
    }

    /// Tells every shadow what the live policy is told.
    pub fn observe(&mut self, candidates: &[Candidate], seen: &Observation, agreement: Agreement, now: Time) {
        // Of a list that was reloaded since: nobody here made that pick.
        let agreement =
            if agreement.generation == self.generation { agreement } else { Agreement::default() };
        let counts =
            seen.stage == Stage::End && seen.outcome != Outcome::Abandoned && seen.latency_ms.is_finite();
        for (index, shadow) in self.each.iter_mut().enumerate() {
            let probe = agreement.probe >> index & 1 == 1;
            shadow.policy.observe(candidates, &Observation { probe, ..*seen }, now);
            if counts {
                shadow.counts.answered += 1;
                shadow.counts.sum_ms += seen.latency_ms;
                if agreement.agreed >> index & 1 == 1 {
                    shadow.counts.answered_agreed += 1;
                    shadow.counts.sum_ms_agreed += seen.latency_ms;
                }
            }
        }
    }

    /// Adopts another list of shadows and of backends; those named before go on as they are.
    pub fn adopt(&mut self, variants: &[Variant], keep: &[Option<usize>], seed: u64) {
        let before: Vec<Variant> = self.each.iter().map(|shadow| shadow.counts.variant).collect();
        let variants = &variants[..variants.len().min(SHADOWS_MAX)];
        let mut old = std::mem::take(&mut self.each);
        for (index, variant) in variants.iter().enumerate() {
            let shadow = match old.iter().position(|shadow| shadow.counts.variant == *variant) {
                Some(at) => {
                    let mut shadow = old.swap_remove(at);
                    shadow.policy.rebuild(keep);
                    shadow
                }
                None => Shadow::new(*variant, keep.len(), seed ^ index as u64),
            };
            self.each.push(shadow);
        }
        if before != variants {
            self.generation = self.generation.wrapping_add(1);
        }
    }

    /// What each came to, in configured order.
    pub fn counts(&self) -> impl Iterator<Item = ShadowCounts> {
        self.each.iter().map(|shadow| shadow.counts)
    }
}
