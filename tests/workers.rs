//! Several workers over real sockets: they serve as one, know as one, stop and reload as one.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is a verdict

mod support;

#[path = "support/child.rs"]
mod child;
#[path = "support/load.rs"]
mod load;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tidegate::balance::Routing;
use tidegate::config::{BackendConfig, ProxyConfig};

use child::{Process, outcome};
use load::{Load, REFUSED, statuses};
use support::{Client, Gate, Origin, ProxyUnderTest, wait_for};

/// Answers what `status` says, after a pause; `busy` counts those it works on.
fn origin(status: Arc<AtomicU16>, pause: Duration, busy: Arc<AtomicI64>) -> Origin {
    Origin::start(move |conn| {
        while conn.request().is_some() {
            busy.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(pause);
            let code = status.load(Ordering::SeqCst);
            conn.write(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n"));
            busy.fetch_sub(1, Ordering::SeqCst);
        }
    })
}

fn steady(pause: Duration) -> Origin {
    origin(Arc::new(AtomicU16::new(200)), pause, Arc::default())
}

/// Connections of the reactor threads of a process that listens at `port`: how many listeners there are.
fn listeners(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let listens = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&local) && fields[3] == "0A"
    };
    table.lines().skip(1).filter(listens).count()
}

#[test]
fn all_serve_and_every_answer_has_its_row_and_its_count() {
    let origins = [0, 1, 2].map(|_| steady(Duration::from_millis(1)));
    let addresses = origins.each_ref().map(|origin| origin.address);
    let proxy = ProxyUnderTest::logged(&addresses, |config| {
        config.workers = 4;
        config.routing = Routing::Elastic;
    });
    assert_eq!(listeners(proxy.address.port()), 4);
    let load = Load::start(proxy.address, 32, &["GET", "POST"], Duration::ZERO);
    load.more(2000);
    wait_for("figures of all", || proxy.figures().unwrap().counters.clients_active == 32);
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200]);
    let (figures, rows) = proxy.stop();
    assert_eq!(rows.len(), told.len());
    assert_eq!(figures.counters.requests as usize, told.len());
    assert_eq!(figures.counters.responses[2] as usize, told.len());
    assert_eq!((figures.counters.clients_accepted, figures.counters.clients_active), (32, 0));
    assert_eq!(figures.backends.iter().map(|backend| backend.requests).sum::<u64>() as usize, told.len());
    assert!(figures.backends.iter().all(|backend| backend.requests > 0));
    assert!((figures.backends.iter().map(|backend| backend.share).sum::<f64>() - 1.0).abs() < 1e-9);
    for (backend, address) in figures.backends.iter().zip(addresses) {
        let url = format!("http://{address}");
        let count = rows.iter().filter(|row| row.get("backend_url") == url).count();
        assert_eq!((count, &backend.url), (backend.requests as usize, &url));
        assert_eq!(backend.latencies.count(), backend.requests);
    }
}

/// How long a backend is put out.
const OUT: Duration = Duration::from_secs(3);

/// A client of each worker, as far as the kernel's dice fall: so many that all have some.
fn clients(address: SocketAddr) -> Vec<Client> {
    (0..40).map(|_| Client::connect(address)).collect()
}

#[test]
fn what_one_worker_has_put_out_is_out_for_all_and_one_request_tries_it() {
    let status = Arc::new(AtomicU16::new(500));
    let bad = origin(status.clone(), Duration::ZERO, Arc::default());
    let good = steady(Duration::ZERO);
    let proxy = ProxyUnderTest::start(&[bad.address, good.address], |config| {
        config.workers = 4;
        config.ejection = true;
        config.retries = 0;
        config.ejector.time = OUT;
        config.ejector.time_max = OUT;
    });
    // Each time it was out, which may be a tenth shorter than asked for, there may have been one trial, of whatever worker.
    let begun = Instant::now();
    let trials_max = || begun.elapsed().div_duration_f64(OUT.mul_f64(0.9)) as usize;
    // One client is one worker's: its five failures are enough.
    let mut one = proxy.client();
    for _ in 0..12 {
        one.get("/");
    }
    let mut all = clients(proxy.address);
    all.iter_mut().for_each(|client| drop(client.get("/")));
    let seen = bad.seen().len();
    assert!((5..=5 + trials_max()).contains(&seen), "{seen}: somebody had not heard");
    // It is still bad: of all workers one request tries it, and it is out again for all.
    wait_for("the trial", || {
        all.iter_mut().for_each(|client| drop(client.get("/")));
        bad.seen().len() > 5
    });
    all.iter_mut().for_each(|client| drop(client.get("/")));
    let seen = bad.seen().len();
    assert!((6..=5 + trials_max()).contains(&seen), "{seen} with {} trials", trials_max());
    // It is well again: once tried, everybody uses it.
    status.store(200, Ordering::SeqCst);
    let failures = bad.seen().len() as u64;
    wait_for("it to be back", || {
        all.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
        bad.seen().len() > 30
    });
    drop(all);
    let (figures, _) = proxy.stop();
    let counters = &figures.counters;
    assert_eq!((counters.responses[5], counters.ejections), (failures, failures - 4));
}

