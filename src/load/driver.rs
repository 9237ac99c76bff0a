//! All clients of a run, told the time and told what happened. Absent: the poll and the clock (poll.rs).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::arrivals::Arrivals;
use super::client::{Client, Phase, Shared, Step};
use super::tally::{ErrorKind, LoadResult, Tally, Window};
use super::{LoadConfig, Mode};
use crate::buffer::Pool;
use crate::clock::Time;
use crate::http1::response::ResponseHead;
use crate::http1::{Limits, Method};
use crate::net::{Conn, Net, Ready, Role, SessionKey};
use crate::slab::{Key, Slab};
use crate::timer::Timers;

/// A client that could not connect, or whose fresh connection failed, waits this long: a server in trouble is not to be
/// hammered, nor a core burnt on refusals.
const REST: Duration = Duration::from_millis(100);
/// How long answers are waited for that count no more, so that a run leaves the server politely.
const FAREWELL: Duration = Duration::from_secs(1);

/// All state of a run.
#[derive(Debug)]
pub(super) struct Driver<N: Net> {
    target: SocketAddr,
    timeout: Duration,
    shared: Shared<N>,
    conns: Slab<Conn<N::Stream>>,
    clients: Slab<Client>,
    timers: Timers,
    tally: Tally,
    /// Of an open loop.
    arrivals: Option<Arrivals>,
    /// Clients of an open loop without a request, longest so first. Their connection may have ended.
    idle: VecDeque<Key>,
    /// Clients with more to read.
    again: Vec<Key>,
    /// Requests under way.
    in_flight: u64,
    /// When the run is over, finished or not. Set once nothing new is begun.
    over_at: Option<Time>,
}

impl<N: Net> Driver<N> {
    pub(super) fn new(config: &LoadConfig, net: N, now: Time) -> io::Result<Driver<N>> {
        let from = now.plus(config.warmup);
        let until = from.plus(config.duration);
        let arrivals = match config.mode {
            Mode::Closed => None,
            Mode::Open { rate, arrivals } => Some(Arrivals::new(rate, arrivals, config.seed, now, until)),
        };
        let shared = Shared {
            net,
            request: config.request(),
            method: Method::of(config.method.as_bytes()),
            limits: Limits { fields: 1000, ..Limits::default() },
            buffers: Pool::default(),
            bytes: 0,
            head: ResponseHead::default(),
        };
        let mut driver = Driver {
            target: config.target,
            timeout: config.timeout,
            shared,
            conns: Slab::new(),
            clients: Slab::new(),
            timers: Timers::default(),
            tally: Tally::new(Window { from, until, by_intent: arrivals.is_some() })?,
            arrivals,
            idle: VecDeque::with_capacity(config.connections),
            again: Vec::new(),
            in_flight: 0,
            over_at: None,
        };
        for _ in 0..config.connections {
            let key = driver.clients.insert(Client::new());
            driver.open(key, now);
        }
        Ok(driver)
    }

    /// Notes what the kernel said and lets the client concerned do its part at once: clients share nothing, so there
    /// is no order to keep. An event for a socket closed since is for nobody.
    pub(super) fn event(&mut self, token: usize, ready: Ready, now: Time) {
        let Some(conn) = self.conns.get_mut(Key::from_token(token)) else { return };
        conn.mark(ready);
        if let Role::Client(SessionKey(key)) = conn.role {
            self.advance(key, now);
        }
    }

    /// Does what is due.
    pub(super) fn turn(&mut self, now: Time) {
        if self.over_at.is_none() && self.tally.window.until <= now {
            self.end(now, if self.arrivals.is_some() { self.timeout } else { FAREWELL });
        }
        self.expire(now);
        for _ in 0..self.again.len() {
            let key = self.again.swap_remove(0);
            self.advance(key, now);
        }
        self.send_due(now);
    }

    /// Ends the run now rather than when it was meant to.
    pub(super) fn stop(&mut self, now: Time) {
        match self.over_at {
            Some(at) => self.over_at = Some(at.min(now.plus(FAREWELL))),
            None => {
                self.tally.window.until = now.min(self.tally.window.until);
                self.end(now, FAREWELL);
            }
        }
    }

    /// Whether nothing more is begun.
    pub(super) fn is_ending(&self) -> bool {
        self.over_at.is_some()
    }

    /// Whether nothing more is waited for.
    pub(super) fn is_over(&self, now: Time) -> bool {
        let backlog = self.arrivals.as_ref().is_some_and(|arrivals| arrivals.next().is_some());
        self.over_at.is_some_and(|at| at <= now || (self.in_flight == 0 && !backlog))
    }

    /// Whether some client can go on without an event.
    pub(super) fn is_busy(&self) -> bool {
        !self.again.is_empty()
    }

    /// When [`Driver::turn`] must be called without an event.
    pub(super) fn next_deadline(&self) -> Time {
        let end = self.over_at.unwrap_or(self.tally.window.until);
        self.timers.next().map_or(end, |due| due.min(end))
    }

    /// When the next request is due and could be sent: to be met exactly.
    pub(super) fn next_arrival(&self) -> Option<Time> {
        if self.idle.is_empty() { None } else { self.arrivals.as_ref()?.next() }
    }

