//! Percentile files (`.hgrm`), the text format of HdrHistogram and of wrk2: a line per step of the distribution.
//!
//! Values are milliseconds, as in wrk2. A file keeps the curve, not every count: about five steps per halving of the
//! distance to 100 %. Absent: HdrHistogram's compressed log format.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use hdrhistogram::Histogram;

/// Steps per halving of the distance to 100 %.
const TICKS: u32 = 5;

/// Writes the distribution of `histogram`, recorded in microseconds.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, histogram: &Histogram<u64>) -> io::Result<()> {
    fs::write(path, text(histogram))
}

fn text(histogram: &Histogram<u64>) -> String {
    let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    let mut seen = 0;
    for step in histogram.iter_quantiles(TICKS) {
        seen += step.count_since_last_iteration();
        let (value, quantile) = (step.value_iterated_to().min(histogram.max()) as f64 / 1e3, step.quantile());
        // Writing to a String cannot fail.
        let _ = match quantile < 1.0 {
            true => writeln!(text, "{value:12.3} {quantile:14.12} {seen:10} {:14.2}", 1.0 / (1.0 - quantile)),
            false => writeln!(text, "{value:12.3} {quantile:14.12} {seen:10}            inf"),
        };
    }
    let (mean, deviation, max) =
        (histogram.mean() / 1e3, histogram.stdev() / 1e3, histogram.max() as f64 / 1e3);
    let _ = writeln!(text, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]");
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {:12}]", histogram.len());
    text
}

/// The steps of a file: microseconds and how many requests fall on each.
///
/// # Errors
/// One line naming file and line.
pub(super) fn read(path: &Path) -> Result<Vec<(u64, u64)>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut steps, mut seen) = (Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', 'V']) {
            continue;
        }
        let mut fields = line.split_ascii_whitespace();
        let value = fields.next().and_then(|field| field.parse::<f64>().ok());
        let total = fields.nth(1).and_then(|field| field.parse::<u64>().ok());
        let (Some(value), Some(total)) = (value.filter(|value| *value >= 0.0), total) else {
            return Err(format!("{}:{}: is not 'value percentile count'", path.display(), index + 1));
        };
        steps.push(((value * 1e3).round() as u64, total.saturating_sub(seen)));
        seen = seen.max(total);
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_with_its_percentiles() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        (1..=10_000).for_each(|value| histogram.record(value * 100).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.hgrm");
        write(&path, &histogram).unwrap();
        let steps = read(&path).unwrap();
        assert_eq!(steps.iter().map(|(_, count)| count).sum::<u64>(), 10_000);
        let again = super::super::measure::rebuilt(steps);
        for quantile in [0.5, 0.9, 0.95, 0.99, 0.999] {
            let (was, is) =
                (histogram.value_at_quantile(quantile) as f64, again.quantile_ms(quantile).unwrap() * 1e3);
            assert!((is / was - 1.0).abs() < 0.01, "{quantile}: {was} {is}");
        }
        fs::write(&path, "Value\n1.0 0.5 x\n").unwrap();
        assert!(read(&path).unwrap_err().ends_with("x.hgrm:2: is not 'value percentile count'"));
    }
}
