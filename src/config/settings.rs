//! From what was typed to what is meant: flags and file laid over the defaults, then checked together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{Address, BackendSpec};
use super::defaults::defaults;
use super::file;
use super::given::Given;
use super::names::Names;
use super::origin::{Origin, Origins};
use super::value::{Bytes, OrNone, Percent, Switch, Value};
use super::workers::Workers;
use super::{
    Average, BackendConfig, Ejector, HealthCheck, Objective, ProxyConfig, Queue, RetryBudget, Timeouts,
    Variant, ejects_by_default, log_default,
};
use crate::balance::Options;
use crate::cli::{Failure, ProxyArgs};
use crate::http1::Limits;

/// What a proxy was told, kept so that a reload can put a changed file under the same flags.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Flags and environment variables.
    pub flags: ProxyArgs,
    /// Where `flags` came from.
    pub origins: Origins,
    /// The TOML file beneath them.
    pub file: Option<PathBuf>,
    /// What the user said to name `file`: `--config`, or what stands for it.
    pub file_named: String,
}

/// A [`ProxyConfig`] and how it came to be.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is meant.
    pub config: ProxyConfig,
    /// The same as typed, nothing left out: flag, else environment, else file, else default.
    pub effective: ProxyArgs,
    /// Where each setting came from.
    pub origins: Origins,
    /// A line for each backend whose name does not resolve: it is left out, or keeps the addresses it had.
    pub unresolved: Vec<String>,
}

pub(super) const FIELDS_MAX: u32 = 1000;
const RESPONSE_HEAD_MAX: u64 = u16::MAX as u64; // as far as a Span reaches
const RETRY_BODY_MAX: u64 = 256 * 1024; // what is kept stays in the buffer it was read into
const HEAD_MIN: u64 = 256; // below it no real request passes
const HEAD_MAX: u64 = u16::MAX as u64;

impl Settings {
    /// Reads the file, if any, and checks everything together.
    ///
    /// # Errors
    /// One line; at run-time only what may be otherwise tomorrow, like a name that does not resolve.
    pub fn load(&self) -> Result<Loaded, Failure> {
        self.load_knowing(&mut Names::default())
    }

    /// The same where the addresses that names had last are known: those are kept where a name does not resolve now.
    ///
    /// # Errors
    /// As those of [`load`](Settings::load).
    pub fn load_knowing(&self, names: &mut Names) -> Result<Loaded, Failure> {
        let mut origins = self.origins.clone();
        let mut args = self.flags.clone();
        if let Some(path) = &self.file {
            let file = file::read(path, &self.file_named).map_err(Failure::Usage)?;
            for (key, (line, column)) in file.places {
                origins.by_key.entry(key).or_insert(Origin::File(line, column));
            }
            (origins.file, origins.backends) = (Some(path.clone()), file.backends);
            args = args.or(file.args);
        }
        // A file that says nothing is more likely in the middle of being saved than meant: the default backends are for
        // who has no file.
        let forgets = self.file.as_ref().filter(|_| args.backend.is_none());
        let loaded = Loaded::of(args.or(defaults()), origins, names)?;
        match forgets {
            Some(path) => Err(Failure::Usage(format!("{}: {NO_BACKEND}", path.display()))),
            None => Ok(loaded),
        }
    }
}

const NO_BACKEND: &str = "names no backend: add one, as backend = [\"127.0.0.1:8081\"] or [[backend]]";

impl Loaded {
    fn of(mut effective: ProxyArgs, origins: Origins, names: &mut Names) -> Result<Loaded, Failure> {
        names.unresolved.clear();
        let config = meant(&effective, &origins, names)?;
        let unresolved = std::mem::take(&mut names.unresolved);
        if or(&effective.require_backends, false)
            && config.backends.is_empty()
            && let Some(why) = unresolved.first()
        {
            return Err(Failure::Runtime(why.clone()));
        }
        effective.log = Some(Given(OrNone(config.log.clone())));
        Ok(Loaded { config, effective, origins, unresolved })
    }

    /// The same settings, with the names of backends looked up once more.
    ///
    /// # Errors
    /// As those of [`Settings::load`].
    pub fn resolve_again(&self, names: &mut Names) -> Result<Loaded, Failure> {
        Loaded::of(self.effective.clone(), self.origins.clone(), names)
    }

    /// Whether backends are given by name.
    pub fn has_names(&self) -> bool {
        self.effective.backend.iter().flatten().any(|backend| backend.address.is_name())
    }
}

/// The value given, or the default it would have had.
fn or<T: Clone>(given: &Option<Given<T>>, default: T) -> T {
    given.as_ref().map_or(default, |given| given.0.clone())
}

