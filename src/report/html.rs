//! report.html: one page that needs nothing but itself.
//!
//! No script and no external request (its own Content-Security-Policy says so); every plot has its numbers in a table
//! under it and a description for those who cannot see it.

use std::fmt::Write as _;

use super::chart::{self, Axis, Bar, Line, Stack};
use super::stats::Metric;
use super::summary::{Group, Row, Summary};
use super::text::{self, Table, number, optional};
use super::theme;

const STYLE: &str = include_str!("page.css");

/// The whole page; an error is the plotting library's.
pub(super) fn page(summary: &Summary) -> Result<String, String> {
    let title = escaped(&summary.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>{title} – tidegate report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n"
    );
    facts(&mut page, summary);
    list(&mut page, "notes", summary.notes.iter().map(String::as_str));
    page.push_str("</header>\n<main>\n");
    for group in &summary.groups {
        section(&mut page, group)?;
    }
    page.push_str("</main>\n<footer>Written by tidegate ");
    page.push_str(crate::VERSION);
    page.push_str(
        ". A winner is named only where no interval overlaps its own and every other is at least 1 % away.</footer>\n\
         </body>\n</html>\n",
    );
    Ok(page)
}

/// Text for element content and attribute values; control characters, which XML cannot hold, become blanks.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            control if control.is_control() => safe.push(' '),
            plain => safe.push(plain),
        }
    }
    safe
}

fn facts(page: &mut String, summary: &Summary) {
    let Some(run) = &summary.run else { return };
    let machine = &run.machine;
    let versions: Vec<String> =
        run.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
    let rows = [
        ("Command", format!("<code>{}</code>", escaped(&run.command))),
        ("Started", escaped(&run.started)),
        ("Seed", run.seed.to_string()),
        ("Revision", escaped(run.git_revision.as_deref().unwrap_or("unknown"))),
        ("Versions", escaped(&versions.join(", "))),
        (
            "Machine",
            format!(
                "{}, {}, {} cores, {} MiB",
                escaped(&machine.system),
                escaped(&machine.cpu),
                machine.cores,
                machine.memory_mib
            ),
        ),
    ];
    page.push_str("<dl>\n");
    for (name, value) in rows {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, "<dt>{name}</dt><dd>{value}</dd>");
    }
    page.push_str("</dl>\n");
}

fn list<'a>(page: &mut String, class: &str, items: impl Iterator<Item = &'a str>) {
    let _ = writeln!(page, "<ul class=\"{class}\">");
    for item in items {
        let _ = writeln!(page, "<li>{}</li>", escaped(item));
    }
    page.push_str("</ul>\n");
}

fn section(page: &mut String, group: &Group) -> Result<(), String> {
    let (class, mark) = match group.control.passed {
        Some(true) => ("control passed", "✓ "),
        Some(false) => ("control failed", "✗ "),
        None => ("control", ""),
    };
    let _ = writeln!(page, "<section>\n<h2>{}</h2>", escaped(&group.title));
    let _ = writeln!(page, "<p class=\"{class}\">{mark}{}</p>", escaped(&group.control.text));
    if !group.verdicts.is_empty() {
        list(page, "verdicts", group.verdicts.iter().map(|verdict| verdict.text.as_str()));
    }
    table(page, &text::overview(group));
    page.push_str("<div class=\"charts\">\n");
    for metric in Metric::JUDGED {
        bars(page, group, metric)?;
    }
    shares(page, group)?;
    distribution(page, group)?;
    percentiles(page, group)?;
    latency_over_time(page, group)?;
    for row in &group.scenarios {
        share_over_time(page, row)?;
    }
    page.push_str("</div>\n</section>\n");
    Ok(())
}

fn figure(page: &mut String, title: &str, about: &str, svg: &str, legend: &[(usize, &str)], numbers: &Table) {
    let _ = writeln!(
        page,
        "<figure>\n<figcaption>{}<small>{}</small></figcaption>\n{svg}",
        escaped(title),
        escaped(about)
    );
    if !legend.is_empty() {
        page.push_str("<ul class=\"legend\">\n");
        for (index, name) in legend {
            let (colour, dashes) = (index % theme::COLOURS, theme::dashes(*index));
            let _ = writeln!(
                page,
                "<li><svg viewBox=\"0 0 28 10\" aria-hidden=\"true\"><path d=\"M0 5H28\" stroke=\"var(--c{colour})\" \
                 stroke-width=\"3\" stroke-dasharray=\"{dashes}\"/></svg>{}</li>",
                escaped(name)
            );
        }
        page.push_str("</ul>\n");
    }
    page.push_str("<details><summary>Numbers</summary>\n");
    table(page, numbers);
    page.push_str("</details>\n</figure>\n");
}

