//! The log end to end, over real files and FIFOs: what was pushed is what a CSV reader reads.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};

use super::batch::PATH_BYTES_MAX;
use super::row::{Facts, HEADER, Names, Row};
use super::writer::{Closed, FLUSH_AFTER, LogHandle, LogWriter};
use crate::clock::Time;

pub(crate) fn names() -> Names {
    let routings = ["round_robin", "adaptive_sma"].map(String::from).to_vec();
    let backends = [8081, 8082, 8083].map(|port| format!("http://127.0.0.1:{port}")).to_vec();
    Names { routings, backends }
}

pub(crate) fn facts() -> Facts {
    Facts {
        at: Time::from_millis(5),
        client: "10.20.30.40:50123".parse().unwrap(),
        backend: Some(1),
        routing: 1,
        status: 200,
        latency_us: Some(200_123),
        connect_us: None,
        ttfb_us: Some(200_001),
        total_us: 200_300,
        bytes_in: 78,
        bytes_out: 230,
        attempts: 1,
        reused: true,
    }
}

pub(crate) fn row() -> Row<'static> {
    Row { facts: facts(), method: b"GET", path: b"/a?b=c", reason: "ok" }
}

/// Waits for `condition`, which is to come true long before the deadline.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn start(path: &Path) -> LogHandle {
    LogWriter::start(path, names(), Instant::now()).unwrap()
}

fn push_path(log: &mut LogHandle, path: &str) {
    log.push(&Row { path: path.as_bytes(), ..row() });
}

/// The `path` column of a whole log, whose header must be right.
fn paths_in(file: &Path) -> Vec<String> {
    let bytes = fs::read(file).unwrap();
    assert!(bytes.starts_with(HEADER.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
    let mut reader = csv::Reader::from_reader(&bytes[..]);
    reader.byte_records().map(|row| String::from_utf8_lossy(&row.unwrap()[6]).into_owned()).collect()
}

fn clean(rows_written: u64) -> Closed {
    Closed { rows_written, rows_dropped: 0, finished: true }
}

#[test]
fn a_closed_log_holds_every_row_in_order() {
    const ROWS: u64 = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("made/on/the/way/log.csv");
    let mut log = start(&file);
    let counters = log.counters();
    for sent in 0..ROWS {
        push_path(&mut log, &format!("/{sent}"));
        if sent % 10_000 == 0 {
            until("the writer keeps up", || counters.rows_written() + 20_000 > sent);
        }
    }
    until("the writer catches up", || counters.rows_written() + 2_000 > ROWS); // closing waits for two seconds only
    assert_eq!(log.close(), clean(ROWS));
    assert!(paths_in(&file).into_iter().eq((0..ROWS).map(|sent| format!("/{sent}"))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Any bytes at all survive the trip through a CSV reader.
    #[test]
    fn hostile_texts_are_read_back_as_they_were(
        texts in prop::collection::vec((".{0,9}", prop::collection::vec(any::<u8>(), 0..40), ".{0,40}"), 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log.csv");
        let mut log = start(&file);
        for (method, path, reason) in &texts {
            log.push(&Row { method: method.as_bytes(), path, reason, ..row() });
        }
        prop_assert_eq!(log.close(), clean(texts.len() as u64));
        let mut reader = csv::Reader::from_path(&file).unwrap();
        let rows: Vec<csv::ByteRecord> = reader.byte_records().map(Result::unwrap).collect();
        prop_assert_eq!(rows.len(), texts.len());
        for (read, (method, path, reason)) in rows.iter().zip(&texts) {
            prop_assert_eq!(&read[5], method.as_bytes());
            prop_assert_eq!(&read[6], &path[..]);
            prop_assert_eq!(&read[15], reason.as_bytes());
        }
    }
}

#[test]
fn quotes_commas_and_lines_are_quoted_and_long_paths_cut() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.csv");
    let hostile = ["/\"", "/,,", "/a\r\nb,c\n", "/\"\"\",\"", " ", "", "/x,1,2,3,4,5,6,7,8,9,10,11,12"];
    let long = "/".repeat(3 * PATH_BYTES_MAX);
    let mut log = start(&file);
    hostile.iter().for_each(|path| push_path(&mut log, path));
    push_path(&mut log, &long);
    push_path(&mut log, "/after");
    assert_eq!(log.close(), clean(9));
    let read = paths_in(&file);
    assert_eq!(read[..7], hostile);
    assert_eq!((read[7].len(), read[8].as_str()), (PATH_BYTES_MAX, "/after"));
}

#[test]
fn rows_go_after_a_tenth_of_a_second_or_when_the_batch_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = start(&dir.path().join("log.csv"));
    let counters = log.counters();
    assert_eq!(log.next_deadline(), None);
    log.push(&row());
    let due = facts().at.plus(FLUSH_AFTER);
    assert_eq!(log.next_deadline(), Some(due));
    log.flush_if_due(Time::from_micros(due.as_nanos() / 1_000 - 1));
    assert_eq!(log.next_deadline(), Some(due));
    log.flush_if_due(due);
    assert_eq!(log.next_deadline(), None);
    until("the flushed row is written", || counters.rows_written() == 1);
    for _ in 0..1_000 {
        log.push(&row());
    }
    until("full batches go by themselves", || counters.rows_written() > 300);
    assert_eq!(log.close(), clean(1_001));
}

#[test]
fn timestamps_follow_the_wall_clock() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.csv");
    let origin = Instant::now();
    let mut log = LogWriter::start(&file, names(), origin).unwrap();
    let before = jiff::Timestamp::now();
    let at = Time::from_nanos(origin.elapsed().as_nanos() as u64);
    log.push(&Row { facts: Facts { at, ..facts() }, ..row() });
    let after = jiff::Timestamp::now();
    log.close();
    let read = csv::Reader::from_path(&file).unwrap().records().next().unwrap().unwrap();
    let stamp: jiff::Timestamp = read[0].parse().unwrap();
    let slack = jiff::SignedDuration::from_millis(500);
    assert!(before - slack <= stamp && stamp <= after + slack, "{before} {stamp} {after}");
    assert_eq!(read[0].len(), "2026-01-31T12:00:00.000000Z".len());
}

#[test]
fn names_change_between_batches() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log.csv");
    let mut log = start(&file);
    log.push(&row());
    log.set_names(Names { backends: vec!["http://a".into(), "http://b".into()], ..names() });
    log.push(&row());
    assert_eq!(log.close(), clean(2));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(",http://b,") && text.contains(",http://127.0.0.1:8082,"), "{text}");
}

