//! Field lines and other text, in one look at each byte.
//!
//! Sixteen bytes at a time: a sixth less than the same costs by words of eight, and two fifths less than httparse and the
//! checks behind it (bench-scripts/README.md). It only ever says yes: whatever is not plainly well-formed and whole is left
//! to those (section.rs), which name what is wrong. Nothing here knows what a field means, or how many there may be.

use super::grammar::{TOKEN, is};
use wide::u8x16;

/// Where the parts of a field line are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The name, a token, begins where the line does.
    pub(super) name_end: usize,
    /// The value, without the blanks around it.
    pub(super) value_start: usize,
    pub(super) value_end: usize,
    /// Offset after the line's CRLF.
    pub(super) next: usize,
}

/// The field line at `start`; `None` for the empty line, for one that is not all there, for one whose name is no token
/// and for one with a control character in its value.
#[inline(always)]
pub(super) fn line(bytes: &[u8], start: usize) -> Option<Line> {
    if bytes.get(start) == Some(&b'\r') {
        return None; // before anything dearer: every head ends so
    }
    let name_end = name_end(bytes, start)?;
    let mut value_start = name_end + 1;
    value_start += usize::from(bytes.get(value_start) == Some(&b' '));
    while bytes.get(value_start).is_some_and(|byte| is_blank(*byte)) {
        value_start += 1;
    }
    let line_end = text_end(bytes, value_start);
    if bytes.get(line_end..)?.first_chunk() != Some(b"\r\n") {
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

/// The colon behind the token at `start`.
#[inline(always)]
fn name_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut end = find(bytes, start, is_no_name);
    if bytes.get(end) != Some(&b':') {
        end = any_token_end(bytes, end)?;
    }
    (end > start).then_some(end)
}

/// The same where `end` is not the colon: names with other than letters, digits and dashes are few.
#[cold]
fn any_token_end(bytes: &[u8], end: usize) -> Option<usize> {
    let more = bytes.get(end..)?.iter().position(|byte| !is(*byte, TOKEN))?;
    (bytes[end + more] == b':').then_some(end + more)
}

/// Where the first byte from `start` on is that no field value may hold, or the end of `bytes`.
#[inline(always)]
pub(super) fn text_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start;
    loop {
        at = find(bytes, at, is_no_text);
        if bytes.get(at) != Some(&b'\t') {
            return at;
        }
        at += 1;
    }
}

/// Where the first byte from `start` on is that no request target may hold, or the end of `bytes`.
#[inline(always)]
pub(super) fn target_end(bytes: &[u8], start: usize) -> usize {
    find(bytes, start, is_no_target)
}

/// How many bytes are looked at together. The one instruction set all of a family of processors have is enough for it.
const BLOCK: usize = 16;

/// Where the first byte from `start` on is that `stands_out` marks, or the end of `bytes`.
#[inline(always)]
fn find(bytes: &[u8], start: usize, stands_out: impl Fn(u8x16) -> u8x16) -> usize {
    let mut at = start;
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let marks = stands_out(u8x16::new(*block)).to_bitmask();
        if marks != 0 {
            return at + marks.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return bytes.len() };
    // Of the last block again what was not looked at yet; of fewer bytes than a block a copy with room behind it.
    let marks = match bytes.last_chunk::<BLOCK>() {
        Some(block) => stands_out(u8x16::new(*block)).to_bitmask() >> (BLOCK - rest.len()),
        None => {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            stands_out(u8x16::new(block)).to_bitmask()
        }
    };
    at + rest.len().min(marks.trailing_zeros() as usize)
}

/// How many bytes both begin with.
pub(super) fn common(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<BLOCK>().0, other.as_chunks::<BLOCK>().0);
    let mut same = 0;
    for (one, other) in ones.iter().zip(others) {
        let differs = !u8x16::new(*one).simd_eq(u8x16::new(*other));
        let marks = differs.to_bitmask();
        if marks != 0 {
            return same + marks.trailing_zeros() as usize;
        }
        same += BLOCK;
    }
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

/// Marks all but letters, digits and the dash.
#[inline(always)]
fn is_no_name(block: u8x16) -> u8x16 {
    let letter = is_at_most((block | u8x16::splat(0x20)) - u8x16::splat(b'a'), 25);
    let digit = is_at_most(block - u8x16::splat(b'0'), 9);
    !(letter | digit | block.simd_eq(u8x16::splat(b'-')))
}

/// Marks control characters, the tab too.
#[inline(always)]
fn is_no_text(block: u8x16) -> u8x16 {
    is_at_most(block, 0x1f) | block.simd_eq(u8x16::splat(0x7f))
}

/// Marks all but visible ASCII, and the `#` of a fragment.
#[inline(always)]
fn is_no_target(block: u8x16) -> u8x16 {
    !is_at_most(block - u8x16::splat(b'!'), b'~' - b'!') | block.simd_eq(u8x16::splat(b'#'))
}

/// Differences wrap, so one comparison settles both ends of a range.
#[inline(always)]
fn is_at_most(block: u8x16, most: u8) -> u8x16 {
    block.min(u8x16::splat(most)).simd_eq(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::grammar::{TARGET, TEXT};

    /// Every byte, in every place of a block and behind the last block, ends what its class says it ends.
    #[test]
    fn blocks_agree_with_the_tables() {
        for byte in 0..=255u8 {
            for place in 0..40 {
                for len in [place + 1, 40, 64] {
                    let mut bytes = vec![b'a'; len];
                    bytes[place] = byte;
                    for start in [0, place / 2, place] {
                        let end = |class| if is(byte, class) { len } else { place };
                        let about = format!("{byte:#x} at {place} of {len} from {start}");
                        assert_eq!(text_end(&bytes, start), end(TEXT), "text {about}");
                        assert_eq!(target_end(&bytes, start), end(TARGET), "target {about}");
                        let name = (byte == b':' && place > start).then_some(place);
                        assert_eq!(name_end(&bytes, start), name, "name {about}");
                        let name = (is(byte, TOKEN) || (byte == b':' && place > start)).then_some(len);
                        bytes.push(b':');
                        if byte != b':' {
                            assert_eq!(name_end(&bytes, start), name, "name and colon {about}");
                        }
                        bytes.pop();
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_behind_the_end() {
        for len in [0, 3, 15, 16, 17, 40] {
            let bytes = vec![b'a'; len];
            assert_eq!(text_end(&bytes, len), len);
            assert_eq!(text_end(&bytes, len + 1), len);
            assert_eq!(name_end(&bytes, len), None);
        }
    }

    #[test]
    fn what_is_common_ends_where_they_differ() {
        for (len, place) in (0..50).flat_map(|len| (0..=len).map(move |place| (len, place))) {
            let mut other = vec![b'a'; len];
            other[place..].fill(b'b');
            assert_eq!(common(&[b'a'; 40], &other), place.min(40), "{place} of {len}");
            assert_eq!(common(&other, &[b'a'; 40]), place.min(40), "{place} of {len}");
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
        for bad in
            ["", "\r\n", "a", "a:", "a:b", "a:b\r", "a:b\n", "a:\0\r\n", "a:\rb\r\n", ":b\r\n", "a b: c\r\n"]
        {
            assert_eq!(line(bad.as_bytes(), 0), None, "{bad:?}");
        }
    }
}
