//! What sessions share: connections, backends, policy, buffers, records, and the time of this turn.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::lull::Lull;
use super::probe::Probes;
use super::refusals::{Overdue, Refusals};
use super::share::Sharing;
use super::show::Showing;
use crate::balance::AnyPolicy;
use crate::balance::explain::Explainer;
use crate::balance::explain::words::Labels;
use crate::balance::shadow::Shadows;
use crate::buffer::Pool;
use crate::clock::Time;
use crate::config::{ProxyConfig, UpstreamMode};
use crate::dashboard::Kind;
use crate::fault::Fault;
use crate::http1::date::DateCache;
use crate::http1::request::RequestHead;
use crate::http1::response::ResponseHead;
use crate::net::{Conn, ConnKey, Net, Role, SessionKey};
use crate::record::console::Console;
use crate::record::row::Row;
use crate::record::shadow_log::ShadowLog;
use crate::record::stats::Stats;
use crate::record::writer::LogHandle;
use crate::session::Exchange;
use crate::slab::Slab;
use crate::upstream::budget::RetryBudget;
use crate::upstream::health::{Change, Reason, Verdict};
use crate::upstream::{Entered, Limits, Upstreams};

/// Our name in Via (RFC 9110 section 7.6.3): a pseudonym, so that no host name leaks.
pub const PSEUDONYM: &str = "tidegate";
/// What an idle client has left in a drain, to send the request it may be sending. Its answer says that it is the last;
/// a client closed on at once could not know whether its request was carried out.
const DRAIN_IDLE: Duration = Duration::from_millis(250);
/// Exchanges kept for reuse, with their buffers' worth of capacity; more are dropped after a burst.
const EXCHANGES_KEPT: usize = 4096;

/// A configuration on its way to the reactor.
pub type Inbox = Arc<Mutex<Option<Arc<ProxyConfig>>>>;

/// Bytes of text one of them may hold on to.
const EXCHANGE_BYTES_KEPT: usize = 16 * 1024;

/// What a proxy is made of besides a network.
#[derive(Debug)]
pub struct Setup {
    /// As checked.
    pub config: Arc<ProxyConfig>,
    /// Where rows go, if anywhere.
    pub log: Option<LogHandle>,
    /// Where the figures of shadow policies go, if anywhere.
    pub shadow_log: Option<ShadowLog>,
    /// Where decisions are told, if anywhere.
    pub console: Option<Console>,
    /// Where a new configuration is left before a reload is ordered.
    pub inbox: Inbox,
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
    /// What retries may still be made.
    pub retry_budget: RetryBudget,
    /// Sessions waiting for a place on a backend, first come first.
    pub waiting: VecDeque<SessionKey>,
    /// Sessions that wait because no backend could be connected to.
    pub refusals: Refusals,
    /// Dials that take long, those known longest first.
    pub overdue: Vec<Overdue>,
    /// Sessions to be given a turn because something they waited for has happened.
    pub woken: Vec<SessionKey>,
    /// Looking after backends without a client's request.
    pub probes: Probes,
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
    /// Text of the Date field.
    pub date: DateCache,
    /// Wall-clock seconds, kept by the reactor.
    pub unix_seconds: u64,
    /// No request after the one under way.
    pub draining: bool,
    /// Clients there may be at once.
    pub clients_max: usize,
    /// A request could not open a socket: idle clients are to make room.
    pub wants_descriptors: bool,
    /// Where a new configuration is left before a reload is ordered.
    pub inbox: Inbox,
    /// Counters and histograms.
    pub stats: Stats,
    /// Dealings with the other workers, if there are any.
    pub(super) sharing: Option<Box<Sharing>>,
    pub(super) log: Option<LogHandle>,
    pub(super) showing: Showing,
    #[allow(clippy::vec_box, reason = "an exchange moves between sessions by its address")]
    pub(super) exchanges: Vec<Box<Exchange>>,
    /// Whether a burst is over.
    pub(super) lull: Lull,
    /// How much of the next answer to read first, as an index into the sizes of blocks.
    response_piece: u8,
    pub(super) explainer: Explainer,
    pub(super) labels: Arc<Labels>,
    pub(super) shadows: Shadows,
    pub(super) shadow_log: Option<ShadowLog>,
    pub(super) text: String,
    pub(super) said_exhausted: Option<Time>,
    /// When clients were last said to be as many as there may be.
    pub(super) said_full: Option<Time>,
    /// Why the last connect failed, if one did.
    pub connect_error: Option<ErrorKind>,
    pub(super) urls: Vec<String>,
    pub(super) console: Option<Console>,
}

