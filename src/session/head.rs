//! Phase 1: read until a head parses, or refuse.

use super::exchange::Exchange;
use super::pump;
use super::{Phase, Session, Step};
use crate::config::ProxyConfig;
use crate::fault::Fault;
use crate::http1::body::Body;
use crate::http1::request::{RequestFacts, is_like_head};
use crate::http1::rewrite::{self, EXPLAIN_FIELD, RequestContext, ViaFields};
use crate::http1::{Framing, Method, Parsed, Span};
use crate::net::{Fill, Net, Ready};
use crate::proxy::World;
use crate::record::trace::Stamp;

/// A request that goes no further.
struct Stop {
    fault: Fault,
    /// Bytes of its head at the front of the buffer; 0 when no end of it is known.
    head_len: usize,
}

impl Session {
    /// Waits for a request, reads its head, and decides whether it goes on.
    pub(super) fn read_head<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(mut exchange) = self.begin(world) else {
            return Step::Wait;
        };
        let step = loop {
            match self.parse(&mut exchange, world) {
                Some(Ok(())) => break Step::Next(Phase::Route),
                Some(Err(Stop { fault, head_len })) => {
                    self.exchange = Some(exchange);
                    let step = self.refuse(world, fault);
                    if let Some(exchange) = self.exchange.as_mut() {
                        exchange.request.buffer.drop_raw(head_len); // answered: it must not be read as the next one
                    }
                    return step;
                }
                None => {}
            }
            match pump::fill(world, &mut exchange.request, self.client) {
                Fill::Bytes(_) => exchange.trace.first_byte.mark_first(world.now),
                Fill::Blocked => break Step::Wait,
                Fill::Closed | Fill::Broken(_) => break Step::Gone,
            }
        };
        if step == Step::Wait && exchange.request.buffer.is_empty() {
            world.recycle(exchange);
            return Step::Wait; // still idle: the deadline set when the last exchange ended stands
        }
        if let (Step::Wait, Some(begun)) = (step, exchange.trace.first_byte.get()) {
            self.deadline = begun.plus(world.config.timeouts.request_head);
            world.buffers.park(&mut exchange.request.buffer);
        }
        self.exchange = Some(exchange);
        step
    }

    /// The exchange to read into; `None` while an idle client has sent nothing.
    fn begin<N: Net>(&mut self, world: &mut World<N>) -> Option<Box<Exchange>> {
        if self.exchange.is_none() {
            let ready = world.conns.get(self.client.0).map_or(Ready::NONE, |conn| conn.ready());
            if !ready.any(Ready::READABLE) {
                return None;
            }
        }
        let mut exchange = self.exchange.take().unwrap_or_else(|| world.exchange());
        if !exchange.request.buffer.is_empty() {
            exchange.trace.first_byte.mark_first(world.now);
        }
        Some(exchange)
    }

    /// Tries to make a head of the bytes so far; `None` asks for more.
    fn parse<N: Net>(&self, exchange: &mut Exchange, world: &mut World<N>) -> Option<Result<(), Stop>> {
        let bytes = exchange.request.buffer.raw();
        if bytes.is_empty() || !exchange.scan.worth_parsing(bytes) {
            return None;
        }
        match world.request_head.parse(bytes, &world.config.limits) {
            Ok(Parsed::Partial) => None,
            Ok(Parsed::Complete(len)) => Some(self.accept(exchange, len, world)),
            Err(refusal) => {
                note_refused(exchange, world);
                if is_like_head(exchange.request.buffer.raw()) {
                    exchange.facts.method = Method::Head;
                }
                Some(Err(Stop { fault: Fault::Refused(refusal), head_len: 0 }))
            }
        }
    }

    /// A head stands at the front of the buffer: take from it all that outlives it, and write the one to send on.
    fn accept<N: Net>(&self, exchange: &mut Exchange, len: usize, world: &mut World<N>) -> Result<(), Stop> {
        note_line(exchange, world);
        exchange.facts = world.request_head.facts();
        let facts = &exchange.facts;
        exchange.client = self.mark;
        exchange.lacks_host = world.request_head.lacks_host();
        exchange.scan = Default::default();
        exchange.trace.head_done = Stamp::at(world.now);
        world.retry_budget.deposit();
        exchange.keep_client = facts.keep_alive && world.config.client_keepalive && !world.draining;
        // TE speaks of answers: trailers of a request go on whatever it says (RFC 9110 section 10.1.4).
        let body = Body::new(facts.framing, facts.framing, !facts.nominates);
        exchange.request.holds = held_for_retry(facts, &world.config);
        exchange.request.body = body.at_most(world.config.request_body_max.unwrap_or(u64::MAX));
        if let Some(fault) = answered_here(facts, world) {
            return Err(Stop { fault, head_len: len });
        }
        let trusted = world.trusts(self.peer.ip());
        if world.config.explain && trusted {
            let asked = world.request_head.value(exchange.request.buffer.raw(), EXPLAIN_FIELD);
            exchange.note.asked = asked == Some(b"1");
        }
        let context = RequestContext {
            client: self.peer.ip(),
            trusted,
            keep_alive: world.keeps_upstream(),
            forwarded: world.config.forwarded,
            x_real_ip: world.config.x_real_ip,
            via: world.config.via != ViaFields::Off,
            pseudonym: crate::proxy::PSEUDONYM,
            request_id: None,
        };
        let id = world.config.request_id.then(|| world.draw.u64(..));
        let mut text = [0u8; 16];
        let context = match id {
            Some(id) => RequestContext { request_id: Some(hex(id, &mut text)), ..context },
            None => context,
        };
        rewrite::request(
            &world.request_head,
            exchange.request.buffer.raw(),
            &context,
            &mut exchange.request.out,
        );
        exchange.request.head_len = exchange.request.out.len();
        exchange.request.buffer.drop_raw(len);
        exchange.request.progress = world.now;
        Ok(())
    }
}

