//! Another configuration under a running proxy (SIGHUP), without losing a request.
//!
//! Absent: reading and checking it, which is done elsewhere before it comes here.

use std::sync::Arc;

use super::World;
use super::world::table_limits;
use crate::balance::Policy;
use crate::balance::explain::words::Labels;
use crate::config::ProxyConfig;
use crate::dashboard::{Decisions, Kind};
use crate::net::Net;
use crate::record::row::Names;
use crate::upstream::budget::RetryBudget;

impl<N: Net> World<N> {
    /// Adopts a new configuration: what stays the same keeps its sockets, its requests in flight and what was learned
    /// of it. Addresses listened on and the log's path stay as they were at start.
    pub fn adopt(&mut self, config: Arc<ProxyConfig>) {
        let holds = self.upstreams.adopt(&config.backends, table_limits(&config), self.now);
        let keep: Vec<Option<usize>> =
            holds.iter().enumerate().map(|(index, holds)| holds.then_some(index)).collect();
        if config.variant() == self.variant() {
            self.policy.rebuild(&keep);
        } else {
            self.policy = config.variant().build(self.upstreams.len());
        }
        let seed = self.draw.u64(..);
        self.shadows.adopt(&config.shadow, &keep, seed);
        self.close_orphans();
        let urls = (0..self.upstreams.len()).map(|index| self.upstreams.url(index).to_owned()).collect();
        let before = std::mem::replace(&mut self.urls, urls);
        if before != self.urls || config.explain != self.config.explain {
            self.explainer.restart(config.explain, self.urls.len());
            self.labels = Arc::new(Labels::new(&self.urls));
            if let Some(board) = &self.showing.board {
                board.set_decisions(Decisions::default());
            }
        }
        self.stats.set_backends(&self.urls);
        if let Some(log) = &mut self.log {
            log.set_names(Names {
                routings: vec![config.variant().name().to_owned()],
                backends: self.urls.clone(),
            });
        }
        self.adopt_probes(&holds, config.health.clone());
        if config.health.is_none() {
            (0..self.upstreams.len()).for_each(|backend| {
                self.upstreams.set_down(backend, false);
            });
        }
        self.wake_waiting(); // there may be more places now
        self.wake_refused();
        let budget = config.retry_budget;
        self.retry_budget = RetryBudget::new(budget.percent, budget.per_second, self.now);
        self.tell(Kind::Reload, None, || {
            let count = config.backends.len();
            format!(
                "{count} backends with {}; what was ordered on the page no longer holds",
                config.variant()
            )
        });
        tracing::info!(
            backends = config.backends.len(),
            routing = config.variant().name(),
            "configuration reloaded"
        );
        self.config = config;
        if self.sharing.is_some() {
            self.enrol_again();
        }
    }
}
