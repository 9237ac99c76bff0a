//! One client: where it is with its connection and its request.

use super::answer::Answer;
use super::tally::ErrorKind;
use crate::buffer::{Buffer, Pool, SIZES};
use crate::clock::Time;
use crate::http1::response::ResponseHead;
use crate::http1::{Limits, Method};
use crate::net::{Conn, Drain, Fill, Net, Ready};
use crate::slab::Key;
use crate::timer::Armed;

/// Reads of one client in one turn: an answer without end must not starve the rest.
const READS_MAX: usize = 16;
/// From here on a body is read in the largest pieces.
const LARGE_BODY: u64 = 64 * 1024;

/// What is going on with a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    None,
    /// There is none, and none is tried before the deadline.
    Resting,
    /// It is being opened.
    Dialing,
    /// It is open.
    Open,
}

/// What came of a client's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An event must come first.
    Wait,
    /// There is more to do, but others come first.
    Again,
    /// The connection is open.
    Connected,
    /// The answer is complete.
    Answered,
    /// A connection without a request has had its day.
    Expired,
    /// No answer will come.
    Failed(ErrorKind),
}

/// One client. It has one request under way at most.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) phase: Phase,
    /// In the slab of connections, unless the phase says there is none.
    pub(super) conn: Key,
    /// When the request under way was due, if there is one.
    pub(super) intended: Option<Time>,
    /// Answers on this connection.
    pub(super) answers: u64,
    /// Whether it ever had a connection.
    pub(super) was_open: bool,
    /// When the phase or the request has taken too long.
    pub(super) deadline: Time,
    pub(super) armed: Armed,
    pub(super) buffer: Buffer,
    pub(super) answer: Answer,
    /// Bytes of the request sent.
    written: usize,
    /// Whether a byte of the answer has come.
    heard: bool,
}

/// What clients share.
#[derive(Debug)]
pub(super) struct Shared<N> {
    pub(super) net: N,
    pub(super) request: Vec<u8>,
    pub(super) method: Method,
    pub(super) limits: Limits,
    pub(super) buffers: Pool,
    pub(super) bytes: u64,
    /// Scratch.
    pub(super) head: ResponseHead,
}

impl Client {
    pub(super) fn new() -> Client {
        Client {
            phase: Phase::None,
            conn: Key::NONE,
            intended: None,
            answers: 0,
            was_open: false,
            deadline: Time::NEVER,
            armed: Armed::NO,
            buffer: Buffer::default(),
            answer: Answer::default(),
            written: 0,
            heard: false,
        }
    }

    /// The request under way, if any, is now to be sent from its start.
    pub(super) fn rewind(&mut self) {
        self.answer = Answer::default();
        self.written = 0;
        self.heard = false;
    }

    /// Whether a request that failed this way is sent again unasked: the server may have closed the connection before
    /// it saw the request, as servers do with idle ones (RFC 9112 section 9.3.1). Never on a fresh connection, so it
    /// happens once.
    pub(super) fn may_send_again(&self, kind: ErrorKind, method: Method) -> bool {
        let unseen = matches!(kind, ErrorKind::Reset | ErrorKind::Closed) && !self.heard;
        unseen && self.intended.is_some() && self.answers > 0 && method.is_idempotent()
    }

    /// Does what its connection allows now.
    pub(super) fn step<N: Net>(&mut self, conn: &mut Conn<N::Stream>, shared: &mut Shared<N>) -> Step {
        match self.phase {
            Phase::None | Phase::Resting => Step::Wait,
            Phase::Dialing => connected(conn, &mut shared.net),
            // Without a request there is nothing to hear but the end, or what nobody asked for.
            Phase::Open if self.intended.is_none() => {
                let unasked = Ready::READABLE.with(Ready::READ_CLOSED).with(Ready::GONE);
                if conn.ready().any(unasked) { self.listen_idle(conn, shared) } else { Step::Wait }
            }
            Phase::Open => {
                let broken = self.write(conn, shared).err();
                match (self.read(conn, shared), broken) {
                    (Step::Wait, Some(failed)) => failed, // nothing to be heard about it either
                    (step, _) => step,
                }
            }
        }
    }

