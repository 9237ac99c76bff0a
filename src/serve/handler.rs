//! What a responder asks of the one who knows the answers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Time;
use crate::http1::Method;
use crate::http1::request::{RequestHead, Target};

/// Knows the answers.
pub trait Handler {
    /// How often [`Handler::tick`] is called while a stream is open, if at all. Without one it is called only when there
    /// is news: an idle process with an idle page sleeps.
    const TICK: Option<Duration> = None;

    /// Whether there is something to be told to [`Handler::tick`]; asked whenever the loop turns, which whoever has news
    /// sees to.
    fn has_news(&self) -> bool {
        false
    }

    /// Bytes of this request's body that are to be kept for [`Handler::request`], which is called at its end then; a
    /// longer one gets a 413. Zero, as for most: the body is read and dropped, or echoed.
    fn body_max(&self, _request: &Request<'_>) -> usize {
        0
    }

    /// Time has passed: writes what all open streams are to be sent.
    fn tick(&mut self, _now: Time, _streams: &mut Streams) {}

    /// What to answer, and when; called once per request, as soon as its head is there. `text` is empty and may be
    /// filled for [`Content::Text`].
    fn request(&mut self, request: &Request<'_>, text: &mut Vec<u8>, now: Time) -> Reply;
}

/// The answers that go on: see [`Content::Stream`].
#[derive(Debug, Default)]
pub struct Streams {
    /// To be sent on each of them.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub open: usize,
    /// How many were cut because their clients did not keep up.
    pub dropped: u64,
}

/// A request as a handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// `bytes` are those `head` was parsed from.
    pub fn new(head: &'a RequestHead, bytes: &'a [u8]) -> Self {
        Request { head, bytes, body: &[] }
    }

    /// The same with its body.
    pub fn with_body(self, body: &'a [u8]) -> Self {
        Request { body, ..self }
    }

    /// Its body, if the handler asked for it: see [`Handler::body_max`].
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Its method, if registered.
    pub fn method(&self) -> Method {
        self.head.facts().method
    }

    /// Path of the target, without the query; `*` for the server as a whole.
    pub fn path(&self) -> &'a [u8] {
        let (path, _) = self.path_and_query();
        if path.is_empty() { b"/" } else { path }
    }

    /// What follows the first question mark of the target; empty when there is none.
    pub fn query(&self) -> &'a [u8] {
        self.path_and_query().1
    }

    /// The `host[:port]` it is for: the target's if that has one, else Host's (RFC 9112 section 3.2.2).
    pub fn authority(&self) -> Option<&'a [u8]> {
        self.head.authority().map(|span| span.of(self.bytes))
    }

    /// Value of the first field called `name`, in any case.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.head.value(self.bytes, name)
    }

    fn path_and_query(&self) -> (&'a [u8], &'a [u8]) {
        let span = match self.head.form() {
            Target::Origin(path) | Target::Absolute { path, .. } => path,
            Target::Asterisk => self.head.target(),
        };
        let whole = span.of(self.bytes);
        match memchr::memchr(b'?', whole) {
            Some(mark) => (&whole[..mark], &whole[mark + 1..]),
            None => (whole, &[]),
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Field lines, each with its CRLF: Content-Type and what else there is. Date, Content-Length and Connection are
    /// the responder's.
    pub fields: Cow<'static, str>,
    /// Its content.
    pub content: Content,
    /// How long after the request's head it may leave. It waits for the end of the request's body too, unless that
    /// is being echoed.
    pub delay: Duration,
}

/// The content of an answer.
#[derive(Clone, Debug)]
pub enum Content {
    /// What the handler wrote into `text`.
    Text,
    /// These bytes.
    Static(&'static [u8]),
    /// These bytes, shared with whoever made them.
    Shared(Arc<[u8]>),
    /// This many bytes of [`pattern`](super::pattern), however many they are.
    Fill(u64),
    /// The request's body, framed as it came.
    Echo,
    /// What the handler wrote into `text`, and then whatever it writes in [`Handler::tick`], until either side ends the
    /// connection. A client that does not keep up is cut; one too many gets a 503.
    Stream,
}
