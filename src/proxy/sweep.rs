//! The leak sweep: everything owned is owned once, every count is what it counts.
//!
//! For tests; the simulation calls it after each step. Nothing on the hot path does.

use super::Proxy;
use crate::net::{Net, Role};

impl<N: Net> Proxy<N> {
    /// Panics when a key leaked or a count is off; the simulation calls it after each step.
    #[allow(clippy::expect_used, reason = "panicking is what it is for")]
    pub fn sweep(&self) {
        let world = &self.world;
        let mut in_flight = vec![0u32; world.upstreams.len()];
        let mut busy = vec![0usize; world.upstreams.len()];
        let mut lent = 0;
        for (key, session) in self.sessions.iter() {
            assert_eq!(key, session.key.0);
            let client = world.conns.get(session.client.0).expect("a session has its client");
            assert_eq!(client.role, Role::Client(session.key));
            let Some(exchange) = &session.exchange else { continue };
            lent += exchange.request.buffer.capacity() + exchange.response.buffer.capacity();
            if let Some(dispatch) = exchange.dispatch {
                in_flight[dispatch.pick.backend] += 1;
            }
            if let Some(conn) = exchange.upstream.conn() {
                let conn = world.conns.get(conn.0).expect("an exchange has its upstream");
                assert_eq!(conn.role, Role::Upstream(session.key));
                busy[exchange.backend.expect("a connection is to some backend")] += 1;
            }
        }
        let mut conns = self.sessions.len();
        for (backend, candidate) in world.upstreams.candidates().iter().enumerate() {
            let (open, idle) = world.upstreams.connections(backend);
            assert_eq!(candidate.in_flight, in_flight[backend], "in flight on backend {backend}");
            assert_eq!(open, idle + busy[backend], "open connections to backend {backend}");
            conns += open + world.probes.in_flight(backend);
        }
        assert_eq!(world.conns.len(), conns, "connections nobody owns");
        assert_eq!(world.buffers.lent(), lent, "buffers nobody owns");
    }
}
