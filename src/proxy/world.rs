//! What sessions share: connections, backends, policy, buffers, records, and the time of this turn.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::balance::{AnyPolicy, Observation, Options, Outcome, Pick, Policy, Stage};
use crate::buffer::Pool;
use crate::clock::Time;
use crate::config::{ProxyConfig, UpstreamMode};
use crate::dashboard::Board;
use crate::fault::Fault;
use crate::http1::date::DateCache;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::net::{Conn, ConnKey, Net, Ready, Role};
use crate::record::console::Console;
use crate::record::row::Row;
use crate::record::stats::{Live, Snapshot, Stats};
use crate::record::writer::LogHandle;
use crate::session::Exchange;
use crate::slab::Slab;
use crate::upstream::Upstreams;

/// Our name in Via (RFC 9110 section 7.6.3): a pseudonym, so that no host name leaks.
pub const PSEUDONYM: &str = "tidegate";
/// Exchanges kept for reuse, with their buffers' worth of capacity; more are dropped after a burst.
const EXCHANGES_KEPT: usize = 4096;

/// What a proxy is made of besides a network.
#[derive(Debug)]
pub struct Setup {
    /// As checked.
    pub config: Arc<ProxyConfig>,
    /// Where rows go, if anywhere.
    pub log: Option<LogHandle>,
    /// Where decisions are told, if anywhere.
    pub console: Option<Console>,
    /// Where counts are shown, if anywhere.
    pub board: Option<Arc<Board>>,
    /// Clients there may be at once.
    pub clients_max: usize,
    /// Seed of the random draws.
    pub seed: u64,
}

/// What a session may touch.
pub struct World<N: Net> {
    /// The time of this turn.
    pub now: Time,
    /// The network.
    pub net: N,
    /// Every socket, client and upstream alike.
    pub conns: Slab<Conn<N::Stream>>,
    /// The backend table.
    pub upstreams: Upstreams,
    /// The policy.
    pub policy: AnyPolicy,
    /// Its random draws, and those of request ids.
    pub draw: fastrand::Rng,
    /// Blocks for bytes on their way.
    pub buffers: Pool,
    /// Scratch for the head being parsed.
    pub request_head: RequestHead,
    /// Scratch for the head being parsed.
    pub response_head: ResponseHead,
    /// As checked.
    pub config: Arc<ProxyConfig>,
    /// Host for an HTTP/1.0 request that has none.
    pub own_host: String,
    /// Text of the Date field.
    pub date: DateCache,
    /// Wall-clock seconds, kept by the reactor.
    pub unix_seconds: u64,
    /// No request after the one under way.
    pub draining: bool,
    /// Clients there may be at once.
    pub clients_max: usize,
    /// Counters and histograms.
    pub stats: Stats,
    log: Option<LogHandle>,
    board: Option<Arc<Board>>,
    exchanges: Vec<Box<Exchange>>,
    decision: String,
    urls: Vec<String>,
    console: Option<Console>,
}

impl<N: Net> World<N> {
    /// A world in which nothing has happened.
    ///
    /// # Errors
    /// When the histograms cannot be made; with their fixed bounds they always can.
    pub fn new(net: N, setup: Setup) -> Result<World<N>, hdrhistogram::CreationError> {
        let config = setup.config;
        let urls: Vec<String> = config.backends.iter().map(|backend| backend.url.clone()).collect();
        Ok(World {
            now: Time::ZERO,
            net,
            conns: Slab::new(),
            upstreams: Upstreams::new(&config.backends, config.timeouts.upstream_idle),
            policy: config.routing.build(config.backends.len(), Options::default()),
            draw: fastrand::Rng::with_seed(setup.seed),
            buffers: Pool::default(),
            request_head: RequestHead::default(),
            response_head: ResponseHead::default(),
            own_host: config.listen.to_string(),
            date: DateCache::default(),
            unix_seconds: 0,
            draining: false,
            clients_max: setup.clients_max,
            board: setup.board,
            stats: Stats::new(Time::ZERO, &urls)?,
            log: setup.log,
            exchanges: Vec::new(),
            decision: String::new(),
            urls,
            console: setup.console,
            config,
        })
    }

