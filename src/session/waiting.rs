//! How long the present wait of an exchange may last, whom it is for, and what becomes of it when that time is over.
//!
//! Absent: the waits for a connection (redial.rs) and for a place (route.rs).

use std::time::Duration;

use super::exchange::{Exchange, Upstream};
use super::{Phase, Session, Step};
use crate::clock::Time;
use crate::fault::Fault;
use crate::net::{ConnKey, Net};
use crate::proxy::World;
use crate::record::trace::Stamp;

/// Interim responses a backend may send at once, and for each second since it has had the request. More are of no use to
/// anybody, and each costs its client a read.
const INTERIMS_AT_ONCE: u64 = 32;
const INTERIMS_A_SECOND: u64 = 10;
/// Of a message that the kernel took without a pause, so much must have been written for anybody to look whether it is
/// taken slowly.
const BACKLOG_MIN: u64 = 256 * 1024;
/// While a sink takes nothing its backlog is looked at so many times in the time it has.
const LOOKS: u32 = 8;

impl Session {
    /// The deadline has passed: of a wait that goes on all the same, or of one that is over.
    #[cold]
    pub(super) fn relay_expired<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(mut exchange) = self.exchange.take() else { return Step::Gone };
        let fault = waiting_for(&exchange);
        look_at_backlog(&mut exchange, fault, self.client, world);
        let until = limit(&exchange, fault, world);
        if until > world.now {
            exchange.request_cut |= fault == Fault::ClientStalled && is_request_stuck(&exchange);
            self.deadline = deadline(&exchange, world);
            let step = if exchange.request_cut { Step::Next(Phase::Relay) } else { Step::Wait };
            self.exchange = Some(exchange);
            return step;
        }
        let is_answered = exchange.answer_begun() && exchange.response.is_complete();
        if is_answered {
            exchange.request_cut = true; // its answer is out: only the request is late
            self.exchange = Some(exchange);
            return Step::Next(Phase::Finish);
        }
        // Whoever has sent all and closed may be waiting (half-close). When nothing comes for so long, he has left, and the
        // backend, which may wait for an event to tell, is not to blame.
        let has_left = matches!(fault, Fault::UpstreamTimeout | Fault::ResponseStalled)
            && self.client_has_finished(world);
        if has_left {
            exchange.status = 0; // the log says that nobody was there
        }
        self.exchange = Some(exchange);
        self.fail(world, if has_left { Fault::ClientGone } else { fault })
    }
}

/// Whether neither end takes what the other has for it: the client its answer, and the backend, which has said close, the
/// request. Then that goes nowhere any more.
fn is_request_stuck(exchange: &Exchange) -> bool {
    let is_unsent = exchange.trace.sent.get().is_none() && !exchange.request.is_drained();
    exchange.answer_begun() && !exchange.reads_on && is_unsent
}

/// Takes note of an interim response. Whether the backend may send one more.
pub(super) fn may_have_interim(exchange: &mut Exchange, status: u16, now: Time) -> bool {
    exchange.interims += 1;
    exchange.is_continued |= status == 100;
    if status == 102 {
        exchange.working = Stamp::at(now); // RFC 2518 section 10.1: it works on it
    }
    let since = exchange.trace.dispatched.get().map_or(0, |sent| now.since(sent).as_secs());
    u64::from(exchange.interims) <= INTERIMS_AT_ONCE + since.saturating_mul(INTERIMS_A_SECOND)
}