/// Why a well-formed request goes no further.
fn answered_here<N: Net>(facts: &RequestFacts, world: &World<N>) -> Option<Fault> {
    if let (Framing::Length(length), Some(max)) = (facts.framing, world.config.request_body_max)
        && length > max
    {
        return Some(Fault::RequestTooLarge);
    }
    let ends_here = facts.max_forwards == Some(0) && matches!(facts.method, Method::Trace | Method::Options);
    ends_here.then_some(Fault::FinalRecipient)
}

/// How much of the content to keep until the answer begins, so that the request can be sent again.
fn held_for_retry(facts: &RequestFacts, config: &ProxyConfig) -> u32 {
    let is_held = facts.has_content()
        && facts.method.is_idempotent()
        && !matches!(facts.framing, Framing::Length(length) if length > config.retry_body_max);
    if is_held { config.retry_body_max as u32 } else { 0 }
}

/// Keeps method and target for the log.
fn note_line<N: Net>(exchange: &mut Exchange, world: &World<N>) {
    let (method, target) = (world.request_head.method(), world.request_head.target());
    // The one blank of the request line stands between them.
    let both = Span { start: method.start, end: target.end };
    exchange.line.clear();
    exchange.line.extend_from_slice(both.of(exchange.request.buffer.raw()));
    exchange.method_len = usize::from(method.end - method.start);
}

/// The same for a request line that may be none.
#[cold]
fn note_refused<N: Net>(exchange: &mut Exchange, world: &World<N>) {
    exchange.line.clear();
    let bytes = exchange.request.buffer.raw();
    exchange.method_len = world.request_head.push_line(bytes, &mut exchange.line);
}

fn hex(mut id: u64, text: &mut [u8; 16]) -> &str {
    for place in text.iter_mut().rev() {
        *place = b"0123456789abcdef"[(id & 15) as usize];
        id >>= 4;
    }
    std::str::from_utf8(text).unwrap_or_default()
}
