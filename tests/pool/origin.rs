//! An origin that does as its script says, a thread per connection, and writes down what it did.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::diary::{Diary, text};
use crate::support::{DEADLINE, message};

/// From deciding that a connection has been idle for too long to closing it.
const DECIDED: Duration = Duration::from_millis(2);

/// What happened to its connections.
#[derive(Default)]
pub struct Counts {
    pub accepted: AtomicUsize,
    /// Ended by the proxy, between two requests or within one.
    pub closed_by_proxy: AtomicUsize,
    /// Ended by the origin, whose limit of rest was over.
    pub closed_when_idle: AtomicUsize,
    pub open: AtomicUsize,
}

/// A listening origin. It stops listening when dropped; its connections end when the proxy closes them.
pub struct Origin {
    pub address: SocketAddr,
    pub diary: Diary,
    pub counts: Arc<Counts>,
    stopping: Arc<AtomicBool>,
}

impl Origin {
    /// Runs `script` on each connection.
    pub fn start(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (origin, script) = (Origin::at(&listener), Arc::new(script));
        let serve = origin.server(listener);
        std::thread::spawn(move || {
            while let Some(mut conn) = serve.accept() {
                let script = script.clone();
                std::thread::spawn(move || script(&mut conn));
            }
        });
        origin
    }

    /// So many workers, each busy with one connection for as long as that lasts.
    pub fn with_workers(count: usize, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (origin, script) = (Origin::at(&listener), Arc::new(script));
        for _ in 0..count {
            let (serve, script) = (origin.server(listener.try_clone().unwrap()), script.clone());
            std::thread::spawn(move || {
                while let Some(mut conn) = serve.accept() {
                    script(&mut conn);
                }
            });
        }
        origin
    }

    /// So many workers that share all connections: each takes the one that was left alone for longest, waits up to `limit`
    /// for its next request, answers that, and puts the connection last.
    pub fn with_workers_in_turn(
        count: usize,
        limit: Duration,
        answer: impl Fn(&mut Conn, &Request) + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (origin, answer) = (Origin::at(&listener), Arc::new(answer));
        let serve = origin.server(listener);
        let (last, first) = mpsc::channel::<Conn>();
        let first = Arc::new(Mutex::new(first));
        for _ in 0..count {
            let (first, last, answer) = (first.clone(), last.clone(), answer.clone());
            std::thread::spawn(move || {
                loop {
                    let Ok(mut conn) = first.lock().unwrap().recv() else { return };
                    conn.idle_limit(limit);
                    if let Some(request) = conn.request() {
                        answer(&mut conn, &request);
                        let _ = last.send(conn);
                    }
                }
            });
        }
        std::thread::spawn(move || {
            while let Some(conn) = serve.accept() {
                let _ = last.send(conn);
            }
        });
        origin
    }

    fn at(listener: &TcpListener) -> Origin {
        let address = listener.local_addr().unwrap();
        Origin { address, diary: Diary::new(), counts: Arc::default(), stopping: Arc::default() }
    }

    fn server(&self, listener: TcpListener) -> Server {
        let (diary, counts, stopping) = (self.diary.clone(), self.counts.clone(), self.stopping.clone());
        Server { listener, diary, counts, stopping }
    }

    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes an accept, which passes it on
    }
}

struct Server {
    listener: TcpListener,
    diary: Diary,
    counts: Arc<Counts>,
    stopping: Arc<AtomicBool>,
}

impl Server {
    fn accept(&self) -> Option<Conn> {
        let (stream, _) = self.listener.accept().ok()?;
        if self.stopping.load(Ordering::SeqCst) {
            let _ = TcpStream::connect(self.listener.local_addr().ok()?);
            return None;
        }
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(2 * DEADLINE)).unwrap(); // a client's wait comes first
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        self.counts.open.fetch_add(1, Ordering::SeqCst);
        let index = self.counts.accepted.fetch_add(1, Ordering::SeqCst);
        Some(Conn {
            stream,
            index,
            buffer: Vec::new(),
            idle_limit: None,
            diary: self.diary.clone(),
            counts: self.counts.clone(),
        })
    }
}

