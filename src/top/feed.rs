//! Asks an admin address for its figures: one request per connection, as small as a client can be.
//!
//! HTTP/1.0 on purpose: the answer then ends with the connection and is not chunked (RFC 9112 section 6).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::TopConfig;
use super::model::{Event, Log, Look, Stats};

/// A machine that does not answer at once is worth a second look, not a minute.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than the figures of a thousand backends.
const ANSWER_MAX: u64 = 8 << 20;
const HEADERS_MAX: usize = 64;

/// Where figures come from.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    address: SocketAddr,
    host: String,
}

impl Feed {
    pub(super) fn new(config: &TopConfig) -> Feed {
        let host = config.url.strip_prefix("http://").unwrap_or(&config.url).to_owned();
        Feed { address: config.address, host }
    }

    /// The figures now. The error is half a line.
    pub(super) fn look(&self) -> Result<Look, String> {
        let body = match self.get("/api/stats").map_err(|error| told(&error))? {
            (200, body) => body,
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
        let request =
            format!("GET {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.host);
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
        parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
    }
}

/// Status and body. A body that is cut is no JSON, which is found out later.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(answer).ok()? else { return None };
    Some((response.code?, answer.get(length..)?.to_vec()))
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
        let (status, body) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!((status, &body[..]), (200, &b"{}"[..]));
        assert!(parse(b"HTTP/1.1 200 OK\r\nConte").is_none() && parse(b"SSH-2.0\r\n").is_none());
    }
}
