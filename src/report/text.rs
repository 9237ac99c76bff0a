//! summary.md, summary.csv, and the few lines for the terminal.

use std::fmt::Write as _;

use super::stats::{Figure, Metric};
use super::summary::{Group, Row, Summary};

/// A number with as many decimals as its size deserves.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// `494.9 [490.1, 499.0]`.
pub(super) fn figure(figure: &Figure) -> String {
    match figure.interval {
        Some(interval) => {
            format!("{} [{}, {}]", number(figure.value), number(interval.low), number(interval.high))
        }
        None => number(figure.value),
    }
}

pub(super) fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), number)
}

/// A table with its heading; the text and the page lay it out each in their way.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<String>,
    pub(super) body: Vec<Vec<String>>,
}

impl Table {
    fn new(caption: &str, head: &[&str]) -> Table {
        let head = head.iter().map(|title| (*title).to_owned()).collect();
        Table { caption: caption.to_owned(), head, body: Vec::new() }
    }

    fn markdown(&self, text: &mut String) {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        text.push_str(&line(&self.head));
        text.push_str(&"|---".repeat(self.head.len()));
        text.push_str("|\n");
        self.body.iter().for_each(|cells| text.push_str(&line(cells)));
    }
}

/// All judged metrics of a group.
pub(super) fn overview(group: &Group) -> Table {
    let mut table = Table::new(
        "Figures with 95 % intervals",
        &["scenario", "requests/s", "mean ms", "p50 ms", "p95 ms", "p99 ms", "requests", "failed"],
    );
    for row in &group.scenarios {
        let shown = |metric| row.figures.get(&metric).map_or_else(|| "–".to_owned(), figure);
        let mut cells = vec![row.name.clone()];
        cells.extend(Metric::ALL.map(shown));
        cells.extend([row.requests.to_string(), row.errors.to_string()]);
        table.body.push(cells);
    }
    table
}

/// One metric of a group, with ratios and, where there are any, the original's figures.
pub(super) fn by_metric(group: &Group, metric: Metric) -> Table {
    let published = |row: &Row| row.original.and_then(|original| original.figure(metric));
    let with_original = group.scenarios.iter().any(|row| published(row).is_some());
    let mut table = Table::new(metric.title(), &["scenario", "value", "95 % interval"]);
    if let Some(baseline) = &group.baseline {
        table.head.push(format!("ratio to {baseline}"));
    }
    if with_original {
        table.head.push("original published".to_owned());
    }
    for row in &group.scenarios {
        let Some(figure) = row.figures.get(&metric) else { continue };
        let interval = figure.interval.map_or_else(
            || "–".to_owned(),
            |range| format!("{} – {}", number(range.low), number(range.high)),
        );
        let mut cells = vec![row.name.clone(), number(figure.value), interval];
        if group.baseline.is_some() {
            cells.push(row.ratios.get(&metric).map_or_else(|| "–".to_owned(), self::figure));
        }
        if with_original {
            cells.push(optional(published(row)));
        }
        table.body.push(cells);
    }
    table
}

/// Where requests went.
pub(super) fn shares(group: &Group) -> Table {
    let head = ["scenario", "backend", "requests", "share", "failed", "mean ms", "p50 ms", "p95 ms"];
    let mut table = Table::new("Requests per backend", &head);
    for row in &group.scenarios {
        for backend in row.backends.iter().filter(|backend| backend.requests > 0) {
            table.body.push(vec![
                row.name.clone(),
                backend.name.clone(),
                backend.requests.to_string(),
                format!("{:.1} %", backend.share * 100.0),
                backend.errors.to_string(),
                optional(backend.mean_ms),
                optional(backend.p50_ms),
                optional(backend.p95_ms),
            ]);
        }
    }
    table
}

/// The report without its plots.
pub(super) fn markdown(summary: &Summary) -> String {
    let mut text = format!("# {}\n\n", summary.title);
    // Writing to a String cannot fail.
    if let Some(run) = &summary.run {
        let machine = &run.machine;
        let _ = writeln!(text, "    {}\n", run.command);
        let _ = writeln!(
            text,
            "Started {}, seed {}, revision {}; {}, {} ({} cores, {} MiB).\n",
            run.started,
            run.seed,
            run.git_revision.as_deref().unwrap_or("unknown"),
            machine.system,
            machine.cpu,
            machine.cores,
            machine.memory_mib
        );
    }
    for note in &summary.notes {
        let _ = writeln!(text, "* {note}");
    }
    for group in &summary.groups {
        let _ = writeln!(text, "\n## {}\n\n{}\n", group.title, group.control.text);
        for verdict in &group.verdicts {
            let _ = writeln!(text, "* {}", verdict.text);
        }
        text.push('\n');
        overview(group).markdown(&mut text);
        for metric in Metric::JUDGED {
            let table = by_metric(group, metric);
            let _ = writeln!(text, "\n### {}\n", table.caption);
            table.markdown(&mut text);
        }
        text.push_str("\n### Requests per backend\n\n");
        shares(group).markdown(&mut text);
    }
    text
}

/// A line per scenario and metric, for spreadsheets.
pub(super) fn csv(summary: &Summary) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [
        "group",
        "scenario",
        "routing",
        "upstream",
        "control",
        "samples",
        "requests",
        "errors",
        "metric",
        "value",
        "low",
        "high",
        "ratio",
        "ratio_low",
        "ratio_high",
        "original",
    ];
    // Writing to a Vec cannot fail.
    let _ = writer.write_record(head);
    let plain = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for group in &summary.groups {
        for row in &group.scenarios {
            for (metric, figure) in &row.figures {
                let ratio = row.ratios.get(metric);
                let range = ratio.and_then(|ratio| ratio.interval);
                let _ = writer.write_record([
                    group.title.clone(),
                    row.name.clone(),
                    row.routing.clone(),
                    row.upstream.clone(),
                    row.control.to_string(),
                    row.samples.to_string(),
                    row.requests.to_string(),
                    row.errors.to_string(),
                    key(*metric).to_owned(),
                    figure.value.to_string(),
                    plain(figure.interval.map(|range| range.low)),
                    plain(figure.interval.map(|range| range.high)),
                    plain(ratio.map(|ratio| ratio.value)),
                    plain(range.map(|range| range.low)),
                    plain(range.map(|range| range.high)),
                    plain(row.original.and_then(|original| original.figure(*metric))),
                ]);
            }
        }
    }
    writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

const fn key(metric: Metric) -> &'static str {
    match metric {
        Metric::Throughput => "requests_per_s",
        Metric::Mean => "mean_ms",
        Metric::P50 => "p50_ms",
        Metric::P95 => "p95_ms",
        Metric::P99 => "p99_ms",
    }
}

/// For the terminal: a table per group in aligned columns, the control and the winners.
pub(super) fn brief(summary: &Summary) -> String {
    let mut text = String::new();
    for note in summary.warnings() {
        let _ = writeln!(text, "note: {note}");
    }
    for group in &summary.groups {
        let table = overview(group);
        let _ = writeln!(text, "{}", group.title);
        let rows: Vec<&Vec<String>> = std::iter::once(&table.head).chain(&table.body).collect();
        let widths: Vec<usize> = (0..table.head.len())
            .map(|column| rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0))
            .collect();
        for cells in rows {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                let _ = write!(line, "  {cell:<width$}");
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        let _ = writeln!(text, "{}", group.control.text);
        group.verdicts.iter().for_each(|verdict| {
            let _ = writeln!(text, "{}", verdict.text);
        });
    }
    text
}
