//! The listening socket: when to accept, and how many at once.
//!
//! Every other socket is edge-triggered. The listener is level-triggered where that can be had (epoll), for then it need
//! not be asked until it says that nobody is left: a client that comes alone costs one `accept4`, not two. The price is
//! that a listener one does not want to hear of has to be quietened, or the poll would return at once, again and again.

use std::io::{self, ErrorKind};
use std::time::Duration;

use mio::Registry;
use mio::net::TcpListener;

use super::{LISTENER, Service, is_exhaustion};
use crate::clock::Time;

/// Connections accepted in one round: the clients that are here already come first.
pub(super) const ACCEPTS_MAX: usize = 64;
/// How long accepting rests when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Rounds in a row that found all they asked for, before the next ones ask for twice as many.
const FULL_ROUNDS: u32 = 8;

#[derive(Debug)]
pub(super) struct Acceptor {
    listener: Option<TcpListener>,
    /// Whether the kernel tells again of those who are left waiting; without, they are to be asked for until none is left.
    is_level: bool,
    /// Somebody may wait.
    ready: bool,
    rests_until: Time,
    is_quiet: bool,
    /// The rest is for want of room, and ends when there is some.
    wants_room: bool,
    /// So many a round; an `accept4` that finds nobody says it was too many.
    batch: usize,
    full_rounds: u32,
}

impl Acceptor {
    pub(super) fn new(mut listener: TcpListener, registry: &Registry) -> io::Result<Acceptor> {
        let is_level = register(&mut listener, registry)?;
        Ok(Acceptor {
            listener: Some(listener),
            is_level,
            ready: true,
            rests_until: Time::ZERO,
            is_quiet: false,
            wants_room: false,
            batch: 1,
            full_rounds: 0,
        })
    }

    /// The kernel says that somebody waits.
    pub(super) fn heard(&mut self) {
        self.ready = true;
    }

    /// When to accept without having heard anything.
    pub(super) fn due(&self) -> Option<Time> {
        (self.ready && self.listener.is_some()).then_some(self.rests_until)
    }

    /// Accepts a batch; returns how many.
    pub(super) fn accept<S: Service>(&mut self, service: &mut S, registry: &Registry, now: Time) -> usize {
        if self.wants_room && service.has_room() {
            (self.wants_room, self.rests_until) = (false, Time::ZERO);
        }
        if self.is_quiet && self.rests_until <= now {
            self.set_quiet(false, registry);
        }
        let most = if self.is_level { self.batch } else { ACCEPTS_MAX };
        let accepted = self.take(most, service, now);
        if accepted < most {
            self.full_rounds = 0;
        } else if self.is_level {
            self.ready = false; // who is left is told of by the next poll
            self.full_rounds += 1;
            if self.full_rounds == FULL_ROUNDS {
                (self.full_rounds, self.batch) = (0, (self.batch * 2).min(ACCEPTS_MAX));
            }
        }
        if self.rests_until > now && !self.is_quiet {
            self.set_quiet(true, registry);
        }
        accepted
    }

    fn take<S: Service>(&mut self, most: usize, service: &mut S, now: Time) -> usize {
        let Some(listener) = &self.listener else { return 0 };
        let mut accepted = 0;
        while self.ready && accepted < most && self.rests_until <= now {
            if !service.has_room() {
                // One look tells whether anybody waits; what said so may have been spent on somebody else.
                if !is_readable(listener) {
                    self.ready = false;
                    break;
                }
                service.make_room();
                if !service.has_room() {
                    self.wants_room = true;
                    self.rests_until = now.plus(ACCEPT_PAUSE);
                    break;
                }
            }
            match listener.accept() {
                Ok((stream, peer)) => {
                    service.accept(stream, peer, now);
                    accepted += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ready = false;
                    self.batch = accepted.max(1);
                }
                Err(error) if is_exhaustion(&error) => {
                    self.rests_until = now.plus(ACCEPT_PAUSE);
                    service.shed();
                }
                // The client gave up while it waited (ECONNABORTED), or a signal came: on to the next.
                Err(_) => accepted += 1,
            }
        }
        accepted
    }

    /// Accepts whom the kernel has accepted for us already, for they would see a reset; then listens no more.
    pub(super) fn close<S: Service>(&mut self, service: &mut S, registry: &Registry, now: Time) {
        self.batch = ACCEPTS_MAX;
        self.ready = true;
        while service.has_room() && self.accept(service, registry, now) == ACCEPTS_MAX {
            self.ready = true;
        }
        if let Some(listener) = self.listener.take() {
            // Where others hold the same socket (systemd does) closing alone would leave it in the poll.
            deregister(&listener, registry);
        }
    }

    fn set_quiet(&mut self, quiet: bool, registry: &Registry) {
        self.is_quiet = quiet;
        if let Some(listener) = &self.listener
            && self.is_level
        {
            // One that cannot be changed back is one that tells but once.
            self.is_level = set_level(listener, registry, !quiet) || quiet;
        }
    }
}

#[cfg(target_os = "linux")]
fn flags(is_level: bool) -> rustix::event::epoll::EventFlags {
    use rustix::event::epoll::EventFlags;
    if is_level { EventFlags::IN } else { EventFlags::IN | EventFlags::ET }
}

/// Level-triggered, which mio does not offer; its poll is an epoll instance like any other.
#[cfg(target_os = "linux")]
fn register(listener: &mut TcpListener, registry: &Registry) -> io::Result<bool> {
    use rustix::event::epoll::{EventData, add};
    add(registry, listener, EventData::new_u64(LISTENER.0 as u64), flags(true))?;
    Ok(true)
}

#[cfg(target_os = "linux")]
fn set_level(listener: &TcpListener, registry: &Registry, is_level: bool) -> bool {
    use rustix::event::epoll::{EventData, modify};
    modify(registry, listener, EventData::new_u64(LISTENER.0 as u64), flags(is_level)).is_ok()
}

#[cfg(target_os = "linux")]
fn deregister(listener: &TcpListener, registry: &Registry) {
    let _ = rustix::event::epoll::delete(registry, listener); // not there is as good
}

#[cfg(not(target_os = "linux"))]
fn register(listener: &mut TcpListener, registry: &Registry) -> io::Result<bool> {
    registry.register(listener, LISTENER, mio::Interest::READABLE)?;
    Ok(false)
}

#[cfg(not(target_os = "linux"))]
fn set_level(_: &TcpListener, _: &Registry, _: bool) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn deregister(_: &TcpListener, _: &Registry) {}

/// Whether a client waits to be accepted.
fn is_readable(listener: &TcpListener) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // When it cannot be told, accepting will.
    !matches!(poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&at_once)), Ok(0))
}
