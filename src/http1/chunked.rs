//! A strict scanner for the chunked transfer coding (RFC 9112 section 7.1).
//!
//! Blanks around `;` and `=` are in the grammar; those behind a size, which some servers send to fill a fixed width, are
//! not, and are taken from backends only. None of them need go further. Nothing here copies or moves body bytes.

use super::grammar::{QUOTED, TEXT, TOKEN, is};
use super::{Sender, trailers};

/// Longest chunk-size line, its CRLF included.
const LINE_BYTES_MAX: usize = 4 * 1024;
/// Chunk extensions of one body, all together: they cost the reader and carry nothing.
const EXTENSION_BYTES_MAX: u32 = 64 * 1024;
/// Zeros in front of a size and blanks behind it that do not count among those: sizes of a fixed width are honest.
const PADDING_FREE: usize = 16;
/// Longest trailer section, its empty line included.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Fields in a trailer section.
const TRAILER_FIELDS_MAX: u16 = 64;
/// An unfinished line longer than this is not looked at again before its LF is there.
const SHORT_LINE_BYTES: usize = 64;

/// Why a chunked body is malformed, in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadChunk(pub &'static str);

/// What stands at the front of the bytes given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This many bytes of framing (a chunk-size line, or the CRLF after chunk data), fully checked. `plain` when they
    /// may be forwarded as they are.
    Framing {
        /// How many bytes.
        len: usize,
        /// No chunk extension among them, no blank and no needless zero.
        plain: bool,
    },
    /// This many bytes of data.
    Data(usize),
    /// The last-chunk line (`0` CRLF, with all that may be in it): this many bytes. The trailer section follows.
    Last(usize),
    /// The whole trailer section and its blank line: this many bytes, fields already checked. The body has ended.
    End(usize),
    /// Nothing can be said without more bytes.
    Partial,
}

/// Where in a chunked body the next byte falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanner {
    place: Place,
    extension_bytes: u32,
    sender: Sender,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    SizeLine,
    /// This much of the chunk's data is still to come, at least one byte.
    Data(u64),
    DataEnd,
    /// This much of the section, in this many fields, has been seen and is good; the caller still has it.
    Trailers {
        checked: u16,
        fields: u16,
    },
}

impl Scanner {
    /// At the first chunk-size line of a body from `sender`.
    pub fn new(sender: Sender) -> Self {
        Scanner { place: Place::SizeLine, extension_bytes: 0, sender }
    }

    /// Names the piece at the front of `bytes` and moves past it; the caller then drops that many bytes.
    /// Never called again after `End`.
    ///
    /// After `Partial` nothing is dropped: the same bytes are given again with more behind them.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, BadChunk> {
        match self.place {
            Place::SizeLine => self.size_line(bytes),
            Place::Data(_) if bytes.is_empty() => Ok(Piece::Partial),
            Place::Data(left) => {
                let len = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                let left = left - len as u64;
                self.place = if left == 0 { Place::DataEnd } else { Place::Data(left) };
                Ok(Piece::Data(len))
            }
            Place::DataEnd => match bytes {
                [b'\r', b'\n', ..] => {
                    self.place = Place::SizeLine;
                    Ok(Piece::Framing { len: 2, plain: true })
                }
                [] | [b'\r'] => Ok(Piece::Partial),
                _ => Err(BadChunk("no CRLF after chunk data")),
            },
            Place::Trailers { checked, fields } => self.trailer_section(bytes, checked, fields),
        }
    }

    fn size_line(&mut self, bytes: &[u8]) -> Result<Piece, BadChunk> {
        let line = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
        let is_unfinished = line.len() > SHORT_LINE_BYTES && memchr::memchr(b'\n', line).is_none();
        if !is_unfinished
            && let Some(SizeLine { size, len, surplus, plain }) = read_size_line(line, self.sender)?
        {
            self.extension_bytes += surplus;
            if self.extension_bytes > EXTENSION_BYTES_MAX {
                return Err(BadChunk("too many chunk extensions"));
            }
            if size == 0 {
                self.place = Place::Trailers { checked: 0, fields: 0 };
                return Ok(Piece::Last(len));
            }
            self.place = Place::Data(size);
            return Ok(Piece::Framing { len, plain });
        }
        if line.len() == LINE_BYTES_MAX {
            Err(BadChunk("chunk-size line too long"))
        } else {
            Ok(Piece::Partial)
        }
    }

    fn trailer_section(&mut self, bytes: &[u8], checked: u16, fields: u16) -> Result<Piece, BadChunk> {
        let section = &bytes[..bytes.len().min(TRAILER_BYTES_MAX)];
        let (mut start, mut fields) = (usize::from(checked), fields);
        while let Some(newline) = memchr::memchr(b'\n', section.get(start..).unwrap_or_default()) {
            let Some(line) = section[start..start + newline].strip_suffix(b"\r") else {
                return Err(BadChunk("bare LF in the trailer section"));
            };
            start += newline + 1;
            if line.is_empty() {
                return Ok(Piece::End(start));
            }
            fields += 1;
            if fields > TRAILER_FIELDS_MAX {
                return Err(BadChunk("too many trailer fields"));
            }
            trailers::check_line(line, self.sender).map_err(BadChunk)?;
        }
        if section.len() == TRAILER_BYTES_MAX {
            return Err(BadChunk("trailer section too long"));
        }
        self.place = Place::Trailers { checked: start as u16, fields };
        Ok(Piece::Partial)
    }
}

