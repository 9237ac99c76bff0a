//! Origins: each connection the proxy dials is read as HTTP by an independent reader and answered, well or badly.

use std::collections::VecDeque;

use crate::ledger::{Answer, Ledger, Request, draw_len};
use crate::message::{Framing, Head, Read, Reader, body, chunked, pattern};
use crate::net::{PeerRead, Wire};

/// What happens once everything queued was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    KeepOpen,
    Close,
    Reset,
}

/// Answers whose heads nobody may forward.
const BAD: [&str; 8] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: \0\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n",
    "ICY 200 OK\r\nContent-Length: 3\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 3\r\n",
    "HTTP/1.1 200 OK\r\nContent Length : 3\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n",
];

/// One connection from the proxy.
#[derive(Debug)]
pub struct Origin {
    link: usize,
    benign: bool,
    reader: Reader,
    head: Option<Head>,
    out: VecDeque<u8>,
    /// How much at the end of `out` nobody asked for.
    surplus: usize,
    after: After,
    /// Answered already, although the request is not here whole.
    early: bool,
    /// Says and reads nothing any more.
    frozen: bool,
    closed: bool,
    slow_one_in: u8,
}

impl Origin {
    pub fn new(link: usize, benign: bool, rng: &mut fastrand::Rng) -> Origin {
        Origin {
            link,
            benign,
            reader: Reader::default(),
            head: None,
            out: VecDeque::new(),
            surplus: 0,
            after: After::KeepOpen,
            early: false,
            frozen: !benign && rng.u8(..40) == 0,
            closed: false,
            slow_one_in: if rng.bool() { 1 } else { rng.u8(1..6) },
        }
    }

    /// Does a little; whether anything came of it.
    pub fn step(&mut self, wire: &mut Wire, ledger: &mut Ledger, rng: &mut fastrand::Rng) -> bool {
        if self.closed || self.frozen || !wire.is_up(self.link) {
            return false;
        }
        if rng.u8(..self.slow_one_in) > 0 {
            return true;
        }
        self.receive(wire, ledger, rng) | self.send(wire, rng)
    }

    /// Where it stands, in a line.
    pub fn summary(&self) -> String {
        let Origin { link, after, early, frozen, closed, head, .. } = self;
        let (left, inside) = (self.out.len(), self.reader.is_inside());
        format!(
            "origin on link {link}: {left} to send, then {after:?}, early {early}, frozen {frozen}, closed {closed}, inside {inside}, {head:?}"
        )
    }

    /// Closes a connection nobody uses.
    pub fn close_if_idle(&mut self, wire: &mut Wire) {
        if !self.frozen
            && self.out.is_empty()
            && !self.reader.is_inside()
            && !self.closed
            && !self.early
            && self.after == After::KeepOpen
        {
            wire.peer_close(self.link);
            self.closed = true;
        }
    }

    fn receive(&mut self, wire: &mut Wire, ledger: &mut Ledger, rng: &mut fastrand::Rng) -> bool {
        let most = if rng.u8(..3) == 0 { rng.usize(1..=9) } else { rng.usize(1..=30_000) };
        match wire.peer_read(self.link, most) {
            PeerRead::Blocked => false,
            PeerRead::Bytes(bytes) => {
                self.reader.feed(&bytes);
                self.digest(ledger, rng);
                true
            }
            PeerRead::Fin | PeerRead::Reset => {
                wire.peer_close(self.link);
                self.closed = true;
                true
            }
        }
    }

    fn digest(&mut self, ledger: &mut Ledger, rng: &mut fastrand::Rng) {
        while let Some(read) = self.reader.next(|head| head.framing().unwrap_or(Framing::Length(0))) {
            match read {
                Read::Head(head) => {
                    assert!(self.out.is_empty(), "a request before the last one was answered");
                    self.welcome(&head, rng);
                    self.head = Some(head);
                    self.early = rng.u8(..if self.benign { 20 } else { 6 }) == 0;
                    if self.early {
                        self.answer(ledger, rng);
                    }
                }
                Read::End(body) => {
                    let Some(head) = &self.head else { continue };
                    check_body(head, &body, ledger);
                    if !std::mem::take(&mut self.early) {
                        self.answer(ledger, rng);
                    }
                }
            }
        }
    }

