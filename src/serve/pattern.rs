//! Content of any length that whoever receives it can check.
//!
//! Lines of the ten digits and the letters, small before capital. A line is [`PERIOD`] bytes, an odd number, so a
//! block lost, doubled or swapped at a power of two shows.

use std::sync::LazyLock;

const LINE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ\n";

/// The pattern starts again after this many bytes.
pub const PERIOD: usize = LINE.len();

/// A quarter of a MiB: as much as one write of a large answer takes.
static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| LINE.repeat(4096));

/// The byte at `offset`.
pub fn byte_at(offset: u64) -> u8 {
    LINE[(offset % PERIOD as u64) as usize]
}

/// The bytes from `offset` on: as many as are at hand in one stretch, at most `count`. Never empty unless `count`
/// is 0.
pub fn piece(offset: u64, count: u64) -> &'static [u8] {
    let rest = &BLOCK[(offset % PERIOD as u64) as usize..];
    &rest[..usize::try_from(count).map_or(rest.len(), |count| count.min(rest.len()))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_without_a_seam() {
        let mut offset = 0;
        for count in [1, 62, 63, 64, 1_000_000, 5] {
            let piece = piece(offset, count);
            assert!(!piece.is_empty() && piece.len() as u64 <= count);
            for (place, byte) in piece.iter().enumerate() {
                assert_eq!(*byte, byte_at(offset + place as u64));
            }
            offset += piece.len() as u64;
        }
        assert!(piece(7, 0).is_empty());
    }
}
