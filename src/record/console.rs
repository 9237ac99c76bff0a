//! Decision lines on standard output, from a thread of their own.
//!
//! A terminal or a pipe can be slower than the proxy and may stop altogether; the reactor must not wait for it. Lines
//! that do not fit the channel are dropped: they are for watching, the log is for counting.

use std::io::{self, Write as _};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Lines that may wait.
const LINES_MAX: usize = 4096;

/// The reactor's end.
#[derive(Clone, Debug)]
pub struct Console {
    lines: SyncSender<String>,
}

impl Console {
    /// Starts the thread. It ends when the last handle is dropped or standard output is closed.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> io::Result<Console> {
        let (lines, received) = sync_channel::<String>(LINES_MAX);
        thread::Builder::new().name("console".into()).spawn(move || {
            let mut out = io::stdout();
            while let Ok(line) = received.recv() {
                if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Console { lines })
    }

    /// Prints `text`, unless too much waits already.
    pub fn say(&self, text: &str) {
        // A full channel means a stalled terminal, and dropping is what is promised.
        let _ = self.lines.try_send(text.to_owned());
    }
}
