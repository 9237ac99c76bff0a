//! `/metrics` as a real Prometheus and the parsers of its Python client read it.
//!
//! Needs `prometheus` (Debian's package of that name) on the PATH or named by `PROMETHEUS`, and a Python with the package
//! `prometheus-client`, named by `PROMETHEUS_PYTHON` if it is not `python3`. What is missing is said, and its test skipped;
//! with `REQUIRE_PROMETHEUS=1` that is a failure.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::port::Reserved;
use crate::support::{Client, wait_for};
use crate::{Stage, get};

const OPEN: &str = "Accept: application/openmetrics-text;version=1.0.0\r\n";
const DASHBOARD: &str = include_str!("../../packaging/prometheus/grafana-dashboard.json");

/// The program, or the end of the test.
fn program(variable: &str, usual: &str, args: &[&str]) -> Option<String> {
    let name = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
    let found = Command::new(&name).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(name);
    }
    let is_required = std::env::var_os("REQUIRE_PROMETHEUS").is_some_and(|value| value == "1");
    assert!(!is_required, "REQUIRE_PROMETHEUS=1, but {name} {args:?} does not run");
    println!("skipped: {name} {args:?} does not run");
    None
}

/// A Prometheus that scrapes this address five times a second; ended and forgotten when dropped.
struct Prometheus {
    child: Child,
    port: Reserved,
    _home: tempfile::TempDir,
}

impl Prometheus {
    fn start(program: &str, scrapes: SocketAddr) -> Prometheus {
        let (home, port) = (tempfile::tempdir().unwrap(), Reserved::new());
        let config = home.path().join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\nscrape_configs:\n- job_name: tidegate\n  \
             static_configs:\n  - targets: ['{scrapes}']\n"
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address={}", port.address))
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let prometheus = Prometheus { child, port, _home: home };
        // It listens before it answers: until then it says 503.
        wait_for("Prometheus to listen", || std::net::TcpStream::connect(prometheus.port.address).is_ok());
        wait_for("Prometheus to be ready", || {
            Client::connect(prometheus.port.address).get("/-/ready").status == 200
        });
        prometheus
    }

    /// The samples that an expression has now: their labels and values.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = Client::connect(self.port.address).get(&format!("/api/v1/query?query={encoded}"));
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["status"], "success", "{expression}: {json}");
        let samples = json["data"]["result"].as_array().unwrap().iter();
        samples
            .map(|one| (one["metric"].clone(), one["value"][1].as_str().unwrap().parse().unwrap()))
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The queries of the dashboard, as they are sent.
fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| (panel["title"].clone(), target["expr"].clone()))
    });
    let filled =
        |text: &str| text.replace("$__rate_interval", "5s").replace("$job", ".*").replace("$instance", ".*");
    targets
        .map(|(title, expr)| (title.as_str().unwrap().to_owned(), filled(expr.as_str().unwrap())))
        .collect()
}

#[test]
fn a_real_prometheus_computes_quantiles_and_every_panel_of_the_dashboard() {
    let Some(program) = program("PROMETHEUS", "prometheus", &["--version"]) else { return };
    let stage = Stage::start(3, |_| ());
    let prometheus = Prometheus::start(&program, stage.admin);
    let quantile = |share: f64| {
        let name = "tidegate_upstream_latency_seconds_bucket";
        prometheus.query(&format!("histogram_quantile({share}, sum by (le) (rate({name}[5s])))"))
    };
    // Under load, as long as it takes.
    let mut client = stage.proxy.client();
    wait_for("the quantiles", || {
        (0..50).for_each(|_| assert_eq!(client.get("/").status, 200));
        quantile(0.5).first().is_some_and(|(_, value)| value.is_finite())
    });
    let found = [0.5, 0.95, 0.99].map(|share| quantile(share)[0].1);
    println!("p50, p95, p99 as Prometheus has them: {found:?} s");
    assert!(found.iter().all(|value| value.is_finite() && *value > 0.0), "{found:?}");
    assert!(found.is_sorted(), "{found:?}");
    let panels = panels();
    assert!(panels.len() > 20, "{} queries", panels.len());
    let mut left: Vec<&(String, String)> = panels.iter().collect();
    wait_for("every panel to have figures", || {
        (0..50).for_each(|_| assert_eq!(client.get("/").status, 200));
        left.retain(|(_, expr)| prometheus.query(expr).is_empty());
        if !left.is_empty() {
            println!("no figures yet: {left:?}");
        }
        left.is_empty()
    });
    assert_eq!(prometheus.query("scrape_samples_scraped > 100").len(), 1);
    assert_eq!(prometheus.query("up == 1").len(), 1);
}

const PARSE: &str = r#"
import sys
form, text = sys.argv[1], sys.stdin.read()
if form == "open":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
else:
    from prometheus_client.parser import text_string_to_metric_families as parse
families = list(parse(text))
samples = [(s.name, tuple(sorted(s.labels.items()))) for family in families for s in family.samples]
assert len(samples) == len(set(samples)), "a series twice"
kinds = {family.name: family.type for family in families}
assert kinds["tidegate_upstream_latency_seconds"] == "histogram", kinds
assert kinds["tidegate_requests"] == "counter", kinds
print(len(families), "families,", len(samples), "series")
"#;

#[test]
fn the_parsers_of_the_python_client_read_both_forms() {
    let import = ["-c", "import prometheus_client.openmetrics.parser"];
    let Some(python) = program("PROMETHEUS_PYTHON", "python3", &import) else { return };
    let stage = Stage::start(2, |_| ());
    stage.load(20);
    for (form, fields) in [("open", OPEN), ("text", "")] {
        let answer = get(stage.admin, "/metrics", fields);
        let mut child = Command::new(&python)
            .args(["-c", PARSE, form])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&answer.body).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{form}: {said}");
        println!("{form}: {}", String::from_utf8_lossy(&output.stdout).trim());
    }
}
