//! What stands at the path of the log before it is begun: another file, a log with other columns, a row cut short.
//!
//! Absent: opening and writing the log (sink.rs).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::row::HEADER;

/// Logs with other columns moved away beside one path.
const OLD_LOGS_MAX: u32 = 999;

/// Refuses to write into a file that does not begin as a log does: `--log` may have been given the wrong path.
pub(super) fn refuse_foreign(path: &Path) -> io::Result<()> {
    let stamp = HEADER.split(',').next().unwrap_or_default();
    if begins_with(path, stamp)? {
        return Ok(());
    }
    let text = "the file is not empty and not a request log; it will not be overwritten";
    Err(io::Error::new(ErrorKind::AlreadyExists, text))
}

/// A log with other columns, as of an older version, gets another name: rows of two kinds in one file would be read as if
/// they were of one.
pub(super) fn move_away(path: &Path) -> io::Result<()> {
    if begins_with(path, HEADER)? {
        return Ok(());
    }
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned(); // which need not be UTF-8
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    // A dangling link is in nobody's way but has its name.
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    let free = (1..=OLD_LOGS_MAX).map(numbered).find(is_free);
    let Some(free) = free else {
        let text = "it has other columns, and too many old logs stand beside it";
        return Err(io::Error::new(ErrorKind::AlreadyExists, text));
    };
    fs::rename(path, &free)?;
    let (was, now) = (path.display(), free.display());
    tracing::warn!(path = %was, now = %now, "the log there has other columns: it is kept under another name");
    Ok(())
}

/// Whether a file begins like this; so does one that is empty, not there, or no regular file.
fn begins_with(path: &Path, start: &str) -> io::Result<bool> {
    if !fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() > 0) {
        return Ok(true);
    }
    let mut found = Vec::new();
    File::open(path)?.take(start.len() as u64).read_to_end(&mut found)?;
    Ok(found == start.as_bytes())
}

/// Whether the last row lacks its end, as after a crash or on a full disk.
pub(super) fn ends_in_a_cut_row(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let (mut file, mut last) = (File::open(path)?, [0]);
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}
