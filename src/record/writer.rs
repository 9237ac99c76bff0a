//! The log's two ends: a handle on the reactor that never waits, and the thread that writes.
//!
//! Batches cross by a bounded channel and come back empty by another. When the thread falls behind, the channel fills
//! and the handle drops whole batches and counts their rows; memory is bounded by [`BATCHES_QUEUED_MAX`] batches. The
//! thread sleeps in `recv` and wakes once per batch, so an idle proxy stays idle. Several reactors have a handle each to
//! one thread: rows of one stay in order, batches of several come as they come.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::batch::Batch;
use super::row::{Names, Row, RowEncoder};
pub use super::sink::STDOUT;
use super::sink::Sink;
use crate::clock::Time;

/// Batches waiting for the thread: some 45,000 rows, or about 9 MiB, before rows are dropped.
pub const BATCHES_QUEUED_MAX: usize = 128;
/// Emptied batches kept for reuse; what a stall used beyond that goes back to the allocator.
const BATCHES_SPARE_MAX: usize = 4;
/// A row waits this long for company.
pub const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// How long [`LogHandle::close`] waits for a disk or a FIFO that hangs.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// ... in so many parts: of a machine that stands still meanwhile only one is lost, not the rows.
const CLOSE_LOOKS: u32 = 20;
/// Lost rows are spoken of at once, then no oftener than this.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// Row counts since the start, readable from anywhere.
#[derive(Debug, Default)]
pub struct LogCounters {
    written: AtomicU64,
    dropped: AtomicU64,
}

impl LogCounters {
    /// Rows that are in the file.
    pub fn rows_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Rows that were lost, to a full channel or a fault of the file.
    pub fn rows_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What a closed log amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Rows in the file.
    pub rows_written: u64,
    /// Rows lost.
    pub rows_dropped: u64,
    /// Whether the thread is through; if not, the disk hangs and rows beyond both counts may be lost.
    pub finished: bool,
}

/// The reactor's end. Dropping it without [`LogHandle::close`] loses the rows of the last [`FLUSH_AFTER`].
#[derive(Debug)]
pub struct LogHandle {
    batch: Batch,
    first_row_at: Time,
    full: SyncSender<Batch>,
    emptied: Receiver<Batch>,
    counters: Arc<LogCounters>,
    closing: Arc<AtomicBool>,
    /// Whoever gives it up last waits for the thread.
    thread: Arc<Mutex<Thread>>,
}

/// The writer's thread, as the handles see it.
#[derive(Debug)]
struct Thread {
    /// Never carries a value: it disconnects when the thread ends.
    ended: Receiver<()>,
    handle: JoinHandle<()>,
}

/// Starts logs.
#[derive(Debug)]
pub struct LogWriter;

impl LogWriter {
    /// Opens a fresh log at `path` and starts its thread. `origin` is the instant the rows' times count from.
    ///
    /// # Errors
    /// The path cannot be opened for writing or holds something other than a log; or no thread can be started. A
    /// full disk and a FIFO without a reader are not errors here.
    pub fn start(path: &Path, names: Names, origin: Instant) -> io::Result<LogHandle> {
        let mut handles = LogWriter::start_for(1, path, true, names, origin)?;
        handles.pop().ok_or_else(|| io::Error::other("no handle"))
    }

    /// The same with a handle for each of so many reactors; without `truncate` an old log is continued.
    ///
    /// # Errors
    /// As [`LogWriter::start`].
    pub fn start_for(
        reactors: usize,
        path: &Path,
        truncate: bool,
        names: Names,
        origin: Instant,
    ) -> io::Result<Vec<LogHandle>> {
        let (counters, closing) = (Arc::new(LogCounters::default()), Arc::new(AtomicBool::new(false)));
        let (full, full_end) = sync_channel(BATCHES_QUEUED_MAX);
        let (emptied_ends, emptied): (Vec<_>, Vec<_>) =
            (0..reactors).map(|_| sync_channel(BATCHES_SPARE_MAX)).unzip();
        let (alive, ended) = channel();
        let names = Arc::new(names);
        let (sink, path) = (Sink::create(path, truncate, closing.clone())?, path.display().to_string());
        if sink.is_shared() {
            tracing::warn!(path, "another process is writing this log: it has the rows of both");
        }
        let writer = Writer {
            sink,
            path,
            origin,
            encoder: RowEncoder::new(&names),
            names: names.clone(),
            text: Vec::new(),
            row_ends: Vec::new(),
            counters: counters.clone(),
            reports: Reports::default(),
            alive,
        };
        let run = move || writer.run(&full_end, &emptied_ends);
        let handle = thread::Builder::new().name("request-log".into()).spawn(run)?;
        let thread = Arc::new(Mutex::new(Thread { ended, handle }));
        let handles = emptied.into_iter().enumerate().map(|(home, emptied)| LogHandle {
            batch: Batch::of(home, names.clone()),
            first_row_at: Time::ZERO,
            full: full.clone(),
            emptied,
            counters: counters.clone(),
            closing: closing.clone(),
            thread: thread.clone(),
        });
        Ok(handles.collect())
    }
}

