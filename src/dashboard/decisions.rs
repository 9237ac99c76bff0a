//! Decisions as the admin address shows them.
//!
//! The proxy hands them over as they are; words and JSON are made by whoever looks, on its own thread.

use std::sync::Arc;

use serde::Serialize;

use crate::balance::explain::words::{self, Labels};
use crate::balance::explain::{Considered, Decision};

/// The decisions kept, newest first.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    decisions: Vec<Decision>,
    labels: Arc<Labels>,
    unix_ms_at_zero: u64,
}

/// One decision, in the shape of the JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionView {
    /// Counts from 1.
    pub seq: u64,
    /// Unix milliseconds.
    pub t: u64,
    /// Name of the policy.
    pub routing: &'static str,
    /// Index of the backend chosen.
    pub backend: u32,
    /// One word.
    pub reason: &'static str,
    /// Which attempt of its request, from 1.
    pub attempt: u32,
    /// Of the request.
    pub method: String,
    /// Target of the request, cut.
    pub path: String,
    /// How it ended; `None` while it has not.
    pub outcome: Option<OutcomeView>,
    /// The exponent `elastic` used.
    pub gamma: Option<f64>,
    /// What was known.
    pub candidates: Vec<CandidateView>,
    /// Backends left out there.
    pub candidates_cut: u32,
    /// All of it in words.
    pub sentence: String,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OutcomeView {
    /// The client's status; 0 when the attempt brought none.
    pub status: u16,
    /// As in the log.
    pub latency_ms: Option<f64>,
    /// `ok`, or what went wrong.
    pub reason: &'static str,
}

/// One backend as it was known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[allow(missing_docs)] // each field is that of `Considered`
pub struct CandidateView {
    pub backend: u32,
    pub score: Option<f64>,
    pub in_flight: u32,
    pub estimate_ms: Option<f64>,
    pub weight: f64,
    pub failure_rate: f64,
    pub up: bool,
    pub tried: bool,
}

impl Decisions {
    /// `decisions`, newest first, between backends called `labels`; `unix_ms_at_zero` is the wall clock at their
    /// times' origin.
    pub fn new(decisions: Vec<Decision>, labels: Arc<Labels>, unix_ms_at_zero: u64) -> Decisions {
        Decisions { decisions, labels, unix_ms_at_zero }
    }

    /// In words.
    pub fn views(&self) -> Vec<DecisionView> {
        self.decisions.iter().map(|decision| self.view(decision)).collect()
    }

    /// The same for whoever has the backends in this order: after a reload, workers may have them at other indices. Those
    /// between backends that are not among them are left out.
    pub fn views_among(&self, urls: &[&str]) -> Vec<DecisionView> {
        let index = |backend: u32| {
            let at = urls.iter().position(|url| *url == self.labels.url(backend));
            at.and_then(|at| u32::try_from(at).ok())
        };
        let translated = |mut view: DecisionView| {
            view.backend = index(view.backend)?;
            for candidate in &mut view.candidates {
                candidate.backend = index(candidate.backend)?;
            }
            Some(view)
        };
        self.views().into_iter().filter_map(translated).collect()
    }

    fn view(&self, decision: &Decision) -> DecisionView {
        DecisionView {
            seq: decision.seq,
            t: self.unix_ms_at_zero + decision.at.as_nanos() / 1_000_000,
            routing: decision.policy.name(),
            backend: decision.backend,
            reason: decision.reason.name(),
            attempt: decision.attempt,
            method: decision.method.text(),
            path: decision.path.text(),
            outcome: decision.ended.map(|ended| OutcomeView {
                status: ended.status,
                latency_ms: ended.latency_ms,
                reason: ended.reason,
            }),
            gamma: decision.gamma,
            candidates: decision.candidates().iter().map(CandidateView::from).collect(),
            candidates_cut: decision.cut,
            sentence: words::sentence(decision, &self.labels),
        }
    }
}

impl From<&Considered> for CandidateView {
    fn from(known: &Considered) -> CandidateView {
        let Considered { backend, in_flight, score, estimate_ms, weight, failure_rate, up, tried } = *known;
        CandidateView { backend, score, in_flight, estimate_ms, weight, failure_rate, up, tried }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::explain::{About, Explainer};
    use crate::balance::{Candidate, Options, Pick, Reason, Routing, Variant};
    use crate::clock::Time;

    #[test]
    fn backends_are_named_as_the_reader_has_them() {
        let policy = Variant::new(Routing::LeastConnections, Options::default());
        let candidate =
            Candidate { in_flight: 0, up: true, weight: 1.0, failure_rate: 0.0, joined: Time::ZERO };
        let mut explainer = Explainer::new(true, 2);
        let pick = Pick::new(1, Reason::Best);
        explainer.consider(&policy.build(2), &[candidate; 2], 0, Time::ZERO);
        let about =
            About { policy, pick, attempt: 1, trial: false, panic: false, method: b"GET", path: b"/" };
        explainer.note(&about, Time::ZERO);
        let labels = Labels::new(&["http://a:1".to_owned(), "http://b:2".to_owned()]);
        let kept = explainer.newest_first().copied().collect();
        let decisions = Decisions::new(kept, Arc::new(labels), 0);
        let [view] = &decisions.views_among(&["http://b:2", "http://c:3", "http://a:1"])[..] else {
            panic!("one decision")
        };
        assert_eq!(view.backend, 0);
        assert_eq!(view.candidates.iter().map(|one| one.backend).collect::<Vec<_>>(), [2, 0]);
        assert_eq!(view.sentence, decisions.views()[0].sentence);
        assert_eq!(decisions.views_among(&["http://b:2"]), [], "it was between one more");
    }
}
