//! Clients that ask again and again, and what they were told.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{Client, DEADLINE, message};

/// In the place of a status: nobody listened.
pub const REFUSED: u16 = 1;

/// One request's fate. Status 0: the connection ended without an answer.
#[derive(Clone, Debug)]
pub struct Told {
    pub method: &'static str,
    pub id: usize,
    pub status: u16,
    pub body: Vec<u8>,
    pub took: Duration,
}

/// A closed loop of clients, each on one connection for as long as that lives.
pub struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Each client asks with these methods in turn, every `pause`. The path of each request is `/` and a number of its
    /// own; a request with a body has that number as its body.
    pub fn start(
        address: SocketAddr,
        clients: usize,
        methods: &'static [&'static str],
        pause: Duration,
    ) -> Load {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Told>>>::default());
        let next = Arc::new(AtomicUsize::new(0));
        let threads = (0..clients)
            .map(|_| {
                let (stop, told, next) = (stop.clone(), told.clone(), next.clone());
                std::thread::spawn(move || {
                    let mut client = None;
                    while !stop.load(Ordering::Relaxed) {
                        let id = next.fetch_add(1, Ordering::Relaxed);
                        let one = ask(&mut client, address, methods[id % methods.len()], id);
                        told.lock().unwrap().push(one);
                        std::thread::sleep(pause);
                    }
                })
            })
            .collect();
        Load { stop, told, threads }
    }

    pub fn count(&self) -> usize {
        self.told.lock().unwrap().len()
    }

    /// Waits until so many more have been answered.
    pub fn more(&self, count: usize) {
        let (goal, deadline) = (self.count() + count, Instant::now() + 6 * DEADLINE);
        while self.count() < goal {
            assert!(Instant::now() < deadline, "{} of {goal} answers", self.count());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What was told since the last time this was asked.
    pub fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    pub fn stop(mut self) -> Vec<Told> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.take()
    }
}

/// One request and its answer; the connection is kept if it may be.
pub fn ask(client: &mut Option<Client>, address: SocketAddr, method: &'static str, id: usize) -> Told {
    let begun = Instant::now();
    let body = if matches!(method, "POST" | "PUT" | "PATCH") { id.to_string() } else { String::new() };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let told = |status, body| Told { method, id, status, body, took: begun.elapsed() };
    if client.is_none() {
        let Ok(stream) = TcpStream::connect(address) else { return told(REFUSED, Vec::new()) };
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        *client = Some(Client { stream, seen: Vec::new(), end: None });
    }
    let connection = client.as_mut().unwrap();
    connection.send(format!("{method} /{id} HTTP/1.1\r\nHost: h\r\n{length}\r\n{body}"));
    let mut parsed = None;
    connection.read_until(|seen| {
        parsed = message::Response::parse(seen, method, false);
        parsed.is_some()
    });
    let Some((response, len)) = parsed else {
        *client = None;
        return told(0, Vec::new());
    };
    connection.seen.drain(..len);
    if response.field("Connection").is_some_and(|value| value.contains("close")) {
        *client = None;
    }
    told(response.status, response.body)
}

/// How many were told each status, for messages.
pub fn statuses(told: &[Told]) -> std::collections::BTreeMap<u16, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for one in told {
        *counts.entry(one.status).or_default() += 1;
    }
    counts
}

/// The time that this share of them took at most.
pub fn quantile(told: &[Told], share: f64) -> Duration {
    let mut took: Vec<Duration> = told.iter().map(|one| one.took).collect();
    took.sort();
    took[((took.len() - 1) as f64 * share) as usize]
}
