//! A small HTTP/1.1 server on the reactor: the emulated backends and the admin page are handlers of it.
//!
//! [`Responder`] owns the connections, one request of each at a time; a [`Handler`] says what to answer and after
//! which delay. It is an origin server, so it answers `Expect` itself. Several requests that are here already and have
//! no delay are answered in one write. An answer may go on as a stream, which all its readers are sent alike.
//! Deliberately absent: answers that are not ready when their request is (only their sending can wait).

mod alarm;
mod answer;
mod client;
mod handler;
pub mod pattern;
mod start;

pub use handler::{Content, Handler, Reply, Request, Streams};
pub use start::{Running, start};

use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;

use crate::buffer::Pool;
use crate::clock::Time;
use crate::http1::Limits;
use crate::http1::date::DateCache;
use crate::http1::request::RequestHead;
use crate::net::{Net, Ready, Sockets};
use crate::reactor::{Order, Pulse, Service, Turned};
use crate::slab::{Key, Slab};
use crate::timer::Timers;

use alarm::Alarm;
use client::{Client, Turn};

/// Clients advanced between two looks at the clock: a delay is off by no more than they take together.
const STRETCH: usize = 32;
/// Connections closed at once when the process is out of file descriptors, or there are as many as there may be.
const SHED: usize = 16;
/// No connection's token, nor one of the reactor's.
const ALARM: usize = usize::MAX - 2;

/// Bounds and times of a responder.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bounds on heads.
    pub limits: Limits,
    /// Bytes a request body may have on the wire, when it is not echoed: 413 beyond it.
    pub body_max: u64,
    /// Streams at once: 503 beyond it.
    pub streams_max: usize,
    /// Bytes a stream's reader may be behind: cut beyond it.
    pub stream_lag_max: usize,
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// A connection without a request: closed.
    pub idle: Duration,
    /// From the first byte of a head to its blank line: 408.
    pub head: Duration,
    /// Without a byte of the request body: 408.
    pub body: Duration,
    /// From a request's head to the end of its body, unless that is echoed: 408.
    pub body_whole: Duration,
    /// Without the client taking a byte of the answer: cut.
    pub write: Duration,
    /// Discarding what a client still sends after its last answer, so that a reset does not erase the answer.
    pub linger: Duration,
    /// How long answers under way may take when told to drain.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Settings {
            limits: Limits::default(),
            body_max: u64::MAX,
            streams_max: 128,
            stream_lag_max: 256 * 1024,
            connections_max: usize::MAX,
            idle: seconds(75),
            head: seconds(10),
            body: seconds(30),
            body_whole: Duration::MAX,
            write: seconds(30),
            linger: seconds(2),
            drain: seconds(5),
        }
    }
}

/// What the clients share.
struct Shared<H> {
    now: Time,
    unix_seconds: u64,
    net: Sockets,
    buffers: Pool,
    /// Scratch for the head being parsed.
    head: RequestHead,
    /// Scratch for the text of an answer.
    text: Vec<u8>,
    date: DateCache,
    draining: bool,
    /// Who reads a stream.
    readers: Vec<Key>,
    settings: Settings,
    handler: H,
}

/// A server of short answers, to be run by a [`Reactor`](crate::reactor::Reactor).
pub struct Responder<H> {
    shared: Shared<H>,
    clients: Slab<Client>,
    queue: Vec<Key>,
    /// This round's clients, last one first, and those that have had their turn taken off.
    running: Vec<Key>,
    /// For what should not happen. Seldom due, and moved without being touched.
    timeouts: Timers,
    /// For answers held back. Nearly all of these fall due, so the two are kept apart: a time-out superseded by each
    /// delay would stay queued for its minute, and they would pile up.
    delays: Timers,
    alarm: Alarm,
    streams: Streams,
    tick_due: Time,
    /// The last stream has ended, and the handler does not know yet.
    is_deserted: bool,
}

impl<H: Handler> Responder<H> {
    /// A responder without clients, for the poll behind `registry`.
    pub fn new(registry: mio::Registry, settings: Settings, handler: H) -> Self {
        let alarm = Alarm::new(&registry, ALARM);
        Responder {
            shared: Shared {
                now: Time::ZERO,
                unix_seconds: 0,
                net: Sockets::new(registry),
                buffers: Pool::default(),
                head: RequestHead::default(),
                text: Vec::new(),
                date: DateCache::new(),
                draining: false,
                readers: Vec::new(),
                settings,
                handler,
            },
            streams: Streams::default(),
            tick_due: if H::TICK.is_some() { Time::ZERO } else { Time::NEVER },
            is_deserted: H::TICK.is_some(),
            clients: Slab::new(),
            queue: Vec::new(),
            running: Vec::new(),
            timeouts: Timers::default(),
            delays: Timers::default(),
            alarm,
        }
    }

    fn enqueue(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && !client.queued
        {
            client.queued = true;
            self.queue.push(key);
        }
    }

    /// Queues whom a deadline or the end of a delay concerns.
    fn expire(&mut self, now: Time) {
        while let Some((due, key)) = self.delays.pop_due(now) {
            let Some(client) = self.clients.get_mut(key) else { continue };
            if Timers::is_live(due, &mut client.delay_armed) {
                self.enqueue(key);
            }
        }
        while let Some((due, key)) = self.timeouts.pop_due(now) {
            let Some(client) = self.clients.get_mut(key) else { continue };
            if !Timers::is_live(due, &mut client.armed) {
                continue;
            }
            if client.deadline <= now {
                self.enqueue(key);
            } else {
                self.arm(key);
            }
        }
        let clients = &self.clients;
        self.timeouts.prune(clients.len(), |owner| clients.get(owner).map(|client| client.armed));
    }