    /// An exchange to work with, used or new.
    pub fn exchange(&mut self) -> Box<Exchange> {
        self.exchanges.pop().unwrap_or_default()
    }

    /// Takes an exchange back, and its buffers.
    pub fn recycle(&mut self, mut exchange: Box<Exchange>) {
        self.buffers.give(&mut exchange.request.buffer);
        self.buffers.give(&mut exchange.response.buffer);
        exchange.reset();
        if self.exchanges.len() < EXCHANGES_KEPT {
            self.exchanges.push(exchange);
        }
    }

    /// Whether this peer is believed about whom it speaks for.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.config.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// Whether connections to backends are kept.
    pub fn keeps_upstream(&self) -> bool {
        self.config.upstream == UpstreamMode::Persistent
    }

    /// Asks the policy, leaving out the backends whose bit in `tried` is set.
    pub fn pick(&mut self, tried: u64) -> Option<Pick> {
        self.upstreams.exclude(tried);
        let pick = self.policy.pick(self.upstreams.candidates(), self.now, &mut self.draw)?;
        if self.config.log_decisions {
            self.tell_decision(pick);
        }
        Some(pick)
    }

    fn tell_decision(&mut self, pick: Pick) {
        self.decision.clear();
        let candidates = self.upstreams.candidates();
        // Writing to a String cannot fail.
        let _ = self.policy.write_decision(&mut self.decision, &self.urls, candidates, pick, self.now);
        if let Some(console) = &self.console {
            console.say(&self.decision);
        }
    }

    /// Whether the configuration allows a failed request to go elsewhere, and there is an elsewhere.
    pub fn may_retry(&self, tried: u64) -> bool {
        !self.config.routing.is_exact() && (tried.count_ones() as usize) < self.upstreams.len()
    }

    /// Tells the policy how the dispatch under way is going.
    pub fn observe(&mut self, exchange: &mut Exchange, stage: Stage, outcome: Outcome) {
        let Some(dispatch) = exchange.dispatch.as_mut() else { return };
        let backend = dispatch.pick.backend;
        let latency_ms = match stage {
            Stage::Head => {
                exchange.trace.dispatched.get().map(|sent| self.now.since(sent).as_secs_f64() * 1e3)
            }
            Stage::End => exchange.trace.latency_ms(),
        };
        let in_flight = self.upstreams.candidates()[backend].in_flight;
        let seen = Observation {
            backend,
            stage,
            latency_ms: latency_ms.unwrap_or(0.0),
            outcome,
            in_flight_at_pick: dispatch.in_flight_at_pick,
            in_flight_now: if stage == Stage::Head { in_flight.saturating_sub(1) } else { in_flight },
            probe: dispatch.pick.probe,
            head_seen: dispatch.head_seen,
        };
        dispatch.head_seen |= stage == Stage::Head;
        self.policy.observe(self.upstreams.candidates(), &seen, self.now);
    }

    /// A pooled connection to this backend, if one is left alive.
    pub fn check_out(&mut self, backend: usize) -> Option<ConnKey> {
        if !self.keeps_upstream() {
            return None;
        }
        while let Some(conn) = self.upstreams.take_idle(backend) {
            if self
                .conns
                .get(conn.0)
                .is_some_and(|conn| !conn.ready().any(Ready::READ_CLOSED.with(Ready::GONE)))
            {
                return Some(conn);
            }
            self.upstreams.closed(backend);
            self.close(conn, false);
        }
        None
    }

    /// Puts a connection into the pool of this backend.
    pub fn check_in(&mut self, backend: usize, conn: ConnKey) {
        self.give_role(conn, Role::Idle(backend));
        self.upstreams.put_idle(backend, conn, self.now);
    }

