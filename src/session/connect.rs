//! Phase 3: send the request on a dialled socket as soon as it takes it; on failure back to route, elsewhere.
//!
//! The first write is tried before the socket is even registered: when it works, the connect has worked, and neither
//! an event nor SO_ERROR need be asked for.

use super::exchange::{Exchange, Upstream};
use super::pump::{self, Pumped};
use super::relay::request_fault;
use super::{Phase, Session, Step, closing};
use crate::fault::Fault;
use crate::net::{ConnKey, Net, Ready};
use crate::proxy::World;
use crate::record::trace::Stamp;

impl Session {
    /// Moves a dialled connection forward.
    #[inline(never)]
    pub(super) fn connect<N: Net>(&mut self, world: &mut World<N>) -> Step {
        if self.is_given_up(world) {
            return self.fail(world, Fault::ClientGone);
        }
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        let Upstream::Dialled { conn: key, registered } = exchange.upstream else {
            return Step::Next(Phase::Relay);
        };
        let Some(conn) = world.conns.get_mut(key.0) else { return self.fail(world, Fault::ConnectFailed) };
        if registered {
            if !conn.ready().any(Ready::WRITABLE.with(Ready::GONE)) {
                return Step::Wait;
            }
            if let Err(error) = world.net.connect_result(&mut conn.stream) {
                if error.kind() == std::io::ErrorKind::NotConnected {
                    return Step::Wait; // a spurious event: the handshake is still under way
                }
                if closing::has_answered(exchange, key, world) {
                    return self.reached(key, world);
                }
                tracing::debug!(%error, backend = exchange.backend, "connect failed");
                world.connect_error = Some(error.kind());
                return self.fail(world, Fault::ConnectFailed);
            }
        }
        // What is here of the body goes with the head: one write, and a request that may be sent again.
        if let Some(fault) = pump::clear(&mut exchange.request).and_then(request_fault) {
            return self.fail(world, fault);
        }
        let sent = pump::drain(world, &mut exchange.request, key);
        if !registered && world.register(key).is_err() {
            // What was sent was sent: only that decides whether it may be sent again.
            let fault = lost(exchange);
            return self.fail(world, fault);
        }
        match sent {
            Some(Pumped::SinkBlocked) if exchange.request.out_sent == 0 && !registered => {
                exchange.upstream = Upstream::Dialled { conn: key, registered: true };
                Step::Wait
            }
            Some(Pumped::SinkGone) if !closing::has_answered(exchange, key, world) => {
                let fault = lost(exchange);
                self.fail(world, fault)
            }
            _ => self.reached(key, world),
        }
    }

    /// The connection is up, or was.
    fn reached<N: Net>(&mut self, key: ConnKey, world: &mut World<N>) -> Step {
        let Some(exchange) = self.exchange.as_mut() else { return Step::Gone };
        exchange.trace.connected = Stamp::at(world.now);
        exchange.upstream = Upstream::Connected(key);
        if exchange.redialling.overdue || !world.refusals.is_empty() {
            self.note_reached(world);
        }
        Step::Next(Phase::Relay)
    }
}

/// What it is called when a fresh connection is lost: only as long as nothing was sent may any request go elsewhere.
fn lost(exchange: &Exchange) -> Fault {
    let is_untouched = exchange.request.out_sent == 0 && !exchange.request.spilled;
    if is_untouched { Fault::ConnectFailed } else { Fault::UpstreamClosed }
}