    /// A stretch of the round. Who wants another turn, or is marked meanwhile, has it in the next round.
    fn run(&mut self) {
        for _ in 0..STRETCH {
            let Some(key) = self.running.pop() else { return };
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.queued = false;
            match client.advance(&mut self.shared) {
                Turn::Wait => self.arm(key),
                Turn::Again => self.enqueue(key),
                Turn::Done => self.remove(key),
            }
        }
    }

    fn arm(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if let Some(due) = client.held_until() {
            self.delays.arm(key, &mut client.delay_armed, due);
        }
        if client.deadline != Time::NEVER {
            self.timeouts.arm(key, &mut client.armed, client.deadline);
        }
    }

    fn wants_tick(&self, now: Time) -> bool {
        match self.shared.readers.is_empty() {
            true => self.is_deserted || self.shared.handler.has_news(),
            false => self.tick_due <= now,
        }
    }

    /// Lets the handler write to its streams.
    fn tick(&mut self, now: Time) {
        let Some(every) = H::TICK else { return };
        self.is_deserted = false;
        let due = self.tick_due.plus(every);
        self.tick_due = if due > now { due } else { now.plus(every) };
        self.streams.open = self.shared.readers.len();
        self.streams.bytes.clear();
        self.shared.handler.tick(now, &mut self.streams);
        if self.streams.bytes.is_empty() {
            return;
        }
        for key in self.shared.readers.clone() {
            let Some(client) = self.clients.get_mut(key) else { continue };
            if client.push(&self.streams.bytes, self.shared.settings.stream_lag_max, now) {
                self.enqueue(key);
            } else {
                self.streams.dropped += 1;
                self.remove(key);
            }
        }
    }

    /// Closes some of those that `since` gives a time for, the longest first.
    fn close_oldest(&mut self, since: impl Fn(&Client) -> Option<Time>) {
        let of = |(key, client): (Key, &Client)| Some((since(client)?, key));
        let mut found: Vec<(Time, Key)> = self.clients.iter().filter_map(of).collect();
        if found.len() > SHED {
            found.select_nth_unstable_by_key(SHED, |(since, _)| *since);
            found.truncate(SHED);
        }
        for (_, key) in found {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(mut client) = self.clients.remove(key) {
            if client.is_streaming() {
                self.shared.readers.retain(|reader| *reader != key);
                self.is_deserted = self.shared.readers.is_empty();
            }
            client.give_back(&mut self.shared);
        }
    }
}

impl<H: Handler> Service for Responder<H> {
    fn accept(&mut self, mut stream: TcpStream, _peer: SocketAddr, now: Time) {
        let key = self.clients.next_key();
        if let Err(error) = self.shared.net.register(&mut stream, key.to_token()) {
            tracing::warn!(%error, "cannot register a connection");
            return;
        }
        let client = Client::new(key, stream, now, &self.shared.settings);
        let key = self.clients.insert(client);
        self.arm(key);
    }

    fn has_room(&self) -> bool {
        self.clients.len() < self.shared.settings.connections_max
    }

    fn shed(&mut self) {
        self.close_oldest(|client| client.stalled_since().filter(|_| client.is_idle()));
    }

    /// As many places as there are would else be anybody's who opens as many connections and sends half a request. Who
    /// has just come is the youngest, and has time to ask.
    fn make_room(&mut self) {
        self.close_oldest(Client::stalled_since);
    }

    fn woke(&mut self, now: Time) {
        self.shared.now = now;
    }

    fn mark(&mut self, token: usize, ready: Ready) {
        let key = Key::from_token(token); // the alarm's names nobody: waking was all it had to do
        if let Some(client) = self.clients.get_mut(key) {
            client.mark(ready);
            self.enqueue(key);
        }
    }

    fn turn(&mut self, now: Time, unix_seconds: u64) -> Turned {
        (self.shared.now, self.shared.unix_seconds) = (now, unix_seconds);
        if self.wants_tick(now) {
            self.tick(now);
        }
        if self.running.is_empty() {
            self.expire(now);
            std::mem::swap(&mut self.running, &mut self.queue);
            self.running.reverse();
        }
        self.run();
        if !self.running.is_empty() {
            return Turned::Unfinished;
        }
        if !self.queue.is_empty() {
            return Turned::Busy;
        }
        if let Some(due) = self.delays.next() {
            self.alarm.set(due, now);
        }
        Turned::Idle
    }

    fn next_deadline(&self) -> Option<Time> {
        let tick = H::TICK.filter(|_| !self.shared.readers.is_empty()).map(|_| self.tick_due);
        [self.delays.next(), self.timeouts.next(), tick].into_iter().flatten().min()
    }

    fn publish(&mut self, _pulse: Pulse) -> bool {
        true
    }

    fn order(&mut self, order: Order) {
        if order == Order::Drain {
            self.shared.draining = true;
            let idle: Vec<Key> = self
                .clients
                .iter()
                .filter(|(_, client)| client.is_idle() || client.is_streaming())
                .map(|(key, _)| key)
                .collect();
            for key in idle {
                self.enqueue(key);
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.clients.is_empty()
    }

    fn stop(&mut self, _pulse: Pulse) {}
}
