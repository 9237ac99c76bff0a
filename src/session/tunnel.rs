//! After a 101: bytes both ways until both have ended, each end's half-close passed on to the other.

use super::exchange::Upstream;
use super::pump::{self, Pumped, TURN_BYTES_MAX};
use super::{Phase, Session, Step};
use crate::fault::Fault;
use crate::net::{ConnKey, Net};
use crate::proxy::World;
use crate::record::trace::Stamp;

impl Session {
    /// Moves whatever can be moved.
    #[cold]
    pub(super) fn tunnel<N: Net>(&mut self, world: &mut World<N>) -> Step {
        let Some(mut exchange) = self.exchange.take() else { return Step::Gone };
        let Upstream::Connected(upstream) = exchange.upstream else {
            self.exchange = Some(exchange);
            return self.fail(world, Fault::UpstreamClosed);
        };
        let (client, flows) = (self.client, (&mut exchange.request, &mut exchange.response));
        let mut ended = [false; 2];
        let mut result = Ok(Step::Wait);
        let ways = [
            (flows.0, client, upstream, [Fault::ClientGone, Fault::ResponseTruncated]),
            (flows.1, upstream, client, [Fault::ResponseTruncated, Fault::ClientGone]),
        ];
        for (way, (flow, source, sink, [of_source, of_sink])) in ways.into_iter().enumerate() {
            let was_open = !flow.is_complete();
            let mut budget = TURN_BYTES_MAX;
            match pump::pump(world, flow, source, sink, &mut budget) {
                Pumped::Complete => {
                    ended[way] = true;
                    if was_open {
                        finish_writing(world, sink);
                    }
                }
                Pumped::SourceBlocked | Pumped::SinkBlocked => {}
                Pumped::Budget => result = result.map(|_| Step::Again),
                // Whoever broke first is who broke: the other side's end may only follow from it.
                Pumped::SinkGone => result = result.and(Err(of_sink)),
                Pumped::SourceGone | Pumped::Malformed(_) | Pumped::TooLarge => {
                    result = result.and(Err(of_source));
                }
            }
        }
        let progress = exchange.request.progress.max(exchange.response.progress);
        self.deadline = progress.plus(world.config.timeouts.tunnel_idle);
        if result == Ok(Step::Wait) && ended == [true, true] {
            exchange.trace.response_done = Stamp::at(world.now);
            result = Ok(Step::Next(Phase::Finish));
        } else if result == Ok(Step::Wait) {
            world.buffers.park(&mut exchange.request.buffer);
            world.buffers.park(&mut exchange.response.buffer);
        }
        self.exchange = Some(exchange);
        match result {
            Ok(step) => step,
            Err(fault) => self.fail(world, fault),
        }
    }
}

fn finish_writing<N: Net>(world: &mut World<N>, sink: ConnKey) {
    if let Some(conn) = world.conns.get_mut(sink.0) {
        // It fails only when the peer is gone, and then an event says so.
        let _ = world.net.finish_writing(&mut conn.stream);
    }
}
