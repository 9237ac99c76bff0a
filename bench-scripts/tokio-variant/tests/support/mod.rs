//! A proxy process, a scripted origin, a client that reads one answer at a time.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// More than the time-out of a proxy: its 504 tells more than our giving up.
const PATIENCE: Duration = Duration::from_secs(30);

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
        let backends: Vec<String> = origins.iter().map(|origin| origin.address.to_string()).collect();
        let routing: &[&str] = if flags.contains(&"--routing") { &[] } else { &["--routing", "round-robin"] };
        let mut child = Command::new(binary.path)
            .args(binary.words)
            .args(["--listen", "127.0.0.1:0", "--backend", &backends.join(",")])
            .args(routing)
            .args(flags)
            .arg("--log")
            .arg(dir.path().join("log.csv"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let address = listening_on(&mut said).unwrap_or_else(|said| panic!("{binary:?} said only:\n{said}"));
        // What else it says belongs to the test's output: a panic of a task there is seen nowhere else.
        thread::spawn(move || said.lines().map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Proxy { child, address, dir }
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

/// Reads up to the line that names the address; an error is all that was said instead.
fn listening_on(said: &mut impl BufRead) -> Result<SocketAddr, String> {
    let mut before = String::new();
    for line in said.lines().map_while(Result::ok) {
        if let Some((_, address)) = line.split_once("listening on http://") {
            return Ok(address.parse().unwrap());
        }
        before.push_str(&line);
        before.push('\n');
    }
    Err(before)
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
    /// Holds a port that refuses.
    _reserved: Option<Socket>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    /// Closed by both sides.
    closed: AtomicUsize,
    /// Requests a connection may bring; 0 is no limit.
    requests_max: AtomicUsize,
}

impl Origin {
    pub(crate) fn start(script: impl Fn(&Request) -> String + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (shared, script) = (counts.clone(), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (script, counts) = (script.clone(), shared.clone());
                thread::spawn(move || serve(stream, &*script, &counts));
            }
        });
        Origin { address, _reserved: None, counts }
    }

    /// An address where nobody listens, and that nobody else is given meanwhile.
    pub(crate) fn refusing() -> Origin {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Origin { address, _reserved: Some(socket), counts: Arc::default() }
    }

    /// Closes each connection after so many answers, without having said so.
    pub(crate) fn closing_after(self, requests: usize) -> Origin {
        self.counts.requests_max.store(requests, Ordering::SeqCst);
        self
    }

    pub(crate) fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many connections have been closed by this side and then by the proxy.
    pub(crate) fn await_closed(&self, connections: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.counts.closed.load(Ordering::SeqCst) < connections {
            assert!(Instant::now() < deadline, "the proxy keeps a connection that its backend has closed");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn serve(stream: TcpStream, script: &dyn Fn(&Request) -> String, counts: &Counts) {
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = (BufReader::new(stream.try_clone().unwrap()), stream);
    for served in 1.. {
        let Some(head) = read_head(&mut reader) else { return };
        let body = read_body(&mut reader, &head);
        if writer.write_all(script(&Request { head, body }).as_bytes()).is_err() {
            return;
        }
        if served == counts.requests_max.load(Ordering::SeqCst) {
            break;
        }
    }
    writer.shutdown(Shutdown::Write).unwrap();
    let mut late = Vec::new();
    let _ = reader.read_to_end(&mut late); // its end or a reset: either closes
    assert!(late.is_empty(), "a request on a connection that was closed");
    counts.closed.fetch_add(1, Ordering::SeqCst);
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