    /// Whether nothing has arrived on this connection that nobody asked for. One read tells, and only when the last
    /// read had left the question open.
    pub fn is_quiet(&mut self, key: ConnKey) -> bool {
        let Some(conn) = self.conns.get_mut(key.0) else { return false };
        if conn.ready().any(Ready::READ_CLOSED.with(Ready::GONE)) {
            return false;
        }
        if !conn.ready().any(Ready::READABLE) {
            return true;
        }
        let mut buffer = self.buffers.take(1);
        let filled = conn.fill(&mut self.net, &mut buffer, 0);
        self.buffers.give(&mut buffer);
        filled == crate::net::Fill::Blocked
    }

    /// Something was said about a pooled connection. Unless it is nothing after all, the connection is dead or lying.
    pub fn idle_event(&mut self, backend: usize, conn: ConnKey) {
        if !self.is_quiet(conn) && self.upstreams.drop_idle(backend, conn) {
            self.upstreams.closed(backend);
            self.close(conn, false);
        }
    }

    /// Whom events on this connection concern from now on.
    pub fn give_role(&mut self, key: ConnKey, role: Role) {
        if let Some(conn) = self.conns.get_mut(key.0) {
            conn.role = role;
        }
    }

    /// Asks for events on this connection.
    pub fn register(&mut self, key: ConnKey) -> std::io::Result<()> {
        match self.conns.get_mut(key.0) {
            Some(conn) => self.net.register(&mut conn.stream, key.0.to_token()),
            None => Ok(()),
        }
    }

    /// Closes a connection; with a reset when `complete` says that nobody will miss a byte of it.
    pub fn close(&mut self, key: ConnKey, complete: bool) {
        if let Some(mut conn) = self.conns.remove(key.0)
            && complete
        {
            self.net.reset_on_close(&mut conn.stream);
        }
    }

    /// One row, one count.
    pub fn record(&mut self, peer: SocketAddr, exchange: &Exchange) {
        let backend = exchange.backend.map(|backend| backend as u32);
        let facts = exchange.trace.facts(peer, backend, 0, exchange.status);
        let client_gone = matches!(exchange.fault, Some(Fault::ClientGone | Fault::ClientStalled));
        self.stats.record(&facts, client_gone);
        if let Some(log) = &mut self.log {
            let reason = exchange.fault.map_or("ok", |fault| fault.reason());
            log.push(&Row { facts, method: exchange.method(), path: exchange.target(), reason });
        }
    }

    /// When rows must be handed over next.
    pub fn log_deadline(&self) -> Option<Time> {
        self.log.as_ref()?.next_deadline()
    }

    /// Hands rows over when they have waited long enough.
    pub fn flush_log_if_due(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush_if_due(self.now);
        }
    }

    /// Shows the counts to whoever looks.
    pub fn publish(&mut self, now: Time) {
        if let Some(board) = &self.board {
            board.publish(self.snapshot(now));
        }
    }

    /// The counts, and what table and policy know at this moment.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        let averages = self.policy.original_averages();
        let live: Vec<Live> = self
            .upstreams
            .candidates()
            .iter()
            .enumerate()
            .map(|(backend, candidate)| Live {
                in_flight: candidate.in_flight,
                sma_ms: averages.and_then(|averages| averages.sma(backend)),
                ewma_ms: averages.and_then(|averages| averages.ewma(backend)),
            })
            .collect();
        self.stats.snapshot(now, self.config.routing.name(), &live)
    }

    /// Readiness fails from now on.
    pub fn set_unready(&mut self) {
        if let Some(board) = &self.board {
            board.set_ready(false);
        }
    }

    /// Rows from now on go to a file opened anew.
    pub fn reopen_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.reopen();
        }
    }

    /// Hands over everything and waits for the writer: at the end.
    pub fn close_log(&mut self) {
        if let Some(log) = self.log.take() {
            log.close();
        }
    }
}
