//! What was asked and what was answered, for comparison with what arrives.

use crate::message::pattern;

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
        if self.hops {
            head += "Max-Forwards: 0\r\n";
        }
        match (self.close, self.http10) {
            (true, false) => head += "Connection: close\r\n",
            (false, true) => head += "Connection: keep-alive\r\n",
            _ => {}
        }
        head + "\r\n"
    }

    pub fn is_idempotent(method: &str) -> bool {
        method != "POST" && method != "PATCH"
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
}

/// Everything said so far.
#[derive(Debug, Default)]
pub struct Ledger {
    pub requests: Vec<(String, usize)>,
    pub answers: Vec<Answer>,
    /// Bodies may be large, for the pipes are.
    pub large: bool,
}

impl Ledger {
    pub fn draw_request(&mut self, benign: bool, rng: &mut fastrand::Rng) -> Request {
        let methods = ["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
        let method = methods[rng.usize(..methods.len())];
        let has_body = matches!(method, "POST" | "PUT" | "PATCH") || (method == "DELETE" && rng.bool());
        let body_len = if has_body { draw_len(self.large, rng) } else { 0 };
        let http10 = rng.u8(..8) == 0;
        let id = self.requests.len() as u32;
        self.requests.push((method.to_owned(), body_len));
        Request {
            id,
            method,
            body_len,
            chunked: has_body && !http10 && rng.bool(),
            http10,
            expect: body_len > 0 && !http10 && rng.u8(..5) == 0,
            close: rng.u8(..10) == 0,
            absolute: rng.u8(..10) == 0,
            hops: method == "OPTIONS" && rng.bool(),
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
