//! The head of an answer: read, understood, and queued for the client rewritten.
//!
//! Interim answers, the final one and a switch to another protocol. Absent: what moves behind it (relay.rs).

use super::exchange::Exchange;
use super::pump::{self, Pumped};
use super::{Session, doubt, waiting};
use crate::balance::{Outcome, Stage};
use crate::fault::Fault;
use crate::http1::body::Body;
use crate::http1::response::ResponseFacts;
use crate::http1::rewrite::{self, EXPLAIN_FIELD, ResponseContext, ViaFields};
use crate::http1::{Framing, Limits, Parsed, Version};
use crate::net::{ConnKey, Fill, Net};
use crate::proxy::{PSEUDONYM, World};
use crate::upstream::health::Verdict;

/// What came of looking for a response head.
pub(super) enum Answer {
    /// The final one is here and its rewriting queued.
    Final,
    /// An interim one was dealt with; look again.
    Interim,
    /// 101: what follows is not HTTP.
    Tunnel,
    /// Not yet.
    Wait,
    /// It will not come.
    Failed(Fault),
}

impl Session {
    /// Reads until a head is here, or nothing more.
    #[inline(always)]
    pub(super) fn read_answer<N: Net>(
        &self,
        exchange: &mut Exchange,
        upstream: ConnKey,
        world: &mut World<N>,
    ) -> Answer {
        loop {
            let bytes = exchange.response.buffer.raw();
            if !bytes.is_empty() && exchange.scan.worth_parsing(bytes) {
                match world.response_head.parse(bytes, exchange.facts.method, &world.config.limits) {
                    Ok(Parsed::Partial) => {}
                    Ok(Parsed::Complete(len)) => return self.take_answer(exchange, len, world),
                    Err(bad) => return Answer::Failed(Fault::BadResponse(bad.0)),
                }
            }
            match pump::fill(world, &mut exchange.response, upstream) {
                Fill::Bytes(_) => exchange.trace.ttfb.mark_first(world.now),
                Fill::Blocked => return Answer::Wait,
                Fill::Closed | Fill::Broken(_) => return Answer::Failed(Fault::UpstreamClosed),
            }
        }
    }

    /// A response head stands at the front of the buffer.
    fn take_answer<N: Net>(&self, exchange: &mut Exchange, len: usize, world: &mut World<N>) -> Answer {
        let facts = world.response_head.facts();
        exchange.scan = Default::default();
        if facts.status == 101 {
            return self.take_switch(exchange, len, facts, world);
        }
        if facts.status < 200 {
            return take_interim(exchange, len, facts, world);
        }
        if facts.status >= 400
            && let Some(fault) = doubt::doubt(exchange, facts.status, world)
        {
            return Answer::Failed(fault);
        }
        let framing = outgoing_framing(facts.framing, exchange.facts.version);
        let request_done = exchange.trace.sent.get().is_some();
        exchange.answered_early = !request_done;
        // What is cut already is not read on: then the client must hear that its connection ends.
        exchange.reads_on = request_done || (!exchange.request_cut && reads_on(exchange, facts, world));
        exchange.keep_client &= exchange.reads_on && framing != Framing::UntilClose && !world.draining;
        let interims_len = exchange.response.out.len();
        write_head(exchange, len, framing, exchange.keep_client, false, world);
        exchange.response.body =
            Body::of_answer(facts.framing, framing, exchange.facts.accepts_trailers && !facts.nominates);
        exchange.response.progress = world.now;
        exchange.status = facts.status;
        if let Err(fault) = clear_first(exchange, facts.framing) {
            // What was cleared of it must not follow the answer we give instead.
            exchange.response.out.truncate(interims_len);
            let cleared = exchange.response.buffer.ready().len();
            exchange.response.buffer.sent(cleared);
            return Answer::Failed(fault);
        }
        exchange.answer = Some(facts);
        exchange.request.let_go();
        note_answered(exchange, world);
        world.observe(exchange, Stage::Head, outcome_of(Verdict::of_status(facts.status)));
        world.judge_trial(exchange, Verdict::of_status(facts.status));
        Answer::Final
    }

    /// 101: only to a client that asked, only for what it asked, and only once the request is with the backend whole: what
    /// is left of its content is not the new protocol's. Until then the head stays where it is, to be read again.
    #[cold]
    fn take_switch<N: Net>(
        &self,
        exchange: &mut Exchange,
        len: usize,
        facts: ResponseFacts,
        world: &mut World<N>,
    ) -> Answer {
        if let Err(what) = check_switch(exchange, world) {
            return Answer::Failed(Fault::BadResponse(what));
        }
        if exchange.trace.sent.get().is_none() {
            ask_for_content(exchange);
            return Answer::Wait;
        }
        write_head(exchange, len, Framing::Empty, true, true, world);
        exchange.response.body = Body::tunnel();
        exchange.request.body = Body::tunnel();
        exchange.answer = Some(facts);
        exchange.status = facts.status;
        exchange.request.let_go();
        exchange.keep_client = false;
        world.observe(exchange, Stage::Head, Outcome::Abandoned);
        world.judge_trial(exchange, Verdict::Ok);
        Answer::Tunnel
    }
}

