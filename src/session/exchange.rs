//! What a session needs while it has a request, and an idle one does not.
//!
//! Boxed and recycled, buffers and all, so that ten thousand idle clients cost none and a busy one allocates nothing.

use std::time::Duration;

use super::pump::{PIECE_FIRST, PIECE_LONG};
use super::redial::Redialling;
use crate::balance::Pick;
use crate::balance::explain::Note;
use crate::balance::shadow::Agreement;
use crate::buffer::{Buffer, SIZES};
use crate::clock::Time;
use crate::fault::Fault;
use crate::http1::body::Body;
use crate::http1::head::HeadScan;
use crate::http1::persist::Why;
use crate::http1::request::RequestFacts;
use crate::http1::response::ResponseFacts;
use crate::http1::{Framing, Method, Version};
use crate::net::ConnKey;
use crate::record::trace::{Stamp, Trace};
use crate::upstream::blame::Marks;
use crate::upstream::{After, Entered};

/// One direction: what is sent on, what was read, and how the one becomes the other.
#[derive(Debug)]
pub struct Flow {
    /// Our rewriting of the head, and the first bytes of the body when they are few: one write instead of two.
    pub out: Vec<u8>,
    /// How much of `out` has been sent.
    pub out_sent: usize,
    /// How much of `out` is the head.
    pub head_len: usize,
    /// What was read from the source.
    pub buffer: Buffer,
    /// The body on its way.
    pub body: Body,
    /// Body bytes were sent that are not at hand any more, so the message cannot be sent again.
    pub spilled: bool,
    /// So many bytes of a body are held back from being forgotten once they are sent.
    pub holds: u32,
    /// Of the bytes in `buffer` that may be sent, so many have been.
    pub held: usize,
    /// When a byte last moved, or could first have.
    pub progress: Time,
    /// Bytes read from the source.
    pub read: u64,
    /// Bytes written to the sink.
    pub written: u64,
    /// In so many writes; far more than matter count as many.
    pub writes: u8,
    /// Writing to the source has failed: the error is spent, and the end of file that follows may be its echo.
    pub source_failed: bool,
    /// How much to read at once, as an index into the sizes of blocks.
    pub piece: u8,
    /// The last read filled all the room it was given.
    pub brim: bool,
    /// Bytes the sink had not acknowledged when it last took no more, or when that was last looked at.
    pub backlog: Option<u64>,
    /// When that was.
    pub looked: Time,
}

impl Flow {
    fn new() -> Flow {
        Flow {
            out: Vec::new(),
            out_sent: 0,
            head_len: 0,
            buffer: Buffer::default(),
            body: Body::EMPTY,
            spilled: false,
            holds: 0,
            held: 0,
            progress: Time::ZERO,
            read: 0,
            written: 0,
            writes: 0,
            source_failed: false,
            piece: PIECE_FIRST,
            brim: false,
            backlog: None,
            looked: Time::ZERO,
        }
    }

    /// Back to the start of a message. Bytes of the next one stay in `buffer`.
    fn reset(&mut self) {
        self.out.clear();
        self.out_sent = 0;
        self.body = Body::EMPTY;
        self.spilled = false;
        debug_assert!(self.held == 0 || self.buffer.capacity() == 0, "held bytes before the next message");
        (self.holds, self.held) = (0, 0);
        self.read = self.buffer.len() as u64;
        self.written = 0;
        self.writes = 0;
        self.source_failed = false;
        self.piece = PIECE_FIRST;
        self.brim = false;
        self.backlog = None;
        self.looked = Time::ZERO;
    }

    /// Whether nothing of a body was passed on yet.
    pub fn is_body_untouched(&self) -> bool {
        self.out.len() == self.head_len && !self.spilled && self.buffer.is_empty()
    }

    /// Whether everything cleared to send has been sent.
    pub fn is_drained(&self) -> bool {
        self.out_sent == self.out.len() && self.buffer.ready_len() == self.held
    }

    /// `count` bytes of the buffer were sent. They stay at hand as long as no more than [`Flow::holds`] do.
    pub fn sent(&mut self, count: usize) {
        if self.held + count <= self.holds as usize {
            self.held += count;
            return;
        }
        self.spilled = true;
        self.let_go();
        self.buffer.sent(count);
    }

    /// The message will not be sent again: what was held for that is forgotten.
    pub fn let_go(&mut self) {
        self.holds = 0;
        if self.held > 0 {
            self.buffer.sent(std::mem::take(&mut self.held));
        }
    }

    /// The message is sent again from its start.
    pub fn rewind(&mut self) {
        self.out_sent = 0;
        self.held = 0;
    }

