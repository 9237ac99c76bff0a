//! One row of the table: what the client sends and the origin answers; what must reach each, byte for byte.
//!
//! Texts are Latin-1, one char a byte, with `|` for CRLF and `{words}` in braces (see [`expand`]) for what recurs.
//! A row runs three ways, each on a proxy and an origin of its own: whole messages, one byte a write, and, when the
//! connection is to be kept, with a further request right behind. In all of them that further request (`/probe`, on
//! a new connection when the first is to be closed) must be answered, which shows that nothing else was sent to
//! either side and whether the origin's connection was used again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tidegate::config::ProxyConfig;

use super::support::{Client, End, Origin, OriginConn, ProxyUnderTest, message, wait_for};
use super::text::{self, expand};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Kept,
    Closed,
    /// Closed or reset in the middle of a message.
    Broken,
}

/// What the client is expected to see.
#[derive(Clone, Debug)]
enum Sees {
    Exactly(String),
    /// Whole: the first. Bytewise: that, or a cut beginning of the second, depending on how far it got.
    OrCut(String, String),
}

pub struct Row {
    pub name: String,
    sends: String,
    answers: Vec<String>,
    reaches: Vec<String>,
    sees: Sees,
    after: After,
    reuses: bool,
    rechunked: bool,
    set: fn(&mut ProxyConfig),
}

/// A GET that is answered; each further call changes what the row is about.
pub fn row(name: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        sends: "{get}".into(),
        answers: vec!["{ok}".into()],
        reaches: vec!["{got}".into()],
        sees: Sees::Exactly("{OK}".into()),
        after: After::Kept,
        reuses: true,
        rechunked: false,
        set: |_| {},
    }
}

/// A request that reaches the origin as `reaches`.
pub fn passes(name: impl Into<String>, sends: impl Into<String>, reaches: impl Into<String>) -> Row {
    row(name).sends(sends).reaches(&[&reaches.into()])
}

/// A request that is answered with `status` and a close, and does not reach the origin.
pub fn refused(name: impl Into<String>, status: u16, sends: impl Into<String>) -> Row {
    row(name).sends(sends).reaches(&[]).sees(format!("{{{status} close}}")).closed()
}

/// An answer that the client gets as `sees`.
pub fn answered(name: impl Into<String>, answer: impl Into<String>, sees: impl Into<String>) -> Row {
    row(name).answers(&[&answer.into()]).sees(sees)
}

/// An answer that becomes a 502; the connection it came on is not used again.
pub fn bad_answer(name: impl Into<String>, answer: impl Into<String>) -> Row {
    row(name).answers(&[&answer.into()]).sees("{502 keep}").drops()
}

impl Row {
    pub fn sends(mut self, text: impl Into<String>) -> Row {
        self.sends = text.into();
        self
    }

    pub fn answers(mut self, texts: &[&str]) -> Row {
        self.answers = texts.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    pub fn reaches(mut self, texts: &[&str]) -> Row {
        self.reaches = texts.iter().map(|text| (*text).to_owned()).collect();
        self
    }

    pub fn sees(mut self, text: impl Into<String>) -> Row {
        self.sees = Sees::Exactly(text.into());
        self
    }

    /// When it comes byte by byte, part of `longer` may have been sent before the trouble is noticed.
    pub fn or_cut(mut self, longer: impl Into<String>) -> Row {
        if let Sees::Exactly(text) = self.sees {
            self.sees = Sees::OrCut(text, longer.into());
        }
        self
    }

    /// The client's connection is closed after the answer.
    pub fn closed(mut self) -> Row {
        self.after = After::Closed;
        self
    }

    /// The answer is cut short, visibly.
    pub fn broken(mut self) -> Row {
        self.after = After::Broken;
        self.drops()
    }

    /// The origin's connection is not used again.
    pub fn drops(mut self) -> Row {
        self.reuses = false;
        self
    }

    /// Chunks are the proxy's own: only their data counts, not where one ends.
    pub fn rechunked(mut self) -> Row {
        self.rechunked = true;
        self
    }

    pub fn with(mut self, set: fn(&mut ProxyConfig)) -> Row {
        self.set = set;
        self
    }

    pub fn run(&self, manner: Manner) -> Result<(), String> {
        if manner == Manner::Pipelined && self.after != After::Kept {
            return Ok(());
        }
        let script = Script::default();
        *script.answers.lock().unwrap() = self.answers.iter().map(|text| text::steps(text)).collect();
        let at_work = script.at_work.clone();
        let origin = Origin::start(move |conn| script.serve(conn, manner == Manner::Bytewise));
        let proxy = ProxyUnderTest::start(&[origin.address], self.set);
        let mut client = proxy.client();
        send(&mut client, &text::steps(&self.sends), manner);
        let idle = || wait_for("the origin", || at_work.load(Ordering::SeqCst) == 0);
        if self.after == After::Kept {
            let Sees::Exactly(expected) = &self.sees else { return Err("OrCut needs an end".into()) };
            let expected = expand(expected);
            let with_probe = [&expected[..], &expand(PROBE_SEEN)].concat();
            if manner != Manner::Pipelined {
                client.read_until(|seen| self.normal(seen).len() >= expected.len());
                self.compare(&client, &expected)?;
                idle();
                client.send(expand(PROBE));
            }
            client.read_until(|seen| self.normal(seen).len() >= with_probe.len());
            self.compare(&client, &with_probe)?;
        } else {
            client.read_until(|_| false);
            self.compare_ended(&client, manner)?;
            idle();
            let mut prober = proxy.client();
            prober.send(expand(PROBE));
            prober.read_until(|seen| text::normal(seen) == expand(PROBE_SEEN));
            differ("the probe's answer", &expand(PROBE_SEEN), &text::normal(&prober.seen))?;
        }
        self.check_origin(&origin)
    }

    fn normal(&self, seen: &[u8]) -> Vec<u8> {
        if self.rechunked { text::rechunk(&text::normal(seen)) } else { text::normal(seen) }
    }

    fn compare(&self, client: &Client, expected: &[u8]) -> Result<(), String> {
        differ("the client sees", expected, &self.normal(&client.seen))?;
        if client.end.is_some() { Err(format!("the client's connection ended: {:?}", client.end)) } else { Ok(()) }
    }

    fn compare_ended(&self, client: &Client, manner: Manner) -> Result<(), String> {
        match client.end {
            None => return Err(format!("no end after {}", text::show(&client.seen))),
            Some(End::Reset) if self.after == After::Closed => {
                return Err(format!("reset after {}", text::show(&client.seen)));
            }
            _ => {}
        }
        let seen = self.normal(&client.seen);
        match &self.sees {
            Sees::OrCut(_, longer) if manner == Manner::Bytewise && is_cut(&expand(longer), &seen) => Ok(()),
            Sees::Exactly(expected) | Sees::OrCut(expected, _) => differ("the client sees", &expand(expected), &seen),
        }
    }

    fn check_origin(&self, origin: &Origin) -> Result<(), String> {
        let mut seen = origin.seen();
        let probe = seen.pop().filter(|last| last.bytes.starts_with(b"GET /probe ")).ok_or("no probe arrived last")?;
        if seen.len() != self.reaches.len() {
            let all: Vec<String> = seen.iter().map(|arrival| text::show(&arrival.bytes)).collect();
            return Err(format!("{} requests reached the origin: {all:#?}", seen.len()));
        }
        for (arrival, expected) in seen.iter().zip(&self.reaches) {
            differ("the origin saw", &expand(expected), &arrival.bytes)?;
        }
        match seen.last() {
            Some(last) if (last.connection == probe.connection) != self.reuses => Err(format!(
                "the origin's connection was {}used again",
                if self.reuses { "not " } else { "" }
            )),
            _ => Ok(()),
        }
    }
}

fn is_cut(whole: &[u8], seen: &[u8]) -> bool {
    seen.len() < whole.len() && whole.starts_with(seen)
}

fn differ(what: &str, expected: &[u8], seen: &[u8]) -> Result<(), String> {
    if expected == seen {
        return Ok(());
    }
    Err(format!("{what}\n    {}\n  not\n    {}", text::show(seen), text::show(expected)))
}

/// How the bytes go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Whole,
    Bytewise,
    Pipelined,
}

