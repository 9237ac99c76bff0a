//! The rows' texts to bytes, and what a client saw to something that can be compared.

use super::row::Step;

/// `|` is CRLF; words in braces:
///
/// - `{get}` the plainest request, `{got}` what the origin sees of it, `{ok}` the plainest answer, `{OK}` what the
///   client sees of it (`{OK close}`, `{OK keep}` with that Connection field)
/// - `{fwd}` what the proxy adds to a request for host `h`; `{fwd h2}` for host `h2`, `{fwd -}` for none; `{fwd10 ..}`
///   when HTTP/1.0 was received
/// - `{400 close}`, `{502 keep}` the proxy's own answer, `{502 keep10}` to an HTTP/1.0 client that stays
/// - `{x*9}` nine times `x`; `{pipe}`, `{brace}` the characters themselves
pub fn expand(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for step in steps(text) {
        match step {
            Step::Bytes(more) => bytes.extend_from_slice(&more),
            other => panic!("{other:?} in {text}"),
        }
    }
    bytes
}

/// The same with `{read}`, `{take 5}`, `{finish}`, `{close}` and `{reset}` between.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        rest = &rest[char.len_utf8()..];
        match char {
            '|' => bytes.extend_from_slice(b"\r\n"),
            '{' => {
                let (word, after) = rest.split_once('}').unwrap_or_else(|| panic!("open brace in {text}"));
                rest = after;
                match control(word) {
                    Some(step) => {
                        if !bytes.is_empty() {
                            steps.push(Step::Bytes(std::mem::take(&mut bytes)));
                        }
                        steps.push(step);
                    }
                    None => bytes.extend_from_slice(&expand_word(word)),
                }
            }
            _ => {
                bytes.push(u8::try_from(u32::from(char)).unwrap_or_else(|_| panic!("{char} is not Latin-1")));
            }
        }
    }
    if !bytes.is_empty() {
        steps.push(Step::Bytes(bytes));
    }
    steps
}

fn control(word: &str) -> Option<Step> {
    Some(match word {
        "read" => Step::Read,
        "finish" => Step::Finish,
        "close" => Step::Close,
        "reset" => Step::Reset,
        _ => Step::Take(word.strip_prefix("take ")?.parse().ok()?),
    })
}

fn expand_word(word: &str) -> Vec<u8> {
    if let Some((what, times)) = word.rsplit_once('*')
        && let Ok(times) = times.parse()
    {
        return what.repeat(times).into_bytes();
    }
    let (name, argument) = word.split_once(' ').unwrap_or((word, ""));
    match (name, argument) {
        ("get", "") => expand("GET / HTTP/1.1|Host: h||"),
        ("got", "") => expand("GET / HTTP/1.1|Host: h|{fwd}|"),
        ("ok", "") => expand("HTTP/1.1 200 OK|Date: X|Content-Length: 2||ok"),
        ("OK", "") => expand("HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.1 tidegate||ok"),
        ("OK", "close") => {
            expand("HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.1 tidegate|Connection: close||ok")
        }
        ("OK", "keep") => {
            expand("HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.1 tidegate|Connection: keep-alive||ok")
        }
        ("fwd", "") => forwarded("1.1", "h"),
        ("fwd", host) => forwarded("1.1", host),
        ("fwd10", "") => forwarded("1.0", "h"),
        ("fwd10", host) => forwarded("1.0", host),
        ("pipe", "") => b"|".to_vec(),
        ("brace", "") => b"{".to_vec(),
        (status, _) if status.parse::<u16>().is_ok() => format!("<{word}>").into_bytes(),
        _ => panic!("no such word: {{{word}}}"),
    }
}

