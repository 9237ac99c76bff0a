//! The last requests, for the page: a ring of fixed size, written only while somebody could look.
//!
//! With each request stands what the two averages of its backend were before it; all others' at that moment follow
//! from those of the requests after it, so that a row costs the same however many backends there are.

use std::collections::VecDeque;

use super::row::Row;
use crate::balance::explain::{METHOD_BYTES, PATH_BYTES, Short};
use crate::clock::Time;

/// Requests kept; the original's dashboard averages as many.
pub const RECENT: usize = 200;

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct RecentRow {
    /// Counts from 1.
    pub seq: u64,
    /// When it ended.
    pub at: Time,
    /// Index of its last backend.
    pub backend: Option<u32>,
    /// From sending it upstream to the last byte.
    pub latency_us: Option<u64>,
    /// As in the log.
    pub status: u16,
    /// As in the log.
    pub attempts: u32,
    /// As in the log.
    pub reason: &'static str,
    /// Whether its latency tells of its backend: not when the client left first.
    pub counts: bool,
    /// The simple and the exponential average of its backend before it, in milliseconds.
    pub before: (Option<f64>, Option<f64>),
    /// Its method.
    pub method: Short<METHOD_BYTES>,
    /// The beginning of its target.
    pub path: Short<PATH_BYTES>,
}

/// The last [`RECENT`] requests.
#[derive(Debug)]
pub struct Recent {
    /// Oldest first.
    rows: VecDeque<RecentRow>,
    seq: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Recent { rows: VecDeque::with_capacity(RECENT), seq: 0 }
    }
}

impl Recent {
    /// Notes one; `before` are the averages of its backend before it.
    pub fn push(
        &mut self,
        row: &Row<'_>,
        reason: &'static str,
        counts: bool,
        before: (Option<f64>, Option<f64>),
    ) {
        self.seq += 1;
        let row = RecentRow {
            seq: self.seq,
            at: row.facts.at,
            backend: row.facts.backend,
            latency_us: row.facts.latency_us,
            status: row.facts.status,
            attempts: row.facts.attempts,
            reason,
            counts,
            before,
            method: Short::of(row.method),
            path: Short::of(row.path),
        };
        if self.rows.len() == RECENT {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
    }

    /// All of them, newest first.
    pub fn newest_first(&self) -> Vec<RecentRow> {
        self.rows.iter().rev().copied().collect()
    }

    /// Mean of their latencies in milliseconds.
    pub fn mean_ms(&self) -> Option<f64> {
        let latencies = || self.rows.iter().filter(|row| row.counts).filter_map(|row| row.latency_us);
        let count = latencies().count();
        (count > 0).then(|| latencies().map(|micros| micros as f64).sum::<f64>() / count as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::row;

    #[test]
    fn the_last_ones_newest_first_and_texts_cut() {
        let mut recent = Recent::default();
        let path = vec![b'p'; 500];
        for _ in 0..RECENT + 5 {
            recent.push(&Row { path: &path, ..row() }, "ok", true, (None, Some(1.0)));
        }
        let rows = recent.newest_first();
        assert_eq!((rows.len(), rows[0].seq, rows[199].seq), (RECENT, 205, 6));
        assert_eq!((rows[0].method.text(), rows[0].path.text().len()), ("GET".to_owned(), PATH_BYTES));
        assert!((recent.mean_ms().unwrap() - 200.123).abs() < 1e-6);
    }
}
