//! What shadow policies came to, a CSV row each every ten seconds, from a thread of its own.
//!
//! The rows are of their interval, not since the start, so that they can be plotted or added. A disk that hangs costs
//! rows: the reactor never waits, until the very end, and then for two seconds at most.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use crate::balance::shadow::ShadowCounts;
use crate::clock::Time;

/// First line of the file.
pub const HEADER: &str = "timestamp,routing,decisions,agreed,agreed_share,mean_ms_agreed,mean_ms_all\n";
/// As the request log has it.
const STAMP: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";
/// Between two sets of rows.
pub const EVERY: Duration = Duration::from_secs(10);
/// Sets that may wait for the disk.
const QUEUED_MAX: usize = 8;
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The reactor's end.
#[derive(Debug)]
pub struct ShadowLog {
    sets: SyncSender<Vec<ShadowCounts>>,
    /// Never carries a value: it disconnects when the thread ends.
    ended: Receiver<()>,
    due: Time,
}

impl ShadowLog {
    /// Begins the file at `path` anew and starts its thread.
    ///
    /// # Errors
    /// The path cannot be opened for writing or holds something else; or no thread can be started.
    pub fn start(path: &Path) -> io::Result<ShadowLog> {
        refuse_foreign(path)?;
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        let mut file = File::create(path)?;
        file.write_all(HEADER.as_bytes())?;
        let (sets, received) = sync_channel(QUEUED_MAX);
        let (alive, ended) = channel();
        thread::Builder::new()
            .name("shadow-log".to_owned())
            .spawn(move || write_all(&mut file, &received, alive))?;
        Ok(ShadowLog { sets, ended, due: Time::ZERO.plus(EVERY) })
    }

    /// Whether a set is to be pushed at `now`.
    pub fn is_due(&self, now: Time) -> bool {
        now >= self.due
    }

    /// Takes what the shadows came to since the start.
    pub fn push(&mut self, counts: Vec<ShadowCounts>, now: Time) {
        self.due = now.plus(EVERY);
        let _ = self.sets.try_send(counts); // a set lost is in the next one
    }

    /// The last set; waits until it is written, two seconds at most.
    pub fn close(self, counts: Vec<ShadowCounts>) {
        let _ = self.sets.try_send(counts);
        drop(self.sets);
        let _ = self.ended.recv_timeout(CLOSE_WAIT);
    }
}

fn refuse_foreign(path: &Path) -> io::Result<()> {
    let Ok(file) = File::open(path) else { return Ok(()) };
    let mut begin = Vec::new();
    file.take(HEADER.len() as u64).read_to_end(&mut begin)?;
    if begin.is_empty() || begin == HEADER.as_bytes() {
        return Ok(());
    }
    let text = "the file is not empty and not a log of shadows; it will not be overwritten";
    Err(io::Error::new(ErrorKind::AlreadyExists, text))
}

fn write_all(file: &mut File, sets: &Receiver<Vec<ShadowCounts>>, alive: Sender<()>) {
    let mut before: Vec<ShadowCounts> = Vec::new();
    let mut is_broken = false;
    while let Ok(set) = sets.recv() {
        let written = file
            .write_all(rows(&set, &before, &jiff::Timestamp::now().strftime(STAMP).to_string()).as_bytes());
        if let Err(error) = written.as_ref()
            && !is_broken
        {
            tracing::warn!(%error, "rows of the shadow log were lost");
        }
        is_broken = written.is_err();
        before = set;
    }
    drop(alive);
}

/// A row for each of `set` that was asked anything since `before`.
fn rows(set: &[ShadowCounts], before: &[ShadowCounts], timestamp: &str) -> String {
    let mut text = String::new();
    for counts in set {
        let earlier = before.iter().find(|earlier| earlier.variant == counts.variant);
        let figures = earlier.map_or(*counts, |earlier| counts.since(earlier)).figures();
        if figures.decisions == 0 {
            continue;
        }
        let mean = |mean: Option<f64>| mean.map(|mean| format!("{mean:.3}")).unwrap_or_default();
        text += &format!(
            "{timestamp},{},{},{},{:.4},{},{}\n",
            figures.routing,
            figures.decisions,
            figures.agreed,
            figures.agreed_share,
            mean(figures.mean_ms_agreed),
            mean(figures.mean_ms_all)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::{Routing, Variant};

    fn counts(routing: Routing, decisions: u64, agreed: u64) -> ShadowCounts {
        ShadowCounts {
            variant: Variant::from(routing),
            decisions,
            agreed,
            answered: decisions,
            sum_ms: decisions as f64 * 20.0,
            answered_agreed: agreed,
            sum_ms_agreed: agreed as f64 * 10.0,
        }
    }

    #[test]
    fn rows_are_of_their_interval() {
        let (first, idle) = (counts(Routing::Random, 100, 50), counts(Routing::TwoChoices, 7, 0));
        let text = rows(&[first, idle], &[], "T");
        assert_eq!(text, "T,random,100,50,0.5000,10.000,20.000\nT,p2c,7,0,0.0000,,20.000\n");
        let text = rows(&[counts(Routing::Random, 300, 100), idle], &[first, idle], "T");
        assert_eq!(text, "T,random,200,50,0.2500,10.000,20.000\n");
        let begun_anew = rows(&[counts(Routing::Random, 10, 10)], &[first], "T");
        assert_eq!(begun_anew, "T,random,10,10,1.0000,10.000,20.000\n");
    }

    #[test]
    fn a_file_is_begun_anew_and_a_foreign_one_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep").join("shadow.csv");
        for _ in 0..2 {
            let mut log = ShadowLog::start(&path).unwrap();
            assert!(!log.is_due(Time::from_millis(9_999)) && log.is_due(Time::from_millis(10_000)));
            log.push(vec![counts(Routing::Random, 4, 1)], Time::from_millis(10_000));
            assert!(!log.is_due(Time::from_millis(19_999)));
            log.close(vec![counts(Routing::Random, 6, 1)]);
            let text = std::fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines[0], HEADER.trim_end());
            assert!(lines[1].ends_with("Z,random,4,1,0.2500,10.000,20.000"), "{text}");
            assert!(lines[2].ends_with("Z,random,2,0,0.0000,,20.000"), "{text}");
            assert_eq!(lines.len(), 3);
        }
        std::fs::write(&path, "dear diary").unwrap();
        assert_eq!(ShadowLog::start(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
