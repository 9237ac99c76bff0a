//! Active health checks, and what a reload does to the judgement of backends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate::config::{BackendConfig, HealthCheck, ProxyConfig};
use tidegate::record::snapshot::State;
use tidegate::run::start_proxy;

use crate::load::{Load, statuses};
use crate::support::{Client, Origin, ProxyUnderTest, wait_for};

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
            timeout: Duration::from_millis(200),
            fall: 3,
            rise: 2,
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
