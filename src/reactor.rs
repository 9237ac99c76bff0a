//! The loop: the only poll and the only clock.
//!
//! Waits for events, tells a [`Service`] what the kernel said and what time it is, accepts, and carries orders from
//! other threads. It knows neither HTTP nor sessions: the proxy and the small responder run on the same loop. Nothing
//! here blocks but the poll, and nothing clever happens here.

mod acceptor;
mod control;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Poll, Registry, Token, Waker};

use crate::clock::{Time, Wall};
use crate::net::Ready;

use acceptor::Acceptor;
pub use control::Control;
use control::{COMMANDS, DRAIN, ENDED, MAKE_ROOM, RELOAD, REOPEN_LOG, STOP};

/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// Being so much later than asked for is more than the kernel's rounding and a long turn: the machine was paused.
const LATE: Duration = Duration::from_millis(50);
/// How often the service may publish what it has counted, and the wall clock is looked at again.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// What a turn left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Nothing until an event or the next deadline.
    Idle,
    /// Another round, but events come first.
    Busy,
    /// This round is not over; only the time should be read again.
    Unfinished,
}

/// What runs on a reactor.
pub trait Service {
    /// A client has connected.
    fn accept(&mut self, stream: TcpStream, peer: SocketAddr, now: Time);

    /// Whether another client may be accepted.
    fn has_room(&self) -> bool;

    /// The process is out of file descriptors: give some back if that hurts nobody.
    fn shed(&mut self);

    /// There are as many clients as may be, and another one waits: let go of those that will hardly notice.
    fn make_room(&mut self);

    /// The poll has returned: it is now `now`.
    fn woke(&mut self, now: Time);

    /// The kernel said this of the socket registered under `token`.
    fn mark(&mut self, token: usize, ready: Ready);

    /// Does what is due and what was marked. `unix_seconds` is the wall clock's.
    fn turn(&mut self, now: Time, unix_seconds: u64) -> Turned;

    /// When to be called without an event.
    fn next_deadline(&self) -> Option<Time>;

    /// Shows the counts to whoever looks, and says whether those were all. Called now and then, and once more after the
    /// last activity, or until they were.
    fn publish(&mut self, pulse: Pulse) -> bool;

    /// An order from outside; `Stop` is seen to by the reactor itself as well.
    fn order(&mut self, order: Order);

    /// Whether a drain has come to its end.
    fn is_drained(&self) -> bool;

    /// The loop has ended: account for what is cut off.
    fn stop(&mut self, pulse: Pulse);
}

/// What the loop itself knows and shows with the counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// Now, by both clocks.
    pub wall: Wall,
    /// How long the loop has been at work, in all: not waiting for events.
    pub busy: Duration,
}

/// What another thread or a signal may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Readiness fails from now on; everything else goes on.
    Unready,
    /// Finish what is under way, take nothing new.
    Drain,
    /// Another worker needs room for a client: let go of those that will hardly notice.
    MakeRoom,
    /// End now.
    Stop,
    /// Reopen the log.
    ReopenLog,
    /// Adopt the configuration that lies ready.
    Reload,
    /// Carry out the commands that lie ready.
    Commands,
}

/// How a drain goes about it.
#[derive(Clone, Copy, Debug)]
pub struct DrainTimes {
    /// From failing readiness to refusing connections.
    pub delay: Duration,
    /// From refusing connections to the hard stop.
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Serving,
    Unready { until: Time },
    Draining { until: Time },
}

/// One thread's loop.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    acceptor: Acceptor,
    clock: Clock,
    orders: Arc<AtomicU8>,
    waker: Arc<Waker>,
    drain: DrainTimes,
    state: State,
    publish_due: Time,
    dirty: bool,
    /// How long the poll has waited, in all.
    waited: Duration,
}

