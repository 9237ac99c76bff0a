//! The demo's figures as text of at most 100 columns. Pure.

use crate::balance::Routing;
use crate::load::LoadResult;
use crate::record::stats::Snapshot;

/// Columns a table may have.
const WIDTH: usize = 100;
const GAP: &str = "  ";
/// From this share of its time on the driver is suspected of being the slow one.
const BUSY: f64 = 0.9;
/// Figures closer than this are the same as far as one short run can tell.
const SAME: f64 = 0.05;

/// What one routing did.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Which.
    pub routing: Routing,
    /// As the proxy counted them.
    pub requests: u64,
    /// Answers a second, as the client counted them.
    pub rate: f64,
    /// Mean, p50, p95 and p99 in milliseconds, as the client saw them; `None` without answers.
    pub latencies: [Option<f64>; 4],
    /// Each backend's name and part of the requests, 0..=1, as the proxy counted them.
    pub shares: Vec<(String, f64)>,
}

impl Row {
    /// The row of a run; `labels` name the backends in configured order.
    pub fn new(routing: Routing, labels: &[String], snapshot: &Snapshot, result: &LoadResult) -> Row {
        let quantile = |q| result.quantile_ms(q);
        Row {
            routing,
            requests: snapshot.counters.requests,
            rate: result.rate(),
            latencies: [result.mean_ms(), quantile(0.5), quantile(0.95), quantile(0.99)],
            shares: shares(labels, snapshot),
        }
    }

    /// One line for now; the table comes later.
    pub(super) fn in_short(&self) -> String {
        let [mean, _, p95, _] = self.latencies.map(millis);
        format!(
            "  done   {} requests, {:.1} req/s, mean {mean} ms, p95 {p95} ms",
            grouped(self.requests),
            self.rate
        )
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.routing.to_string(), grouped(self.requests), decimal(self.rate)];
        cells.extend(self.latencies.map(millis));
        cells
    }
}

fn shares(labels: &[String], snapshot: &Snapshot) -> Vec<(String, f64)> {
    labels.iter().cloned().zip(snapshot.backends.iter().map(|backend| backend.share)).collect()
}

/// The table: a line per routing, and more where the shares do not fit in one.
pub(super) fn render<'a>(rows: impl Iterator<Item = &'a Row>) -> String {
    let rows: Vec<&Row> = rows.collect();
    let heads = ["routing", "requests", "req/s", "mean ms", "p50 ms", "p95 ms", "p99 ms"].map(str::to_owned);
    let mut grid = vec![heads.to_vec()];
    grid.extend(rows.iter().map(|row| row.cells()));
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| grid.iter().map(|cells| cells[column].len()).max().unwrap_or(0))
        .collect();
    let indent: usize = widths.iter().map(|width| width + GAP.len()).sum();
    let mut text = String::new();
    for (index, cells) in grid.iter().enumerate() {
        let line: String = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, width))| align(at, cell, *width))
            .collect();
        let shares = match index.checked_sub(1).and_then(|index| rows.get(index)) {
            None => vec!["share per backend".to_owned()],
            Some(row) => wrapped(&row.shares, WIDTH.saturating_sub(indent)),
        };
        text += &format!("{line}{}", shares.join(&format!("\n{}", " ".repeat(indent))));
        text.truncate(text.trim_end().len());
        text += "\n";
    }
    text
}

/// Names to the left, figures to the right.
fn align(column: usize, cell: &str, width: usize) -> String {
    if column == 0 { format!("{cell:<width$}{GAP}") } else { format!("{cell:>width$}{GAP}") }
}

/// Shares in lines of `width` columns.
fn wrapped(shares: &[(String, f64)], width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (label, share) in shares {
        let item = format!("{label} {:>5.1}%", share * 100.0);
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = item,
            Some(line) if line.len() + GAP.len() + item.len() <= width => *line += &format!("{GAP}{item}"),
            _ => lines.push(item),
        }
    }
    lines
}

/// What a reader of a row must know besides.
pub(super) fn remarks(routing: Routing, result: &LoadResult) -> String {
    let mut text = String::new();
    if result.errors.total() > 0 {
        text +=
            &format!("{routing}: {} requests failed ({}).\n", grouped(result.errors.total()), result.errors);
    }
    if result.non_2xx > 0 {
        text += &format!("{routing}: {} answers were not 2xx.\n", grouped(result.non_2xx));
    }
    if result.busy_share > BUSY {
        let busy = result.busy_share * 100.0;
        text += &format!(
            "{routing}: the clients' thread was busy {busy:.0}% of the time and may have been the limit.\n"
        );
    }
    text
}

/// Where the figures come from.
pub(super) fn footer(connections: usize) -> String {
    format!(
        "Requests and shares are the proxy's count; req/s and latencies are what the {connections} clients saw,\n\
         connecting included. In a closed loop req/s is clients / mean latency: one figure, not two.\n"
    )
}

