//! Phase 2: ask the policy for a backend, then check a connection out of its pool or dial one.

use super::exchange::{Dispatch, Exchange, Upstream};
use super::{Phase, Session, Step};
use crate::fault::Fault;
use crate::net::{Conn, ConnKey, Net, Ready, Role};
use crate::proxy::World;

impl Session {
    /// Finds this request a backend and a connection to it.
    pub(super) fn route<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let (backend, fresh) = match exchange.pinned.take() {
            Some(backend) => (backend, true),
            None => match choose(exchange, world) {
                Some(backend) => (backend, false),
                None => return self.fail(world, Fault::NoBackend),
            },
        };
        exchange.backend = Some(backend);
        exchange.request.out_sent = 0;
        if !fresh && let Some(conn) = world.check_out(backend) {
            exchange.trace.dispatch(world.now, true);
            exchange.upstream = Upstream::Connected(conn);
            world.give_role(conn, Role::Upstream(self.key));
            return Step::Next(Phase::Relay);
        }
        exchange.trace.dispatch(world.now, false);
        match world.net.dial(world.upstreams.address(backend)) {
            Ok(stream) => {
                // Writable until the kernel says otherwise: on a short path the handshake is over already.
                let conn = Conn::new(stream, Role::Upstream(self.key), Ready::WRITABLE);
                let conn = ConnKey(world.conns.insert(conn));
                world.upstreams.opened(backend);
                exchange.upstream = Upstream::Dialled { conn, registered: false };
                self.deadline = world.now.plus(world.config.timeouts.connect);
                Step::Next(Phase::Connect)
            }
            Err(error) => {
                tracing::debug!(%error, backend, "dial failed at once");
                self.fail(world, Fault::ConnectFailed)
            }
        }
    }
}

/// The policy's pick among those not tried yet, entered as in flight.
fn choose<N: Net>(exchange: &mut Exchange, world: &mut World<N>) -> Option<usize> {
    let pick = world.pick(exchange.tried)?;
    let in_flight_at_pick = world.upstreams.dispatch(pick.backend, world.now);
    exchange.dispatch = Some(Dispatch { pick, in_flight_at_pick, head_seen: false });
    Some(pick.backend)
}