impl Reactor {
    /// A loop for this listener.
    ///
    /// # Errors
    /// When the system has no file descriptors left.
    pub fn new(listener: TcpListener, drain: DrainTimes) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let acceptor = Acceptor::new(listener, poll.registry())?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Reactor {
            poll,
            events: Events::with_capacity(EVENTS),
            acceptor,
            clock: Clock::start(),
            orders: Arc::new(AtomicU8::new(0)),
            waker,
            drain,
            state: State::Serving,
            publish_due: Time::ZERO,
            dirty: true,
            waited: Duration::ZERO,
        })
    }

    /// Where sockets are registered.
    ///
    /// # Errors
    /// When the system has no file descriptors left.
    pub fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }

    /// For orders from other threads.
    pub fn control(&self) -> Control {
        Control::of(self.orders.clone(), self.waker.clone())
    }

    /// The instant from which the service's times count.
    pub fn origin(&self) -> Instant {
        self.clock.origin
    }

    /// Counts its times from `origin`, as others do that are to compare theirs with them. Before it runs.
    pub fn count_from(&mut self, origin: Instant) {
        self.clock.origin = origin;
        self.clock.look_at_the_wall(self.clock.now());
    }

    /// Now, by both clocks.
    pub fn wall(&self) -> Wall {
        self.pulse(self.clock.now()).wall
    }

    /// Runs until stopped or drained.
    ///
    /// # Errors
    /// When the poll itself fails.
    pub fn run<S: Service>(mut self, service: &mut S) -> io::Result<()> {
        let mut now = self.clock.now();
        let mut turned = Turned::Idle;
        loop {
            let timeout = self.timeout(service, turned, now);
            // The one further look at the clock that the busy share costs, and only of a loop that has time to wait.
            let rested = if timeout == Some(Duration::ZERO) { None } else { Some(self.clock.now()) };
            let asked = now;
            let mut woken;
            (now, woken) = self.hear(service, timeout)?;
            self.waited += rested.map_or(Duration::ZERO, |rested| now.since(rested));
            // We stood still: what came meanwhile must not be later than the deadlines that passed meanwhile.
            if timeout.is_some_and(|timeout| now.since(asked) > timeout + LATE) {
                let (later, also) = self.hear(service, Some(Duration::ZERO))?;
                (now, woken) = (later, woken || also);
            }
            if self.events.is_empty() && service.next_deadline().is_some_and(|due| due <= now) {
                self.dirty = true; // what a time-out does is to be shown, and there may be no event after it
            }
            if (woken && self.take_orders(service, now)) || self.drain_on(service, now) {
                break;
            }
            turned = service.turn(now, self.clock.unix_seconds(now));
            while turned == Turned::Unfinished {
                now = self.clock.now();
                turned = service.turn(now, self.clock.unix_seconds(now));
            }
            self.acceptor.accept(service, self.poll.registry(), now);
            self.publish(service, now);
        }
        // Before the last rows are written, which may take its time: whoever watches must not take that for a hang.
        self.orders.fetch_or(ENDED, Ordering::SeqCst);
        now = self.clock.now();
        service.stop(self.pulse(now));
        Ok(())
    }

    /// Waits for events and passes them on. Gives the time, and whether an order is there.
    fn hear<S: Service>(&mut self, service: &mut S, timeout: Option<Duration>) -> io::Result<(Time, bool)> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = self.clock.now();
        service.woke(now);
        let mut woken = false;
        for event in &self.events {
            match event.token() {
                LISTENER => self.acceptor.heard(),
                WAKER => woken = true,
                Token(token) => service.mark(token, ready_of(event)),
            }
            self.dirty = true;
        }
        Ok((now, woken))
    }

    fn timeout<S: Service>(&self, service: &S, turned: Turned, now: Time) -> Option<Duration> {
        let accept = self.acceptor.due();
        // The turn that let the last client go was the end of a drain: nobody would wake us to see it.
        let is_over = matches!(self.state, State::Draining { .. }) && service.is_drained();
        if is_over || turned != Turned::Idle || accept.is_some_and(|due| due <= now) {
            return Some(Duration::ZERO);
        }
        let own = match self.state {
            State::Serving => None,
            State::Unready { until } | State::Draining { until } => Some(until),
        };
        let publish = self.dirty.then_some(self.publish_due);
        let next = [service.next_deadline(), own, accept, publish].into_iter().flatten().min()?;
        Some(next.since(now)) // mio rounds up to whole milliseconds, so no wake-up comes too early
    }

    /// Carries out what was ordered; `true` means end now.
    fn take_orders<S: Service>(&mut self, service: &mut S, now: Time) -> bool {
        let orders = self.orders.fetch_and(DRAIN, Ordering::SeqCst); // DRAIN stays: the second one means stop
        if orders & REOPEN_LOG != 0 {
            service.order(Order::ReopenLog);
        }
        if orders & RELOAD != 0 {
            service.order(Order::Reload);
        }
        if orders & COMMANDS != 0 {
            service.order(Order::Commands);
        }
        if orders & MAKE_ROOM != 0 {
            service.order(Order::MakeRoom);
        }
        if orders & DRAIN != 0 && matches!(self.state, State::Serving) {
            service.order(Order::Unready);
            self.state = State::Unready { until: now.plus(self.drain.delay) };
        }
        orders & STOP != 0
    }

    /// Moves a drain forward; `true` means it is over.
    fn drain_on<S: Service>(&mut self, service: &mut S, now: Time) -> bool {
        if let State::Unready { until } = self.state
            && until <= now
        {
            self.acceptor.close(service, self.poll.registry(), now);
            service.order(Order::Drain);
            self.state = State::Draining { until: now.plus(self.drain.timeout) };
        }
        match self.state {
            State::Draining { until } => until <= now || service.is_drained(),
            _ => false,
        }
    }

    fn publish<S: Service>(&mut self, service: &mut S, now: Time) {
        if self.dirty && self.publish_due <= now {
            self.clock.look_at_the_wall(now);
            self.dirty = !service.publish(self.pulse(now));
            // On a grid, or a page's seconds would slip.
            let due = self.publish_due.plus(PUBLISH_EVERY);
            self.publish_due = if due > now { due } else { now.plus(PUBLISH_EVERY) };
        }
    }

    fn pulse(&self, now: Time) -> Pulse {
        let busy = now.since(Time::ZERO).saturating_sub(self.waited);
        Pulse { wall: Wall { at: now, unix_ms: self.clock.unix_ms(now) }, busy }
    }
}

