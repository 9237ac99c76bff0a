//! An origin that can be killed, as by a signal, and started again on the same port; it remembers across its lives.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use socket2::SockRef;

use crate::support::origin::{Arrival, OriginConn};
use crate::support::port::Reserved;

type Script = Arc<dyn Fn(&mut OriginConn) + Send + Sync>;

pub struct Mortal {
    pub address: SocketAddr,
    /// Its port remains its own while it is dead.
    _port: Reserved,
    script: Script,
    seen: Arc<Mutex<Vec<Arrival>>>,
    life: Option<Life>,
}

struct Life {
    listener: TcpListener,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    over: Arc<AtomicBool>,
}

impl Mortal {
    pub fn start(script: impl Fn(&mut OriginConn) + Send + Sync + 'static) -> Mortal {
        let mut mortal = Mortal::unborn(script);
        mortal.restart();
        mortal
    }

    /// A port and a script; nobody listens yet.
    pub fn unborn(script: impl Fn(&mut OriginConn) + Send + Sync + 'static) -> Mortal {
        let port = Reserved::new();
        Mortal {
            address: port.address,
            _port: port,
            script: Arc::new(script),
            seen: Arc::default(),
            life: None,
        }
    }

    /// Closes everything at once, in the midst of whatever it is doing.
    pub fn kill(&mut self) {
        let Some(life) = self.life.take() else { return };
        life.over.store(true, Ordering::SeqCst);
        let _ = SockRef::from(&life.listener).shutdown(Shutdown::Both); // wakes the accept
        for stream in life.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn restart(&mut self) {
        assert!(self.life.is_none());
        self.live(crate::child::bind_again(self.address));
    }

    /// First lines of the requests whose head arrived whole.
    pub fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let line = |arrival: &Arrival| {
            String::from_utf8_lossy(&arrival.bytes).split("\r\n").next().unwrap_or_default().to_owned()
        };
        seen.iter().map(line).collect()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn live(&mut self, listener: TcpListener) {
        let (streams, over) = (Arc::<Mutex<Vec<TcpStream>>>::default(), Arc::new(AtomicBool::new(false)));
        let (accepting, accepted, ended) = (listener.try_clone().unwrap(), streams.clone(), over.clone());
        let (script, seen) = (self.script.clone(), self.seen.clone());
        std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let mut known = accepted.lock().unwrap();
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                known.push(stream.try_clone().unwrap());
                drop(known);
                let (script, seen) = (script.clone(), seen.clone());
                std::thread::spawn(move || script(&mut OriginConn::new(stream, 0, seen)));
            }
        });
        self.life = Some(Life { listener, streams, over });
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Answers every request with its path, after `pause`.
pub fn echo(pause: std::time::Duration) -> impl Fn(&mut OriginConn) + Send + Sync {
    move |conn| {
        while let Some(request) = conn.request() {
            let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or("").to_owned();
            std::thread::sleep(pause);
            if String::from_utf8_lossy(&request).starts_with("HEAD ") {
                conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", path.len()));
            } else {
                conn.answer(&path);
            }
        }
    }
}
