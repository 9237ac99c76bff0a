//! Phase 2: ask the policy for a backend, then check a connection out of its pool or dial one.

use std::time::Duration;

use super::exchange::{Bound, Exchange, Upstream};
use super::finish::settle;
use super::redial::OVERDUE;
use super::{Phase, Session, Step};
use crate::fault::Fault;
use crate::http1::rewrite;
use crate::net::{Conn, ConnKey, Net, Role};
use crate::proxy::World;
use crate::upstream::Closed;
use crate::upstream::health::Verdict;

/// How soon a dial that found no file descriptor is tried again.
const DESCRIPTOR_RETRY: Duration = Duration::from_millis(50);

impl Session {
    /// Finds this request a backend and a connection to it.
    pub(super) fn route<N: Net>(&mut self, world: &mut World<N>) -> Step {
        if self.is_pausing() {
            let is_gone = self.leaves_queue(world);
            return if is_gone { self.fail(world, Fault::ClientGone) } else { Step::Wait };
        }
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        if exchange.admitted && self.leaves_queue(world) {
            world.wake_waiting(); // its turn is the next one's
            return self.fail(world, Fault::ClientGone);
        }
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        exchange.short_of_descriptor = false;
        if let Some(bound) = self.bound.take()
            && self.go_by_own(bound, world)
        {
            return Step::Next(Phase::Relay);
        }
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let (backend, fresh) = match exchange.pinned.take() {
            Some(backend) => (backend, exchange.trace.reused), // one that was idle may be as dead as the last
            None => match choose(exchange, world) {
                Ok(backend) => (backend, false),
                Err(Closed::Full) => return self.wait_for_place(world),
                Err(Closed::Out) => {
                    if exchange.admitted {
                        world.wake_waiting(); // the others are to be told too
                    }
                    return self.fail(world, Fault::NoBackend);
                }
            },
        };
        exchange.backend = Some(backend);
        exchange.request.rewind();
        if exchange.lacks_host {
            name_host(exchange, world.upstreams.authority(backend));
        }
        let is_repeatable = exchange.facts.method.is_idempotent();
        if !fresh && let Some(taken) = world.check_out(backend, is_repeatable) {
            exchange.trace.dispatch(world.now, true);
            exchange.upstream = Upstream::Connected(taken.conn);
            exchange.previous = Some((taken.rest, taken.after));
            world.give_role(taken.conn, Role::Upstream(self.key));
            return Step::Next(Phase::Relay);
        }
        exchange.previous = None;
        let dialled = world.dial(backend);
        if dialled.as_ref().is_err_and(|fault| *fault == Fault::Exhausted) {
            return self.wait_for_descriptor(world);
        }
        exchange.trace.dispatch(world.now, false);
        match dialled {
            Ok(stream) => {
                let conn = Conn::dialled(stream, Role::Upstream(self.key));
                let conn = ConnKey(world.conns.insert(conn));
                world.upstreams.opened(backend);
                if world.keeps_upstream() {
                    world.upstreams.dialled(backend, conn, world.now);
                }
                exchange.upstream = Upstream::Dialled { conn, registered: false };
                exchange.redialling.begin(world.now);
                self.deadline = world.now.plus(world.config.timeouts.connect.min(OVERDUE));
                Step::Next(Phase::Connect)
            }
            Err(fault) => self.fail(world, fault),
        }
    }

    /// Sends the request over the connection that is this client's alone, if that is still there.
    #[cold]
    fn go_by_own<N: Net>(&mut self, bound: Bound, world: &mut World<N>) -> bool {
        let Some(exchange) = self.exchange.as_mut() else { return false };
        let Bound { backend, conn } = bound;
        if !world.upstreams.is_open(backend) || world.look(conn, true).is_some() {
            world.upstreams.closed(backend);
            world.close(conn, false);
            return false;
        }
        world.decide_on(exchange, backend);
        exchange.backend = Some(backend);
        exchange.request.rewind();
        if exchange.lacks_host {
            name_host(exchange, world.upstreams.authority(backend));
        }
        exchange.trace.dispatch(world.now, true);
        exchange.upstream = Upstream::Connected(conn);
        exchange.login = true;
        true
    }

    /// No socket can be opened now: soon, when idle clients have made room.
    fn wait_for_descriptor<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let begun = exchange.trace.head_done.get().unwrap_or(world.now);
        settle(exchange, Verdict::Abandoned, world);
        if begun.plus(world.config.timeouts.connect) <= world.now {
            return self.fail(world, Fault::Exhausted);
        }
        world.wants_descriptors = true;
        exchange.short_of_descriptor = true;
        self.deadline = world.now.plus(DESCRIPTOR_RETRY);
        Step::Wait
    }

    /// Every backend has as many requests as it may: in the queue, first come first served.
    fn wait_for_place<N: Net>(&mut self, world: &mut World<N>) -> Step {
        if self.leaves_queue(world) {
            world.leave_queue(self.key);
            return self.fail(world, Fault::ClientGone);
        }
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let begun = exchange.trace.head_done.get().unwrap_or(world.now);
        if world.waiting.contains(&self.key) {
            return Step::Wait; // an event of no consequence: its place in the queue stands
        }
        if exchange.admitted {
            exchange.admitted = false; // somebody else was quicker: back to the front
            world.waiting.push_front(self.key);
        } else if world.waiting.len() >= world.config.queue.max {
            return self.fail(world, Fault::QueueFull);
        } else {
            world.waiting.push_back(self.key);
        }
        self.deadline = begun.plus(world.config.queue.timeout);
        Step::Wait
    }
}

/// A request that came without a Host goes to each backend with that one's own name as configured.
#[cold]
fn name_host(exchange: &mut Exchange, host: &str) {
    let more = rewrite::put_host(host, &mut exchange.request.out);
    exchange.request.head_len = exchange.request.head_len.saturating_add_signed(more);
}

/// The policy's pick among those not tried yet, entered as in flight.
fn choose<N: Net>(exchange: &mut Exchange, world: &mut World<N>) -> Result<usize, Closed> {
    if !exchange.admitted && !world.waiting.is_empty() {
        return Err(Closed::Full); // others came first
    }
    let backend = world.decide(exchange)?;
    if exchange.admitted {
        exchange.admitted = false;
        world.wake_waiting(); // there may be more room than the one place: the next one looks
    }
    Ok(backend)
}
