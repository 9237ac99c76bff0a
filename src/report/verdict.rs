//! Who may be called better, and whether the experiment may be believed at all.
//!
//! A difference is claimed only where two intervals share no value and the figures are at least 1 % apart; a winner has
//! to differ so from every other. Latency won by failing does not count: errors are often fast.

use serde::Serialize;

use super::stats::{Figure, Metric, Samples, Values, interval};
use super::summary::{Judged, Row};

/// Differences below this share are not worth a claim, however sure.
const DIFFERENCE_MIN: f64 = 0.01;
/// A winner may fail this share of its requests more than the best of the others.
pub(super) const ERROR_SHARE_MARGIN: f64 = 0.001;

/// Who is best by one metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// By what.
    pub metric: Metric,
    /// The scenario that is better than each other one, if there is such a one.
    pub winner: Option<String>,
    /// A sentence.
    pub text: String,
}

/// Whether the same against the same shows a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Control {
    /// `None` when there was nothing to tell by.
    pub passed: Option<bool>,
    /// A sentence.
    pub text: String,
}

/// Whether `a` and `b` may be said to differ.
pub(super) fn differ(a: &Figure, b: &Figure) -> bool {
    let (Some(of_a), Some(of_b)) = (a.interval, b.interval) else { return false };
    !of_a.overlaps(&of_b) && (a.value - b.value).abs() >= DIFFERENCE_MIN * a.value.abs().min(b.value.abs())
}

/// One per judged metric, unless there is nothing to compare.
pub(super) fn verdicts(members: &[Judged]) -> Vec<Verdict> {
    let rows: Vec<&Row> = members.iter().map(|member| &member.row).filter(|row| !row.control).collect();
    if rows.len() < 2 {
        return Vec::new();
    }
    Metric::JUDGED.into_iter().filter_map(|metric| verdict(metric, &rows)).collect()
}

fn verdict(metric: Metric, rows: &[&Row]) -> Option<Verdict> {
    let figured: Vec<(&Row, &Figure)> =
        rows.iter().filter_map(|row| Some((*row, row.figures.get(&metric)?))).collect();
    let (best, top) = figured.iter().copied().reduce(|best, next| {
        let better = next.1.value > best.1.value;
        if better == metric.more_is_better() && next.1.value != best.1.value { next } else { best }
    })?;
    let name = metric.name();
    let say = |winner: Option<String>, text: String| Some(Verdict { metric, winner, text });
    if figured.iter().any(|(_, figure)| figure.interval.is_none()) {
        return say(None, format!("No winner by {name}: too little was measured for an interval."));
    }
    let level: Vec<&str> = figured
        .iter()
        .filter(|(row, figure)| !std::ptr::eq(*row, best) && !differ(top, figure))
        .map(|(row, _)| row.name.as_str())
        .collect();
    if !level.is_empty() {
        let text = format!("No winner by {name}: {} is not told apart from {}", best.name, level.join(", "));
        return say(None, text + &beaten(best, &level, &figured) + ".");
    }
    let least = rows.iter().map(|row| row.error_share()).fold(f64::INFINITY, f64::min);
    if best.error_share() > least + ERROR_SHARE_MARGIN {
        let failed = best.error_share() * 100.0;
        return say(
            None,
            format!("No winner by {name}: {} is ahead, but failed {failed:.1} % of its requests.", best.name),
        );
    }
    say(Some(best.name.clone()), format!("{} wins by {name}.", best.name))
}

/// Whom all of those in front do beat, if there is such a one. Who is ahead by failing beats nobody.
fn beaten(best: &Row, level: &[&str], figured: &[(&Row, &Figure)]) -> String {
    let is_front = |row: &Row| std::ptr::eq(row, best) || level.contains(&row.name.as_str());
    let (front, rest): (Vec<_>, Vec<_>) = figured.iter().partition(|(row, _)| is_front(row));
    let by_all = |row: &Row, figure: &Figure| {
        let fails = row.error_share() + ERROR_SHARE_MARGIN;
        front.iter().all(|(leader, top)| differ(top, figure) && leader.error_share() <= fails)
    };
    let names = rest.iter().filter(|(row, figure)| by_all(row, figure)).map(|(row, _)| row.name.as_str());
    let names: Vec<&str> = names.collect();
    match (names.is_empty(), front.len()) {
        (true, _) => String::new(),
        (false, 2) => format!("; both beat {}", names.join(", ")),
        (false, _) => format!("; all of them beat {}", names.join(", ")),
    }
}

/// Round robin against round robin: the control scenario where there is one, else one half of what was measured against
/// the other.
pub(super) fn control(members: &[Judged], base: Option<usize>) -> Control {
    let Some(base) = base.map(|base| &members[base]) else {
        return Control { passed: None, text: "No control: there is no round robin here.".to_owned() };
    };
    let (what, pairs) = match members.iter().find(|member| member.row.control) {
        Some(control) => {
            let pair =
                |metric| Some((metric, *base.row.figures.get(&metric)?, *control.row.figures.get(&metric)?));
            let pairs: Vec<_> = Metric::JUDGED.into_iter().filter_map(pair).collect();
            ("round robin against a second round robin", pairs)
        }
        None => {
            let [odd, even] = base.samples.halves();
            let drawn = [odd.replicates(100), even.replicates(101)];
            let pair = |metric: Metric| {
                let a = figure(metric, &odd.values(), &drawn[0], odd.tail());
                (metric, a, figure(metric, &even.values(), &drawn[1], even.tail()))
            };
            let what = match base.samples {
                Samples::Rounds(_) => "every other round of round robin against the rest",
                Samples::Slices(_) => "the first half of round robin against the second",
            };
            (what, Metric::JUDGED.map(pair).to_vec())
        }
    };
    if pairs.is_empty() || pairs.iter().any(|(_, a, b)| a.interval.is_none() || b.interval.is_none()) {
        let text = format!("No control: {what} takes more than was measured.");
        return Control { passed: None, text };
    }
    let differing: Vec<&str> =
        pairs.iter().filter(|(_, a, b)| differ(a, b)).map(|(metric, ..)| metric.name()).collect();
    if differing.is_empty() {
        let text = format!("The control passes: {what} shows no difference.");
        return Control { passed: Some(true), text };
    }
    let text = format!(
        "The control fails: {what} differs in {}. Do not trust this run: something but the routing has changed.",
        differing.join(", ")
    );
    Control { passed: Some(false), text }
}

fn figure(metric: Metric, values: &Values, replicates: &[Values], tail: f64) -> Figure {
    let index = metric as usize;
    let interval = interval(replicates.iter().map(|replicate| replicate[index]), tail);
    Figure { value: values[index], interval }
}
