//! What becomes of the connection to the backend when an exchange ends.
//!
//! The rule itself is pure ([`persist::decide`]); here its facts are put together and its verdict is carried out. Absent:
//! the pool (upstream/pool.rs).

use std::time::Duration;

use super::exchange::{Bound, Exchange, Upstream};
use crate::http1::Framing;
use crate::http1::persist::{self, Exchanged, Keep, Why};
use crate::http1::response::ResponseFacts;
use crate::net::{ConnKey, Net};
use crate::proxy::World;
use crate::upstream::{After, Surprise};

/// A request of so many bytes, written at once, goes in one packet: where its head was read, all of it has arrived.
const ONE_PACKET: u64 = 1400;

/// Gives the connection to the backend up: to the pool, to its client, or for good.
pub(super) fn release<N: Net>(exchange: &mut Exchange, world: &mut World<N>) {
    let (Some(backend), Upstream::Connected(conn)) = (exchange.backend, exchange.upstream) else {
        return close_upstream(exchange, world);
    };
    let Some(answer) = exchange.answer.as_ref() else { return close_upstream(exchange, world) };
    if answer.status == 101 || !exchange.response.body.is_finished() {
        return close_upstream(exchange, world);
    }
    if keeps_plainly(exchange, backend, answer, world) && world.look(conn, false).is_none() {
        exchange.kept = Some(Why::Reusable);
        world.stats.counters.kept[Why::Reusable as usize] += 1;
        world.check_in(backend, conn, Duration::ZERO, After::Plain);
        exchange.upstream = Upstream::None;
        return;
    }
    release_by_rule(exchange, backend, conn, *answer, world);
}

/// Whether this is the usual exchange with the usual answer, of which the rule would say the same, by way of more
/// questions.
#[inline(always)]
fn keeps_plainly<N: Net>(
    exchange: &Exchange,
    backend: usize,
    answer: &ResponseFacts,
    world: &World<N>,
) -> bool {
    exchange.facts.is_plain
        && answer.keeps_plainly
        && !exchange.login
        && !exchange.request_cut
        && exchange.trace.sent.get().is_some()
        && exchange.response.buffer.raw_len() == 0
        && world.keeps_upstream()
        && !world.upstreams.closes(backend, world.now)
        && !world.upstreams.has_fresh(backend)
        && world.upstreams.is_open(backend)
}

#[inline(never)]
fn release_by_rule<N: Net>(
    exchange: &mut Exchange,
    backend: usize,
    conn: ConnKey,
    answer: ResponseFacts,
    world: &mut World<N>,
) {
    let (keep, why) = verdict(exchange, backend, conn, answer, world);
    exchange.kept = Some(why);
    world.stats.counters.kept[why as usize] += 1;
    match keep {
        Keep::Pool(rest) => {
            let after = match (answer.announces_content, exchange.facts.has_content()) {
                (true, _) => After::Head,
                (false, true) => After::Content,
                (false, false) => After::Plain,
            };
            world.check_in(backend, conn, rest, after);
            exchange.upstream = Upstream::None;
        }
        Keep::Client => {
            exchange.bound = Some(Bound { backend, conn });
            exchange.upstream = Upstream::None;
        }
        Keep::Close => close_upstream(exchange, world),
    }
}

/// Whether the connection may serve another request, whose, and why.
fn verdict<N: Net>(
    exchange: &mut Exchange,
    backend: usize,
    conn: ConnKey,
    answer: ResponseFacts,
    world: &mut World<N>,
) -> (Keep, Why) {
    if !world.keeps_upstream() || answer.says_close {
        // What may come behind the answer is of no interest any more, and would cost a read.
        world.stats.counters.surplus += u64::from(exchange.response.buffer.raw_len() > 0);
        let is_asked_for = !world.keeps_upstream();
        return (Keep::Close, if is_asked_for { Why::NonPersistent } else { Why::SaidClose });
    }
    let has_surplus = has_surplus(exchange, conn, answer, world);
    let facts = exchange.facts;
    let exchanged = Exchanged {
        method: facts.method,
        has_content: facts.has_content(),
        upgrade: facts.upgrade,
        login: exchange.login || facts.login || answer.offers_login,
        status: answer.status,
        announces_content: answer.announces_content,
        says_close: answer.says_close || answer.keep_alive_timeout == Some(0),
        persists: answer.keep_alive,
        is_sent: exchange.trace.sent.get().is_some() && !exchange.request_cut,
        is_undelivered: exchange.answered_early || is_undelivered(exchange, conn, world),
        has_surplus,
    };
    let known = world.upstreams.known(backend, world.now);
    let verdict = persist::decide(world.config.pool_trust, &exchanged, known);
    if let Some(seconds) = answer.keep_alive_timeout {
        world.upstreams.announce(backend, seconds);
    }
    if verdict.0 != Keep::Close
        && let Some(why) = world.needs_no_more(backend)
    {
        return (Keep::Close, why);
    }
    verdict
}

/// Whether bytes have come behind the answer. Nobody gets them, and they are counted.
fn has_surplus<N: Net>(
    exchange: &Exchange,
    conn: ConnKey,
    answer: ResponseFacts,
    world: &mut World<N>,
) -> bool {
    let has_ended = answer.framing == Framing::UntilClose;
    let surprise = if exchange.response.buffer.raw_len() == 0 {
        if has_ended { None } else { world.look(conn, false) }
    } else {
        Some(Surprise::Bytes)
    };
    if surprise == Some(Surprise::Bytes) {
        world.stats.counters.surplus += 1;
    }
    surprise.is_some()
}

/// Whether the backend's kernel has not acknowledged all of the request. Asked only where there was content in more
/// than one packet: otherwise the answer itself says that it has arrived.
fn is_undelivered<N: Net>(exchange: &Exchange, conn: ConnKey, world: &World<N>) -> bool {
    let in_one_packet = exchange.request.written <= ONE_PACKET && exchange.request.writes <= 1;
    if !exchange.facts.has_content() || in_one_packet {
        return false;
    }
    let stream = world.conns.get(conn.0).map(|conn| &conn.stream);
    stream.and_then(|stream| world.net.unacknowledged(stream)).is_some_and(|bytes| bytes > 0)
}

/// Closes the connection to the backend.
pub(super) fn close_upstream<N: Net>(exchange: &mut Exchange, world: &mut World<N>) {
    let Some(conn) = exchange.upstream.conn() else { return };
    // Complete by length or chunks: nothing more can come that anybody wants, so no TIME_WAIT need be kept. Of a tunnel
    // the end of one way says nothing about the other: what was written last may still be on its way. So may content
    // that a backend means to read after its answer: a reset would throw it away.
    let is_complete = exchange.response.body.is_finished()
        && exchange
            .answer
            .is_some_and(|answer| answer.framing != Framing::UntilClose && answer.status != 101)
        && !is_undelivered(exchange, conn, world);
    if let Some(backend) = exchange.backend {
        world.upstreams.closed(backend);
    }
    world.close(conn, is_complete);
    exchange.upstream = Upstream::None;
    exchange.response.buffer.drop_raw(exchange.response.buffer.raw_len());
}