fn forwarded(version: &str, host: &str) -> Vec<u8> {
    let via = format!("Via: {version} tidegate|X-Forwarded-For: 127.0.0.1|X-Forwarded-Proto: http|");
    expand(&match host {
        "-" => format!("{via}Forwarded: for=127.0.0.1;proto=http|"),
        _ => format!("{via}X-Forwarded-Host: {host}|Forwarded: for=127.0.0.1;proto=http;host=\"{host}\"|"),
    })
}

/// A good date becomes `*`, an answer of the proxy's own what `{400 close}` expands to.
pub fn normal(seen: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = seen;
    while !rest.is_empty() {
        if rest.starts_with(b"HTTP/1.1 ")
            && let Some((word, len)) = own_answer(rest)
        {
            out.extend_from_slice(format!("<{word}>").as_bytes());
            rest = &rest[len..];
            continue;
        }
        const DATE: &[u8] = b"\r\nDate: ";
        if let Some(date) = rest.strip_prefix(DATE).and_then(|after| after.get(..29))
            && std::str::from_utf8(date).is_ok_and(|text| httpdate::parse_http_date(text).is_ok())
        {
            out.extend_from_slice(b"\r\nDate: *");
            rest = &rest[DATE.len() + 29..];
            continue;
        }
        out.push(rest[0]);
        rest = &rest[1..];
    }
    out
}

/// Recognises a refusal by every byte of it, and names it.
fn own_answer(bytes: &[u8]) -> Option<(String, usize)> {
    let head_len = super::support::message::head_len(bytes)?;
    let head = std::str::from_utf8(&bytes[..head_len - 4]).ok()?;
    let mut lines = head.split("\r\n");
    let (status, phrase) = lines.next()?.strip_prefix("HTTP/1.1 ")?.split_once(' ')?;
    httpdate::parse_http_date(lines.next()?.strip_prefix("Date: ")?).ok()?;
    let mut line = lines.next()?;
    if line != "Content-Type: text/plain" {
        return None;
    }
    line = lines.next()?;
    let extra = match status {
        "405" => line.starts_with("Allow: GET, "),
        "503" => line.starts_with("Retry-After: "),
        _ => false,
    };
    if extra {
        line = lines.next()?;
    } else if matches!(status, "405" | "503") {
        return None;
    }
    let length: usize = line.strip_prefix("Content-Length: ")?.parse().ok()?;
    let connection = match lines.next() {
        None => "keep",
        Some("Connection: close") => "close",
        Some("Connection: keep-alive") => "keep10",
        Some(_) => return None,
    };
    let body = std::str::from_utf8(bytes.get(head_len..head_len + length)?).ok()?;
    let reason = body.strip_prefix(&format!("{status} {phrase}: "))?.strip_suffix('\n')?;
    (lines.next().is_none() && !reason.is_empty())
        .then(|| (format!("{status} {connection}"), head_len + length))
}

/// Joins the data of each chunked body into one chunk. A body that is cut stays without its end.
pub fn rechunk(seen: &[u8]) -> Vec<u8> {
    const FIELD: &[u8] = b"\r\nTransfer-Encoding: chunked\r\n";
    let Some(at) = seen.windows(FIELD.len()).position(|window| window == FIELD) else { return seen.to_vec() };
    let Some(head) = super::support::message::head_len(&seen[at..]) else { return seen.to_vec() };
    let (mut out, body) = (seen[..at + head].to_vec(), &seen[at + head..]);
    let whole = super::support::message::chunked(body);
    let (len, data) = match &whole {
        Some((len, data)) => (*len, data.clone()),
        None => (body.len(), data_so_far(body)),
    };
    if !data.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\r\n");
    }
    if whole.is_some() {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    out.extend_from_slice(&body[len..]);
    out
}

fn data_so_far(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(line) = body.windows(2).position(|two| two == b"\r\n") {
        let size =
            std::str::from_utf8(&body[..line]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let (Some(size), rest) = (size, &body[line + 2..]) else { break };
        data.extend_from_slice(&rest[..size.min(rest.len())]);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    data
}

pub fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "|")
}