/// Monotonic time, and the wall's by way of an offset looked up now and then: one system call saved per round.
#[derive(Debug)]
struct Clock {
    origin: Instant,
    unix_at_origin: Duration,
}

impl Clock {
    fn start() -> Clock {
        let mut clock = Clock { origin: Instant::now(), unix_at_origin: Duration::ZERO };
        clock.look_at_the_wall(Time::ZERO);
        clock
    }

    fn now(&self) -> Time {
        Time::ZERO.plus(self.origin.elapsed())
    }

    fn look_at_the_wall(&mut self, now: Time) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_at_origin = unix.saturating_sub(now.since(Time::ZERO));
    }

    fn unix_ms(&self, now: Time) -> u64 {
        u64::try_from((self.unix_at_origin + now.since(Time::ZERO)).as_millis()).unwrap_or(u64::MAX)
    }

    fn unix_seconds(&self, now: Time) -> u64 {
        (self.unix_at_origin + now.since(Time::ZERO)).as_secs()
    }
}

/// What an event says of its socket.
pub(crate) fn ready_of(event: &Event) -> Ready {
    let mut ready = Ready::NONE;
    if event.is_readable() {
        ready = ready.with(Ready::READABLE);
    }
    if event.is_writable() {
        ready = ready.with(Ready::WRITABLE);
    }
    if event.is_read_closed() {
        ready = ready.with(Ready::READ_CLOSED).with(Ready::READABLE);
    }
    // Both directions closed, or an error: either way no byte can be sent any more. What was received before can
    // still be read.
    if event.is_write_closed() || event.is_error() {
        ready = ready.with(Ready::GONE).with(Ready::READABLE).with(Ready::WRITABLE);
    }
    ready
}

/// Whether it is we who have run out of something, not the peer.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