impl<N: Net> World<N> {
    /// A world in which nothing has happened.
    pub fn new(net: N, setup: Setup) -> World<N> {
        let config = setup.config;
        let urls: Vec<String> = config.backends.iter().map(|backend| backend.url.clone()).collect();
        World {
            now: Time::ZERO,
            net,
            conns: Slab::new(),
            upstreams: Upstreams::new(&config.backends, table_limits(&config)),
            retry_budget: RetryBudget::new(
                config.retry_budget.percent,
                config.retry_budget.per_second,
                Time::ZERO,
            ),
            probes: Probes::new(config.health.clone(), config.backends.len(), setup.seed),
            waiting: VecDeque::new(),
            refusals: Refusals::default(),
            overdue: Vec::new(),
            woken: Vec::new(),
            policy: config.variant().build(config.backends.len()),
            draw: fastrand::Rng::with_seed(setup.seed),
            explainer: Explainer::new(config.explain, config.backends.len()),
            labels: Arc::new(Labels::new(&urls)),
            shadows: Shadows::new(&config.shadow, config.backends.len(), setup.seed),
            shadow_log: setup.shadow_log,
            buffers: Pool::default(),
            request_head: RequestHead::default(),
            response_head: ResponseHead::default(),
            date: DateCache::default(),
            unix_seconds: 0,
            draining: false,
            wants_descriptors: false,
            clients_max: setup.clients_max,
            showing: Showing::default(),
            sharing: None,
            stats: Stats::new(Time::ZERO, &urls),
            inbox: setup.inbox,
            log: setup.log,
            exchanges: Vec::new(),
            lull: Lull::default(),
            response_piece: Exchange::new().piece_learned(),
            text: String::new(),
            said_exhausted: None,
            said_full: None,
            connect_error: None,
            urls,
            console: setup.console,
            config,
        }
    }

    /// An exchange to work with, used or new.
    pub fn exchange(&mut self) -> Box<Exchange> {
        let mut exchange = match self.exchanges.pop() {
            Some(exchange) => exchange,
            None => {
                self.buffers.note_growth(size_of::<Exchange>());
                Box::default()
            }
        };
        exchange.response.piece = self.response_piece;
        exchange
    }

    /// Takes an exchange back, and its buffers.
    pub fn recycle(&mut self, mut exchange: Box<Exchange>) {
        self.buffers.give(&mut exchange.request.buffer);
        self.buffers.give(&mut exchange.response.buffer);
        self.response_piece = exchange.piece_learned();
        exchange.reset();
        // One that carried large heads goes back to the allocator, or a burst of them would be held for ever.
        if self.exchanges.len() < EXCHANGES_KEPT && exchange.held() <= EXCHANGE_BYTES_KEPT {
            self.exchanges.push(exchange);
        }
    }

    /// Whether this peer is believed about whom it speaks for.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.config.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// Until when a client that begins to be idle at `now` may be so.
    pub fn idle_until(&self, now: Time) -> Time {
        now.plus(if self.draining { DRAIN_IDLE } else { self.config.timeouts.client_idle })
    }

    /// Whether connections to backends are kept.
    pub fn keeps_upstream(&self) -> bool {
        self.config.upstream == UpstreamMode::Persistent
    }

    /// Pays for a retry of what was sent already, if the budget can.
    pub fn withdraw_retry(&mut self) -> bool {
        let paid = self.retry_budget.withdraw(self.now);
        if !paid {
            self.tell_no_budget();
        }
        paid
    }

    /// Whether the configuration allows a failed request to go elsewhere, and there is an elsewhere. The original's
    /// modes retry nothing, unless ejection was asked for.
    pub fn may_go_elsewhere(&self, tried: u64) -> bool {
        (self.config.ejection || !self.config.routing.is_exact())
            && self.upstreams.has_elsewhere(tried, self.now)
    }

    /// An answer of this backend has stalled; whether that is a failure of its own.
    pub fn charges_stall(&mut self, backend: usize) -> bool {
        self.upstreams.charges_stall(backend, self.config.timeouts.response_body, self.now)
    }

    /// A request has left its backend: whoever waits longest for a place may try again.
    pub fn wake_waiting(&mut self) {
        if let Some(session) = self.waiting.pop_front() {
            self.woken.push(session);
        }
    }

    /// A request that waited for a place gives up.
    pub fn leave_queue(&mut self, session: SessionKey) {
        self.waiting.retain(|waiting| *waiting != session);
    }

