//! Clients: what they send, in which pieces and with what patience, and whether the answers are theirs.

use crate::ledger::{Ledger, Request};
use crate::manners::{Quirk, is_on};
use crate::message::{Framing, Head, Read, Reader, body, chunked};
use crate::net::{PeerRead, Wire};

/// How a client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It waits for its answers.
    Stays,
    /// As above, having said that it sends no more.
    HalfCloses,
    /// Gone when it has sent all it had to send.
    Leaves,
    /// Gone after this many bytes sent.
    Closes(usize),
    Resets(usize),
    /// Stops reading after this many bytes.
    StopsReading(usize),
    /// Stops sending after this many bytes.
    StopsSending(usize),
}

/// One client connection.
#[derive(Debug)]
pub struct Client {
    pub link: usize,
    pub requests: Vec<Request>,
    pub fate: Fate,
    script: Vec<u8>,
    sent: usize,
    /// As far as it has tried to send: towards a socket that is gone, too, which is answered with a reset.
    attempted: usize,
    read: usize,
    reader: Reader,
    /// Requests answered.
    pub answered: usize,
    interim_seen: bool,
    patience: u32,
    head: Option<Head>,
    /// An answer announced the end of the connection.
    told_close: bool,
    /// It stops at that.
    heeds_close: bool,
    depth: usize,
    pub ended: Option<End>,
    /// Final answers begun, complete or not.
    pub answers_begun: usize,
    /// Answers the proxy made itself.
    pub refusals: usize,
}

/// How the connection ended, as the client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Reset,
    Own,
}

const GARBAGE: [&[u8]; 11] = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b" \r\n\r\n\r\n\r\n",
];

impl Client {
    pub fn new(
        (link, number): (usize, u32),
        count: usize,
        benign: bool,
        ledger: &mut Ledger,
        rng: &mut fastrand::Rng,
    ) -> Client {
        let mut requests: Vec<Request> =
            (0..count).map(|_| ledger.draw_request(number, benign, rng)).collect();
        if is_on(Quirk::Logins) && rng.u8(..5) == 0 {
            requests.iter_mut().for_each(|request| request.login = rng.bool());
        }
        let mut client = Client {
            link,
            requests,
            fate: Fate::Stays,
            script: Vec::new(),
            sent: 0,
            attempted: 0,
            read: 0,
            reader: Reader::default(),
            answered: 0,
            interim_seen: false,
            patience: rng.u32(1..40),
            head: None,
            told_close: false,
            heeds_close: rng.u8(..4) == 0,
            depth: if rng.bool() { 1 } else { rng.usize(1..=4) },
            ended: None,
            answers_begun: 0,
            refusals: 0,
        };
        client.write_script(rng);
        client.fate = match rng.u8(..if benign { 6 } else { 11 }) {
            0 => Fate::HalfCloses,
            1 if is_on(Quirk::Leaving) => {
                ledger.meet(Quirk::Leaving);
                Fate::Leaves
            }
            6 => Fate::Closes(rng.usize(..=client.script.len())),
            7 => Fate::Resets(rng.usize(..=client.script.len())),
            8 => Fate::StopsReading(rng.usize(..2000)),
            9 => Fate::StopsSending(rng.usize(..=client.script.len())),
            _ => Fate::Stays,
        };
        client
    }

    fn write_script(&mut self, rng: &mut fastrand::Rng) {
        for request in &mut self.requests {
            request.start = self.script.len();
            if let Some(which) = request.garbage {
                self.script.extend(GARBAGE[which % GARBAGE.len()]);
                (request.head_end, request.end) = (self.script.len(), self.script.len());
                continue;
            }
            self.script.extend(request.head().bytes());
            request.head_end = self.script.len();
            let body = body(request.id, request.body_len);
            if request.chunked {
                self.script.extend(chunked(&body, if rng.bool() { "A: b\r\n" } else { "" }, rng));
            } else {
                self.script.extend(body);
            }
            request.end = self.script.len();
        }
    }

