//! One connection: its requests and answers, phase by phase.
//!
//! `Head`, again and again while answers need no waiting; else `Hold` until the answer may leave and the request's
//! body has been read, `Send` what did not fit beside the head; at the end `Close` and `Linger`. A step returns the
//! next phase; only [`Client::advance`] writes it. Reading stops while an answer is held or cannot be sent, and so the
//! kernel's window closes.

mod begin;
mod bytes;
mod stream;

use mio::net::TcpStream;

use super::handler::Handler;
use super::{Settings, Shared};
use crate::clock::Time;
use crate::http1::Parsed;
use crate::http1::body::{BadBody, Body};
use crate::http1::date::DATE_BYTES;
use crate::http1::head::HeadScan;
use crate::http1::request::is_like_head;
use crate::net::{Conn, Fill, Net, Ready, Role, SessionKey};
use crate::slab::Key;
use crate::timer::Armed;
use stream::Collected;

/// Bytes one client may move before it is the others' turn.
const TURN_BYTES_MAX: usize = 1024 * 1024;
/// Content up to this length is copied behind its head: one stretch is cheaper to send than two.
const COPIED_MAX: u64 = 4 * 1024;
/// Answers gathered for one write: beyond this they go before another request is read.
const GATHERED_MAX: usize = 16 * 1024;
/// Room for answers that a connection may keep; only one that gathers answers, or had a long text, has as much.
const KEPT_MAX: usize = 24 * 1024;
/// A body with at least this much to come is read in the largest pieces.
const LARGE_BODY: u64 = 128 * 1024;
/// What is read and dropped after the last answer, at most.
const LINGER_BYTES_MAX: u64 = 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Reading heads, answering at once.
    Head,
    /// A body comes in that the handler wants to see.
    Collect,
    /// An answer is written but must not leave yet.
    Hold,
    /// It leaves.
    Send,
    /// An answer goes on until one side ends it.
    Stream,
    /// The last bytes leave.
    Close,
    /// The client may still be sending.
    Linger,
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing more until an event or a deadline.
    Wait,
    /// The budget is spent.
    Again,
    /// The connection has ended.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Next(Phase),
    Wait,
    Again,
    Gone,
}

/// What follows the bytes in `out`.
#[derive(Debug)]
enum Rest {
    Nothing,
    Static(&'static [u8]),
    Shared(std::sync::Arc<[u8]>),
    Pattern,
    Echo,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    /// In the queue of those to be advanced.
    pub(super) queued: bool,
    /// When something should have happened at the latest.
    pub(super) deadline: Time,
    pub(super) armed: Armed,
    pub(super) delay_armed: Armed,
    conn: Conn<TcpStream>,
    phase: Phase,
    /// The last time a byte moved or an answer was allowed to.
    progress: Time,
    /// When the head, or lingering, began.
    began: Time,
    scan: HeadScan,
    input: crate::buffer::Buffer,
    /// The request's body.
    body: Body,
    /// Bytes of it, framing included.
    body_read: u64,
    /// The request was a HEAD.
    headless: bool,
    keep_alive: bool,
    /// Closing needs no care for what the client still sends: it has been read.
    settled: bool,
    /// The client has finished sending, and all of it has been read.
    ended: bool,
    /// Heads and short content, in order.
    out: Vec<u8>,
    /// Of `out`, this much was sent.
    sent: usize,
    /// Of `out`, this much may be sent.
    cleared: usize,
    /// Where in `out` the date of the answer held is.
    date_at: usize,
    /// When the answer held may leave.
    due: Time,
    rest: Rest,
    /// The head of the request and what has come of its body, when the handler wants to see it.
    collected: Option<Box<Collected>>,
    /// Of `rest`, this much was sent, and this much was not.
    rest_sent: u64,
    rest_left: u64,
}

impl Client {
    /// A connection just accepted.
    pub(super) fn new(key: Key, stream: TcpStream, now: Time, settings: &Settings) -> Client {
        Client {
            queued: false,
            deadline: now.plus(settings.idle),
            armed: Armed::NO,
            delay_armed: Armed::NO,
            conn: Conn::accepted(stream, Role::Client(SessionKey(key)), Ready::WRITABLE),
            phase: Phase::Head,
            progress: now,
            began: now,
            scan: HeadScan::default(),
            input: crate::buffer::Buffer::default(),
            body: Body::EMPTY,
            body_read: 0,
            headless: false,
            keep_alive: true,
            settled: true,
            ended: false,
            out: Vec::new(),
            sent: 0,
            cleared: 0,
            date_at: 0,
            due: Time::ZERO,
            rest: Rest::Nothing,
            collected: None,
            rest_sent: 0,
            rest_left: 0,
        }
    }

