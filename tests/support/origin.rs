//! Origins on ports of their own, a thread per connection.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{DEADLINE, Gate, is_not_yet, message};

/// What reached the origin on one connection from one request on.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub connection: usize,
    pub bytes: Vec<u8>,
}

/// A listening origin. Closes when dropped; its connections end when the proxy closes them.
pub struct Origin {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Arrival>>>,
    accepted: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

impl Origin {
    /// Runs `script` on each connection.
    pub fn start(script: impl Fn(&mut OriginConn) + Send + Sync + 'static) -> Origin {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    pub fn on(listener: TcpListener, script: impl Fn(&mut OriginConn) + Send + Sync + 'static) -> Origin {
        let address = listener.local_addr().unwrap();
        let origin =
            Origin { address, seen: Arc::default(), accepted: Arc::default(), stopping: Arc::default() };
        let (seen, accepted, stopping) =
            (origin.seen.clone(), origin.accepted.clone(), origin.stopping.clone());
        let script = Arc::new(script);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let index = accepted.fetch_add(1, Ordering::SeqCst);
                let (seen, script) = (seen.clone(), script.clone());
                std::thread::spawn(move || script(&mut OriginConn::new(stream, index, seen)));
            }
        });
        origin
    }

    /// Answers every request with 200 and its own path.
    pub fn echo_path() -> Origin {
        Origin::start(|conn| {
            while let Some(request) = conn.request() {
                let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or("").to_owned();
                conn.answer(&path);
            }
        })
    }

    /// Answers every request with 200 and `late`, once the gate is open.
    pub fn held(gate: &Arc<Gate>) -> Origin {
        let gate = gate.clone();
        Origin::start(move |conn| {
            while conn.request().is_some() {
                gate.wait();
                conn.answer("late");
            }
        })
    }

    /// Everything that arrived so far, in order of arrival.
    pub fn seen(&self) -> Vec<Arrival> {
        self.seen.lock().unwrap().clone()
    }

    /// Request lines so far.
    pub fn lines(&self) -> Vec<String> {
        let line = |arrival: &Arrival| {
            String::from_utf8_lossy(&arrival.bytes).split("\r\n").next().unwrap_or_default().to_owned()
        };
        self.seen().iter().map(line).collect()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // wakes the accept
    }
}

/// One connection at the origin.
pub struct OriginConn {
    pub stream: TcpStream,
    /// How many came before it.
    pub index: usize,
    buffer: Vec<u8>,
    seen: Arc<Mutex<Vec<Arrival>>>,
    /// Place of the present request in `seen`.
    current: usize,
}

impl OriginConn {
    pub fn new(stream: TcpStream, index: usize, seen: Arc<Mutex<Vec<Arrival>>>) -> OriginConn {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        OriginConn { stream, index, buffer: Vec::new(), seen, current: 0 }
    }

    /// Reads a head; `None` when the proxy closes instead, or says nothing for long.
    pub fn head(&mut self) -> Option<Vec<u8>> {
        self.fill_until(|bytes| message::head_len(bytes).is_some());
        let len = message::head_len(&self.buffer)?;
        let head: Vec<u8> = self.buffer.drain(..len).collect();
        let mut seen = self.seen.lock().unwrap();
        self.current = seen.len();
        seen.push(Arrival { connection: self.index, bytes: head.clone() });
        Some(head)
    }

    /// Reads the body that goes with `head`; `None` when it is cut.
    pub fn body(&mut self, head: &[u8]) -> Option<Vec<u8>> {
        self.fill_until(|bytes| message::request_body_len(head, bytes).is_some());
        let len = message::request_body_len(head, &self.buffer);
        let body: Vec<u8> = self.buffer.drain(..len.unwrap_or(self.buffer.len())).collect();
        self.note(&body);
        len.map(|_| body)
    }

    /// Reads a whole request, as it came.
    pub fn request(&mut self) -> Option<Vec<u8>> {
        let mut request = self.head()?;
        let body = self.body(&request)?;
        request.extend_from_slice(&body);
        Some(request)
    }

    /// Reads exactly so many bytes of whatever it is.
    pub fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let whole = self.fill_until(|bytes| bytes.len() >= count);
        let bytes: Vec<u8> = self.buffer.drain(..count.min(self.buffer.len())).collect();
        self.note(&bytes);
        whole.then_some(bytes)
    }

    /// Waits until the proxy has closed or broken this connection; `false` if it does not.
    pub fn is_closed(&mut self) -> bool {
        let deadline = Instant::now() + DEADLINE;
        let mut piece = [0; 4096];
        while Instant::now() < deadline {
            match self.stream.read(&mut piece) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if is_not_yet(&error) => {}
                Err(_) => return true,
            }
        }
        false
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub fn write_bytewise(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.stream.write_all(std::slice::from_ref(byte)).is_ok())
    }

    /// A 200 with a text.
    pub fn answer(&mut self, body: &str) -> bool {
        self.write(format!("HTTP/1.1 200 OK\r\nDate: X\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    pub fn close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Makes the close at the end of the script a reset.
    pub fn reset(&mut self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn note(&mut self, bytes: &[u8]) {
        self.seen.lock().unwrap()[self.current].bytes.extend_from_slice(bytes);
    }

    /// Twice the usual time, since a client's wait comes first.
    fn fill_until(&mut self, mut enough: impl FnMut(&[u8]) -> bool) -> bool {
        let deadline = Instant::now() + 2 * DEADLINE;
        let mut piece = [0; 64 * 1024];
        while !enough(&self.buffer) {
            match self.stream.read(&mut piece) {
                Ok(0) => return false,
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if is_not_yet(&error) && Instant::now() < deadline => {}
                Err(_) => return false,
            }
        }
        true
    }
}