    /// Does a little of what it has to do; whether anything came of it.
    pub fn step(&mut self, wire: &mut Wire, ledger: &Ledger, rng: &mut fastrand::Rng) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let received = self.receive(wire, ledger, rng);
        self.send(wire, rng) | received
    }

    fn send(&mut self, wire: &mut Wire, rng: &mut fastrand::Rng) -> bool {
        match self.fate {
            Fate::Closes(at) if self.sent >= at => {
                wire.peer_close(self.link);
                self.ended = Some(End::Own);
                return true;
            }
            Fate::Resets(at) if self.sent >= at => {
                wire.peer_reset(self.link);
                self.ended = Some(End::Own);
                return true;
            }
            Fate::Leaves if self.sent == self.script.len() => {
                wire.peer_close(self.link);
                self.ended = Some(End::Own);
                return true;
            }
            Fate::HalfCloses if self.sent == self.script.len() => wire.peer_fin(self.link),
            _ => {}
        }
        if self.told_close && self.ceases() {
            wire.peer_close(self.link);
            self.ended = Some(End::Own);
            return true;
        }
        let allowed = if self.told_close { self.owed() } else { self.allowed() };
        if allowed <= self.sent {
            return false;
        }
        let piece = if rng.u8(..3) == 0 { rng.usize(1..=3) } else { rng.usize(1..=20_000) };
        let until = (self.sent + piece).min(allowed);
        self.attempted = until;
        let count = wire.peer_write(self.link, &self.script[self.sent..until]);
        self.sent += count;
        count > 0
    }

    /// How far it may send now: only so many requests ahead of the answers, and no body before it is welcome.
    fn allowed(&mut self) -> usize {
        let limit = match self.fate {
            Fate::StopsSending(at) | Fate::Closes(at) | Fate::Resets(at) => at,
            _ => self.script.len(),
        };
        let mut allowed = self.owed();
        for (index, request) in self.requests.iter().enumerate().skip(self.answered).take(self.depth) {
            allowed = allowed.max(request.end);
            if request.expect
                && self.sent <= request.head_end
                && !(index == self.answered && self.interim_seen)
            {
                if self.sent == request.head_end && self.patience > 0 {
                    self.patience -= 1;
                }
                if self.patience > 0 {
                    allowed = request.head_end;
                    break;
                }
            }
        }
        allowed.min(limit)
    }

    /// To the end of a request that was answered early: the answer does not end it.
    fn owed(&self) -> usize {
        let end = self.answered.checked_sub(1).map_or(0, |last| self.requests[last].end);
        match self.fate {
            Fate::StopsSending(at) | Fate::Closes(at) | Fate::Resets(at) => end.min(at),
            _ => end,
        }
    }

    /// Whether it does not send the rest of the request answered last, having been told that this is the end: as RFC 9112
    /// section 9.6 has it. Others send what they have begun to send before they look.
    fn ceases(&self) -> bool {
        let Some(last) = self.answered.checked_sub(1).map(|last| &self.requests[last]) else { return false };
        let withholds = last.expect && self.sent <= last.head_end;
        withholds || (self.heeds_close && self.sent < last.end)
    }

    /// Whether it may have gone before it had sent everything, or had its answer.
    pub fn has_left(&self) -> bool {
        self.fate == Fate::Leaves || self.ended == Some(End::Own)
    }

    pub fn has_asked(&self, id: u32) -> bool {
        self.requests.iter().any(|request| request.id == id)
    }

    fn receive(&mut self, wire: &mut Wire, ledger: &Ledger, rng: &mut fastrand::Rng) -> bool {
        if matches!(self.fate, Fate::StopsReading(at) if self.read >= at) {
            return false;
        }
        let most = if rng.u8(..3) == 0 { rng.usize(1..=9) } else { rng.usize(1..=30_000) };
        match wire.peer_read(self.link, most) {
            PeerRead::Blocked => return false,
            PeerRead::Bytes(bytes) => {
                self.read += bytes.len();
                self.reader.feed(&bytes);
                self.digest(ledger);
            }
            PeerRead::Fin => {
                if let Some(Read::End(body)) = self.reader.close() {
                    self.check_answer(&body, ledger);
                }
                self.ended = Some(End::Fin);
                wire.peer_close(self.link);
            }
            PeerRead::Reset => {
                self.ended = Some(End::Reset);
                wire.peer_close(self.link);
            }
        }
        true
    }

    fn digest(&mut self, ledger: &Ledger) {
        loop {
            let method = self.requests.get(self.answered).map_or("", |request| request.method);
            let read = self.reader.next(|head| match head.status() {
                100..=199 | 204 | 304 => Framing::Length(0),
                _ if method == "HEAD" => Framing::Length(0),
                _ => head.framing().unwrap_or(Framing::Close),
            });
            match read {
                None => break,
                Some(Read::Head(head)) => self.take_head(head),
                Some(Read::End(body)) => self.check_answer(&body, ledger),
            }
        }
        if let (Some(head), false) = (&self.head, self.reader.body.is_empty()) {
            check_prefix(head, &self.reader.body, ledger);
        }
    }

    fn take_head(&mut self, head: Head) {
        assert!(!self.told_close, "an answer after one that said close: {head:?}");
        let request = self.requests.get(self.answered).unwrap_or_else(|| panic!("nobody asked for {head:?}"));
        assert!(self.sent > request.start, "an answer before its request: {head:?}");
        let interim = head.status() < 200;
        if let Some(id) = head.number("x-id") {
            assert_eq!(id as u32, request.id, "an answer to another request: {head:?}");
        } else {
            assert!(!interim, "an interim answer of our own: {head:?}");
        }
        if interim {
            assert!(!request.http10, "an interim answer to HTTP/1.0");
        } else {
            self.answers_begun += 1;
            assert!(head.get("date").is_some(), "no Date: {head:?}");
            assert!(head.status() != 204 || head.framing().is_none(), "a length in a 204");
            assert!(!request.http10 || head.get("transfer-encoding").is_none(), "chunks to HTTP/1.0");
        }
        self.head = Some(head);
    }

    fn check_answer(&mut self, body: &[u8], ledger: &Ledger) {
        let head = self.head.take().expect("a head before its body");
        if head.status() < 200 {
            self.interim_seen = true;
            return;
        }
        let request = &self.requests[self.answered];
        match head.number("x-serial") {
            Some(serial) => ledger.check_answer(request, serial as u32, head.status(), body),
            None => {
                self.refusals += 1;
                if std::env::var_os("TIDEGATE_SIM_TRACE").is_some() {
                    println!("link {} refused: {head:?} {:?}", self.link, String::from_utf8_lossy(body));
                }
                let expected = [400, 405, 408, 413, 414, 417, 431, 501, 502, 503, 504, 505];
                let own = expected.contains(&head.status()) || (request.hops && head.status() == 200);
                assert!(own, "nobody's answer: {head:?}");
                let text = head.status().to_string();
                let is_text = body.starts_with(text.as_bytes()) && body.ends_with(b"\n");
                assert!(is_text || request.method == "HEAD" || request.hops, "{head:?} {body:?}");
            }
        }
        self.told_close |=
            head.says_close() || head.framing().is_none() && !matches!(head.status(), 204 | 304);
        if request.method == "HEAD" {
            self.told_close = head.says_close();
        }
        self.told_close |= request.http10 && head.get("connection") != Some("keep-alive");
        self.answered += 1;
        self.interim_seen = false;
    }

    /// Whether it has had all it can hope for.
    pub fn is_content(&self) -> bool {
        self.ended.is_some() || (self.answered == self.requests.len() && self.owed() <= self.sent)
    }

    /// Where it stands, in a line.
    pub fn summary(&self) -> String {
        let Client { link, fate, sent, answered, patience, depth, ended, told_close, .. } = self;
        format!(
            "link {link} {fate:?}: {answered} of {} answered, {sent} of {} bytes sent, patience {patience}, depth {depth}, \
             ended {ended:?}, told to close {told_close}, inside {}, {} refusals, now {:?}",
            self.requests.len(),
            self.script.len(),
            self.reader.is_inside(),
            self.refusals,
            self.requests.get(*answered),
        )
    }

    /// In fair weather nothing is lost.
    pub fn check_benign(&self) {
        if self.has_left() {
            return;
        }
        let all = self.answered == self.requests.len();
        let now = self.requests.get(self.answered);
        let sent_more =
            self.ended == Some(End::Reset) && now.is_some_and(|request| self.attempted > request.end);
        assert!(all || self.told_close || sent_more, "answers missing: {}", self.summary());
        assert!(!self.reader.is_inside() || sent_more, "a cut answer: {}", self.summary());
        let own = self.requests.iter().filter(|request| request.hops).count();
        assert!(self.refusals <= own, "refused: {}", self.summary());
    }
}

fn check_prefix(head: &Head, body: &[u8], ledger: &Ledger) {
    if let Some(serial) = head.number("x-serial") {
        ledger.check_prefix(serial as u32, body);
    }
}
