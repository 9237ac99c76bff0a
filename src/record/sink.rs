//! The log file and everything that can go wrong with it.
//!
//! Runs on the log's thread. Each write first looks whether the file is still the one at its path; a fault either
//! undoes the torn row and keeps the file (a full disk may have room again) or lets go of it and opens the path again
//! at most once a second. FIFOs are opened and written without blocking. Absent: counting and reporting (writer.rs),
//! and any wait the reactor could feel.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::old_log::{ends_in_a_cut_row, move_away, refuse_foreign};
use super::row::HEADER;

/// The path that means standard output.
pub const STDOUT: &str = "-";
/// How often the path is compared with the open file, and how often a lost file is opened again.
const RECHECK: Duration = Duration::from_secs(1);
/// One wait for a FIFO whose reader is slow; short so that a stop is noticed.
const STALL_WAIT_MS: i64 = 100;
/// Such waits granted once the log is being closed: half a second in all.
const STALL_WAITS_AT_CLOSE: u32 = 5;

/// What became of a write: rows before `fault` are in the file, whole; the others are lost.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) rows: usize,
    pub(super) fault: Option<io::Error>,
}

pub(super) struct Sink {
    path: PathBuf,
    file: Option<File>,
    regular: bool,
    header_due: bool,
    /// The last row in the file is cut and could not be removed; the next write starts on a new line.
    torn: bool,
    checked: Duration,
    closing: Arc<AtomicBool>,
    waits_left: u32,
    /// No other process holds the lock of the file.
    is_ours: bool,
}

impl Sink {
    /// Starts a log at `path`, `-` for standard output: parent directories made, the header written. An old log is
    /// continued if its columns are ours, else moved away (`log.csv.1`, or the next free number); with `truncate` it is
    /// emptied, unless another process still writes it. A FIFO without a reader and a full disk are faults to live with, not errors.
    ///
    /// # Errors
    /// The path cannot be opened for writing, or holds something that is not a log.
    pub(super) fn create(path: &Path, truncate: bool, closing: Arc<AtomicBool>) -> io::Result<Sink> {
        let mut sink = Sink {
            path: path.to_owned(),
            file: None,
            regular: false,
            header_due: true,
            torn: false,
            checked: Duration::ZERO,
            closing,
            waits_left: STALL_WAITS_AT_CLOSE,
            is_ours: false,
        };
        if !sink.is_stdout() {
            refuse_foreign(path)?;
            if !truncate {
                move_away(path)?;
            }
        }
        match sink.open() {
            Ok(()) => {}
            Err(error) if is_fifo(path) && lacks_reader(&error) => return Ok(sink),
            Err(error) => return Err(error),
        }
        if let Some(file) = sink.file.as_ref().filter(|_| truncate && sink.regular && sink.is_ours) {
            file.set_len(0)?;
            sink.header_due = true;
        }
        sink.torn = sink.regular && !sink.header_due && ends_in_a_cut_row(path);
        let _ = sink.write_header(); // a fault here shows again, and is counted, with the first rows
        Ok(sink)
    }

    /// Appends `text`, whose rows end at the offsets `row_ends`. `now` is any monotonic clock.
    pub(super) fn write(&mut self, text: &[u8], row_ends: &[usize], now: Duration) -> Written {
        if let Err(fault) = self.prepare(now).and_then(|()| self.write_header()) {
            return Written { rows: 0, fault: Some(fault) };
        }
        let (done, fault) = self.put(text);
        let rows = row_ends.partition_point(|end| *end <= done);
        let whole = if rows == 0 { 0 } else { row_ends[rows - 1] };
        if let Some(error) = &fault {
            self.after_fault(error, done - whole);
        }
        Written { rows, fault }
    }

