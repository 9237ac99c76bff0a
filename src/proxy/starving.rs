//! Requests that wait for workers which idle connections may hold.
//!
//! Absent: when to look, and what follows from it (upstream/starving.rs).

use super::Proxy;
use crate::clock::Time;
use crate::net::Net;

impl<N: Net> Proxy<N> {
    /// Closes idle connections of a backend whose requests wait for too long, if it is time to look for such. Price: a look at
    /// all sessions, at most twice a second, while some connections of a backend are idle and others are not.
    #[inline]
    pub(super) fn relieve(&mut self, now: Time) {
        if self.world.upstreams.looks_for_starving(now) {
            self.look_for_starving(now);
        }
    }

    #[cold]
    fn look_for_starving(&mut self, now: Time) {
        let timeout = self.world.config.timeouts.upstream;
        let upstreams = &mut self.world.upstreams;
        for (_, session) in self.sessions.iter() {
            if let Some((backend, sent)) = session.exchange.as_ref().and_then(|exchange| exchange.awaits()) {
                upstreams.waits(backend, sent, timeout, now);
            }
        }
        for (backend, conn) in upstreams.take_hoarded(timeout, now) {
            tracing::debug!(backend, "closing an idle connection: requests wait for this backend");
            self.world.upstreams.closed(backend);
            self.world.close(conn, false);
        }
    }
}
