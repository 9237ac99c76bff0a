//! Just enough HTTP to know where a message ends. Strict: what is not well-formed never ends.

/// Offset after the blank line.
pub fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Value of a field, by its name in any case.
pub fn field<'b>(head: &'b [u8], name: &str) -> Option<&'b str> {
    fields(head).find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

pub fn fields(head: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let (name, value) = std::str::from_utf8(line).ok()?.trim_end_matches('\r').split_once(':')?;
        Some((name, value.trim()))
    })
}

/// Length of a chunked body at the front of `bytes`, trailers included, and its data.
pub fn chunked(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line_len = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&bytes[at..at + line_len]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        at += line_len + 2;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(at..at + size)?);
        if bytes.get(at + size..at + size + 2)? != b"\r\n" {
            return None;
        }
        at += size + 2;
    }
    loop {
        let line_len = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        at += line_len + 2;
        if line_len == 0 {
            return Some((at, data));
        }
    }
}

/// Length of a request body behind `head`, once it is whole.
pub fn request_body_len(head: &[u8], rest: &[u8]) -> Option<usize> {
    if field(head, "Transfer-Encoding").is_some() {
        return chunked(rest).map(|(len, _)| len);
    }
    let len = field(head, "Content-Length").map_or(0, |value| value.parse().unwrap());
    (rest.len() >= len).then_some(len)
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Response {
    /// The response at the front of `bytes` and its length; `ended` when no more bytes can come.
    pub fn parse(bytes: &[u8], method: &str, ended: bool) -> Option<(Response, usize)> {
        let head_len = head_len(bytes)?;
        let (head, rest) = bytes.split_at(head_len);
        let status: u16 = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
        let (len, body) = if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            (0, Vec::new())
        } else if field(head, "Transfer-Encoding").is_some() {
            chunked(rest)?
        } else if let Some(len) = field(head, "Content-Length") {
            let len = len.parse().ok()?;
            (len, rest.get(..len)?.to_vec())
        } else if ended {
            (rest.len(), rest.to_vec())
        } else {
            return None;
        };
        Some((Response { status, head: head.to_vec(), body }, head_len + len))
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}
