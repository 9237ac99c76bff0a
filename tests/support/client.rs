//! A client that says exactly what it is told to, and what tests of responders share.
#![allow(dead_code)] // each test file uses its part

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use tidegate::config::EmulatorConfig;
use tidegate::serve::Running;

/// Long enough for any machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(30);

/// A backend of this id on any free port.
pub(crate) fn config(id: &str) -> EmulatorConfig {
    EmulatorConfig { seed: Some(1), ..EmulatorConfig::original(id, SocketAddr::from(([127, 0, 0, 1], 0))) }
}

/// A backend that answers at once.
pub(crate) fn fast() -> EmulatorConfig {
    EmulatorConfig { latency: Some("constant:0ms".parse().unwrap()), ..config("A") }
}

/// Starts it.
pub(crate) fn start(config: &EmulatorConfig) -> Running {
    tidegate::emulator::start(config).unwrap()
}

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    /// Without its framing.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    /// For sending from another thread.
    pub(crate) fn sender(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub(crate) fn finish(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.answer()
    }

    pub(crate) fn answer_to_head(&mut self) -> Answer {
        let status = self.line();
        let status = status.strip_prefix("HTTP/1.1 ").unwrap().get(..3).unwrap().parse().unwrap();
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "");
                return Answer { status, fields, body: Vec::new() };
            };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.answer_to_head();
        if answer.field("transfer-encoding") == Some("chunked") {
            loop {
                let size = u64::from_str_radix(&self.line(), 16).unwrap();
                self.read_body(size, &mut answer.body);
                assert_eq!(self.line(), "");
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = answer.field("content-length") {
            let length = length.parse().unwrap();
            self.read_body(length, &mut answer.body);
        }
        answer
    }

    /// Whether the peer has finished sending, or has broken the connection; waits until it does or sends more.
    pub(crate) fn is_at_end(&mut self) -> bool {
        loop {
            match self.stream.fill_buf() {
                Ok(bytes) => return bytes.is_empty(),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}"),
            }
        }
    }

    fn read_body(&mut self, length: u64, body: &mut Vec<u8>) {
        let count = (&mut self.stream).take(length).read_to_end(body).unwrap();
        assert_eq!(count as u64, length, "the answer was cut");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.strip_suffix("\r\n").unwrap_or_else(|| panic!("the answer was cut: {line:?}")).to_owned()
    }
}