struct SizeLine {
    size: u64,
    /// Bytes of the line, CRLF included.
    len: usize,
    /// Bytes of its extensions, and of its padding beyond measure.
    surplus: u32,
    /// Nothing but the digits needed and the CRLF.
    plain: bool,
}

/// Reads `chunk-size [ chunk-ext ] CRLF`; `None` if the end is not there. What is there is checked all the same, so
/// that an impossible line is refused without waiting for its end.
fn read_size_line(line: &[u8], sender: Sender) -> Result<Option<SizeLine>, BadChunk> {
    const DIGITS_MAX: usize = 16;
    let zeros = line.iter().take_while(|byte| **byte == b'0').count();
    let mut size: u64 = 0;
    let mut at = zeros;
    while let Some(byte) = line.get(at) {
        let Some(digit) = hex_value(*byte) else { break };
        if at - zeros == DIGITS_MAX {
            return Err(BadChunk("chunk size of too many digits"));
        }
        size = size << 4 | u64::from(digit);
        at += 1;
    }
    let Some(byte) = line.get(at) else { return Ok(None) };
    if at == 0 {
        return Err(BadChunk("no chunk size"));
    }
    if size >= 1 << 63 {
        return Err(BadChunk("chunk size of 2^63 or more"));
    }
    let (mut extensions, mut blanks) = (0, 0);
    if *byte != b'\r' {
        let Some(len) = read_extensions(&line[at..])? else { return Ok(None) };
        extensions = len;
        blanks = blanks_at(line, at + extensions);
    }
    let plain = zeros + extensions + blanks == 0;
    let end = at + extensions + blanks;
    match &line[end..] {
        [] => Ok(None),
        [b'\r', ..] if blanks > 0 && sender == Sender::Client => {
            Err(BadChunk("blank before the end of a chunk-size line"))
        }
        [b'\r', b'\n', ..] => {
            let surplus = (extensions + (zeros + blanks).saturating_sub(PADDING_FREE)) as u32;
            Ok(Some(SizeLine { size, len: end + 2, surplus, plain }))
        }
        [b'\r'] => Ok(None),
        _ => Err(BadChunk("junk in a chunk-size line")),
    }
}

/// How many blanks there are from `start` on.
fn blanks_at(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Length of `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )` at the front (RFC 9112 section 7.1.1,
/// BWS being blanks and tabs); `None` if it may go on past the end. Blanks that no `;` follows are not part of it.
fn read_extensions(bytes: &[u8]) -> Result<Option<usize>, BadChunk> {
    const BAD: BadChunk = BadChunk("bad chunk extension");
    let behind_blanks = |at: usize| at + blanks_at(bytes, at);
    let mut end = 0;
    loop {
        let semicolon = behind_blanks(end);
        if bytes.get(semicolon) != Some(&b';') {
            return Ok((semicolon < bytes.len()).then_some(end));
        }
        let name_end = token_end(bytes, behind_blanks(semicolon + 1)).ok_or(BAD)?;
        let equals = behind_blanks(name_end);
        if bytes.get(equals) != Some(&b'=') {
            end = name_end;
            continue;
        }
        let value = behind_blanks(equals + 1);
        end = match bytes.get(value) {
            None => return Ok(None),
            Some(b'"') => match quoted_end(bytes, value + 1)? {
                Some(end) => end,
                None => return Ok(None),
            },
            Some(_) => token_end(bytes, value).ok_or(BAD)?,
        };
    }
}

/// Where the token at `start` ends; `None` if there is a byte and it is not of a token.
fn token_end(bytes: &[u8], start: usize) -> Option<usize> {
    let len = bytes[start..].iter().take_while(|byte| is(**byte, TOKEN)).count();
    (len > 0 || start == bytes.len()).then_some(start + len)
}

/// Where the quoted-string whose inside begins at `start` ends; `None` if its closing quote is not there.
fn quoted_end(bytes: &[u8], start: usize) -> Result<Option<usize>, BadChunk> {
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(Some(at + 1)),
            b'\\' => match bytes.get(at + 1) {
                Some(escaped) if is(*escaped, TEXT) => at += 2,
                Some(_) => return Err(BadChunk("bad quoted-pair in a chunk extension")),
                None => return Ok(None),
            },
            byte if is(*byte, QUOTED) => at += 1,
            _ => return Err(BadChunk("control character in a chunk extension")),
        }
    }
    Ok(None)
}
