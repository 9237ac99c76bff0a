//! Message bodies, re-framed in place.
//!
//! A [`Body`] moves bytes of its [`Buffer`] from raw to ready: as they are when both sides frame alike, and with chunk
//! framing put in or taken out where they differ. It knows when the message has ended and when it has been cut.
//! Of a chunk-size line only the number is sent on, and of trailers not the fields that a trailer must not carry. Nothing
//! here reads or writes.

use super::chunked::{Piece, Scanner};
use super::{Framing, Sender, rewrite};
use crate::buffer::Buffer;

/// Room that must stay free behind what is read, for the chunk framing put around it.
pub const WRAP_ROOM: usize = 32;

/// Why a body cannot go on, in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// The sender broke the framing.
    Malformed(&'static str),
    /// The sender closed before the end.
    Truncated,
    /// More content than allowed.
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Incoming {
    Length(u64),
    Chunked(Scanner),
    UntilClose,
}

/// What becomes of chunk framing on the way through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recode {
    /// Both sides frame alike.
    AsIs,
    /// Chunked comes in, plain bytes go out.
    Unwrap,
    /// Plain bytes come in, chunked goes out.
    Wrap,
}

/// One body on its way through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    incoming: Incoming,
    recode: Recode,
    keep_trailers: bool,
    finished: bool,
    /// Content that may still come in chunks; a length is judged where it is read.
    allowed: u64,
}

impl Body {
    /// No body: finished from the start.
    pub const EMPTY: Body = Body {
        incoming: Incoming::Length(0),
        recode: Recode::AsIs,
        keep_trailers: false,
        finished: true,
        allowed: u64::MAX,
    };

    /// A client's body, framed as `incoming` by it and as `outgoing` towards its receiver.
    pub fn new(incoming: Framing, outgoing: Framing, keep_trailers: bool) -> Body {
        Body::of(Sender::Client, incoming, outgoing, keep_trailers)
    }

    /// The same for a backend's, whose chunks may have blanks where a client's may not.
    pub fn of_answer(incoming: Framing, outgoing: Framing, keep_trailers: bool) -> Body {
        Body::of(Sender::Backend, incoming, outgoing, keep_trailers)
    }

    #[inline(always)]
    fn of(sender: Sender, incoming: Framing, outgoing: Framing, keep_trailers: bool) -> Body {
        let (incoming, chunked) = match incoming {
            Framing::Empty | Framing::Length(0) => return Body::EMPTY,
            Framing::Length(length) => (Incoming::Length(length), false),
            Framing::Chunked => (Incoming::Chunked(Scanner::new(sender)), true),
            Framing::UntilClose => (Incoming::UntilClose, false),
        };
        let recode = match (chunked, outgoing == Framing::Chunked) {
            (true, false) => Recode::Unwrap,
            (false, true) => Recode::Wrap,
            _ => Recode::AsIs,
        };
        Body { incoming, recode, keep_trailers, finished: false, allowed: u64::MAX }
    }

    /// The same body, too large once its chunks bring more than `bytes` of content.
    pub fn at_most(self, bytes: u64) -> Body {
        Body { allowed: bytes, ..self }
    }

    /// Bytes of any kind until the sender closes: one direction of a tunnel.
    pub fn tunnel() -> Body {
        Body { incoming: Incoming::UntilClose, finished: false, ..Body::EMPTY }
    }

