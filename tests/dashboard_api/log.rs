//! The page of a log: ours and the original's, finished and growing.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tidegate::config::DashboardConfig;
use tidegate::dashboard::{self, LogReader};
use tidegate::serve::Running;

use crate::support::wait_for;
use crate::{Stage, json};

const HEADER: &str = "timestamp,backend_url,latency_ms,status_code,routing_mode\n";

/// The page of this log, and its reader.
fn page(log: &Path) -> (Running, LogReader) {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = DashboardConfig { log: log.to_owned(), listen, hosts: Vec::new() };
    let reader = LogReader::open(log).unwrap();
    let running = dashboard::start(listen, reader.view(&config)).unwrap();
    (running, reader)
}

fn rows(second: u32, count: u32, latency: &str) -> String {
    let row = |at: u32| {
        let backend = 8081 + at % 3;
        format!(
            "2026-01-31T12:00:{second:02}.{at:06},http://localhost:{backend},{latency},200,adaptive_ewma\n"
        )
    };
    (0..count).map(row).collect()
}

fn requests(history: &Value) -> Vec<u64> {
    let seconds = history["seconds"].as_array().unwrap();
    seconds.iter().map(|second| second["requests"].as_u64().unwrap()).collect()
}

#[test]
fn the_originals_format_finished() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = HEADER.to_owned() + &rows(1, 30, "12.5") + &rows(2, 60, "400") + &rows(4, 30, "12.5");
    std::fs::write(file.path(), text).unwrap();
    let (running, _reader) = page(file.path());
    let stats = json(running.address, "/api/stats");
    assert_eq!((&stats["requests"], &stats["routing"]), (&120.into(), &"adaptive_ewma".into()));
    assert_eq!((&stats["live"], &stats["control"]), (&false.into(), &false.into()));
    assert_eq!(stats["backends"][0]["url"], "http://localhost:8081");
    assert_eq!(stats["backends"][0]["requests"], 40);
    assert!(stats["sentence"].as_str().unwrap().contains("Chosen: http://localhost:8083"));
    assert!(stats["overhead_us"].is_null());
    let history = json(running.address, "/api/history");
    assert_eq!(requests(&history), [30, 60, 0, 30]);
    assert_eq!(history["seconds"][1]["p50_ms"], 400.0);
    let latest = json(running.address, "/api/requests");
    let latest = latest["requests"].as_array().unwrap();
    assert_eq!((latest.len(), &latest[0]["latency_ms"]), (120, &12.5.into()));
    // Python rounds 12.5 to 12.
    assert_eq!(latest[0]["averages"][2]["sma_ms"], 12.0);
    running.stop().unwrap();
}

#[test]
fn a_log_of_ours_tells_what_the_proxy_told() {
    let stage = Stage::start(2, |_| ());
    stage.load(50);
    let urls = [stage.url(0), stage.url(1)];
    let log = stage.proxy.log_path();
    let copy = tempfile::NamedTempFile::new().unwrap();
    wait_for("the rows", || {
        std::fs::copy(&log, copy.path()).unwrap();
        std::fs::read_to_string(copy.path()).unwrap().lines().count() == 51
    });
    let (running, _reader) = page(copy.path());
    let stats = json(running.address, "/api/stats");
    assert_eq!((&stats["requests"], &stats["routing"]), (&50.into(), &"round-robin".into()));
    let latest = json(running.address, "/api/requests");
    assert_eq!(
        (&latest["requests"][0]["method"], &latest["requests"][0]["path"]),
        (&"GET".into(), &"/".into())
    );
    for (index, url) in urls.iter().enumerate() {
        assert_eq!(
            (&stats["backends"][index]["url"], &stats["backends"][index]["requests"]),
            (&url.as_str().into(), &25.into())
        );
    }
    running.stop().unwrap();
}

#[test]
fn a_growing_log_is_followed_and_one_begun_anew_read_anew() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all((HEADER.to_owned() + &rows(1, 30, "1")).as_bytes()).unwrap();
    let (running, mut reader) = page(file.path());
    assert_eq!(requests(&json(running.address, "/api/history")), [30]);
    // A row in two pieces, and a second that is not over yet.
    let more = rows(2, 3, "2") + &rows(3, 3, "2");
    let (first, second) = more.split_at(more.len() - 20);
    file.write_all(first.as_bytes()).unwrap();
    reader.look().unwrap();
    let stats = json(running.address, "/api/stats");
    assert_eq!((&stats["live"], &stats["requests"]), (&true.into(), &35.into()));
    file.write_all(second.as_bytes()).unwrap();
    reader.look().unwrap();
    assert_eq!(json(running.address, "/api/stats")["requests"], 36);
    (0..4).for_each(|_| reader.look().unwrap());
    assert_eq!(json(running.address, "/api/stats")["live"], false);
    assert_eq!(requests(&json(running.address, "/api/history")), [30, 3, 3]);
    std::fs::write(file.path(), HEADER.to_owned() + &rows(9, 6, "1")).unwrap();
    (0..5).for_each(|_| reader.look().unwrap());
    assert_eq!(requests(&json(running.address, "/api/history")), [6]);
    assert_eq!(json(running.address, "/api/log")["events"][0]["kind"], "reload");
    running.stop().unwrap();
}

#[test]
fn what_is_no_log_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a,b\n1,2\n").unwrap();
    assert!(LogReader::open(file.path()).unwrap_err().contains("timestamp"));
    assert!(LogReader::open(Path::new("/nosuch.csv")).unwrap_err().contains("No such file"));
}
