//! What tests over real sockets share: a proxy in this process, origins that do as they are told, raw clients.
//!
//! Nothing sleeps for a fixed time: every wait is for a condition, up to [`DEADLINE`].
#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses a part; helpers of tests need no docs
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test

pub mod message;
pub mod origin;
pub mod pace;
pub mod port;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use tidegate::balance::Routing;
use tidegate::config::{BackendConfig, ProxyConfig};
use tidegate::record::stats::Snapshot;
use tidegate::run::{RunningProxy, start_proxy};

#[allow(unused_imports)] // as above
pub use origin::{Origin, OriginConn};

/// How long anything may take; long, since other work may share the machine, and it may stand still meanwhile.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A proxy on its own thread, with a log of its own when asked for.
pub struct ProxyUnderTest {
    pub address: SocketAddr,
    running: Option<RunningProxy>,
    config: ProxyConfig,
    log: Option<(tempfile::TempDir, PathBuf)>,
}

impl ProxyUnderTest {
    /// In front of `backends`, exact round robin, with what `change` does to its configuration.
    pub fn start(backends: &[SocketAddr], change: impl FnOnce(&mut ProxyConfig)) -> ProxyUnderTest {
        Self::launch(backends, change, None)
    }

    /// The same, with a row per request in a file.
    pub fn logged(backends: &[SocketAddr], change: impl FnOnce(&mut ProxyConfig)) -> ProxyUnderTest {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rows.csv");
        Self::launch(backends, change, Some((directory, file)))
    }

    fn launch(
        backends: &[SocketAddr],
        change: impl FnOnce(&mut ProxyConfig),
        log: Option<(tempfile::TempDir, PathBuf)>,
    ) -> ProxyUnderTest {
        let mut config = ProxyConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            backends: backends.iter().copied().map(BackendConfig::at).collect(),
            routing: Routing::RoundRobin,
            log: log.as_ref().map(|(_, file)| file.clone()),
            admin: None,
            ejection: false,
            ..ProxyConfig::default()
        };
        change(&mut config);
        let running = start_proxy(config.clone(), || {}).unwrap_or_else(|failure| panic!("{failure}"));
        ProxyUnderTest { address: running.address, running: Some(running), config, log }
    }

    /// As on SIGHUP, with what `change` does to the configuration it was started with.
    pub fn reload(&self, change: impl FnOnce(&mut ProxyConfig)) {
        let mut config = self.config.clone();
        change(&mut config);
        self.running.as_ref().unwrap().reload(config);
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// The latest figures published.
    pub fn figures(&self) -> Option<std::sync::Arc<Snapshot>> {
        self.running.as_ref().map(|running| running.board.latest())
    }

    /// Where its admin page is.
    pub fn admin(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin.as_ref().unwrap().address
    }

    /// Its log, if it was asked for one.
    pub fn log_path(&self) -> PathBuf {
        self.log.as_ref().unwrap().1.clone()
    }

    /// Where it shows what it does.
    pub fn board(&self) -> &tidegate::dashboard::Board {
        &self.running.as_ref().unwrap().board
    }

    /// Begins a graceful stop.
    pub fn drain(&self) {
        self.running.as_ref().unwrap().control.drain_or_stop();
    }

    /// What a watchdog asks.
    pub fn turns(&self) -> bool {
        self.running.as_ref().unwrap().control.turns()
    }

    /// Stops gracefully; the figures, and the rows with the header's names.
    pub fn stop(mut self) -> (Snapshot, Vec<Fields>) {
        let figures = self.running.take().unwrap().stop().unwrap_or_else(|failure| panic!("{failure}"));
        (figures, self.rows())
    }

    fn rows(&self) -> Vec<Fields> {
        let Some((_, file)) = &self.log else { return Vec::new() };
        let mut reader = csv::Reader::from_path(file).unwrap();
        let header = reader.byte_headers().unwrap().clone();
        reader
            .byte_records()
            .map(|record| Fields { header: header.clone(), record: record.unwrap() })
            .collect()
    }
}

