//! The field section of a head: kept as offsets, names classified once.
//!
//! The usual one is split in one look at each byte (scan.rs). Any other, good or bad, is for httparse, whose verdict is
//! then made strict: it takes a bare LF as a line end, this does not. Of one thing it is too strict for answers: blanks
//! between a name and its colon, which a proxy must remove from those (RFC 9112 section 5.1).
//!
//! Heads resemble each other: a client says the same of itself in each request, and an origin of itself in each answer. The
//! lines that stand at the front of the section read before, byte for byte, are taken over from it: what a line means
//! depends on nothing but its own bytes. Which fields are allowed where, and what they mean together, is decided
//! elsewhere. Deliberately absent: anything that outlives a byte that differs. (How long a reading takes tells
//! how many whole lines were those of the head before, some 15 ns each; who could guess a line knows it.)

use super::fields::{self, Fault, Field, classify};
use super::grammar::{TOKEN, is};
use super::{Parsed, Span, scan};
use httparse::{EMPTY_HEADER, Error, Header, Status};

/// Fields a head can have at most, whatever the limits say.
const FIELDS_MAX: usize = 1000;
/// A longer section is not kept for the next one: few come again, and comparing costs, too.
const KEPT_MAX: usize = 2048;

/// The fields of the section read last, and its bytes. Reused. `Key` is all that decides, besides the fields, what they
/// mean together; `TAKES_BLANKS` says whether blanks before a colon are taken.
#[derive(Debug, Default)]
pub(super) struct Section<Key, const TAKES_BLANKS: bool = false> {
    fields: Vec<Field>,
    /// The section as it was read; empty when nothing may be taken over from it.
    bytes: Vec<u8>,
    /// Where it began: the offsets in `fields` count from there on.
    start: usize,
    /// For what the meaning of these fields was made out.
    settled: Option<Key>,
    /// A name that nobody has asked about yet had blanks behind it.
    has_blanks: bool,
}

impl<Key: PartialEq, const TAKES_BLANKS: bool> Section<Key, TAKES_BLANKS> {
    /// The fields in order, as offsets into the bytes they were read from.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether the meaning of these very fields, byte for byte, was made out for the same `key` last. Forgets it, so that
    /// a reading that fails leaves none behind.
    pub(super) fn take_settled(&mut self, key: &Key) -> bool {
        self.settled.take().as_ref() == Some(key)
    }

    /// It is made out now, and holds until other fields are read.
    pub(super) fn settle(&mut self, key: Key) {
        self.settled = Some(key);
    }

    /// Reads the section at `start`, empty line included. `Complete` carries the offset after it. `bytes` are at most
    /// 65,535.
    pub(super) fn read(&mut self, bytes: &[u8], start: usize, max: usize) -> Result<Parsed, Fault> {
        match self.read_usual(bytes, start, max.min(FIELDS_MAX)) {
            Some(len) => Ok(Parsed::Complete(len)),
            None => {
                self.bytes.clear();
                self.settled = None;
                match split_any(bytes, start, max, &mut self.fields) {
                    Err(Fault::BadName) if TAKES_BLANKS => self.split_less_blanks(bytes, start, max),
                    result => result,
                }
            }
        }
    }

    /// The same for a section in which names may have blanks behind them: it is read as if each colon stood in front of
    /// them. That way every part of it stays where it is.
    #[cold]
    fn split_less_blanks(&mut self, bytes: &[u8], start: usize, max: usize) -> Result<Parsed, Fault> {
        let mut moved = bytes.to_vec();
        let (mut at, mut has_blanks) = (start, false);
        while let Some(newline) = memchr::memchr(b'\n', &moved[at..]) {
            let line = &mut moved[at..at + newline];
            if matches!(line, [] | [b'\r']) {
                break;
            }
            has_blanks |= move_colon(line);
            at += newline + 1;
        }
        // Of a line that is not all here: one without its colon may yet get it.
        let unfinished = &mut moved[at..];
        let (name, blanks) = name_and_blanks(unfinished);
        if name > 0 && name + blanks == unfinished.len() {
            moved.truncate(at + name);
        } else {
            move_colon(unfinished);
        }
        let result = split_any(&moved, start, max, &mut self.fields);
        self.has_blanks = has_blanks && matches!(result, Ok(Parsed::Complete(_)));
        result
    }

    /// Whether a name of the section just read has blanks behind it. Asked once after each reading that was not settled.
    pub(super) fn take_blanks(&mut self) -> bool {
        std::mem::take(&mut self.has_blanks)
    }

    /// Marks the fields that Connection names.
    pub(super) fn mark_nominated(&mut self, bytes: &[u8]) {
        self.bytes.clear(); // a mark is no matter of the line alone
        fields::mark_nominated(&mut self.fields, bytes);
    }

