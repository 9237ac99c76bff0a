//! The defaults as somebody would have typed them.

use super::address::{Address, BackendSpec};
use super::given::Given;
use super::settings::FIELDS_MAX;
use super::value::{Bytes, HostName, OrNone, Percent, Switch};
use super::workers::Workers;
use super::{HealthCheck, Objective, ProxyConfig};
use crate::cli::ProxyArgs;

/// [`ProxyConfig::default`] as typed; the log is left to be named after routing and mode.
pub fn defaults() -> ProxyArgs {
    let config = ProxyConfig::default();
    let count = |limit: Option<usize>| OrNone(limit.map(|n| u32::try_from(n).unwrap_or(u32::MAX)));
    let (times, limits) = (config.timeouts, config.limits);
    ProxyArgs {
        listen: given(config.listen.into()),
        admin: given(OrNone(config.admin.map(Address::from))),
        admin_token_file: given(OrNone(config.admin_token_file)),
        admin_host: Some(config.admin_hosts.into_iter().map(|host| Given(HostName(host))).collect()),
        workers: given(Workers::Count(config.workers as u32)),
        routing: given(config.routing),
        objective: given(if config.policy_options.tail { Objective::Tail } else { Objective::Mean }),
        least_time_average: given(config.policy_options.average),
        shadow: Some(config.shadow.iter().copied().map(Given).collect()),
        upstream: given(config.upstream),
        max_connections_per_backend: given(count(config.max_connections_per_backend)),
        queue_max: given(u32::try_from(config.queue.max).unwrap_or(u32::MAX)),
        queue_timeout: given(config.queue.timeout),
        client_keepalive: given(config.client_keepalive),
        max_clients: given(count(config.max_clients)),
        defer_accept: given(config.defer_accept),
        trusted_proxies: Some(config.trusted_proxies.into_iter().map(Given).collect()),
        request_id: given(config.request_id),
        request_line_max: given(Bytes(limits.request_line as u64)),
        request_head_max: given(Bytes(limits.request_head as u64)),
        response_head_max: given(Bytes(limits.response_head as u64)),
        fields_max: given(u32::try_from(limits.fields).unwrap_or(FIELDS_MAX)),
        request_body_max: given(OrNone(config.request_body_max.map(Bytes))),
        request_head_timeout: given(times.request_head),
        request_body_timeout: given(times.request_body),
        request_body_rate: given(Bytes(times.request_body_rate)),
        client_write_timeout: given(times.client_write),
        client_idle_timeout: given(times.client_idle),
        connect_timeout: given(times.connect),
        upstream_timeout: given(times.upstream),
        response_body_timeout: given(times.response_body),
        upstream_idle_timeout: given(times.upstream_idle),
        tunnel_idle_timeout: given(times.tunnel_idle),
        interim_timeout: given(times.interim),
        linger_timeout: given(times.linger),
        linger_total_timeout: given(times.linger_total),
        pool_trust: given(config.pool_trust),
        abort_on_close: given(config.abort_on_close),
        forwarded: given(config.forwarded),
        x_real_ip: given(config.x_real_ip),
        via: given(config.via),
        retries: given(config.retries),
        retry_body_max: given(Bytes(config.retry_body_max)),
        retry_budget: given(Percent(config.retry_budget.percent)),
        retry_budget_floor: given(config.retry_budget.per_second),
        ejection: given(Switch::Auto),
        ejection_failures: given(config.ejector.failures),
        ejection_time: given(config.ejector.time),
        ejection_time_max: given(config.ejector.time_max),
        ejection_share_max: given(Percent(config.ejector.share_max)),
        drain_delay: given(config.drain_delay),
        drain_timeout: given(config.drain_timeout),
        require_backends: given(false),
        log: None,
        log_decisions: given(config.log_decisions),
        log_truncate: given(config.log_truncate),
        explain: given(config.explain),
        shadow_log: given(OrNone(config.shadow_log)),
        backend: Some(config.backends.iter().map(BackendSpec::from).collect()),
        ..default_checks(config.health)
    }
}

/// What is not about active checks is left out.
fn default_checks(configured: Option<HealthCheck>) -> ProxyArgs {
    let health = configured.clone().unwrap_or_default();
    ProxyArgs {
        health_path: given(OrNone(configured.map(|health| health.path))),
        health_host: given(OrNone(health.host.map(HostName))),
        health_status: given(health.expected),
        health_interval: given(health.interval),
        health_timeout: given(health.timeout),
        health_fall: given(health.fall),
        health_rise: given(health.rise),
        ..ProxyArgs::default()
    }
}

fn given<T>(value: T) -> Option<Given<T>> {
    Some(Given(value))
}
