//! The names of the policies, and one type that is any of them.
//!
//! [`Routing`] is what a flag or a log column says; [`AnyPolicy`] is the thing itself, dispatched by a `match` so that
//! the hot path has no virtual call. Deliberately absent: any rule of choice.

use std::fmt;
use std::str::FromStr;

use super::elastic::Elastic;
use super::ewma::Ewma;
use super::least_connections::LeastConnections;
use super::least_time::LeastTime;
use super::p2c::TwoChoices;
use super::peak_ewma::PeakEwma;
use super::random::Random;
use super::round_robin::RoundRobin;
use super::sma::Sma;
use super::{Candidate, Observation, OriginalAverages, Pick, Policy, Stage, original};
use crate::clock::Time;

/// The name of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Routing {
    /// The original's round robin, exactly.
    RoundRobin,
    /// The original's moving average of three, exactly.
    AdaptiveSma,
    /// The original's exponential average, exactly.
    AdaptiveEwma,
    /// Drawn at random by weight.
    Random,
    /// Fewest in flight per weight.
    LeastConnections,
    /// The less loaded of two drawn at random.
    TwoChoices,
    /// Finagle's Peak EWMA, two choices.
    PeakEwma,
    /// The original's averages, repaired.
    LeastTime,
    /// Least latency, with the in-flight exponent learned from the pool.
    #[default]
    Elastic,
}

/// Which average `least-time` keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Average {
    /// Exponential, alpha 0.02.
    #[default]
    Ewma,
    /// Of the last 100 samples.
    Sma,
}

/// What some policies can be told beyond their name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// `elastic` minds the spread of a backend's latency as well as its mean.
    pub tail: bool,
    /// The average `least-time` keeps.
    pub average: Average,
}

/// A routing name nobody knows. Displays as one line naming what is valid; what may have been meant is for the command
/// line to say (config/value.rs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRouting {
    pub(super) name: String,
}

impl Routing {
    /// Every policy, in the order help texts list them.
    pub const ALL: [Routing; 9] = [
        Routing::RoundRobin,
        Routing::AdaptiveSma,
        Routing::AdaptiveEwma,
        Routing::Random,
        Routing::LeastConnections,
        Routing::TwoChoices,
        Routing::PeakEwma,
        Routing::LeastTime,
        Routing::Elastic,
    ];

    /// The canonical name, as flags and logs spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Routing::RoundRobin => "round-robin",
            Routing::AdaptiveSma => "adaptive_sma",
            Routing::AdaptiveEwma => "adaptive_ewma",
            Routing::Random => "random",
            Routing::LeastConnections => "least-connections",
            Routing::TwoChoices => "p2c",
            Routing::PeakEwma => "peak-ewma",
            Routing::LeastTime => "least-time",
            Routing::Elastic => "elastic",
        }
    }

    /// Whether this is one of the original's three modes, which know no ejection, no weights and no retries.
    pub const fn is_exact(self) -> bool {
        matches!(self, Routing::RoundRobin | Routing::AdaptiveSma | Routing::AdaptiveEwma)
    }

    /// The policy itself, for `backends` backends.
    pub fn build(self, backends: usize, options: Options) -> AnyPolicy {
        match self {
            Routing::RoundRobin => AnyPolicy::RoundRobin(RoundRobin::new(backends)),
            Routing::AdaptiveSma => AnyPolicy::AdaptiveSma(Sma::new(backends)),
            Routing::AdaptiveEwma => AnyPolicy::AdaptiveEwma(Ewma::new(backends)),
            Routing::Random => AnyPolicy::Random(Random),
            Routing::LeastConnections => AnyPolicy::LeastConnections(LeastConnections::new(backends)),
            Routing::TwoChoices => AnyPolicy::TwoChoices(TwoChoices),
            Routing::PeakEwma => AnyPolicy::PeakEwma(PeakEwma::new(backends)),
            Routing::LeastTime => AnyPolicy::LeastTime(LeastTime::new(backends, options.average)),
            Routing::Elastic => AnyPolicy::Elastic(Elastic::new(backends, options.tail)),
        }
    }
}

impl fmt::Display for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Routing {
    type Err = UnknownRouting;

    /// Exact names; `-` and `_` are the same letter.
    fn from_str(name: &str) -> Result<Routing, UnknownRouting> {
        let same = |a: &str, b: &str| a.len() == b.len() && a.bytes().map(dashed).eq(b.bytes().map(dashed));
        let found = Routing::ALL.into_iter().find(|routing| same(routing.name(), name));
        found.ok_or_else(|| UnknownRouting { name: name.to_owned() })
    }
}

const fn dashed(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

impl std::error::Error for UnknownRouting {}

impl fmt::Display for UnknownRouting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown routing {:?}", self.name)?;
        f.write_str(" (valid: ")?;
        for (index, routing) in Routing::ALL.into_iter().enumerate() {
            write!(f, "{}{routing}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(")")
    }
}

/// Any of the policies. There is one per event loop, so the size of the largest does not matter.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the variants are Routing's
pub enum AnyPolicy {
    RoundRobin(RoundRobin),
    AdaptiveSma(Sma),
    AdaptiveEwma(Ewma),
    Random(Random),
    LeastConnections(LeastConnections),
    TwoChoices(TwoChoices),
    PeakEwma(PeakEwma),
    LeastTime(LeastTime),
    Elastic(Elastic),
}