    fn write<N: Net>(&mut self, conn: &mut Conn<N::Stream>, shared: &mut Shared<N>) -> Result<(), Step> {
        while self.written < shared.request.len() {
            match conn.drain(&mut shared.net, &shared.request[self.written..], &[]) {
                Drain::Bytes(count) => self.written += count,
                Drain::Blocked => break,
                Drain::Broken(_) => return Err(Step::Failed(ErrorKind::Reset)),
            }
        }
        Ok(())
    }

    fn read<N: Net>(&mut self, conn: &mut Conn<N::Stream>, shared: &mut Shared<N>) -> Step {
        let mut step = Step::Again;
        for _ in 0..READS_MAX {
            step = self.read_once(conn, shared);
            if step != Step::Again {
                break;
            }
        }
        if self.buffer.is_empty() {
            shared.buffers.give(&mut self.buffer);
        }
        step
    }

    fn read_once<N: Net>(&mut self, conn: &mut Conn<N::Stream>, shared: &mut Shared<N>) -> Step {
        if !conn.ready().any(Ready::READABLE) {
            return Step::Wait;
        }
        self.make_room(&mut shared.buffers);
        match conn.fill(&mut shared.net, &mut self.buffer, 0) {
            Fill::Blocked => Step::Wait,
            Fill::Broken(_) => Step::Failed(ErrorKind::Reset),
            Fill::Closed if self.answer.end_of_input(&mut self.buffer) => Step::Answered,
            Fill::Closed => Step::Failed(ErrorKind::Closed),
            Fill::Bytes(count) => {
                shared.bytes += count as u64;
                self.heard = true;
                match self.answer.advance(&mut self.buffer, &mut shared.head, shared.method, &shared.limits) {
                    Ok(true) => Step::Answered,
                    Ok(false) => Step::Again,
                    Err(_) => Step::Failed(ErrorKind::Malformed),
                }
            }
        }
    }

    /// Readiness is leave to try: only a read tells an end from a false alarm.
    fn listen_idle<N: Net>(&mut self, conn: &mut Conn<N::Stream>, shared: &mut Shared<N>) -> Step {
        self.make_room(&mut shared.buffers);
        let filled = conn.fill(&mut shared.net, &mut self.buffer, 0);
        shared.buffers.give(&mut self.buffer);
        if filled == Fill::Blocked { Step::Wait } else { Step::Expired }
    }

    fn make_room(&mut self, buffers: &mut Pool) {
        let wanted =
            if self.answer.remaining().is_some_and(|left| left >= LARGE_BODY) { SIZES[3] } else { SIZES[1] };
        if self.buffer.is_empty() && self.buffer.capacity() < wanted {
            buffers.give(&mut self.buffer);
            self.buffer = buffers.take(wanted);
        } else if !self.buffer.has_room() {
            self.buffer.compact();
            if !self.buffer.has_room() {
                buffers.resize(&mut self.buffer, SIZES[3]); // a head can fill 64 KiB, and no more is ever left over
            }
        }
    }
}

/// Whether the connection being opened is open. Writable alone does not say so.
fn connected<N: Net>(conn: &mut Conn<N::Stream>, net: &mut N) -> Step {
    if !conn.ready().any(Ready::WRITABLE.with(Ready::GONE)) {
        return Step::Wait;
    }
    match net.connect_result(&mut conn.stream) {
        Ok(()) => Step::Connected,
        Err(error) if error.kind() == std::io::ErrorKind::NotConnected && !conn.ready().any(Ready::GONE) => {
            Step::Wait
        }
        Err(_) => Step::Failed(ErrorKind::Connect),
    }
}
