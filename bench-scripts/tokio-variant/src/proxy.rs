//! What all exchanges share: policy, in-flight counts, idle connections, the log.
//!
//! One mutex around it, never held over an await and never contended: there is one thread.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tidegate::balance::{AnyPolicy, Candidate, Observation, Options, Pick, Policy as _};
use tidegate::clock::Time;
use tidegate::record::row::{Names, Row};
use tidegate::record::writer::{LogHandle, LogWriter};
use tokio::net::TcpSocket;

use crate::flags::Settings;

/// The sending half of a connection to a backend; request bodies pass through as they came.
pub(crate) type Upstream = SendRequest<Incoming>;

/// The proxy, shared by its connections.
pub(crate) struct Proxy {
    pub(crate) persistent: bool,
    pub(crate) upstream_timeout: Duration,
    /// `Host` for requests without one, by backend.
    pub(crate) hosts: Vec<HeaderValue>,
    addresses: Vec<SocketAddr>,
    origin: Instant,
    shared: Mutex<Shared>,
}

struct Shared {
    policy: AnyPolicy,
    candidates: Vec<Candidate>,
    draw: fastrand::Rng,
    /// By backend, the one used last on top: its window is the warmest.
    idle: Vec<Vec<Upstream>>,
    log: Option<LogHandle>,
}

/// A dispatch as it was counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dispatch {
    pub(crate) pick: Pick,
    pub(crate) in_flight_before: u32,
}

impl Proxy {
    /// Opens the log.
    ///
    /// # Errors
    /// The log cannot be written, or a backend's address is no `Host`.
    pub(crate) fn new(settings: Settings, origin: Instant) -> io::Result<Proxy> {
        let backends = &settings.backends;
        let urls: Vec<String> = backends.iter().map(|backend| backend.url.clone()).collect();
        let host = |backend: &SocketAddr| HeaderValue::try_from(backend.to_string());
        let addresses: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
        let hosts: Result<_, _> = addresses.iter().map(host).collect();
        let names = Names { routings: vec![settings.routing.name().to_owned()], backends: urls };
        let log = match &settings.log {
            Some(path) => Some(LogWriter::start(path, names, origin)?),
            None => None,
        };
        let fresh =
            |weight| Candidate { in_flight: 0, up: true, weight, failure_rate: 0.0, joined: Time::ZERO };
        let shared = Shared {
            policy: settings.routing.build(backends.len(), Options::default()),
            candidates: backends.iter().map(|backend| fresh(backend.weight)).collect(),
            draw: fastrand::Rng::new(),
            idle: backends.iter().map(|_| Vec::new()).collect(),
            log,
        };
        Ok(Proxy {
            persistent: settings.persistent,
            upstream_timeout: settings.upstream_timeout,
            hosts: hosts.map_err(io::Error::other)?,
            addresses,
            origin,
            shared: Mutex::new(shared),
        })
    }

    /// The library's time.
    pub(crate) fn now(&self) -> Time {
        Time::ZERO.plus(self.origin.elapsed())
    }

    /// Picks a backend and counts the request in flight there.
    pub(crate) fn dispatch(&self, now: Time) -> Option<Dispatch> {
        let shared = &mut *self.shared();
        let pick = shared.policy.pick(&shared.candidates, now, &mut shared.draw)?;
        let candidate = shared.candidates.get_mut(pick.backend)?;
        candidate.in_flight += 1;
        Some(Dispatch { pick, in_flight_before: candidate.in_flight - 1 })
    }

    /// The end of a dispatched request: `seen` to the policy (`in_flight_now` is filled in here), `row` to the log.
    pub(crate) fn record(&self, mut seen: Observation, row: &Row<'_>) {
        let shared = &mut *self.shared();
        if let Some(candidate) = shared.candidates.get_mut(seen.backend) {
            candidate.in_flight = candidate.in_flight.saturating_sub(1);
            seen.in_flight_now = candidate.in_flight;
        }
        shared.policy.observe(&shared.candidates, &seen, row.facts.at);
        if let Some(log) = &mut shared.log {
            log.push(row);
        }
    }

    /// An idle connection that has not been seen to close.
    pub(crate) fn check_out(&self, backend: usize) -> Option<Upstream> {
        let shared = &mut *self.shared();
        let idle = shared.idle.get_mut(backend)?;
        while let Some(upstream) = idle.pop() {
            if !upstream.is_closed() {
                return Some(upstream);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(crate) fn check_in(&self, backend: usize, upstream: Upstream) {
        if let Some(idle) = self.shared().idle.get_mut(backend) {
            idle.push(upstream);
        }
    }

    /// A new connection, driven by a task of its own.
    pub(crate) async fn dial(&self, backend: usize) -> io::Result<Upstream> {
        let Some(address) = self.addresses.get(backend).copied() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        let stream = socket.connect(address).await?;
        let (upstream, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move {
            let _ = connection.await; // the exchange on it learns of a fault by itself
        });
        Ok(upstream)
    }

    /// Requests dispatched and not yet over.
    pub(crate) fn in_flight(&self) -> u32 {
        self.shared().candidates.iter().map(|candidate| candidate.in_flight).sum()
    }

    pub(crate) fn flush_log_if_due(&self) {
        let now = self.now();
        if let Some(log) = &mut self.shared().log {
            log.flush_if_due(now);
        }
    }

    pub(crate) fn close_log(&self) {
        let log = self.shared().log.take();
        if let Some(log) = log {
            log.close();
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