    /// Marks the Content-Length that has zeros in front.
    #[cold]
    pub(super) fn mark_padded(&mut self) {
        self.bytes.clear(); // likewise
        fields::mark_padded(&mut self.fields);
    }

    /// The offset after the section, if it is whole, well-formed and not too long.
    fn read_usual(&mut self, bytes: &[u8], start: usize, max: usize) -> Option<usize> {
        let section = bytes.get(start..)?;
        let is_same = !self.bytes.is_empty() && section.starts_with(&self.bytes);
        if !is_same {
            self.keep_common(section);
        }
        self.move_to(start);
        if self.fields.len() > max {
            return None;
        }
        let kept = self.bytes.len();
        if is_same {
            return Some(start + kept);
        }
        self.settled = None;
        let mut at = start + kept;
        while let Some(line) = scan::line(bytes, at) {
            if self.fields.len() == max {
                return None;
            }
            let name = Span { start: at as u16, end: line.name_end as u16 };
            let value = Span { start: line.value_start as u16, end: line.value_end as u16 };
            let kind = classify(&bytes[at..line.name_end]);
            self.fields.push(Field { name, value, kind });
            at = line.next;
        }
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        let end = at + 2;
        if end - start <= KEPT_MAX {
            self.bytes.extend_from_slice(&bytes[start + kept..end]);
        } else {
            self.bytes.clear();
        }
        Some(end)
    }

    /// Forgets all but the lines that `section` begins with, too.
    fn keep_common(&mut self, section: &[u8]) {
        let same = scan::common(section, &self.bytes);
        let (start, fields) = (self.start, &mut self.fields);
        if same == 0 {
            fields.clear();
            self.bytes.clear();
            return;
        }
        // A line ends where the next one begins. The last one is not kept: it is not worth a further case.
        let offset = |field: &Field| usize::from(field.name.start) - start;
        let kept = fields.iter().skip(1).take_while(|next| offset(next) <= same).count();
        self.bytes.truncate(fields.get(kept).map_or(0, offset));
        fields.truncate(kept);
    }

    /// The fields are now in a section that begins at `start`.
    #[inline(always)]
    fn move_to(&mut self, start: usize) {
        let way = (start as u16).wrapping_sub(self.start as u16);
        self.start = start;
        if way != 0 {
            for Field { name, value, .. } in &mut self.fields {
                for offset in [&mut name.start, &mut name.end, &mut value.start, &mut value.end] {
                    *offset = offset.wrapping_add(way);
                }
            }
        }
    }
}

/// Moves the colon of a field line in front of the blanks that part it from its name, if there are any.
fn move_colon(line: &mut [u8]) -> bool {
    let (name, blanks) = name_and_blanks(line);
    let is_parted = name > 0 && blanks > 0 && line.get(name + blanks) == Some(&b':');
    if is_parted {
        line.swap(name, name + blanks);
    }
    is_parted
}

