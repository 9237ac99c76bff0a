//! When a backend cannot be connected to and there is no other: the request waits, and it is dialled again.
//!
//! Nothing of it was sent, so that costs nobody anything but time, and any method may. Two kinds of trouble pass by
//! themselves. One that restarts *refuses*: the request pauses, and asks again every now and then until the connect
//! time-out is over; whoever asks does so for all that wait, and the first who is let in wakes them. One that is slow to
//! accept *lets connection requests drop*: the kernel would send them again after a second, those of a burst all at the
//! same moment, and so all but a few in vain. Instead the dial is made anew at a time of its own, or when somebody else's
//! answer shows that the backend has accepted.
//!
//! Absent: another backend, which comes first (finish.rs), and the queue for a place on one (route.rs).

use std::time::Duration;

use super::exchange::Exchange;
use super::release::close_upstream;
use super::{Phase, Session, Step};
use crate::clock::Time;
use crate::fault::Fault;
use crate::net::Net;
use crate::proxy::{Overdue, World};
use crate::record::trace::Stamp;
use crate::upstream::health::Verdict;

/// The first pause of a request that was refused; each is twice as long, up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_LONGEST: Duration = Duration::from_millis(100);
/// A dial still under way after so long is one that an answer of the backend may speed up.
pub(super) const OVERDUE: Duration = Duration::from_millis(25);
/// The first dial is made anew after so long, or up to twice as long: before the kernel sends it again. Farther than half
/// a second away is no backend; later ones wait longer all the same.
const RENEWAL: Duration = Duration::from_millis(490);

/// Longer than the first by at most so many doublings.
const RENEWALS_MAX: u32 = 2;

/// How the dialling of one request stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redialling {
    /// It was refused and waits.
    pub pausing: bool,
    /// Its dial is taking long.
    pub overdue: bool,
    /// An answer has told that its dial is lost, or that there may be a connection in the pool.
    told: bool,
    /// The pauses so far.
    pauses: u32,
    /// The renewals so far of the dial under way.
    renewals: u32,
    /// Attempts of this round that did not reach their backend.
    unheard: u32,
    /// The same of rounds that a pause has ended: they are no retries.
    pub excused: u32,
    /// Backends that have been charged with being out of reach of it, one bit each: once is enough.
    charged: u64,
    /// When the backend that is being dialled was first dialled.
    since: Stamp,
    /// When the first of those that refused was.
    refused: Stamp,
}

impl Redialling {
    /// Another backend is dialled from now on. After one that was reached, the next refusal is the first.
    pub fn elsewhere(&mut self, reached: bool) {
        (self.since, self.renewals) = (Stamp::NOT_YET, 0);
        if reached {
            self.refused = Stamp::NOT_YET;
        }
    }

    /// Until when one that is refused waits.
    fn until<N: Net>(&self, world: &World<N>) -> Time {
        self.refused.get().map_or(world.now, |refused| refused.plus(world.config.timeouts.connect))
    }

    /// A dial begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.since.mark_first(now);
    }
}

/// The bit of a backend; those past 64 have none.
pub(super) fn bit_of(backend: usize) -> u64 {
    1u64.checked_shl(backend as u32).unwrap_or(0)
}

/// The verdict on a backend that the exchange could not connect to: a request that tries again and again is one failure.
pub(super) fn unreached(exchange: &mut Exchange) -> Verdict {
    let Some(dispatch) = exchange.dispatch else { return Verdict::Abandoned };
    exchange.redialling.unheard += 1;
    let bit = bit_of(dispatch.pick.backend);
    if exchange.redialling.charged & bit != 0 && !dispatch.entered.trial {
        return Verdict::Abandoned;
    }
    exchange.redialling.charged |= bit;
    Verdict::Failure
}

impl Session {
    /// Has a request wait that was refused and has nowhere else to go; whether it may.
    pub(super) fn pause<N: Net>(&mut self, fault: Fault, world: &mut World<N>) -> bool {
        let Some(exchange) = self.exchange.as_mut() else { return false };
        let redialling = &mut exchange.redialling;
        // Who was refused before may find all of them out by now.
        let is_out_of_reach =
            fault == Fault::ConnectFailed || (fault == Fault::NoBackend && redialling.pauses > 0);
        if !is_out_of_reach || exchange.trace.ttfb.get().is_some() || exchange.answer.is_some() {
            return false;
        }
        redialling.refused.mark_first(exchange.trace.dispatched.get().unwrap_or(world.now));
        let until = redialling.until(world);
        let has_room = redialling.pauses > 0 || world.has_room_to_wait();
        if !world.may_try_again() || until <= world.now || !has_room {
            return false;
        }
        let pause = (PAUSE_FIRST * (1 << redialling.pauses.min(8))).min(PAUSE_LONGEST);
        self.deadline = world.now.plus(world.about(pause)).min(until);
        redialling.pauses += 1;
        redialling.pausing = true;
        redialling.excused += std::mem::take(&mut redialling.unheard);
        redialling.elsewhere(false);
        if !world.upstreams.has_elsewhere(exchange.tried, world.now) {
            exchange.tried &= !exchange.redialling.charged; // who refused may be up by then
        }
        exchange.forget_attempt();
        world.refusals.join(self.key, world.now);
        world.buffers.park(&mut exchange.request.buffer);
        true
    }

