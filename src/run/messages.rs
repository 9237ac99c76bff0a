//! Operational messages on standard error: how they get there, and the longer ones.

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;

use super::RunningProxy;
use crate::config::address::Address;
use crate::config::messages::{Format, Messages};
use crate::config::value::{OrNone, Value as _};
use crate::config::{Average, ProxyConfig, Routing, Settings, log_default};
use crate::record::writer::STDOUT;

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
        Some(log) if log.as_os_str() == STDOUT => tracing::info!("a row per request goes to standard output"),
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

/// Says which backends are left out, or stay where they were, because their names do not resolve.
pub(super) fn warn_of_unresolved(lines: &[String]) {
    for line in lines {
        tracing::warn!(
            "{line}; until then it keeps its last addresses, if it had any; it is looked up again"
        );
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
    warnings(started, wanted).iter().for_each(|line| tracing::warn!("{line}"));
    if let Some(log) = started.log.as_ref().filter(|_| is_renamed(started, wanted)) {
        tracing::info!("the log stays {}: rows of {} go there too", log.display(), wanted.variant());
    }
}

/// Whether all that changes of the log's name is the routing or mode in it, as nobody gave it one.
fn is_renamed(started: &ProxyConfig, wanted: &ProxyConfig) -> bool {
    let unnamed = |config: &ProxyConfig| config.log == Some(log_default(config.variant(), config.upstream));
    started.log != wanted.log && unnamed(started) && unnamed(wanted)
}

/// One for each that was to change.
fn warnings(started: &ProxyConfig, wanted: &ProxyConfig) -> Vec<String> {
    let stays = |((key, was), (_, is)): (Setting, Setting)| {
        let line = || format!("{key} stays {was}: a reload cannot make it {is}, a restart does");
        (was != is && !(key == "log" && is_renamed(started, wanted))).then(line)
    };
    fixed(started).into_iter().zip(fixed(wanted)).filter_map(stays).collect()
}

type Setting = (&'static str, String);

/// What stays as it was opened, by key and as it is written.
fn fixed(config: &ProxyConfig) -> [Setting; 11] {
    let on = |is: bool| is.show();
    let hosts = match config.admin_hosts.join(",") {
        none if none.is_empty() => "empty".to_owned(),
        some => some,
    };
    [
        ("listen", config.listen.to_string()),
        ("workers", config.workers.to_string()),
        ("admin", OrNone(config.admin.map(Address::from)).show()),
        ("admin-host", hosts),
        ("log", OrNone(config.log.clone()).show()),
        ("shadow-log", OrNone(config.shadow_log.clone()).show()),
        ("log-decisions", on(config.log_decisions)),
        ("defer-accept", on(config.defer_accept)),
        ("max-clients", config.max_clients.map_or_else(|| "none".to_owned(), |max| max.to_string())),
        ("drain-delay", config.drain_delay.show()),
        ("drain-timeout", config.drain_timeout.show()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_what_it_cannot_change_and_nothing_of_a_log_that_nobody_named() {
        let started = ProxyConfig::default();
        let other = if started.routing == Routing::LeastTime { Routing::Elastic } else { Routing::LeastTime };
        let mut wanted = ProxyConfig { routing: other, ..ProxyConfig::default() };
        wanted.log = Some(log_default(wanted.variant(), wanted.upstream));
        assert!(started.log != wanted.log && is_renamed(&started, &wanted));
        assert_eq!(warnings(&started, &wanted), [""; 0]);
        wanted.log = None;
        wanted.workers = 7;
        wanted.listen = "127.0.0.1:1234".parse().unwrap();
        let lines = warnings(&started, &wanted);
        let begin = "listen stays 127.0.0.1:9090: a reload cannot make it 127.0.0.1:1234, a restart does";
        assert_eq!((lines.len(), lines[0].as_str()), (3, begin));
        assert_eq!(lines[1], "workers stays 1: a reload cannot make it 7, a restart does");
        assert!(lines[2].starts_with("log stays logs/") && lines[2].contains("make it none"), "{lines:?}");
    }
}