/// What to look at, if there is anything to compare.
pub(super) fn hint<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<String> {
    let mut rows: Vec<(&Row, f64)> = rows.filter_map(|row| Some((row, row.latencies[2]?))).collect();
    if rows.len() < 2 {
        return None;
    }
    rows.sort_by(|a, b| b.0.rate.total_cmp(&a.0.rate));
    let (fastest, next) = (rows[0].0, rows[1].0);
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (steadiest, p95) = rows[0];
    let most = match next.rate > fastest.rate * (1.0 - SAME) {
        true => "req/s about equal at the top".to_owned(),
        false => format!("most req/s with {}", fastest.routing),
    };
    let tail = match rows[1].1 < p95 * (1.0 + SAME) {
        true => "p95 about equal at the best".to_owned(),
        false => format!("shortest p95 with {}", steadiest.routing),
    };
    Some(format!("Look at p95 beside req/s, and at the shares: {most}, {tail}.\n"))
}

/// What a demo without load of its own has seen.
pub(super) fn served(labels: &[String], snapshot: &Snapshot) -> String {
    let shares = wrapped(&shares(labels, snapshot), WIDTH - 2 * GAP.len()).join("\n    ");
    let [mean, p95] = {
        let latency = snapshot.latency();
        [latency.mean_ms, latency.p95_ms].map(millis)
    };
    let requests = grouped(snapshot.counters.requests);
    format!("\n{requests} requests; at the backends mean {mean} ms, p95 {p95} ms; shares:\n    {shares}")
}

/// Three digits or so, whatever the size.
fn millis(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 1.0 => format!("{value:.3}"),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) => decimal(value),
    }
}

/// One decimal, thousands set apart.
fn decimal(value: f64) -> String {
    let tenths = (value.max(0.0) * 10.0).round() as u64;
    format!("{}.{}", grouped(tenths / 10), tenths % 10)
}

/// Thousands set apart by commas.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(routing: Routing, requests: u64, rate: f64, latencies: [f64; 4], shares: &[f64]) -> Row {
        let label = |index: usize| char::from(b'A' + index as u8).to_string();
        Row {
            routing,
            requests,
            rate,
            latencies: latencies.map(Some),
            shares: shares.iter().enumerate().map(|(index, share)| (label(index), *share)).collect(),
        }
    }

    fn original() -> [Row; 3] {
        [
            row(Routing::RoundRobin, 9_981, 496.12, [201.27, 200.4, 401.2, 402.1], &[0.3334, 0.3333, 0.3333]),
            row(Routing::AdaptiveSma, 9_455, 468.9, [212.94, 200.5, 233.0, 251.3], &[0.01, 0.9795, 0.0105]),
            row(Routing::AdaptiveEwma, 1_009_444, 470.0, [0.0123, 1.5, 99.96, 1234.5], &[0.0, 1.0, 0.0]),
        ]
    }

    #[test]
    fn the_table_is_aligned() {
        let wanted = "\
routing         requests  req/s  mean ms  p50 ms  p95 ms   p99 ms  share per backend
round-robin        9,981  496.1    201.3   200.4   401.2    402.1  A  33.3%  B  33.3%  C  33.3%
adaptive_sma       9,455  468.9    212.9   200.5   233.0    251.3  A   1.0%  B  98.0%  C   1.1%
adaptive_ewma  1,009,444  470.0    0.012    1.50   100.0  1,234.5  A   0.0%  B 100.0%  C   0.0%
";
        assert_eq!(render(original().iter()), wanted);
    }

    #[test]
    fn many_backends_wrap_and_nothing_is_wider_than_100_columns() {
        let many = row(Routing::LeastConnections, 123_456_789, 123_456.7, [1e4; 4], &[0.05; 20]);
        let none = Row { latencies: [None; 4], shares: Vec::new(), ..many };
        let text = render([many, none].iter());
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(text.matches("  5.0%").count(), 20, "{text}");
        assert!(text.lines().last().unwrap().ends_with('-'), "{text}");
        assert!(footer(100_000).lines().all(|line| line.len() <= WIDTH), "{}", footer(100_000));
    }

    #[test]
    fn the_hint_claims_nothing_from_small_differences() {
        let rows = original();
        let hint_of = |rows: &[Row]| hint(rows.iter());
        assert!(hint_of(&rows[..1]).is_none());
        let text = hint_of(&rows[..2]).unwrap();
        assert!(text.contains("most req/s with round-robin, shortest p95 with adaptive_sma"), "{text}");
        let mut twins = [rows[0].clone(), rows[0].clone()];
        twins[1].rate *= 1.03;
        let text = hint_of(&twins).unwrap();
        assert!(text.contains("about equal at the top, p95 about equal"), "{text}");
    }

    #[test]
    fn figures_read_easily() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(grouped), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 9.96, 999.96].map(decimal), ["0.0", "10.0", "1,000.0"]);
        assert_eq!([Some(0.0421), Some(4.2), None].map(millis), ["0.042", "4.20", "-"]);
    }
}
