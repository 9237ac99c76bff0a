//! A small strict reader of HTTP/1.1 messages, written apart from the crate's own, and the bytes bodies are made of.

/// Byte `at` of the body numbered `serial`: any byte value, and no two bodies alike.
pub fn pattern(serial: u32, at: usize) -> u8 {
    let mixed = (u64::from(serial) << 32 | at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 56) as u8 ^ (mixed >> 29) as u8
}

/// The whole body numbered `serial`.
pub fn body(serial: u32, len: usize) -> Vec<u8> {
    (0..len).map(|at| pattern(serial, at)).collect()
}

/// Puts `body` into chunks of random sizes, now and then with an extension.
pub fn chunked(body: &[u8], trailer: &str, rng: &mut fastrand::Rng) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let most = if rng.bool() { rest.len() } else { rest.len().min(40) };
        let (now, later) = rest.split_at(rng.usize(1..=most));
        let (zeros, extension) = match rng.u8(..12) {
            0 => ("", ";a=\"b\""),
            1 => ("00", "\t; a = \"b\" ;c"),
            _ => ("", ""),
        };
        out.extend(format!("{zeros}{:x}{extension}\r\n", now.len()).bytes());
        out.extend(now);
        out.extend(b"\r\n");
        rest = later;
    }
    out.extend(format!("0\r\n{trailer}\r\n").bytes());
    out
}

/// A head, taken apart.
#[derive(Clone, Debug, Default)]
pub struct Head {
    pub line: String,
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(bytes: &[u8]) -> Head {
        let text = std::str::from_utf8(bytes).expect("ASCII in a head");
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for field in lines.filter(|line| !line.is_empty()) {
            assert!(!field.contains(['\n', '\r', '\0']), "control characters in {field:?}");
            let (name, value) = field.split_once(':').unwrap_or_else(|| panic!("no colon in {field:?}"));
            assert!(!name.is_empty() && !name.contains(' '), "a bad name in {field:?}");
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Head { line, fields }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(have, _)| have == name).map(|(_, value)| &value[..]);
        let first = values.next();
        assert!(name == "via" || values.next().is_none(), "several {name} in {self:?}");
        first
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.get(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name} in {self:?}")))
    }

    /// Code of a status line.
    pub fn status(&self) -> u16 {
        assert!(self.line.starts_with("HTTP/1.1 "), "{:?}", self.line);
        self.line[9..12].parse().expect("a status code")
    }

    pub fn says_close(&self) -> bool {
        self.get("connection").is_some_and(|value| value.split(',').any(|option| option.trim() == "close"))
    }

    /// What the fields say of the body's end; neither means there is none, or that it ends with the connection.
    pub fn framing(&self) -> Option<Framing> {
        match (self.get("transfer-encoding"), self.number("content-length")) {
            (None, None) => None,
            (None, Some(length)) => Some(Framing::Length(length)),
            (Some("chunked"), None) => Some(Framing::Chunked),
            other => panic!("bad framing {other:?}"),
        }
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(usize),
    Chunked,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    Length(usize),
    ChunkSize,
    Chunk(usize),
    Trailers,
    Close,
}

/// What was read.
#[derive(Debug)]
pub enum Read {
    Head(Head),
    /// The end of a message, with its whole body.
    End(Vec<u8>),
}

/// Reads messages one after the other. Panics on anything malformed: the proxy must not send it.
#[derive(Debug)]
pub struct Reader {
    bytes: Vec<u8>,
    at: usize,
    place: Place,
    /// The body so far.
    pub body: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { bytes: Vec::new(), at: 0, place: Place::Head, body: Vec::new() }
    }
}

impl Reader {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.at));
        self.bytes.extend(bytes);
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.place != Place::Head || self.at < self.bytes.len()
    }

    /// What is left of the bytes that are no message.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The next thing there is to say; `framing` decides how the body of a head just read ends.
    pub fn next(&mut self, framing: impl Fn(&Head) -> Framing) -> Option<Read> {
        loop {
            let rest = &self.bytes[self.at..];
            match self.place {
                Place::Head => {
                    let len = find(rest, b"\r\n\r\n")? + 4;
                    let head = Head::parse(&rest[..len - 2]);
                    self.at += len;
                    self.place = match framing(&head) {
                        Framing::Length(length) => Place::Length(length),
                        Framing::Chunked => Place::ChunkSize,
                        Framing::Close => Place::Close,
                    };
                    return Some(Read::Head(head));
                }
                Place::Length(0) => return Some(self.end()),
                Place::Length(left) => self.place = Place::Length(left - self.take(left)?),
                Place::Close => {
                    self.take(usize::MAX)?;
                }
                Place::ChunkSize => {
                    let len = find(rest, b"\r\n")?;
                    let line = std::str::from_utf8(&rest[..len]).expect("ASCII in a chunk-size line");
                    let size =
                        usize::from_str_radix(line, 16).unwrap_or_else(|_| panic!("chunk size {line:?}"));
                    self.at += len + 2;
                    self.place = if size == 0 { Place::Trailers } else { Place::Chunk(size + 2) };
                }
                Place::Chunk(2) => {
                    (rest.len() >= 2).then_some(())?;
                    assert_eq!(&rest[..2], b"\r\n", "after a chunk");
                    self.at += 2;
                    self.place = Place::ChunkSize;
                }
                Place::Chunk(left) => self.place = Place::Chunk(left - self.take(left - 2)?),
                Place::Trailers => {
                    let len = find(rest, b"\r\n")?;
                    self.at += len + 2;
                    if len == 0 {
                        return Some(self.end());
                    }
                }
            }
        }
    }

    /// The connection has ended cleanly: a message that ends there does so; `None` when one is cut.
    pub fn close(&mut self) -> Option<Read> {
        (self.place == Place::Close).then(|| self.end())
    }

    fn end(&mut self) -> Read {
        self.place = Place::Head;
        Read::End(std::mem::take(&mut self.body))
    }

    fn take(&mut self, most: usize) -> Option<usize> {
        let rest = &self.bytes[self.at..];
        let count = rest.len().min(most);
        self.body.extend(&rest[..count]);
        self.at += count;
        (count > 0).then_some(count)
    }
}

pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
