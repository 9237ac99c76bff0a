//! The Date field's text, made once a second (RFC 9110 section 5.6.7).
//!
//! Nothing here asks a clock for the time.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

/// Length of an IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const DATE_BYTES: usize = 29;

/// The last second of the year 9999, the last an IMF-fixdate can say.
const SECONDS_MAX: u64 = 253_402_300_799;

/// The date of the last second asked for.
#[derive(Clone, Debug)]
pub struct DateCache {
    second: u64,
    text: [u8; DATE_BYTES],
}

impl Default for DateCache {
    fn default() -> Self {
        DateCache { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }
}

impl DateCache {
    /// At the start of 1970.
    pub fn new() -> Self {
        DateCache::default()
    }

    /// IMF-fixdate of a time in whole seconds since 1970 (UTC); remade only when the second differs from the last.
    #[inline]
    pub fn at(&mut self, unix_seconds: u64) -> &[u8; DATE_BYTES] {
        if unix_seconds != self.second {
            self.remake(unix_seconds);
        }
        &self.text
    }

    #[cold]
    fn remake(&mut self, unix_seconds: u64) {
        self.second = unix_seconds;
        let time = UNIX_EPOCH + Duration::from_secs(unix_seconds.min(SECONDS_MAX));
        // Exactly 29 bytes are written; were it ever otherwise, the text would stay what it was.
        let _ = write!(&mut self.text[..], "{}", httpdate::HttpDate::from(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates() {
        let mut cache = DateCache::new();
        assert_eq!(cache.at(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(cache.at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.at(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(cache.at(784_111_778), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(cache.at(u64::MAX), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