fn meant(args: &ProxyArgs, origins: &Origins, names: &mut Names) -> Result<ProxyConfig, Failure> {
    let default = ProxyConfig::default();
    let check = Check { origins };
    let routing = or(&args.routing, default.routing);
    let policy_options = Options {
        tail: or(&args.objective, Objective::Mean) == Objective::Tail,
        average: or(&args.least_time_average, Average::Ewma),
    };
    let upstream = or(&args.upstream, default.upstream);
    let listen = check.resolve("listen", &or(&args.listen, default.listen.into()))?;
    let count = |key, limit: &Option<Given<OrNone<u32>>>| check.some_count(key, or(limit, OrNone(None)).0);
    let max_connections_per_backend =
        count("max-connections-per-backend", &args.max_connections_per_backend)?;
    Ok(ProxyConfig {
        listen,
        backends: check.backends(args.backend.as_deref().unwrap_or_default(), listen, names)?,
        upstream,
        client_keepalive: or(&args.client_keepalive, default.client_keepalive),
        workers: check.workers(args, max_connections_per_backend)?,
        routing,
        policy_options,
        shadow: check.shadow(args)?,
        shadow_log: or(&args.shadow_log, OrNone(None)).0,
        explain: or(&args.explain, default.explain),
        log: match check.log(args)? {
            Some(log) => log.0.clone(),
            None => Some(log_default(Variant::new(routing, policy_options), upstream)),
        },
        log_decisions: or(&args.log_decisions, default.log_decisions),
        log_truncate: or(&args.log_truncate, default.log_truncate),
        admin: check.admin(args, listen)?,
        admin_token_file: or(&args.admin_token_file, OrNone(None)).0,
        admin_hosts: args.admin_host.iter().flatten().map(|host| host.0.0.clone()).collect(),
        ejection: match or(&args.ejection, Switch::Auto) {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => ejects_by_default(routing),
        },
        ejector: check.ejector(args)?,
        health: check.health(args)?,
        retries: or(&args.retries, default.retries),
        retry_budget: RetryBudget {
            percent: or(&args.retry_budget, Percent(default.retry_budget.percent)).0,
            per_second: or(&args.retry_budget_floor, default.retry_budget.per_second),
        },
        trusted_proxies: args.trusted_proxies.iter().flatten().map(|net| net.0).collect(),
        request_id: or(&args.request_id, default.request_id),
        limits: check.limits(args)?,
        request_body_max: or(&args.request_body_max, OrNone(None)).0.map(|bytes| bytes.0),
        timeouts: check.timeouts(args)?,
        max_clients: count("max-clients", &args.max_clients)?,
        defer_accept: or(&args.defer_accept, default.defer_accept),
        max_connections_per_backend,
        queue: Queue {
            max: or(&args.queue_max, 0) as usize,
            timeout: check.above_zero("queue-timeout", &args.queue_timeout, default.queue.timeout)?,
        },
        pool_trust: or(&args.pool_trust, default.pool_trust),
        abort_on_close: or(&args.abort_on_close, default.abort_on_close),
        retry_body_max: check.retry_body_max(args)?,
        forwarded: or(&args.forwarded, default.forwarded),
        x_real_ip: or(&args.x_real_ip, default.x_real_ip),
        via: or(&args.via, default.via),
        drain_delay: or(&args.drain_delay, default.drain_delay),
        drain_timeout: or(&args.drain_timeout, default.drain_timeout),
    })
}

/// Why an admin address cannot be the one listened on.
pub(crate) const ADMIN_TAKEN: &str = "is where clients connect: give it a port of its own, or none";

/// Whether connecting to one reaches who listens on the other: a listener on every interface is on loopback too.
pub(crate) fn same_place(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: SocketAddr, narrow: SocketAddr| {
        wide.ip().is_unspecified() && (narrow.ip().is_loopback() || narrow.ip().is_unspecified())
    };
    one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

/// The checks that need a name to blame.
struct Check<'o> {
    origins: &'o Origins,
}