    fn welcome(&mut self, head: &Head, rng: &mut fastrand::Rng) {
        let id = head.get("x-id").expect("an id");
        if head.get("expect").is_some() && rng.u8(..4) > 0 {
            self.out.extend(format!("HTTP/1.1 100 Continue\r\nX-Id: {id}\r\n\r\n").bytes());
        }
        for _ in 0..if rng.u8(..8) == 0 { rng.u8(1..4) } else { 0 } {
            self.out.extend(format!("HTTP/1.1 103 Early Hints\r\nX-Id: {id}\r\nLink: </a>\r\n\r\n").bytes());
        }
    }

    fn answer(&mut self, ledger: &mut Ledger, rng: &mut fastrand::Rng) {
        let head = self.head.as_ref().expect("a request to answer");
        let id = head.number("x-id").expect("an id") as u32;
        let is_head = head.line.starts_with("HEAD ");
        let must_close = head.says_close();
        let status = match rng.u8(..16) {
            0 => 404,
            1 => 204,
            2 => 304,
            3 if !self.benign => 503,
            _ => 200,
        };
        let serial = ledger.answers.len() as u32;
        let mut answer = Answer { id, status, len: draw_len(ledger.large, rng), cut: false, bad: false };
        let mischief = if self.benign { 255 } else { rng.u8(..if self.early { 12 } else { 60 }) };
        if mischief == 0 {
            answer.bad = true;
            let bad = BAD[rng.usize(..BAD.len())];
            self.out.extend(format!("{bad}X-Id: {id}\r\nX-Serial: {serial}\r\n\r\nabc").bytes());
            ledger.answers.push(answer);
            return;
        }
        let framing = match rng.u8(..10) {
            0..=4 => Framing::Length(answer.len),
            5..=7 => Framing::Chunked,
            _ => Framing::Close,
        };
        let bodiless = is_head || matches!(status, 204 | 304);
        let closes = must_close || rng.u8(..12) == 0;
        let says_close = closes && (self.benign || rng.bool());
        let (bytes, framing) = write_answer(&answer, serial, framing, (bodiless, says_close), rng);
        let closes = closes || (framing == Framing::Close && !bodiless);
        self.after = if closes { After::Close } else { After::KeepOpen };
        let start = self.out.len();
        self.out.extend(bytes);
        self.spoil(mischief, framing, bodiless, start, &mut answer, rng);
        if std::env::var_os("TIDEGATE_SIM_TRACE").is_some() {
            println!(
                "link {} answers {serial}: {answer:?} {framing:?} mischief {mischief} then {:?}",
                self.link, self.after
            );
        }
        ledger.answers.push(answer);
    }

    fn spoil(
        &mut self,
        mischief: u8,
        framing: Framing,
        bodiless: bool,
        start: usize,
        answer: &mut Answer,
        rng: &mut fastrand::Rng,
    ) {
        let len = self.out.len() - start;
        match mischief {
            1..=4 => {
                // Broken off. A clean end of a body that ends with its connection would be no break.
                let keep = rng.usize(..len);
                answer.cut = true;
                self.out.truncate(start + keep);
                self.after =
                    if framing == Framing::Close || rng.bool() { After::Reset } else { After::Close };
            }
            5 => {
                self.out.truncate(start + rng.usize(..len));
                answer.cut = true;
                self.frozen = true;
                self.after = After::KeepOpen;
            }
            6 if framing != Framing::Close && !bodiless => {
                let surplus = b"HTTP/1.1 200 OK\r\nX-Id: 999999\r\nContent-Length: 2\r\n\r\nno";
                self.out.extend(surplus);
                self.surplus = surplus.len();
            }
            7 if framing == Framing::Chunked && !bodiless => {
                let end = self.out.len() - 1;
                self.out[end] = b'x'; // no CRLF at the very end
                answer.cut = true;
            }
            8 => self.frozen = true,
            _ => {}
        }
    }

