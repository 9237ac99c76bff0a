//! What was asked and what was answered, for comparison with what arrives.

use crate::manners::{Met, Quirk, is_on};
use crate::message::pattern;

/// The longest body of a request that may be sent twice, less than what is kept of one.
const IDEMPOTENT_MAX: usize = 40_000;
/// The longest of all.
const LONG_MAX: usize = 150_000;

/// A request as a client means it.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: u32,
    pub method: &'static str,
    pub body_len: usize,
    pub chunked: bool,
    pub http10: bool,
    pub expect: bool,
    pub close: bool,
    pub absolute: bool,
    /// `Max-Forwards: 0`: answered by the proxy itself.
    pub hops: bool,
    /// Asks for another protocol, which nobody speaks.
    pub upgrade: bool,
    /// Carries a login that holds for the connection.
    pub login: bool,
    /// Not a request at all.
    pub garbage: Option<usize>,
    /// Where it lies in its client's script.
    pub start: usize,
    pub head_end: usize,
    pub end: usize,
}

impl Request {
    /// Its head as sent.
    pub fn head(&self) -> String {
        let version = if self.http10 { "1.0" } else { "1.1" };
        let host = if self.absolute { "http://front.example" } else { "" };
        let target = if self.method == "OPTIONS" && self.id.is_multiple_of(2) {
            "*".to_owned()
        } else {
            format!("{host}/r/{}/{}", self.id, self.body_len)
        };
        let mut head = format!(
            "{} {target} HTTP/{version}\r\nX-Id: {}\r\nHost: front.example\r\n",
            self.method, self.id
        );
        if self.chunked {
            head += "Transfer-Encoding: chunked\r\n";
        } else if self.body_len > 0 || self.method == "POST" {
            head += &format!("Content-Length: {}\r\n", self.body_len);
        }
        if self.expect {
            head += "Expect: 100-continue\r\n";
        }
        if self.login {
            head += "Authorization: NTLM TlRMTVNTUAAD\r\n";
        }
        if self.upgrade {
            head += "Upgrade: foo/2\r\n";
        }
        if self.hops {
            head += "Max-Forwards: 0\r\n";
        }
        match (self.close, self.http10) {
            (true, false) => head += "Connection: close\r\n",
            (false, true) => head += "Connection: keep-alive\r\n",
            (false, false) if self.upgrade => head += "Connection: Upgrade\r\n",
            _ => {}
        }
        head + "\r\n"
    }

    pub fn is_idempotent(method: &str) -> bool {
        method != "POST" && method != "PATCH"
    }

    /// Whether content means something in it.
    pub fn defines_content(method: &str) -> bool {
        matches!(method, "POST" | "PUT" | "PATCH")
    }
}

/// An answer as an origin means it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub id: u32,
    pub status: u16,
    pub len: usize,
    /// The origin breaks off before its end.
    pub cut: bool,
    /// Its head is malformed: nobody may ever see it.
    pub bad: bool,
    /// It came before the request was there whole and does not say close: the origin reads on.
    pub reads_on: bool,
    /// ... and has read all.
    pub is_read: bool,
}

/// A request as whoever reads it may judge it by.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: &'static str,
    pub body_len: usize,
    /// Whose it is.
    pub client: u32,
}

/// Everything said so far.
#[derive(Debug, Default)]
pub struct Ledger {
    pub requests: Vec<Asked>,
    pub answers: Vec<Answer>,
    /// How often what strains HTTP was done.
    pub met: Met,
    /// Bodies may be large, for the pipes are.
    pub large: bool,
}

impl Ledger {
    pub fn meet(&mut self, quirk: Quirk) {
        self.met[quirk as usize] += 1;
    }

    pub fn draw_request(&mut self, client: u32, benign: bool, rng: &mut fastrand::Rng) -> Request {
        let methods = ["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
        let method = methods[rng.usize(..methods.len())];
        let has_undefined = method == "DELETE" || is_on(Quirk::Unread);
        let has_body = Request::defines_content(method) || (has_undefined && rng.u8(..3) == 0);
        let body_len = match (has_body, Request::is_idempotent(method)) {
            (false, _) => 0,
            // One that is longer than what is kept of it might not be sent again, where another might.
            (true, true) => draw_len(self.large, rng).min(IDEMPOTENT_MAX),
            (true, false) if self.large && is_on(Quirk::LongUploads) && rng.u8(..12) == 0 => {
                self.meet(Quirk::LongUploads);
                rng.usize(60_000..=LONG_MAX)
            }
            (true, false) => draw_len(self.large, rng),
        };
        let http10 = rng.u8(..8) == 0;
        let id = self.requests.len() as u32;
        self.requests.push(Asked { method, body_len, client });
        let close = rng.u8(..10) == 0;
        Request {
            id,
            method,
            body_len,
            chunked: has_body && !http10 && rng.bool(),
            http10,
            expect: body_len > 0 && !http10 && rng.u8(..5) == 0,
            close,
            absolute: rng.u8(..10) == 0,
            hops: method == "OPTIONS" && rng.bool(),
            upgrade: is_on(Quirk::Declines) && !http10 && !close && rng.u8(..6) == 0,
            login: false,
            garbage: (!benign && rng.u8(..15) == 0).then(|| rng.usize(..100)),
            start: 0,
            head_end: 0,
            end: 0,
        }
    }

    pub fn check_answer(&self, request: &Request, serial: u32, status: u16, body: &[u8]) {
        let answer = &self.answers[serial as usize];
        assert!(request.garbage.is_none(), "{request:?} was forwarded");
        assert_eq!(answer.id, request.id, "an answer to another request");
        assert!(!answer.bad, "a malformed answer was forwarded: {answer:?}");
        // An origin that refuses to read a request resets the connection behind its answer. One that ends there counts as
        // whole, so that the client learns why: the text that goes with such a status may then be cut unseen.
        let is_refusal = matches!(status, 400 | 408 | 411 | 413 | 414 | 417 | 431 | 501 | 505);
        if is_refusal && body.len() < answer.len && answer.status == status {
            return self.check_prefix(serial, body);
        }
        assert!(!answer.cut, "a cut answer looks complete: {answer:?}");
        assert_eq!(answer.status, status);
        let bodiless = request.method == "HEAD" || matches!(status, 204 | 304);
        assert_eq!(body.len(), if bodiless { 0 } else { answer.len }, "{request:?} {answer:?}");
        self.check_prefix(serial, body);
    }

    pub fn check_prefix(&self, serial: u32, body: &[u8]) {
        let answer = &self.answers[serial as usize];
        assert!(body.len() <= answer.len, "bytes nobody sent: {answer:?}");
        let differs = body.iter().enumerate().find(|(at, byte)| **byte != pattern(!serial, *at));
        assert!(differs.is_none(), "a body differs at {differs:?}: {answer:?}");
    }
}

pub fn draw_len(large: bool, rng: &mut fastrand::Rng) -> usize {
    match rng.u8(..if large { 10 } else { 6 }) {
        0 => 0,
        1..=5 => rng.usize(1..=300),
        6..=8 => rng.usize(1..=5_000),
        _ => rng.usize(1..=60_000),
    }
}