impl Drop for ProxyUnderTest {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.control.stop();
            let ended = running.wait();
            if !std::thread::panicking() {
                ended.unwrap_or_else(|failure| panic!("{failure}"));
            }
        }
    }
}

/// One row of the log.
#[derive(Debug)]
pub struct Fields {
    header: csv::ByteRecord,
    record: csv::ByteRecord,
}

impl Fields {
    pub fn get(&self, column: &str) -> String {
        let index = self.header.iter().position(|name| name == column.as_bytes());
        String::from_utf8_lossy(&self.record[index.unwrap_or_else(|| panic!("no column {column}"))])
            .into_owned()
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer has finished sending.
    Closed,
    /// The peer has broken the connection.
    Reset,
}

/// A client that sends what it likes and keeps what it gets.
pub struct Client {
    pub stream: TcpStream,
    /// Everything received and not taken yet.
    pub seen: Vec<u8>,
    pub end: Option<End>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Client { stream, seen: Vec::new(), end: None }
    }

    /// Sends all of it; a peer that has closed is no error here, what it answered tells.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Sends one byte per write.
    pub fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.stream.write_all(std::slice::from_ref(byte)).is_err() {
                return;
            }
        }
    }

    /// No more from us; the answer can still come.
    pub fn finish(&mut self) -> &mut Client {
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }

    /// Breaks the connection.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Reads until `enough`, the end, or the deadline; says whether it was enough.
    pub fn read_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) -> bool {
        let deadline = Instant::now() + DEADLINE;
        let mut piece = [0; 64 * 1024];
        loop {
            if enough(&self.seen) {
                return true;
            }
            if self.end.is_some() || Instant::now() > deadline {
                return false;
            }
            match self.stream.read(&mut piece) {
                Ok(0) => self.end = Some(End::Closed),
                Ok(count) => self.seen.extend_from_slice(&piece[..count]),
                Err(error) if is_not_yet(&error) => {}
                Err(_) => self.end = Some(End::Reset),
            }
        }
    }

    /// Everything until the connection ends.
    pub fn read_to_end(&mut self) -> (Vec<u8>, End) {
        self.read_until(|_| false);
        let end = self.end.unwrap_or_else(|| panic!("no end after {:?}", self.text()));
        (std::mem::take(&mut self.seen), end)
    }

    /// Takes one whole response, interim ones included as ones of their own.
    pub fn response(&mut self) -> message::Response {
        self.response_to("GET")
    }

    pub fn response_to(&mut self, method: &str) -> message::Response {
        let mut parsed = None;
        let found = self.read_until(|seen| {
            parsed = message::Response::parse(seen, method, false);
            parsed.is_some()
        });
        if !found {
            parsed = self.end.and_then(|_| message::Response::parse(&self.seen, method, true));
        }
        let (response, len) =
            parsed.unwrap_or_else(|| panic!("no response in {:?}, {:?}", self.text(), self.end));
        self.seen.drain(..len);
        response
    }

    /// A request and its whole answer.
    pub fn get(&mut self, path: &str) -> message::Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")).response()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen[..self.seen.len().min(2000)]).into_owned()
    }
}

pub fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Waits for a condition that something else brings about.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A stream with a time-out whose reads a pause of the process does not end (signal(7)).
pub struct Patient(pub TcpStream);

impl Patient {
    pub fn new(stream: TcpStream) -> Patient {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Patient(stream)
    }
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.0.read(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Closed until somebody opens it.
#[derive(Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    pub fn wait(&self) {
        let guard = self.open.lock().unwrap();
        let (guard, late) = self.opened.wait_timeout_while(guard, DEADLINE, |open| !*open).unwrap();
        drop(guard);
        assert!(!late.timed_out(), "nobody opened the gate");
    }
}