    /// Opens the path anew, as after a rotation. The old file is kept if that fails.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.open()
    }

    /// Whether another process writes the same file: its rows and ours stand side by side, none is lost.
    pub(super) fn is_shared(&self) -> bool {
        self.regular && !self.is_ours
    }

    fn is_stdout(&self) -> bool {
        self.path.as_os_str() == STDOUT
    }

    /// Opens without truncating and without blocking; the present file is replaced only on success.
    fn open(&mut self) -> io::Result<()> {
        if self.is_stdout() {
            // Blocking, unlike a FIFO: its flags are shared with whoever else has this standard output.
            self.file = Some(io::stdout().as_fd().try_clone_to_owned()?.into());
            return Ok(());
        }
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        // O_APPEND: whoever truncates the file under us leaves no hole. O_NONBLOCK matters to FIFOs only.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32)
            .open(&self.path)?;
        let about = file.metadata()?;
        self.regular = about.is_file();
        self.header_due = !self.regular || about.len() == 0;
        self.torn = false;
        let file = self.file.insert(file); // the one before has given up its lock by now
        self.is_ours = claim(file);
        Ok(())
    }

    /// Makes sure there is a file to write to and that it is the one at the path.
    fn prepare(&mut self, now: Duration) -> io::Result<()> {
        let due = now >= self.checked + RECHECK;
        let Some(file) = &self.file else {
            if !due && self.checked != Duration::ZERO {
                return Err(not_open());
            }
            self.checked = now;
            return self.open();
        };
        if !self.regular {
            return Ok(());
        }
        let about = file.metadata()?;
        let moved = due && !fs::metadata(&self.path).is_ok_and(|there| same_file(&about, &there));
        if due {
            self.checked = now;
            self.is_ours = claim(file); // the other may have ended
        }
        if about.nlink() == 0 || moved {
            // Rows written to a file nobody can find are lost rows: better to have none than that one.
            self.file = None;
            self.checked = now;
            return self.open();
        }
        self.header_due |= about.len() == 0;
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        if self.torn {
            let (done, fault) = self.put(b"\n");
            self.torn = done == 0;
            fault.map_or(Ok(()), Err)?;
        }
        if self.header_due {
            let (done, fault) = self.put(HEADER.as_bytes());
            if let Some(fault) = fault {
                self.after_fault(&fault, done);
                return Err(fault);
            }
            self.header_due = false;
        }
        Ok(())
    }

    /// Writes all of `bytes`, or as much as goes in, and says how much that was.
    fn put(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let Some(file) = &self.file else {
            return (0, Some(not_open()));
        };
        let (closing, waits_left) = (&self.closing, &mut self.waits_left);
        put_all(&mut &*file, bytes, || wait_writable(file, closing, waits_left))
    }

    /// Removes `excess` bytes of a cut row, and lets go of a file that will not get better by itself.
    fn after_fault(&mut self, error: &io::Error, excess: usize) {
        let Some(file) = &self.file else { return };
        if excess > 0 {
            let undone = self.regular && cut(file, excess).is_ok();
            self.torn = !undone;
        }
        let may_pass = matches!(
            error.kind(),
            ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::FileTooLarge
                | ErrorKind::WouldBlock
        );
        if !may_pass {
            self.file = None;
        }
    }
}

/// Whether no other process writes it. Whoever does holds its lock, which the kernel gives back whatever becomes of the
/// process: two proxies with one log would empty each other's. Where there are no locks, that is no reason not to log.
fn claim(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn not_open() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the file could not be opened yet")
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.file_type().is_fifo())
}

fn lacks_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error())
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn cut(file: &File, excess: usize) -> io::Result<()> {
    file.set_len(file.metadata()?.len().saturating_sub(excess as u64))
}

