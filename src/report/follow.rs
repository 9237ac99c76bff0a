//! A request log while it grows: whole rows out of the bytes that have come since the last look.
//!
//! The same rows as `rows`, one look at a time. A row that is malformed is counted and left out: what shows a log as it
//! is written must not end at the first torn line. Absent: the file, and when it is looked at.

use csv::{ByteRecord, ReaderBuilder};

use super::rows::{Layout, Log, Sample};
use super::stamp::Stamps;

/// No row is this long; without a line end by then it is no log, and must not be kept in memory.
const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads a log piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    layout: Option<Layout>,
    stamps: Stamps,
    log: Log,
    /// Bytes of a row whose end has not come yet.
    rest: Vec<u8>,
    /// Rows left out.
    pub(crate) malformed: u64,
}

/// One row, with names in the place of indices that only this module's tables could tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    /// Microseconds since 1970.
    pub(crate) at_us: i64,
    /// Index into [`Follower::backends`].
    pub(crate) backend: Option<u16>,
    /// `None` when nothing was sent upstream.
    pub(crate) latency_us: Option<u64>,
    /// 0 when there is none.
    pub(crate) status: u16,
}

/// What one row's client asked for; empty where the log has no such column.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r [u8],
    pub(crate) path: &'r [u8],
}

impl Follower {
    /// Takes the next bytes and hands on the rows that are whole by now.
    ///
    /// # Errors
    /// Half a line: why this is no request log.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&Follower, Followed, Asked<'_>),
    ) -> Result<(), String> {
        let Some(end) = memchr::memrchr(b'\n', bytes) else {
            if self.rest.len() + bytes.len() > ROW_BYTES_MAX {
                self.rest.clear();
                return Err("has a line of more than 4 MiB: this is no request log".to_owned());
            }
            self.rest.extend_from_slice(bytes);
            return Ok(());
        };
        let (last, rest) = bytes.split_at(end + 1);
        let mut whole = std::mem::replace(&mut self.rest, rest.to_vec());
        whole.extend_from_slice(last);
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&whole[..]);
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).map_err(|error| error.to_string())? {
            match self.row(&record)? {
                Some(row) => {
                    let asked = self.layout.as_ref().map(|layout| layout.asked(&record)).unwrap_or_default();
                    each(self, row, Asked { method: asked[0], path: asked[1] });
                }
                None => continue,
            }
        }
        Ok(())
    }

    fn row(&mut self, record: &ByteRecord) -> Result<Option<Followed>, String> {
        let Some(layout) = &self.layout else {
            self.layout = Some(Layout::of(record)?);
            return Ok(None);
        };
        if layout.is_header(record) {
            return Ok(None); // a log that was appended to has its header again
        }
        let Ok(sample) = layout.sample(record, &mut self.stamps, &mut self.log) else {
            self.malformed += 1;
            return Ok(None);
        };
        let Sample { at_us, backend, latency_us, status, routing } = sample;
        self.log.last_routing = routing;
        Ok(Some(Followed { at_us, backend, latency_us, status }))
    }

    /// The backends named so far, in order of appearance.
    pub(crate) fn backends(&self) -> &[String] {
        self.log.backends.names()
    }

    /// The routing of the last row.
    pub(crate) fn routing(&self) -> &str {
        self.log.routings.names().get(usize::from(self.log.last_routing)).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_whole_however_the_bytes_come_in() {
        let text = "timestamp,backend_url,latency_ms,status_code,routing_mode\n\
                    1970-01-01T00:00:01Z,http://a,12.5,200,round-robin\n\
                    nonsense\n\
                    timestamp,backend_url,latency_ms,status_code,routing_mode\n\
                    1970-01-01T00:00:02Z,http://b,1,502,adaptive_sma\n\
                    1970-01-01T00:00:03Z,http://b,1,2";
        for size in [1, 7, 64, 10_000] {
            let (mut follower, mut rows) = (Follower::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                follower.take(piece, |_, row, _| rows.push((row.at_us, row.backend, row.status))).unwrap();
            }
            assert_eq!(rows, [(1_000_000, Some(0), 200), (2_000_000, Some(1), 502)], "{size}");
            assert_eq!((follower.malformed, follower.routing()), (1, "adaptive_sma"));
            assert_eq!(follower.backends(), ["http://a", "http://b"]);
        }
        assert!(Follower::default().take(b"a,b\n", |_, _, _| ()).is_err());
    }

    #[test]
    fn what_has_no_lines_is_not_kept() {
        let mut follower = Follower::default();
        let refused = (0..16).find_map(|_| follower.take(&vec![b'x'; 1024 * 1024], |_, _, _| ()).err());
        assert!(refused.is_some_and(|why| why.contains("no request log")) && follower.rest.is_empty());
    }
}
