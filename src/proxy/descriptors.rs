//! What to do when file descriptors have run out: who is closed for whom, and what is said about it and about its like,
//! the limit of clients.
//!
//! Pooled connections go first, since nobody waits on them; idle clients next ([`super::Proxy::shed_idle`]). Absent:
//! how many clients there may be, which is decided at start so that this hardly ever happens.

use std::time::Duration;

use super::World;
use crate::dashboard::Kind;
use crate::fault::Fault;
use crate::net::Net;
use crate::reactor::is_exhaustion;

/// How often either is spoken of.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// Pooled connections closed at once.
const SHED_AT_ONCE: usize = 32;

impl<N: Net> World<N> {
    /// Dials a backend. When file descriptors have run out, pooled connections make room first.
    ///
    /// # Errors
    /// Why not: whether the backend's fault or ours.
    pub fn dial(&mut self, backend: usize) -> Result<N::Stream, Fault> {
        let address = self.upstreams.address(backend);
        let mut dialled = self.net.dial(address);
        if dialled.as_ref().is_err_and(is_exhaustion) && self.shed_pooled() {
            dialled = self.net.dial(address);
        }
        dialled.map_err(|error| {
            tracing::debug!(%error, backend, "dial failed at once");
            if !is_exhaustion(&error) {
                self.connect_error = Some(error.kind());
                return Fault::ConnectFailed;
            }
            self.say_exhausted();
            Fault::Exhausted
        })
    }

    /// Closes pooled connections, the longest idle ones, for their descriptors; whether there were any.
    pub fn shed_pooled(&mut self) -> bool {
        let mut any = false;
        for _ in 0..SHED_AT_ONCE {
            let Some((backend, conn)) = self.upstreams.take_oldest() else { break };
            self.upstreams.closed(backend);
            self.close(conn, true);
            any = true;
        }
        any
    }

    /// Says that there are as many clients as there may be and somebody waits to be one, now and then.
    pub(super) fn say_full(&mut self) {
        if self.said_full.is_some_and(|said| self.now.since(said) < SAY_EVERY) {
            return;
        }
        self.said_full = Some(self.now);
        if self.sharing.as_ref().is_some_and(|sharing| !sharing.member.says_full(self.now, SAY_EVERY)) {
            return; // another worker has
        }
        let clients_max = self.clients_max;
        tracing::warn!(
            clients_max,
            "as many clients as there may be: the longest idle are closed, others wait to be accepted; \
             raise --max-clients or the limit on open files (ulimit -n)"
        );
        self.tell(Kind::ClientLimit, None, || {
            format!("{clients_max} clients, as many as there may be: others wait to be accepted")
        });
    }

    /// Says that file descriptors have run out, now and then.
    pub fn say_exhausted(&mut self) {
        if self.said_exhausted.is_none_or(|said| self.now.since(said) >= SAY_EVERY) {
            self.said_exhausted = Some(self.now);
            tracing::warn!("out of file descriptors: closing idle connections; raise the limit (ulimit -n)");
        }
    }
}