/// Lengths of the token that a line begins with and of the blanks behind it.
fn name_and_blanks(line: &[u8]) -> (usize, usize) {
    let name = line.iter().take_while(|byte| is(**byte, TOKEN)).count();
    let blanks = line[name..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (name, blanks)
}

/// Any other: the same, or what is wrong with it, or that it is not all there.
#[cold]
fn split_any(bytes: &[u8], start: usize, max: usize, fields: &mut Vec<Field>) -> Result<Parsed, Fault> {
    // Room on the stack costs as much as there is of it, so most heads are served with little.
    match split_into::<16>(bytes, start, max, fields) {
        Err(Fault::TooMany) if max > 16 => {}
        result => return result,
    }
    match split_into::<128>(bytes, start, max, fields) {
        Err(Fault::TooMany) if max > 128 => split_into::<FIELDS_MAX>(bytes, start, max, fields),
        result => result,
    }
}

fn split_into<const ROOM: usize>(
    bytes: &[u8],
    start: usize,
    max: usize,
    fields: &mut Vec<Field>,
) -> Result<Parsed, Fault> {
    let mut store = [EMPTY_HEADER; ROOM];
    match httparse::parse_headers(&bytes[start..], &mut store[..max.min(ROOM)]) {
        Ok(Status::Complete((len, headers))) => record(&bytes[..start + len], headers, fields),
        Ok(Status::Partial) => Ok(Parsed::Partial),
        Err(Error::TooManyHeaders) => Err(Fault::TooMany),
        Err(Error::HeaderName) => Err(Fault::BadName),
        Err(Error::HeaderValue) => Err(Fault::Malformed("control character in a field value")),
        Err(_) => Err(Fault::Malformed("CR without LF in the head")),
    }
}

/// Keeps `headers` as offsets into `head`, which ends with them, if every line of it ends in CRLF.
fn record(head: &[u8], headers: &[Header<'_>], fields: &mut Vec<Field>) -> Result<Parsed, Fault> {
    let base = head.as_ptr() as usize;
    let span = |part: &[u8]| {
        let start = part.as_ptr() as usize - base;
        Span { start: start as u16, end: (start + part.len()) as u16 }
    };
    let mut is_crlf = head.ends_with(b"\r\n\r\n");
    fields.clear();
    fields.extend(headers.iter().map(|header| {
        let (name, value) = (span(header.name.as_bytes()), span(header.value));
        // The line before ended in LF, or httparse would not have found this one.
        is_crlf &= head.get((name.start as usize).wrapping_sub(2)) == Some(&b'\r');
        Field { name, value, kind: classify(header.name.as_bytes()) }
    }));
    if is_crlf { Ok(Parsed::Complete(head.len())) } else { Err(Fault::Malformed("bare LF in the head")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces that make good lines, bad ones, and lines that are nearly good.
    fn section() -> impl Strategy<Value = Vec<u8>> {
        let text = |text: &'static str| Just(text.as_bytes().to_vec());
        let piece = prop_oneof![
            4 => text("\r\n"),
            4 => "[A-Za-z][A-Za-z0-9_-]{0,20}: ?[ -~]{0,30}\r\n".prop_map(String::into_bytes),
            2 => text("Content-Length: 5\r\n"),
            1 => text("\n"),
            1 => text("\r"),
            1 => text(": "),
            1 => text(" "),
            1 => text("\t"),
            1 => text("\0"),
            1 => text("a:"),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// What the quick scanner takes, the strict reading of httparse takes too, and alike; and the other way round.
        #[test]
        fn both_readings_agree(section in section(), max in prop_oneof![Just(100usize), 0..6usize]) {
            for end in ["", "\r\n"] {
                let bytes = &[b"GET\r\n", &section[..], end.as_bytes()].concat();
                let (mut quick, mut slow) = (Section::<()>::default(), Vec::new());
                let usual = quick.read_usual(bytes, 5, max);
                match split_any(bytes, 5, max, &mut slow) {
                    Ok(Parsed::Complete(len)) => {
                        prop_assert_eq!(usual, Some(len));
                        let named = |fields: &[Field]| fields
                            .iter()
                            .map(|field| (field.name, field.value.of(bytes).to_vec(), field.kind))
                            .collect::<Vec<_>>();
                        prop_assert_eq!(named(quick.fields()), named(&slow));
                    }
                    _ => prop_assert_eq!(usual, None),
                }
            }
        }

        /// Whatever was read before, a section reads as if it were the first.
        #[test]
        fn what_came_before_changes_nothing(
            pieces in prop::collection::vec(section(), 1..4),
            order in prop::collection::vec((0..4usize, 0..4usize, 5..30usize, prop_oneof![9 => Just(100usize), 1 => 0..6usize]), 1..12),
        ) {
            let mut again = Section::<()>::default();
            for (front, back, start, max) in order {
                let piece = |index: usize| pieces[index % pieces.len()].as_slice();
                let bytes = &[&b"-".repeat(start), piece(front), piece(back), b"\r\nbody"].concat();
                let mut fresh = Section::<()>::default();
                let wanted = fresh.read(bytes, start, max);
                prop_assert_eq!(again.read(bytes, start, max), wanted);
                if matches!(wanted, Ok(Parsed::Complete(_))) {
                    prop_assert_eq!(again.fields(), fresh.fields());
                    if max % 2 == 1 {
                        again.mark_nominated(bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn lines_that_come_again_are_kept_and_no_others() {
        let lines = ["Host: a\r\n", "A: b\r\n", "C: d\r\n"];
        let first = lines.concat() + "\r\n";
        for (next, kept) in [
            ("Host: a\r\nA: b\r\nC: e\r\n\r\n", 2),
            ("Host: a\r\nA: b\r\n\r\n", 2),
            ("Host: a\r\nA: c\r\n\r\n", 1),
            ("Host: a\r\nA: b", 1),
            ("Host: b\r\n\r\n", 0),
            ("", 0),
        ] {
            let mut section = Section::<()>::default();
            assert_eq!(section.read(first.as_bytes(), 0, 100), Ok(Parsed::Complete(first.len())));
            section.keep_common(next.as_bytes());
            assert_eq!(section.fields().len(), kept, "{next:?}");
            assert_eq!(section.bytes, lines[..kept].concat().as_bytes(), "{next:?}");
        }
    }

    #[test]
    fn a_lower_limit_holds_for_what_was_read_before() {
        let mut section = Section::<()>::default();
        assert_eq!(section.read(b"Host: a\r\nA: b\r\n\r\n", 0, 100), Ok(Parsed::Complete(17)));
        assert_eq!(section.read(b"Host: a\r\nA: b\r\n\r\n", 0, 1), Err(Fault::TooMany));
        assert_eq!(section.read(b"Host: a\r\nA: b\r\n\r\n", 0, 2), Ok(Parsed::Complete(17)));
    }
}