    /// Notes an event.
    pub(super) fn mark(&mut self, ready: Ready) {
        self.conn.mark(ready);
    }

    /// In the middle of an answer that goes on.
    pub(super) fn is_streaming(&self) -> bool {
        self.phase == Phase::Stream
    }

    /// Between two requests.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Head && self.input.is_empty() && self.out.is_empty()
    }

    /// Since when it has kept its place for nothing: idle, or sending a request that has no end yet, or since it last took
    /// a byte of its answer. `None` while the server itself makes it wait.
    pub(super) fn stalled_since(&self) -> Option<Time> {
        match self.phase {
            Phase::Stream => None,
            Phase::Hold if !self.reads_on() => None,
            Phase::Send | Phase::Close => Some(self.progress),
            _ if self.sent < self.cleared => Some(self.progress),
            // Not since its last byte: a head that drips would be young for ever.
            Phase::Head | Phase::Collect | Phase::Hold | Phase::Linger => Some(self.began),
        }
    }

    /// When the answer held may leave.
    pub(super) fn held_until(&self) -> Option<Time> {
        (self.phase == Phase::Hold).then_some(self.due)
    }

    /// Returns what was borrowed.
    pub(super) fn give_back<H>(&mut self, shared: &mut Shared<H>) {
        shared.buffers.give(&mut self.input);
    }

    /// Does what can be done now.
    pub(super) fn advance<H: Handler>(&mut self, shared: &mut Shared<H>) -> Turn {
        if self.conn.ready().any(Ready::GONE) {
            return Turn::Done; // nobody is there to be answered
        }
        let mut budget = TURN_BYTES_MAX;
        loop {
            let step = match self.phase {
                Phase::Head => self.read_heads(shared, &mut budget),
                Phase::Collect => self.collect(shared, &mut budget),
                Phase::Hold => self.hold(shared, &mut budget),
                Phase::Send => self.send(shared, &mut budget),
                Phase::Stream => self.stream(shared, &mut budget),
                Phase::Close => self.close(shared),
                Phase::Linger => self.linger(shared),
            };
            self.phase = match step {
                Step::Next(phase) => phase,
                Step::Again => return Turn::Again,
                Step::Gone => return Turn::Done,
                Step::Wait => {
                    self.deadline = self.patience(&shared.settings);
                    if self.deadline > shared.now {
                        shared.buffers.park(&mut self.input);
                        return Turn::Wait;
                    }
                    match self.phase {
                        _ if self.sent < self.cleared => return Turn::Done, // it does not read what it is sent
                        Phase::Head if !self.input.is_empty() => {
                            self.refuse(shared, 408, "request head timeout")
                        }
                        Phase::Hold | Phase::Collect => self.refuse(shared, 408, "request body timeout"),
                        _ => return Turn::Done,
                    }
                }
            };
        }
    }

    /// Until when the next byte must have moved.
    fn patience(&self, settings: &Settings) -> Time {
        if self.sent < self.cleared {
            return self.progress.plus(settings.write);
        }
        match self.phase {
            Phase::Head if self.input.is_empty() => self.progress.plus(settings.idle),
            Phase::Head => self.began.plus(settings.head),
            Phase::Hold | Phase::Collect if self.reads_on() => {
                self.progress.plus(settings.body).min(self.began.plus(settings.body_whole))
            }
            Phase::Collect => self.progress.plus(settings.body),
            Phase::Hold | Phase::Stream => Time::NEVER,
            Phase::Send | Phase::Close => self.progress.plus(settings.write),
            Phase::Linger => self.began.plus(settings.linger),
        }
    }

    /// Answers every request that is here and may be answered at once.
    fn read_heads<H: Handler>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Step {
        loop {
            while !self.input.is_empty() && self.scan.worth_parsing(self.input.raw()) {
                match shared.head.parse(self.input.raw(), &shared.settings.limits) {
                    Ok(Parsed::Partial) => break,
                    Ok(Parsed::Complete(len)) => match self.begin(shared, len) {
                        Phase::Head => {}
                        phase => return Step::Next(phase),
                    },
                    Err(refusal) => {
                        self.headless = is_like_head(self.input.raw());
                        return Step::Next(self.refuse(shared, refusal.status, refusal.reason));
                    }
                }
                if self.out.len() >= GATHERED_MAX
                    && let Some(step) = self.flush(shared)
                {
                    return step;
                }
            }
            if *budget == 0 || !self.conn.ready().any(Ready::READABLE) {
                break;
            }
            let fresh = self.input.is_empty();
            match self.fill(shared) {
                Fill::Bytes(count) => {
                    *budget = budget.saturating_sub(count);
                    if fresh {
                        self.began = shared.now;
                    }
                }
                Fill::Blocked => break,
                Fill::Closed => {
                    self.ended = true;
                    return Step::Next(Phase::Close);
                }
                Fill::Broken(_) => return Step::Gone,
            }
        }
        match self.flush(shared) {
            Some(step) => step,
            None if *budget == 0 => Step::Again,
            None if shared.draining && self.input.is_empty() => Step::Next(Phase::Close),
            None => Step::Wait,
        }
    }