    /// Whether the whole message has been sent.
    pub fn is_complete(&self) -> bool {
        self.body.is_finished() && self.is_drained()
    }
}

/// How the upstream side of an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// None chosen yet, or given back.
    None,
    /// Being dialled; registered for events or not yet.
    Dialled {
        /// The socket.
        conn: ConnKey,
        /// Whether the kernel will tell us about it.
        registered: bool,
    },
    /// Up.
    Connected(ConnKey),
}

impl Upstream {
    /// The socket, if there is one.
    pub fn conn(self) -> Option<ConnKey> {
        match self {
            Upstream::None => None,
            Upstream::Dialled { conn, .. } | Upstream::Connected(conn) => Some(conn),
        }
    }
}

/// A dispatch that has not been settled with the backend table and the policy yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// What the policy picked.
    pub pick: Pick,
    /// What the backend table said of it.
    pub entered: Entered,
    /// Which shadow policies would have picked the same.
    pub agreement: Agreement,
    /// Whether the policy was told of the response head.
    pub head_seen: bool,
}

/// A connection to a backend that belongs to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which backend.
    pub backend: usize,
    /// Which connection.
    pub conn: ConnKey,
}

/// One request and its answer.
#[derive(Debug)]
pub struct Exchange {
    /// From the client to the backend.
    pub request: Flow,
    /// From the backend to the client.
    pub response: Flow,
    /// How far the blank line has been sought in the head being read.
    pub scan: HeadScan,
    /// What the request head said.
    pub facts: RequestFacts,
    /// What the final response head said.
    pub answer: Option<ResponseFacts>,
    /// The request names no host: it gets the name of each backend it goes to. Known once its head is.
    pub lacks_host: bool,
    /// The connection to the backend.
    pub upstream: Upstream,
    /// The dispatch under way.
    pub dispatch: Option<Dispatch>,
    /// The last backend tried, for the log.
    pub backend: Option<usize>,
    /// Backends that failed this request, one bit each (those past 64 are not remembered).
    pub tried: u64,
    /// Waited for a place on a backend, and one came free.
    pub admitted: bool,
    /// No socket could be opened for it; it tries again soon.
    pub short_of_descriptor: bool,
    /// Fresh connections dialled in place of pooled ones that had died; they are not retries.
    pub redials: u32,
    /// A pooled connection died unused, or a dial takes long: dial the same backend afresh.
    pub pinned: Option<usize>,
    /// How its dialling stands.
    pub redialling: Redialling,
    /// Backends that closed on this request without an answer, and are not charged with that yet, one bit each.
    pub suspects: u64,
    /// Stands for its client among others, where failures are judged.
    pub client: u32,
    /// The connection to the backend is its client's alone.
    pub login: bool,
    /// The same connection, when the exchange has ended.
    pub bound: Option<Bound>,
    /// Since when the connection was idle that this request went over, and what the exchange before left open.
    pub previous: Option<(Duration, After)>,
    /// The status of an answer that was not believed, until there is another; else 0.
    pub doubted: u16,
    /// Why the connection to the backend was kept or closed.
    pub kept: Option<Why>,
    /// When what happened.
    pub trace: Trace,
    /// Method and target as received, a space between, for the log.
    pub line: Vec<u8>,
    /// Length of the method in `line`.
    pub method_len: usize,
    /// Whether the client connection can take another request after this one.
    pub keep_client: bool,
    /// The answer began before the request was sent to its end.
    pub answered_early: bool,
    /// The backend reads the rest of the request though its answer has begun.
    pub reads_on: bool,
    /// The backend stopped taking the request; only its answer is awaited.
    pub request_cut: bool,
    /// Interim responses forwarded or dropped so far.
    pub interims: u32,
    /// One of them was a 100.
    pub is_continued: bool,
    /// When the last 102 came.
    pub working: Stamp,
    /// When a lingering close ends at the latest.
    pub linger_until: Time,
    /// The status the client gets.
    pub status: u16,
    /// What went wrong, if anything.
    pub fault: Option<Fault>,
    /// Why it goes where it goes.
    pub note: Note,
}

/// Before any head was read.
const NO_FACTS: RequestFacts = RequestFacts {
    method: Method::Other,
    version: Version::Http11,
    framing: Framing::Empty,
    keep_alive: false,
    expect_continue: false,
    accepts_trailers: false,
    login: false,
    is_plain: false,
    upgrade: false,
    max_forwards: None,
    nominates: false,
};

impl Exchange {
    /// Whose answer it waits for, and since when, if all of the request was sent and nothing has come.
    pub fn awaits(&self) -> Option<(usize, Time)> {
        let is_answered = self.answer.is_some() || self.trace.ttfb.get().is_some();
        let is_connected = matches!(self.upstream, Upstream::Connected(_));
        if is_answered || !is_connected { None } else { Some((self.backend?, self.trace.sent.get()?)) }
    }

