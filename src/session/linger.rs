//! A client that still sends though nobody reads its request any more, and a client that has left.
//!
//! Closing with unread input would send a reset, and a reset can erase the answer before the client has read it (RFC 9112
//! section 9.6). Many clients send all of a request before they read: they have their answer only if all of it is taken.

use super::exchange::Exchange;
use super::pump::{self, TURN_BYTES_MAX};
use super::{Phase, Session, Step};
use crate::config::AbortOnClose;
use crate::net::{Fill, Net, Ready};
use crate::proxy::World;

impl Session {
    /// Whether something of the client's is unread, or still to come.
    pub(super) fn is_still_sending<N: Net>(&self, exchange: &Exchange, world: &World<N>) -> bool {
        let unread = world.conns.get(self.client.0).is_some_and(|conn| conn.ready().any(Ready::READABLE));
        unread || !exchange.request.body.is_finished() || !exchange.request.buffer.is_empty()
    }

    /// The last answer is out, and our side closed: what the client still sends is discarded, until nothing has come for the
    /// one time-out, or until the other is over.
    #[cold]
    pub(super) fn begin_linger<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(conn) = world.conns.get_mut(self.client.0) else { return Step::Gone };
        if world.net.finish_writing(&mut conn.stream).is_err() {
            return Step::Gone;
        }
        let times = world.config.timeouts;
        let mut exchange = world.exchange();
        exchange.linger_until = world.now.plus(times.linger_total);
        self.deadline = world.now.plus(times.linger).min(exchange.linger_until);
        self.exchange = Some(exchange);
        Step::Next(Phase::Linger)
    }

    /// Discards what has come.
    #[cold]
    pub(super) fn linger<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(mut exchange) = self.exchange.take() else { return Step::Gone };
        let before = exchange.request.read;
        let step = self.discard(&mut exchange, world);
        if exchange.request.read > before {
            self.deadline = world.now.plus(world.config.timeouts.linger).min(exchange.linger_until);
        }
        let is_over = world.now >= exchange.linger_until; // who never pauses is told by no deadline
        world.buffers.park(&mut exchange.request.buffer);
        self.exchange = Some(exchange);
        if is_over { Step::Gone } else { step }
    }

    /// Takes what the client sends, a turn's worth, and forgets it.
    #[cold]
    pub(super) fn discard<N: Net>(&self, exchange: &mut Exchange, world: &mut World<N>) -> Step {
        let flow = &mut exchange.request;
        let mut budget = TURN_BYTES_MAX;
        loop {
            flow.let_go();
            flow.buffer.sent(flow.buffer.ready().len());
            flow.buffer.drop_raw(flow.buffer.raw().len());
            if budget == 0 {
                return Step::Again;
            }
            match pump::fill(world, flow, self.client) {
                Fill::Bytes(count) => budget = budget.saturating_sub(count),
                Fill::Blocked => return Step::Wait,
                Fill::Closed | Fill::Broken(_) => return Step::Gone,
            }
        }
    }

    /// Whether the kernel says that the client can neither send nor receive any more.
    pub(super) fn client_is_gone<N: Net>(&self, world: &World<N>) -> bool {
        world.conns.get(self.client.0).is_none_or(|conn| conn.ready().any(Ready::GONE))
    }

    /// Whether the client has closed its side, at least.
    pub(super) fn client_has_finished<N: Net>(&self, world: &World<N>) -> bool {
        let over = Ready::READ_CLOSED.with(Ready::GONE);
        world.conns.get(self.client.0).is_none_or(|conn| conn.ready().any(over))
    }

    /// Whether the request is given up because its client has left: as the kernel says, or where a close is enough
    /// (`--abort-on-close on`), as its close behind the request says.
    #[inline(always)]
    pub(super) fn client_has_left<N: Net>(&self, exchange: &mut Exchange, world: &mut World<N>) -> bool {
        self.client_is_gone(world)
            || (world.config.abort_on_close == AbortOnClose::On && self.has_closed_behind(exchange, world))
    }

    /// Whether the client's end of file stands right behind the request; further requests before it are read for that, as
    /// many as one read brings.
    #[cold]
    fn has_closed_behind<N: Net>(&self, exchange: &mut Exchange, world: &mut World<N>) -> bool {
        if !exchange.request.body.is_finished() || !self.client_has_finished(world) {
            return false;
        }
        let has_more = |exchange: &Exchange| !exchange.request.buffer.raw().is_empty();
        let is_unread = world.conns.get(self.client.0).is_some_and(|conn| conn.ready().any(Ready::READABLE));
        if !has_more(exchange) && is_unread {
            let _ = pump::fill(world, &mut exchange.request, self.client);
        }
        !has_more(exchange)
    }

    /// The same of a request that is being connected for: which connection it gets must make no difference.
    #[inline(always)]
    pub(super) fn is_given_up<N: Net>(&mut self, world: &mut World<N>) -> bool {
        self.client_is_gone(world)
            || (world.config.abort_on_close == AbortOnClose::On && self.is_closed_behind(world))
    }

    #[cold]
    fn is_closed_behind<N: Net>(&mut self, world: &mut World<N>) -> bool {
        let Some(mut exchange) = self.exchange.take() else { return false };
        let is_closed = self.has_closed_behind(&mut exchange, world);
        self.exchange = Some(exchange);
        is_closed
    }

    /// Whether a request that has no backend yet is given up because its client has closed its side.
    pub(super) fn leaves_queue<N: Net>(&self, world: &World<N>) -> bool {
        match world.config.abort_on_close {
            AbortOnClose::Off => self.client_is_gone(world),
            AbortOnClose::Auto | AbortOnClose::On => self.client_has_finished(world),
        }
    }
}