/// Looks whether the kernel still gets rid of what it was given, though it has no room for more: a slow reader is not a
/// stalled one. The first figure, from when there was no more room, is soon out of date, since the peer's kernel takes a
/// window more whether anybody reads or not; so the backlog is looked at now and then, and it is the last time it shrank that
/// counts.
#[cold]
fn look_at_backlog<N: Net>(exchange: &mut Exchange, fault: Fault, client: ConnKey, world: &World<N>) {
    let (flow, sink) = match (fault, exchange.upstream) {
        (Fault::ClientStalled, _) => (&mut exchange.response, client),
        (Fault::UpstreamTimeout, Upstream::Connected(upstream)) => (&mut exchange.request, upstream),
        _ => return,
    };
    if flow.is_drained() && flow.written < BACKLOG_MIN {
        return;
    }
    let Some(left) = world.conns.get(sink.0).and_then(|conn| world.net.unacknowledged(&conn.stream)) else {
        return;
    };
    if flow.backlog.is_some_and(|before| left < before) {
        flow.progress = world.now;
    }
    flow.backlog = Some(left);
    flow.looked = world.now;
}

/// Whom the exchange waits for, as the fault that it would be.
fn waiting_for(exchange: &Exchange) -> Fault {
    let request_done = exchange.request_cut || exchange.trace.sent.get().is_some();
    match exchange.answer {
        Some(_) if exchange.response.is_complete() && exchange.request.is_drained() => {
            Fault::RequestBodyTimeout
        }
        Some(_) if exchange.response.is_complete() => Fault::UpstreamTimeout,
        Some(_) if exchange.response.is_drained() => Fault::ResponseStalled,
        Some(_) => Fault::ClientStalled,
        None if !exchange.response.is_drained() => Fault::ClientStalled,
        None if request_done || !exchange.request.is_drained() => Fault::UpstreamTimeout,
        // The client is waiting for a 100 before it sends the body, so the backend is who is slow.
        None if exchange.waits_for_leave() => Fault::UpstreamTimeout,
        None => Fault::RequestBodyTimeout,
    }
}

/// When to look at the present wait: when it has lasted too long, or at what was taken of a backlog before.
pub(super) fn deadline<N: Net>(exchange: &Exchange, world: &World<N>) -> Time {
    // By far the most waits: all was sent, all of that was taken, and nothing has come.
    if exchange.answer.is_none()
        && exchange.interims == 0
        && exchange.request.written < BACKLOG_MIN
        && let Some(sent) = exchange.trace.sent.get()
    {
        return sent.plus(world.config.timeouts.upstream);
    }
    let fault = waiting_for(exchange);
    let until = limit(exchange, fault, world);
    let times = &world.config.timeouts;
    let (flow, span) = match fault {
        Fault::ClientStalled => (&exchange.response, times.client_write),
        Fault::UpstreamTimeout => (&exchange.request, times.upstream),
        _ => return until,
    };
    if flow.is_drained() && flow.written < BACKLOG_MIN {
        return until;
    }
    until.min(flow.looked.max(flow.progress).plus(span / LOOKS))
}

/// When the present wait has lasted too long.
fn limit<N: Net>(exchange: &Exchange, fault: Fault, world: &World<N>) -> Time {
    let limits = &world.config.timeouts;
    match fault {
        // A backend may answer before it has the whole request and take its time with the rest: while the request
        // moves, so does the exchange.
        Fault::ResponseStalled => {
            exchange.response.progress.max(exchange.request.progress).plus(limits.response_body)
        }
        Fault::ClientStalled => exchange.response.progress.plus(limits.client_write),
        Fault::RequestBodyTimeout => {
            let begun = exchange.trace.head_done.get().unwrap_or(world.now);
            let rate = limits.request_body_rate;
            let earned = exchange.request.read.checked_div(rate).unwrap_or(u64::MAX / 2_000_000_000);
            let average = begun.plus(limits.request_body).plus(Duration::from_secs(earned));
            average.min(exchange.request.progress.plus(limits.request_body))
        }
        _ => {
            let moved = exchange.trace.sent.get().unwrap_or_default().max(exchange.request.progress);
            let Some(working) = exchange.working.get() else { return moved.plus(limits.upstream) };
            let in_all = moved.plus(limits.interim.max(limits.upstream));
            moved.max(working).plus(limits.upstream).min(in_all)
        }
    }
}
