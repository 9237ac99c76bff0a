//! Field lines and other text, in one look at each byte.
//!
//! Eight bytes at a time, in plain arithmetic on words: two thirds of what httparse and the checks behind it cost. It only ever
//! says yes: whatever is not plainly well-formed and whole is left to httparse and the checks behind it (fields.rs),
//! which name what is wrong. Nothing here knows what a field means, or how many there may be.

use super::grammar::{TEXT, is};

/// Where the parts of a field line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The name begins where the line does; whether it is a token is not known.
    pub(super) name_end: usize,
    /// The value, without the blanks around it.
    pub(super) value_start: usize,
    pub(super) value_end: usize,
    /// Offset after the line's CRLF.
    pub(super) next: usize,
}

/// The field line at `start`; `None` for the empty line, for one that is not all there and for one with a control
/// character behind its colon.
#[inline(always)]
pub(super) fn line(bytes: &[u8], start: usize) -> Option<Line> {
    if bytes.get(start) == Some(&b'\r') {
        return None; // behind the empty line may be a body, in which a colon would be sought far and wide
    }
    let name_end = name_end(bytes, start)?;
    let mut value_start = name_end + 1;
    value_start += usize::from(bytes.get(value_start) == Some(&b' '));
    while bytes.get(value_start).is_some_and(|byte| is_blank(*byte)) {
        value_start += 1;
    }
    let line_end = text_end(bytes, value_start);
    if bytes.get(line_end..line_end + 2)? != b"\r\n" {
        return None;
    }
    let mut value_end = line_end;
    while let Some(last) = bytes.get(value_start..value_end)?.last()
        && is_blank(*last)
    {
        value_end -= 1;
    }
    Some(Line { name_end, value_start, value_end, next: line_end + 2 })
}

#[inline(always)]
fn is_blank(byte: u8) -> bool {
    byte <= b' ' && (byte == b' ' || byte == b'\t')
}

/// A byte in every place of a word.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

const HIGH: u64 = each(0x80);

/// The word at `at`, its first byte lowest, if there are eight bytes.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}

/// High bits where `word` has a zero byte. Above the first one there may be more than that.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word & HIGH
}

/// The place of the first high bit set in `marks`, of which there is one.
#[inline(always)]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Where the first colon from `start` on is.
#[inline(always)]
fn name_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while let Some(word) = word(bytes, at) {
        let marks = zeros(word ^ each(b':'));
        if marks != 0 {
            return Some(at + first(marks));
        }
        at += 8;
    }
    bytes.get(at..)?.iter().position(|byte| *byte == b':').map(|place| at + place)
}

/// Where the first byte from `start` on is that no field value may hold, or the end of `bytes`.
#[inline(always)]
pub(super) fn text_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(word) = word(bytes, at) {
        // A borrow that runs into the next byte may mark too much, but never before the first that is meant.
        let is_control = word.wrapping_sub(each(b' '));
        let is_delete = (word ^ each(0x7f)).wrapping_sub(each(1));
        let marks = (is_control | is_delete) & !word & HIGH;
        if marks == 0 {
            at += 8;
            continue;
        }
        at += first(marks);
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    while bytes.get(at).is_some_and(|byte| is(*byte, TEXT)) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte, in every place of a word and behind the last word, ends what its class says it ends.
    #[test]
    fn words_agree_with_the_tables() {
        for byte in 0..=255u8 {
            for place in 0..20 {
                for len in [place + 1, 20, 40] {
                    let mut bytes = vec![b'a'; len];
                    bytes[place] = byte;
                    let text = if is(byte, TEXT) { len } else { place };
                    assert_eq!(text_end(&bytes, 0), text, "text {byte:#x} at {place} of {len}");
                    let name = (byte == b':').then_some(place);
                    assert_eq!(name_end(&bytes, 0), name, "name {byte:#x} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn parts_of_a_line() {
        let parts = |bytes: &'static [u8]| {
            line(bytes, 0).map(|line| {
                assert_eq!(line.next, bytes.len());
                (&bytes[..line.name_end], &bytes[line.value_start..line.value_end])
            })
        };
        assert_eq!(parts(b"a:b\r\n"), Some((&b"a"[..], &b"b"[..])));
        assert_eq!(parts(b"A-b_1: \t b \xff c\t \r\n"), Some((&b"A-b_1"[..], &b"b \xff c"[..])));
        assert_eq!(parts(b"a:\r\n"), Some((&b"a"[..], &b""[..])));
        assert_eq!(parts(b"a: \t \r\n"), Some((&b"a"[..], &b""[..])));
        for bad in ["", "\r\n", "a", "a:", "a:b", "a:b\r", "a:b\n", "a:\0\r\n", "a:\rb\r\n"] {
            assert_eq!(line(bad.as_bytes(), 0), None, "{bad:?}");
        }
    }
}