impl LogHandle {
    /// Takes a copy of `row`. Never waits.
    pub fn push(&mut self, row: &Row<'_>) {
        if self.batch.is_empty() {
            self.first_row_at = row.facts.at;
        }
        self.batch.push(row);
        if !self.batch.has_room() {
            self.hand_over();
        }
    }

    /// When [`LogHandle::flush_if_due`] has something to do, if ever.
    pub fn next_deadline(&self) -> Option<Time> {
        let waiting = !self.batch.is_empty() || self.batch.reopen_first;
        waiting.then(|| self.first_row_at.plus(FLUSH_AFTER))
    }

    /// Hands over rows that have waited for [`FLUSH_AFTER`].
    pub fn flush_if_due(&mut self, now: Time) {
        if self.next_deadline().is_some_and(|due| due <= now) {
            self.first_row_at = now; // if only a reopen stays behind (full channel), try again in a while
            self.hand_over();
        }
    }

    /// Hands over what there is, at once.
    pub fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.hand_over();
        }
    }

    /// Reopens the path (SIGUSR1): rows pushed before go to the old file, those after to the new one. Of several handles
    /// that are all told so, the first one sees to it.
    pub fn reopen(&mut self) {
        self.flush();
        if self.batch.home > 0 {
            return;
        }
        self.batch.reopen_first = true;
        self.hand_over();
    }

    /// Changes what the indices of the rows to come mean; those pushed before keep their meaning.
    pub fn set_names(&mut self, names: Names) {
        self.flush();
        self.batch.names = Arc::new(names);
    }

    /// The counters, to be read for as long as anyone likes.
    pub fn counters(&self) -> Arc<LogCounters> {
        self.counters.clone()
    }

    /// Hands over the rest and waits, at most two seconds for room and two for the file, until all is written. Of
    /// several handles only the last one waits, and knows the whole count.
    pub fn close(self) -> Closed {
        let deadline = Instant::now() + CLOSE_WAIT;
        let thread = Arc::into_inner(self.thread).and_then(|thread| thread.into_inner().ok());
        if thread.is_some() {
            self.closing.store(true, Ordering::Relaxed);
        }
        let mut rest = Some(self.batch);
        while let Some(batch) = rest.take() {
            match self.full.try_send(batch) {
                Err(TrySendError::Full(batch)) if Instant::now() < deadline => {
                    rest = Some(batch);
                    thread::sleep(Duration::from_millis(1)); // the channel has no send with a time limit
                }
                Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                    self.counters.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
                Ok(()) => {}
            }
        }
        drop(self.full);
        let finished = thread.is_none_or(|thread| {
            let finished = (0..CLOSE_LOOKS).any(|_| {
                thread.ended.recv_timeout(CLOSE_WAIT / CLOSE_LOOKS) == Err(RecvTimeoutError::Disconnected)
            });
            if finished {
                let _ = thread.handle.join(); // it has ended; a panic in it has already been printed
            }
            finished
        });
        let (rows_written, rows_dropped) = (self.counters.rows_written(), self.counters.rows_dropped());
        Closed { rows_written, rows_dropped, finished }
    }

    fn hand_over(&mut self) {
        let (names, home) = (self.batch.names.clone(), self.batch.home);
        let mut fresh = self.emptied.try_recv().unwrap_or_else(|_| Batch::new(names.clone()));
        (fresh.names, fresh.home) = (names, home);
        let full = std::mem::replace(&mut self.batch, fresh);
        if let Err(TrySendError::Full(mut batch) | TrySendError::Disconnected(mut batch)) =
            self.full.try_send(full)
        {
            self.counters.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
            batch.clear(); // its wish to reopen stays
            self.batch = batch;
        }
    }
}

struct Writer {
    sink: Sink,
    path: String,
    origin: Instant,
    encoder: RowEncoder,
    /// What the encoder was told.
    names: Arc<Names>,
    text: Vec<u8>,
    row_ends: Vec<usize>,
    counters: Arc<LogCounters>,
    reports: Reports,
    alive: Sender<()>,
}

