//! One socket, what the kernel said about it, and the only read and the only write there are.
//!
//! Ready is not wanted: a bit is set by an event and cleared by the kernel's own answer, never by our state. Whether
//! to use it is the session's business.

use std::io::{self, ErrorKind};

use super::Net;
use crate::buffer::Buffer;
use crate::slab::Key;

/// Names a [`Conn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnKey(pub Key);

/// Names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKey(pub Key);

/// Whom an event on a socket concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The client side of this session.
    Client(SessionKey),
    /// The upstream side of this session.
    Upstream(SessionKey),
    /// In the pool of the backend with this index.
    Idle(usize),
    /// A probe of the backend with this index.
    Probe(usize),
}

/// What the kernel has said about a socket, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready(u8);

impl Ready {
    /// Nothing yet.
    pub const NONE: Ready = Ready(0);
    /// A read may give something.
    pub const READABLE: Ready = Ready(1);
    /// A write may be taken.
    pub const WRITABLE: Ready = Ready(2);
    /// The peer has finished sending; what it sent before may still be unread.
    pub const READ_CLOSED: Ready = Ready(4);
    /// The connection is gone in both directions.
    pub const GONE: Ready = Ready(8);

    /// Both sets together.
    pub const fn with(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    /// This set less `other`.
    pub const fn without(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }

    /// Whether any of `other` is in this set.
    pub const fn any(self, other: Ready) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// This many bytes, now in the buffer.
    Bytes(usize),
    /// Nothing now; an event will tell.
    Blocked,
    /// The peer has finished sending.
    Closed,
    /// The connection broke.
    Broken(ErrorKind),
}

/// What a write took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// This many bytes.
    Bytes(usize),
    /// Nothing now; an event will tell.
    Blocked,
    /// The connection broke.
    Broken(ErrorKind),
}

/// One socket.
#[derive(Debug)]
pub struct Conn<S> {
    /// The socket itself.
    pub stream: S,
    /// Whom its events concern. Checking a pooled connection out is one write to this field.
    pub role: Role,
    /// Dialled for a request that has had no answer yet.
    pub is_unanswered: bool,
    ready: Ready,
    prompt: bool,
}

impl<S> Conn<S> {
    /// A socket just accepted, about which nothing was said yet but `ready`.
    pub fn accepted(stream: S, role: Role, ready: Ready) -> Self {
        Conn { stream, role, is_unanswered: false, ready, prompt: true }
    }

    /// A socket just dialled. Writable until the kernel says otherwise: on a short path the handshake is over already.
    pub fn dialled(stream: S, role: Role) -> Self {
        Conn { stream, role, is_unanswered: true, ready: Ready::WRITABLE, prompt: false }
    }

    /// Before the second write of one message: Nagle's algorithm would hold it back until the first is acknowledged,
    /// 40 ms when the peer is in no hurry. One system call, once, and none for messages of one write.
    pub fn hurry<N: Net<Stream = S>>(&mut self, net: &mut N) {
        if !self.prompt {
            net.send_at_once(&mut self.stream);
            self.prompt = true;
        }
    }

    /// Notes an event.
    pub fn mark(&mut self, ready: Ready) {
        self.ready = self.ready.with(ready);
    }

    /// Takes back what was only assumed.
    pub fn forget(&mut self, ready: Ready) {
        self.ready = self.ready.without(ready);
    }

    /// What was said so far and not taken back.
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// Reads once into the room `buffer` has, holding `reserve` bytes of it back. The caller has made room.
    #[inline(always)]
    pub fn fill<N: Net<Stream = S>>(&mut self, net: &mut N, buffer: &mut Buffer, reserve: usize) -> Fill {
        if !self.ready.any(Ready::READABLE) {
            return Fill::Blocked;
        }
        let room = buffer.spare();
        let wanted = room.len().saturating_sub(reserve);
        if wanted == 0 {
            return Fill::Blocked; // a read into no room would look like an end of file
        }
        loop {
            match net.read(&mut self.stream, &mut room[..wanted]) {
                Ok(0) => {
                    self.ready = self.ready.with(Ready::READ_CLOSED);
                    return Fill::Closed;
                }
                Ok(count) => {
                    // A short read means drained, and the next byte brings an event; unless the end of file was
                    // part of an edge already seen: then only reading on will find it.
                    if count < wanted && !self.ready.any(Ready::READ_CLOSED.with(Ready::GONE)) {
                        self.ready = self.ready.without(Ready::READABLE);
                    }
                    buffer.commit(count);
                    return Fill::Bytes(count);
                }
                Err(error) => match self.failed(&error, Ready::READABLE) {
                    Some(ErrorKind::WouldBlock) => return Fill::Blocked,
                    Some(kind) => return Fill::Broken(kind),
                    None => {}
                },
            }
        }
    }

    /// Writes `first` and then `second`, in one call.
    #[inline(always)]
    pub fn drain<N: Net<Stream = S>>(&mut self, net: &mut N, first: &[u8], second: &[u8]) -> Drain {
        if !self.ready.any(Ready::WRITABLE) {
            return Drain::Blocked;
        }
        loop {
            let written = match (first.is_empty(), second.is_empty()) {
                (false, false) => net.write_both(&mut self.stream, first, second),
                (false, true) => net.write(&mut self.stream, first),
                (true, _) => net.write(&mut self.stream, second),
            };
            match written {
                Ok(count) => {
                    if count < first.len() + second.len() {
                        self.ready = self.ready.without(Ready::WRITABLE);
                    }
                    return Drain::Bytes(count);
                }
                Err(error) => match self.failed(&error, Ready::WRITABLE) {
                    Some(ErrorKind::WouldBlock) => return Drain::Blocked,
                    Some(kind) => return Drain::Broken(kind),
                    None => {}
                },
            }
        }
    }

    /// Sorts an error: `None` means try again at once.
    fn failed(&mut self, error: &io::Error, clears: Ready) -> Option<ErrorKind> {
        match error.kind() {
            ErrorKind::Interrupted => None,
            // A socket still connecting says NotConnected on some systems and WouldBlock on others.
            ErrorKind::WouldBlock | ErrorKind::NotConnected if !self.ready.any(Ready::GONE) => {
                self.ready = self.ready.without(clears);
                Some(ErrorKind::WouldBlock)
            }
            kind => Some(kind),
        }
    }
}