/// Answers when the gate opens; `busy` counts those that wait for that.
fn held(gate: &Arc<Gate>, busy: &Arc<AtomicI64>) -> Origin {
    let (gate, busy) = (gate.clone(), busy.clone());
    Origin::start(move |conn| {
        while conn.request().is_some() {
            busy.fetch_add(1, Ordering::SeqCst);
            gate.wait();
            conn.write("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n");
        }
    })
}

#[test]
fn least_connections_sees_what_is_in_flight_everywhere() {
    let (here, there): (Arc<AtomicI64>, Arc<AtomicI64>) = Default::default();
    let gate = Arc::new(Gate::default());
    let origins = [held(&gate, &here), held(&gate, &there)];
    let addresses = origins.each_ref().map(|origin| origin.address);
    let proxy = ProxyUnderTest::start(&addresses, |config| {
        config.workers = 4;
        config.routing = Routing::LeastConnections;
        config.timeouts.upstream = Duration::from_secs(600);
    });
    // One request per worker and more, one after the other: each worker alone would begin with the first backend.
    let mut all: Vec<Client> = (0..16).map(|_| proxy.client()).collect();
    for (sent, client) in (1..).zip(&mut all) {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_for("it to arrive", || here.load(Ordering::SeqCst) + there.load(Ordering::SeqCst) >= sent);
        let apart = (here.load(Ordering::SeqCst) - there.load(Ordering::SeqCst)).abs();
        assert!(apart <= 2, "{apart} apart after {sent}");
    }
    gate.open();
    for client in &mut all {
        assert_eq!(client.response().status, 200);
    }
    let (figures, _) = proxy.stop();
    let requests: Vec<u64> = figures.backends.iter().map(|backend| backend.requests).collect();
    assert!(requests[0].abs_diff(requests[1]) <= 2, "{requests:?}");
    assert!(figures.backends.iter().all(|backend| backend.live.in_flight == 0));
}

#[test]
fn limits_of_all_are_kept_together() {
    let working: Arc<AtomicI64> = Arc::default();
    let most = Arc::new(AtomicI64::new(0));
    let peak = most.clone();
    let origin = Origin::start(move |conn| {
        while conn.request().is_some() {
            peak.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            working.fetch_sub(1, Ordering::SeqCst);
            conn.write("HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.workers = 3;
        config.max_connections_per_backend = Some(5);
        config.max_clients = Some(24);
    });
    let load = Load::start(proxy.address, 24, &["GET"], Duration::ZERO);
    load.more(1500);
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200]);
    assert!(most.load(Ordering::SeqCst) <= 5, "{most:?} at once");
    drop(proxy.stop());
}

#[test]
fn a_worker_without_idle_clients_gets_room_from_another() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.workers = 4;
        config.max_clients = Some(8);
    });
    let mut idle: Vec<Client> = (0..8).map(|_| proxy.client()).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").status, 200);
    }
    // Whichever worker each of these comes to, some of those idle for a second make room.
    for _ in 0..8 {
        assert_eq!(proxy.client().get("/late").status, 200);
    }
    drop(proxy.stop());
}

