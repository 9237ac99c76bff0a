//! One run against another: has anything become worse by more than is allowed?
//!
//! Worse is what both is beyond the threshold and has an interval that shares no value with the other's; without
//! intervals nothing is called worse. The same is what is within the threshold; beyond it, with intervals that share
//! a value, two are not told apart. Failures have no threshold: a tenth of a percent more of them is worse. Scenarios
//! are matched by group and name; two single scenarios match each other. Latencies of the clients are not compared with
//! those of the proxy's log, which begin later.

use std::fmt::Write as _;

use super::stats::{Figure, Metric};
use super::summary::{Row, Source, Summary};
use super::verdict::ERROR_SHARE_MARGIN;
use crate::cli::Failure;

/// The table to print; [`Failure::Worse`] names what is worse, having the table with it.
pub(super) fn compare(before: &Summary, after: &Summary, threshold: f64) -> Result<String, Failure> {
    same_source(before, after)?;
    let pairs = pairs(before, after);
    if pairs.is_empty() {
        return Err(Failure::Usage(format!(
            "{} and {} have no scenario in common",
            before.title, after.title
        )));
    }
    let mut table = String::new();
    let mut worse = Vec::new();
    let mut untold = false;
    let width = pairs.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let compared: Vec<&Row> = pairs.iter().flat_map(|(_, a, b)| [*a, *b]).collect();
    for (name, a, b) in pairs {
        for metric in Metric::JUDGED {
            let (Some(was), Some(is)) = (a.figures.get(&metric), b.figures.get(&metric)) else { continue };
            let change = is.value / was.value - 1.0;
            let loss = if metric.more_is_better() { -change } else { change };
            let word = match told_apart(was, is) {
                None => "no interval",
                Some(false) if change.abs() > threshold => "not told apart",
                Some(false) => "same",
                Some(true) if loss > threshold => "WORSE",
                Some(true) if loss > 0.0 => "worse, within the threshold",
                Some(true) => "better",
            };
            untold |= word == "no interval";
            let (metric, percent) = (metric.name(), change * 100.0);
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{name:<width$} {metric:<15} {:>10.2} -> {:>10.2}  {percent:>+7.1} %  {word}",
                was.value, is.value
            );
            if word == "WORSE" {
                worse.push(format!("{metric} of {name} {percent:+.1} %"));
            }
        }
        let (was, is) = (a.error_share() * 100.0, b.error_share() * 100.0);
        let failing = b.error_share() > a.error_share() + ERROR_SHARE_MARGIN;
        let word = if failing { "WORSE" } else { "same or better" };
        let _ =
            writeln!(table, "{name:<width$} {:<15} {was:>8.2} % -> {is:>8.2} %             {word}", "failed");
        if failing {
            worse.push(format!("failed requests of {name} {was:.2} % -> {is:.2} %"));
        }
    }
    table.push_str(&unmatched(before, &compared));
    table.push_str(&unmatched(after, &compared));
    if untold {
        table.push_str("Where there is no interval, too little was measured to call anything worse.\n");
    }
    if worse.is_empty() {
        return Ok(table);
    }
    let line = format!("worse by more than {} %: {}", threshold * 100.0, worse.join("; "));
    Err(Failure::Worse { line, table })
}

/// Refuses latencies that begin at different times: no interval tells those apart from a change.
fn same_source(before: &Summary, after: &Summary) -> Result<(), Failure> {
    if before.source != after.source {
        let whose = |summary: &Summary| match summary.source {
            Source::Clients => "the clients'",
            Source::ProxyLog => "the proxy's",
        };
        return Err(Failure::Usage(format!(
            "--compare: latencies of {} are {}, of {} {}, which begin at different times: name a log (*.csv) of each",
            before.title,
            whose(before),
            after.title,
            whose(after)
        )));
    }
    Ok(())
}

/// A line with the scenarios that have no counterpart in the other run.
fn unmatched(summary: &Summary, compared: &[&Row]) -> String {
    let rows = summary.groups.iter().flat_map(|group| &group.scenarios);
    let alone: Vec<&str> = rows
        .filter(|row| !compared.iter().any(|one| std::ptr::eq(*one, *row)))
        .map(|row| row.name.as_str())
        .collect();
    if alone.is_empty() {
        String::new()
    } else {
        format!("Only in {}, so not compared: {}\n", summary.title, alone.join(", "))
    }
}

fn told_apart(a: &Figure, b: &Figure) -> Option<bool> {
    Some(!a.interval?.overlaps(&b.interval?))
}

fn pairs<'a>(before: &'a Summary, after: &'a Summary) -> Vec<(String, &'a Row, &'a Row)> {
    let rows = |summary: &'a Summary| -> Vec<(&'a str, &'a Row)> {
        let groups = summary.groups.iter();
        groups.flat_map(|group| group.scenarios.iter().map(|row| (group.title.as_str(), row))).collect()
    };
    let (before, after) = (rows(before), rows(after));
    if let ([(_, a)], [(_, b)]) = (&before[..], &after[..]) {
        return vec![(b.name.clone(), a, b)];
    }
    let same = |(title, a): &(&str, &'a Row)| {
        let found = after.iter().find(|(other, b)| other == title && a.name == b.name);
        found.map(|(_, b)| (a.name.clone(), *a, *b))
    };
    before.iter().filter_map(same).collect()
}
