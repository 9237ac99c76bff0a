//! Answers of a backend that closes before it has read the whole request.
//!
//! What it leaves unread makes its kernel send a reset behind the answer. That breaks our writing, and hides the end of an
//! answer which the end of the connection marks; but what came before it can still be read. So a write that fails says
//! nothing of the answer, and the status may say what the reset was for.

use super::exchange::Exchange;
use super::pump;
use crate::http1::Framing;
use crate::net::{ConnKey, Fill, Net, Ready};
use crate::proxy::World;

/// Whether an answer lies on a fresh connection that is broken already: then it is the answer to the request, little as
/// was sent of that.
#[cold]
pub(super) fn has_answered<N: Net>(exchange: &mut Exchange, key: ConnKey, world: &mut World<N>) -> bool {
    let Some(conn) = world.conns.get_mut(key.0) else { return false };
    conn.mark(Ready::READABLE); // a guess, which the read corrects
    if !matches!(pump::fill(world, &mut exchange.response, key), Fill::Bytes(_)) {
        return false;
    }
    exchange.trace.ttfb.mark_first(world.now);
    exchange.request_cut = true;
    exchange.response.source_failed = true;
    true
}

/// Whether an answer that ends where the connection ends is whole, though that ended in a reset. It is if it refuses to read
/// the request, for then that is why the reset came; the text that goes with such a status is nothing a client relies on.
/// Any other may have been cut, and its client is to see that.
#[cold]
pub(super) fn ends_in_reset(exchange: &mut Exchange) -> bool {
    let Some(answer) = exchange.answer else { return false };
    let is_refusal = matches!(answer.status, 400 | 408 | 411 | 413 | 414 | 417 | 431 | 501 | 505);
    let flow = &mut exchange.response;
    is_refusal
        && answer.framing == Framing::UntilClose
        && !flow.body.is_finished()
        && flow.body.end_of_input(&mut flow.buffer).is_ok()
}
