//! `tidegate simulate` and `tidegate replay` as their users meet them, against what can be computed on paper.

#![allow(clippy::unwrap_used)] // clippy.toml exempts #[test] functions, not their helpers

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn tidegate(words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().args(words).output().unwrap()
}

/// What is printed; it must succeed.
fn printed(words: &[&str]) -> String {
    let output = tidegate(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(words: &[&str]) -> String {
    let output = tidegate(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
    assert_eq!(stderr.matches('\n').count(), 1, "{words:?}: {stderr}");
    stderr
}

/// summary.json of a command that must succeed.
fn summary(words: &[&str]) -> Value {
    let dir = TempDir::new().unwrap();
    let out = dir.path().to_str().unwrap();
    printed(&[words, &["--out", out]].concat());
    for file in ["summary.md", "summary.csv", "report.html"] {
        assert!(dir.path().join(file).exists(), "{file}");
    }
    serde_json::from_str(&fs::read_to_string(dir.path().join("summary.json")).unwrap()).unwrap()
}

fn row<'a>(summary: &'a Value, routing: &str) -> &'a Value {
    let rows = summary["groups"].as_array().unwrap().iter();
    let mut rows = rows.flat_map(|group| group["scenarios"].as_array().unwrap());
    rows.find(|row| row["routing"] == routing).unwrap_or_else(|| panic!("no {routing}"))
}

fn figure(summary: &Value, routing: &str, metric: &str) -> f64 {
    row(summary, routing)["figures"][metric]["value"].as_f64().unwrap()
}

fn requests(summary: &Value, routing: &str) -> Vec<(String, u64)> {
    let backends = row(summary, routing)["backends"].as_array().unwrap().iter();
    backends.map(|it| (it["name"].as_str().unwrap().to_owned(), it["requests"].as_u64().unwrap())).collect()
}

fn share(summary: &Value, routing: &str, backend: &str) -> f64 {
    let backends = row(summary, routing)["backends"].as_array().unwrap().iter();
    backends.filter(|it| it["name"] == backend).map(|it| it["share"].as_f64().unwrap()).sum()
}

fn write(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `[load]` and one scenario of such backends, each `latency` and places.
fn scenario(load: &str, backends: &[(&str, u32)]) -> String {
    let mut text = format!("[load]\n{load}\n[[scenario]]\nname = \"s\"\nrouting = \"round-robin\"\n");
    for (index, (latency, places)) in backends.iter().enumerate() {
        let _ = write!(text, "[[scenario.backend]]\nid = \"b{index}\"\nlatency = \"{latency}\"\n");
        let _ = writeln!(text, "concurrency = {places}");
    }
    text
}

#[test]
fn queues_are_as_long_as_theory_has_them() {
    let dir = TempDir::new().unwrap();
    let load = "rate = 60\nconnections = 5000\nduration = \"500s\"\nwarmup = \"10s\"";
    // M/M/1 at 60 %: 10 ms / 0.4. M/D/1: 10 ms + 10 ms * 0.6 / (2 * 0.4). M/M/2 at 30 %: 10 ms / (1 - 0.09).
    for (latency, places, expected) in
        [("exponential:mean=10ms", 1, 25.0), ("constant:10ms", 1, 17.5), ("exponential:mean=10ms", 2, 10.989)]
    {
        let file = write(&dir, "s.toml", &scenario(load, &[(latency, places)]));
        let found = summary(&["simulate", &file, "--seeds", "5", "--network", "0us"]);
        let mean = figure(&found, "round-robin", "mean");
        assert!((mean / expected - 1.0).abs() < 0.03, "{latency} {places}: {mean} for {expected}");
        let rate = figure(&found, "round-robin", "throughput");
        assert!((rate / 60.0 - 1.0).abs() < 0.02, "{rate}");
    }
}

#[test]
fn the_originals_modes_do_what_the_original_did() {
    let routing = "round-robin,adaptive_sma,adaptive_ewma,elastic";
    let words = ["simulate", "--routing", routing, "--seeds", "5", "--duration", "20s", "--warmup", "0s"];
    let found = summary(&words);
    // 300 requests take 3 * (10+15+20)/9 ... on average 197.8 ms: 100 clients make 505.6 a second.
    let rate = figure(&found, "round-robin", "throughput");
    assert!((rate / 505.6 - 1.0).abs() < 0.01, "{rate}");
    assert!((figure(&found, "round-robin", "mean") - 197.8).abs() < 1.0);
    let of_five = |name: &str, count: u64| (name.to_owned(), count * 5);
    let sma = requests(&found, "adaptive_sma");
    assert_eq!((&sma[0], &sma[2]), (&of_five("A", 100), &of_five("C", 100)), "{sma:?}");
    assert!(sma[1].1 > 40_000, "B has the rest: {sma:?}");
    let ewma = requests(&found, "adaptive_ewma");
    assert!((500..650).contains(&ewma[0].1) && (500..650).contains(&ewma[2].1), "{ewma:?}");
    assert!(figure(&found, "elastic", "throughput") > 1.30 * rate);
}

#[test]
fn equal_seeds_give_equal_tables_and_others_do_not() {
    let dir = TempDir::new().unwrap();
    let file = write(&dir, "s.toml", &scenario("rate = 200", &[("exponential:mean=10ms", 2); 3]));
    let run = |seed: &str| {
        let words = ["simulate", &file, "--routing", "p2c,elastic", "--seeds", "5", "--seed", seed];
        printed(&[&words[..], &["--duration", "5s"]].concat())
    };
    assert_eq!(run("1"), run("1"));
    assert_ne!(run("1"), run("2"));
}

#[test]
fn scripts_take_effect_and_failures_are_told_from_answers() {
    let dir = TempDir::new().unwrap();
    write(
        &dir,
        "gone.toml",
        "[[change]]\nat = \"4s\"\nrefuse = true\n[[change]]\nat = \"8s\"\nrefuse = false\n",
    );
    write(&dir, "fails.toml", "[[change]]\nat = \"0s\"\nlatency = \"constant:1ms\"\nfail-rate = 1.0\n");
    let mut text =
        scenario("connections = 20\nduration = \"12s\"\nwarmup = \"0s\"", &[("constant:10ms", 50); 3]);
    text += "script = \"gone.toml\"\n";
    let file = write(&dir, "s.toml", &text);
    let found = summary(&["simulate", &file, "--routing", "round-robin,least-connections", "--seeds", "5"]);
    let errors = |routing| {
        let row = row(&found, routing);
        row["errors"].as_f64().unwrap() / row["requests"].as_f64().unwrap()
    };
    // The original's mode refuses a third of what comes in those four seconds, the others go elsewhere.
    assert!(errors("round-robin") > 0.1, "{}", errors("round-robin"));
    assert_eq!(errors("least-connections"), 0.0);
    let back = share(&found, "least-connections", "b2");
    assert!((0.15..0.33).contains(&back), "away for a third of the time: {back}");
    let file = write(&dir, "f.toml", &text.replace("gone.toml", "fails.toml"));
    let found = summary(&["simulate", &file, "--routing", "elastic", "--seeds", "5"]);
    let failed = row(&found, "elastic")["errors"].as_u64().unwrap();
    assert!((5..200).contains(&failed), "{failed} of five rounds");
}

#[test]
fn the_scenarios_of_the_bench_run_here_too() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-scripts/scenarios");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let words = ["simulate", file.to_str().unwrap(), "--routing", "elastic", "--seeds", "1"];
        let table = printed(&[&words[..], &["--duration", "1s"]].concat());
        assert!(table.contains("elastic") || table.contains("requests/s"), "{table}");
    }
}

