//! How many workers, and what each of them may have of a limit that is meant for all.

use std::num::NonZero;

use super::ProxyConfig;
use super::value::Value;

/// More than any machine this is for has cores.
pub const WORKERS_MAX: u32 = 256;

/// `auto`, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as the machine runs threads at once.
    Auto,
    /// So many; 1 to [`WORKERS_MAX`].
    Count(u32),
}

impl Workers {
    /// The number meant, where one backend may have so many connections: no worker is to be left without one.
    pub fn resolve(self, connections_max: Option<usize>) -> usize {
        match self {
            Workers::Count(count) => count as usize,
            Workers::Auto => {
                let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
                threads.min(WORKERS_MAX as usize).min(connections_max.unwrap_or(usize::MAX)).max(1)
            }
        }
    }
}

impl Value for Workers {
    fn parse(text: &str) -> Result<Workers, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Workers::Auto),
            Ok(count) if (1..=WORKERS_MAX).contains(&count) => Ok(Workers::Count(count)),
            _ => Err(format!("must be 1 to {WORKERS_MAX}, or auto: as many as the machine runs threads")),
        }
    }

    fn show(&self) -> String {
        match self {
            Workers::Auto => "auto".to_owned(),
            Workers::Count(count) => count.to_string(),
        }
    }

    fn is_integer(&self) -> bool {
        matches!(self, Workers::Count(_))
    }
}

impl ProxyConfig {
    /// What worker number `worker` of `workers` goes by: limits of all divided, the first ones taking what is left over;
    /// active checks made by the first one alone.
    pub fn share_of(&self, worker: usize, workers: usize) -> ProxyConfig {
        let mut config = self.clone();
        let workers = workers.max(1);
        let share = |all: usize| all / workers + usize::from(worker < all % workers);
        config.workers = workers;
        config.max_connections_per_backend = self.max_connections_per_backend.map(|max| share(max).max(1));
        config.queue.max = share(self.queue.max);
        config.retry_budget.per_second =
            u32::try_from(share(self.retry_budget.per_second as usize)).unwrap_or(u32::MAX);
        if worker > 0 {
            config.health = None;
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_none_is_left_without_a_connection() {
        let mut config = ProxyConfig { max_connections_per_backend: Some(10), ..ProxyConfig::default() };
        (config.queue.max, config.retry_budget.per_second) = (7, 2);
        config.health = Some(super::super::HealthCheck::default());
        let shares: Vec<ProxyConfig> = (0..4).map(|worker| config.share_of(worker, 4)).collect();
        let sum = |of: fn(&ProxyConfig) -> usize| shares.iter().map(of).collect::<Vec<_>>();
        assert_eq!(sum(|share| share.max_connections_per_backend.unwrap()), [3, 3, 2, 2]);
        assert_eq!(sum(|share| share.queue.max), [2, 2, 2, 1]);
        assert_eq!(sum(|share| share.retry_budget.per_second as usize), [1, 1, 0, 0]);
        assert_eq!(sum(|share| usize::from(share.health.is_some())), [1, 0, 0, 0]);
        let alone = config.share_of(0, 1);
        assert_eq!(alone, config);
    }

    #[test]
    fn auto_leaves_no_worker_without_a_connection() {
        assert_eq!(Workers::Auto.resolve(Some(1)), 1);
        assert!(Workers::Auto.resolve(None) >= 1);
        assert_eq!(Workers::Count(3).resolve(Some(1)), 3);
    }

    #[test]
    fn spellings() {
        for (text, workers) in
            [("auto", Workers::Auto), ("1", Workers::Count(1)), ("256", Workers::Count(256))]
        {
            assert_eq!(Workers::parse(text), Ok(workers));
            assert_eq!(workers.show(), text);
        }
        for text in ["0", "257", "-1", "many", ""] {
            assert!(Workers::parse(text).unwrap_err().contains("1 to 256, or auto"), "{text}");
        }
    }
}
