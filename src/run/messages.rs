//! Operational messages on standard error: how they get there, and the longer ones.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;

use super::RunningProxy;
use crate::config::messages::{Format, Messages};
use crate::config::value::Value as _;
use crate::config::{Average, ProxyConfig, Routing, Settings};

/// Starts them. They leave from a thread of their own, because a reader of standard error that stops reading must not
/// stop the proxy; those that do not fit are dropped. What is under way is written when the guard is dropped.
pub fn start_messages(wanted: Messages) -> WorkerGuard {
    let (stderr, guard) = tracing_appender::non_blocking(std::io::stderr());
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()); // https://no-color.org
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::from(wanted.level))
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && !is_plain)
        .with_writer(stderr);
    // It fails only when a subscriber is set already, and then messages have somewhere to go.
    let _ = match wanted.format {
        Format::Text => subscriber.try_init(),
        Format::Json => subscriber.json().flatten_event(true).with_current_span(false).try_init(),
    };
    guard
}

/// Says where everything is.
pub(super) fn tell(running: &RunningProxy, config: &ProxyConfig, settings: &Settings) {
    let backends: Vec<String> = config
        .backends
        .iter()
        .map(|backend| match backend.weight {
            1.0 => backend.url.clone(),
            weight => format!("{}@{weight}", backend.url),
        })
        .collect();
    tracing::info!("tidegate {}", crate::VERSION);
    if let Some(file) = &settings.file {
        tracing::info!("configuration from {}; SIGHUP reads it again", file.display());
    }
    tracing::info!("listening on http://{}", running.address);
    tracing::info!(
        "balancing over {} with {}, {} upstream connections",
        backends.join(", "),
        config.variant(),
        config.upstream
    );
    warn_of_unheeded(config);
    match &config.log {
        Some(log) => tracing::info!("a row per request goes to {}", log.display()),
        None => tracing::info!("no log of requests (--log none)"),
    }
    match &running.admin {
        Some(admin) => tracing::info!(
            "live page and figures at http://{0}/ (as JSON at /api/stats, for Prometheus at /metrics; /livez, /readyz); \
             in a terminal: tidegate top --admin http://{0}",
            admin.address
        ),
        None => tracing::info!("no live page, no figures (--admin none)"),
    }
}

/// Says what the policy was told and does not heed.
pub(super) fn warn_of_unheeded(config: &ProxyConfig) {
    let (routing, options) = (config.routing, config.policy_options);
    if options.tail && routing != Routing::Elastic {
        tracing::warn!("objective tail changes nothing with routing {routing}: only elastic heeds it");
    }
    if options.average != Average::default() && routing != Routing::LeastTime {
        let average = options.average.show();
        tracing::warn!(
            "least-time-average {average} changes nothing with routing {routing}: only least-time heeds it"
        );
    }
}

/// Says which settings a reload cannot change: what was opened at start stays open.
pub(super) fn tell_what_stays(started: &ProxyConfig, wanted: &ProxyConfig) {
    let stays = [
        ("listen", started.listen != wanted.listen),
        ("workers", started.workers != wanted.workers),
        ("admin", started.admin != wanted.admin),
        ("admin-host", started.admin_hosts != wanted.admin_hosts),
        ("log", started.log != wanted.log),
        ("shadow-log", started.shadow_log != wanted.shadow_log),
        ("log-decisions", started.log_decisions != wanted.log_decisions),
        ("defer-accept", started.defer_accept != wanted.defer_accept),
        ("max-clients", started.max_clients != wanted.max_clients),
        ("drain-delay", started.drain_delay != wanted.drain_delay),
        ("drain-timeout", started.drain_timeout != wanted.drain_timeout),
    ];
    for (key, _) in stays.iter().filter(|(_, differs)| *differs) {
        tracing::warn!("{key} stays as it was at the start: a reload cannot change it, a restart does");
    }
}