/// A log of `seconds` seconds in the original's columns, or in ours: `a` takes 10 ms, `b` 30 ms and fails every tenth.
fn log(ours: bool, seconds: u64) -> String {
    let mut text = "timestamp,backend_url,latency_ms,status_code,routing_mode".to_owned();
    text += if ours { ",method,path\n" } else { "\n" };
    for index in 0..seconds * 100 {
        let (backend, latency) = if index % 2 == 0 { ("a", 10) } else { ("b", 30) };
        let status = if index % 20 == 1 { 500 } else { 200 };
        let (second, milli) = ((index * 10 + latency) / 1000, (index * 10 + latency) % 1000);
        let (minute, second) = (second / 60, second % 60);
        let stamp = format!("2026-01-01 00:{minute:02}:{second:02}.{milli:03}000");
        let rest = if ours { ",GET,/" } else { "" };
        let _ = writeln!(text, "{stamp},http://{backend}:80,{latency}.0,{status},round-robin{rest}");
    }
    text
}

#[test]
fn a_log_is_replayed_with_its_latencies_failures_and_arrivals() {
    let dir = TempDir::new().unwrap();
    for ours in [false, true] {
        let file = write(&dir, "log.csv", &log(ours, 20));
        let words = ["replay", &file, "--routing", "round-robin,least-connections,elastic"];
        let found = summary(&[&words[..], &["--arrivals", "recorded", "--warmup", "5s"]].concat());
        assert!((figure(&found, "round-robin", "throughput") - 100.0).abs() < 1.0);
        assert!((figure(&found, "round-robin", "mean") - 20.0).abs() < 0.1);
        let failed = row(&found, "round-robin")["errors"].as_f64().unwrap();
        let all = row(&found, "round-robin")["requests"].as_f64().unwrap();
        assert!((0.03..0.07).contains(&(failed / all)), "one in twenty: {failed} of {all}");
        assert!(share(&found, "elastic", "a:80") > 0.9, "it is faster and never fails");
        assert!(figure(&found, "elastic", "mean") < 13.0);
    }
}

