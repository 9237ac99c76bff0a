//! One answer as it comes in: read to its end and thrown away.
//!
//! Pure but for the buffer it takes its bytes from.

use crate::buffer::Buffer;
use crate::http1::body::Body;
use crate::http1::head::HeadScan;
use crate::http1::response::{ResponseFacts, ResponseHead};
use crate::http1::{Limits, Method, Parsed};

/// What came is not an answer to what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Where in an answer the next byte falls. `default()` is the start of one.
#[derive(Debug, Default)]
pub(super) struct Answer {
    scan: HeadScan,
    /// Of the final head, once it is there.
    facts: ResponseFacts,
    body: Option<Body>,
}

impl Answer {
    /// Takes in what `buffer` holds; `true` when the answer is complete. `head` is scratch.
    pub(super) fn advance(
        &mut self,
        buffer: &mut Buffer,
        head: &mut ResponseHead,
        method: Method,
        limits: &Limits,
    ) -> Result<bool, Malformed> {
        loop {
            if let Some(body) = &mut self.body {
                body.advance(buffer).map_err(|_| Malformed)?;
                let read = buffer.ready().len();
                buffer.sent(read);
                return Ok(body.is_finished());
            }
            if buffer.raw().is_empty() || !self.scan.worth_parsing(buffer.raw()) {
                return Ok(false);
            }
            match head.parse(buffer.raw(), method, limits).map_err(|_| Malformed)? {
                Parsed::Partial => return Ok(false),
                Parsed::Complete(len) => {
                    buffer.drop_raw(len);
                    self.scan = HeadScan::default();
                    self.take_head(head.facts())?;
                }
            }
        }
    }

    /// The server has finished sending; `true` when that completes the answer.
    pub(super) fn end_of_input(&mut self, buffer: &mut Buffer) -> bool {
        self.body.as_mut().is_some_and(|body| body.end_of_input(buffer).is_ok())
    }

    /// The status, once the answer is complete.
    pub(super) fn status(&self) -> u16 {
        self.facts.status
    }

    /// Whether the server takes another request on the connection, once the answer is complete.
    pub(super) fn keep_alive(&self) -> bool {
        self.facts.keep_alive
    }

    /// Bytes of body still to come, where the head said so.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.body.as_ref().and_then(Body::remaining)
    }

    fn take_head(&mut self, facts: ResponseFacts) -> Result<(), Malformed> {
        if facts.status == 101 {
            return Err(Malformed); // nobody asked for another protocol
        }
        if !facts.is_interim() {
            self.facts = facts;
            self.body = Some(Body::of_answer(facts.framing, facts.framing, false));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Pool;

    /// Reads `text` in pieces of `step` bytes; says whether (and with what status and persistence) an answer was
    /// complete, and what was left.
    fn read(text: &[u8], step: usize) -> Result<Option<(u16, bool, usize)>, Malformed> {
        let mut buffer = Pool::default().take(16 * 1024);
        let (mut answer, mut head) = (Answer::default(), ResponseHead::default());
        let mut taken = 0;
        for piece in text.chunks(step) {
            buffer.spare()[..piece.len()].copy_from_slice(piece);
            buffer.commit(piece.len());
            taken += piece.len();
            if answer.advance(&mut buffer, &mut head, Method::Get, &Limits::default())? {
                return Ok(Some((answer.status(), answer.keep_alive(), buffer.len() + text.len() - taken)));
            }
        }
        let complete = answer.end_of_input(&mut buffer);
        Ok(complete.then(|| (answer.status(), answer.keep_alive(), buffer.len())))
    }

    #[test]
    fn every_framing_ends_where_it_should_however_it_is_cut() {
        for (text, wanted) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Some((200, true, 0))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", Some((200, true, 4))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", Some((200, false, 0))),
            (
                "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                Some((503, true, 0)),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
                Some((200, true, 0)),
            ),
            ("HTTP/1.1 204 None\r\n\r\n", Some((204, true, 0))),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                Some((200, true, 0)),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", Some((200, false, 0))),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", Some((200, false, 0))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", None),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", None),
            ("HTTP/1.1 200 OK\r\nContent-Le", None),
        ] {
            for step in [1, 2, 3, 7, 10_000] {
                assert_eq!(read(text.as_bytes(), step), Ok(wanted), "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "SSH-2.0-server\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        ] {
            for step in [1, 10_000] {
                assert_eq!(read(text.as_bytes(), step), Err(Malformed), "{text:?} by {step}");
            }
        }
    }
}
