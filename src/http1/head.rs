//! When a head that arrives in pieces is worth parsing again.
//!
//! Heads are parsed from their first byte each time, which is cheapest when they arrive whole, as they nearly always
//! do, but costs the square of their length when they trickle. [`HeadScan`] bounds that. Nothing here judges a head.

/// Between two tries at an unfinished head, at most this many more bytes: malformed heads are refused while they arrive.
const STEP_BYTES: usize = 1024;

/// How far the end of a head has been sought. One per head; `default()` starts the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadScan {
    scanned: usize,
    next_try: usize,
}

impl HeadScan {
    /// Whether to call `parse` on `bytes`: all bytes of the head received so far, from its start.
    ///
    /// Always true when the head may be complete, so that one is never delayed; else true on the first call and
    /// whenever the bytes have doubled or passed a multiple of 1 KiB. True as well for any full buffer whose size is a
    /// multiple of 1 KiB; a caller with another size parses when it has no more room. Costs one look at each new byte,
    /// and nothing on the first call.
    pub fn worth_parsing(&mut self, bytes: &[u8]) -> bool {
        let first = self.next_try == 0;
        let worth = first || bytes.len() >= self.next_try || self.end_in_sight(bytes);
        if worth {
            let len = bytes.len();
            self.next_try =
                if len < STEP_BYTES { (2 * len).max(1) } else { (len / STEP_BYTES + 1) * STEP_BYTES };
        }
        worth
    }

    /// Whether an empty line ends among the bytes not yet scanned.
    fn end_in_sight(&mut self, bytes: &[u8]) -> bool {
        // An empty line may have begun up to two bytes earlier: LF, CR and now its LF.
        let from = self.scanned.saturating_sub(2).min(bytes.len());
        self.scanned = bytes.len();
        let fresh = &bytes[from..];
        memchr::memchr_iter(b'\n', fresh)
            .any(|newline| matches!(&fresh[newline + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_head_is_parsed_at_once() {
        assert!(HeadScan::default().worth_parsing(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    }

    #[test]
    fn a_trickled_head_is_parsed_seldom_and_when_it_ends() {
        for end in ["\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nA: {}{end}", "x".repeat(3000));
            let mut scan = HeadScan::default();
            let mut tries = 0;
            for len in 1..head.len() {
                tries += u32::from(scan.worth_parsing(&head.as_bytes()[..len]));
            }
            assert!(tries < 20, "{tries}");
            assert!(scan.worth_parsing(head.as_bytes()), "{end:?}");
        }
    }

    #[test]
    fn every_two_part_split_finds_the_end() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n";
        for split in 1..head.len() {
            let mut scan = HeadScan::default();
            assert!(scan.worth_parsing(&head[..split]));
            assert!(scan.worth_parsing(head), "{split}");
        }
    }

    #[test]
    fn a_full_buffer_is_always_parsed() {
        let bytes = vec![b'a'; 32 * 1024];
        for first in [1, 700, 1024, 5000, 32 * 1024 - 1] {
            let mut scan = HeadScan::default();
            assert!(scan.worth_parsing(&bytes[..first]));
            assert!(scan.worth_parsing(&bytes), "{first}");
        }
    }
}
