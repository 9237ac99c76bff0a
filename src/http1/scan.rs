//! Field lines and other text, in one look at each byte.
//!
//! Eight bytes at a time, in plain arithmetic on words: a third of what a parser costs that looks at bytes. It only ever
//! says yes: whatever is not plainly well-formed and whole is left to httparse and the checks behind it (fields.rs),
//! which name what is wrong. Nothing here knows what a field means, or how many there may be.

use super::grammar::{TEXT, TOKEN, is};

/// Where the parts of a field line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The name begins where the line does.
    pub(super) name_end: usize,
    /// The value, without the blanks around it.
    pub(super) value_start: usize,
    pub(super) value_end: usize,
    /// Offset after the line's CRLF.
    pub(super) next: usize,
}

/// The field line at `start`; `None` for the empty line, for one that is not all there and for one not to be sent on.
#[inline(always)]
pub(super) fn line(bytes: &[u8], start: usize) -> Option<Line> {
    let name_end = name_end(bytes, start);
    if name_end == start || *bytes.get(name_end)? != b':' {
        return None;
    }
    let mut value_start = name_end + 1;
    while matches!(bytes.get(value_start), Some(b' ' | b'\t')) {
        value_start += 1;
    }
    let line_end = text_end(bytes, value_start);
    if bytes.get(line_end..line_end + 2)? != b"\r\n" {
        return None;
    }
    let mut value_end = line_end;
    while value_end > value_start && matches!(bytes[value_end - 1], b' ' | b'\t') {
        value_end -= 1;
    }
    Some(Line { name_end, value_start, value_end, next: line_end + 2 })
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

/// The place of the first high bit set in `marks`, of which there is one.
#[inline(always)]
fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Where the token at `start` ends. Letters and hyphens go by the word, the rest of them one by one.
#[inline(always)]
fn name_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(word) = word(bytes, at) {
        // Sums stay below 256 in every byte, so no carry reaches the next.
        let seven = word & !HIGH;
        let lower = seven | each(0x20);
        let is_letter = (lower + each(0x80 - b'a')) & !(lower + each(0x80 - b'z' - 1));
        let is_hyphen = !((seven ^ each(b'-')) + each(0x7f));
        let others = !(is_letter | is_hyphen) | word;
        if others & HIGH != 0 {
            at += first(others & HIGH);
            break;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| is(*byte, TOKEN)) {
        at += 1;
    }
    at
}

/// Where the first byte from `start` on is that no field value may hold, or the end of `bytes`.
#[inline(always)]
pub(super) fn text_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(word) = word(bytes, at) {
        // Bytes above 0x7f are allowed; of the others, those below a blank and DEL are looked at.
        let seven = word & !HIGH;
        let is_control = !(seven + each(0x80 - b' '));
        let is_delete = !((seven ^ each(0x7f)) + each(0x7f));
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
                    let end = |class| if is(byte, class) { len } else { place };
                    assert_eq!(name_end(&bytes, 0), end(TOKEN), "name {byte:#x} at {place} of {len}");
                    assert_eq!(text_end(&bytes, 0), end(TEXT), "text {byte:#x} at {place} of {len}");
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
        for bad in [
            "",
            "\r\n",
            "a",
            "a:",
            "a:b",
            "a:b\r",
            "a:b\n",
            "a :b\r\n",
            " a:b\r\n",
            ":b\r\n",
            "a:\0\r\n",
            "a:\rb\r\n",
        ] {
            assert_eq!(line(bad.as_bytes(), 0), None, "{bad:?}");
        }
    }
}
