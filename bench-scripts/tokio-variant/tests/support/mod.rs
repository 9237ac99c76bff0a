//! A proxy process, a scripted origin, a client that reads one answer at a time.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

/// One of the two programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binary {
    path: &'static Path,
    /// What comes before the common flags.
    words: &'static [&'static str],
}

/// Runs `check` against the variant, then against tidegate.
pub(crate) fn each_binary(check: impl Fn(Binary)) {
    check(Binary { path: Path::new(env!("CARGO_BIN_EXE_tidegate-tokio")), words: &[] });
    check(Binary { path: tidegate(), words: &["proxy", "--admin", "none"] });
}

/// Cargo hands a test only the binaries of its own package: the other is built beside it.
fn tidegate() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let beside = Path::new(env!("CARGO_BIN_EXE_tidegate-tokio")).with_file_name("tidegate");
        let profile = if beside.parent().unwrap().ends_with("release") { "release" } else { "dev" };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--bin", "tidegate", "--profile", profile, "--manifest-path"])
            .arg(manifest)
            .arg("--target-dir")
            .arg(beside.ancestors().nth(2).unwrap())
            .status()
            .unwrap();
        assert!(status.success(), "tidegate does not build");
        beside
    })
}

/// A running proxy; killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

impl Proxy {
    pub(crate) fn start(binary: Binary, origins: &[&Origin], flags: &[&str]) -> Proxy {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let backends: Vec<String> = origins.iter().map(|origin| origin.address.to_string()).collect();
        let routing: &[&str] = if flags.contains(&"--routing") { &[] } else { &["--routing", "round-robin"] };
        let child = Command::new(binary.path)
            .args(binary.words)
            .args(["--listen", &address.to_string(), "--backend", &backends.join(",")])
            .args(routing)
            .args(flags)
            .arg("--log")
            .arg(dir.path().join("log.csv"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let proxy = Proxy { child, address, dir };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "{binary:?} does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        proxy
    }

    /// SIGTERM, then the rows of its log, in order.
    pub(crate) fn stop(mut self) -> Vec<HashMap<String, String>> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not stop");
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
        let text = std::fs::read_to_string(self.dir.path().join("log.csv")).unwrap();
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!(&columns[..5], ["timestamp", "backend_url", "latency_ms", "status_code", "routing_mode"]);
        let row = |line: &str| {
            columns.iter().map(|c| (*c).to_owned()).zip(line.split(',').map(str::to_owned)).collect()
        };
        lines.map(row).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A request as the origin received it.
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// An origin: a thread per connection, the same script for each request.
pub(crate) struct Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests_max: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) fn start(script: impl Fn(&Request) -> String + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests_max) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
        let (count, limit, script) = (connections.clone(), requests_max.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, limit) = (script.clone(), limit.clone());
                thread::spawn(move || serve(stream, &*script, &limit));
            }
        });
        Origin { address, connections, requests_max }
    }

    /// An address where nobody listens.
    pub(crate) fn refusing() -> Origin {
        Origin { address: free_address(), connections: Arc::default(), requests_max: Arc::default() }
    }

    /// Closes each connection after so many answers, without having said so.
    pub(crate) fn closing_after(self, requests: usize) -> Origin {
        self.requests_max.store(requests, Ordering::SeqCst);
        self
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(stream: TcpStream, script: &dyn Fn(&Request) -> String, limit: &AtomicUsize) {
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone().unwrap()), stream);
    let mut served = 0;
    while served < limit.load(Ordering::SeqCst) {
        let Some(head) = read_head(&mut reader) else { return };
        let body = read_body(&mut reader, &head);
        if writer.write_all(script(&Request { head, body }).as_bytes()).is_err() {
            return;
        }
        served += 1;
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn read_body(reader: &mut impl BufRead, head: &str) -> Vec<u8> {
    let mut body = Vec::new();
    if let Some(length) = field(head, "content-length") {
        body.resize(length.parse().unwrap(), 0);
        reader.read_exact(&mut body).unwrap();
    } else if field(head, "transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    body
}

fn field(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
    values.next().map(str::to_owned)
}

/// An answer as the client received it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    head: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// A client connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(proxy: &Proxy) -> Client {
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// Sends from a thread: what comes back may have to be read before all is taken.
    pub(crate) fn send(&mut self, text: &str) {
        let (mut stream, text) = (self.reader.get_ref().try_clone().unwrap(), text.to_owned());
        if text.len() < 4096 {
            stream.write_all(text.as_bytes()).unwrap();
        } else {
            thread::spawn(move || stream.write_all(text.as_bytes()));
        }
    }

    /// Reads one answer; that to a HEAD has no body.
    pub(crate) fn answer(&mut self, has_body: bool) -> Answer {
        let head = read_head(&mut self.reader).expect("an answer");
        let body = if has_body { read_body(&mut self.reader, &head) } else { Vec::new() };
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body, head }
    }

    /// Whether the proxy has closed it, with nothing left unread.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).unwrap();
        rest
    }
}