    fn send(&mut self, wire: &mut Wire, rng: &mut fastrand::Rng) -> bool {
        if !self.out.is_empty() {
            let piece = if rng.u8(..3) == 0 { rng.usize(1..=3) } else { rng.usize(1..=20_000) };
            let mut most = piece.min(self.out.len());
            // Surplus read after the next request was sent cannot be told from its answer: this comes with the end of
            // its own, and not where reads stop short of what is there.
            let answer = self.out.len().saturating_sub(self.surplus);
            if wire.short_one_in > 0 && self.surplus > 0 {
                self.out.truncate(answer);
                (self.surplus, most) = (0, most.min(answer));
            }
            if self.surplus > 0 && answer > 0 && most >= answer {
                most = if wire.peer_room(self.link) > answer { self.out.len() } else { answer - 1 };
            }
            let count = wire.peer_write(self.link, &self.out.make_contiguous()[..most]);
            self.out.drain(..count);
            self.surplus = self.surplus.min(self.out.len());
            return count > 0;
        }
        // An early answer is followed by reading on, or the close would be a reset that erases it.
        let busy = self.early && self.benign;
        match self.after {
            After::KeepOpen => return false,
            _ if busy => return false,
            After::Close => wire.peer_close(self.link),
            After::Reset => wire.peer_reset(self.link),
        }
        self.closed = true;
        true
    }
}

fn write_answer(
    answer: &Answer,
    serial: u32,
    framing: Framing,
    (bodiless, says_close): (bool, bool),
    rng: &mut fastrand::Rng,
) -> (Vec<u8>, Framing) {
    let body = body(!serial, answer.len);
    let minor = u8::from(rng.u8(..8) > 0);
    let framing = if minor == 0 && framing == Framing::Chunked { Framing::Close } else { framing };
    let mut head =
        format!("HTTP/1.{minor} {} Some\r\nX-Id: {}\r\nX-Serial: {serial}\r\n", answer.status, answer.id);
    // What old and small servers send: blanks before a colon, numbers of a fixed width.
    let (colon, zeros) = if rng.u8(..10) == 0 { (" \t:", "00") } else { (":", "") };
    match framing {
        _ if answer.status == 204 => {}
        Framing::Length(len) => head += &format!("Content-Length{colon} {zeros}{len}\r\n"),
        Framing::Chunked => head += &format!("Transfer-Encoding{colon} chunked\r\n"),
        Framing::Close => {}
    }
    if says_close {
        head += &format!("Connection{colon} close\r\n");
    }
    let mut bytes = (head + "\r\n").into_bytes();
    match framing {
        _ if bodiless => {}
        Framing::Chunked => bytes.extend(chunked(&body, if rng.bool() { "X-T: 1\r\n" } else { "" }, rng)),
        _ => bytes.extend(body),
    }
    (bytes, framing)
}

fn check_body(head: &Head, body: &[u8], ledger: &Ledger) {
    let id = head.number("x-id").expect("an id") as u32;
    let (method, len) = &ledger.requests[id as usize];
    assert!(head.line.starts_with(&format!("{method} ")), "{head:?} was {method}");
    assert!(head.line.ends_with(" HTTP/1.1"), "{head:?}");
    assert_eq!(head.get("host"), Some("front.example"), "{head:?}");
    assert_eq!(body.len(), *len, "the body of {head:?}");
    let differs = body.iter().enumerate().find(|(at, byte)| **byte != pattern(id, *at));
    assert!(differs.is_none(), "a request body differs at {differs:?}: {head:?}");
}

/// Reads everything the proxy ever sent on one connection: whole requests, the last one perhaps cut. Their ids.
pub fn requests_in(log: &[u8], ledger: &Ledger) -> Vec<u32> {
    let (mut reader, mut head, mut ids) = (Reader::default(), None, Vec::new());
    reader.feed(log);
    while let Some(read) = reader.next(|head| head.framing().unwrap_or(Framing::Length(0))) {
        match read {
            Read::Head(new) => {
                ids.push(new.number("x-id").expect("an id") as u32);
                head = Some(new);
            }
            Read::End(body) => check_body(head.as_ref().expect("a head"), &body, ledger),
        }
    }
    // A head cut behind its first lines still names its request.
    if let Ok(text) = std::str::from_utf8(reader.rest())
        && head_is_next(&reader)
        && let Some((_, rest)) = text.split_once("X-Id: ")
        && let Some((id, _)) = rest.split_once("\r\n")
    {
        ids.push(id.parse().expect("an id"));
    }
    ids
}

fn head_is_next(reader: &Reader) -> bool {
    reader.is_inside()
        && !reader.rest().is_empty()
        && reader.body.is_empty()
        && reader.rest()[0].is_ascii_uppercase()
}

/// How often a request may be found in the logs of all connections together.
pub fn sent_max(method: &str, retries: u32) -> usize {
    if Request::is_idempotent(method) { retries as usize + 2 } else { 1 }
}
