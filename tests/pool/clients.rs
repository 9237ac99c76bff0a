//! Clients that take turns, and what was wrong with their answers.

use std::net::SocketAddr;
use std::sync::Mutex;

use crate::diary::{Diary, text};
use crate::support::{Client, message};

/// A request and the answer it is to have.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub fields: String,
    pub content: Vec<u8>,
    pub status: u16,
    /// The body its answer is to have: its path unless told.
    pub body: Option<String>,
}

impl Ask {
    pub fn new(method: &'static str, path: &str) -> Ask {
        let (fields, content) = (String::new(), Vec::new());
        Ask { method, path: path.to_owned(), fields, content, status: 200, body: None }
    }

    /// With content whose length is told.
    pub fn with(mut self, content: impl Into<Vec<u8>>) -> Ask {
        self.content = content.into();
        self.fields += &format!("Content-Length: {}\r\n", self.content.len());
        self
    }

    /// With content in one chunk.
    pub fn in_a_chunk(mut self, content: &str) -> Ask {
        self.fields += "Transfer-Encoding: chunked\r\n";
        self.content = format!("{:x}\r\n{content}\r\n0\r\n\r\n", content.len()).into_bytes();
        self
    }

    pub fn field(mut self, line: &str) -> Ask {
        self.fields += line;
        self.fields += "\r\n";
        self
    }

    pub fn gets(mut self, status: u16, body: &str) -> Ask {
        (self.status, self.body) = (status, Some(body.to_owned()));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let head = format!("{} {} HTTP/1.1\r\nHost: h\r\n{}\r\n", self.method, self.path, self.fields);
        [head.as_bytes(), &self.content].concat()
    }
}

/// What was wrong with an answer.
#[derive(Debug)]
pub struct Wrong {
    /// It was another request's, or nobody's; else there was none of the origin's.
    foreign: bool,
    what: String,
}

fn foreign(what: String) -> Wrong {
    Wrong { foreign: true, what }
}

fn lost(what: String) -> Wrong {
    Wrong { foreign: false, what }
}

/// A client on one connection for as long as that lives.
pub struct Asker {
    name: String,
    to: SocketAddr,
    diary: Diary,
    client: Option<Client>,
}

impl Asker {
    pub fn new(name: String, to: SocketAddr, diary: Diary) -> Asker {
        Asker { name, to, diary, client: None }
    }

    /// Sends a request and judges its answer; with what is wrong, the line of the diary that tells it.
    pub fn ask(&mut self, ask: &Ask) -> Result<(), (Wrong, usize)> {
        let verdict = self.exchange(ask).and_then(|response| judge(ask, &response));
        let line = match &verdict {
            Ok(()) => self.note(&format!("has its answer to {}", ask.path)),
            Err(wrong) => self.note(&format!("WRONG, to {}: {}", ask.path, wrong.what)),
        };
        verdict.map_err(|wrong| (wrong, line))
    }

    /// Sends a request; its answer whatever it is.
    pub fn exchange(&mut self, ask: &Ask) -> Result<message::Response, Wrong> {
        self.note(&format!("asks {}", text(&ask.bytes())));
        let client = self.client.get_or_insert_with(|| Client::connect(self.to));
        client.send(ask.bytes());
        let mut parsed = None;
        client.read_until(|seen| {
            parsed = message::Response::parse(seen, ask.method, false);
            parsed.is_some()
        });
        let end = client.end;
        let Some((response, len)) = parsed else {
            let what = text(&client.seen);
            self.client = None;
            return Err(lost(format!("no whole answer, {end:?} after {what}")));
        };
        client.seen.drain(..len);
        if !client.seen.is_empty() {
            return Err(foreign(format!("bytes behind its answer: {}", text(&client.seen))));
        }
        if end.is_some() || response.field("Connection").is_some_and(|value| value.contains("close")) {
            self.client = None;
        }
        Ok(response)
    }

    fn note(&self, what: &str) -> usize {
        self.diary.note(format!("client {}: {what}", self.name))
    }
}

fn judge(ask: &Ask, response: &message::Response) -> Result<(), Wrong> {
    let named = response.field("X-For");
    let is_bodiless = ask.method == "HEAD" || matches!(response.status, 204 | 304);
    let body = if is_bodiless { "" } else { ask.body.as_deref().unwrap_or(&ask.path) };
    if named == Some(&ask.path) && response.status == ask.status && response.body == body.as_bytes() {
        return Ok(());
    }
    let what = text(&[&response.head[..], &response.body].concat());
    Err(if named.is_some() { foreign(what) } else { lost(what) })
}

/// What was wrong in all.
#[derive(Debug, Default)]
pub struct Tally {
    pub asked: usize,
    pub foreign: usize,
    pub lost: usize,
    first: Option<(usize, String)>,
}

impl Tally {
    pub fn note(&mut self, outcome: Result<(), (Wrong, usize)>) {
        self.asked += 1;
        let Err((wrong, line)) = outcome else { return };
        self.foreign += usize::from(wrong.foreign);
        self.lost += usize::from(!wrong.foreign);
        if self.first.as_ref().is_none_or(|(first, _)| line < *first) {
            self.first = Some((line, wrong.what));
        }
    }

    /// Prints the count; the story of the first wrong answer, if there is one.
    pub fn told(&self, kind: &str, diary: &Diary) -> Option<String> {
        let Tally { asked, foreign, lost, first } = self;
        println!("{kind}: {} wrong of {asked} ({foreign} another's, {lost} lost)", foreign + lost);
        first.as_ref().map(|(line, what)| format!("{kind}: first {what}\n{}", diary.around(*line)))
    }

    /// Prints the count, and fails unless it is 0.
    pub fn check(&self, kind: &str, diary: &Diary) {
        check_all(self.told(kind, diary));
    }
}

/// Fails with the first of these stories.
pub fn check_all(stories: impl IntoIterator<Item = String>) {
    if let Some(story) = stories.into_iter().next() {
        panic!("{story}");
    }
}

/// A thousand requests: on each of so many lanes at once a client asks what `odd` says of a path of its own, then
/// another client what `even` says, and again.
pub fn alternate(
    to: SocketAddr,
    diary: &Diary,
    lanes: usize,
    odd: impl Fn(&str, usize) -> Ask + Sync,
    even: impl Fn(&str, usize) -> Ask + Sync,
) -> Tally {
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for lane in 0..lanes {
            let (tally, odd, even) = (&tally, &odd, &even);
            scope.spawn(move || {
                let asker = |who: &str| Asker::new(format!("{lane}{who}"), to, diary.clone());
                let (mut one, mut other) = (asker("a"), asker("b"));
                for round in 0..500 / lanes {
                    let outcome = one.ask(&odd(&format!("/{lane}/a/{round}"), round));
                    tally.lock().unwrap().note(outcome);
                    let outcome = other.ask(&even(&format!("/{lane}/b/{round}"), round));
                    tally.lock().unwrap().note(outcome);
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

/// What an innocent client asks.
pub fn plain(path: &str, _round: usize) -> Ask {
    Ask::new("GET", path)
}
