//! A strict scanner for the chunked transfer coding (RFC 9112 section 7.1).

/// Why a chunked body is malformed, in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

/// What stands at the front of the bytes given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes of framing (a chunk-size line, or the CRLF after chunk data), fully checked. `plain` when they
    /// carry no chunk extension and may be forwarded as they are.
    Framing { len: usize, plain: bool },
    /// This many bytes of data.
    Data(usize),
    /// The last-chunk line (`0` CRLF, extensions included): this many bytes. The trailer section follows.
    Last(usize),
    /// The whole trailer section and its blank line: this many bytes, fields already checked. The body has ended.
    End(usize),
    /// Nothing can be said without more bytes.
    Partial,
}

/// Where in a chunked body the next byte falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanner {/* private */}

impl Scanner {
    /// At the first chunk-size line.
    pub fn new() -> Self {
        unimplemented!()
    }
    /// Names the piece at the front of `bytes` and moves past it; the caller then drops that many bytes.
    /// Never called again after `End`.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, BadChunk> {
        let _ = bytes;
        unimplemented!()
    }
}
