//! Short texts laid end to end, for the rows of the log.
//!
//! Everything is copied in stretches of a fixed size, longer than what is meant, and the next one overwrites the surplus:
//! a store or two for each instead of a call that first asks whether there is room. Absent: quoting, and what a row is.

use crate::digits::three_digits;

/// What may be laid down before it must be flushed. A power of two, so that the place is in range without a test.
const ROOM: usize = 1024;
/// The longest stretch copied at once.
pub(super) const STRETCH_MAX: usize = 128;

/// A row as far as its parts are short.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; ROOM + STRETCH_MAX],
    len: usize,
}

impl Text {
    pub(super) const fn new() -> Text {
        Text { bytes: [0; ROOM + STRETCH_MAX], len: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Moves it to the end of `line`.
    pub(super) fn flush(&mut self, line: &mut Vec<u8>) {
        line.extend_from_slice(&self.bytes[..self.len & (ROOM - 1)]);
        self.len = 0;
    }

    /// The first `len` of these bytes.
    #[inline(always)]
    pub(super) fn push<const STRETCH: usize>(&mut self, bytes: &[u8; STRETCH], len: usize) {
        const { assert!(STRETCH <= STRETCH_MAX) }
        let at = self.len & (ROOM - 1);
        self.bytes[at..at + STRETCH].copy_from_slice(bytes);
        self.len = at + len;
        debug_assert!(len <= STRETCH && self.len < ROOM);
    }

    /// At most [`STRETCH_MAX`] bytes.
    #[inline(always)]
    pub(super) fn push_slice(&mut self, bytes: &[u8]) {
        let (at, len) = (self.len & (ROOM - 1), bytes.len().min(STRETCH_MAX));
        self.bytes[at..at + len].copy_from_slice(&bytes[..len]);
        self.len = at + len;
        debug_assert!(len == bytes.len() && self.len < ROOM);
    }

    /// A word; one too long for here goes to `line`, behind what is here.
    #[inline(always)]
    pub(super) fn push_word(&mut self, word: &Word, line: &mut Vec<u8>) {
        if word.long.is_empty() {
            self.push(&word.bytes, word.len);
        } else {
            self.flush(line);
            line.extend_from_slice(&word.long);
        }
    }

    /// A number and a comma.
    #[inline(always)]
    pub(super) fn push_number(&mut self, value: u64) {
        const COMMA: u64 = b',' as u64;
        if value < 1_000 {
            let (digits, zeros) = three_digits(value);
            self.push_last(digits | COMMA << 24, 4, zeros);
        } else if value < 1_000_000 {
            let ((high, zeros), (low, _)) = (three_digits(value / 1_000), three_digits(value % 1_000));
            self.push_last(high | low << 24 | COMMA << 48, 7, zeros);
        } else {
            self.push_slice(itoa::Buffer::new().format(value).as_bytes());
            self.push(b",", 1);
        }
    }

    /// A number, if there is one, and a comma.
    #[inline(always)]
    pub(super) fn push_if_any(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.push_number(value),
            None => self.push(b",", 1),
        }
    }

    /// Microseconds as milliseconds with three decimals, if there are any, and a comma.
    pub(super) fn push_millis(&mut self, micros: Option<u64>) {
        let Some(micros) = micros else { return self.push(b",", 1) };
        let (whole, (fraction, _)) = (micros / 1_000, three_digits(micros % 1_000));
        let (point, comma) = (u64::from(b'.'), u64::from(b','));
        if whole < 1_000 {
            let (digits, zeros) = three_digits(whole);
            self.push_last(digits | point << 24 | fraction << 32 | comma << 56, 8, zeros);
        } else {
            self.push_slice(itoa::Buffer::new().format(whole).as_bytes());
            self.push_last(point | fraction << 8 | comma << 32, 5, 0);
        }
    }

    /// The first `len` bytes of `digits`, lowest first, less the `skipped` first ones.
    #[inline(always)]
    fn push_last(&mut self, digits: u64, len: usize, skipped: u32) {
        self.push(&(digits >> (8 * skipped)).to_le_bytes(), len - skipped as usize);
    }
}

/// A piece of text that comes again and again.
#[derive(Debug)]
pub(super) struct Word {
    bytes: [u8; 64],
    len: usize,
    /// The text when there is no room for it there, else nothing.
    long: Vec<u8>,
}

impl Word {
    pub(super) fn new(text: &[u8]) -> Word {
        let mut word = Word { bytes: [0; 64], len: 0, long: Vec::new() };
        match word.bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                word.len = text.len();
            }
            None => word.long = text.to_vec(),
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_the_standard_library_prints_them() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power / 7 * 3]);
        for value in near.chain([u64::MAX]) {
            let (mut text, mut line) = (Text::new(), Vec::new());
            text.push_number(value);
            text.push_millis(Some(value));
            text.flush(&mut line);
            let expected = format!("{value},{}.{:03},", value / 1_000, value % 1_000);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }

    #[test]
    fn words_of_any_length_come_in_order() {
        for len in [0, 1, 63, 64, 65, 300] {
            let word = "w".repeat(len);
            let (mut text, mut line) = (Text::new(), b"line".to_vec());
            text.push(b"ab", 1);
            text.push_word(&Word::new(word.as_bytes()), &mut line);
            text.push_slice(&[b's'; STRETCH_MAX]);
            text.flush(&mut line);
            text.flush(&mut line);
            assert_eq!(String::from_utf8(line).unwrap(), format!("linea{word}{}", "s".repeat(STRETCH_MAX)));
        }
    }
}
