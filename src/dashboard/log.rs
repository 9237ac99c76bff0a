//! A request log instead of a proxy: `tidegate dashboard` shows a finished or growing CSV on the same page.
//!
//! A thread of its own reads what has been appended since its last look, once a second, and makes of the rows what a
//! running proxy publishes: seconds, figures, the last requests with the original's averages. A file that has become
//! shorter, or another one under the same name, is read from its beginning. Method and path are shown where the log has
//! them. Absent: what else the five common columns do not tell (in flight, retries, the proxy's own share).

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::history::{History, LOG_SECONDS_KEPT};
use super::seconds::Builder;
use super::{About, Access, Board, Event, Kind, LogView, View};
use crate::config::DashboardConfig;
use crate::report::follow::Follower;

/// Between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After so many looks without news a log counts as finished, until there is news.
const QUIET_LOOKS_MAX: u32 = 3;
const READ_BYTES: usize = 1024 * 1024;

/// Reads a log and keeps a page's figures up to date with it.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    file: File,
    inode: u64,
    offset: u64,
    follower: Follower,
    builder: Builder,
    history: Arc<Mutex<History>>,
    growing: Arc<AtomicBool>,
    board: Arc<Board>,
    quiet_looks: u32,
}

impl LogReader {
    /// Opens a log and reads what there is.
    ///
    /// # Errors
    /// Half a line: why it cannot be read, or is no request log.
    pub fn open(path: &Path) -> Result<LogReader, String> {
        let (file, inode) = open(path).map_err(|error| error.to_string())?;
        let mut builder = Builder::default();
        let board = Arc::new(Board::new(builder.snapshot("")));
        let mut reader = LogReader {
            path: path.to_owned(),
            file,
            inode,
            offset: 0,
            follower: Follower::default(),
            builder,
            history: Arc::new(Mutex::new(History::new(LOG_SECONDS_KEPT))),
            growing: Arc::new(AtomicBool::new(false)),
            board,
            quiet_looks: QUIET_LOOKS_MAX, // finished, until it is seen to grow
        };
        reader.read()?;
        reader.finish();
        Ok(reader)
    }

    /// What a page shows of it.
    pub fn view(&self, config: &DashboardConfig) -> View {
        let about = About { version: crate::VERSION.to_owned(), ..About::default() };
        let access = Arc::new(Access::new(config.listen.ip(), &config.hosts, None));
        let log = LogView { history: self.history.clone(), growing: self.growing.clone() };
        View { board: self.board.clone(), about, log: Some(log), access, control: None }
    }

    /// Looks again and again, on a thread of its own, as long as the process runs.
    ///
    /// # Errors
    /// When there are no threads left.
    pub fn follow(mut self) -> io::Result<()> {
        let looking = move || {
            loop {
                thread::sleep(LOOK_EVERY);
                if let Err(why) = self.look() {
                    tracing::warn!("{}: {why}", self.path.display());
                }
            }
        };
        thread::Builder::new().name("log-reader".to_owned()).spawn(looking).map(drop)
    }

    /// Reads what has been appended, or everything when the file has been begun anew.
    ///
    /// # Errors
    /// Half a line: as [`LogReader::open`]. A file that is gone for the moment is none.
    pub fn look(&mut self) -> Result<(), String> {
        if let Ok(about) = std::fs::metadata(&self.path)
            && (about.ino() != self.inode || about.len() < self.offset)
        {
            self.begin_anew()?;
        }
        let before = self.offset;
        self.read()?;
        if self.offset > before {
            self.quiet_looks = 0;
        } else {
            self.quiet_looks = self.quiet_looks.saturating_add(1);
            if self.quiet_looks == QUIET_LOOKS_MAX {
                self.finish();
            }
        }
        self.growing.store(self.quiet_looks < QUIET_LOOKS_MAX, Ordering::Relaxed);
        Ok(())
    }

    fn begin_anew(&mut self) -> Result<(), String> {
        (self.file, self.inode) = open(&self.path).map_err(|error| error.to_string())?;
        self.offset = 0;
        self.follower = Follower::default();
        self.builder = Builder::default();
        self.history.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.board.event(Event {
            seq: 0,
            at_ms: self.board.latest().wall.unix_ms,
            kind: Kind::Reload,
            backend: None,
            text: "the file has been begun anew".to_owned(),
        });
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        let mut buffer = vec![0; READ_BYTES];
        let mut rows = false;
        loop {
            let count = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            self.offset += count as u64;
            let LogReader { follower, builder, .. } = self;
            follower.take(&buffer[..count], |log, row, asked| builder.take(log.backends(), row, asked))?;
            rows = true;
            self.hand_over();
        }
        if rows {
            self.publish();
        }
        Ok(())
    }

    /// Nothing more is to be expected: the second under way is one too.
    fn finish(&mut self) {
        self.builder.finish_second();
        self.hand_over();
        self.publish();
    }

    fn hand_over(&mut self) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        self.builder.take_seconds().into_iter().for_each(|second| history.push(second));
    }

    fn publish(&mut self) {
        let routing = self.follower.routing().to_owned();
        self.board.publish(self.builder.snapshot(&routing));
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let inode = file.metadata()?.ino();
    Ok((file, inode))
}