    /// A fresh one.
    pub fn new() -> Exchange {
        Exchange {
            request: Flow::new(),
            response: Flow::new(),
            scan: HeadScan::default(),
            facts: NO_FACTS,
            answer: None,
            lacks_host: false,
            upstream: Upstream::None,
            dispatch: None,
            backend: None,
            tried: 0,
            admitted: false,
            redials: 0,
            short_of_descriptor: false,
            pinned: None,
            redialling: Redialling::default(),
            suspects: 0,
            client: 0,
            login: false,
            bound: None,
            previous: None,
            doubted: 0,
            kept: None,
            trace: Trace::default(),
            line: Vec::new(),
            method_len: 0,
            keep_client: false,
            answered_early: false,
            reads_on: false,
            request_cut: false,
            interims: 0,
            is_continued: false,
            working: Stamp::NOT_YET,
            linger_until: Time::ZERO,
            status: 0,
            fault: None,
            note: Note::default(),
        }
    }

    /// Ready for the next request, whose first bytes may be in `request.buffer` already.
    pub fn reset(&mut self) {
        self.request.reset();
        self.response.reset();
        self.scan = HeadScan::default();
        self.facts = NO_FACTS;
        self.answer = None;
        self.upstream = Upstream::None;
        self.dispatch = None;
        self.backend = None;
        self.tried = 0;
        self.admitted = false;
        self.redials = 0;
        self.short_of_descriptor = false;
        self.pinned = None;
        self.redialling = Redialling::default();
        self.suspects = 0;
        self.login = false;
        self.bound = None;
        self.previous = None;
        self.doubted = 0;
        self.kept = None;
        self.trace = Trace::default();
        self.line.clear();
        self.method_len = 0;
        self.keep_client = false;
        self.answered_early = false;
        self.reads_on = false;
        self.request_cut = false;
        self.interims = 0;
        self.is_continued = false;
        self.working = Stamp::NOT_YET;
        self.linger_until = Time::ZERO;
        self.status = 0;
        self.fault = None;
        self.note.reset();
    }

    /// Nothing has come of the last attempt: what it left must not be taken for the next one's.
    pub fn forget_attempt(&mut self) {
        self.fault = None;
        self.request_cut = false;
        self.response.source_failed = false;
        self.trace.sent = Stamp::NOT_YET;
    }

    /// Whether it has had the attempts that `retries` allow. Those that reached nobody while all waited do not count.
    pub fn is_out_of_attempts(&self, retries: u32) -> bool {
        self.trace.attempts.saturating_sub(self.redials + self.redialling.excused) > retries
    }

    /// Bytes its text buffers hold on to between exchanges.
    pub fn held(&self) -> usize {
        self.request.out.capacity() + self.response.out.capacity() + self.line.capacity() + self.note.held()
    }

    /// How much of an answer to read first, judging by this one: large ones seldom come alone.
    pub fn piece_learned(&self) -> u8 {
        if self.response.read < SIZES[usize::from(PIECE_FIRST)] as u64 {
            PIECE_FIRST
        } else {
            self.response.piece.clamp(PIECE_FIRST, PIECE_LONG)
        }
    }

    /// Method as received.
    pub fn method(&self) -> &[u8] {
        &self.line[..self.method_len]
    }

    /// Target as received.
    pub fn target(&self) -> &[u8] {
        self.line.get(self.method_len + 1..).unwrap_or_default()
    }

    /// What a failure may be due to besides its backend.
    pub fn marks(&self) -> Marks {
        Marks::new(self.client, self.method(), self.target(), self.request.head_len)
    }

    /// Whether the request may be sent once more from the start: all of it is still at hand, and its method means the
    /// same sent twice.
    pub fn is_replayable(&self) -> bool {
        self.facts.method.is_idempotent() && !self.request.spilled
    }

    /// Whether it is one to try a backend with that was out: should that fail, it is sent again elsewhere. A body would be
    /// lost by then, and until all of it has come, hours maybe, nobody would know how the trial went.
    pub fn is_fit_for_trial(&self) -> bool {
        self.is_replayable() && self.facts.framing == Framing::Empty
    }

    /// Whether the client waits for a 100 before it sends its content.
    pub fn waits_for_leave(&self) -> bool {
        self.facts.expect_continue && !self.is_continued && self.request.is_body_untouched()
    }

    /// Whether the client has been given, or is about to be given, the head of its final answer. Interim ones do not
    /// count: another answer, ours if need be, can follow them.
    pub fn answer_begun(&self) -> bool {
        self.answer.is_some()
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Exchange::new()
    }
}
