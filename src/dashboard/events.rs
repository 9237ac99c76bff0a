//! The stream of server-sent events: one message a second, the same bytes for all who listen.
//!
//! Who connects is greeted with the figures and the number of the last second, and fetches from the history what it
//! lacks. Absent: who listens, and cutting those who do not keep up (serve/).

use std::io::Write as _;

use serde::Serialize;

use super::api::{Recent, Stats};
use super::board::Event;
use super::history::Named;

/// Requests that go with a second.
pub(super) const REQUESTS_MAX: usize = 20;

/// A greeting.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub(super) struct Hello<'s> {
    pub stats: Stats<'s>,
    pub seq: u64,
}

/// A second's news.
#[derive(Debug, Serialize)]
#[allow(missing_docs)] // as in the JSON
pub(super) struct News<'s> {
    pub stats: Stats<'s>,
    pub second: Named<'s>,
    pub events: &'s [Event],
    pub requests: &'s [Recent],
}

/// Begins a stream: browsers come back after two seconds.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.extend_from_slice(b"retry: 2000\n\n");
}

/// Appends a message; JSON has no line ends of its own, so one `data` line holds it.
pub(super) fn message(out: &mut Vec<u8>, name: &str, seq: u64, data: &impl Serialize) {
    let before = out.len();
    // Writing to a Vec cannot fail.
    let _ = write!(out, "event: {name}\nid: {seq}\ndata: ");
    if serde_json::to_writer(&mut *out, data).is_err() {
        out.truncate(before);
        return;
    }
    out.extend_from_slice(b"\n\n");
}

/// Appends a comment, so that nobody in between takes silence for an end.
pub(super) fn silence(out: &mut Vec<u8>) {
    out.extend_from_slice(b": nothing new\n\n");
}
