//! The bytes of an answer's head.
//!
//! Status line and Date come first, so that the date of an answer held back can be brought up to date where it stands.
//! Nothing here decides anything.

use crate::http1::date::DATE_BYTES;
use crate::http1::{Framing, Version, status};

/// Interim answer to `Expect: 100-continue` (RFC 9110 section 15.2.1).
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a head says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    /// Field lines, each with its CRLF.
    pub(super) fields: &'a str,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    /// That of the request.
    pub(super) version: Version,
}

impl Head<'_> {
    /// Appends the head to `out`; returns where in it the date is.
    pub(super) fn write(&self, date: &[u8; DATE_BYTES], out: &mut Vec<u8>) -> usize {
        // One bound for all that follows spares each append its own check for room in a fresh Vec.
        out.reserve(256 + self.fields.len());
        out.extend_from_slice(b"HTTP/1.1 ");
        if self.status == 200 {
            out.extend_from_slice(b"200 OK");
        } else {
            out.extend_from_slice(itoa::Buffer::new().format(self.status).as_bytes());
            out.push(b' ');
            out.extend_from_slice(status::phrase(self.status).as_bytes());
        }
        out.extend_from_slice(b"\r\nDate: ");
        let date_at = out.len();
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.fields.as_bytes());
        match self.framing {
            // Neither has content, and a 204 must not even say so (RFC 9110 section 8.6).
            _ if matches!(self.status, 204 | 304) => {}
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::Length(length) => write_length(length, out),
            Framing::Empty => write_length(0, out),
            Framing::UntilClose => {} // the end of the connection tells
        }
        out.extend_from_slice(match (self.keep_alive, self.version) {
            (true, Version::Http11) => b"\r\n",
            (true, Version::Http10) => b"Connection: keep-alive\r\n\r\n",
            (false, _) => b"Connection: close\r\n\r\n",
        });
        date_at
    }
}

fn write_length(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(head: Head<'_>) -> String {
        let mut out = b"before".to_vec();
        let at = head.write(b"Sun, 06 Nov 1994 08:49:37 GMT", &mut out);
        assert_eq!(&out[at..at + DATE_BYTES], b"Sun, 06 Nov 1994 08:49:37 GMT");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_say_what_is_needed_and_no_more() {
        let date = "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let head = Head {
            status: 200,
            fields: "A: b\r\n",
            framing: Framing::Length(5),
            keep_alive: true,
            version: Version::Http11,
        };
        assert_eq!(text(head), format!("beforeHTTP/1.1 200 OK{date}A: b\r\nContent-Length: 5\r\n\r\n"));
        let cases = [
            (
                Head { status: 404, fields: "", keep_alive: false, ..head },
                "404 Not Found",
                "Content-Length: 5\r\nConnection: close\r\n\r\n",
            ),
            (
                Head { version: Version::Http10, framing: Framing::Empty, ..head },
                "200 OK",
                "A: b\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
            ),
            (
                Head { framing: Framing::Chunked, ..head },
                "200 OK",
                "A: b\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (Head { status: 204, framing: Framing::Length(0), ..head }, "204 No Content", "A: b\r\n\r\n"),
            (Head { status: 599, fields: "", ..head }, "599 ", "Content-Length: 5\r\n\r\n"),
        ];
        for (head, status, rest) in cases {
            assert_eq!(text(head), format!("beforeHTTP/1.1 {status}{date}{rest}"));
        }
    }
}
