//! Active health checks, and what a reload does to the judgement of backends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidegate::config::value::Value as _;
use tidegate::config::{BackendConfig, HealthCheck, ProxyConfig, Statuses};
use tidegate::record::snapshot::State;
use tidegate::run::start_proxy;

use crate::load::{Load, statuses};
use crate::support::{Client, Origin, ProxyUnderTest, message, wait_for};

/// Answers its checks as told: with this status, or with nothing for 0. Counts what else it is asked.
fn checked(health: &Arc<AtomicUsize>, asked: &Arc<AtomicUsize>) -> Origin {
    let (health, asked) = (health.clone(), asked.clone());
    Origin::start(move |conn| {
        while let Some(request) = conn.request() {
            if !request.starts_with(b"GET /healthz ") {
                asked.fetch_add(1, Ordering::SeqCst);
                conn.answer("work");
                continue;
            }
            match health.load(Ordering::SeqCst) {
                0 => assert!(conn.is_closed()),
                status => {
                    conn.write(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
                }
            }
        }
    })
}

#[test]
fn a_backend_that_fails_its_checks_gets_nothing_until_it_passes_them() {
    let health = [200, 200].map(|status| Arc::new(AtomicUsize::new(status)));
    let asked = [0, 0].map(|none| Arc::new(AtomicUsize::new(none)));
    let origins = [checked(&health[0], &asked[0]), checked(&health[1], &asked[1])];
    let proxy = ProxyUnderTest::start(&[origins[0].address, origins[1].address], |config| {
        config.health = Some(HealthCheck {
            path: "/healthz".to_owned(),
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(1),
            fall: 3,
            rise: 2,
            ..Default::default()
        });
    });
    let load = Load::start(proxy.address, 4, &["GET"], Duration::from_millis(1));
    let count = |index: usize| asked[index].load(Ordering::SeqCst);
    load.more(100);
    assert!(count(0) > 20 && count(1) > 20);
    for failure in [503, 0] {
        health[0].store(failure, Ordering::SeqCst);
        wait_for("it to be left", || {
            let before = count(0);
            load.more(50);
            count(0) == before
        });
        health[0].store(204, Ordering::SeqCst);
        let before = count(0);
        wait_for("it to be back", || count(0) > before);
    }
    // When all fail, all are used.
    health.iter().for_each(|health| health.store(500, Ordering::SeqCst));
    let checks = |index: usize| origins[index].lines().iter().filter(|line| line.contains("healthz")).count();
    let (first, second) = (checks(0), checks(1));
    wait_for("five more checks each", || checks(0) >= first + 5 && checks(1) >= second + 5);
    let before = [count(0), count(1)];
    load.more(100);
    assert!(count(0) > before[0] + 20 && count(1) > before[1] + 20);
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200]);
}

#[test]
fn a_check_answered_without_end_keeps_nobody_else_waiting() {
    let origin = Origin::start(|conn| {
        while let Some(request) = conn.request() {
            if request.starts_with(b"GET /healthz ") {
                let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10_000);
                while conn.write(&endless) {}
                return;
            }
            conn.answer("work");
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.health = Some(HealthCheck {
            path: "/healthz".into(),
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(60),
            ..HealthCheck::default()
        });
    });
    let mut client = proxy.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    wait_for("it to be judged", || {
        client.get("/");
        proxy.figures().is_some_and(|figures| figures.backends[0].live.state == State::Down)
    });
}

#[test]
fn ejection_switched_off_by_a_reload_lets_everybody_in() {
    let [bad, good] = [500, 200].map(|status| {
        Origin::start(move |conn| {
            while conn.request().is_some() {
                conn.write(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
            }
        })
    });
    let mut config = ProxyConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        backends: [bad.address, good.address].map(BackendConfig::at).to_vec(),
        routing: tidegate::balance::Routing::RoundRobin,
        ejection: true,
        log: None,
        admin: None,
        ..ProxyConfig::default()
    };
    config.ejector.time = Duration::from_secs(60);
    config.ejector.time_max = Duration::from_secs(60);
    let proxy = start_proxy(config.clone(), || {}).unwrap();
    let mut client = Client::connect(proxy.address);
    for _ in 0..40 {
        client.get("/");
    }
    assert_eq!(bad.seen().len(), 5, "it is not out");
    config.ejection = false;
    proxy.reload(config);
    wait_for("it to be used again", || {
        client.get("/");
        bad.seen().len() > 10
    });
    let figures = proxy.stop().unwrap();
    assert_eq!(figures.backends[0].live.failure_rate, 0.0, "nobody counts any more, so nothing may count");
}

#[test]
fn checks_ask_for_the_configured_name_and_take_the_statuses_they_are_told() {
    for (host, expected, is_up) in [
        (None, Statuses::default(), false),
        (Some("up.example".to_owned()), Statuses::parse("401,200-299").unwrap(), true),
    ] {
        let origin = Origin::start(|conn| {
            while conn.request().is_some() {
                conn.write("HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let name = format!("localhost:{}", origin.address.port());
        let proxy = ProxyUnderTest::start(&[origin.address], |config| {
            config.backends[0].url = format!("http://{name}");
            config.admin = Some("127.0.0.1:0".parse().unwrap());
            config.health = Some(HealthCheck {
                path: "/healthz".to_owned(),
                host: host.clone(),
                expected: expected.clone(),
                interval: Duration::from_millis(20),
                fall: 2,
                ..HealthCheck::default()
            });
        });
        wait_for("five checks", || origin.seen().len() >= 5);
        let asked_for = host.unwrap_or(name);
        for request in origin.seen() {
            assert_eq!(message::field(&request.bytes, "host"), Some(asked_for.as_str()));
        }
        let events = proxy.board().events_after(0);
        let told = events.iter().any(|event| event.text == "active checks: bad answer, status 401");
        assert_eq!(told, !is_up, "{events:?}");
        let state = if is_up { "\"state\":\"up\"" } else { "\"state\":\"down\"" };
        wait_for("the figures", || {
            let request = "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let stats = Client::connect(proxy.admin()).send(request).response();
            let stats = String::from_utf8(stats.body).unwrap();
            stats.contains("\"status\":401") && stats.contains(state)
        });
    }
}

/// Two dozen backends and one interval: their first checks are spread over it.
#[test]
fn first_checks_do_not_come_all_at_once() {
    let origins: Vec<Origin> = (0..24).map(|_| Origin::echo_path()).collect();
    let addresses: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let begun = Instant::now();
    let _proxy = ProxyUnderTest::start(&addresses, |config| {
        config.health = Some(HealthCheck { interval: Duration::from_secs(2), ..HealthCheck::default() });
    });
    let checked = || origins.iter().filter(|origin| !origin.seen().is_empty()).count();
    wait_for("a quarter of them", || checked() >= 6);
    let early = (begun.elapsed(), checked());
    wait_for("all", || checked() == 24);
    println!("{} checked after {:?}, all after {:?}", early.1, early.0, begun.elapsed());
    assert!(early.1 < 24 && begun.elapsed() > Duration::from_secs(1), "{early:?}");
}