    /// Reads a body that is not echoed, and waits for the time to come.
    fn hold<H: Handler>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Step {
        if let Some(step) = self.flush(shared) {
            return step;
        }
        while self.reads_on() {
            let unread = self.input.raw().len();
            match self.body.advance(&mut self.input) {
                Ok(()) => self.input.sent(self.input.ready().len()),
                Err(BadBody::Malformed(reason)) => return Step::Next(self.refuse(shared, 400, reason)),
                // This body was given no bound of its own: it is counted below.
                Err(BadBody::Truncated | BadBody::TooLarge) => return Step::Gone,
            }
            self.body_read += (unread - self.input.raw().len()) as u64;
            if self.body_read > shared.settings.body_max {
                return Step::Next(self.refuse(shared, 413, "request body too large"));
            }
            if self.body.is_finished() {
                break;
            }
            if let Some(step) = self.read_more(shared, budget) {
                return step;
            }
        }
        if shared.now < self.due {
            return Step::Wait;
        }
        // The answer was written when its request came; it is dated when it leaves.
        let date = shared.date.at(shared.unix_seconds);
        self.out[self.date_at..self.date_at + DATE_BYTES].copy_from_slice(date);
        self.cleared = self.out.len();
        self.progress = shared.now;
        Step::Next(Phase::Send)
    }

    /// Reads more of a body, unless there is a reason to stop: a client that ends within it is not answered.
    fn read_more<H>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Option<Step> {
        if *budget == 0 {
            return Some(Step::Again);
        }
        match self.fill(shared) {
            Fill::Bytes(count) => *budget = budget.saturating_sub(count),
            Fill::Blocked => return Some(Step::Wait),
            Fill::Closed | Fill::Broken(_) => return Some(Step::Gone),
        }
        None
    }

    /// Whether a body must be read before the answer may leave.
    fn reads_on(&self) -> bool {
        !self.body.is_finished() && !matches!(self.rest, Rest::Echo)
    }

    /// Sends the answer to its end.
    fn send<H: Handler>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Step {
        loop {
            if let Rest::Echo = self.rest
                && self.body.advance(&mut self.input).is_err()
            {
                return Step::Gone; // cut where the request broke: the client sees no end of its answer
            }
            if let Some(step) = self.drain(shared, budget) {
                return step;
            }
            if self.rest_left == 0 && self.body.is_finished() {
                break;
            }
            if *budget == 0 {
                return Step::Again;
            }
            if let Rest::Echo = self.rest
                && let Some(step) = self.read_more(shared, budget)
            {
                return step;
            }
        }
        self.rest = Rest::Nothing;
        self.began = shared.now;
        Step::Next(if self.keep_alive { Phase::Head } else { Phase::Close })
    }

    /// Sends the last bytes, then closes: at once if all the client sent has been read, else with care.
    fn close<H>(&mut self, shared: &mut Shared<H>) -> Step {
        if let Some(step) = self.flush(shared) {
            return step;
        }
        let unread = !self.input.is_empty() || self.conn.ready().any(Ready::READABLE);
        if self.ended
            || (self.settled && !unread)
            || shared.net.finish_writing(&mut self.conn.stream).is_err()
        {
            return Step::Gone;
        }
        self.began = shared.now;
        self.body_read = 0;
        Step::Next(Phase::Linger)
    }

    /// Drops what the client still sends, for a moment: closing with unread input would send a reset, and a reset can
    /// erase the answer before the client has read it (RFC 9112 section 9.6).
    fn linger<H>(&mut self, shared: &mut Shared<H>) -> Step {
        loop {
            self.input.drop_raw(self.input.raw().len());
            if self.body_read > LINGER_BYTES_MAX {
                return Step::Gone;
            }
            match self.fill(shared) {
                Fill::Bytes(count) => self.body_read += count as u64,
                Fill::Blocked => return Step::Wait,
                Fill::Closed | Fill::Broken(_) => return Step::Gone,
            }
        }
    }
}
