//! Origins: each connection the proxy dials is read as HTTP by an independent reader and answered, well or badly.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::clock::Time;

use crate::ledger::{Answer, Ledger, Request, draw_len};
use crate::manners::{LATE_MAX, Quirk, REFUSALS, REFUSALS_FAIR, STRAY, Spoiled, is_on};
use crate::message::{Framing, Head, Read, Reader};
use crate::net::{PeerRead, Wire};
use crate::traffic::{check_body, write_answer};

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
    manner: Option<Quirk>,
    /// What time it is for it.
    now: Time,
    reader: Reader,
    head: Option<Head>,
    out: VecDeque<u8>,
    /// How much at the end of `out` nobody asked for.
    surplus: usize,
    after: After,
    /// Answered already, although the request is not here whole.
    early: bool,
    /// Answers given and to be told of when their request is here whole.
    reading: Option<usize>,
    /// Says and reads nothing any more.
    frozen: bool,
    closed: bool,
    slow_one_in: u8,
    /// It takes nothing for a request any more.
    spoiled: Option<Spoiled>,
    /// What it says at a time of its own, asked or not.
    later: Option<(Time, Vec<u8>)>,
    /// Until when it works on an answer, and how often it will say so then before it gives it.
    working: Option<(Time, u8)>,
    /// Whose login the connection carries.
    owner: Option<u32>,
}

impl Origin {
    pub fn new(link: usize, benign: bool, manner: Option<Quirk>, rng: &mut fastrand::Rng) -> Origin {
        Origin {
            link,
            benign,
            manner,
            now: Time::ZERO,
            reader: Reader::default(),
            head: None,
            out: VecDeque::new(),
            surplus: 0,
            after: After::KeepOpen,
            early: false,
            reading: None,
            frozen: !benign && rng.u8(..40) == 0,
            closed: false,
            slow_one_in: if rng.bool() { 1 } else { rng.u8(1..6) },
            spoiled: None,
            later: None,
            working: None,
            owner: None,
        }
    }