#[test]
fn a_reload_reaches_all_and_loses_nothing() {
    let origins = [0, 1, 2].map(|_| steady(Duration::from_millis(1)));
    let urls = origins.each_ref().map(|origin| origin.address.to_string());
    let directory = tempfile::tempdir().unwrap();
    let (log, file) = (directory.path().join("log.csv"), directory.path().join("tidegate.toml"));
    let write = |backends: &[&str]| {
        let tables: String =
            backends.iter().map(|backend| format!("[[backend]]\naddress = \"{backend}\"\n")).collect();
        std::fs::write(&file, format!("workers = 4\nadmin = \"none\"\n{tables}")).unwrap();
    };
    write(&[&urls[0], &urls[1]]);
    let words = ["--config", file.to_str().unwrap(), "--log", log.to_str().unwrap()];
    let mut proxy = Process::start(&words);
    let load = Load::start(proxy.address, 32, &["GET", "POST"], Duration::ZERO);
    load.more(500);
    for backends in [[&*urls[1], &*urls[2]], [&*urls[2], &*urls[0]], [&*urls[0], &*urls[1]]] {
        write(&backends);
        proxy.signal(Signal::HUP);
        // Nobody uses the one left out any more; news of it may stand in some worker's way for a moment.
        let out = urls.iter().position(|url| !backends.contains(&url.as_str())).unwrap();
        let used = || origins[out].seen().len();
        load.more(200);
        wait_for("the last request to one that is gone", || {
            let before = used();
            load.more(300);
            used() == before
        });
    }
    proxy.signal(Signal::USR1);
    load.more(300);
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    let told = load.stop();
    let fates = statuses(&told);
    // A connection may be closed as idle while its next request is on the way, or by the kernel with the listener it had
    // not been taken from. Nobody has seen such a request: there is no row of it, as is looked at below.
    let unseen = fates.get(&0).copied().unwrap_or(0);
    assert!(unseen <= 4 && fates.keys().all(|status| matches!(*status, 0 | 200 | REFUSED)), "{fates:?}");
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("timestamp")).count(), 1, "one header");
    let rows = text.lines().count() - 1;
    assert_eq!(rows, told.iter().filter(|one| one.status == 200).count(), "{fates:?}");
    assert!(proxy.said().contains("configuration reloaded"));
}

#[test]
fn drained_it_finishes_what_is_under_way_everywhere() {
    let gate = Arc::new(Gate::default());
    let origin = held(&gate, &Arc::default());
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.workers = 4);
    let mut all: Vec<Client> = (0..16).map(|_| proxy.client()).collect();
    for client in &mut all {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    wait_for("all to arrive", || origin.seen().len() == 16);
    proxy.drain();
    wait_for("the listeners to be gone", || TcpStream::connect(proxy.address).is_err());
    gate.open();
    for client in &mut all {
        let answer = client.response();
        assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    }
    let (figures, rows) = proxy.stop();
    assert_eq!((figures.counters.requests, rows.len()), (16, 16));
}

/// A watchdog asks whether all loops turn. One that has nothing left to do ends at once, while another's last client
/// takes its time: that is no hang, and nobody is to be killed for it.
#[test]
fn a_worker_that_has_ended_does_not_look_like_one_that_hangs() {
    let gate = Arc::new(Gate::default());
    let origin = held(&gate, &Arc::default());
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.workers = 4);
    let mut last = proxy.client();
    last.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("it to arrive", || origin.seen().len() == 1);
    proxy.drain();
    wait_for("the listeners to be gone", || TcpStream::connect(proxy.address).is_err());
    // So often that those without a client have long ended.
    (0..50).for_each(|_| wait_for("all loops to turn or to have ended", || proxy.turns()));
    gate.open();
    assert_eq!(last.response().status, 200);
    drop(proxy.stop());
}