/// Writes until done, a fault, or `wait` says that waiting for room is over.
fn put_all(out: &mut impl Write, bytes: &[u8], mut wait: impl FnMut() -> bool) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < bytes.len() {
        match out.write(&bytes[done..]) {
            Ok(0) => return (done, Some(ErrorKind::WriteZero.into())),
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && wait() => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// Waits for a full FIFO. While it is full the channel behind fills too, and then the reactor drops and counts.
fn wait_writable(file: &File, closing: &AtomicBool, waits_left: &mut u32) -> bool {
    loop {
        if closing.load(Ordering::Relaxed) {
            if *waits_left == 0 {
                return false;
            }
            *waits_left -= 1;
        }
        let wait = Timespec { tv_sec: 0, tv_nsec: STALL_WAIT_MS * 1_000_000 };
        match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return true, // room, or an error the next write will name
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, at most `step` a call, then fails with `then`.
    struct Narrow {
        room: usize,
        step: usize,
        then: ErrorKind,
        got: Vec<u8>,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.step).min(self.room);
            if n == 0 {
                return Err(self.then.into());
            }
            self.room -= n;
            self.got.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn short_writes_add_up_and_a_fault_says_how_far_it_got() {
        let text = b"one,1\ntwo,2\nthree,3\n";
        for step in 1..=text.len() {
            for room in 0..=text.len() {
                let mut out = Narrow { room, step, then: ErrorKind::StorageFull, got: Vec::new() };
                let (done, fault) = put_all(&mut out, text, || false);
                assert_eq!((done, fault.is_some()), (room, room < text.len()));
                assert_eq!(out.got, &text[..room]);
            }
        }
    }

    #[test]
    fn a_stall_is_waited_for_as_long_as_the_caller_likes() {
        let mut out = Narrow { room: 2, step: 9, then: ErrorKind::WouldBlock, got: Vec::new() };
        let mut waits = 3;
        let (done, fault) = put_all(&mut out, b"abcd", || {
            waits -= 1;
            waits > 0
        });
        assert_eq!((done, waits, fault.unwrap().kind()), (2, 0, ErrorKind::WouldBlock));
    }

    fn sink_at(path: &Path) -> Sink {
        Sink::create(path, true, Arc::new(AtomicBool::new(false))).unwrap()
    }

    #[test]
    fn a_torn_row_is_cut_off_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let mut sink = sink_at(&path);
        sink.put(b"whole\ncut off in the mid");
        sink.after_fault(&ErrorKind::StorageFull.into(), "cut off in the mid".len());
        assert_eq!(sink.write(b"next\n", &[5], RECHECK).rows, 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}whole\nnext\n"));
    }

    #[test]
    fn a_torn_row_that_cannot_be_cut_ends_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let mut sink = sink_at(&path);
        sink.put(b"cut");
        sink.torn = true;
        assert_eq!(sink.write(b"next\n", &[5], RECHECK).rows, 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}cut\nnext\n"));
    }

    #[test]
    fn an_old_log_is_continued_and_one_with_other_columns_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.csv");
        let start = |truncate: bool| Sink::create(&path, truncate, Arc::default()).unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        start(false).write(b"a\n", &[2], Duration::ZERO);
        start(false).write(b"b\n", &[2], Duration::ZERO);
        assert_eq!(read(), format!("{HEADER}a\nb\n"));
        // A row that a crash has cut keeps its line to itself.
        fs::write(&path, format!("{HEADER}a\ncut")).unwrap();
        start(false).write(b"b\n", &[2], Duration::ZERO);
        assert_eq!(read(), format!("{HEADER}a\ncut\nb\n"));
        start(true).write(b"c\n", &[2], Duration::ZERO);
        assert_eq!(read(), format!("{HEADER}c\n"));
        // Columns of another version, twice.
        for number in [1, 2] {
            let old = format!("timestamp,other\n{number}\n");
            fs::write(&path, &old).unwrap();
            start(false).write(b"d\n", &[2], Duration::ZERO);
            assert_eq!(read(), format!("{HEADER}d\n"));
            let kept = fs::read_to_string(format!("{}.{number}", path.display())).unwrap();
            assert_eq!(kept, old);
        }
    }

    #[test]
    fn a_file_truncated_by_others_gets_its_header_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let mut sink = sink_at(&path);
        sink.write(b"a\n", &[2], RECHECK);
        File::create(&path).unwrap();
        sink.write(b"b\n", &[2], RECHECK);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}b\n"));
    }

    #[test]
    fn a_file_renamed_away_is_noticed_within_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("log.csv"), dir.path().join("old.csv"));
        let mut sink = sink_at(&path);
        sink.write(b"a\n", &[2], RECHECK);
        fs::rename(&path, &old).unwrap();
        sink.write(b"b\n", &[2], RECHECK * 2);
        assert_eq!(fs::read_to_string(&old).unwrap(), format!("{HEADER}a\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}b\n"));
    }

    #[test]
    fn only_an_old_log_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "dear diary").unwrap();
        let refused = Sink::create(&path, true, Arc::default()).err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary");
        fs::write(&path, "timestamp,backend_url\n1,2\n").unwrap();
        sink_at(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), HEADER);
    }

    #[test]
    fn a_log_that_is_being_written_is_continued_not_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let mut first = sink_at(&path);
        first.write(b"a\n", &[2], RECHECK);
        assert!(!first.is_shared());
        for _ in 0..2 {
            let mut second = sink_at(&path);
            assert!(second.is_shared());
            second.write(b"b\n", &[2], Duration::ZERO);
            first.reopen().unwrap(); // the same file, as SIGUSR1 without a rotation gives: still its
            assert!(!first.is_shared());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{HEADER}a\nb\nb\n"));
        let mut second = sink_at(&path);
        drop(first);
        second.write(b"c\n", &[2], RECHECK * 2);
        assert!(!second.is_shared() && sink_at(&path).is_shared(), "who is left has the lock");
        drop(second);
        sink_at(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), HEADER);
    }
}
