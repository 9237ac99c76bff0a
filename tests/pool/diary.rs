//! What clients and origins did, in the order it happened: told when a test fails.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Lines told before and after the one that matters.
const BEFORE: usize = 40;
const AFTER: usize = 10;
/// Of a message so much is written down.
const TEXT_MAX: usize = 160;

#[derive(Clone)]
pub struct Diary {
    begun: Instant,
    lines: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Diary {
    pub fn new() -> Diary {
        Diary { begun: Instant::now(), lines: Arc::default() }
    }

    /// Returns the number of the line.
    pub fn note(&self, line: String) -> usize {
        let mut lines = self.lines.lock().unwrap();
        lines.push((self.begun.elapsed(), line));
        lines.len() - 1
    }

    /// The lines around this one.
    pub fn around(&self, line: usize) -> String {
        let lines = self.lines.lock().unwrap();
        let chosen = &lines[line.saturating_sub(BEFORE)..(line + AFTER).min(lines.len())];
        chosen.iter().map(|(at, text)| format!("{:10.3} ms {text}\n", at.as_secs_f64() * 1e3)).collect()
    }
}

/// The beginning of a message in one line.
pub fn text(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]).into_owned();
    format!("{shown:?} ({} bytes)", bytes.len())
}