#[test]
fn the_admin_address_shows_all_and_orders_all() {
    let bad = origin(Arc::new(AtomicU16::new(500)), Duration::ZERO, Arc::default());
    let origins = [steady(Duration::ZERO), steady(Duration::ZERO)];
    let urls = [&bad, &origins[0], &origins[1]].map(|origin| origin.address.to_string());
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "0123456789abcdef").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let backends = urls.join(",");
    let words = ["--backend", &backends, "--workers", "4", "--log", "none", "--admin", "127.0.0.1:0"];
    let ejection = ["--routing", "round-robin", "--ejection", "on", "--ejection-time-max", "1m"];
    let more = ["--ejection-time", "1m", "--admin-token-file", token.to_str().unwrap()];
    let proxy = Process::start(&[&words[..], &ejection, &more].concat());
    let mut all = clients(proxy.address);
    for _ in 0..3 {
        all.iter_mut().for_each(|client| drop(client.get("/")));
    }
    let ask = |words: &str, body: &str| {
        let length = body.len();
        let mut client = Client::connect(proxy.admin());
        client.send(format!(
            "{words} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer 0123456789abcdef\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        let answer = client.response();
        assert_eq!(answer.status, 200, "{words}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()
    };
    wait_for("all counts", || ask("GET /api/stats", "")["requests"] == 120);
    let stats = ask("GET /api/stats", "");
    assert_eq!((&stats["workers"], &stats["clients_active"]), (&4.into(), &40.into()));
    assert_eq!(stats["backends"][0]["state"], "ejected");
    assert!(stats["backends"][0]["why"].as_str().unwrap().contains("failures in a row"), "{stats}");
    let counts = (0..3).map(|at| stats["backends"][at]["requests"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 120);
    let events = ask("GET /api/log", "");
    let count = |kind: &str| {
        events["events"].as_array().unwrap().iter().filter(|event| event["kind"] == kind).count()
    };
    assert_eq!((count("start"), count("ejected")), (1, 1), "{events}");
    // An order reaches every worker.
    ask("POST /api/control/drain", &format!("{{\"backend\":\"http://{}\"}}", urls[1]));
    wait_for("nobody to use it", || {
        let before = origins[0].seen().len();
        all.iter_mut().for_each(|client| drop(client.get("/")));
        origins[0].seen().len() == before
    });
    wait_for("it to be shown", || ask("GET /api/stats", "")["backends"][1]["state"] == "draining");
}

#[test]
fn one_checks_for_all() {
    let well = Arc::new(AtomicU16::new(200));
    let checked = origin(well.clone(), Duration::ZERO, Arc::default());
    let other = steady(Duration::ZERO);
    let proxy = ProxyUnderTest::start(&[checked.address, other.address], |config| {
        config.workers = 4;
        config.health = Some(tidegate::config::HealthCheck {
            path: "/healthz".to_owned(),
            interval: Duration::from_millis(100),
            ..tidegate::config::HealthCheck::default()
        });
    });
    let count = || checked.lines().iter().filter(|line| !line.contains("healthz")).count();
    let mut all = clients(proxy.address);
    all.iter_mut().for_each(|client| drop(client.get("/")));
    assert!(count() > 0);
    // It still answers requests, but fails its checks.
    well.store(404, Ordering::SeqCst);
    wait_for("nobody to use it", || {
        let before = count();
        (0..2).for_each(|_| all.iter_mut().for_each(|client| drop(client.get("/"))));
        count() == before
    });
    well.store(200, Ordering::SeqCst);
    let before = count();
    wait_for("it to be used again", || {
        all.iter_mut().for_each(|client| drop(client.get("/")));
        count() > before + 10
    });
    // Four workers that all checked would be heard: 40 a second, not 10.
    let checks = || checked.lines().iter().filter(|line| line.contains("healthz")).count();
    let (begun, before) = (Instant::now(), checks());
    wait_for("ten checks", || checks() >= before + 10);
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
}

#[test]
fn alone_or_together_nobody_shares_the_port_with_a_stranger() {
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let usual = ["--backend", &backend, "--log", "none", "--admin", "none"];
    for workers in ["1", "2"] {
        let proxy = Process::start(&[&usual[..], &["--workers", workers]].concat());
        let listen = proxy.address.to_string();
        for others in ["1", "2"] {
            let words = [&["proxy", "--listen", &listen, "--workers", others][..], &usual[..]].concat();
            let (code, said) = outcome(&words);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("another process listens there"), "{said}");
        }
    }
}

#[test]
fn fewer_connections_than_workers_are_refused() {
    let words = ["proxy", "--workers", "4", "--max-connections-per-backend", "3", "--log", "none"];
    let (code, said) = outcome(&words);
    assert_eq!(code, Some(2));
    assert!(said.contains("--max-connections-per-backend") && said.contains("--workers, 4"), "{said}");
}

#[test]
fn a_share_of_one_is_the_whole() {
    let config = ProxyConfig {
        backends: vec![BackendConfig::at(SocketAddr::from(([127, 0, 0, 1], 1)))],
        ..ProxyConfig::default()
    };
    assert_eq!(config.share_of(0, 1), config);
}
