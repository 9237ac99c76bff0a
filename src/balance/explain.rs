//! The last decisions, each with everything it was made from.
//!
//! A decision is looked at in two steps: [`Explainer::consider`] just before the policy picks, because picking changes
//! what scores are made of, and [`Explainer::note`] after. Nothing is allocated once it is built, and a pick that is
//! not wanted costs one test of [`Explainer::wants`]. Words are made elsewhere ([`words`]), by whoever reads.
//!
//! Off, it still keeps one decision now and then, for the figures to say how the proxy thinks.

pub mod words;

use super::{AnyPolicy, Candidate, Pick, Policy, Reason, Variant};
use crate::clock::Time;

/// Decisions kept when it is on.
pub const DECISIONS_KEPT: usize = 200;
/// Backends described in one decision: the chosen one and the best ranked others.
pub const CANDIDATES_KEPT: usize = 16;
/// Bytes of a request target that are kept.
pub const PATH_BYTES: usize = 80;
/// Bytes of a method that are kept.
pub const METHOD_BYTES: usize = 16;

/// What was known of one backend when a decision was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Considered {
    /// Its index.
    pub backend: u32,
    /// Requests in flight there, this one not counted.
    pub in_flight: u32,
    /// What the policy ranked it by, less being better.
    pub score: Option<f64>,
    /// How long the policy expected it to take.
    pub estimate_ms: Option<f64>,
    /// Its weight.
    pub weight: f64,
    /// Its decayed share of failures.
    pub failure_rate: f64,
    /// Whether it could be chosen.
    pub up: bool,
    /// Whether the request had failed there before.
    pub tried: bool,
}

/// How the attempt that was decided on ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// The client's status; 0 when the attempt brought none.
    pub status: u16,
    /// As in the log.
    pub latency_ms: Option<f64>,
    /// `ok`, or what went wrong.
    pub reason: &'static str,
}

/// A short text kept by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: u8,
}

impl<const BYTES: usize> Short<BYTES> {
    /// The front of `text`.
    pub fn of(text: &[u8]) -> Short<BYTES> {
        let len = text.len().min(BYTES).min(u8::MAX as usize);
        let mut short = Short { bytes: [0; BYTES], len: len as u8 };
        short.bytes[..len].copy_from_slice(&text[..len]);
        short
    }

    /// As text; bytes that are none are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.len)]).into_owned()
    }
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Counts from 1.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// By which policy.
    pub policy: Variant,
    /// The backend chosen.
    pub backend: u32,
    /// Why.
    pub reason: Reason,
    /// Which attempt of its request, from 1.
    pub attempt: u32,
    /// The exponent `elastic` used.
    pub gamma: Option<f64>,
    /// Of the request.
    pub method: Short<METHOD_BYTES>,
    /// Target of the request.
    pub path: Short<PATH_BYTES>,
    /// How it ended, once it has.
    pub ended: Option<Ended>,
    /// Backends left out of [`Decision::candidates`].
    pub cut: u32,
    candidates: [Considered; CANDIDATES_KEPT],
    count: u8,
}

impl Decision {
    /// What it was made from, in configured order.
    pub fn candidates(&self) -> &[Considered] {
        &self.candidates[..usize::from(self.count)]
    }

    /// What was known of the backend chosen.
    pub fn chosen(&self) -> Option<&Considered> {
        self.candidates().iter().find(|candidate| candidate.backend == self.backend)
    }
}

/// What the caller knows of a decision that the policy does not.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The policy's name.
    pub policy: Variant,
    /// What it picked.
    pub pick: Pick,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The backend was out, and this is its trial.
    pub trial: bool,
    /// So many are out that all are used.
    pub panic: bool,
    /// Of the request.
    pub method: &'a [u8],
    /// Target of the request.
    pub path: &'a [u8],
}

impl About<'_> {
    /// The reason to give: what the caller arranged goes before what the policy saw.
    fn reason(&self, up: usize) -> Reason {
        match () {
            () if self.trial => Reason::Trial,
            () if self.attempt > 1 => Reason::Fallback,
            () if self.panic => Reason::Panic,
            () if up == 1 => Reason::Only,
            () => self.pick.reason,
        }
    }
}

/// Keeps the last decisions.
#[derive(Debug)]
pub struct Explainer {
    /// In order of `seq`, modulo its capacity.
    ring: Vec<Decision>,
    noted: u64,
    /// Noted before the ring was begun.
    base: u64,
    considered: Vec<Considered>,
    gamma: Option<f64>,
    is_on: bool,
    wanted: bool,
    changed: bool,
}

impl Explainer {
    /// Keeps [`DECISIONS_KEPT`] when `is_on`, else one.
    pub fn new(is_on: bool, backends: usize) -> Explainer {
        let kept = if is_on { DECISIONS_KEPT } else { 1 };
        Explainer {
            ring: Vec::with_capacity(kept),
            noted: 0,
            base: 0,
            considered: Vec::with_capacity(backends),
            gamma: None,
            is_on,
            wanted: true,
            changed: false,
        }
    }

    /// Forgets all decisions, because the list of backends or the wish to keep them has changed. Numbers go on.
    pub fn restart(&mut self, is_on: bool, backends: usize) {
        let noted = self.noted;
        *self = Explainer { noted, base: noted, ..Explainer::new(is_on, backends) };
    }

