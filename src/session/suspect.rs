//! Whose fault it is when a backend closes on a request without an answer.
//!
//! One that does so may be broken, or may do so with this request only: a head that is too long for it, a method it has
//! never heard of. When the request can be sent again elsewhere, the verdict waits for what comes of that. If the next
//! backend does the same, and nobody answers in the end, it is the request's fault and no backend is charged; else each is
//! that closed on it. Where there is nobody else to ask, the backend is charged, and upstream/blame.rs sees to it that one
//! client or one kind of request does not put it out.
//!
//! Not for trials, which are decided at once, nor for connections that cannot be made, which no request is to blame for,
//! nor for time-outs, which are not sent again.

use super::exchange::{Exchange, Upstream};
use super::finish::{give_back, settle};
use super::redial::{bit_of, unreached};
use crate::fault::{Fault, Side};
use crate::net::Net;
use crate::proxy::World;
use crate::upstream::health::Verdict;

/// Gives back what a failed attempt held. Whether the verdict on its backend is left open.
pub(super) fn settle_failed<N: Net>(exchange: &mut Exchange, fault: Fault, world: &mut World<N>) -> bool {
    let verdict = match fault {
        Fault::ConnectFailed | Fault::ConnectTimeout => unreached(exchange),
        _ if fault.side() != Side::Upstream => Verdict::Abandoned,
        Fault::UpstreamClosed => match suspect(exchange) {
            0 => Verdict::Failure,
            bit => {
                exchange.suspects |= bit;
                give_back(exchange, Verdict::Failure, None, world);
                return true;
            }
        },
        // Streams that have nothing to say fall silent together: one failure, however many.
        Fault::ResponseStalled => match exchange.dispatch {
            Some(dispatch) if !world.charges_stall(dispatch.pick.backend) => Verdict::Abandoned,
            _ => Verdict::Failure,
        },
        _ => Verdict::Failure,
    };
    settle(exchange, verdict, world);
    false
}

/// The bit of the backend that closed on the request, if that is all that is known of it.
fn suspect(exchange: &Exchange) -> u64 {
    let is_unanswered = exchange.answer.is_none() && exchange.trace.ttfb.get().is_none();
    let is_connected = matches!(exchange.upstream, Upstream::Connected(_));
    match exchange.dispatch {
        Some(dispatch) if !dispatch.entered.trial && is_unanswered && is_connected => {
            bit_of(dispatch.pick.backend)
        }
        _ => 0,
    }
}

/// After a failed attempt: `is_suspect` if the verdict on it was left open, `goes_on` if another one follows.
pub(super) fn conclude<N: Net>(
    exchange: &mut Exchange,
    is_suspect: bool,
    goes_on: bool,
    world: &mut World<N>,
) {
    if exchange.suspects == 0 || (is_suspect && goes_on) {
        return;
    }
    if is_suspect && exchange.suspects.count_ones() > 1 {
        tracing::debug!(backends = exchange.suspects.count_ones(), "all closed on the same request");
        exchange.suspects = 0;
        return;
    }
    world.convict(exchange);
}