    /// A pause is over. One request's refusal is enough to know for all that wait.
    pub(super) fn pause_over<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let has_left = self.client_has_finished(world);
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let until = exchange.redialling.until(world);
        if until <= world.now {
            self.stop_waiting(world); // all were asked just now: no last round
            if has_left {
                return self.fail(world, Fault::ClientGone);
            }
            return self.refuse(world, Fault::ConnectFailed);
        }
        if world.refusals.looked.plus(PAUSE_FIRST) > world.now {
            self.deadline = world.now.plus(world.about(PAUSE_LONGEST)).min(until);
            return Step::Wait;
        }
        world.refusals.leave(self.key);
        exchange.redialling.pausing = false;
        exchange.admitted = true; // others may have queued for a place meanwhile
        Step::Next(Phase::Route)
    }

    /// A dial has taken as long as its deadline says, or somebody else's answer says that it may be worth another one.
    #[cold]
    pub(super) fn dial_overdue<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let has_left = self.client_has_finished(world);
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let begun = exchange.trace.head_done.get().unwrap_or(world.now);
        let first = exchange.redialling.since.get().unwrap_or(world.now);
        let in_time = first.plus(world.config.timeouts.connect);
        if !world.may_try_again() && world.now < in_time {
            self.deadline = in_time;
            return Step::Wait;
        }
        // Where there is somebody else, only the connect time-out counts.
        let tried = exchange.tried | exchange.backend.map_or(0, bit_of);
        let is_last = !world.may_go_elsewhere(tried) || exchange.is_out_of_attempts(world.config.retries);
        let queued =
            if is_last && world.may_try_again() { world.config.queue.timeout } else { Duration::ZERO };
        let end = in_time.max(begun.plus(queued));
        if end <= world.now {
            // Whoever has closed may be waiting (half-close), so another backend comes first. Where there is none, he has
            // left, and that is all there is to tell.
            let fault = if is_last && has_left { Fault::ClientGone } else { Fault::ConnectTimeout };
            return self.fail(world, fault);
        }
        let redialling = &mut exchange.redialling;
        if !redialling.overdue {
            redialling.overdue = true;
            let dialled = exchange.trace.dispatched.get().unwrap_or(world.now);
            let backend = exchange.backend.unwrap_or(usize::MAX);
            world.overdue.push(Overdue { session: self.key, backend, dialled });
            let patience =
                (RENEWAL + world.draw_up_to(RENEWAL)) * (1 << redialling.renewals.min(RENEWALS_MAX));
            let next = if world.now < in_time { in_time } else { end };
            self.deadline = dialled.plus(patience).min(next);
            return Step::Wait;
        }
        if in_time <= world.now && !has_left {
            charge(exchange, world);
        }
        exchange.redialling.renewals += u32::from(!exchange.redialling.told);
        renew(exchange, world);
        self.leave_overdue(world);
        Step::Next(Phase::Route)
    }

    /// A dial has succeeded.
    #[cold]
    pub(super) fn note_reached<N: Net>(&mut self, world: &mut World<N>) {
        self.leave_overdue(world);
        world.wake_refused();
    }

    /// What it waited for has happened, or may have; false if it does not wait.
    pub fn rouse<N: Net>(&mut self, world: &mut World<N>) -> bool {
        let Some(exchange) = self.exchange.as_mut() else { return false };
        match self.phase {
            Phase::Route => {
                if std::mem::take(&mut exchange.redialling.pausing) {
                    world.refusals.leave(self.key);
                }
                exchange.admitted = true;
            }
            Phase::Connect if exchange.redialling.overdue => {
                exchange.redialling.told = true;
                self.deadline = world.now;
            }
            _ => return false,
        }
        true
    }

    /// Whether it waits because it was refused.
    pub(super) fn is_pausing(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.redialling.pausing)
    }

    /// It no longer waits for anybody to be reached.
    pub(super) fn stop_waiting<N: Net>(&mut self, world: &mut World<N>) {
        self.leave_overdue(world);
        if let Some(exchange) = self.exchange.as_mut()
            && std::mem::take(&mut exchange.redialling.pausing)
        {
            world.refusals.leave(self.key);
        }
    }

    /// The dial is decided.
    fn leave_overdue<N: Net>(&mut self, world: &mut World<N>) {
        let Some(exchange) = self.exchange.as_mut() else { return };
        if std::mem::take(&mut exchange.redialling.overdue) {
            world.overdue.retain(|overdue| overdue.session != self.key);
        }
    }
}

/// The same backend is dialled once more, in place of a dial that is taking long. It keeps its place there.
fn renew<N: Net>(exchange: &mut Exchange, world: &mut World<N>) {
    close_upstream(exchange, world);
    exchange.pinned = exchange.backend;
    exchange.redials += 1;
    exchange.redialling.told = false;
    exchange.forget_attempt();
}

/// Charges the backend, once, with a dial that has taken longer than the connect time-out and goes on all the same.
fn charge<N: Net>(exchange: &mut Exchange, world: &mut World<N>) {
    let Some(dispatch) = exchange.dispatch.as_mut() else { return };
    let (backend, entered) = (dispatch.pick.backend, dispatch.entered);
    let bit = bit_of(backend);
    if bit == 0 || exchange.redialling.charged & bit != 0 {
        return;
    }
    exchange.redialling.charged |= bit;
    dispatch.entered.trial = false;
    exchange.fault = Some(Fault::ConnectTimeout);
    world.judge(backend, entered, Verdict::Failure, exchange, true);
    exchange.fault = None;
    world.stats.backend_failed(backend);
}
