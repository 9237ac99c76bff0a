//! Phase 4: pump both flows under backpressure.
//!
//! Either side's event ends here, and both directions are looked at: a byte that one brings may be what the other
//! waited for. The request flow may end after the response has begun, or never (an early answer); the response flow
//! decides when the exchange is over. Absent: the head of the answer (answer.rs).

use std::ops::ControlFlow;

use super::answer::Answer;
use super::exchange::{Exchange, Upstream};
use super::pump::{self, Pumped, TURN_BYTES_MAX};
use super::waiting::deadline;
use super::{Phase, Session, Step, closing};
use crate::fault::Fault;
use crate::net::{Conn, ConnKey, Net, Ready};
use crate::proxy::World;
use crate::record::trace::Stamp;

impl Session {
    /// Moves whatever can be moved.
    pub(super) fn relay<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(mut exchange) = self.exchange.take() else { return Step::Gone };
        let outcome = match exchange.upstream {
            Upstream::Connected(upstream) => self.relay_both(&mut exchange, upstream, world),
            _ => Err(Fault::UpstreamClosed),
        };
        if matches!(outcome, Ok(Step::Wait | Step::Again)) {
            self.deadline = deadline(&exchange, world);
        }
        if outcome == Ok(Step::Wait) {
            world.buffers.park(&mut exchange.request.buffer);
            world.buffers.park(&mut exchange.response.buffer);
        }
        self.exchange = Some(exchange);
        match outcome {
            Ok(step) => step,
            Err(fault) => self.fail(world, fault),
        }
    }

    fn relay_both<N: Net>(
        &self,
        exchange: &mut Exchange,
        upstream: ConnKey,
        world: &mut World<N>,
    ) -> Result<Step, Fault> {
        // Each direction has its own, or a fast upload would keep its answer waiting.
        let mut budgets = (TURN_BYTES_MAX, TURN_BYTES_MAX);
        match self.relay_once(exchange, upstream, world, &mut budgets) {
            ControlFlow::Break(outcome) => outcome,
            ControlFlow::Continue(()) => self.relay_on(exchange, upstream, world, &mut budgets),
        }
    }

    /// Behind an interim answer, and where the connection to the backend has broken.
    #[cold]
    fn relay_on<N: Net>(
        &self,
        exchange: &mut Exchange,
        upstream: ConnKey,
        world: &mut World<N>,
        budgets: &mut (usize, usize),
    ) -> Result<Step, Fault> {
        loop {
            if let ControlFlow::Break(outcome) = self.relay_once(exchange, upstream, world, budgets) {
                return outcome;
            }
        }
    }

    /// Moves both ways as far as it goes; without an outcome there is more to be had at once.
    #[inline(always)]
    fn relay_once<N: Net>(
        &self,
        exchange: &mut Exchange,
        upstream: ConnKey,
        world: &mut World<N>,
        (request_budget, budget): &mut (usize, usize),
    ) -> ControlFlow<Result<Step, Fault>> {
        if let Err(fault) = self.relay_request(exchange, upstream, world, request_budget) {
            return ControlFlow::Break(Err(fault));
        }
        if exchange.answer.is_none() {
            match self.read_answer(exchange, upstream, world) {
                Answer::Final => {}
                Answer::Interim if *budget > 0 => return ControlFlow::Continue(()),
                Answer::Interim => return ControlFlow::Break(Ok(Step::Again)),
                Answer::Tunnel => return ControlFlow::Break(Ok(Step::Next(Phase::Tunnel))),
                Answer::Wait => {
                    let is_spent = *budget == 0 || *request_budget == 0;
                    return ControlFlow::Break(self.wait_for_answer(exchange, is_spent, world));
                }
                Answer::Failed(fault) => return ControlFlow::Break(Err(fault)),
            }
        }
        let pumped = pump::pump(world, &mut exchange.response, upstream, self.client, budget);
        let outcome = match pumped {
            Pumped::Complete => {
                exchange.trace.response_done.mark_first(world.now);
                Ok(self.end_request(exchange, upstream, *request_budget == 0, world))
            }
            Pumped::Budget => Ok(Step::Again),
            Pumped::SourceBlocked | Pumped::SinkBlocked if *budget == 0 || *request_budget == 0 => {
                Ok(Step::Again)
            }
            Pumped::SourceBlocked | Pumped::SinkBlocked if self.client_has_left(exchange, world) => {
                Err(Fault::ClientGone)
            }
            // Many clients read only when all that they have to send is taken.
            Pumped::SinkBlocked if exchange.request_cut => match self.discard(exchange, world) {
                Step::Again => Ok(Step::Again),
                _ => Ok(Step::Wait),
            },
            Pumped::SourceBlocked | Pumped::SinkBlocked => Ok(Step::Wait),
            Pumped::SourceGone if closing::ends_in_reset(exchange) => return ControlFlow::Continue(()),
            Pumped::SourceGone | Pumped::TooLarge => Err(Fault::ResponseTruncated), // answers have no bound
            Pumped::SinkGone => Err(Fault::ClientGone),
            Pumped::Malformed(what) => Err(Fault::BadResponse(what)),
        };
        ControlFlow::Break(outcome)
    }

    #[inline(always)]
    fn wait_for_answer<N: Net>(
        &self,
        exchange: &mut Exchange,
        is_spent: bool,
        world: &mut World<N>,
    ) -> Result<Step, Fault> {
        self.send_interims(exchange, world)?;
        if self.client_has_left(exchange, world) {
            return Err(Fault::ClientGone);
        }
        Ok(if is_spent { Step::Again } else { Step::Wait })
    }

    /// The answer is out whole. The exchange ends when the request is, too: a backend that has not said close reads all
    /// of it (RFC 9112 section 9.3).
    #[inline(always)]
    fn end_request<N: Net>(
        &self,
        exchange: &mut Exchange,
        upstream: ConnKey,
        is_spent: bool,
        world: &World<N>,
    ) -> Step {
        if exchange.trace.sent.get().is_some() || exchange.request_cut {
            return Step::Next(Phase::Finish);
        }
        if !exchange.reads_on || self.client_is_gone(world) || has_stopped_reading(upstream, world) {
            exchange.request_cut = true;
            return Step::Next(Phase::Finish);
        }
        if is_spent { Step::Again } else { Step::Wait }
    }

    fn relay_request<N: Net>(
        &self,
        exchange: &mut Exchange,
        upstream: ConnKey,
        world: &mut World<N>,
        budget: &mut usize,
    ) -> Result<(), Fault> {
        if exchange.request_cut || exchange.trace.sent.get().is_some() {
            return Ok(());
        }
        let pumped = pump::pump(world, &mut exchange.request, self.client, upstream, budget);
        match pumped {
            Pumped::Complete => exchange.trace.sent = Stamp::at(world.now),
            // The backend may have answered before it stopped listening (an early 413): its answer, if there is
            // one, is still there to be read.
            Pumped::SinkGone => {
                exchange.request_cut = true;
                exchange.response.source_failed = true;
            }
            stopped => match request_fault(stopped) {
                // The answer to what came before is on its way, and stays good.
                Some(_) if exchange.answer.is_some() => exchange.request_cut = true,
                Some(fault) => return Err(fault),
                None => {}
            },
        }
        Ok(())
    }

    /// Interim responses go out as soon as they are here.
    fn send_interims<N: Net>(&self, exchange: &mut Exchange, world: &mut World<N>) -> Result<(), Fault> {
        if exchange.response.is_drained() {
            return Ok(());
        }
        match pump::drain(world, &mut exchange.response, self.client) {
            Some(Pumped::SinkGone) => Err(Fault::ClientGone),
            _ => Ok(()),
        }
    }
}

/// Whether a backend has broken the connection, or one that was asked to close has closed its side.
fn has_stopped_reading<N: Net>(upstream: ConnKey, world: &World<N>) -> bool {
    let over = if world.keeps_upstream() { Ready::GONE } else { Ready::READ_CLOSED.with(Ready::GONE) };
    world.conns.get(upstream.0).is_none_or(|conn: &Conn<N::Stream>| conn.ready().any(over))
}

/// What is wrong with the request, if that is why its body stopped.
pub(super) fn request_fault(stopped: Pumped) -> Option<Fault> {
    match stopped {
        Pumped::SourceGone => Some(Fault::ClientGone),
        Pumped::Malformed(what) => Some(Fault::RequestBody(what)),
        Pumped::TooLarge => Some(Fault::RequestTooLarge),
        Pumped::Complete
        | Pumped::SourceBlocked
        | Pumped::SinkBlocked
        | Pumped::SinkGone
        | Pumped::Budget => None,
    }
}
