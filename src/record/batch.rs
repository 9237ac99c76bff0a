//! Rows on their way from the reactor to the log's thread.
//!
//! A batch is a vector of plain records beside one arena of their texts, both of fixed capacity, so that pushing a row is
//! two copies and no allocation. Batches travel to the writer and come back emptied. Absent: any notion of files.

use std::sync::Arc;

use super::row::{Facts, Names, Row};

/// What a batch holds at most, records and text together; one batch is one hand-over and about one write(2).
pub const BATCH_BYTES: usize = 64 * 1024;
/// A longer request target is cut in the log: one row must not fill the batch.
pub const PATH_BYTES_MAX: usize = 8 * 1024;
/// The same for methods and reasons, which are a few letters unless someone is playing.
const WORD_BYTES_MAX: usize = 256;
/// Stands for the length of a reason that is `ok`, as nearly all are: that one is not copied.
const OK: u16 = u16::MAX;

const RECORD_BYTES: usize = size_of::<Record>();
const ROW_TEXT_MAX: usize = PATH_BYTES_MAX + 2 * WORD_BYTES_MAX;
/// A typical row has some 20 bytes of text beside its record.
const ROWS_MAX: usize = BATCH_BYTES * 7 / 8 / RECORD_BYTES;
const TEXT_BYTES: usize = BATCH_BYTES - ROWS_MAX * RECORD_BYTES;
const TEXT_CAPACITY: usize = if TEXT_BYTES > 2 * ROW_TEXT_MAX { TEXT_BYTES } else { 2 * ROW_TEXT_MAX };

#[derive(Clone, Copy, Debug)]
struct Record {
    facts: Facts,
    text: u32,
    path: u16,
    method: u16,
    reason: u16,
}

/// A bounded pack of rows.
#[derive(Debug)]
pub struct Batch {
    records: Vec<Record>,
    text: Vec<u8>,
    /// What the rows' indices mean.
    pub(crate) names: Arc<Names>,
    /// Whether the log is to be reopened before these rows are written.
    pub(crate) reopen_first: bool,
    /// Which of the log's handles it goes back to.
    pub(crate) home: usize,
}

impl Batch {
    /// An empty batch whose rows index `names`. The only allocation it ever makes.
    pub fn new(names: Arc<Names>) -> Batch {
        let (records, text) = (Vec::with_capacity(ROWS_MAX), Vec::with_capacity(TEXT_CAPACITY));
        Batch { records, text, names, reopen_first: false, home: 0 }
    }

    /// An empty batch of the log's handle number `home`.
    pub(crate) fn of(home: usize, names: Arc<Names>) -> Batch {
        Batch { home, ..Batch::new(names) }
    }

    /// Copies `row` in; its path is cut at [`PATH_BYTES_MAX`]. Check [`Batch::has_room`] first: without room the row
    /// still goes in, at the price of an allocation.
    pub fn push(&mut self, row: &Row<'_>) {
        let start = self.text.len();
        let method = clip(row.method, WORD_BYTES_MAX);
        let path = clip(row.path, PATH_BYTES_MAX);
        self.text.extend_from_slice(method);
        self.text.extend_from_slice(path);
        let reason = if row.reason == "ok" { OK } else { self.push_reason(row.reason) };
        self.records.push(Record {
            facts: row.facts,
            text: start as u32,
            method: method.len() as u16,
            path: path.len() as u16,
            reason,
        });
    }

    /// Appends the reason of a row that is not like the others; returns its length.
    #[cold]
    fn push_reason(&mut self, reason: &str) -> u16 {
        let reason = clip_str(reason, WORD_BYTES_MAX).as_bytes();
        self.text.extend_from_slice(reason);
        reason.len() as u16
    }

    /// Whether any row at all still fits.
    pub fn has_room(&self) -> bool {
        self.records.len() < ROWS_MAX && self.text.len() + ROW_TEXT_MAX <= TEXT_CAPACITY
    }

    /// Rows inside.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.text.clear();
    }

    /// The rows in the order they were pushed.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(|record| {
            let (method, rest) = split(&self.text[record.text as usize..], record.method);
            let (path, rest) = split(rest, record.path);
            let reason = match record.reason {
                OK => "ok",
                // It was a &str when it came in, cut at a character's edge.
                len => std::str::from_utf8(split(rest, len).0).unwrap_or_default(),
            };
            Row { facts: record.facts, method, path, reason }
        })
    }
}

fn clip(text: &[u8], max: usize) -> &[u8] {
    &text[..text.len().min(max)]
}

fn clip_str(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn split(text: &[u8], at: u16) -> (&[u8], &[u8]) {
    text.split_at(usize::from(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{names, row};

    #[test]
    fn rows_come_out_as_they_went_in() {
        let mut batch = Batch::new(Arc::new(names()));
        let odd = Row { method: b"", path: b"/\xff\"\x00", reason: "caf\u{e9}", ..row() };
        let rows = [row(), odd, row()];
        for _ in 0..2 {
            rows.iter().for_each(|row| batch.push(row));
            assert!(batch.rows().eq(rows));
            assert_eq!(batch.len(), 3);
            batch.clear();
            assert!(batch.is_empty());
        }
    }

    #[test]
    fn long_texts_are_cut_and_neighbours_survive() {
        let mut batch = Batch::new(Arc::new(names()));
        let (path, reason) = (vec![b'p'; 70_000], "\u{e9}".repeat(5_000));
        batch.push(&Row { path: &path, method: &path, reason: &reason, ..row() });
        batch.push(&row());
        let rows: Vec<Row<'_>> = batch.rows().collect();
        assert_eq!(rows[0].path.len(), PATH_BYTES_MAX);
        assert_eq!(rows[0].method.len(), WORD_BYTES_MAX);
        assert!(reason.starts_with(rows[0].reason) && rows[0].reason.len() <= WORD_BYTES_MAX);
        assert_eq!(rows[1], row());
    }

    #[test]
    fn filling_it_allocates_nothing() {
        for path in [&b"/"[..], &[b'p'; 300], &[b'p'; 9_000]] {
            let mut batch = Batch::new(Arc::new(names()));
            let before = (batch.records.capacity(), batch.text.capacity());
            while batch.has_room() {
                batch.push(&Row { path, ..row() });
            }
            assert!(batch.len() >= 2);
            assert_eq!(before, (batch.records.capacity(), batch.text.capacity()));
            assert!(before.0 * RECORD_BYTES + before.1 <= BATCH_BYTES + 2 * ROW_TEXT_MAX);
        }
    }
}