#[test]
fn a_closed_loop_is_known_by_its_steadiness_and_its_clients_by_littles_law() {
    let dir = TempDir::new().unwrap();
    let file = write(&dir, "log.csv", &log(false, 10));
    let text = printed(&["replay", &file, "--routing", "round-robin"]);
    assert!(text.contains("2.0 in flight on average and 2 at most"), "{text}");
    assert!(text.contains("replayed by 2 clients in a closed loop"), "{text}");
    let text = printed(&["replay", &file, "--routing", "round-robin", "--connections", "7"]);
    assert!(text.contains("7 connections in a closed loop"), "{text}");
    assert_eq!(printed(&["replay", &file, "--seed", "3"]), printed(&["replay", &file, "--seed", "3"]));
}

#[test]
fn samples_are_those_of_the_time() {
    let mut text = "timestamp,backend_url,latency_ms,status_code,routing_mode\n".to_owned();
    for index in 0..2_000 {
        // `a` is fast for ten seconds, then slow.
        let (backend, latency) = match (index % 2, index < 1_000) {
            (0, true) => ("a", 5),
            (0, false) => ("a", 200),
            _ => ("b", 20),
        };
        let at = index * 10 + latency;
        let _ =
            writeln!(text, "2026-01-01 00:00:{:02}.{:03},{backend},{latency},200,x", at / 1000, at % 1000);
    }
    let dir = TempDir::new().unwrap();
    let file = write(&dir, "log.csv", &text);
    let found = summary(&["replay", &file, "--routing", "elastic", "--arrivals", "recorded"]);
    let series = row(&found, "elastic")["series"].as_array().unwrap();
    let share = |index: usize| series[index]["shares"][0].as_f64().unwrap();
    assert!(share(series.len() / 4) > 0.8 && share(series.len() - 2) < 0.1, "{series:?}");
}

