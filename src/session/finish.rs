//! Phase 5: the exchange is over, well or badly. Exactly one record, the backend's connection back to the pool or
//! closed, the client's kept, lingered on or closed.

use super::answer::{outcome_of, outgoing_framing};
use super::exchange::{Exchange, Upstream};
use super::redial::bit_of;
use super::release::{close_upstream, release};
use super::suspect;
use super::{Phase, Session, Step};
use crate::balance::Stage;
use crate::fault::{Fault, Side};
use crate::http1::Framing;
use crate::http1::body::Body;
use crate::net::Net;
use crate::proxy::World;
use crate::record::trace::Stamp;
use crate::upstream::Surprise;
use crate::upstream::health::Verdict;

impl Session {
    /// Accounts for the exchange and decides what becomes of the client connection.
    pub(super) fn finish<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(mut exchange) = self.exchange.take() else { return Step::Gone };
        let verdict = exchange.answer.map_or(Verdict::Abandoned, |answer| Verdict::of_status(answer.status));
        settle(&mut exchange, verdict, world);
        if !world.overdue.is_empty() {
            tell_overdue(&exchange, world);
        }
        self.record(&mut exchange, world);
        self.keep_own(&mut exchange);
        if exchange.keep_client && !exchange.request_cut {
            self.deadline = world.idle_until(world.now);
            if exchange.request.buffer.is_empty() {
                world.recycle(exchange);
            } else {
                exchange.reset();
                self.exchange = Some(exchange);
            }
            return Step::Next(Phase::Head);
        }
        let step =
            if self.is_still_sending(&exchange, world) { self.begin_linger(world) } else { Step::Gone };
        world.recycle(exchange);
        step
    }

    /// The exchange cannot go on: another attempt, our own answer, or the end of the connection.
    #[cold]
    pub(super) fn fail<N: Net>(&mut self, world: &mut World<N>, fault: Fault) -> Step {
        self.stop_waiting(world);
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        tracing::debug!(reason = fault.reason(), backend = exchange.backend, "exchange failed");
        if redial(exchange, fault, world) {
            return Step::Next(Phase::Route);
        }
        exchange.trace.response_done.mark_first(world.now);
        exchange.fault = Some(fault);
        let is_suspect = suspect::settle_failed(exchange, fault, world);
        let goes_on = go_elsewhere(exchange, fault, world);
        suspect::conclude(exchange, is_suspect, goes_on, world);
        if goes_on || self.pause(fault, world) {
            let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
            world.explain_end(exchange.note.seq, 0, exchange.trace.latency_us(), fault.reason());
            exchange.note.seq = 0; // what comes is the outcome of another decision, or of none
            return Step::Next(Phase::Route);
        }
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        if exchange.answer_begun() || fault == Fault::ClientGone || fault == Fault::ClientStalled {
            return self.abort(world, fault);
        }
        self.refuse(world, fault)
    }

    /// Ends the connection so that the client cannot take what it has for a whole answer.
    #[cold]
    pub(super) fn abort<N: Net>(&mut self, world: &mut World<N>, fault: Fault) -> Step {
        let Some(mut exchange) = self.exchange.take() else { return Step::Gone };
        exchange.fault = Some(fault);
        // Nobody was there to read a status that was not sent.
        let is_unread = fault == Fault::ClientGone && exchange.response.written == 0;
        if exchange.status == 0 || is_unread {
            exchange.status = fault.status();
        }
        exchange.trace.response_done.mark_first(world.now);
        settle(&mut exchange, Verdict::Abandoned, world);
        self.record(&mut exchange, world);
        self.keep_own(&mut exchange);
        // A cut answer whose length or chunks are known is visibly cut; one that ends where the connection ends must
        // end in a reset. So must one that its client does not take: after an ordinary close the kernel would keep
        // what is left of it, megabytes perhaps, and offer it for minutes or, to one who only says to be alive, for ever.
        let until_close = exchange.answer.is_some_and(|answer| {
            outgoing_framing(answer.framing, exchange.facts.version) == Framing::UntilClose
        });
        if (until_close || fault == Fault::ClientStalled)
            && let Some(conn) = world.conns.get_mut(self.client.0)
        {
            world.net.reset_on_close(&mut conn.stream);
        }
        // Elsewhere a reset is to be avoided: it could take along the whole answers before the cut one.
        let is_message = exchange.answer.is_some_and(|answer| answer.status != 101);
        let lingers = is_message
            && !until_close
            && fault.side() == Side::Upstream
            && self.is_still_sending(&exchange, world);
        let step = if lingers { self.begin_linger(world) } else { Step::Gone };
        world.recycle(exchange);
        step
    }

    /// A connection that is this client's alone stays with it; it is closed with the client's.
    fn keep_own(&mut self, exchange: &mut Exchange) {
        if let Some(bound) = exchange.bound.take() {
            self.bound = Some(bound);
        }
    }

    fn record<N: Net>(&self, exchange: &mut Exchange, world: &mut World<N>) {
        exchange.trace.finished = Stamp::at(world.now);
        // What was read behind a whole request is the next one's.
        let is_whole = exchange.trace.head_done.get().is_some() && exchange.request.body.is_finished();
        let behind = if is_whole { exchange.request.buffer.raw_len() } else { 0 };
        exchange.trace.bytes_in = exchange.request.read.saturating_sub(behind as u64);
        exchange.trace.bytes_out = exchange.response.written;
        world.record(self.peer, exchange);
    }
}