    /// Whether the whole body has been taken from the buffer's raw bytes.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Bytes still to come, where the framing says so.
    pub fn remaining(&self) -> Option<u64> {
        match self.incoming {
            Incoming::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Room to hold back when reading into the buffer.
    pub fn reserve(&self) -> usize {
        if self.recode == Recode::Wrap { WRAP_ROOM } else { 0 }
    }

    /// Takes what it can from the raw bytes. Bytes behind the end of the body stay raw.
    #[inline]
    pub fn advance(&mut self, buffer: &mut Buffer) -> Result<(), BadBody> {
        if self.finished || buffer.raw_len() == 0 { Ok(()) } else { self.take_in(buffer) }
    }

    /// The same with something to do, which two of three calls have not.
    fn take_in(&mut self, buffer: &mut Buffer) -> Result<(), BadBody> {
        match &mut self.incoming {
            Incoming::Length(left) => {
                let count = buffer.raw_len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= count as u64;
                self.finished = *left == 0;
                pass_on(buffer, count, self.recode);
                Ok(())
            }
            Incoming::UntilClose => {
                let count = buffer.raw_len();
                pass_on(buffer, count, self.recode);
                Ok(())
            }
            Incoming::Chunked(_) => self.advance_chunked(buffer),
        }
    }

    fn advance_chunked(&mut self, buffer: &mut Buffer) -> Result<(), BadBody> {
        let Incoming::Chunked(scanner) = &mut self.incoming else { return Ok(()) };
        let unwrap = self.recode == Recode::Unwrap;
        while !self.finished && buffer.raw_len() > 0 {
            match scanner.next(buffer.raw()).map_err(|bad| BadBody::Malformed(bad.0))? {
                Piece::Partial => break,
                Piece::Data(count) => {
                    self.allowed = self.allowed.checked_sub(count as u64).ok_or(BadBody::TooLarge)?;
                    buffer.clear_to_send(count);
                }
                Piece::Framing { len, .. } if unwrap => buffer.drop_raw(len),
                Piece::Framing { len, plain: true } => buffer.clear_to_send(len),
                Piece::Framing { len, plain: false } => send_size(buffer, len),
                Piece::Last(len) if unwrap => buffer.drop_raw(len),
                Piece::Last(len) => send_size(buffer, len),
                Piece::End(len) => {
                    self.finished = true;
                    if unwrap {
                        buffer.drop_raw(len);
                    } else if len == 2 {
                        buffer.clear_to_send(len); // only the blank line
                    } else {
                        send_trailers(buffer, len, self.keep_trailers);
                    }
                }
            }
        }
        Ok(())
    }

    /// The sender has finished sending and every raw byte was seen.
    pub fn end_of_input(&mut self, buffer: &mut Buffer) -> Result<(), BadBody> {
        if self.finished {
            return Ok(());
        }
        if self.incoming != Incoming::UntilClose {
            return Err(BadBody::Truncated);
        }
        if self.recode == Recode::Wrap && !buffer.insert_ready(b"0\r\n\r\n") {
            return Ok(()); // no room beside what still waits to be sent: asked again once that has gone
        }
        self.finished = true;
        Ok(())
    }
}

/// Clears `count` raw bytes, as one chunk when the other side wants chunks.
fn pass_on(buffer: &mut Buffer, count: usize, recode: Recode) {
    if recode != Recode::Wrap {
        buffer.clear_to_send(count);
        return;
    }
    let mut line = [0u8; 18];
    let start = hex_line(count, &mut line);
    // `reserve` has kept the room for both insertions.
    let opened = buffer.insert_ready(&line[start..]);
    buffer.clear_to_send(count);
    let closed = buffer.insert_ready(b"\r\n");
    debug_assert!(opened && closed);
}

/// Writes `count` in hexadecimal and CRLF to the end of `line`; says where it starts.
fn hex_line(count: usize, line: &mut [u8; 18]) -> usize {
    let mut at = line.len() - 2;
    line[at..].copy_from_slice(b"\r\n");
    let mut left = count;
    loop {
        at -= 1;
        line[at] = b"0123456789abcdef"[left & 15];
        left >>= 4;
        if left == 0 {
            return at;
        }
    }
}

/// Sends on a chunk-size line of `len` bytes without extensions, blanks, and zeros in front of its number.
fn send_size(buffer: &mut Buffer, len: usize) {
    let line = &buffer.raw()[..len];
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let zeros = line[..digits.saturating_sub(1)].iter().take_while(|byte| **byte == b'0').count();
    buffer.drop_raw(zeros);
    buffer.clear_to_send(digits - zeros);
    buffer.drop_raw(len - digits);
    let fitted = buffer.insert_ready(b"\r\n"); // no longer than what was dropped
    debug_assert!(fitted);
}

/// Sends on the trailer section of `len` bytes, less what may not be in it. Rare, so it may allocate.
fn send_trailers(buffer: &mut Buffer, len: usize, keep: bool) {
    let mut section = Vec::with_capacity(len);
    rewrite::trailers(&buffer.raw()[..len], keep, &mut section);
    buffer.drop_raw(len);
    let fitted = buffer.insert_ready(&section);
    debug_assert!(fitted);
}