impl Writer {
    fn run(mut self, full: &Receiver<Batch>, emptied: &[SyncSender<Batch>]) {
        while let Ok(mut batch) = full.recv() {
            if batch.reopen_first {
                batch.reopen_first = false;
                if let Err(error) = self.sink.reopen() {
                    tracing::warn!(path = self.path, %error, "cannot reopen the request log; keeping the old file");
                }
            }
            self.write(&batch);
            batch.clear();
            if let Some(emptied) = emptied.get(batch.home) {
                let _ = emptied.try_send(batch); // no room: one spare too many
            }
        }
        self.report_losses(None, Duration::MAX);
        drop(self.sink); // the file closes before anyone is told that all is done
        drop(self.alive);
    }

    fn write(&mut self, batch: &Batch) {
        if batch.is_empty() {
            return;
        }
        let now = self.origin.elapsed();
        self.encode(batch, wall_minus(now));
        let written = self.sink.write(&self.text, &self.row_ends, now);
        let (fault, lost) = (written.fault, batch.len() - written.rows);
        self.counters.written.fetch_add(written.rows as u64, Ordering::Relaxed);
        self.counters.dropped.fetch_add(lost as u64, Ordering::Relaxed);
        if fault.is_none() && self.reports.recovered(self.counters.rows_dropped()) {
            tracing::info!(
                path = self.path,
                lost = self.counters.rows_dropped(),
                "the request log is written again"
            );
        }
        self.report_losses(fault, now);
    }

    /// Lays the batch out as text in `self.text`; `offset` is what the wall clock shows at the origin, read anew for
    /// every batch so that a clock that is set is followed.
    fn encode(&mut self, batch: &Batch, offset: i64) {
        self.row_ends.clear();
        self.text.clear();
        if !Arc::ptr_eq(&self.names, &batch.names) {
            self.names = batch.names.clone();
            self.encoder.set_names(&self.names);
        }
        for row in batch.rows() {
            let unix_micros = (row.facts.at.as_nanos() / 1_000) as i64;
            self.encoder.encode(&row, unix_micros.saturating_add(offset), &mut self.text);
            self.row_ends.push(self.text.len());
        }
    }

    fn report_losses(&mut self, fault: Option<io::Error>, now: Duration) {
        if let Some(error) = &fault {
            self.reports.cause = Some(error.to_string());
        }
        if let Some(lost) = self.reports.due(self.counters.rows_dropped(), fault.is_some(), now) {
            let cause = self.reports.cause.as_deref().unwrap_or("the writer cannot keep up");
            tracing::warn!(path = self.path, lost, cause, "rows of the request log were lost");
        }
    }
}

/// Microseconds since 1970 by the wall clock, less `monotonic`. A wall clock before 1970 counts as 1970.
fn wall_minus(monotonic: Duration) -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    wall.as_micros() as i64 - monotonic.as_micros() as i64
}

/// Decides when to speak of losses.
#[derive(Debug, Default)]
struct Reports {
    reported: u64,
    said_at: Option<Duration>,
    broken: bool,
    /// The fault that lasts. At the end, what it cost since it was last spoken of is still its doing.
    cause: Option<String>,
}

impl Reports {
    /// Rows lost since they were last spoken of, if it is time to speak.
    fn due(&mut self, dropped: u64, fault: bool, now: Duration) -> Option<u64> {
        let lost = dropped - self.reported;
        let silent = self.said_at.is_some_and(|at| now.saturating_sub(at) < REPORT_EVERY);
        if lost == 0 || silent {
            return None;
        }
        (self.reported, self.said_at) = (dropped, Some(now));
        self.broken |= fault; // only a fault that was spoken of gets its all-clear
        Some(lost)
    }

    /// Whether this good write is the first after a fault that was reported. All that was lost is spoken of then.
    fn recovered(&mut self, dropped: u64) -> bool {
        if self.broken {
            self.reported = dropped;
        }
        self.cause = None;
        std::mem::take(&mut self.broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_said_at_once_and_then_every_half_minute() {
        let seconds = Duration::from_secs;
        let mut reports = Reports::default();
        assert_eq!(reports.due(0, false, seconds(1)), None);
        assert_eq!(reports.due(10, true, seconds(2)), Some(10));
        assert_eq!(reports.due(25, true, seconds(31)), None);
        assert_eq!(reports.due(30, true, seconds(32)), Some(20));
        assert_eq!(reports.due(30, false, seconds(90)), None);
        assert!(reports.recovered(30) && !reports.recovered(30));
        assert_eq!(reports.due(31, false, seconds(91)), Some(1));
        assert_eq!(reports.due(33, false, Duration::MAX), Some(2));
    }
}
