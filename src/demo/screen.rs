//! Where a demo is told: plain lines, and on a terminal one that changes.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::table::grouped;
use crate::cli::Failure;

/// Cells of the progress bar.
const BAR: usize = 20;
/// One less than the terminals of old had.
const COLUMNS: usize = 79;

/// A place for lines.
pub struct Screen<'a> {
    out: &'a mut dyn Write,
    live: bool,
    began: Instant,
}

impl<'a> Screen<'a> {
    /// Writes to `out`; `live` when that is a terminal, where a line can be written over.
    pub fn new(out: &'a mut dyn Write, live: bool) -> Screen<'a> {
        Screen { out, live, began: Instant::now() }
    }

    /// Writes `text`, which may be several lines, with a line end.
    pub(super) fn lines(&mut self, text: &str) -> Result<(), Failure> {
        self.write(&format!("{}\n", text.strip_suffix('\n').unwrap_or(text)))
            .map_err(|error| Failure::Runtime(format!("stdout: {error}")))
    }

    /// The time shown counts from now.
    pub(super) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// Shows how a run of `duration` is getting on. Nothing on what is no terminal.
    pub(super) fn progress(&mut self, name: &str, duration: Duration, requests: u64, errors: u64) {
        if self.live {
            let line = progress_line(name, self.began.elapsed(), duration, requests, errors);
            // A terminal that is gone shows itself at the next line that matters.
            let _ = self.write(&format!("\r\x1b[2K{line}"));
        }
    }

    /// Takes the changing line away.
    pub(super) fn clear(&mut self) {
        if self.live {
            let _ = self.write("\r\x1b[2K");
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

/// At most [`COLUMNS`] wide: a line that wraps cannot be written over.
fn progress_line(name: &str, elapsed: Duration, duration: Duration, requests: u64, errors: u64) -> String {
    let (elapsed, whole) = (elapsed.as_secs_f64(), duration.as_secs_f64());
    let done = ((elapsed / whole.max(1e-9)).min(1.0) * BAR as f64) as usize;
    let bar = format!("{}{}", "=".repeat(done), " ".repeat(BAR - done));
    let rate = if elapsed > 0.0 { requests as f64 / elapsed } else { 0.0 };
    let errors = if errors == 0 { String::new() } else { format!(", {} errors", grouped(errors)) };
    let mut line = format!(
        "  {name} [{bar}] {:.1}/{whole:.0} s, {} requests, {}/s{errors}",
        elapsed.min(whole),
        grouped(requests),
        grouped(rate as u64),
    );
    line.truncate(COLUMNS); // ASCII all of it
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_a_line_that_changes_and_a_file_does_not() {
        for (live, wanted) in [(true, "one\n\r\x1b[2K  sma"), (false, "one\ntwo\n")] {
            let mut out = Vec::new();
            let mut screen = Screen::new(&mut out, live);
            screen.lines("one").unwrap();
            screen.progress("sma", Duration::from_secs(1), 3, 0);
            screen.clear();
            screen.lines("two\n").unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with(wanted) && text.ends_with("two\n"), "{text:?}");
        }
    }

    #[test]
    fn the_line_says_how_far_it_is_and_fits() {
        let seconds = Duration::from_secs;
        let line = progress_line("round-robin", seconds(5), seconds(20), 2_480, 0);
        assert_eq!(line, "  round-robin [=====               ] 5.0/20 s, 2,480 requests, 496/s");
        let line = progress_line("least-connections", seconds(90), seconds(60), 8_000_000, 2);
        assert!(line.contains("60.0/60 s") && line.contains("8,000,000 requests"), "{line}");
        assert_eq!(progress_line("least-connections", seconds(90), seconds(60), u64::MAX, 9).len(), COLUMNS);
        assert!(progress_line("x", Duration::ZERO, Duration::ZERO, 0, 0).contains("0/s"));
    }
}