fn table(page: &mut String, table: &Table) {
    let caption = escaped(&table.caption);
    let _ = writeln!(
        page,
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table>"
    );
    page.push_str("<thead><tr>");
    for title in &table.head {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escaped(title));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for cells in &table.body {
        page.push_str("<tr>");
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", escaped(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

fn bars(page: &mut String, group: &Group, metric: Metric) -> Result<(), String> {
    let bar = |(colour, row): (usize, &Row)| {
        let figure = row.figures.get(&metric)?;
        let mark = row.original.and_then(|original| original.figure(metric));
        let ratio = row.ratios.get(&metric).filter(|_| group.baseline.as_ref() != Some(&row.name));
        let label = row.name.clone();
        let ratio = ratio.map(|ratio| ratio.value);
        Some(Bar { label, value: figure.value, ratio, interval: figure.interval, mark, colour })
    };
    let drawn: Vec<Bar> = group.scenarios.iter().enumerate().filter_map(bar).collect();
    if drawn.is_empty() {
        return Ok(());
    }
    let said: Vec<String> = drawn.iter().map(Bar::words).collect();
    let svg = chart::bars(&format!("{}: {}", metric.title(), said.join(", ")), &drawn)?;
    let mut about = if metric.more_is_better() { "More is better." } else { "Less is better." }.to_owned();
    if drawn.iter().any(|bar| bar.interval.is_some()) {
        about.push_str(" Whiskers: 95 % interval.");
    }
    if let Some(baseline) = &group.baseline {
        let _ = write!(about, " ×: ratio to {baseline}.");
    }
    if drawn.iter().any(|bar| bar.mark.is_some()) {
        about.push_str(" Upright marks: the original's published figure.");
    }
    figure(page, metric.title(), &about, &svg, &[], &text::by_metric(group, metric));
    Ok(())
}

fn shares(page: &mut String, group: &Group) -> Result<(), String> {
    let stack = |row: &Row| Stack {
        label: row.name.clone(),
        parts: row.backends.iter().map(|backend| (backend.name.clone(), backend.share)).collect(),
    };
    let stacks: Vec<Stack> = group.scenarios.iter().map(stack).collect();
    let Some(first) = group.scenarios.first().filter(|row| !row.backends.is_empty()) else { return Ok(()) };
    let svg = chart::stacks("Share of requests per backend; the numbers are in the table", &stacks)?;
    let legend = backends(first);
    figure(page, "Share per backend", "Where requests were sent.", &svg, &legend, &text::shares(group));
    Ok(())
}

fn backends(row: &Row) -> Vec<(usize, &str)> {
    row.backends.iter().map(|backend| backend.name.as_str()).enumerate().collect()
}

fn names(group: &Group) -> Vec<(usize, &str)> {
    group.scenarios.iter().map(|row| row.name.as_str()).enumerate().collect()
}

fn distribution(page: &mut String, group: &Group) -> Result<(), String> {
    let all = || group.scenarios.iter().flat_map(|row| &row.curve).map(|point| point.ms);
    if all().next().is_none() {
        return Ok(());
    }
    let least = all().filter(|ms| *ms > 0.0).fold(f64::INFINITY, f64::min);
    let x = Axis::logarithmic("latency, ms", least, all().fold(0.0, f64::max));
    let mut y = Axis::linear("share of requests, %", 100.0);
    y.range = 0.0..100.0;
    let line = |(colour, row): (usize, &Row)| {
        let mut points = Vec::new();
        let mut reached = 0.0;
        for point in &row.curve {
            let at = point.ms.max(least).log10();
            points.extend([(at, reached), (at, point.quantile * 100.0)]); // steps: nothing lies between two values
            reached = point.quantile * 100.0;
        }
        Line { points, colour }
    };
    let lines: Vec<Line> = group.scenarios.iter().enumerate().map(line).collect();
    let svg = chart::lines("Latency distribution; the numbers are in the table", &x, &y, &lines)?;
    let about = "How many requests were answered within a time; the time is logarithmic.";
    figure(page, "Latency distribution", about, &svg, &names(group), &quantiles(group));
    Ok(())
}

fn percentiles(page: &mut String, group: &Group) -> Result<(), String> {
    let points = || group.scenarios.iter().flat_map(|row| &row.curve).filter(|point| point.quantile < 1.0);
    let Some(last) = points().map(|point| point.quantile).reduce(f64::max) else { return Ok(()) };
    let decades = |quantile: f64| -(1.0 - quantile).log10();
    let nines = ["0%", "90%", "99%", "99.9%", "99.99%", "99.999%", "99.9999%"];
    let end = decades(last).ceil().clamp(1.0, 6.0);
    let ticks = nines.iter().take(end as usize + 1).enumerate();
    let x = Axis {
        title: "percentile".to_owned(),
        ticks: ticks.map(|(power, name)| (power as f64, (*name).to_owned())).collect(),
        range: 0.0..end,
    };
    let y = Axis::linear("latency, ms", points().map(|point| point.ms).fold(0.0, f64::max));
    let line = |(colour, row): (usize, &Row)| {
        let told = row.curve.iter().filter(|point| point.quantile < 1.0);
        Line { points: told.map(|point| (decades(point.quantile), point.ms)).collect(), colour }
    };
    let lines: Vec<Line> = group.scenarios.iter().enumerate().map(line).collect();
    let svg = chart::lines("Latency by percentile; the numbers are in the table", &x, &y, &lines)?;
    let about = "Each step to the right is a ten times rarer request.";
    figure(page, "Latency by percentile", about, &svg, &names(group), &quantiles(group));
    Ok(())
}

/// The distribution as a table.
fn quantiles(group: &Group) -> Table {
    let shown = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];
    let name = |quantile: &f64| match *quantile {
        1.0 => "longest".to_owned(),
        quantile => format!("{} %", (quantile * 1e6).round() / 1e4),
    };
    let head = std::iter::once("ms".to_owned()).chain(shown.iter().map(name)).collect();
    let body = group.scenarios.iter().map(|row| {
        let at = |quantile: &f64| {
            let found = row.curve.iter().find(|point| (point.quantile - quantile).abs() < 1e-9);
            optional(found.map(|point| point.ms))
        };
        std::iter::once(row.name.clone()).chain(shown.iter().map(at)).collect()
    });
    Table { caption: "Latency percentiles".to_owned(), head, body: body.collect() }
}

fn latency_over_time(page: &mut String, group: &Group) -> Result<(), String> {
    let longest =
        group.scenarios.iter().map(|row| row.series.len() as f64 * row.series_step_s).fold(0.0, f64::max);
    let highest = group.scenarios.iter().flat_map(|row| &row.series).filter_map(|point| point.p95_ms);
    let x = Axis::linear("seconds", longest);
    let y = Axis::linear("p95 latency, ms", highest.fold(0.0, f64::max));
    let line = |(colour, row): (usize, &Row)| {
        let at = |index: usize| (index as f64 + 0.5) * row.series_step_s;
        let points = row.series.iter().enumerate();
        Line {
            points: points.filter_map(|(index, point)| Some((at(index), point.p95_ms?))).collect(),
            colour,
        }
    };
    let lines: Vec<Line> = group.scenarios.iter().enumerate().map(line).collect();
    let svg = chart::lines("95th percentile over time; the numbers are in the table", &x, &y, &lines)?;
    let mut numbers = Table { caption: "Latency over time".to_owned(), head: Vec::new(), body: Vec::new() };
    numbers.head = ["scenario", "second", "requests", "mean ms", "p95 ms"].map(str::to_owned).to_vec();
    for row in &group.scenarios {
        for (index, point) in row.series.iter().enumerate() {
            numbers.body.push(vec![
                row.name.clone(),
                number(index as f64 * row.series_step_s),
                point.requests.to_string(),
                optional(point.mean_ms),
                optional(point.p95_ms),
            ]);
        }
    }
    figure(page, "p95 over time", "From the proxy's log.", &svg, &names(group), &numbers);
    Ok(())
}

fn share_over_time(page: &mut String, row: &Row) -> Result<(), String> {
    if row.backends.is_empty() {
        return Ok(());
    }
    let x = Axis::linear("seconds", row.series.len() as f64 * row.series_step_s);
    let y = Axis::linear("share of requests, %", 100.0);
    let line = |colour: usize| {
        let points = row.series.iter().enumerate().filter(|(_, point)| point.requests > 0);
        let at = |index: usize| (index as f64 + 0.5) * row.series_step_s;
        Line {
            points: points.map(|(index, point)| (at(index), point.shares[colour] * 100.0)).collect(),
            colour,
        }
    };
    let lines: Vec<Line> = (0..row.backends.len()).map(line).collect();
    let description = format!("Share per backend over time, {}; the numbers are in the table", row.name);
    let svg = chart::lines(&description, &x, &y, &lines)?;
    let head =
        std::iter::once("second".to_owned()).chain(row.backends.iter().map(|backend| backend.name.clone()));
    let body = row.series.iter().enumerate().map(|(index, point)| {
        let shares = point.shares.iter().map(|share| format!("{:.1} %", share * 100.0));
        std::iter::once(number(index as f64 * row.series_step_s)).chain(shares).collect()
    });
    let numbers = Table { caption: description, head: head.collect(), body: body.collect() };
    let title = format!("Share over time: {}", row.name);
    figure(page, &title, "From the proxy's log.", &svg, &backends(row), &numbers);
    Ok(())
}
