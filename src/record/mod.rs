//! What is kept of each exchange: time stamps, one CSV row, counters and histograms.
//!
//! A session stamps a [`trace::Trace`] as it goes; when it ends, the trace becomes [`row::Facts`], which go by value
//! to [`stats::Stats`] (on the reactor) and, packed into a [`batch::Batch`], to the thread behind [`writer::LogHandle`].
//! Nothing here calls back up, and nothing on the reactor's side waits for a disk: a log that cannot keep up loses rows
//! and counts them. Absent: averages that routing decides by (balance/ keeps its own), and reading logs (report/).

pub mod batch;
pub mod console;
pub mod latencies;
pub mod merge;
mod old_log;
pub mod recent;
pub mod row;
pub mod shadow_log;
mod sink;
pub mod snapshot;
pub mod stats;
mod text;
pub mod trace;
pub mod writer;

#[cfg(test)]
mod tests;
