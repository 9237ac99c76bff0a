//! From a request to the bytes of its answer. Nothing here reads or writes the socket.

use super::{COPIED_MAX, Client, Phase, Rest};
use crate::http1::body::Body;
use crate::http1::head::HeadScan;
use crate::http1::request::RequestFacts;
use crate::http1::{Framing, Method};
use crate::serve::answer::{CONTINUE, Head};
use crate::serve::handler::{Content, Handler, Reply, Request};
use crate::serve::{Shared, pattern};

impl Client {
    /// A head of `len` bytes stands at the front of the input: has it answered.
    pub(super) fn begin<H: Handler>(&mut self, shared: &mut Shared<H>, len: usize) -> Phase {
        let facts = shared.head.facts();
        self.scan = HeadScan::default();
        self.headless = facts.method == Method::Head;
        self.body_read = 0;
        if let Framing::Length(length) = facts.framing
            && length > shared.settings.body_max
        {
            return self.refuse(shared, 413, "request body too large");
        }
        let request = Request::new(&shared.head, self.input.raw());
        let wanted = shared.handler.body_max(&request);
        if wanted > 0 && !matches!(facts.framing, Framing::Empty | Framing::Length(0)) {
            return self.begin_collecting(shared, len, facts, wanted);
        }
        shared.text.clear();
        let reply = shared.handler.request(&request, &mut shared.text, shared.now);
        let waits_for_continue = facts.expect_continue && self.input.raw().len() == len;
        self.input.drop_raw(len);
        if waits_for_continue {
            self.out.extend_from_slice(CONTINUE);
        }
        let echoes = self.begin_answer(&reply, facts, shared);
        let framing = if echoes { facts.framing } else { Framing::Empty };
        self.body = Body::new(facts.framing, framing, facts.accepts_trailers);
        self.after_begin(&reply, shared)
    }

    /// The answer is known: writes what can be written of it.
    pub(super) fn begin_answer<H>(
        &mut self,
        reply: &Reply,
        facts: RequestFacts,
        shared: &mut Shared<H>,
    ) -> bool {
        // What comes next has begun with this, if it has begun.
        self.began = shared.now;
        self.progress = shared.now;
        let streams = matches!(reply.content, Content::Stream);
        self.keep_alive = facts.keep_alive && !shared.draining && !streams;
        self.cleared = self.out.len();
        self.due = shared.now.plus(reply.delay);
        self.write_reply(reply, facts, shared)
    }

    /// Which phase follows on a request whose answer is written.
    pub(super) fn after_begin<H>(&mut self, reply: &Reply, shared: &mut Shared<H>) -> Phase {
        if matches!(reply.content, Content::Stream) && !self.headless {
            return self.begin_streaming(shared);
        }
        if reply.delay.is_zero() && self.body.is_finished() && matches!(self.rest, Rest::Nothing) {
            self.cleared = self.out.len();
            return if self.keep_alive { Phase::Head } else { Phase::Close };
        }
        Phase::Hold
    }

    /// Writes the answer's head, and its content if that is short; returns whether the body is to be echoed.
    fn write_reply<H>(&mut self, reply: &Reply, facts: RequestFacts, shared: &mut Shared<H>) -> bool {
        let framing = match &reply.content {
            Content::Text => Framing::Length(shared.text.len() as u64),
            Content::Static(bytes) => Framing::Length(bytes.len() as u64),
            Content::Shared(bytes) => Framing::Length(bytes.len() as u64),
            Content::Fill(count) => Framing::Length(*count),
            Content::Echo => facts.framing,
            Content::Stream => Framing::UntilClose,
        };
        let (status, fields, version) = (reply.status, &*reply.fields, facts.version);
        let head = Head { status, fields, framing, keep_alive: self.keep_alive, version };
        self.date_at = head.write(shared.date.at(shared.unix_seconds), &mut self.out);
        self.rest = Rest::Nothing;
        (self.rest_sent, self.rest_left) = (0, 0);
        let bodiless = self.headless || matches!(status, 204 | 304);
        let length = match framing {
            Framing::Length(length) => length,
            _ => 0,
        };
        if bodiless {
            return false;
        }
        match &reply.content {
            Content::Echo => {
                if !matches!(facts.framing, Framing::Empty | Framing::Length(0)) {
                    self.rest = Rest::Echo;
                }
                return true;
            }
            Content::Text | Content::Stream => self.out.extend_from_slice(&shared.text),
            Content::Static(bytes) if length <= COPIED_MAX => self.out.extend_from_slice(bytes),
            Content::Shared(bytes) if length <= COPIED_MAX => self.out.extend_from_slice(bytes),
            Content::Fill(_) if length <= COPIED_MAX => self.out.extend_from_slice(pattern::piece(0, length)),
            Content::Static(bytes) => (self.rest, self.rest_left) = (Rest::Static(bytes), length),
            Content::Shared(bytes) => (self.rest, self.rest_left) = (Rest::Shared(bytes.clone()), length),
            Content::Fill(_) => (self.rest, self.rest_left) = (Rest::Pattern, length),
        }
        false
    }

    /// There are as many streams as there may be.
    pub(super) fn refuse_for_now<H>(&mut self, shared: &mut Shared<H>) -> Phase {
        self.refuse_with(shared, 503, "too many streams", "Retry-After: 5\r\n")
    }

    /// Puts an answer of our own in the place of the one held, if any; it is the last one.
    pub(super) fn refuse<H>(&mut self, shared: &mut Shared<H>, status: u16, reason: &str) -> Phase {
        self.refuse_with(shared, status, reason, "")
    }

    fn refuse_with<H>(&mut self, shared: &mut Shared<H>, status: u16, reason: &str, field: &str) -> Phase {
        use std::io::Write as _;

        self.out.truncate(self.cleared);
        shared.text.clear();
        let _ = writeln!(shared.text, "{status} {reason}"); // writing to a Vec cannot fail
        let head = Head {
            status,
            fields: &format!("Content-Type: text/plain; charset=utf-8\r\n{field}"),
            framing: Framing::Length(shared.text.len() as u64),
            keep_alive: false,
            version: crate::http1::Version::Http11,
        };
        head.write(shared.date.at(shared.unix_seconds), &mut self.out);
        if !self.headless {
            self.out.extend_from_slice(&shared.text);
        }
        self.cleared = self.out.len();
        self.input.sent(self.input.ready().len());
        self.rest = Rest::Nothing;
        self.progress = shared.now;
        self.keep_alive = false;
        self.settled = false;
        Phase::Close
    }
}