macro_rules! dispatch {
    ($policy:expr, $inner:ident => $call:expr) => {
        match $policy {
            AnyPolicy::RoundRobin($inner) => $call,
            AnyPolicy::AdaptiveSma($inner) => $call,
            AnyPolicy::AdaptiveEwma($inner) => $call,
            AnyPolicy::Random($inner) => $call,
            AnyPolicy::LeastConnections($inner) => $call,
            AnyPolicy::TwoChoices($inner) => $call,
            AnyPolicy::PeakEwma($inner) => $call,
            AnyPolicy::LeastTime($inner) => $call,
            AnyPolicy::Elastic($inner) => $call,
        }
    };
}

impl Policy for AnyPolicy {
    fn pick(&mut self, candidates: &[Candidate], now: Time, draw: &mut fastrand::Rng) -> Option<Pick> {
        dispatch!(self, policy => policy.pick(candidates, now, draw))
    }

    fn observe(&mut self, candidates: &[Candidate], seen: &Observation, now: Time) {
        dispatch!(self, policy => policy.observe(candidates, seen, now));
    }

    fn observe_elsewhere(&mut self, candidates: &[Candidate], seen: &Observation, now: Time) {
        dispatch!(self, policy => policy.observe_elsewhere(candidates, seen, now));
    }

    fn score(&self, backend: usize, candidates: &[Candidate], now: Time) -> Option<f64> {
        dispatch!(self, policy => policy.score(backend, candidates, now))
    }

    fn estimate_ms(&self, backend: usize) -> Option<f64> {
        dispatch!(self, policy => policy.estimate_ms(backend))
    }

    fn rebuild(&mut self, keep: &[Option<usize>]) {
        dispatch!(self, policy => policy.rebuild(keep));
    }
}

impl AnyPolicy {
    /// Its name.
    pub const fn routing(&self) -> Routing {
        match self {
            AnyPolicy::RoundRobin(_) => Routing::RoundRobin,
            AnyPolicy::AdaptiveSma(_) => Routing::AdaptiveSma,
            AnyPolicy::AdaptiveEwma(_) => Routing::AdaptiveEwma,
            AnyPolicy::Random(_) => Routing::Random,
            AnyPolicy::LeastConnections(_) => Routing::LeastConnections,
            AnyPolicy::TwoChoices(_) => Routing::TwoChoices,
            AnyPolicy::PeakEwma(_) => Routing::PeakEwma,
            AnyPolicy::LeastTime(_) => Routing::LeastTime,
            AnyPolicy::Elastic(_) => Routing::Elastic,
        }
    }

    /// Whether an observation at `stage` can change anything: one that cannot need not be made. `head_seen` is that of
    /// the [`Observation`].
    #[inline]
    pub const fn hears(&self, stage: Stage, head_seen: bool) -> bool {
        match self {
            AnyPolicy::Random(_) | AnyPolicy::LeastConnections(_) | AnyPolicy::TwoChoices(_) => false,
            AnyPolicy::RoundRobin(_)
            | AnyPolicy::AdaptiveSma(_)
            | AnyPolicy::AdaptiveEwma(_)
            | AnyPolicy::LeastTime(_) => matches!(stage, Stage::End),
            AnyPolicy::PeakEwma(_) => matches!(stage, Stage::Head),
            AnyPolicy::Elastic(_) => !(matches!(stage, Stage::End) && head_seen),
        }
    }

    /// The exponent that `elastic` has learned, when that is the policy.
    pub const fn gamma(&self) -> Option<f64> {
        match self {
            AnyPolicy::Elastic(policy) => Some(policy.gamma()),
            _ => None,
        }
    }

    /// The original's averages, when the policy is one of its three modes.
    pub const fn original_averages(&self) -> Option<&OriginalAverages> {
        match self {
            AnyPolicy::RoundRobin(policy) => Some(&policy.averages),
            AnyPolicy::AdaptiveSma(policy) => Some(&policy.averages),
            AnyPolicy::AdaptiveEwma(policy) => Some(&policy.averages),
            _ => None,
        }
    }

    /// Writes the console lines of `--log-decisions` for a pick just made, each with its newline.
    ///
    /// For the original's modes they read as the original's, with `urls` as configured (`http://localhost:8082`); for
    /// the others they show the scores. Call it before the dispatch is counted and before anything is observed.
    ///
    /// # Errors
    /// Only those of `out`.
    pub fn write_decision<U: AsRef<str>>(
        &self,
        out: &mut impl fmt::Write,
        urls: &[U],
        candidates: &[Candidate],
        pick: Pick,
        now: Time,
    ) -> fmt::Result {
        let score = |backend| self.score(backend, candidates, now);
        match self {
            AnyPolicy::RoundRobin(_) => original::write_decision(out, "RR", None, urls, pick, score),
            AnyPolicy::AdaptiveSma(_) => {
                original::write_decision(out, "SMA", Some("SMAs"), urls, pick, score)
            }
            AnyPolicy::AdaptiveEwma(_) => {
                original::write_decision(out, "EWMA", Some("EWMAs"), urls, pick, score)
            }
            _ => {
                let name = self.routing();
                if (0..candidates.len()).any(|backend| score(backend).is_some()) {
                    write!(out, "[{name}] scores: ")?;
                    original::write_averages(out, urls, "", score)?;
                }
                let verb = if pick.probe { "Probing" } else { "Chosen" };
                writeln!(out, "[{name}] {verb}: {}", urls.get(pick.backend).map_or("?", AsRef::as_ref))
            }
        }
    }
}
