//! What the proxy shows on its board: figures now and then, events as they happen.
//!
//! The reactor makes values and swaps pointers; whoever looks does so on another thread. Absent: how any of it is written.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use crate::balance::Policy as _;
use crate::clock::{Time, Wall};
use crate::dashboard::{Board, Event, Kind};
use crate::net::Net;
use crate::reactor::Pulse;
use crate::record::snapshot::{Live, Snapshot};

/// Latencies and requests are copied no more often than this; the page lives by the second.
const FRESH_EVERY: Duration = Duration::from_secs(1);
/// Between two events of a kind that could come with every request.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The board, and what was shown on it when.
#[derive(Debug, Default)]
pub(super) struct Showing {
    pub(super) board: Option<Arc<Board>>,
    wall: Wall,
    busy: Duration,
    fresh_due: Time,
    told_no_budget: Option<Time>,
    told_drops: (u64, Option<Time>),
}

impl<N: Net> World<N> {
    /// Begins to show the counts on a board of its own. Only when `watched`, by a page, is all recorded that a page
    /// shows.
    pub fn show(&mut self, wall: Wall, watched: bool) -> Arc<Board> {
        if watched {
            self.stats.watch();
        }
        self.showing.wall = wall;
        let board = Arc::new(Board::new(self.snapshot(wall, true)));
        self.showing.board = Some(board.clone());
        self.tell(Kind::Start, None, || "the proxy has started".to_owned());
        board
    }

    /// Shows the counts to whoever looks; whether with all that is copied anew only now and then.
    pub fn publish(&mut self, pulse: Pulse) -> bool {
        (self.showing.wall, self.showing.busy) = (pulse.wall, pulse.busy);
        self.tell_drops();
        let now = pulse.wall.at;
        self.watch_growth(now);
        self.log_shadows(now);
        let Some(board) = self.showing.board.clone() else { return true };
        if let Some(decisions) = self.take_decisions(pulse.wall.unix_ms(Time::ZERO)) {
            board.set_decisions(decisions);
        }
        // A tick that comes a little early counts too, or every other one would be missed.
        let fresh = self.draining || self.showing.fresh_due <= now;
        if fresh {
            let due = self.showing.fresh_due.plus(FRESH_EVERY);
            self.showing.fresh_due = if due > now { due } else { now.plus(FRESH_EVERY) };
        }
        board.publish(self.snapshot(pulse.wall, fresh));
        fresh
    }

    /// The counts, and what table and policy know at this moment.
    pub fn snapshot(&mut self, wall: Wall, fresh: bool) -> Snapshot {
        if let Some(log) = &self.log {
            self.stats.counters.log_drops = log.counters().rows_dropped();
        }
        let live = (0..self.upstreams.len()).map(|backend| self.live(backend, wall.at)).collect();
        let routing = self.variant().name();
        let mut snapshot = self.stats.snapshot(wall, routing, live, fresh);
        snapshot.sentence = self.sentence();
        snapshot.explain = self.explainer.is_on();
        snapshot.shadow = self.shadow_figures();
        snapshot.busy_us = u64::try_from(self.showing.busy.as_micros()).unwrap_or(u64::MAX);
        snapshot
    }

    fn live(&self, backend: usize, now: Time) -> Live {
        let candidates = self.upstreams.candidates();
        let own = self.policy.original_averages();
        let (sma_ms, ewma_ms) = match own {
            Some(own) => (own.sma(backend), own.ewma(backend)),
            None => self.stats.averages(backend),
        };
        let (state, why) = self.upstreams.state(backend);
        let (open, idle) = self.upstreams.connections(backend);
        Live {
            in_flight: self.upstreams.in_flight(backend),
            sma_ms,
            ewma_ms,
            state,
            why,
            until: self.upstreams.health(backend).out_until(),
            weight: candidates[backend].weight,
            score: self.policy.score(backend, candidates, now),
            idle,
            open,
            failure_rate: candidates[backend].failure_rate,
            last_check: self.probes.last(backend),
        }
    }

    /// This turn's time, by both clocks.
    pub fn wall(&self) -> Wall {
        Wall { at: self.now, unix_ms: self.showing.wall.unix_ms(self.now) }
    }

    /// Puts an event on the board. Its text is made only if there is one.
    pub fn tell(&self, kind: Kind, backend: Option<usize>, text: impl FnOnce() -> String) {
        if let Some(board) = &self.showing.board {
            let backend = backend.map(|backend| self.upstreams.url(backend).to_owned());
            let at_ms = self.showing.wall.unix_ms(self.now);
            board.event(Event { seq: 0, at_ms, kind, backend, text: text() });
        }
    }

    /// A retry was not paid for: an event, now and then.
    pub(super) fn tell_no_budget(&mut self) {
        if self.showing.told_no_budget.is_none_or(|told| self.now.since(told) >= TELL_EVERY) {
            self.showing.told_no_budget = Some(self.now);
            self.tell(Kind::RetryBudget, None, || "exhausted: failed requests are not retried".to_owned());
        }
    }

    fn tell_drops(&mut self) {
        let Some(log) = &self.log else { return };
        let dropped = log.counters().rows_dropped();
        let (told, at) = self.showing.told_drops;
        if dropped > told && at.is_none_or(|at| self.now.since(at) >= TELL_EVERY) {
            self.showing.told_drops = (dropped, Some(self.now));
            self.tell(Kind::LogDrop, None, || {
                format!("the log cannot keep up: {} rows lost", dropped - told)
            });
        }
    }

    /// A stop has begun.
    pub(super) fn tell_drain(&self) {
        self.tell(Kind::Drain, None, || "no new connections; what is under way ends".to_owned());
    }

    /// Readiness fails from now on.
    pub fn set_unready(&mut self) {
        self.tell(Kind::Unready, None, || "told to stop: readiness fails".to_owned());
        if let Some(board) = &self.showing.board {
            board.set_ready(false);
        }
    }
}
