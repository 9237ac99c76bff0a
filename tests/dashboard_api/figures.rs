//! The JSON: figures, history, requests, events; the page's files.

use serde_json::Value;

use crate::support::{Origin, wait_for};
use crate::{Stage, ask, field, get, gunzipped};

#[test]
fn figures_have_all_that_the_page_shows() {
    let stage = Stage::start(2, |_| ());
    stage.load(20);
    wait_for("the figures", || {
        let stats = stage.json("/api/stats");
        stats["requests"] == 20 && stats["mean_ms"].is_number()
    });
    let stats = stage.json("/api/stats");
    for (name, kind) in [
        ("t", 'n'),
        ("started", 'n'),
        ("uptime_s", 'n'),
        ("version", 's'),
        ("upstream", 's'),
        ("listen", 's'),
        ("routing", 's'),
        ("ready", 'b'),
        ("live", 'b'),
        ("explain", 'b'),
        ("control", 'b'),
        ("demo", 'b'),
        ("workers", 'n'),
        ("in_flight", 'n'),
        ("reused", 'n'),
        ("dispatched", 'n'),
        ("ejections", 'n'),
        ("log_drops", 'n'),
        ("responses", 'a'),
        ("shadow", 'a'),
        ("mean_ms", 'n'),
        ("p99_ms", 'n'),
    ] {
        assert!(is(&stats[name], kind), "{name}: {}", stats[name]);
    }
    assert_eq!((&stats["dispatched"], &stats["reused"]), (&20.into(), &18.into()));
    assert_eq!(stats["listen"], stage.proxy.address.to_string());
    let backends = stats["backends"].as_array().unwrap();
    for (index, backend) in backends.iter().enumerate() {
        assert_eq!(backend["url"], stage.url(index));
        assert_eq!((&backend["requests"], &backend["state"]), (&10.into(), &"up".into()));
        assert_eq!((&backend["idle"], &backend["open"]), (&1.into(), &1.into()));
        for name in ["weight", "share", "failure_rate", "retries_from", "in_flight", "errors"] {
            assert!(is(&backend[name], 'n'), "{name}: {backend}");
        }
        assert!(backend["why"].is_null() && backend["until"].is_null() && backend["last_check"].is_null());
    }
}

fn is(value: &Value, kind: char) -> bool {
    match kind {
        'n' => value.is_number(),
        's' => value.is_string(),
        'b' => value.is_boolean(),
        _ => value.is_array(),
    }
}

#[test]
fn history_adds_up_to_the_figures_and_names_its_backends_once() {
    let stage = Stage::start(2, |_| ());
    stage.load(30);
    let requests = |history: &Value| -> u64 {
        let seconds = history["seconds"].as_array().unwrap();
        seconds.iter().map(|second| second["requests"].as_u64().unwrap()).sum()
    };
    wait_for("the seconds", || requests(&stage.json("/api/history")) == 30);
    let history = stage.json("/api/history");
    let seconds = history["seconds"].as_array().unwrap();
    let named = seconds.iter().filter(|second| second.get("urls").is_some()).count();
    assert_eq!((named, seconds[0]["urls"].as_array().unwrap().len()), (1, 2));
    let heat = seconds.iter().flat_map(|second| second["heat"].as_array().unwrap());
    assert_eq!(heat.map(|cell| cell[1].as_u64().unwrap()).sum::<u64>(), 30);
    let busy = seconds.iter().find(|second| second["requests"].as_u64() > Some(0)).unwrap();
    assert!(busy["p50_ms"].is_number() && busy["overhead_us"].is_number(), "{busy}");
    assert_eq!(busy["backends"].as_array().unwrap().len(), 2);
    let last = seconds.last().unwrap()["seq"].as_u64().unwrap();
    let later = stage.json(&format!("/api/history?since={last}"));
    let later = later["seconds"].as_array().unwrap();
    assert!(later.iter().all(|second| second["seq"].as_u64() > Some(last)));
    assert_eq!(stage.json("/api/history?since=999999999")["seconds"], serde_json::json!([]));
    assert!(history["bounds_us"].as_array().unwrap().len() >= 40);
}