impl Check<'_> {
    fn resolve(&self, key: &str, address: &Address) -> Result<SocketAddr, Failure> {
        address.resolve().map_err(|why| Failure::Runtime(self.origins.refuse(key, address.show(), why)))
    }

    /// One for each address; a line in `names.unresolved` for each that does not resolve now.
    fn backends(
        &self,
        specs: &[BackendSpec],
        listen: SocketAddr,
        names: &mut Names,
    ) -> Result<Vec<BackendConfig>, String> {
        if specs.is_empty() {
            return Err(self.origins.refuse("backend", "[]", "must name at least one, like 127.0.0.1:8081"));
        }
        let mut backends: Vec<BackendConfig> = Vec::with_capacity(specs.len());
        for (index, spec) in specs.iter().enumerate() {
            let line = |why: &str| self.origins.of_backend(index).refuse("backend", spec, why);
            let (addresses, why) = names.look_up(&spec.address);
            names.unresolved.extend(why.map(|why| line(&why)));
            for backend in spec.at_each(&addresses) {
                if same_place(backend.address, listen) {
                    return Err(line("is where the proxy itself listens: name the server behind it"));
                }
                if let Some(twin) = backends.iter().find(|other| other.address == backend.address) {
                    let why =
                        format!("is named twice, {} being the same address: use @WEIGHT for more", twin.url);
                    return Err(line(&why));
                }
                backends.push(backend);
            }
        }
        Ok(backends)
    }

    fn admin(&self, args: &ProxyArgs, listen: SocketAddr) -> Result<Option<SocketAddr>, Failure> {
        let Some(address) = or(&args.admin, OrNone(None)).0 else { return Ok(None) };
        let resolved = self.resolve("admin", &address)?;
        if same_place(resolved, listen) && !self.origins.by_key.contains_key("admin") {
            let typed = args.listen.as_ref().map_or_else(|| listen.to_string(), |listen| listen.0.show());
            let why = "is where --admin is by default: choose another, or give --admin its own, or none";
            return Err(self.origins.refuse("listen", typed, why).into());
        }
        if same_place(resolved, listen) {
            return Err(self.origins.refuse("admin", address.show(), ADMIN_TAKEN).into());
        }
        if !resolved.ip().is_loopback() && or(&args.admin_token_file, OrNone(None)).0.is_none() {
            let why = "is open to others: name a --admin-token-file, or an address on loopback";
            return Err(self.origins.refuse("admin", address.show(), why).into());
        }
        Ok(Some(resolved))
    }

    /// As given. Standard output takes rows or decisions, not both: a reader could not tell them apart.
    fn log<'a>(&self, args: &'a ProxyArgs) -> Result<Option<&'a OrNone<PathBuf>>, String> {
        let log = args.log.as_ref().map(|Given(log)| log);
        if log.is_some_and(|log| log.0.as_deref() == Some(Path::new("-"))) && or(&args.log_decisions, false) {
            return Err(self.origins.refuse("log", "-", "--log-decisions has standard output: name a file"));
        }
        Ok(log)
    }

    /// Named once each; the policy in force among them is allowed and tells how much is chance.
    fn shadow(&self, args: &ProxyArgs) -> Result<Vec<Variant>, String> {
        let mut shadows: Vec<Variant> = Vec::new();
        for Given(variant) in args.shadow.iter().flatten() {
            if shadows.contains(variant) {
                return Err(self.origins.refuse("shadow", variant, "is named twice"));
            }
            shadows.push(*variant);
        }
        if let (Some(Given(OrNone(Some(path)))), true) = (&args.shadow_log, shadows.is_empty()) {
            let why = "has nothing to hold without --shadow: name a policy there";
            return Err(self.origins.refuse("shadow-log", path.display(), why));
        }
        Ok(shadows)
    }

    fn limits(&self, args: &ProxyArgs) -> Result<Limits, String> {
        let default = Limits::default();
        let head = |key: &str, size: &Option<Given<Bytes>>, default: usize, max: u64| {
            let size = or(size, Bytes(default as u64));
            if (HEAD_MIN..=max).contains(&size.0) {
                return usize::try_from(size.0).map_err(|error| error.to_string());
            }
            Err(self.origins.refuse(key, size.show(), format!("must be {HEAD_MIN} to {max} bytes")))
        };
        let request_head = head("request-head-max", &args.request_head_max, default.request_head, HEAD_MAX)?;
        let request_line = head("request-line-max", &args.request_line_max, default.request_line, HEAD_MAX)?;
        if request_line > request_head {
            let why = format!("must fit into --request-head-max, {}", Bytes(request_head as u64).show());
            return Err(self.origins.refuse("request-line-max", Bytes(request_line as u64).show(), why));
        }
        let fields = or(&args.fields_max, FIELDS_MAX);
        if !(1..=FIELDS_MAX).contains(&fields) {
            return Err(self.origins.refuse("fields-max", fields, format!("must be 1 to {FIELDS_MAX}")));
        }
        Ok(Limits {
            request_line,
            request_head,
            response_head: head(
                "response-head-max",
                &args.response_head_max,
                default.response_head,
                RESPONSE_HEAD_MAX,
            )?,
            fields: fields as usize,
        })
    }

    fn retry_body_max(&self, args: &ProxyArgs) -> Result<u64, String> {
        let size = or(&args.retry_body_max, Bytes(ProxyConfig::default().retry_body_max));
        if size.0 > RETRY_BODY_MAX {
            let why = format!("must be at most {}, one block of memory", Bytes(RETRY_BODY_MAX).show());
            return Err(self.origins.refuse("retry-body-max", size.show(), why));
        }
        Ok(size.0)
    }

    fn timeouts(&self, args: &ProxyArgs) -> Result<Timeouts, String> {
        let default = Timeouts::default();
        let time = |key, given, default| self.above_zero(key, given, default);
        Ok(Timeouts {
            request_head: time("request-head-timeout", &args.request_head_timeout, default.request_head)?,
            request_body: time("request-body-timeout", &args.request_body_timeout, default.request_body)?,
            request_body_rate: or(&args.request_body_rate, Bytes(default.request_body_rate)).0,
            client_write: time("client-write-timeout", &args.client_write_timeout, default.client_write)?,
            client_idle: time("client-idle-timeout", &args.client_idle_timeout, default.client_idle)?,
            connect: time("connect-timeout", &args.connect_timeout, default.connect)?,
            upstream: time("upstream-timeout", &args.upstream_timeout, default.upstream)?,
            response_body: time("response-body-timeout", &args.response_body_timeout, default.response_body)?,
            upstream_idle: time("upstream-idle-timeout", &args.upstream_idle_timeout, default.upstream_idle)?,
            tunnel_idle: time("tunnel-idle-timeout", &args.tunnel_idle_timeout, default.tunnel_idle)?,
            interim: time("interim-timeout", &args.interim_timeout, default.interim)?,
            linger: or(&args.linger_timeout, default.linger),
            linger_total: or(&args.linger_total_timeout, default.linger_total),
        })
    }

    fn ejector(&self, args: &ProxyArgs) -> Result<Ejector, String> {
        let default = Ejector::default();
        let time = self.above_zero("ejection-time", &args.ejection_time, default.time)?;
        let time_max = or(&args.ejection_time_max, default.time_max);
        if time_max < time {
            let why = format!("must be at least --ejection-time, {}", time.show());
            return Err(self.origins.refuse("ejection-time-max", time_max.show(), why));
        }
        Ok(Ejector {
            failures: self
                .at_least_one("ejection-failures", or(&args.ejection_failures, default.failures))?,
            time,
            time_max,
            share_max: or(&args.ejection_share_max, Percent(default.share_max)).0,
        })
    }

    /// Checks closer to each other than this are load, and tell nothing more.
    fn health_interval(&self, args: &ProxyArgs, default: Duration) -> Result<Duration, String> {
        const LEAST: Duration = Duration::from_millis(100);
        let interval = or(&args.health_interval, default);
        if interval < LEAST {
            let why = format!("must be at least {}: checks are requests too", LEAST.show());
            return Err(self.origins.refuse("health-interval", interval.show(), why));
        }
        Ok(interval)
    }

    fn health(&self, args: &ProxyArgs) -> Result<Option<HealthCheck>, String> {
        let default = HealthCheck::default();
        let check = HealthCheck {
            host: or(&args.health_host, OrNone(None)).0.map(|host| host.0),
            expected: or(&args.health_status, default.expected),
            interval: self.health_interval(args, default.interval)?,
            timeout: self.above_zero("health-timeout", &args.health_timeout, default.timeout)?,
            fall: self.at_least_one("health-fall", or(&args.health_fall, default.fall))?,
            rise: self.at_least_one("health-rise", or(&args.health_rise, default.rise))?,
            path: default.path,
        };
        Ok(or(&args.health_path, OrNone(None)).0.map(|path| HealthCheck { path, ..check }))
    }

    fn workers(&self, args: &ProxyArgs, connections_max: Option<usize>) -> Result<usize, String> {
        let workers = or(&args.workers, Workers::Count(1)).resolve(connections_max);
        match connections_max.filter(|max| *max < workers) {
            Some(max) => {
                let why = format!("must be at least --workers, {workers}: each has a share of them");
                Err(self.origins.refuse("max-connections-per-backend", max, why))
            }
            None => Ok(workers),
        }
    }

    fn above_zero(
        &self,
        key: &str,
        given: &Option<Given<Duration>>,
        default: Duration,
    ) -> Result<Duration, String> {
        match or(given, default) {
            Duration::ZERO => Err(self.origins.refuse(key, "0s", "must be longer than 0s, like 10s")),
            time => Ok(time),
        }
    }

    fn at_least_one(&self, key: &str, count: u32) -> Result<u32, String> {
        if count == 0 {
            return Err(self.origins.refuse(key, 0, "must be at least 1"));
        }
        Ok(count)
    }

    fn some_count(&self, key: &str, limit: Option<u32>) -> Result<Option<usize>, String> {
        match limit {
            Some(0) => Err(self.origins.refuse(key, 0, "must be at least 1, or none")),
            limit => Ok(limit.map(|count| count as usize)),
        }
    }
}