/// Whether the backend goes on reading the request behind this answer to its head: unless it says close. Asked to close
/// by ourselves, it says so whatever it means; then it is its end of file that tells. A client that waits for a 100 and
/// gets another answer may send its content or not (RFC 9110 section 10.1.1): nobody waits for that.
fn reads_on<N: Net>(exchange: &Exchange, facts: ResponseFacts, world: &World<N>) -> bool {
    let waits_for_leave = exchange.waits_for_leave();
    (facts.keep_alive || !world.keeps_upstream()) && !waits_for_leave
}

/// What this answer says of how its backend accepts connections.
#[inline(always)]
fn note_answered<N: Net>(exchange: &mut Exchange, world: &mut World<N>) {
    let Some(backend) = exchange.backend else { return };
    if !exchange.trace.reused {
        if let Some(conn) = exchange.upstream.conn().and_then(|conn| world.conns.get_mut(conn.0)) {
            conn.is_unanswered = false;
        }
        if exchange.doubted != 0 {
            doubt::settle(exchange, exchange.status, world);
        }
    } else if world.upstreams.has_fresh(backend) {
        let took = exchange.trace.dispatched.get().map(|sent| world.now.since(sent));
        world.upstreams.answered(backend, took.unwrap_or_default(), world.now);
    }
}

/// What is wrong with a 101.
fn check_switch<N: Net>(exchange: &Exchange, world: &mut World<N>) -> Result<(), &'static str> {
    if !exchange.facts.upgrade {
        return Err("101 without being asked");
    }
    if !world.response_head.names_upgrade(exchange.response.buffer.raw()) {
        return Err("101 without Upgrade, or Connection that names it");
    }
    if !is_as_asked(exchange, world) {
        return Err("101 without being asked");
    }
    if exchange.request_cut {
        return Err("101 to a request not taken whole");
    }
    Ok(())
}

/// A backend that switches means to take the content; a client that waits to be told so must be told before the 101
/// (RFC 9110 section 7.8).
fn ask_for_content(exchange: &mut Exchange) {
    if exchange.waits_for_leave() {
        exchange.interims += 1;
        exchange.is_continued = true;
        exchange.response.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
}

/// Whether the switch is to nothing but what the request, as we sent it, named.
fn is_as_asked<N: Net>(exchange: &Exchange, world: &mut World<N>) -> bool {
    let sent = &exchange.request.out[..exchange.request.head_len];
    let whole = matches!(world.request_head.parse(sent, &Limits::MOST), Ok(Parsed::Complete(_)));
    whole && world.response_head.switches_within(exchange.response.buffer.raw(), &world.request_head, sent)
}

#[cold]
fn take_interim<N: Net>(
    exchange: &mut Exchange,
    len: usize,
    facts: ResponseFacts,
    world: &mut World<N>,
) -> Answer {
    if !waiting::may_have_interim(exchange, facts.status, world.now) {
        return Answer::Failed(Fault::BadResponse("too many interim responses"));
    }
    if exchange.facts.version == Version::Http11 {
        write_head(exchange, len, facts.framing, true, false, world);
    } else {
        exchange.response.buffer.drop_raw(len); // RFC 9110 section 15.2: never to an HTTP/1.0 client
    }
    Answer::Interim
}

/// Queues the head at the front of the buffer, rewritten, and takes it from the buffer.
fn write_head<N: Net>(
    exchange: &mut Exchange,
    len: usize,
    framing: Framing,
    keep_alive: bool,
    upgrade: bool,
    world: &mut World<N>,
) {
    let context = ResponseContext {
        client: exchange.facts.version,
        keep_alive,
        framing,
        via: world.config.via == ViaFields::Both,
        pseudonym: PSEUDONYM,
        date: world.date.at(world.unix_seconds),
        upgrade,
    };
    let flow = &mut exchange.response;
    rewrite::response(&world.response_head, flow.buffer.raw(), &context, &mut flow.out);
    if let Some(explanation) = exchange.note.field()
        && (upgrade || world.response_head.facts().status >= 200)
    {
        rewrite::add_field(EXPLAIN_FIELD, explanation, &mut flow.out);
    }
    flow.buffer.drop_raw(len);
}

/// Chunks where a length is not known and the client takes them, else the end of the connection.
pub(super) fn outgoing_framing(incoming: Framing, client: Version) -> Framing {
    match (incoming, client) {
        (Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked, Version::Http10) => Framing::UntilClose,
        (framing, _) => framing,
    }
}

/// Takes what is here of the answer's body. An answer whose framing is broken from the start can still be replaced by
/// ours.
fn clear_first(exchange: &mut Exchange, framing: Framing) -> Result<(), Fault> {
    if framing == Framing::Empty {
        return Ok(());
    }
    match pump::clear(&mut exchange.response) {
        None => Ok(()),
        Some(Pumped::Malformed(what)) => Err(Fault::BadResponse(what)),
        Some(_) => Err(Fault::ResponseTruncated),
    }
}

/// What a verdict on the backend means for the policy: whatever must not teach it that a backend is fast is a failure.
pub(super) fn outcome_of(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Ok => Outcome::Success,
        Verdict::Failure | Verdict::Soft => Outcome::Failure,
        Verdict::Abandoned => Outcome::Abandoned,
    }
}
