//! Asks an admin address for its figures: one request per connection, as small as a client can be.
//!
//! HTTP/1.0 on purpose: the answer is then not chunked (RFC 9112 section 6.1), and ends with its length or the connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::TopConfig;
use super::model::{Event, Log, Look, Stats};

/// A machine that does not answer at once is worth a second look, not a minute.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than the figures of a thousand backends.
const ANSWER_MAX: usize = 8 << 20;
const HEADERS_MAX: usize = 64;

/// Where figures come from.
pub(super) struct Feed {
    address: SocketAddr,
    host: String,
    /// A header line, or nothing.
    authorization: String,
}

impl Feed {
    pub(super) fn new(config: &TopConfig) -> Feed {
        let host = config.url.strip_prefix("http://").unwrap_or(&config.url).to_owned();
        let shown = config.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        Feed { address: config.address, host, authorization: shown.unwrap_or_default() }
    }

    /// The figures now. The error is half a line.
    pub(super) fn look(&self) -> Result<Look, String> {
        let body = match self.get("/api/stats").map_err(|error| told(&error))? {
            (200, body) => body,
            (401 | 403, _) => return Err("wants its token: name the file with --admin-token-file".to_owned()),
            (status, _) => {
                return Err(format!("/api/stats is answered with {status}: is this a tidegate's --admin?"));
            }
        };
        let stats: Stats = serde_json::from_slice(&body).map_err(|error| {
            format!("/api/stats is not what a tidegate says ({error}): is this its --admin?")
        })?;
        Ok(Look { stats, events: self.events() })
    }

    /// What has happened, oldest first; an older proxy has no such list.
    fn events(&self) -> Vec<Event> {
        match self.get("/api/log") {
            Ok((200, body)) => serde_json::from_slice::<Log>(&body).map(|log| log.events).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    fn get(&self, path: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Feed { host, authorization, .. } = self;
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n{authorization}Accept: application/json\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            let count = stream.read(&mut piece)?;
            answer.extend_from_slice(piece.get(..count).unwrap_or_default());
            match parse(&answer, count == 0) {
                Some(Ok(parsed)) => return Ok(parsed),
                None if count > 0 && answer.len() < ANSWER_MAX => {}
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP")),
            }
        }
    }
}

/// Status and body, once they are there. A body that is cut is no JSON, which is found out later.
fn parse(answer: &[u8], is_end: bool) -> Option<Result<(u16, Vec<u8>), httparse::Error>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(answer) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => return Some(Err(error)),
    };
    let length = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<usize>().ok());
    let body = answer.get(head..)?;
    let is_whole = length.is_some_and(|length| body.len() >= length);
    (is_whole || is_end).then(|| Ok((response.code.unwrap_or(0), body.to_vec())))
}

fn told(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{text}: start a proxy first, or name the --admin address of one that runs")
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer within 2 s".to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_others_are_not() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut], false), None);
        }
        assert_eq!(parse(whole, false), Some(Ok((200, b"{}".to_vec()))));
        assert_eq!(parse(b"HTTP/1.0 404 no\r\n\r\nx", false), None);
        assert_eq!(parse(b"HTTP/1.0 404 no\r\n\r\nx", true), Some(Ok((404, b"x".to_vec()))));
        assert!(matches!(parse(b"SSH-2.0\r\n", false), Some(Err(_))));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nConte", true), None);
    }
}
