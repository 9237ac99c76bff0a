//! The live page in a real browser, before a real proxy with emulated backends under load.
//!
//! Without a Chromium on the PATH these tests say that they are skipped; `REQUIRE_BROWSER=1` makes that a
//! failure. `BROWSER_SCREENSHOTS=DIR` keeps pictures of what they saw.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

#[allow(unused_imports)] // no scripted origin here
mod support;

#[path = "support/browser.rs"]
mod browser;
#[path = "support/child.rs"]
mod child;
#[path = "dashboard/log.rs"]
mod log;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use browser::Browser;
use child::Process;
use serde_json::{Value, json};
use tidegate::config::EmulatorConfig;
use tidegate::load::{self, LoadConfig, Progress};

const ACCESSIBILITY: &str = include_str!("support/accessibility.js");
const TOKEN: &str = "a-token-for-this-test-only";

/// Backends, a proxy before them and clients that keep asking.
struct Scene {
    proxy: Process,
    stop: Arc<AtomicBool>,
    load: Option<JoinHandle<()>>,
    backends: Vec<SocketAddr>,
}

impl Scene {
    fn start(latencies: &[&str], words: &[&str]) -> Scene {
        let backends: Vec<SocketAddr> = latencies.iter().map(|latency| emulate(latency)).collect();
        let urls: Vec<String> = backends.iter().map(|address| format!("http://{address}")).collect();
        let list = urls.join(",");
        let mut all = vec!["--backend", &list, "--admin", "127.0.0.1:0"];
        all.extend(words);
        let proxy = Process::start(&all);
        let stop = Arc::new(AtomicBool::new(false));
        let config = LoadConfig {
            connections: 8,
            duration: Duration::from_secs(3600),
            path: "/shown?<b>bold</b>".to_owned(),
            ..LoadConfig::new(proxy.address)
        };
        let progress = Progress::new(stop.clone());
        let load = std::thread::spawn(move || drop(load::run(&config, &progress)));
        Scene { proxy, stop, load: Some(load), backends }
    }

    fn page(&self, view: &str) -> String {
        format!("http://{}/{view}", self.proxy.admin())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(load) = self.load.take() {
            let _ = load.join();
        }
    }
}

