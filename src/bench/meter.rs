//! Who uses the processor: the processes of a turn, and everybody else.

use std::fs;
use std::time::{Duration, Instant};

use super::child::processor_time;

/// Watches what share of a core processes use between two moments.
pub(super) struct Meter {
    ids: Vec<u32>,
    from: Instant,
    until: Instant,
    first: Option<Look>,
    last: Option<Look>,
}

/// What was seen; nothing of it is known everywhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Shares of a core, by process.
    pub(super) shares: Vec<Option<f64>>,
    /// Cores used by whoever is neither watched nor this process, the hypervisor included.
    pub(super) others: Option<f64>,
}

struct Look {
    at: Instant,
    used: Vec<Option<Duration>>,
    own: Option<Duration>,
    machine: Option<Duration>,
}

impl Meter {
    /// Watches `ids` from `from` on.
    pub(super) fn new(ids: &[u32], from: Instant, length: Duration) -> Meter {
        Meter { ids: ids.to_vec(), from, until: from + length, first: None, last: None }
    }

    /// One more, before the first look.
    pub(super) fn watch(&mut self, id: u32) {
        if self.first.is_none() {
            self.ids.push(id);
        }
    }

    /// To be called again and again; looks outside the time do not count.
    pub(super) fn look(&mut self) {
        let at = Instant::now();
        if at < self.from || (at > self.until && self.last.is_some()) {
            return;
        }
        let look = Look {
            at,
            used: self.ids.iter().map(|id| processor_time(*id)).collect(),
            own: processor_time(std::process::id()),
            machine: fs::read_to_string("/proc/stat").ok().and_then(|text| machine_time(&text, ticks())),
        };
        match self.first {
            None => self.first = Some(look),
            // A process that has ended has no figures any more.
            Some(_) if look.used.iter().any(Option::is_none) && self.last.is_some() => {}
            Some(_) => self.last = Some(look),
        }
    }

    /// Between the first look and the last.
    pub(super) fn usage(&self) -> Usage {
        let (Some(first), Some(last)) = (&self.first, &self.last) else {
            return Usage { shares: vec![None; self.ids.len()], others: None };
        };
        let seconds = last.at.duration_since(first.at).as_secs_f64();
        let share = |first: Option<Duration>, last: Option<Duration>| {
            let used = last?.saturating_sub(first?).as_secs_f64();
            (seconds > 0.0).then_some(used / seconds)
        };
        let shares: Vec<Option<f64>> =
            first.used.iter().zip(&last.used).map(|(first, last)| share(*first, *last)).collect();
        let ours: Option<f64> = shares.iter().copied().chain([share(first.own, last.own)]).sum();
        let all = share(first.machine, last.machine);
        let others = all.zip(ours).map(|(all, ours)| (all - ours).max(0.0));
        Usage { shares, others }
    }
}

fn ticks() -> u64 {
    rustix::param::clock_ticks_per_second()
}

/// proc_stat(5): the first line has user, nice, system, idle, iowait, irq, softirq and steal; all but the two of idleness.
fn machine_time(text: &str, ticks_per_second: u64) -> Option<Duration> {
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let counts: Vec<u64> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let busy: u64 =
        counts.iter().enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, n)| n).sum();
    Some(Duration::from_secs_f64(busy as f64 / ticks_per_second.max(1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_process_is_seen() {
        let mut meter = Meter::new(&[std::process::id(), u32::MAX], Instant::now(), Duration::from_secs(60));
        meter.look();
        let began = Instant::now();
        let mut sum = 0u64;
        loop {
            let spun = Instant::now();
            while spun.elapsed() < Duration::from_millis(300) {
                sum = sum.wrapping_mul(31).wrapping_add(1);
            }
            meter.look();
            let usage = meter.usage();
            assert_eq!((usage.shares[1], usage.others), (None, None));
            if usage.shares[0].unwrap() > 0.02 {
                break;
            }
            // It takes longer where the machine does something else, or nothing.
            assert!(began.elapsed() < Duration::from_secs(30), "{usage:?}");
        }
        assert_ne!(std::hint::black_box(sum), 1);
    }

    #[test]
    fn the_machines_time_is_all_but_idleness() {
        let text = "cpu  100 20 30 9999 8888 1 2 3 77 0\ncpu0 1 1 1 1\n";
        assert_eq!(machine_time(text, 100), Some(Duration::from_millis(1_560)));
        assert_eq!(machine_time("", 100), None);
        assert_eq!(machine_time("cpu x\n", 100), None);
    }
}
