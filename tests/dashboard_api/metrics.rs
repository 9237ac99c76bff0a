//! `/metrics` as an independent parser reads it, against the rows of the log.

use std::collections::HashMap;

use prometheus_parse::{Scrape, Value};

use crate::support::wait_for;
use crate::{Stage, field, get};

fn scrape(stage: &Stage) -> Scrape {
    let answer = get(stage.admin, "/metrics", "");
    assert_eq!(answer.status, 200);
    let kind = field(&answer, "content-type").unwrap();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with("# EOF\n"));
    Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

fn number(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let found = scrape.samples.iter().find(|sample| {
        sample.metric == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
    })?;
    match found.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(value),
        _ => None,
    }
}

#[test]
fn histograms_have_exactly_the_rows_of_the_log() {
    let stage = Stage::start(3, |_| ());
    stage.load(90);
    let name = "tidegate_upstream_latency_seconds";
    wait_for("the figures", || number(&scrape(&stage), &format!("{name}_count"), &[]) == Some(30.0));
    let shown = scrape(&stage);
    assert_eq!(number(&shown, "tidegate_requests_total", &[("class", "2xx")]), Some(90.0));
    assert_eq!(number(&shown, "tidegate_clients_accepted_total", &[]), Some(1.0));
    assert_eq!(number(&shown, "tidegate_ready", &[]), Some(1.0));
    assert_eq!(number(&shown, "tidegate_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    for metric in ["tidegate_retries_total", "tidegate_ejections_total", "tidegate_log_dropped_rows_total"] {
        assert_eq!(number(&shown, metric, &[]), Some(0.0), "{metric}");
    }
    let urls: Vec<String> = (0..3).map(|backend| stage.url(backend)).collect();
    for url in &urls {
        let of = [("backend", url.as_str())];
        assert_eq!(number(&shown, "tidegate_backend_state", &[of[0], ("state", "up")]), Some(1.0));
        assert_eq!(number(&shown, "tidegate_backend_state", &[of[0], ("state", "down")]), Some(0.0));
        assert_eq!(number(&shown, "tidegate_backend_pool_open", &of), Some(1.0));
    }
    let (_, rows) = stage.proxy.stop();
    let mut by_backend: HashMap<String, Vec<f64>> = HashMap::new();
    for row in &rows {
        by_backend.entry(row.get("backend_url")).or_default().push(row.get("latency_ms").parse().unwrap());
    }
    for url in &urls {
        let latencies = &by_backend[url];
        let histogram = shown.samples.iter().find_map(|sample| match &sample.value {
            Value::Histogram(counts)
                if sample.metric == name && sample.labels.get("backend") == Some(url) =>
            {
                Some(counts)
            }
            _ => None,
        });
        let histogram = histogram.unwrap();
        assert!(histogram.len() > 40);
        for bucket in histogram {
            // Rows are rounded to the microsecond, as bounds are.
            let below =
                latencies.iter().filter(|ms| (**ms * 1e3).round() <= (bucket.less_than * 1e6).round());
            assert_eq!(bucket.count, below.count() as f64, "{url} below {}", bucket.less_than);
        }
        let sum = number(&shown, &format!("{name}_sum"), &[("backend", url)]).unwrap();
        assert!((sum - latencies.iter().sum::<f64>() / 1e3).abs() < 1e-9);
    }
}
