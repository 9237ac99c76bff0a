//! Where a request goes, and who is told how it went there: the policy, its shadows, the explanations.
//!
//! Explanations and shadows cost one test each when there are none. Absent: the choice itself (balance/), and what
//! becomes of the request.

use super::World;
use crate::balance::explain::words;
use crate::balance::explain::{About, Ended};
use crate::balance::shadow::{Agreement, ShadowFigures};
use crate::balance::{Observation, Outcome, Pick, Policy, Reason, Stage, Variant, millis_between};
use crate::clock::Time;
use crate::dashboard::Decisions;
use crate::net::Net;
use crate::session::{Dispatch, Exchange};
use crate::upstream::Closed;

impl<N: Net> World<N> {
    /// Asks the policy, leaving out the backends this request has failed on, and enters the request as in flight on the
    /// one picked. A backend whose time out is over is tried by a request that can be sent again elsewhere.
    pub fn decide(&mut self, exchange: &mut Exchange) -> Result<usize, Closed> {
        let is_noted = self.explainer.wants();
        let pick = loop {
            self.upstreams.refresh(exchange.tried, exchange.is_fit_for_trial(), self.now)?;
            let candidates = self.upstreams.candidates();
            if is_noted {
                self.explainer.consider(&self.policy, candidates, exchange.tried, self.now);
            }
            let pick = self.policy.pick(candidates, self.now, &mut self.draw).ok_or(Closed::Out)?;
            if self.may_enter(pick.backend) {
                break pick;
            }
        };
        let candidates = self.upstreams.candidates();
        let agreement = if self.shadows.is_empty() {
            Agreement::default()
        } else {
            self.shadows.pick(candidates, self.now, pick)
        };
        if self.config.log_decisions {
            self.tell_decision(pick);
        }
        let entered = self.upstreams.dispatch(pick.backend, self.now);
        exchange.dispatch = Some(Dispatch { pick, entered, agreement, head_seen: false });
        if is_noted && let Some(dispatch) = exchange.dispatch {
            self.note(exchange, dispatch);
        }
        Ok(pick.backend)
    }

    /// Enters a request as in flight on a backend that no policy has picked: the client's own connection leads there.
    #[cold]
    pub fn decide_on(&mut self, exchange: &mut Exchange, backend: usize) {
        let pick = Pick::new(backend, Reason::Only);
        let entered = self.upstreams.dispatch_own(backend);
        exchange.dispatch =
            Some(Dispatch { pick, entered, agreement: Agreement::default(), head_seen: false });
    }

    /// Tells the policy how the dispatch under way is going.
    pub fn observe(&mut self, exchange: &mut Exchange, stage: Stage, outcome: Outcome) {
        let Some(dispatch) = exchange.dispatch.as_mut() else { return };
        let head_seen = dispatch.head_seen;
        dispatch.head_seen |= stage == Stage::Head;
        let is_private = self.shadows.is_empty() && self.sharing.is_none();
        if is_private && !self.policy.hears(stage, head_seen) {
            return;
        }
        let backend = dispatch.pick.backend;
        let latency_ms = match stage {
            Stage::Head => exchange.trace.dispatched.get().map(|sent| millis_between(sent, self.now)),
            Stage::End => exchange.trace.latency_ms(),
        };
        let candidates = self.upstreams.candidates();
        let in_flight = candidates[backend].in_flight;
        let seen = Observation {
            backend,
            stage,
            latency_ms: latency_ms.unwrap_or(0.0),
            outcome,
            in_flight_at_pick: dispatch.entered.in_flight_before,
            in_flight_now: if stage == Stage::Head { in_flight.saturating_sub(1) } else { in_flight },
            probe: dispatch.pick.probe,
            head_seen,
        };
        self.policy.observe(candidates, &seen, self.now);
        if !is_private {
            self.pass_on(&seen, dispatch.agreement);
        }
    }

    /// To shadow policies and other workers.
    #[cold]
    fn pass_on(&mut self, seen: &Observation, agreement: Agreement) {
        self.shadows.observe(self.upstreams.candidates(), seen, agreement, self.now);
        if self.sharing.is_some() {
            self.share_observation(seen);
        }
    }

    /// The decision of that number has ended, badly with status 0 if the request goes elsewhere.
    pub fn explain_end(&mut self, seq: u64, status: u16, latency_us: Option<u64>, reason: &'static str) {
        if seq != 0 {
            let latency_ms = latency_us.map(|micros| micros as f64 / 1e3);
            self.explainer.end(seq, Ended { status, latency_ms, reason });
        }
    }

    #[cold]
    fn note(&mut self, exchange: &mut Exchange, dispatch: Dispatch) {
        let about = About {
            policy: self.variant(),
            pick: dispatch.pick,
            attempt: exchange.trace.attempts.saturating_sub(exchange.redials) + 1,
            trial: dispatch.entered.trial,
            panic: self.upstreams.is_panicking(),
            method: exchange.method(),
            path: exchange.target(),
        };
        let seq = self.explainer.note(&about, self.now);
        exchange.note.seq = seq;
        exchange.note.compact.clear();
        exchange.note.header.clear();
        let Some(decision) = self.explainer.last().filter(|_| self.explainer.is_on()) else { return };
        words::compact(decision, &self.labels, &mut exchange.note.compact);
        if exchange.note.asked {
            words::field_value(decision, &self.labels, &mut exchange.note.header);
        }
    }

    #[cold]
    fn tell_decision(&mut self, pick: Pick) {
        self.text.clear();
        let candidates = self.upstreams.candidates();
        // Writing to a String cannot fail.
        let _ = self.policy.write_decision(&mut self.text, &self.urls, candidates, pick, self.now);
        if let Some(console) = &self.console {
            console.say(&self.text);
        }
    }

    /// The policy in force, with what it is told.
    pub fn variant(&self) -> Variant {
        Variant::new(self.policy.routing(), self.config.policy_options)
    }

    /// A decision of late in words.
    pub fn sentence(&self) -> Option<String> {
        self.explainer.last().map(|decision| words::sentence(decision, &self.labels))
    }

    /// What the shadow policies came to, in configured order.
    pub fn shadow_figures(&self) -> Vec<ShadowFigures> {
        self.shadows.counts().map(|counts| counts.figures()).collect()
    }

    /// The decisions kept, if any has changed since this was last asked; and one more is wanted in any case, for
    /// [`World::sentence`]. `unix_ms_at_zero` is the wall clock at the origin of times.
    pub(super) fn take_decisions(&mut self, unix_ms_at_zero: u64) -> Option<Decisions> {
        self.explainer.want_one();
        let is_news = self.explainer.is_on() && self.explainer.take_changed();
        is_news.then(|| {
            let decisions = self.explainer.newest_first().copied().collect();
            Decisions::new(decisions, self.labels.clone(), unix_ms_at_zero)
        })
    }

    /// Hands over what the shadows came to when it is time.
    pub(super) fn log_shadows(&mut self, now: Time) {
        if let Some(log) = self.shadow_log.as_mut().filter(|log| log.is_due(now)) {
            log.push(self.shadows.counts().collect(), now);
        }
    }

    /// Writes what the shadows came to since the last row, and waits for it.
    pub(super) fn close_shadow_log(&mut self) {
        if let Some(log) = self.shadow_log.take() {
            log.close(self.shadows.counts().collect());
        }
    }
}
