//! A refusal that may be meant for what the exchange before left on the connection.
//!
//! An origin that has answered a POST without reading its content takes that for the beginning of the next request, and
//! many answer it with a well-formed 400. That would be the next client's answer. So such a refusal on a connection
//! whose last exchange had content is not believed: a request that may be sent twice is asked again on a fresh connection
//! of the same backend. If the answer differs, the backend was caught ([`Known::caught`]) and its connections are closed
//! behind content from then on. The retry budget pays for it, so nobody can double a backend's load.
//!
//! [`Known::caught`]: crate::http1::persist::Known::caught

use super::exchange::Exchange;
use crate::fault::Fault;
use crate::http1::persist::is_doubtful;
use crate::net::Net;
use crate::proxy::World;
use crate::upstream::{After, Surprise};

/// What the log's debug messages say of it.
const WHY: &str = "a refusal that may be meant for the content before";

/// Statuses with which origins answer what is no request, or a request of a method they have never heard of.
const fn refuses(status: u16) -> bool {
    is_doubtful(status) || status == 405
}

/// The fault that an answer of this status is, if it is not to be believed.
#[cold]
pub(super) fn doubt<N: Net>(exchange: &mut Exchange, status: u16, world: &mut World<N>) -> Option<Fault> {
    let is_behind_content = exchange.previous.is_some_and(|(_, after)| after == After::Content);
    // What has come before the answer, an interim one, answers the request.
    let may_ask_again = exchange.is_replayable() && exchange.interims == 0 && exchange.answer.is_none();
    if !is_behind_content || !refuses(status) || !may_ask_again || !world.withdraw_retry() {
        return None;
    }
    exchange.doubted = status;
    Some(Fault::BadResponse(WHY))
}

/// The answer on a fresh connection has come: what it says of the doubted one.
#[cold]
pub(super) fn settle<N: Net>(exchange: &mut Exchange, status: u16, world: &mut World<N>) {
    let doubted = std::mem::take(&mut exchange.doubted);
    let Some(backend) = exchange.backend else { return };
    if doubted != status {
        tracing::debug!(backend, doubted, status, "the backend does not read all content it is sent");
        world.stats.counters.surplus += 1;
        world.upstreams.surprised(backend, Default::default(), After::Content, Surprise::Bytes, world.now);
    }
}