fn emulate(latency: &str) -> SocketAddr {
    let config = EmulatorConfig {
        latency: Some(latency.parse().unwrap()),
        seed: Some(1),
        ..EmulatorConfig::original("A", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    };
    tidegate::emulator::start(&config).unwrap().address // goes on until the process ends
}

fn drawn(browser: &mut Browser) -> u64 {
    browser.text("document.documentElement.dataset.seq ?? '0'").parse().unwrap_or(0)
}

/// Waits until so many more seconds have been drawn.
fn seconds(browser: &mut Browser, more: u64) {
    let goal = drawn(browser) + more;
    browser.wait(&format!("Number(document.documentElement.dataset.seq) >= {goal}"));
}

fn hash(browser: &mut Browser) -> String {
    browser.text("location.hash")
}

/// No complaint on the console, no exception, and nothing asked of anybody else.
fn assert_quiet(browser: &mut Browser, page: &str) {
    let origin = page.split('/').take(3).collect::<Vec<_>>().join("/");
    for (method, params) in browser.take_events() {
        match method.as_str() {
            "Runtime.exceptionThrown" => panic!("{params}"),
            "Runtime.consoleAPICalled" => panic!("on the console: {params}"),
            "Log.entryAdded" => panic!("logged: {params}"),
            "Network.requestWillBeSent" => {
                let url = params["request"]["url"].as_str().unwrap();
                let own = url.starts_with(&format!("{origin}/"))
                    || url.starts_with(&format!("blob:{origin}/"))
                    || url == "about:blank";
                assert!(own, "a request to {url}");
            }
            _ => {}
        }
    }
}

fn assert_accessible(browser: &mut Browser, what: &str) {
    let problems = browser.eval(ACCESSIBILITY);
    let problems = problems.as_array().unwrap();
    assert!(problems.is_empty(), "{what}: {problems:#?}");
    let wide = browser.eval("document.documentElement.scrollWidth - innerWidth");
    assert!(wide.as_i64().unwrap() <= 0, "{what}: {wide} pixels too wide");
}

#[test]
fn the_page_lives() {
    let Some(mut browser) = Browser::launch() else { return };
    let scene =
        Scene::start(&["constant:2ms", "constant:6ms", "constant:9ms"], &["--routing", "round-robin"]);
    let url = scene.page("");
    browser.resize(1280, 900);
    browser.open(&url);
    seconds(&mut browser, 3);
    assert_eq!(browser.text("document.getElementById('mode').textContent"), "round-robin");
    browser.wait("document.getElementById('feed').textContent.includes('live')");

    // The charts move under load, and their twins and sentences have the same numbers.
    let picture = "document.querySelector('#share canvas').toDataURL()";
    let before = browser.text(picture);
    browser.click("#share-twin summary");
    browser.wait("document.querySelectorAll('#share-twin tbody tr').length > 2");
    let rows = "document.querySelectorAll('#share-twin tbody tr').length";
    let some = browser.eval(rows).as_u64().unwrap();
    seconds(&mut browser, 2);
    assert_ne!(browser.text(picture), before);
    assert!(browser.eval(rows).as_u64().unwrap() > some);
    assert!(hash(&mut browser).contains("open=share"));
    assert!(browser.text("document.getElementById('share-summary').textContent").contains("requests"));
    browser.wait("document.querySelectorAll('.hbar').length === 3");
    browser.wait("/[1-9]/.test(document.querySelector('#tile-rate .big').textContent)");
    for (tile, unit) in [("p50", "ms"), ("p99", "ms"), ("recent", "ms"), ("overhead", "µs"), ("reuse", "%")]
    {
        let words = browser.text(&format!("document.querySelector('#tile-{tile} .big').textContent"));
        assert!(words.ends_with(unit) && words.starts_with(|c: char| c.is_ascii_digit()), "{tile}: {words}");
    }

    // What a stranger asked for is text.
    browser.eval("document.getElementById('requests').scrollIntoView()");
    browser.wait("document.querySelectorAll('#request-table tbody tr').length > 20");
    browser.wait("document.querySelector('#request-table tbody').textContent.includes('<b>bold</b>')");
    assert_eq!(browser.eval("document.querySelectorAll('#request-table b').length"), 0);
    let port = scene.backends[0].port();
    browser.wait(&format!(
        "document.querySelector('#request-table thead').textContent.includes('{port} SMA / EWMA')"
    ));
    browser.wait("document.getElementById('sentence').textContent.length > 12");
    assert_quiet(&mut browser, &url);
}

#[test]
fn what_is_chosen_is_in_the_address() {
    let Some(mut browser) = Browser::launch() else { return };
    let scene = Scene::start(&["constant:2ms", "constant:7ms"], &["--routing", "least-time"]);
    let url = scene.page("");
    browser.resize(1280, 900);
    browser.open(&url);
    seconds(&mut browser, 6);

    // Window, log scale and theme, by mouse and by key.
    browser.click("[data-w='15m']");
    browser.wait("location.hash.includes('w=15m')");
    browser.key("1");
    browser.wait(
        "location.hash.includes('w=1m') && document.querySelector('[data-w=\"1m\"]').ariaPressed === 'true'",
    );
    browser.key("l");
    browser.wait("location.hash.includes('log=1') && document.getElementById('log').ariaPressed === 'true'");

    // Sorting: one way, the other, and back to the configured order.
    let first = "document.querySelector('#backend-table tbody tr').dataset.url";
    let url_of = |at: usize| format!("http://{}", scene.backends[at]);
    for (sort, order, top) in [("desc", "descending", 1), ("asc", "ascending", 0)] {
        browser.click("[data-sort=p50_ms]");
        browser.wait(&format!("location.hash.includes('sort=p50_ms.{sort}')"));
        browser.wait(&format!(
            "document.querySelector('[data-sort=p50_ms]').parentElement.ariaSort === '{order}'"
        ));
        browser.wait(&format!("{first} === '{}'", url_of(top)));
    }
    browser.click("[data-sort=p50_ms]");
    browser.wait(&format!("!location.hash.includes('sort') && {first} === '{}'", url_of(0)));

    // Paused, nothing moves while the feed goes on; then it catches up.
    browser.key("p");
    browser.wait("location.hash.includes('at=') && document.getElementById('pause').textContent === 'Go on'");
    browser.eval("document.getElementById('share').scrollIntoView()");
    let picture = "document.querySelector('#share canvas').toDataURL()";
    seconds(&mut browser, 1);
    let held = browser.text(picture);
    let total = browser.text("document.querySelector('#tile-rate .sub').textContent");
    seconds(&mut browser, 2);
    assert_eq!(browser.text(picture), held);
    assert_eq!(browser.text("document.querySelector('#tile-rate .sub').textContent"), total);
    browser.key("p");
    browser.wait(&format!("!location.hash.includes('at=') && {picture} !== '{held}'"));

    // A brush zooms, Escape returns. The same by keyboard on the focused chart.
    browser.drag("#latency-plot", 0.93, 0.98);
    browser.wait("location.hash.includes('zoom=') && !document.getElementById('unzoom').hidden");
    browser.key("Escape");
    browser.wait("!location.hash.includes('zoom=')");
    browser.eval("document.getElementById('latency-plot').focus()");
    browser.key("ArrowLeft");
    browser.wait("/p95/.test(document.getElementById('announce').textContent)");
    browser.shift("ArrowLeft");
    browser.shift("ArrowLeft");
    browser.key("Enter");
    browser.wait("location.hash.includes('zoom=')");
    browser.key("Escape");
    browser.wait("!location.hash.includes('zoom=')");

    // A backend can be taken off the charts.
    browser.click(".chip");
    browser
        .wait("location.hash.includes('hide=') && document.querySelector('.chip').ariaPressed === 'false'");
    browser.key("t");
    browser.wait("document.documentElement.dataset.theme === 'dark' && location.hash.includes('theme=dark')");

    // The address alone brings it all back.
    let saved = hash(&mut browser);
    browser.open(&scene.page(&saved));
    seconds(&mut browser, 1);
    browser.wait("document.documentElement.dataset.theme === 'dark'");
    browser.wait("document.querySelector('[data-w=\"1m\"]').ariaPressed === 'true'");
    browser.wait("document.getElementById('log').ariaPressed === 'true'");
    browser.wait("document.querySelector('.chip').ariaPressed === 'false'");
    assert_quiet(&mut browser, &url);
}

#[test]
fn everything_can_be_done_by_keyboard() {
    let Some(mut browser) = Browser::launch() else { return };
    let scene = Scene::start(&["constant:2ms", "constant:7ms"], &[]);
    let url = scene.page("");
    browser.resize(1280, 900);
    browser.open(&url);
    seconds(&mut browser, 2);

    // Tab goes through the page in the order of its text, and it can be seen where it is.
    let focus = "(e => [[...document.querySelectorAll('*')].indexOf(e), getComputedStyle(e).outlineStyle, \
                 e.className, e.textContent.slice(0, 40), e.id])(document.activeElement)";
    let mut last = -1;
    let mut seen = Vec::new();
    for _ in 0..24 {
        browser.key("Tab");
        let now = browser.eval(focus);
        let place = now[0].as_i64().unwrap();
        assert!(place > last, "{now} after {last}");
        assert_ne!(now[1], "none", "{now}");
        last = place;
        seen.push(format!("{} {} {}", now[2], now[3], now[4]));
    }
    assert!(seen[0].contains("Skip to the charts"), "{seen:?}");
    assert!(seen.iter().any(|one| one.contains("share-plot")), "{seen:?}");

    browser.key("?");
    browser.wait("document.getElementById('help-dialog').open");
    assert_accessible(&mut browser, "help");
    browser.key("Escape");
    browser.wait("!document.getElementById('help-dialog').open");
    browser.key("b");
    browser.wait("document.activeElement.closest('#backends')");
    browser.key("e");
    browser.wait("document.activeElement.closest('#export')");
    browser.key("Escape");
    browser.wait("!document.getElementById('export').open");

    // Exports are made from what is shown.
    browser.eval(
        "window.saved = []; URL.createObjectURL = (blob) => { blob.text().then((t) => saved.push(t)); return '#' }; \
         HTMLAnchorElement.prototype.click = () => {}; 0",
    );
    for at in 0..4 {
        browser.eval(&format!("document.querySelectorAll('#export .menu-in button')[{at}].click()"));
    }
    browser.wait("saved.length === 4");
    let saved = browser.eval("saved");
    let texts: Vec<&str> = saved.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let with = |head: &str| {
        texts.iter().find(|text| text.starts_with(head)).unwrap_or_else(|| panic!("{head}: {texts:?}"))
    };
    assert!(with("timestamp,requests,errors").lines().count() > 2);
    assert!(with("timestamp,backend_url,latency_ms,status_code").lines().count() > 10);
    assert_eq!(with("url,").lines().count(), 3);
    let all: Value = serde_json::from_str(with("{")).unwrap();
    assert_eq!(all["stats"]["backends"].as_array().unwrap().len(), 2);

    // Single letters can be switched off, for those who dictate.
    browser.key("?");
    browser.eval("document.getElementById('single-keys').click()");
    browser.key("Escape");
    browser.wait("location.hash.includes('keys=0')");
    browser.key("l");
    seconds(&mut browser, 1);
    assert!(!hash(&mut browser).contains("log=1"));
    assert_quiet(&mut browser, &url);
}

/// Decisions as the proxy tells them.
fn decisions() -> Value {
    let candidate = |backend: u64, score: f64| {
        json!({"backend": backend, "score": score, "in_flight": 3, "estimate_ms": score, "weight": 1.0,
               "failure_rate": 0.0, "up": true, "tried": false})
    };
    let decision = |seq: u64| {
        json!({"seq": seq, "t": 1_700_000_000_000_u64 + seq, "routing": "elastic", "backend": seq % 2,
            "reason": if seq.is_multiple_of(2) { "best" } else { "probe" }, "attempt": 1, "method": "GET", "path": format!("/item/{seq}"),
            "outcome": {"status": 200, "latency_ms": 4.5, "reason": "ok"}, "gamma": 0.4,
            "candidates": [candidate(0, 12.1), candidate(1, 14.0)], "candidates_cut": 0, "sentence": "Chose one: 12.1 beat 14.0."})
    };
    json!({"enabled": true, "decisions": (1..=200).rev().map(decision).collect::<Vec<_>>()})
}

#[test]
fn decisions_can_be_inspected() {
    let Some(mut browser) = Browser::launch() else { return };
    let scene = Scene::start(&["constant:2ms", "constant:7ms"], &[]);
    let url = scene.page("");
    browser.resize(1280, 900);
    browser.open(&url);
    seconds(&mut browser, 1);
    // Off unless asked for, and it says how to ask.
    assert!(browser.text("document.getElementById('decisions').textContent").contains("--explain"));
    {
        let explained =
            Scene::start(&["constant:2ms", "constant:7ms"], &["--explain", "--shadow", "round-robin"]);
        browser.open(&explained.page(""));
        seconds(&mut browser, 3);
        browser.eval("document.getElementById('decisions').scrollIntoView()");
        browser.wait("document.querySelector('#decision-table tbody button')");
        browser.eval("document.querySelector('#decision-table tbody button').click()");
        browser.wait("document.querySelector('#decision-detail .won').textContent.includes('chosen')");
        browser.wait("document.querySelector('#shadow tbody').textContent.includes('round-robin')");
        browser.wait("document.getElementById('sentence').textContent.startsWith('Chose ')");
        browser.open("about:blank");
        browser.take_events();
    }

    let script = format!(
        "{{ const real = window.fetch; window.fetch = (path, options) => String(path).endsWith('api/decisions') \
         ? Promise.resolve(new Response(JSON.stringify({}))) : real(path, options) }}",
        decisions()
    );
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    browser.open(&url);
    seconds(&mut browser, 1);
    browser.eval("document.getElementById('decisions').scrollIntoView()");
    let rows = "document.querySelectorAll('#decision-table tbody button').length";
    browser.wait(&format!("{rows} === 200"));

    // Open the first with Enter, go down with the arrow, close with Escape.
    browser.eval("document.querySelector('#decision-table tbody button').focus()");
    browser.key("Enter");
    browser.wait("document.querySelector('#decision-detail .won').textContent.includes('chosen')");
    let detail = browser.text("document.getElementById('decision-detail').textContent");
    for words in ["12.1 beat 14.0", "elastic: best", "attempt 1"] {
        assert!(detail.contains(words), "{detail}");
    }
    assert_accessible(&mut browser, "an open decision");
    browser.screenshot("decision");
    browser.key("ArrowDown");
    browser.wait("document.activeElement.dataset.seq === '199'");
    browser.key("ArrowUp");
    browser.key("Escape");
    browser
        .wait("!document.getElementById('decision-detail') && document.activeElement.dataset.seq === '200'");

    browser.key("/");
    browser.wait("document.activeElement.id === 'filter'");
    for letter in "item/20".chars() {
        browser.key(&letter.to_string());
    }
    browser.wait(&format!("{rows} === 2 && location.hash.includes('q=item')")); // 20 and 200
    assert_quiet(&mut browser, &url);
}

#[test]
fn it_can_be_read_by_all() {
    let Some(mut browser) = Browser::launch() else { return };
    let latencies =
        ["constant:1ms", "constant:2ms", "constant:3ms", "constant:4ms", "lognormal:median=5ms,sigma=0.5"];
    let mut many: Vec<&str> = latencies.to_vec();
    many.extend(["constant:6ms"; 11]);
    for (count, name) in [(2, "two"), (16, "sixteen")] {
        let scene = Scene::start(&many[..count], &[]);
        let url = scene.page("#open=share,latency,score,trouble,heat,percentiles");
        for (width, height) in [(1280, 900), (320, 640)] {
            browser.resize(width, height);
            for theme in ["light", "dark"] {
                browser.prefer("prefers-color-scheme", theme);
                browser.open(&url);
                seconds(&mut browser, 2);
                browser.eval("document.getElementById('requests').scrollIntoView()");
                browser.wait("document.querySelectorAll('#request-table tbody tr').length > 10");
                assert_accessible(&mut browser, &format!("{name} backends, {theme}, {width} wide"));
                browser.eval("scrollTo(0, 0)");
                seconds(&mut browser, 1);
                browser.screenshot(&format!("{name}-{theme}-{width}"));
            }
        }
        assert_quiet(&mut browser, &url);
        browser.open("about:blank"); // or it would go on looking for a proxy that has gone
        browser.take_events();
    }
}

#[test]
fn control_asks_first_and_wants_a_token() {
    let Some(mut browser) = Browser::launch() else { return };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TOKEN).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let scene = Scene::start(&["constant:2ms", "constant:7ms"], &["--admin-token-file", &path]);
    let url = scene.page("");
    browser.resize(1280, 900);
    browser.open(&url);
    seconds(&mut browser, 1);
    let fill = |token: &str| format!("document.getElementById('token').value = '{token}'");
    browser.wait("document.querySelectorAll('#backend-table tbody tr').length === 2");

    // The buttons are seen without scrolling the table, and the switch of routings is in the table's card.
    for (width, height) in [(320, 640), (1366, 768)] {
        browser.resize(width, height);
        for theme in ["light", "dark"] {
            browser.prefer("prefers-color-scheme", theme);
            seconds(&mut browser, 1);
            let left = browser.eval(
                "(b => b.closest('.scroll').getBoundingClientRect().right - b.getBoundingClientRect().right)\
                 (document.querySelector('#backend-table tbody .quiet'))",
            );
            assert!(left.as_f64().unwrap() > 0.0, "{width} wide: {left}");
            assert_accessible(&mut browser, &format!("control, {theme}, {width} wide"));
            browser.eval("document.getElementById('backends-h').scrollIntoView()");
            browser.screenshot(&format!("control-{theme}-{width}"));
        }
    }
    browser.wait("document.querySelector('#backends.card #routing').checkVisibility()");
    browser.prefer("prefers-color-scheme", "light");
    browser.key("b");
    browser.wait("document.activeElement.closest('#backends')");

    browser.eval("document.querySelector('#backend-table tbody tr .quiet').click()");
    browser.wait("document.getElementById('control-dialog').open");
    assert_accessible(&mut browser, "a question");
    browser.eval(&fill("not the token at all"));
    browser.click("#control-dialog .primary");
    browser.wait("document.querySelector('#control-dialog [role=alert]').textContent.length > 3");
    browser.eval(&fill(TOKEN));
    browser.click("#control-dialog .primary");
    browser.wait("!document.getElementById('control-dialog').open");
    browser.wait("document.getElementById('announce').textContent.length > 3");
    browser.wait("document.querySelector('#backend-table tbody tr').textContent.includes('draining')");
    browser.wait("document.querySelector('#events tbody').textContent.includes('drain')");
    browser.take_events(); // the refusal above is on the console, as it should be
    seconds(&mut browser, 1);
    assert_quiet(&mut browser, &url);
}

#[test]
fn a_lost_feed_is_taken_up_again() {
    let Some(mut browser) = Browser::launch() else { return };
    let backend = format!("http://{}", emulate("constant:1ms"));
    let reserved = support::port::Reserved::new();
    let admin = reserved.address.to_string();
    let start = |routing| Process::start(&["--backend", &backend, "--admin", &admin, "--routing", routing]);
    let first = start("round-robin");
    browser.open(&format!("http://{admin}/"));
    seconds(&mut browser, 3);
    drop(first);
    browser.wait("document.getElementById('feed').textContent.includes('lost')");
    browser.wait("document.getElementById('announce').textContent.includes('lost')");
    // Another process: its numbers start again, and the page says who it is.
    let _second = start("least-time");
    browser.wait("document.getElementById('feed').textContent.includes('live')");
    browser.wait("document.getElementById('mode').textContent === 'least-time'");
    browser.wait("Number(document.documentElement.dataset.seq) >= 2");
    let told = browser.take_events();
    assert!(told.iter().all(|(method, _)| method != "Runtime.exceptionThrown"), "{told:?}");
}
