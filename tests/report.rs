//! `tidegate report` as its users meet it: the files it writes, its intervals, and its exit codes.

#![allow(clippy::unwrap_used)] // clippy.toml exempts #[test] functions, not their helpers

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;
use tidegate::report::run::{FORMAT, Load, LoadFigures, Named, Round, RunFile, Scenario};

const HEADER: &str = "timestamp,backend_url,latency_ms,status_code,routing_mode\n";

fn report(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.env_clear().arg("report").args(words).output().unwrap()
}

/// Must succeed; returns stdout.
fn reported(words: &[&str]) -> String {
    let output = report(words);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Must be refused with exit code 2 and one line, which is returned.
fn refused(words: &[&str]) -> String {
    let output = report(words);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
    assert_eq!(stderr.matches('\n').count(), 1, "{stderr}");
    stderr
}

fn file(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn summary(dir: &Path) -> Value {
    serde_json::from_slice(&fs::read(dir.join("summary.json")).unwrap()).unwrap()
}

/// A run of round robin twice and one other policy, whose clients' latencies are `factor` times round robin's; each
/// round is off by up to 1 %.
fn run_dir(dir: &Path, seed: u64, factor: f64, rounds: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut scenario = |name: &str, routing: &str, control: bool, factor: f64| {
        let mut round = |_| {
            let ms = 200.0 * factor * (0.99 + 0.02 * random.f64());
            let csv = format!("{name}.csv");
            let load = LoadFigures {
                requests: 1000,
                seconds: 10.0,
                rate: 100_000.0 / ms,
                mean_ms: Some(ms),
                p50_ms: Some(ms),
                p95_ms: Some(2.0 * ms),
                p99_ms: Some(2.5 * ms),
                max_ms: Some(3.0 * ms),
                ..LoadFigures::default()
            };
            Round { csv: Some(csv), load: Some(load), ..Round::default() }
        };
        Scenario {
            name: name.to_owned(),
            routing: routing.to_owned(),
            upstream: "persistent".to_owned(),
            client_keepalive: true,
            profile: "original".to_owned(),
            control,
            load: Load { driver: "tidegate".to_owned(), connections: 100, ..Load::default() },
            duration_s: 10.0,
            rounds: (0..rounds).map(&mut round).collect(),
            ..Scenario::default()
        }
    };
    let scenarios = vec![
        scenario("rr", "round-robin", false, 1.0),
        scenario("rr-control", "round-robin", true, 1.0),
        scenario("ewma <&\">", "adaptive_ewma", false, factor),
    ];
    fs::create_dir_all(dir).unwrap();
    for scenario in &scenarios {
        fs::write(dir.join(format!("{}.csv", scenario.name)), log(&scenario.routing, 300, 20.0, seed))
            .unwrap();
    }
    let run = RunFile {
        format: FORMAT,
        command: "tidegate bench".to_owned(),
        seed,
        scenarios,
        ..RunFile::default()
    };
    run.store(dir).unwrap();
}

/// `rows` requests, 100 a second, of `ms` on average.
fn log(routing: &str, rows: u64, ms: f64, seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = HEADER.to_owned();
    for row in 0..rows {
        let (second, centis) = (row / 100, row % 100);
        let latency = ms * (0.5 + random.f64());
        writeln!(
            text,
            "2026-01-01 {:02}:{:02}:{:02}.{centis:02},http://localhost:808{},{latency:.3},200,{routing}",
            second / 3600,
            second / 60 % 60,
            second % 60,
            1 + row % 3
        )
        .unwrap();
    }
    text
}

#[test]
fn a_small_log_gives_the_figures_worked_out_by_hand() {
    let dir = TempDir::new().unwrap();
    let mut text = HEADER.to_owned();
    // 10 requests in 5 s; latencies 10, 20, ... 100 ms: mean 55, and by nearest rank p50 50, p95 100, p99 100.
    for row in 0..10 {
        let port = if row < 7 { 8081 } else { 8082 };
        let status = if row == 9 { 502 } else { 200 };
        let at = 5.0 * f64::from(row) / 9.0;
        let ms = 10 * (row + 1);
        writeln!(text, "2026-01-01T00:00:{at:09.6},http://localhost:{port},{ms},{status},round-robin")
            .unwrap();
    }
    let log = file(&dir, "persistent_round_robin.csv", &text);
    let printed = reported(&[&log]);
    assert!(printed.contains("2.00") && printed.contains("55.0"), "{printed}");
    let out = dir.path().join("report");
    let row = &summary(&out)["groups"][0]["scenarios"][0];
    for (metric, expected) in
        [("throughput", 2.0), ("mean", 55.0), ("p50", 50.0), ("p95", 100.0), ("p99", 100.0)]
    {
        let value = row["figures"][metric]["value"].as_f64().unwrap();
        assert!((value / expected - 1.0).abs() < 1e-3, "{metric}: {value}");
        assert_eq!(row["figures"][metric]["interval"], Value::Null, "ten requests tell nothing");
    }
    assert_eq!((row["requests"].as_u64(), row["errors"].as_u64()), (Some(10), Some(1)));
    assert_eq!(row["original"]["throughput"], 494.9);
    assert_eq!(row["backends"][0]["name"], "localhost:8081");
    assert_eq!(row["backends"][0]["share"], 0.7);
    assert_eq!(row["backends"][1]["mean_ms"], 90.0);
    let csv = fs::read_to_string(out.join("summary.csv")).unwrap();
    assert!(csv.contains(",mean_ms,55,,,1,,,201.6\n"), "{csv}");
    assert!(fs::read_to_string(out.join("summary.md")).unwrap().contains("| 494.9 |"));
}

#[test]
fn a_run_gives_a_page_of_well_formed_markup_that_asks_for_nothing() {
    let dir = TempDir::new().unwrap();
    run_dir(dir.path(), 1, 0.9, 5);
    reported(&[dir.path().to_str().unwrap()]);
    let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let markup = page.split_once('\n').unwrap().1;
    let document = roxmltree::Document::parse(markup).unwrap();
    let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!((count("script"), count("link"), count("img"), count("iframe")), (0, 0, 0, 0));
    let svg = "http://www.w3.org/2000/svg";
    let plots: Vec<_> = document.descendants().filter(|node| node.has_tag_name((svg, "svg"))).collect();
    assert_eq!(plots.len(), 11);
    for plot in &plots {
        assert!(plot.attribute("aria-label").is_some_and(|label| label.len() > 10));
        for node in plot.descendants() {
            for attribute in
                node.attributes().filter(|attribute| ["fill", "stroke"].contains(&attribute.name()))
            {
                let value = attribute.value();
                assert!(!value.starts_with("#01"), "a placeholder colour is left: {value}");
            }
            for number in ["x", "y", "width", "height"].iter().filter_map(|name| node.attribute(*name)) {
                assert!(number.parse::<f64>().is_ok_and(f64::is_finite), "{number}");
            }
        }
    }
    assert_eq!(count("figure"), plots.len());
    assert_eq!(count("details"), plots.len(), "every plot has its table");
    let outside: Vec<&str> = document
        .descendants()
        .flat_map(|node| node.attributes())
        .filter(|attribute| ["src", "href", "action"].contains(&attribute.name()))
        .map(|attribute| attribute.value())
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert!(!page.contains("url(") && !page.contains("@import") && !page.contains("NaN"));
}

#[test]
fn a_planted_difference_is_found_and_the_same_is_never_told_apart() {
    let dir = TempDir::new().unwrap();
    for seed in 0..20 {
        let (same, planted) = (dir.path().join(format!("s{seed}")), dir.path().join(format!("p{seed}")));
        run_dir(&same, seed, 1.0, 5);
        run_dir(&planted, seed, 0.95, 5);
        for (run, winner) in [(&same, Value::Null), (&planted, Value::from("ewma <&\">"))] {
            let summary = tidegate::report::summarize(std::slice::from_ref(run), Default::default()).unwrap();
            let group = serde_json::to_value(&summary).unwrap()["groups"][0].clone();
            assert_eq!(group["control"]["passed"], true, "{seed}: {}", group["control"]["text"]);
            for verdict in group["verdicts"].as_array().unwrap() {
                assert_eq!(verdict["winner"], winner, "{seed}: {verdict}");
            }
        }
    }
}

#[test]
fn plain_logs_are_told_apart_by_slices_of_time() {
    let dir = TempDir::new().unwrap();
    let base = file(&dir, "a.csv", &log("round-robin", 6_000, 100.0, 1));
    for seed in 0..3 {
        let same = file(&dir, "b.csv", &log("adaptive_sma", 6_000, 100.0, 50 + seed));
        let faster = file(&dir, "c.csv", &log("adaptive_ewma", 6_000, 95.0, 90 + seed));
        for (other, winner) in [(&same, Value::Null), (&faster, Value::from("adaptive_ewma"))] {
            let paths = [PathBuf::from(&base), PathBuf::from(other)];
            let summary = tidegate::report::summarize(&paths, Default::default()).unwrap();
            let group = serde_json::to_value(&summary).unwrap()["groups"][0].clone();
            assert_eq!(group["verdicts"][1]["winner"], winner, "{seed}: {}", group["verdicts"][1]);
            assert_eq!(group["control"]["passed"], true, "{seed}: {}", group["control"]["text"]);
        }
    }
}

#[test]
fn comparing_says_what_became_worse() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (before, same, worse) = (path("before"), path("same"), path("worse"));
    run_dir(Path::new(&before), 1, 1.0, 5);
    run_dir(Path::new(&same), 2, 1.0, 5);
    run_dir(Path::new(&worse), 3, 1.2, 5);
    assert!(reported(&["--compare", &before, &same]).contains("same"));
    assert!(reported(&["--compare", &before, &same, "--threshold", "0%"]).contains("not told apart"));
    assert!(reported(&["--compare", &worse, &before]).contains("better"));
    assert!(reported(&["--compare", &before, &worse, "--threshold", "30%"]).contains("within the threshold"));
    let output = report(&["--compare", &before, &worse]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.starts_with("tidegate: worse by more than 5 %: "), "{stderr}");
    assert!(stderr.contains("p95 latency of ewma") && stderr.contains("throughput of ewma"), "{stderr}");
    assert_eq!(stderr.matches('\n').count(), 1, "{stderr}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("WORSE"));
    let few = path("few");
    run_dir(Path::new(&few), 4, 1.2, 2);
    let _ = reported(&["--compare", &few, &few]);
    assert!(refused(&["--compare", &before]).contains("two paths"));
    assert!(refused(&["--compare", &before, &same, "--threshold", "x"]).contains("--threshold 'x'"));
}

#[test]
fn what_cannot_be_read_is_named_with_its_line() {
    let dir = TempDir::new().unwrap();
    let good = log("round-robin", 10, 20.0, 1);
    let bad = file(&dir, "bad.csv", &format!("{good}2026-01-01 00:00:00,http://a,x,200,rr\n"));
    let line = refused(&[&bad]);
    assert!(line.contains("bad.csv:12: latency_ms 'x'"), "{line}");
    let torn = file(&dir, "torn.csv", &good[..good.len() - 20]);
    assert!(reported(&[&torn]).contains("its last row has no line end"));
    assert!(refused(&[&file(&dir, "empty.csv", "")]).contains("empty.csv:1: no column 'timestamp'"));
    assert!(
        refused(&["/nonexistent.csv"])
            .contains("'/nonexistent.csv': cannot be read (No such file or directory): give a run")
    );
    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    assert!(refused(&[run.to_str().unwrap()]).contains("neither run.json nor a log"));
    fs::write(run.join("run.json"), "{\"format\": 1,\n \"seed\": -1}").unwrap();
    assert!(refused(&[run.to_str().unwrap()]).contains("line 2"));
    fs::write(run.join("run.json"), "{\"format\": 99}").unwrap();
    assert!(refused(&[run.to_str().unwrap()]).contains("format 99"));
}

#[test]
fn a_directory_of_the_originals_logs_stands_beside_what_it_published() {
    let dir = TempDir::new().unwrap();
    for (name, routing) in [
        ("nonpersistent_adaptive_ewma", "adaptive_ewma"),
        ("nonpersistent_round_robin", "round_robin"),
        ("persistent_adaptive_sma", "adaptive_sma"),
        ("persistent_round_robin", "round_robin"),
    ] {
        file(&dir, &format!("{name}.csv"), &log(routing, 900, 20.0, 1));
    }
    reported(&[dir.path().to_str().unwrap()]);
    let summary = summary(dir.path());
    let rows: Vec<(&str, &str, f64)> = [(0, 0), (0, 1), (1, 0), (1, 1)]
        .map(|(group, row)| {
            let row = &summary["groups"][group]["scenarios"][row];
            let published = row["original"]["mean_ms"].as_f64().unwrap();
            (row["upstream"].as_str().unwrap(), row["routing"].as_str().unwrap(), published)
        })
        .to_vec();
    let expected = [
        ("persistent", "round-robin", 201.6),
        ("persistent", "adaptive_sma", 213.6),
        ("non-persistent", "round-robin", 203.3),
        ("non-persistent", "adaptive_ewma", 225.3),
    ];
    assert_eq!(rows, expected);
    assert!(summary["notes"][0].as_str().unwrap().contains("20 slices of equal time"));
    reported(&[dir.path().to_str().unwrap()]); // its own summary.csv is no log
}

/// The run in a directory, changed.
fn change(dir: &Path, how: impl FnOnce(&mut RunFile)) {
    let mut run = RunFile::load(dir).unwrap();
    how(&mut run);
    run.store(dir).unwrap();
}

#[test]
fn backends_go_by_their_names_and_noise_is_mentioned_once() {
    let dir = TempDir::new().unwrap();
    run_dir(dir.path(), 1, 0.9, 5);
    change(dir.path(), |run| {
        for scenario in &mut run.scenarios {
            let named =
                |id: &str, port: u16| Named { id: id.to_owned(), address: format!("localhost:{port}") };
            scenario.backends = vec![named("fast", 8081), named("twin", 8082), named("twin", 8083)];
            scenario.rounds.iter_mut().for_each(|round| round.others = Some(0.1));
            scenario.rounds[2].others = Some(1.25);
        }
    });
    let printed = reported(&[dir.path().to_str().unwrap()]);
    assert_eq!(printed.matches("Something else used").count(), 1, "{printed}");
    assert!(
        printed.contains("up to 1.2 cores of this machine, more than 0.3 in 3 of 15 rounds"),
        "{printed}"
    );
    let summary = summary(dir.path());
    let backends = summary["groups"][0]["scenarios"][0]["backends"].as_array().unwrap();
    let names: Vec<&str> = backends.iter().map(|backend| backend["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["fast", "twin :8082", "twin :8083"]);
}

#[test]
fn two_that_tie_in_front_are_said_to_beat_the_third() {
    let dir = TempDir::new().unwrap();
    run_dir(dir.path(), 1, 0.8, 5);
    change(dir.path(), |run| {
        let mut twin = run.scenarios[2].clone();
        twin.name = "twin".to_owned();
        run.scenarios.push(twin);
    });
    reported(&[dir.path().to_str().unwrap()]);
    let verdict = &summary(dir.path())["groups"][0]["verdicts"][1];
    let text = "is not told apart from twin; both beat rr.";
    assert!(verdict["winner"].is_null() && verdict["text"].as_str().unwrap().ends_with(text), "{verdict}");
}

#[test]
fn scenarios_that_only_one_run_has_are_listed() {
    let dir = TempDir::new().unwrap();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    run_dir(&before, 1, 1.0, 5);
    run_dir(&after, 2, 1.0, 5);
    change(&before, |run| run.scenarios[2].name = "old".to_owned());
    let table = reported(&["--compare", before.to_str().unwrap(), after.to_str().unwrap()]);
    assert!(table.contains("Only in before, so not compared: old\n"), "{table}");
    assert!(table.contains("Only in after, so not compared: ewma <&\">\n"), "{table}");
}

#[test]
fn what_a_latency_is_does_not_hang_on_the_number_of_rounds() {
    let dir = TempDir::new().unwrap();
    for rounds in [1, 2, 4, 5] {
        let run = dir.path().join(rounds.to_string());
        run_dir(&run, 1, 1.0, rounds);
        let printed = reported(&[run.to_str().unwrap()]);
        let summary = summary(&run);
        assert_eq!((&summary["source"], &summary["basis"]), (&"clients".into(), &"rounds".into()));
        let mean = &summary["groups"][0]["scenarios"][0]["figures"]["mean"];
        // The clients' 200 ms, of which the proxy's log has 20.
        assert!((mean["value"].as_f64().unwrap() / 200.0 - 1.0).abs() < 0.02, "{rounds}: {mean}");
        assert_eq!(mean["interval"].is_null(), rounds < 5, "{rounds}: {mean}");
        let note = format!("note: With {rounds} of the 5 rounds that intervals take there are none");
        assert_eq!(printed.contains(&note), rounds < 5, "{printed}");
        assert!(!printed.contains("Latencies are the proxy's"), "{printed}");
    }
}

#[test]
fn the_clients_latencies_are_not_compared_with_the_logs() {
    let dir = TempDir::new().unwrap();
    let (ours, others) = (dir.path().join("ours"), dir.path().join("others"));
    run_dir(&ours, 1, 1.0, 5);
    run_dir(&others, 1, 1.0, 5);
    change(&others, |run| {
        run.scenarios.iter_mut().for_each(|scenario| scenario.load.driver = "wrk".to_owned());
    });
    let printed = reported(&[others.to_str().unwrap()]);
    assert!(printed.contains("note: Latencies are the proxy's: "), "{printed}");
    let (ours, others) = (ours.to_str().unwrap(), others.to_str().unwrap());
    let line = refused(&["--compare", ours, others]);
    assert!(line.contains("of ours are the clients', of others the proxy's"), "{line}");
    reported(&["--compare", &format!("{ours}/rr.csv"), &format!("{others}/rr.csv")]);
}
