//! What is told while a bench runs: a line per turn and per round, and on a terminal a bar that moves.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::BenchConfig;
use super::plan::Plan;
use super::turn::Done;
use crate::report::run::RunFile;

/// The terminal.
pub(super) struct Screen {
    /// Milliseconds of load, of those planned.
    bar: ProgressBar,
    rounds: u32,
    turn_ms: u64,
}

impl Screen {
    pub(super) fn new(config: &BenchConfig) -> Screen {
        let load = &config.load;
        let turn_ms = u64::try_from((load.warmup + load.duration).as_millis()).unwrap_or(u64::MAX);
        let turns = config.plans.len() * load.rounds as usize;
        let bar = match io::stderr().is_terminal() {
            true => {
                let whole = turn_ms.saturating_mul(turns as u64);
                ProgressBar::with_draw_target(Some(whole), ProgressDrawTarget::stderr())
            }
            false => ProgressBar::hidden(),
        };
        // A template that does not parse leaves the bar in its plain style.
        if let Ok(style) = ProgressStyle::with_template("[{bar:24}] {percent:>3} %  {eta} left  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Screen { bar, rounds: load.rounds, turn_ms }
    }

    /// Writes a line, or several, on stdout. A stdout that is gone does not end a run: its results are in files.
    pub(super) fn line(&self, text: &str) {
        self.bar.suspend(|| {
            let mut out = io::stdout().lock();
            let _ = writeln!(out, "{}", text.strip_suffix('\n').unwrap_or(text)).and_then(|()| out.flush());
        });
    }

    /// A turn begins.
    pub(super) fn begin(&self, name: &str, round: u32) {
        self.bar.set_message(format!("round {}/{} {name}", round + 1, self.rounds));
    }

    /// A turn goes on.
    pub(super) fn progress(&self, name: &str, elapsed: Duration, progress: Option<(u64, u64)>) {
        let before = self.bar.position() / self.turn_ms.max(1) * self.turn_ms;
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        // One short of the next turn's start, from which `before` would be reckoned.
        self.bar.set_position(before + elapsed_ms.min(self.turn_ms.saturating_sub(1)));
        if let Some((requests, errors)) = progress {
            let rate = requests as f64 / elapsed.as_secs_f64().max(1e-9);
            let errors = if errors > 0 { format!(", {errors} errors") } else { String::new() };
            self.bar.set_message(format!("{name} {rate:.0} req/s{errors}"));
        }
    }

    /// A turn is over.
    pub(super) fn done(&self, plan: &Plan, round: u32, done: &Done) {
        self.bar.set_position((self.bar.position() / self.turn_ms.max(1) + 1) * self.turn_ms);
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let figures = done.round.load.clone().unwrap_or_default();
        let mut text = format!(
            "round {}/{}  {:<34} {:>8.1} req/s  mean {:>6} ms  p95 {:>6}  p99 {:>6}  errors {}",
            round + 1,
            self.rounds,
            plan.name,
            figures.rate,
            ms(figures.mean_ms),
            ms(figures.p95_ms),
            ms(figures.p99_ms),
            figures.errors + figures.non_2xx,
        );
        if let Some(share) = done.proxy_share {
            text += &format!("  proxy {:.0} % of a core", share * 100.0);
        }
        for warning in &done.round.warnings {
            text += &format!("\n  warning: {warning}");
        }
        self.line(&text);
    }

    /// A round is over: where things stand.
    pub(super) fn round_done(&self, round: u32, run: &RunFile) {
        if self.rounds == 1 {
            return;
        }
        let standing: Vec<String> = run
            .scenarios
            .iter()
            .filter_map(|scenario| {
                let rates = scenario.rounds.iter().filter_map(|round| Some(round.load.as_ref()?.rate));
                Some(format!("{} {:.1}", scenario.name, median(rates.collect())?))
            })
            .collect();
        self.line(&format!(
            "after {} of {} rounds, median req/s: {}",
            round + 1,
            self.rounds,
            standing.join(", ")
        ));
    }

    /// Nothing moves any more.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.len() / 2, values.len().checked_sub(1)? / 2);
    Some(f64::midpoint(*values.get(lower)?, *values.get(upper)?))
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
