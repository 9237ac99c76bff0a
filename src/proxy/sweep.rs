//! What must hold between any two turns, checked one by one. For the simulation: it costs a look at everything there is.

use super::Proxy;
use crate::clock::Time;
use crate::net::{ConnKey, Net, Role};
use crate::session::Session;
use crate::timer::Timers;

/// What the sessions hold, added up.
struct Held {
    in_flight: Vec<u32>,
    busy: Vec<usize>,
    buffer_bytes: usize,
}

impl<N: Net> Proxy<N> {
    /// Panics when a key leaked, a count is off, or a session waits for nothing that could ever come.
    pub fn sweep(&self) {
        let world = &self.world;
        let backends = world.upstreams.len();
        let mut held = Held { in_flight: vec![0; backends], busy: vec![0; backends], buffer_bytes: 0 };
        for (key, session) in self.sessions.iter() {
            assert_eq!(key, session.key.0);
            self.sweep_session(session, &mut held);
        }
        let mut conns = self.sessions.len();
        for backend in 0..backends {
            let (open, idle) = world.upstreams.connections(backend);
            assert_eq!(
                world.upstreams.in_flight(backend),
                held.in_flight[backend],
                "in flight on backend {backend}"
            );
            assert_eq!(open, idle + held.busy[backend], "open connections to backend {backend}");
            conns += open + world.probes.in_flight(backend);
        }
        assert_eq!(world.conns.len(), conns, "connections nobody owns");
        assert_eq!(world.buffers.lent(), held.buffer_bytes, "buffers nobody owns");
    }

    /// Requests that try a backend put out before, by backend.
    pub fn trials(&self) -> Vec<u32> {
        let mut trials = vec![0; self.world.upstreams.len()];
        for (_, session) in self.sessions.iter() {
            let dispatch = session.exchange.as_ref().and_then(|exchange| exchange.dispatch);
            if let Some(dispatch) = dispatch.filter(|dispatch| dispatch.entered.trial) {
                trials[dispatch.pick.backend] += 1;
            }
        }
        trials
    }

    fn sweep_session(&self, session: &Session, held: &mut Held) {
        assert_eq!(self.role(session.client), Some(Role::Client(session.key)), "a session's client");
        if !session.queued {
            assert_ne!(session.deadline, Time::NEVER, "waits for ever in {:?}", session.phase());
            assert!(Timers::covers(session.armed, session.deadline), "sleeps past its deadline");
        }
        if let Some(bound) = session.bound {
            assert_eq!(self.role(bound.conn), Some(Role::Upstream(session.key)), "a client's own connection");
            held.busy[bound.backend] += 1;
        }
        let Some(exchange) = &session.exchange else { return };
        held.buffer_bytes += exchange.request.buffer.capacity() + exchange.response.buffer.capacity();
        if let Some(dispatch) = exchange.dispatch {
            held.in_flight[dispatch.pick.backend] += 1;
        }
        if let Some(conn) = exchange.upstream.conn() {
            assert_eq!(self.role(conn), Some(Role::Upstream(session.key)), "an exchange's upstream");
            match exchange.backend {
                Some(backend) => held.busy[backend] += 1,
                None => panic!("a connection to no backend"),
            }
        }
    }

    fn role(&self, conn: ConnKey) -> Option<Role> {
        self.world.conns.get(conn.0).map(|conn| conn.role)
    }
}