#[test]
fn requests_come_newest_first_with_the_averages_right_after_each() {
    let stage = Stage::start(2, |_| ());
    let mut client = stage.proxy.client();
    let long = "x".repeat(200);
    (0..5).for_each(|at| drop(client.get(&format!("/{at}{long}"))));
    wait_for("the requests", || stage.json("/api/requests")["requests"].as_array().unwrap().len() == 5);
    let all = stage.json("/api/requests");
    let rows = all["requests"].as_array().unwrap();
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row["seq"], 5 - at as u64);
        let path = row["path"].as_str().unwrap();
        assert!(path.starts_with(&format!("/{}xxx", 4 - at)) && path.len() == 80, "{path}");
        assert_eq!((&row["method"], &row["status"]), (&"GET".into(), &200.into()));
        assert_eq!((&row["reason"], &row["attempts"]), (&"ok".into(), &1.into()));
        assert_eq!(row["averages"].as_array().unwrap().len(), 2);
        assert!(row["latency_ms"].is_number());
    }
}

#[test]
fn a_backend_that_fails_is_shown_as_ejected_and_an_event() {
    let broken = Origin::start(|conn| {
        while conn.request().is_some() {
            conn.write("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let stage = Stage::start(1, |config| {
        config.ejection = true;
        config.ejector.time = std::time::Duration::from_secs(600);
        config.ejector.time_max = config.ejector.time;
        config.backends.push(tidegate::config::BackendConfig::at(broken.address));
    });
    let mut client = stage.proxy.client();
    (0..12).for_each(|_| drop(client.get("/")));
    wait_for("the ejection", || stage.json("/api/stats")["ejections"] == 1);
    let stats = stage.json("/api/stats");
    let backend = &stats["backends"][1];
    assert_eq!(backend["state"], "ejected");
    assert!(backend["why"].as_str().unwrap().contains("5 failures in a row"), "{backend}");
    assert!(backend["until"].as_u64() > stats["t"].as_u64(), "{backend}");
    let log = stage.json("/api/log");
    let events: Vec<&str> =
        log["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(events, ["start", "ejected"]);
    let event = &log["events"][1];
    assert_eq!(event["backend"], format!("http://{}", broken.address));
    assert!(
        event["text"].as_str().unwrap().starts_with("5 failures in a row (status 500); out for "),
        "{event}"
    );
}

#[test]
fn files_are_guarded_tagged_and_compressed() {
    let stage = Stage::start(1, |_| ());
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/main.js", "text/javascript")] {
        let plain = get(stage.admin, path, "");
        let gzipped = get(stage.admin, path, "Accept-Encoding: br, gzip\r\n");
        assert!(field(&plain, "content-type").unwrap().starts_with(kind));
        let policy = field(&plain, "content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(field(&plain, "x-content-type-options").as_deref(), Some("nosniff"));
        assert_eq!(field(&plain, "cache-control").as_deref(), Some("no-cache"));
        let tags = [&plain, &gzipped].map(|answer| field(answer, "etag").unwrap());
        if field(&gzipped, "content-encoding").is_some() {
            assert_eq!(gunzipped(&gzipped.body), plain.body);
            assert_ne!(tags[0], tags[1]);
        }
        let known = get(stage.admin, path, &format!("If-None-Match: \"x\", {}\r\n", tags[0]));
        assert_eq!((known.status, known.body.len()), (304, 0));
        assert_eq!(field(&known, "etag").as_ref(), Some(&tags[0]));
        assert_eq!(get(stage.admin, path, "If-None-Match: \"x\"\r\n").status, 200);
        assert_eq!(ask(stage.admin, &format!("PUT {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status, 405);
    }
    let refused = get(stage.admin, "/", "Accept-Encoding: gzip;q=0\r\n");
    assert_eq!(field(&refused, "content-encoding"), None);
}

#[test]
fn long_json_is_compressed_for_those_who_like_it() {
    let stage = Stage::start(3, |_| ());
    let gzipped = get(stage.admin, "/api/stats", "Accept-Encoding: gzip\r\n");
    assert_eq!(field(&gzipped, "content-encoding").as_deref(), Some("gzip"));
    let stats: Value = serde_json::from_slice(&gunzipped(&gzipped.body)).unwrap();
    assert_eq!(stats["backends"].as_array().unwrap().len(), 3);
    let short = get(stage.admin, "/api/log", "Accept-Encoding: gzip\r\n");
    assert_eq!(field(&short, "content-encoding"), None);
    assert_eq!(stage.json("/api/decisions")["enabled"], false);
}
