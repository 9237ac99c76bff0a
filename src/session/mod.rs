//! One client connection and the exchange it is in, phase by phase.
//!
//! ```text
//!            +-----------------------------------------------------------+
//!            v                                                           |
//!   Head: read until a head parses --> Route: pick, check out or dial    | keep-alive
//!     |  \                                |                 ^            |
//!     |   \ malformed, too large, slow    v                 | elsewhere  |
//!     |    \                          Connect --------------+            |
//!     |     v                             |                              |
//!     |   Refuse: our own answer          v                              |
//!     |     |                          Relay: both flows, one pump --> Finish: one record
//!     |     |                             |  101                         |
//!     |     |                             v                              | close
//!     |     |                          Tunnel                            v
//!     +-----+----------------------------------------------------> Linger --> gone
//! ```
//!
//! [`Session::advance`] is the one switch and the only writer of `phase`. A step does its part and returns the next
//! phase, or waits; it never calls another step. Readiness is noted elsewhere ([`crate::proxy`]) before any step runs,
//! so a step may be called for no reason at all and must then change nothing.

mod answer;
mod closing;
mod connect;
mod doubt;
mod exchange;
mod finish;
mod head;
mod linger;
mod pump;
mod redial;
mod refuse;
mod relay;
mod release;
mod route;
mod suspect;
mod tunnel;
mod waiting;

use std::net::{IpAddr, SocketAddr};

pub use exchange::{Bound, Dispatch, Exchange, Flow};

use crate::clock::Time;
use crate::fault::Fault;
use crate::net::{ConnKey, Net, SessionKey};
use crate::proxy::World;
use crate::timer::Armed;
use crate::upstream::blame::short_of;

/// Where a session stands between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests, or reading the head of one.
    Head,
    /// Choosing a backend and a connection to it.
    Route,
    /// Waiting for a dialled socket.
    Connect,
    /// Bytes move both ways.
    Relay,
    /// Bytes move both ways and mean nothing to us (after a 101).
    Tunnel,
    /// Our own answer is on its way out.
    Refuse,
    /// The exchange is over: account for it.
    Finish,
    /// The last answer is out; what the client still sends is discarded for a moment.
    Linger,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on in this phase, now.
    Next(Phase),
    /// Nothing more to do until an event or the deadline.
    Wait,
    /// More to do, but it is the others' turn first.
    Again,
    /// The connection is to be closed and the session forgotten.
    Gone,
}

/// What a whole turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Call again after an event or at the deadline.
    Wait,
    /// Call again in the next round.
    Again,
    /// Remove it.
    Done,
}

/// One client connection. What an idle one does not need is in the [`Exchange`], which it does not have.
#[derive(Debug)]
pub struct Session {
    /// Its own name, for the roles of the connections it owns.
    pub key: SessionKey,
    /// Its client connection.
    pub client: ConnKey,
    /// Peer address of that.
    pub peer: SocketAddr,
    /// Stands for that client among others: for IPv6 its network, within which addresses change.
    pub mark: u32,
    /// When to be woken without an event.
    pub deadline: Time,
    /// The wake-up queued for that.
    pub armed: Armed,
    /// Whether it is in the run queue.
    pub queued: bool,
    /// The request being read, answered or discarded.
    pub exchange: Option<Box<Exchange>>,
    /// The connection to a backend that is this client's alone, because it is logged in.
    pub bound: Option<Bound>,
    phase: Phase,
}

impl Session {
    /// A session for a connection just accepted.
    pub fn new(key: SessionKey, client: ConnKey, peer: SocketAddr, deadline: Time) -> Session {
        let mark = match peer.ip() {
            IpAddr::V4(ip) => short_of(&ip.octets()),
            IpAddr::V6(ip) => short_of(&ip.octets()[..8]),
        };
        Session {
            key,
            client,
            peer,
            mark,
            deadline,
            armed: Armed::NO,
            queued: false,
            exchange: None,
            bound: None,
            phase: Phase::Head,
        }
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is between two requests, with nothing read of the next.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head && self.exchange.is_none()
    }

    /// Does all that can be done now.
    pub fn advance<N: Net>(&mut self, world: &mut World<N>) -> Turn {
        let (mut step, mut expired) = (Step::Next(self.phase), false);
        loop {
            while let Step::Next(phase) = step {
                let was = std::mem::replace(&mut self.phase, phase);
                step = match phase {
                    // The next request is here already: it waits its turn, or a client that pipelines requests we can
                    // answer without waiting would keep everybody else out.
                    Phase::Head if was == Phase::Finish && self.exchange.is_some() => Step::Again,
                    Phase::Head => self.read_head(world),
                    Phase::Route => self.route(world),
                    Phase::Connect => self.connect(world),
                    Phase::Relay => self.relay(world),
                    Phase::Tunnel => self.tunnel(world),
                    Phase::Refuse => self.send_refusal(world),
                    Phase::Finish => self.finish(world),
                    Phase::Linger => self.linger(world),
                };
            }
            // Only now: what has come counts, however late it is looked at. Where we stood still for longer than a
            // time-out (a paused machine), nobody else has kept us waiting.
            if step != Step::Wait || world.now < self.deadline || expired {
                break;
            }
            (step, expired) = (self.expire(world), true);
        }
        match step {
            Step::Next(_) | Step::Wait => Turn::Wait,
            Step::Again => Turn::Again,
            Step::Gone => Turn::Done,
        }
    }

    /// Ends what is under way, with a record of it; the caller removes the session.
    pub fn cut_off<N: Net>(&mut self, world: &mut World<N>, fault: Fault) {
        let begun = self.exchange.as_ref().is_some_and(|exchange| exchange.trace.head_done.get().is_some());
        if (begun && self.phase != Phase::Linger) || self.phase == Phase::Refuse {
            self.abort(world, fault);
        }
    }

    /// Whether the client has sent nothing of a request: at most the empty lines that some send too many behind a body.
    /// A 408 could be taken for the answer to the request it sends next.
    fn has_begun_nothing(&self) -> bool {
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        self.exchange.as_ref().is_none_or(|exchange| exchange.request.buffer.raw().iter().all(is_line_end))
    }

    /// Whether it waits for a file descriptor.
    fn is_short_of_descriptor(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.short_of_descriptor)
    }

    /// The deadline of the phase has passed.
    #[cold]
    fn expire<N: Net>(&mut self, world: &mut World<N>) -> Step {
        self.deadline = Time::NEVER;
        match self.phase {
            Phase::Head if self.has_begun_nothing() => Step::Gone,
            Phase::Head => self.refuse(world, Fault::RequestHeadTimeout),
            Phase::Connect => self.dial_overdue(world),
            Phase::Relay => self.relay_expired(world),
            Phase::Route if self.is_short_of_descriptor() => Step::Next(Phase::Route),
            Phase::Route if self.is_pausing() => self.pause_over(world),
            Phase::Route => {
                if self.exchange.as_ref().is_some_and(|exchange| exchange.admitted) {
                    world.wake_waiting(); // the place that came free too late for this one
                } else {
                    world.leave_queue(self.key);
                }
                let has_left = self.client_has_finished(world);
                self.fail(world, if has_left { Fault::ClientGone } else { Fault::QueueTimeout })
            }
            Phase::Tunnel => self.abort(world, Fault::TunnelIdle),
            Phase::Refuse => self.abort(world, Fault::ClientStalled),
            Phase::Finish | Phase::Linger => Step::Gone,
        }
    }
}