const PROBE: &str = "GET /probe HTTP/1.1|Host: h||";
const PROBE_SEEN: &str = "HTTP/1.1 200 OK|Date: X|Content-Length: 5|Via: 1.1 tidegate||probe";

/// Something that is done with a connection, by the client or the origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Bytes(Vec<u8>),
    /// Client: wait for a further head. Origin: read the request's body.
    Read,
    /// Origin: read so many bytes of a tunnel.
    Take(usize),
    /// No more bytes will be sent.
    Finish,
    Close,
    Reset,
}

fn send(client: &mut Client, steps: &[Step], manner: Manner) {
    let mut heads = 0;
    let last = steps.iter().rposition(|step| matches!(step, Step::Bytes(_)));
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Bytes(bytes) if manner == Manner::Bytewise => client.send_bytewise(bytes),
            Step::Bytes(bytes) if manner == Manner::Pipelined && Some(index) == last => {
                client.send([&bytes[..], &expand(PROBE)].concat());
            }
            Step::Bytes(bytes) => {
                client.send(bytes);
            }
            Step::Read => {
                heads += 1;
                client.read_until(|seen| seen.windows(4).filter(|four| four == b"\r\n\r\n").count() >= heads);
            }
            Step::Finish => {
                client.finish();
            }
            Step::Take(_) | Step::Close | Step::Reset => panic!("{step:?} is for origins"),
        }
    }
}

/// What the origin answers, request by request.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<Step>>>,
    at_work: Arc<AtomicUsize>,
}

impl Script {
    fn serve(&self, conn: &mut OriginConn, bytewise: bool) {
        while let Some(head) = conn.head() {
            if head.starts_with(b"GET /probe ") {
                conn.answer("probe");
                continue;
            }
            self.at_work.fetch_add(1, Ordering::SeqCst);
            let steps = self.answers.lock().unwrap().pop_front();
            let goes_on = match steps {
                Some(steps) => act(conn, &head, &steps, bytewise),
                None => conn.write("HTTP/1.1 599 Unexpected\r\nContent-Length: 0\r\n\r\n"),
            };
            self.at_work.fetch_sub(1, Ordering::SeqCst);
            if !goes_on {
                return;
            }
        }
    }
}

fn act(conn: &mut OriginConn, head: &[u8], steps: &[Step], bytewise: bool) -> bool {
    if !steps.contains(&Step::Read) && conn.body(head).is_none() {
        return false;
    }
    for step in steps {
        let good = match step {
            Step::Bytes(bytes) if bytewise => conn.write_bytewise(bytes),
            Step::Bytes(bytes) => conn.write(bytes),
            Step::Read => conn.body(head).is_some(),
            Step::Take(count) => conn.take(*count).is_some(),
            Step::Finish => {
                conn.finish();
                true
            }
            Step::Close => {
                conn.close();
                false
            }
            Step::Reset => {
                conn.reset();
                false
            }
        };
        if !good {
            return false;
        }
    }
    true
}

/// Unused by most rows: the length of a text, for a Content-Length.
pub fn len_of(text: &str) -> usize {
    message::head_len(&expand(text)).map_or(expand(text).len(), |head| expand(text).len() - head)
}