    /// Does a little; whether anything came of it.
    pub fn step(&mut self, now: Time, wire: &mut Wire, ledger: &mut Ledger, rng: &mut fastrand::Rng) -> bool {
        self.now = now;
        if self.closed || self.frozen || !wire.is_up(self.link) {
            return false;
        }
        // However slow it is: later than that it would be too late for anybody to see.
        if self.later.as_ref().is_some_and(|(at, _)| *at <= now) && self.out.is_empty() {
            self.say_later();
            self.send(wire, rng);
        }
        if let Some((at, left)) = self.working
            && at <= now
        {
            self.work(left, ledger, rng);
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

    /// Whether it has more to send.
    pub fn has_to_send(&self) -> bool {
        !self.out.is_empty() && !self.closed && !self.frozen
    }

    /// When it will have something to say of what it works on.
    pub fn works_until(&self) -> Option<Time> {
        self.working.filter(|_| !self.closed && !self.frozen).map(|(at, _)| at)
    }

    /// Closes a connection nobody uses.
    pub fn close_if_idle(&mut self, wire: &mut Wire) {
        if !self.frozen
            && self.later.is_none()
            && self.working.is_none()
            && self.spoiled.is_none()
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
                match self.spoiled {
                    None => {
                        self.reader.feed(&bytes);
                        self.digest(ledger, rng);
                    }
                    Some(Spoiled::Silent) => {}
                    Some(Spoiled::Complaining) => self.out.extend(STRAY.bytes()),
                }
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
                    self.say_later();
                    self.know(&head, ledger);
                    self.welcome(&head, rng);
                    self.head = Some(head);
                    let one_in = match self.manner {
                        Some(Quirk::Early) => 2,
                        // These do what they do after whole requests.
                        Some(_) if self.benign => u8::MAX,
                        _ if self.benign => 20,
                        _ => 6,
                    };
                    self.early = one_in < u8::MAX && rng.u8(..one_in) == 0;
                    if self.early {
                        self.answer(ledger, rng);
                    }
                }
                Read::End(body) => {
                    let Some(head) = &self.head else { continue };
                    check_body(head, &body, ledger);
                    if let Some(serial) = self.reading.take() {
                        ledger.answers[serial].is_read = true;
                    }
                    if !std::mem::take(&mut self.early) {
                        self.answer_or_work(ledger, rng);
                    }
                    if self.spoils(&body) {
                        self.manner.into_iter().for_each(|manner| ledger.meet(manner));
                        self.spoil_connection(rng);
                        return;
                    }
                }
            }
        }
    }

    /// Nobody else's request may come where somebody has logged in.
    fn know(&mut self, head: &Head, ledger: &mut Ledger) {
        let client = ledger.requests[head.number("x-id").expect("an id")].client;
        let owner = self.owner.unwrap_or(client);
        assert_eq!(owner, client, "a request on a connection with another's login: {head:?}");
        if self.owner.is_some() {
            ledger.meet(Quirk::Logins); // its own client has it again
        }
        if head.get("authorization").is_some() {
            self.owner = Some(client);
        }
    }

    /// Whether the request just answered leaves the connection in no state to take another.
    fn spoils(&self, body: &[u8]) -> bool {
        let Some(head) = &self.head else { return false };
        let method = head.line.split(' ').next().unwrap_or_default();
        if self.after != After::KeepOpen {
            return false; // what would follow might be part of an answer that ends with its connection
        }
        match self.manner {
            Some(Quirk::Unread) => !body.is_empty() && !Request::defines_content(method),
            Some(Quirk::UnreadPosts) => !body.is_empty(),
            Some(Quirk::Declines) => head.get("upgrade").is_some(),
            Some(Quirk::Refuses) => self.spoiled.is_some(),
            _ => false,
        }
    }

    fn spoil_connection(&mut self, rng: &mut fastrand::Rng) {
        let how = if rng.bool() { Spoiled::Silent } else { Spoiled::Complaining };
        self.spoiled = Some(how);
        if how == Spoiled::Complaining && rng.bool() {
            self.plan(STRAY.as_bytes().to_vec(), rng);
        }
    }

    /// To be said a moment later.
    fn plan(&mut self, bytes: Vec<u8>, rng: &mut fastrand::Rng) {
        let late = rng.u64(..=LATE_MAX.as_micros() as u64) >> rng.u8(..8);
        self.later = Some((self.now.plus(Duration::from_micros(late)), bytes));
    }

    fn say_later(&mut self) {
        self.out.extend(self.later.take().map_or(Vec::new(), |(_, bytes)| bytes));
    }

    fn answer_or_work(&mut self, ledger: &mut Ledger, rng: &mut fastrand::Rng) {
        if self.manner == Some(Quirk::Working) && rng.u8(..3) == 0 {
            self.work(rng.u8(2..6), ledger, rng);
        } else {
            self.answer(ledger, rng);
        }
    }

    /// Says that it is still working, or has done. In fair weather its whole work takes longer than anybody would wait
    /// without being told, each part of it less.
    fn work(&mut self, left: u8, ledger: &mut Ledger, rng: &mut fastrand::Rng) {
        if left == 0 {
            self.working = None;
            self.answer(ledger, rng);
            return;
        }
        let id = self.head.as_ref().and_then(|head| head.get("x-id")).expect("an id");
        ledger.meet(Quirk::Working);
        self.out.extend(format!("HTTP/1.1 102 Processing\r\nX-Id: {id}\r\n\r\n").bytes());
        let millis = if self.benign { rng.u64(1_000..5_000) } else { rng.u64(1..20) };
        self.working = Some((self.now.plus(Duration::from_millis(millis)), left - 1));
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
        let may_wait = head.get("expect").is_some();
        let refuses = self.manner == Some(Quirk::Refuses) && rng.u8(..3) == 0;
        let status = match rng.u8(..16) {
            _ if refuses => REFUSALS[rng.usize(..if self.benign { REFUSALS_FAIR } else { REFUSALS.len() })],
            0 => 404,
            1 => 204,
            2 => 304,
            // Apart from HEAD it is what a late body can follow.
            6..=10 if self.manner == Some(Quirk::LateBodies) => 304,
            3 if !self.benign => 503,
            4 if is_on(Quirk::Logins) => 401,
            5 if self.manner == Some(Quirk::Surplus) => 301,
            _ => 200,
        };
        let serial = ledger.answers.len() as u32;
        let len = if status == 301 { 0 } else { draw_len(ledger.large, rng) };
        let mut answer = Answer { id, status, len, cut: false, bad: false, reads_on: false, is_read: false };
        let mischief = if self.benign { 255 } else { rng.u8(..if self.early { 12 } else { 60 }) };
        if mischief == 0 {
            answer.bad = true;
            let bad = BAD[rng.usize(..BAD.len())];
            self.out.extend(format!("{bad}X-Id: {id}\r\nX-Serial: {serial}\r\n\r\nabc").bytes());
            ledger.answers.push(answer);
            return;
        }
        let framing = match rng.u8(..10) {
            _ if status == 301 => Framing::Length(0),
            0..=4 => Framing::Length(answer.len),
            5..=7 => Framing::Chunked,
            _ => Framing::Close,
        };
        let bodiless = is_head || matches!(status, 204 | 304);
        let is_curt = self.manner == Some(Quirk::Curt);
        let closes = must_close || is_curt || rng.u8(..12) == 0;
        let says_close = closes && !is_curt && (self.benign || rng.bool());
        let how = (bodiless, says_close, self.early);
        let (bytes, framing) = write_answer(&answer, serial, framing, how, rng);
        let closes = closes || (framing == Framing::Close && !bodiless);
        self.after = if closes { After::Close } else { After::KeepOpen };
        if is_curt && !must_close {
            ledger.meet(Quirk::Curt);
        }
        if self.early && !closes && !may_wait && is_on(Quirk::Early) {
            answer.reads_on = true;
            self.reading = Some(serial as usize);
            ledger.meet(Quirk::Early);
        }
        if status == 401 {
            self.owner = self.owner.or(Some(ledger.requests[id as usize].client)); // it has offered a login
        }
        self.spoiled = refuses.then_some(Spoiled::Silent);
        let start = self.out.len();
        self.out.extend(bytes);
        if mischief > 8 {
            self.add_surplus(framing, bodiless, &answer, ledger, rng);
        }
        self.spoil(mischief, framing, bodiless, start, &mut answer, rng);
        if std::env::var_os("TIDEGATE_SIM_TRACE").is_some() {
            println!(
                "link {} answers {serial}: {answer:?} {framing:?} mischief {mischief} then {:?}, {:?}",
                self.link, self.after, self.manner
            );
        }
        ledger.answers.push(answer);
    }

    /// Bytes behind the answer, at once or later, as its manner is.
    fn add_surplus(
        &mut self,
        framing: Framing,
        bodiless: bool,
        answer: &Answer,
        ledger: &mut Ledger,
        rng: &mut fastrand::Rng,
    ) {
        if self.after != After::KeepOpen || rng.bool() {
            return;
        }
        let bytes = [STRAY.as_bytes(), b"\r\n", b"\n", b"<p>"][rng.usize(..4)];
        let announced = match answer.status {
            204 => false,
            304 => !matches!(framing, Framing::Length(0) | Framing::Close), // most 304s say nothing of it, and have none
            _ => bodiless && framing != Framing::Length(0),
        };
        match self.manner {
            Some(Quirk::LateBodies) if announced => {
                // A body that is not told from an answer is the worst of all.
                ledger.meet(Quirk::LateBodies);
                self.plan(bytes.to_vec(), rng);
            }
            Some(Quirk::Surplus) if framing != Framing::Close && (!bodiless || answer.status == 204) => {
                ledger.meet(Quirk::Surplus);
                self.out.extend(bytes);
                self.surplus = bytes.len();
            }
            _ => {}
        }
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
                self.out.extend(STRAY.bytes());
                self.surplus += STRAY.len();
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
            let is_last = self.out.is_empty() && self.manner == Some(Quirk::Curt);
            if is_last && self.benign && self.after == After::Close && !self.early {
                wire.peer_close(self.link); // with the last byte: nobody sees one without the other
                self.closed = true;
            }
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
