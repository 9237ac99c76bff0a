//! Phase 4: pump both flows under backpressure, reading the response head on the way.
//!
//! Either side's event ends here, and both directions are looked at: a byte that one brings may be what the other
//! waited for. The request flow may end after the response has begun, or never (an early answer); the response flow
//! decides when the exchange is over.

use std::ops::ControlFlow;

use super::exchange::{Exchange, Upstream};
use super::pump::{self, Pumped, TURN_BYTES_MAX};
use super::waiting::{self, deadline};
use super::{Phase, Session, Step, closing, doubt};
use crate::balance::{Outcome, Stage};
use crate::fault::Fault;
use crate::http1::body::Body;
use crate::http1::response::ResponseFacts;
use crate::http1::rewrite::{self, EXPLAIN_FIELD, ResponseContext, ViaFields};
use crate::http1::{Framing, Limits, Parsed, Version};
use crate::net::{Conn, ConnKey, Fill, Net, Ready};
use crate::proxy::{PSEUDONYM, World};
use crate::record::trace::Stamp;
use crate::upstream::health::Verdict;

/// What came of looking for a response head.
enum Answer {
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

    #[inline(always)]
    fn read_answer<N: Net>(
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

/// Whether a backend has broken the connection, or one that was asked to close has closed its side.
fn has_stopped_reading<N: Net>(upstream: ConnKey, world: &World<N>) -> bool {
    let over = if world.keeps_upstream() { Ready::GONE } else { Ready::READ_CLOSED.with(Ready::GONE) };
    world.conns.get(upstream.0).is_none_or(|conn: &Conn<N::Stream>| conn.ready().any(over))
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