    /// Whether every decision is kept.
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether the next decision is to be kept.
    pub const fn wants(&self) -> bool {
        self.wanted
    }

    /// Asks for the next decision, even when off.
    pub fn want_one(&mut self) {
        self.wanted = true;
    }

    /// Takes down what the policy is about to choose from; backends whose bit is set in `tried` failed this request.
    #[cold]
    pub fn consider(&mut self, policy: &AnyPolicy, candidates: &[Candidate], tried: u64, now: Time) {
        let is_tried = |index: usize| tried.checked_shr(index as u32).unwrap_or(0) & 1 == 1;
        self.gamma = policy.gamma();
        self.considered.clear();
        self.considered.extend(candidates.iter().enumerate().map(|(index, candidate)| Considered {
            backend: index as u32,
            in_flight: candidate.in_flight,
            score: policy.score(index, candidates, now).filter(|score| score.is_finite()),
            estimate_ms: policy.estimate_ms(index).filter(|estimate| estimate.is_finite()),
            weight: candidate.weight,
            failure_rate: candidate.failure_rate,
            up: candidate.up,
            tried: is_tried(index),
        }));
    }

    /// Keeps the decision made of what was considered last. Returns its number, for [`Explainer::end`].
    #[cold]
    pub fn note(&mut self, about: &About<'_>, now: Time) -> u64 {
        let up = self.considered.iter().filter(|candidate| candidate.up).count();
        let count = self.keep_the_telling(about.pick.backend as u32);
        self.noted += 1;
        let Some(first) = self.considered.first() else { return 0 }; // nobody picks from nothing
        let mut decision = Decision {
            seq: self.noted,
            at: now,
            policy: about.policy,
            backend: about.pick.backend as u32,
            reason: about.reason(up),
            attempt: about.attempt,
            gamma: self.gamma,
            method: Short::of(about.method),
            path: Short::of(about.path),
            ended: None,
            cut: (self.considered.len() - count) as u32,
            candidates: [*first; CANDIDATES_KEPT],
            count: count as u8,
        };
        decision.candidates[..count].copy_from_slice(&self.considered[..count]);
        let slot = self.slot(self.noted);
        match self.ring.get_mut(slot) {
            Some(oldest) => *oldest = decision,
            None => self.ring.push(decision),
        }
        self.changed = true;
        self.wanted = self.is_on;
        self.noted
    }

    /// Moves what is worth keeping of the considered to the front, in configured order, and says how many that are.
    fn keep_the_telling(&mut self, chosen: u32) -> usize {
        if self.considered.len() > CANDIDATES_KEPT {
            let rank = |candidate: &Considered| {
                let score = candidate.score.unwrap_or(f64::INFINITY);
                (candidate.backend != chosen, !candidate.up, score, candidate.backend)
            };
            self.considered
                .sort_unstable_by(|a, b| rank(a).partial_cmp(&rank(b)).unwrap_or(a.backend.cmp(&b.backend)));
            self.considered[..CANDIDATES_KEPT].sort_unstable_by_key(|candidate| candidate.backend);
        }
        self.considered.len().min(CANDIDATES_KEPT)
    }

    /// How the decision `seq` ended, if it is still kept.
    pub fn end(&mut self, seq: u64, ended: Ended) {
        let slot = self.slot(seq);
        if let Some(decision) = self.ring.get_mut(slot).filter(|decision| decision.seq == seq) {
            decision.ended = Some(ended);
            self.changed = true;
        }
    }

    /// The decision kept last.
    pub fn last(&self) -> Option<&Decision> {
        self.ring.get(self.slot(self.noted)).filter(|decision| decision.seq == self.noted)
    }

    /// Whether anything has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// All that are kept, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Decision> {
        let oldest = self.noted.saturating_sub(self.ring.len() as u64);
        (oldest + 1..=self.noted).rev().filter_map(|seq| self.ring.get(self.slot(seq)))
    }

    fn slot(&self, seq: u64) -> usize {
        let kept = if self.is_on { DECISIONS_KEPT } else { 1 };
        (seq.wrapping_sub(1).wrapping_sub(self.base) % kept as u64) as usize
    }
}

/// What an exchange carries of its decisions.
#[derive(Debug, Default)]
pub struct Note {
    /// Whether its client asked, and may.
    pub asked: bool,
    /// Number of its last decision; 0 when that was not kept.
    pub seq: u64,
    /// Of its last decision, for the log.
    pub compact: String,
    /// The same for the client, when it asked.
    pub header: String,
}

impl Note {
    /// Value of the field in the answer, if there is to be one.
    pub fn field(&self) -> Option<&[u8]> {
        (self.asked && !self.header.is_empty()).then_some(self.header.as_bytes())
    }

    /// Bytes its texts hold on to.
    pub fn held(&self) -> usize {
        self.compact.capacity() + self.header.capacity()
    }

    /// As for a fresh exchange; the texts keep their memory.
    pub fn reset(&mut self) {
        (self.asked, self.seq) = (false, 0);
        self.compact.clear();
        self.header.clear();
    }
}