/// Tells those whose dial takes long that the backend has answered.
#[cold]
fn tell_overdue<N: Net>(exchange: &Exchange, world: &mut World<N>) {
    let dialled = exchange.trace.dispatched.get().filter(|_| !exchange.trace.reused);
    if let (Some(backend), Some(_)) = (exchange.backend, exchange.answer) {
        world.renew_overdue(backend, dialled);
    }
}

/// A pooled connection died before a byte of the answer came, or what came is no answer. That is nobody's failure: the
/// backend closed it as we took it, or what it sent belongs to the exchange before. If the request may be sent again, the
/// same backend gets it on a fresh connection.
fn redial<N: Net>(exchange: &mut Exchange, fault: Fault, world: &mut World<N>) -> bool {
    let (Some(backend), Some((rest, after))) = (exchange.backend, exchange.previous) else { return false };
    let surprise = match fault {
        Fault::UpstreamClosed if exchange.trace.ttfb.get().is_none() => Surprise::Closed,
        Fault::BadResponse(_) if is_unanswered(exchange) => Surprise::Bytes,
        _ => return false,
    };
    if exchange.doubted == 0 {
        world.upstreams.surprised(backend, rest, after, surprise, world.now);
    }
    let untouched = exchange.request.out_sent == 0 && !exchange.request.spilled;
    if !(untouched || exchange.is_replayable()) {
        return false;
    }
    close_upstream(exchange, world);
    exchange.pinned = exchange.backend;
    exchange.redials += 1;
    exchange.redialling.elsewhere(true);
    exchange.previous = None;
    exchange.response.body = Body::EMPTY;
    exchange.scan = Default::default();
    exchange.forget_attempt();
    true
}

/// Whether nothing that came from the backend has been taken for an answer.
fn is_unanswered(exchange: &Exchange) -> bool {
    exchange.answer.is_none() && exchange.interims == 0 && exchange.response.written == 0
}

/// Whether this request is to be tried on a backend it has not been to. What was never sent may always go; what was
/// sent may go again only if its method allows it, no byte of an answer came, and the retry budget pays for it.
fn go_elsewhere<N: Net>(exchange: &mut Exchange, fault: Fault, world: &mut World<N>) -> bool {
    if let Some(backend) = exchange.backend {
        exchange.tried |= bit_of(backend);
    }
    let sent = exchange.request.out_sent > 0 || exchange.request.spilled;
    let unanswered = exchange.answer.is_none() && exchange.trace.ttfb.get().is_none();
    if !unanswered
        || !fault.may_retry(sent, exchange.is_replayable())
        || exchange.is_out_of_attempts(world.config.retries)
        || !world.may_go_elsewhere(exchange.tried)
        || (sent && !world.withdraw_retry())
    {
        return false;
    }
    if let Some(backend) = exchange.backend {
        world.stats.retried_from(backend);
    }
    exchange.redialling.elsewhere(sent);
    exchange.doubted = 0;
    exchange.forget_attempt();
    true
}

/// Gives back what the exchange holds of the backend: its connection, its place in flight, and what was learned.
pub(super) fn settle<N: Net>(exchange: &mut Exchange, verdict: Verdict, world: &mut World<N>) {
    give_back(exchange, verdict, Some(verdict), world);
}

/// The same for a failure on which the verdict may come later, or another one.
pub(super) fn give_back<N: Net>(
    exchange: &mut Exchange,
    outcome: Verdict,
    verdict: Option<Verdict>,
    world: &mut World<N>,
) {
    // Still being dialled: nobody has heard of this request.
    let unreachable = matches!(exchange.upstream, Upstream::None | Upstream::Dialled { .. });
    release(exchange, world);
    if let Some(dispatch) = exchange.dispatch {
        world.upstreams.finish(dispatch.pick.backend);
        world.observe(exchange, Stage::End, outcome_of(outcome));
        if let Some(verdict) = verdict {
            world.judge(dispatch.pick.backend, dispatch.entered, verdict, exchange, unreachable);
        }
        if outcome == Verdict::Failure {
            world.stats.backend_failed(dispatch.pick.backend); // here, for a trial is judged twice
        }
        exchange.dispatch = None;
        world.wake_waiting();
    }
}