#[test]
fn reopening_splits_the_rows_and_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let (file, old) = (dir.path().join("log.csv"), dir.path().join("log.csv.1"));
    let mut log = start(&file);
    push_path(&mut log, "/1");
    push_path(&mut log, "/2");
    fs::rename(&file, &old).unwrap();
    log.reopen();
    push_path(&mut log, "/3");
    assert_eq!(log.close(), clean(3));
    assert_eq!(paths_in(&old), ["/1", "/2"]);
    assert_eq!(paths_in(&file), ["/3"]);
}

#[test]
fn a_deleted_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sub/log.csv");
    let mut log = start(&file);
    let counters = log.counters();
    push_path(&mut log, "/gone");
    log.flush();
    until("the first row is written", || counters.rows_written() == 1);
    fs::remove_dir_all(dir.path().join("sub")).unwrap();
    push_path(&mut log, "/here");
    assert_eq!(log.close(), clean(2));
    assert_eq!(paths_in(&file), ["/here"]);
}

#[test]
fn a_full_disk_loses_rows_and_counts_them() {
    let mut log = start(Path::new("/dev/full"));
    let counters = log.counters();
    for sent in 1..=3 {
        log.push(&row());
        log.flush();
        until("the loss is counted", || counters.rows_dropped() == sent);
    }
    assert_eq!(log.close(), Closed { rows_written: 0, rows_dropped: 3, finished: true });
}

fn fifo(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("fifo");
    mkfifoat(CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
    path
}

fn reader_of(fifo: &Path) -> File {
    let flags = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().read(true).custom_flags(flags).open(fifo).unwrap()
}

#[test]
fn a_fifo_without_reader_blocks_nothing_and_logs_once_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let mut log = start(&fifo);
    let counters = log.counters();
    log.push(&row());
    log.flush();
    until("the loss is counted", || counters.rows_dropped() == 1);
    let mut reader = reader_of(&fifo);
    until("logging resumes", || {
        log.push(&row());
        log.flush();
        counters.rows_written() > 0
    });
    let closed = log.close();
    let mut read = Vec::new();
    reader.read_to_end(&mut read).unwrap();
    assert!(read.starts_with(HEADER.as_bytes()));
    assert_eq!(csv::Reader::from_reader(&read[..]).records().count() as u64, closed.rows_written);
}

#[test]
fn a_stalled_reader_costs_rows_that_are_counted_and_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = fifo(dir.path());
    let _reader = reader_of(&fifo);
    let mut log = start(&fifo);
    let counters = log.counters();
    let mut sent = 0;
    while counters.rows_dropped() == 0 {
        log.push(&row());
        sent += 1;
        assert!(sent < 1_000_000, "the channel has no bound");
    }
    log.reopen();
    assert!(log.next_deadline().is_some(), "the wish to reopen waits for room");
    let closed = log.close();
    assert!(closed.finished, "{closed:?}");
    assert_eq!(closed.rows_written + closed.rows_dropped, sent);
}

#[test]
fn an_unusable_path_is_an_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    for path in [dir.path().to_owned(), dir.path().join("file/below.csv")] {
        assert!(LogWriter::start(&path, names(), Instant::now()).is_err(), "{}", path.display());
    }
}