/// The head of a request. Bytes that make no head are one without a method.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub head: Vec<u8>,
}

impl Request {
    fn parse(head: Vec<u8>) -> Request {
        let line = String::from_utf8_lossy(&head);
        let mut words = line.split("\r\n").next().unwrap_or_default().split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (mut method, path) = (word(), word());
        if !method.bytes().all(|byte| byte.is_ascii_uppercase()) || !path.starts_with('/') {
            method.clear();
        }
        Request { method, path, head }
    }

    pub fn is_garbage(&self) -> bool {
        self.method.is_empty()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        message::field(&self.head, name)
    }
}

/// One connection at the origin.
pub struct Conn {
    pub stream: TcpStream,
    /// How many came before it.
    pub index: usize,
    buffer: Vec<u8>,
    idle_limit: Option<Duration>,
    diary: Diary,
    counts: Arc<Counts>,
}

impl Conn {
    /// Ends the connection after this long without a request.
    pub fn idle_limit(&mut self, limit: Duration) {
        self.idle_limit = Some(limit);
    }

    /// Reads a head, and nothing of what follows it: an origin that does not ask for the body takes that for its next
    /// request. `None` at the end of the connection.
    pub fn head(&mut self) -> Option<Request> {
        let len = self.fill_until(message::head_len)?;
        let request = Request::parse(self.buffer.drain(..len).collect());
        self.note(&format!("reads {}", text(&request.head)));
        Some(request)
    }

    /// Reads the body behind a head.
    pub fn body(&mut self, request: &Request) -> Option<Vec<u8>> {
        let len = self.fill_until(|bytes| message::request_body_len(&request.head, bytes))?;
        Some(self.buffer.drain(..len).collect())
    }

    /// Reads a whole request.
    pub fn request(&mut self) -> Option<Request> {
        let request = self.head()?;
        self.body(&request)?;
        Some(request)
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.note(&format!("writes {}", text(bytes.as_ref())));
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The last answer of this connection, in one packet with the end of it: that nobody sees one without the other.
    pub fn write_last(&mut self, bytes: impl AsRef<[u8]>) {
        rustix::net::sockopt::set_tcp_cork(&self.stream, true).unwrap();
        self.write(bytes);
        self.close();
    }

    pub fn close(&mut self) {
        self.note("closes");
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// A 200 whose body is the path; no body for a HEAD.
    pub fn answer(&mut self, request: &Request) -> bool {
        let mut bytes = page("200 OK", &request.path, &request.path);
        if request.method == "HEAD" {
            bytes.truncate(bytes.len() - request.path.len());
        }
        self.write(bytes)
    }

    fn fill_until(&mut self, mut enough: impl FnMut(&[u8]) -> Option<usize>) -> Option<usize> {
        let mut piece = [0; 16 * 1024];
        loop {
            if let Some(len) = enough(&self.buffer) {
                return Some(len);
            }
            if let Some(limit) = self.idle_limit
                && !self.hears_within(limit)
            {
                // Decided now, done when its thread comes to it: what arrives in between is never read.
                std::thread::sleep(DECIDED);
                self.counts.closed_when_idle.fetch_add(1, Ordering::SeqCst);
                self.note("closes an idle connection");
                return None;
            }
            let ended = match self.stream.read(&mut piece) {
                Ok(0) => "the proxy closes".to_owned(),
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => format!("the proxy closes: {error}"),
            };
            self.counts.closed_by_proxy.fetch_add(1, Ordering::SeqCst);
            self.note(&ended);
            return None;
        }
    }

    /// Exact to less than a millisecond, which a socket's own time-out is not.
    fn hears_within(&self, limit: Duration) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
        let limit = Timespec::try_from(limit).unwrap();
        poll(&mut fds, Some(&limit)).is_ok_and(|ready| ready > 0)
    }

    fn note(&self, what: &str) {
        self.diary.note(format!("origin, connection {}: {what}", self.index));
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An answer that says which request it is for.
pub fn page(status: &str, path: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nX-For: {path}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What an origin says to bytes that are no request.
pub fn complaint() -> String {
    page("400 Bad Request", "/nobody", "what?")
}