#[test]
fn each_bad_input_gets_one_line() {
    let dir = TempDir::new().unwrap();
    let good = write(&dir, "good.csv", &log(false, 1));
    let empty = write(&dir, "empty.csv", "timestamp,backend_url,latency_ms,status_code,routing_mode\n");
    let bad = write(&dir, "bad.csv", &log(false, 1).replacen(",10.0,", ",ten,", 1));
    let nobody = write(
        &dir,
        "nobody.csv",
        "timestamp,backend_url,latency_ms,status_code,routing_mode\n2026-01-01T00:00:01Z,,,503,x\n",
    );
    let moment = write(
        &dir,
        "moment.csv",
        "timestamp,backend_url,latency_ms,status_code,routing_mode\n2026-01-01T00:00:01Z,a,0,200,x\n",
    );
    let scenario = write(&dir, "s.toml", "[[scenario]]\nname = \"a\"\nrouting = \"elastik\"\n");
    let rows: &[(&[&str], &[&str])] = &[
        (&["simulate", "nowhere.toml"], &["nowhere.toml", "No such file"]),
        (&["simulate", &scenario], &["s.toml:3:11: ", "'elastik'", "'elastic'"]),
        (&["simulate", "--seeds", "0"], &["--seeds", "'0'", "from 1"]),
        (&["simulate", "--seeds", "x"], &["--seeds", "'x'"]),
        (&["simulate", "--routing", "p2c,p2c"], &["--routing", "'p2c'", "twice"]),
        (&["simulate", "--routing", "elastic:best"], &["--routing", "'elastic:best'", "elastic:tail"]),
        (&["simulate", "--network", "1m"], &["--network", "10s"]),
        (&["simulate", "--duration", "0s"], &["--duration", "'0s'"]),
        (&["simulate", "--arrivals", "poisson"], &["--arrivals", "--rate"]),
        (&["replay"], &["LOG.csv"]),
        (&["replay", "nowhere.csv"], &["nowhere.csv", "No such file"]),
        (&["replay", &empty], &["empty.csv:1:", "no request"]),
        (&["replay", &bad], &["bad.csv:2:", "latency_ms 'ten'"]),
        (&["replay", &nobody], &["nobody.csv", "backend_url"]),
        (&["replay", &moment], &["moment.csv", "moment"]),
        (&["replay", &good, "--warmup", "5s"], &["--warmup '5s'", "good.csv"]),
        (&["replay", &good, "--connections", "0"], &["--connections", "'0'", "from 1"]),
        (&["replay", &good, "--seeds", "0"], &["--seeds", "'0'"]),
        (
            &["replay", &good, "--arrivals", "recorded", "--connections", "3"],
            &["--connections '3'", "closed loop"],
        ),
    ];
    for (words, parts) in rows {
        let line = refused(words);
        for part in *parts {
            assert!(line.contains(part), "{words:?} lacks {part:?}: {line}");
        }
    }
}

#[test]
fn a_slowed_backend_loses_its_share_at_once_and_has_it_back_in_five_seconds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-scripts/scenarios/step.toml");
    let found = summary(&["simulate", file.to_str().unwrap(), "--routing", "elastic", "--seeds", "20"]);
    let row = row(&found, "elastic");
    let slows = row["backends"].as_array().unwrap().iter().position(|it| it["name"] == "slows").unwrap();
    assert_eq!(row["series_step_s"], 1.0);
    let share = |second: usize| row["series"][second]["shares"][slows].as_f64().unwrap();
    // Slow from 8 s to 18 s of the measured time.
    let before = share(7);
    assert!(before > 0.3, "{before}");
    assert!((9..18).all(|second| share(second) < 0.05), "{row}");
    assert!(
        (23..28).all(|second| share(second) >= 0.8 * before),
        "{:?}",
        (18..28).map(share).collect::<Vec<_>>()
    );
}

#[test]
fn the_figures_that_made_elastic_the_default() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-scripts/scenarios");
    for (name, to_least_connections, to_peak_ewma) in [("uneven-50", 0.75, 0.75), ("uneven-85", 0.97, 0.60)] {
        let file = scenarios.join(name).with_extension("toml");
        let words = ["simulate", file.to_str().unwrap(), "--seeds", "5", "--routing"];
        let found = summary(&[&words[..], &["least-connections,peak-ewma,elastic"]].concat());
        let mean = |routing| figure(&found, routing, "mean");
        let (elastic, least, peak) = (mean("elastic"), mean("least-connections"), mean("peak-ewma"));
        assert!(elastic <= to_least_connections * least, "{name}: {elastic} to {least}");
        assert!(elastic <= to_peak_ewma * peak, "{name}: {elastic} to {peak}");
    }
}
