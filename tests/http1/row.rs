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

use tidegate::config::{ProxyConfig, Trust};

use super::support::origin::Arrival;
use super::support::{Client, End, Origin, OriginConn, ProxyUnderTest, wait_for};
use super::text::{self, expand};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Kept,
    Closed,
    /// Closed or reset in the middle of a message.
    Broken,
    /// Reset, since a clean end would look like the end of the message.
    Reset,
}

/// What the client is expected to see.
#[derive(Clone, Debug)]
enum Sees {
    Exactly(String),
    /// Whole: the first. Bytewise: that, or a cut beginning of the second, depending on how far it got.
    OrCut(String, String),
    /// The first if the client's connection ends, the second if it is kept: which one depends on timing.
    Either(String, String),
}

/// One way for a row to end.
#[derive(Clone)]
struct EndOf {
    bytes: Vec<u8>,
    after: After,
    /// Any beginning of `bytes` will do, but not the whole.
    is_cut: bool,
}

pub struct Row {
    pub name: String,
    sends: String,
    answers: Vec<String>,
    reaches: Vec<String>,
    /// Instead of nothing, a cut beginning of this may have reached the origin.
    may_begin: Option<String>,
    sees: Sees,
    after: After,
    reuses: bool,
    rechunked: bool,
    probe_closes: bool,
    without_via: bool,
    set: fn(&mut ProxyConfig),
}

