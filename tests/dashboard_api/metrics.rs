//! `/metrics` as an independent parser reads it, against the rows of the log.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;

use prometheus_parse::{Scrape, Value};

use tidegate::config::BackendConfig;

use crate::support::{Origin, wait_for};
use crate::{Stage, field, get};

const OPEN: &str = "Accept: application/openmetrics-text\r\n";

fn scrape(stage: &Stage) -> Scrape {
    let answer = get(stage.admin, "/metrics", OPEN);
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

/// The series of a page, in either form, and what is wrong with its lines: the grammar that both forms share, and what they
/// differ in.
fn series(text: &str, is_open: bool) -> Vec<(String, f64)> {
    let mut series: Vec<(String, f64)> = Vec::new();
    let mut family = (String::new(), String::new());
    let mut families = HashSet::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let (what, rest) = comment.split_once(' ').unwrap();
            let (name, words) = rest.split_once(' ').unwrap();
            match what {
                "HELP" => assert!(families.insert(name.to_owned()), "{name} comes twice"),
                "TYPE" => family = (name.to_owned(), words.to_owned()),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (labelled, value) = line.rsplit_once(' ').unwrap();
        let name = labelled.split('{').next().unwrap();
        let suffixes: &[&str] = match (family.1.as_str(), is_open) {
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("counter", true) => &["_total"],
            ("counter", false) => {
                assert!(family.0.ends_with("_total"), "{}", family.0);
                &[""]
            }
            ("gauge", _) => &[""],
            other => panic!("{other:?}"),
        };
        assert!(
            suffixes.iter().any(|suffix| name == format!("{}{suffix}", family.0)),
            "{line} in {family:?}"
        );
        assert!(!series.iter().any(|(known, _)| known == labelled), "{labelled} comes twice");
        series.push((labelled.to_owned(), value.parse().unwrap()));
    }
    series
}

/// Buckets grow, the last is that of everything, and it is the count.
fn check_histograms(series: &[(String, f64)]) -> usize {
    let (mut last, mut checked, mut open) = (0.0, 0, None);
    for (name, value) in series {
        if name.contains("_bucket{") {
            let bound = name.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
            let bound: f64 = bound.parse().unwrap();
            assert!(*value >= last && open.is_none_or(|before| before < bound), "{name}");
            (last, open) = (*value, Some(bound));
            if bound == f64::INFINITY {
                let all = name.replace("_bucket{", "_count{").replace("le=\"+Inf\"", "");
                let all = all.replace(",}", "}").replace("{,", "{").replace("{}", "");
                let count = series.iter().find(|(name, _)| *name == all).unwrap_or_else(|| panic!("{all}"));
                assert_eq!(count.1, *value, "{name}");
                (last, open, checked) = (0.0, None, checked + 1);
            }
        }
    }
    assert_eq!(open, None, "a histogram without a bucket of everything");
    checked
}

#[test]
fn every_line_is_as_the_format_asked_for_wants_it() {
    let stage = Stage::start(3, |_| ());
    stage.load(30);
    for (accept, kind, is_open) in [
        ("", "text/plain; version=0.0.4; charset=utf-8", false),
        ("Accept: text/plain\r\n", "text/plain; version=0.0.4; charset=utf-8", false),
        (OPEN, "application/openmetrics-text; version=1.0.0; charset=utf-8", true),
    ] {
        for coding in ["", "Accept-Encoding: gzip\r\n"] {
            let answer = get(stage.admin, "/metrics", &format!("{accept}{coding}"));
            assert_eq!((answer.status, field(&answer, "content-type").as_deref()), (200, Some(kind)));
            assert_eq!(field(&answer, "vary").as_deref(), Some("Accept, Accept-Encoding"));
            let text = if coding.is_empty() {
                String::from_utf8(answer.body).unwrap()
            } else {
                assert_eq!(field(&answer, "content-encoding").as_deref(), Some("gzip"));
                let mut text = String::new();
                flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_string(&mut text).unwrap();
                text
            };
            assert_eq!(text.ends_with("# EOF\n"), is_open);
            let series = series(&text, is_open);
            assert!(series.len() > 200, "{}", series.len());
            assert!(check_histograms(&series) >= 3, "one of each backend");
        }
    }
}

#[test]
fn a_name_that_moves_to_another_address_keeps_one_series_and_a_removed_one_goes() {
    let stage = Stage::start(2, |_| ());
    stage.load(4);
    let names = |stage: &Stage| {
        let answer = get(stage.admin, "/metrics", "");
        let series = series(&String::from_utf8(answer.body).unwrap(), false);
        let of =
            |name: &str| name.strip_prefix("tidegate_backend_requests_total{backend=\"").map(str::to_owned);
        series
            .iter()
            .filter_map(|(name, count)| Some((of(name)?.replace("\"}", ""), *count)))
            .collect::<Vec<_>>()
    };
    let url = stage.url(0);
    wait_for("the figures", || names(&stage) == [(url.clone(), 2.0), (stage.url(1), 2.0)]);
    // The name of the first has another address now, and the second is gone.
    let moved = Origin::echo_path();
    let config = BackendConfig { url: url.clone(), ..BackendConfig::at(moved.address) };
    stage.proxy.reload(|known| known.backends = vec![config]);
    let mut client = stage.proxy.client();
    (0..3).for_each(|_| assert_eq!(client.get("/").status, 200));
    let mut seen = Vec::new();
    wait_for("the new one's figures alone", || {
        let now = names(&stage);
        seen.push(now.clone());
        now == [(url.clone(), 3.0)]
    });
    assert!(
        seen.iter().flatten().any(|(name, _)| *name == stage.url(1)),
        "it went without a last scrape: {seen:?}"
    );
    let hits = moved.lines().len();
    assert_eq!(hits, 3, "and they are those of the new address");
}

#[test]
fn every_family_is_described_for_users_and_no_other() {
    let stage = Stage::start(1, |_| ());
    stage.load(2);
    let _ = stage.json("/api/stats"); // somebody looks, so the overhead is measured
    let described = include_str!("../../packaging/prometheus/README.md");
    let described = described.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let described: HashSet<&str> = described.collect();
    wait_for("all families", || {
        stage.load(1);
        let answer = get(stage.admin, "/metrics", "");
        let text = String::from_utf8(answer.body).unwrap();
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let families: HashSet<&str> = families.collect();
        assert!(families.is_subset(&described), "{:?}", families.difference(&described));
        families == described
    });
}
