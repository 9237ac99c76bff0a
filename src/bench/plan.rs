//! What is compared: scenarios, their control, and the order in which they take turns. Pure.

use std::path::PathBuf;

use crate::balance::{Routing, Variant};
use crate::config::UpstreamMode;
use crate::emulator::profile::Profile;

/// What the original compared.
pub const ROUTINGS: [Routing; 3] = [Routing::RoundRobin, Routing::AdaptiveSma, Routing::AdaptiveEwma];
/// And in which modes.
pub const UPSTREAMS: [UpstreamMode; 2] = [UpstreamMode::Persistent, UpstreamMode::NonPersistent];
/// The profile's name where the backends are the original's.
pub const ORIGINAL: &str = "original";

/// One scenario to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Unique; starts its files' names.
    pub name: String,
    /// The policy and what it is told.
    pub routing: Variant,
    /// As in [`ProxyConfig`](crate::config::ProxyConfig).
    pub upstream: UpstreamMode,
    /// As in [`ProxyConfig`](crate::config::ProxyConfig).
    pub client_keepalive: bool,
    /// What the set of backends is called; scenarios of one profile, mode and load are compared with each other.
    pub profile: String,
    /// At least one.
    pub backends: Vec<BackendPlan>,
    /// A second round robin, which must not differ from the first.
    pub control: bool,
}

/// One backend of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendPlan {
    /// Its name.
    pub id: String,
    /// How long it takes; the original's cycle of `id` when absent.
    pub latency: Option<Profile>,
    /// Requests at once; unlimited when absent.
    pub concurrency: Option<u32>,
    /// Share of requests answered with 500.
    pub fail_rate: f64,
    /// What changes while it runs.
    pub script: Option<PathBuf>,
    /// Its weight, as the proxy is told.
    pub weight: f64,
}

impl BackendPlan {
    /// One of the original's.
    pub fn original(id: &str) -> BackendPlan {
        BackendPlan {
            id: id.to_owned(),
            latency: None,
            concurrency: None,
            fail_rate: 0.0,
            script: None,
            weight: 1.0,
        }
    }
}

/// The original's backends A, B and C.
pub fn original_backends() -> Vec<BackendPlan> {
    ["A", "B", "C"].map(BackendPlan::original).to_vec()
}

/// Every routing in every mode before the original's backends. The original's non-persistent proxy closed its clients'
/// connections too, hence so does the default for that mode.
pub fn matrix<R: Copy + Into<Variant>>(
    routings: &[R],
    upstreams: &[UpstreamMode],
    keepalive: Option<bool>,
) -> Vec<Plan> {
    let mut plans = Vec::new();
    for upstream in upstreams {
        for routing in routings.iter().copied().map(R::into) {
            plans.push(Plan {
                name: format!("{}_{upstream}", routing.file_name()),
                routing,
                upstream: *upstream,
                client_keepalive: keepalive.unwrap_or(keepalive_default(*upstream)),
                profile: ORIGINAL.to_owned(),
                backends: original_backends(),
                control: false,
            });
        }
    }
    plans
}

/// Whether client connections are kept, unless told.
pub fn keepalive_default(upstream: UpstreamMode) -> bool {
    upstream == UpstreamMode::Persistent
}

/// Adds the first round robin once more, under another name: what differs between the two is the noise.
pub fn with_control(mut plans: Vec<Plan>) -> Vec<Plan> {
    if let Some(first) = plans.iter().find(|plan| plan.routing == Routing::RoundRobin.into()) {
        let mut name = format!("{}_control", first.name);
        while plans.iter().any(|plan| plan.name == name) {
            name += "_2";
        }
        let control = Plan { name, control: true, ..first.clone() };
        plans.push(control);
    }
    plans
}

/// The order of `count` scenarios in a round, from 0: ABC, BCA, CAB, so that none always follows the same rest nor always
/// meets the machine first.
pub fn order(round: u32, count: usize) -> impl Iterator<Item = usize> {
    let first = round as usize % count.max(1);
    (0..count).map(move |place| (first + place) % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_six_and_a_control() {
        let plans = with_control(matrix(&ROUTINGS, &UPSTREAMS, None));
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "round-robin_persistent",
                "adaptive_sma_persistent",
                "adaptive_ewma_persistent",
                "round-robin_non-persistent",
                "adaptive_sma_non-persistent",
                "adaptive_ewma_non-persistent",
                "round-robin_persistent_control",
            ]
        );
        assert!(
            plans.iter().all(|plan| plan.client_keepalive == (plan.upstream == UpstreamMode::Persistent))
        );
        assert_eq!(plans.iter().filter(|plan| plan.control).count(), 1);
        let without = with_control(matrix(&[Routing::Elastic], &UPSTREAMS, Some(true)));
        let twin = Plan { name: "round-robin_persistent_control".to_owned(), ..plans[0].clone() };
        let plans = with_control(vec![plans[0].clone(), twin]);
        assert_eq!(plans[2].name, "round-robin_persistent_control_2");
        assert!(without.len() == 2 && without.iter().all(|plan| plan.client_keepalive && !plan.control));
    }

    #[test]
    fn each_round_begins_with_another() {
        let orders: Vec<Vec<usize>> = (0..4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
        assert_eq!(order(5, 0).count(), 0);
    }
}
