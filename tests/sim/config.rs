//! The configuration of a world.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate::balance::{Routing, Variant};
use tidegate::config::{
    AbortOnClose, BackendConfig, ProxyConfig, Queue, RetryBudget, Timeouts, Trust, UpstreamMode,
};

const ROUTINGS: [Routing; 9] = [
    Routing::RoundRobin,
    Routing::AdaptiveSma,
    Routing::AdaptiveEwma,
    Routing::Random,
    Routing::LeastConnections,
    Routing::TwoChoices,
    Routing::PeakEwma,
    Routing::LeastTime,
    Routing::Elastic,
];

pub fn draw_config(fair: bool, addresses: &[SocketAddr], rng: &mut fastrand::Rng) -> ProxyConfig {
    let routing = ROUTINGS[rng.usize(..ROUTINGS.len())];
    let mut short = |base: u64| Duration::from_millis(if fair { 10_000 } else { rng.u64(base..base * 20) });
    let timeouts = Timeouts {
        interim: Duration::from_secs(if fair { 60 } else { 1 }),
        linger_total: Duration::from_secs(if fair { 20 } else { 1 }),
        request_head: short(5),
        request_body: short(5),
        request_body_rate: 0,
        client_write: short(5),
        client_idle: short(10),
        connect: short(2),
        upstream: short(5),
        response_body: short(5),
        upstream_idle: short(10),
        tunnel_idle: short(10),
        linger: short(2),
    };
    ProxyConfig {
        listen: "127.0.0.1:9090".parse().expect("an address"),
        backends: addresses.iter().map(|address| BackendConfig::at(*address)).collect(),
        upstream: if rng.u8(..4) == 0 { UpstreamMode::NonPersistent } else { UpstreamMode::Persistent },
        client_keepalive: rng.u8(..5) > 0,
        routing,
        log: None,
        admin: None,
        ejection: rng.bool(),
        retries: rng.u32(..4),
        retry_budget: RetryBudget { percent: rng.u32(..=100), per_second: rng.u32(..20) },
        request_id: rng.u8(..4) == 0,
        request_body_max: (!fair && rng.u8(..6) == 0).then(|| rng.u64(..5000)),
        timeouts,
        max_connections_per_backend: (rng.u8(..4) == 0).then(|| rng.usize(1..3)),
        queue: Queue {
            max: if fair { 100 } else { rng.usize(..6) },
            // An origin may work for long, and in fair weather nobody gives up.
            timeout: Duration::from_millis(if fair { 1_000_000 } else { rng.u64(1..50) }),
        },
        pool_trust: match rng.u8(..8) {
            0..=2 => Trust::Strict,
            7 => Trust::Always,
            _ => Trust::Learned,
        },
        // In fair weather everybody is answered, those too that close behind their requests.
        abort_on_close: match rng.u8(..4) {
            _ if fair => AbortOnClose::Off,
            0 => AbortOnClose::On,
            1 => AbortOnClose::Off,
            _ => AbortOnClose::Auto,
        },
        explain: rng.u8(..4) == 0,
        shadow: if rng.u8(..4) == 0 { ROUTINGS.map(Variant::from).to_vec() } else { Vec::new() },
        ..ProxyConfig::default()
    }
}