/// A GET that is answered; each further call changes what the row is about.
pub fn row(name: impl Into<String>) -> Row {
    Row {
        name: name.into(),
        sends: "{get}".into(),
        answers: vec!["{ok}".into()],
        reaches: vec!["{got}".into()],
        may_begin: None,
        sees: Sees::Exactly("{OK}".into()),
        after: After::Kept,
        reuses: true,
        rechunked: false,
        probe_closes: false,
        without_via: false,
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

    /// The trouble may be noticed in time to answer this and keep the connection.
    pub fn or_instead(mut self, text: impl Into<String>) -> Row {
        if let Sees::Exactly(first) = self.sees {
            self.sees = Sees::Either(first, text.into());
        }
        self
    }

    /// The trouble may be noticed only when the beginning of this is with the origin.
    pub fn may_begin(mut self, text: impl Into<String>) -> Row {
        self.may_begin = Some(text.into());
        self
    }

    /// The client's connection is closed after the answer.
    pub fn closed(mut self) -> Row {
        self.after = After::Closed;
        self
    }

    /// Both ends close a tunnel; its connections are not used again.
    pub fn tunnelled(self) -> Row {
        self.closed().drops()
    }

    /// The client has finished sending: its connection is closed after the answer, the origin's is not.
    pub fn half_closed(self) -> Row {
        self.closed()
    }

    /// This, or less of its body, reaches the origin.
    pub fn reaches_begun(self, text: &str) -> Row {
        self.reaches(&[]).may_begin(format!("{text}{{pipe}}"))
    }

    /// The answer is cut short, visibly.
    pub fn broken(mut self) -> Row {
        self.after = After::Broken;
        self.drops()
    }

    /// The answer is cut short where only a reset can show it.
    pub fn reset(mut self) -> Row {
        self.after = After::Reset;
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

    /// The proxy keeps no client connection.
    pub fn without_keepalive(mut self) -> Row {
        self.probe_closes = true;
        self.closed().with(|config| config.client_keepalive = false)
    }

    /// All that HTTP allows to be kept is kept, whatever some origins make of it.
    pub fn trusting(self) -> Row {
        self.with(|config| config.pool_trust = Trust::Always)
    }

    /// The proxy's answers have no Via.
    pub fn without_via(mut self) -> Row {
        self.without_via = true;
        self
    }

    pub fn with(mut self, set: fn(&mut ProxyConfig)) -> Row {
        self.set = set;
        self
    }

    pub fn run(&self, manner: Manner) -> Result<(), String> {
        let ends = self.ends(manner);
        if manner == Manner::Pipelined && ends.iter().any(|end| end.after != After::Kept) {
            return Ok(());
        }
        let script = Script::default();
        *script.answers.lock().unwrap() = self.answers.iter().map(|text| text::steps(text)).collect();
        let at_work = script.at_work.clone();
        let origin = Origin::start(move |conn| script.serve(conn, manner == Manner::Bytewise));
        let proxy = ProxyUnderTest::start(&[origin.address], self.set);
        let mut client = proxy.client();
        send(&mut client, &text::steps(&self.sends), manner);
        let mut probe_seen = expand(PROBE_SEEN);
        if self.probe_closes {
            probe_seen = expand(&PROBE_SEEN.replace("||", "|Connection: close||"));
        }
        if self.without_via {
            probe_seen = expand(&PROBE_SEEN.replace("Via: 1.1 tidegate|", ""));
        }
        let found = if manner == Manner::Pipelined {
            let whole = [&ends[0].bytes[..], &probe_seen].concat();
            let ends = [EndOf { bytes: whole, ..ends[0].clone() }];
            self.wait_for_end(&mut client, &ends)?
        } else {
            self.wait_for_end(&mut client, &ends)?
        };
        wait_for("the origin", || at_work.load(Ordering::SeqCst) == 0);
        if manner != Manner::Pipelined {
            let mut prober = if found == After::Kept { client } else { proxy.client() };
            prober.seen.clear();
            prober.send(expand(PROBE));
            prober.read_until(|seen| text::normal(seen).len() >= probe_seen.len());
            differ("the probe's answer", &probe_seen, &text::normal(&prober.seen))?;
        }
        self.check_origin(&origin)
    }

    /// Every way it may end.
    fn ends(&self, manner: Manner) -> Vec<EndOf> {
        let end = |text: &str, after, is_cut| EndOf { bytes: expand(text), after, is_cut };
        match &self.sees {
            Sees::Exactly(text) => vec![end(text, self.after, false)],
            Sees::OrCut(text, longer) if manner == Manner::Bytewise => {
                vec![end(text, self.after, false), end(longer, After::Broken, true)]
            }
            Sees::OrCut(text, _) => vec![end(text, self.after, false)],
            Sees::Either(text, other) => vec![end(text, self.after, false), end(other, After::Kept, false)],
        }
    }

    /// Reads until it has ended in one of these ways; says which.
    fn wait_for_end(&self, client: &mut Client, ends: &[EndOf]) -> Result<After, String> {
        let is_kept = |end: &&EndOf| end.after == After::Kept;
        let too_long = match ends.iter().all(|end| is_kept(&end)) {
            true => ends.iter().map(|end| end.bytes.len() + 1).max().unwrap_or(0),
            false => usize::MAX,
        };
        client.read_until(|seen| {
            let seen = self.normal(seen);
            seen.len() >= too_long || ends.iter().filter(is_kept).any(|end| end.bytes == seen)
        });
        let seen = self.normal(&client.seen);
        let fits = |end: &&EndOf| match end.after {
            After::Kept => client.end.is_none(),
            After::Closed => client.end == Some(End::Closed),
            After::Broken => client.end.is_some(),
            After::Reset => client.end == Some(End::Reset),
        } && (seen == end.bytes || (end.is_cut && is_cut(&end.bytes, &seen)));
        if let Some(end) = ends.iter().find(fits) {
            return Ok(end.after);
        }
        let wanted: Vec<String> =
            ends.iter().map(|end| format!("{:?}: {}", end.after, text::show(&end.bytes))).collect();
        Err(format!(
            "the client sees\n    {:?}: {} (raw {})\n  not\n    {}",
            client.end,
            text::show(&seen),
            text::show(&client.seen),
            wanted.join("\n    ")
        ))
    }

    fn normal(&self, seen: &[u8]) -> Vec<u8> {
        if self.rechunked { text::rechunk(&text::normal(seen)) } else { text::normal(seen) }
    }

    /// The origin's own address reads `{origin}` here.
    fn check_origin(&self, origin: &Origin) -> Result<(), String> {
        let mut seen = origin.seen();
        // A request that was cut can be seen late, by another thread of the origin.
        let is_probe = |arrival: &Arrival| arrival.bytes.starts_with(b"GET /probe ");
        // A probe that met a dying connection was sent again, and which arrival is noted first is chance.
        let probes: Vec<usize> = seen.iter().filter(|one| is_probe(one)).map(|one| one.connection).collect();
        if probes.is_empty() {
            return Err("no probe arrived".into());
        }
        seen.retain(|arrival| !is_probe(arrival));
        let was_reused = |last: &Arrival| probes.iter().all(|probe| *probe == last.connection);
        if let (Some(text), [arrival]) = (&self.may_begin, &seen[..]) {
            let whole = expand(text);
            return match is_cut(&whole, &arrival.bytes) && !was_reused(arrival) {
                true => Ok(()),
                false => differ("the origin saw, or its connection was used again:", &whole, &arrival.bytes),
            };
        }
        if seen.len() != self.reaches.len() {
            let all: Vec<String> = seen.iter().map(|arrival| text::show(&arrival.bytes)).collect();
            return Err(format!("{} requests reached the origin: {all:#?}", seen.len()));
        }
        for (arrival, expected) in seen.iter().zip(&self.reaches) {
            let expected = expand(&expected.replace("{origin}", &origin.address.to_string()));
            differ("the origin saw", &expected, &arrival.bytes)?;
        }
        match seen.last() {
            Some(last) if was_reused(last) != self.reuses => Err(format!(
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