    /// Answers and failures so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.tally.seen, self.tally.failed)
    }

    /// The end of it all.
    pub(super) fn finish(mut self, busy_share: f64) -> LoadResult {
        let unsent = self.arrivals.as_mut().map_or(0, Arrivals::left_over);
        self.tally.bytes = self.shared.bytes;
        self.tally.finish(self.in_flight, unsent, busy_share)
    }

    fn end(&mut self, now: Time, wait: Duration) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.end_at(now);
        }
        self.over_at = Some(now.plus(wait));
    }

    /// Lets a client go on until it has to wait.
    fn advance(&mut self, key: Key, now: Time) {
        loop {
            let Some(client) = self.clients.get_mut(key) else { return };
            let Some(conn) = self.conns.get_mut(client.conn) else { return };
            match client.step(conn, &mut self.shared) {
                Step::Wait => return,
                Step::Again => return self.again.push(key),
                Step::Connected => self.connected(key),
                Step::Answered => self.answered(key, now),
                Step::Expired => return self.hang_up(key),
                Step::Failed(kind) => return self.failed(key, kind, now),
            }
        }
    }

    fn connected(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.phase = Phase::Open;
        client.was_open = true;
        if client.intended.is_none() {
            client.deadline = Time::NEVER;
            self.idle.push_back(key);
        }
    }

    fn answered(&mut self, key: Key, now: Time) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(intended) = client.intended.take() else { return };
        self.in_flight -= 1;
        client.answers += 1;
        client.deadline = Time::NEVER;
        self.tally.answered(intended, now, client.answer.status());
        let surplus = !client.buffer.is_empty();
        if surplus {
            self.tally.failed(ErrorKind::Malformed, intended, now);
        }
        if surplus || !client.answer.keep_alive() {
            self.leave(key);
        }
        self.free(key, now);
    }

    /// The request under way, or the connection being opened, has come to nothing.
    fn failed(&mut self, key: Key, kind: ErrorKind, now: Time) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let again = client.may_send_again(kind, self.shared.method);
        let fresh = client.answers == 0;
        let intended = if again { client.intended } else { client.intended.take() };
        self.hang_up(key);
        if again {
            return self.dial(key, now);
        }
        self.in_flight -= u64::from(intended.is_some());
        self.tally.failed(kind, intended.unwrap_or(now), now);
        if fresh { self.rest(key, now) } else { self.free(key, now) }
    }

    /// The client has no request: the next one.
    fn free(&mut self, key: Key, now: Time) {
        if self.arrivals.is_some() {
            self.idle.push_back(key);
        } else if self.over_at.is_none() {
            self.begin(key, now, now);
        }
    }

    /// Sends what is due while there are clients to send it.
    fn send_due(&mut self, now: Time) {
        while let Some(intended) = self.next_arrival().filter(|at| *at <= now) {
            let Some(key) = self.idle.pop_front() else { return };
            if let Some(arrivals) = &mut self.arrivals {
                arrivals.take();
            }
            self.begin(key, intended, now);
            self.advance(key, now);
        }
    }

    /// Gives a client its next request; [`Driver::advance`] sends it.
    fn begin(&mut self, key: Key, intended: Time, now: Time) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.intended = Some(intended);
        client.rewind();
        self.in_flight += 1;
        self.set_deadline(key, now.plus(self.timeout));
        if self.clients.get(key).is_some_and(|client| client.phase == Phase::None) {
            self.dial(key, now);
        }
    }

    /// At the start and after a rest: with a request in the closed loop, to be ready for one in the open loop.
    fn open(&mut self, key: Key, now: Time) {
        if self.arrivals.is_none() {
            return self.begin(key, now, now);
        }
        self.set_deadline(key, now.plus(self.timeout));
        self.dial(key, now);
    }

    fn dial(&mut self, key: Key, now: Time) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.rewind();
        client.answers = 0;
        client.phase = Phase::Dialing;
        self.tally.reconnects += u64::from(client.was_open);
        let dialed = self.shared.net.dial(self.target).and_then(|mut stream| {
            self.shared.net.register(&mut stream, self.conns.next_key().to_token())?;
            Ok(self.conns.insert(Conn::dialled(stream, Role::Client(SessionKey(key)))))
        });
        match dialed {
            Ok(conn) => client.conn = conn,
            Err(_) => self.failed(key, ErrorKind::Connect, now),
        }
    }

    fn rest(&mut self, key: Key, now: Time) {
        if let Some(client) = self.clients.get_mut(key) {
            client.phase = Phase::Resting;
            self.set_deadline(key, now.plus(REST));
        }
    }

    /// Closes after a complete answer. A reset leaves no TIME_WAIT, of which a client that reconnects for each request
    /// would pile up more than there are ports.
    fn leave(&mut self, key: Key) {
        let Some(client) = self.clients.get(key) else { return };
        if let Some(conn) = self.conns.get_mut(client.conn)
            && !conn.ready().any(Ready::READ_CLOSED.with(Ready::GONE))
        {
            self.shared.net.reset_on_close(&mut conn.stream);
        }
        self.hang_up(key);
    }

    fn hang_up(&mut self, key: Key) {
        let Some(client) = self.clients.get_mut(key) else { return };
        self.conns.remove(client.conn);
        client.conn = Key::NONE;
        client.phase = Phase::None;
        self.shared.buffers.give(&mut client.buffer);
    }

    fn set_deadline(&mut self, key: Key, deadline: Time) {
        if let Some(client) = self.clients.get_mut(key) {
            client.deadline = deadline;
            self.timers.arm(key, &mut client.armed, deadline);
        }
    }

    fn expire(&mut self, now: Time) {
        while let Some((due, key)) = self.timers.pop_due(now) {
            let Some(client) = self.clients.get_mut(key) else { continue };
            if !Timers::is_live(due, &mut client.armed) {
                continue;
            }
            match (client.phase, client.deadline) {
                (_, Time::NEVER) => {}
                (_, deadline) if deadline > now => self.timers.arm(key, &mut client.armed, deadline),
                (Phase::Resting, _) => {
                    client.phase = Phase::None;
                    if self.over_at.is_none() {
                        self.open(key, now);
                    }
                }
                _ => self.failed(key, ErrorKind::Timeout, now),
            }
        }
    }
}