    /// A trial is decided by its answer's head: the body may go on for hours.
    pub fn judge_trial(&mut self, exchange: &mut Exchange, verdict: Verdict) {
        if exchange.suspects != 0 {
            self.convict(exchange); // it has an answer from another
        }
        if let Some(dispatch) = exchange.dispatch.as_mut().filter(|dispatch| dispatch.entered.trial) {
            let (backend, entered) = (dispatch.pick.backend, dispatch.entered);
            dispatch.entered.trial = false;
            self.judge(backend, entered, verdict, exchange, false);
        }
    }

    /// The backends that closed on this request did so to it alone, or it is not to blame: they are charged.
    #[cold]
    pub fn convict(&mut self, exchange: &mut Exchange) {
        let suspects = std::mem::take(&mut exchange.suspects);
        let fault = exchange.fault.replace(Fault::UpstreamClosed);
        let entered = Entered { in_flight_before: 0, trial: false };
        for backend in (0..self.upstreams.len().min(64)).filter(|backend| suspects >> backend & 1 == 1) {
            self.judge(backend, entered, Verdict::Failure, exchange, false);
        }
        exchange.fault = fault;
    }

    /// Takes the verdict on a dispatch that has ended as `exchange` says; `unreachable` if it never had a connection.
    pub fn judge(
        &mut self,
        backend: usize,
        entered: Entered,
        verdict: Verdict,
        exchange: &Exchange,
        unreachable: bool,
    ) {
        let marks = || (!unreachable).then(|| exchange.marks());
        let mut change = self.upstreams.record(backend, entered, verdict, marks, self.now, &mut self.draw);
        if self.sharing.is_some() {
            change = self.share_verdict(backend, entered, verdict, change);
        }
        match change {
            Some(Change::Ejected { until, reason }) => {
                let seconds = until.since(self.now).as_secs_f64();
                let (why, tenths) = (self.mishap(reason, exchange), (seconds * 10.0).round() / 10.0);
                let (url, text) = (self.upstreams.url(backend), why.as_str()); // a &str, so that it is quoted
                tracing::warn!(backend = url, reason = text, seconds = tenths, "backend ejected");
                self.stats.counters.ejections += 1;
                self.tell(Kind::Ejected, Some(backend), || format!("{why}; out for {seconds:.1} s"));
                self.close_orphans();
                self.upstreams.set_unreachable(backend, unreachable);
                if unreachable {
                    self.revisit(backend);
                }
            }
            Some(Change::Readmitted) => {
                tracing::info!(backend = self.upstreams.url(backend), "backend readmitted");
                self.tell(Kind::Readmitted, Some(backend), || "its trial request succeeded".to_owned());
                self.wake_waiting();
                self.wake_refused();
            }
            None => {}
        }
    }

    /// Why a backend is put out, with what went wrong last: attempts that were made up for elsewhere have no row in the
    /// log that would say so.
    #[cold]
    fn mishap(&self, reason: Reason, exchange: &Exchange) -> String {
        match (exchange.fault, self.connect_error) {
            (Some(fault @ Fault::ConnectFailed), Some(error)) => {
                format!("{reason} ({}: {error})", fault.reason())
            }
            (Some(fault), _) => format!("{reason} ({})", fault.reason()),
            (None, _) => format!("{reason} (status {})", exchange.status),
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
        let outcome = match exchange.fault {
            Some(fault) => fault.reason(),
            None if exchange.request_cut => "request_cut",
            None => "ok",
        };
        if exchange.note.seq != 0 {
            self.explain_end(exchange.note.seq, exchange.status, facts.latency_us, outcome);
        }
        if self.log.is_none() && !self.stats.is_watched() {
            return;
        }
        let row = Row { facts, method: exchange.method(), path: exchange.target(), reason: outcome };
        self.stats.note(&row, outcome, client_gone);
        if let Some(log) = &mut self.log {
            if exchange.note.compact.is_empty() {
                log.push(&row);
            } else {
                self.text.clear();
                self.text.extend([outcome, "; ", &exchange.note.compact]);
                if let Some(why) = exchange.kept {
                    self.text.extend(["; connection ", why.name()]);
                }
                log.push(&Row { reason: &self.text, ..row });
            }
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
        self.close_shadow_log();
    }
}

pub(super) fn table_limits(config: &ProxyConfig) -> Limits {
    Limits {
        idle_max: config.timeouts.upstream_idle,
        in_flight_max: config
            .max_connections_per_backend
            .map_or(u32::MAX, |max| u32::try_from(max).unwrap_or(u32::MAX)),
        ejection: config.ejection.then(|| config.ejector.into()),
    }
}
