//! What few handlers need: a request's body before the answer, and an answer that goes on.

use super::{Client, Phase, Step};
use crate::clock::Time;
use crate::http1::body::{BadBody, Body};
use crate::http1::request::RequestFacts;
use crate::http1::{Framing, Parsed};
use crate::net::{Fill, Role};
use crate::serve::Shared;
use crate::serve::answer::CONTINUE;
use crate::serve::handler::{Handler, Request};

/// A request whose body is coming in.
#[derive(Debug)]
pub(super) struct Collected {
    /// Its head, and behind that what has come of its body.
    bytes: Vec<u8>,
    head_len: usize,
    body_max: usize,
}

impl Client {
    /// Keeps the head, of `len` bytes, until the body is here.
    pub(super) fn begin_collecting<H>(
        &mut self,
        shared: &mut Shared<H>,
        len: usize,
        facts: RequestFacts,
        body_max: usize,
    ) -> Phase {
        if let Framing::Length(length) = facts.framing
            && length > body_max as u64
        {
            return self.refuse(shared, 413, "request body too large");
        }
        let bytes = self.input.raw()[..len].to_vec();
        let waits_for_continue = facts.expect_continue && self.input.raw().len() == len;
        self.collected = Some(Box::new(Collected { bytes, head_len: len, body_max }));
        self.input.drop_raw(len);
        if waits_for_continue {
            self.out.extend_from_slice(CONTINUE);
        }
        self.cleared = self.out.len();
        (self.began, self.progress) = (shared.now, shared.now);
        self.body = Body::new(facts.framing, Framing::Empty, false).at_most(body_max as u64);
        Phase::Collect
    }

    /// Reads the body to its end, then has the request answered.
    pub(super) fn collect<H: Handler>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Step {
        if let Some(step) = self.flush(shared) {
            return step;
        }
        loop {
            match self.body.advance(&mut self.input) {
                Ok(()) => {}
                Err(BadBody::Malformed(reason)) => return Step::Next(self.refuse(shared, 400, reason)),
                Err(BadBody::TooLarge) => {
                    return Step::Next(self.refuse(shared, 413, "request body too large"));
                }
                Err(BadBody::Truncated) => return Step::Gone,
            }
            let Some(collected) = &mut self.collected else { return Step::Gone };
            let ready = self.input.ready();
            if collected.bytes.len() - collected.head_len + ready.len() > collected.body_max {
                return Step::Next(self.refuse(shared, 413, "request body too large"));
            }
            collected.bytes.extend_from_slice(ready);
            let count = ready.len();
            self.input.sent(count);
            if self.body.is_finished() {
                return self.answer_collected(shared);
            }
            if let Some(step) = self.read_more(shared, budget) {
                return step;
            }
        }
    }

    fn answer_collected<H: Handler>(&mut self, shared: &mut Shared<H>) -> Step {
        let Some(collected) = self.collected.take() else { return Step::Gone };
        // Parsed a second time, since other clients have had theirs parsed meanwhile.
        let (head, body) = collected.bytes.split_at(collected.head_len);
        let Ok(Parsed::Complete(_)) = shared.head.parse(head, &shared.settings.limits) else {
            return Step::Gone;
        };
        let facts = shared.head.facts();
        shared.text.clear();
        let request = Request::new(&shared.head, head).with_body(body);
        let reply = shared.handler.request(&request, &mut shared.text, shared.now);
        self.begin_answer(&reply, facts, shared);
        Step::Next(self.after_begin(&reply, shared))
    }

    /// The answer's beginning is written; more follows with each tick.
    pub(super) fn begin_streaming<H>(&mut self, shared: &mut Shared<H>) -> Phase {
        if shared.readers.len() >= shared.settings.streams_max {
            return self.refuse_for_now(shared);
        }
        if let Role::Client(key) = self.conn.role {
            shared.readers.push(key.0);
        }
        self.cleared = self.out.len();
        Phase::Stream
    }

    /// Sends what there is, and listens only for the client's leaving.
    pub(super) fn stream<H>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Step {
        loop {
            self.input.drop_raw(self.input.raw().len());
            if *budget == 0 {
                return Step::Again;
            }
            match self.fill(shared) {
                Fill::Bytes(count) => *budget = budget.saturating_sub(count),
                Fill::Blocked => break,
                Fill::Closed | Fill::Broken(_) => return Step::Gone,
            }
        }
        if shared.draining {
            return Step::Gone; // an end is an end, and its reader comes back to whoever follows
        }
        self.flush(shared).unwrap_or(Step::Wait)
    }

    /// Appends to the stream; `false` when its reader is too far behind. One that has everything so far is not, however
    /// long this message is.
    pub(in crate::serve) fn push(&mut self, bytes: &[u8], lag_max: usize, now: Time) -> bool {
        let lag = self.out.len() - self.sent;
        if lag > 0 && lag + bytes.len() > lag_max {
            return false;
        }
        if lag == 0 {
            self.progress = now; // patience begins with what there is to be patient for
        }
        self.out.drain(..self.sent);
        self.sent = 0;
        self.out.extend_from_slice(bytes);
        self.cleared = self.out.len();
        true
    }
}
