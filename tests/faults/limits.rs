//! Whatever there is only so much of: descriptors, connections, places in a queue, wake-ups.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use tidegate::config::{BackendConfig, ProxyConfig};
use tidegate::run::start_proxy;

use crate::child::Process;
use crate::load::{Load, statuses};
use crate::mortal::{Mortal, echo};
use crate::support::pace::undisturbed;
use crate::support::{Client, DEADLINE, Gate, Origin, ProxyUnderTest, wait_for};

/// Lets this process open as many files as it may.
pub(crate) fn raise_own_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

#[test]
fn out_of_descriptors_idle_connections_go_first_nothing_spins_and_service_returns() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let backend = origin.address.to_string();
    let proxy = Process::start(&["--backend", &backend, "--log", "none", "--admin", "none"]);
    let mut idle: Vec<Client> = (0..30).map(|_| Client::connect(proxy.address)).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").status, 200);
    }
    let begun = Instant::now();
    proxy.limit_descriptors(proxy.descriptors());
    // There is not one descriptor left: somebody idle must go, and only so many.
    let late: Vec<Client> = (0..5)
        .map(|_| {
            let mut client = Client::connect(proxy.address);
            assert_eq!(client.get("/").status, 200);
            client
        })
        .collect();
    wait_for("old clients to be closed", || idle.iter_mut().any(is_closed));
    drop(late);
    proxy.says("out of file descriptors");
    let tens_of_seconds = begun.elapsed().as_secs() as usize / 10; // it is said again after ten
    let said = proxy.said().matches("out of file descriptors").count();
    assert!(said <= 1 + tens_of_seconds, "{}", proxy.said());

    // Nothing at all can be opened, and nothing given back helps.
    proxy.limit_descriptors(3);
    let mut waiting: Vec<Client> = (0..20).map(|_| Client::connect(proxy.address)).collect();
    for client in &mut waiting {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    let (cpu, begun) = (proxy.cpu(), Instant::now());
    std::thread::sleep(Duration::from_secs(1)); // what it does meanwhile is what is looked at
    let used = (proxy.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(used < 0.1, "{used} of a core while out of descriptors");
    proxy.limit_descriptors(1000);
    let returned = Instant::now();
    for client in &mut waiting {
        assert_eq!(client.response().status, 200);
    }
    println!("used {:.1} % of a core, served again after {:?}", used * 100.0, returned.elapsed());
}

#[test]
fn checks_that_cannot_be_made_for_want_of_descriptors_are_no_verdict() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let backend = origin.address.to_string();
    let words = [
        "--backend",
        &backend,
        "--log",
        "none",
        "--admin",
        "none",
        "--health-path",
        "/",
        "--health-interval",
    ];
    let proxy = Process::start(&[&words[..], &["100ms", "--health-fall", "2"]].concat());
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").status, 200);
    proxy.limit_descriptors(3); // none can be opened, not even in the place of others
    wait_for("it to be said", || proxy.said().contains("out of file descriptors"));
    std::thread::sleep(Duration::from_secs(1)); // several checks
    assert!(!proxy.said().contains("fails its checks"), "{}", proxy.said());
}

fn is_closed(client: &mut Client) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    matches!(client.stream.peek(&mut [0]), Ok(0)) || client.end.is_some()
}

#[test]
fn at_the_limit_of_clients_those_idle_for_longest_make_room() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.max_clients = Some(10));
    let mut first: Vec<Client> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut first {
        assert_eq!(client.get("/").status, 200);
    }
    let newcomer = proxy.client().get("/");
    assert_eq!(newcomer.status, 200);
    let closed = first.iter_mut().filter_map(|client| is_closed(client).then_some(())).count();
    assert_eq!(closed, 1, "of those here first, for one at a time");
    for id in 0..20 {
        assert_eq!(proxy.client().get("/").status, 200, "{id}");
    }
}

#[test]
fn more_clients_than_may_be_here_at_once_are_all_served_in_time() {
    let origin = Mortal::start(echo(Duration::from_millis(1)));
    let proxy = ProxyUnderTest::start(&[origin.address], |config| config.max_clients = Some(4));
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let address = proxy.address;
            std::thread::spawn(move || {
                for _ in 0..10 {
                    let mut client = Client::connect(address);
                    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
                    assert_eq!(client.response().status, 200);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_limit_of_clients_is_said_once_in_a_while_and_is_an_event() {
    for workers in ["1", "3"] {
        let gate = Arc::new(Gate::default());
        let origin = Origin::held(&gate);
        let backend = origin.address.to_string();
        let usual = ["--backend", &backend, "--admin", "127.0.0.1:0", "--max-clients", "4"];
        let proxy = Process::start(&[&usual[..], &["--workers", workers]].concat());
        let began = Instant::now();
        let mut clients: Vec<Client> = (0..24).map(|_| Client::connect(proxy.address)).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        }
        let line = proxy.says("as many clients as there may be");
        assert!(line.contains("clients_max=4") && line.contains("--max-clients"), "{line}");
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().status, 200, "whoever waits has a turn");
        }
        let ask = "GET /api/log HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let log = Client::connect(proxy.admin()).send(ask).response().body;
        let told = String::from_utf8(log).unwrap().matches("client_limit").count();
        let said = proxy.said().matches("as many clients as there may be").count();
        let at_most = 1 + began.elapsed().as_secs() as usize / 10;
        assert!((1..=at_most).contains(&told) && told == said, "{workers}: {told} events, {said} lines");
    }
}

#[test]
fn beyond_its_connections_requests_wait_in_order_and_beyond_the_queue_they_are_refused() {
    let gate = Arc::new(Gate::default());
    let origin = Origin::held(&gate);
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.max_connections_per_backend = Some(1);
        config.queue.max = 3;
        config.queue.timeout = Duration::from_secs(600);
        config.timeouts.upstream = Duration::from_secs(600);
    });
    let mut clients: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    for (place, client) in clients.iter_mut().enumerate() {
        client.send(format!("POST /{place} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"));
        wait_for("the first to be on its way", || !origin.lines().is_empty());
        std::thread::sleep(Duration::from_millis(20)); // nothing shows that one is in the queue
    }
    let refused = proxy.client().get("/5");
    assert_eq!(refused.status, 503);
    assert!(refused.field("Retry-After").is_some());
    assert_eq!(origin.lines().len(), 1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().body, b"late");
    }
    let expected: Vec<String> = (0..4).map(|place| format!("POST /{place} HTTP/1.1")).collect();
    assert_eq!(origin.lines(), expected);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_place_that_a_reload_makes_is_taken_at_once() {
    let gate = Arc::new(Gate::default());
    let origin = Origin::held(&gate);
    let mut config = ProxyConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        backends: vec![BackendConfig::at(origin.address)],
        max_connections_per_backend: Some(1),
        log: None,
        admin: None,
        ..ProxyConfig::default()
    };
    config.queue.timeout = DEADLINE;
    let proxy = start_proxy(config.clone(), || {}).unwrap();
    let mut clients = [1, 2].map(|_| Client::connect(proxy.address));
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        wait_for("the first to be on its way", || !origin.lines().is_empty());
    }
    std::thread::sleep(Duration::from_millis(20)); // nothing shows that one is in the queue
    assert_eq!(origin.lines().len(), 1);
    config.max_connections_per_backend = Some(2);
    let (reloaded, patience) = (Instant::now(), DEADLINE / 4); // the time-out would free it too
    proxy.reload(config);
    wait_for("the second to be on its way", || {
        assert!(reloaded.elapsed() < patience, "nobody has looked whether there is a place");
        origin.lines().len() == 2
    });
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().body, b"late"));
    proxy.stop().unwrap();
}

#[test]
fn requests_that_gave_up_waiting_leave_their_place_to_others() {
    let gate = Arc::new(Gate::default());
    let origin = Origin::held(&gate);
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.max_connections_per_backend = Some(1);
        config.queue.max = 3;
        config.queue.timeout = Duration::from_millis(300);
        config.timeouts.upstream = Duration::from_secs(600);
    });
    let mut first = proxy.client();
    first.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the first to be on its way", || !origin.lines().is_empty());
    for round in 0..3 {
        let mut waiting: Vec<Client> = (0..3).map(|_| proxy.client()).collect();
        let begun = Instant::now();
        for client in &mut waiting {
            client.send(format!("GET /{round} HTTP/1.1\r\nHost: h\r\n\r\n"));
        }
        for client in &mut waiting {
            assert_eq!(client.response().status, 503);
        }
        assert!(begun.elapsed() >= Duration::from_millis(300), "round {round} was not let wait");
    }
    gate.open();
    assert_eq!(first.response().status, 200);
    assert_eq!(proxy.client().get("/after").status, 200);
}

#[test]
fn a_thousand_pending_time_outs_fire_in_time() {
    let bound = Duration::from_millis(500); // others share the machine
    undisturbed(bound / 10, || {
        let worst = time_outs(1000);
        assert!(worst < bound, "{worst:?} late");
    });
}

#[test]
#[ignore = "twenty thousand sockets, and a bound that wants the machine for itself"]
fn five_thousand_pending_time_outs_fire_within_50_ms() {
    let worst = time_outs(5000);
    assert!(worst < Duration::from_millis(50), "{worst:?} late");
}

/// How late the latest of so many time-outs was, by the proxy's own clock.
fn time_outs(count: usize) -> Duration {
    raise_own_limit();
    let mute = Mute::start();
    let timeout = Duration::from_millis(1500);
    let (directory, backend) = (tempfile::tempdir().unwrap(), mute.address.to_string());
    let log = directory.path().join("log.csv");
    let words = ["--backend", &backend, "--log", log.to_str().unwrap(), "--admin", "none"];
    // A process of its own: descriptors are counted per process.
    let mut proxy = Process::start(&[&words[..], &["--upstream-timeout", "1500ms"]].concat());
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..count {
        let mut client = TcpStream::connect(proxy.address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        clients.push(client);
    }
    for client in clients {
        let mut client = Client { stream: client, seen: Vec::new(), end: None };
        client.stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(client.response().status, 504);
    }
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.ended().code(), Some(0));
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_path(&log).unwrap().records().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), count);
    let took = rows.iter().map(|row| row[2].parse::<f64>().unwrap()); // latency_ms
    let worst = took.fold(0.0, f64::max) / 1e3;
    let late = Duration::from_secs_f64((worst - timeout.as_secs_f64()).max(0.0));
    println!("{count} time-outs: the latest {late:?} late");
    late
}

/// Accepts and keeps, and says nothing.
struct Mute {
    address: SocketAddr,
}

impl Mute {
    fn start() -> Mute {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                kept.push(stream);
            }
        });
        Mute { address }
    }
}

#[test]
fn an_idle_proxy_sleeps() {
    let origins = [1, 2, 3].map(|_| Mortal::start(echo(Duration::ZERO)));
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.csv");
    let mut words = vec!["--log", log.to_str().unwrap(), "--admin", "127.0.0.1:0"];
    let backends = origins.each_ref().map(|origin| origin.address.to_string());
    backends.iter().for_each(|backend| words.extend(["--backend", backend]));
    let proxy = Process::start(&words);
    let mut clients: Vec<Client> = (0..100).map(|_| Client::connect(proxy.address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    wait_for("the last rows and figures to be out", || {
        let sleeps = || proxy.sleeps_of_the_loop() + proxy.sleeps_of("admin");
        let before = sleeps();
        std::thread::sleep(Duration::from_millis(600));
        sleeps() == before
    });
    // A signal or a pause of the machine may wake it once; one that does not sleep is woken in any two seconds.
    wait_for("two seconds of sleep, of the admin address too as long as nobody looks", || {
        let page = proxy.sleeps_of("admin");
        let (sleeps, cpu) = (proxy.sleeps_of_the_loop(), proxy.cpu());
        std::thread::sleep(Duration::from_secs(2)); // what it does meanwhile is what is looked at
        let (woken, used) = (proxy.sleeps_of_the_loop() - sleeps, proxy.cpu() - cpu);
        let looked = proxy.sleeps_of("admin") - page;
        println!(
            "idle with 100 clients for 2 s: woken {woken} times, its page {looked} times, {used:?} of CPU"
        );
        woken <= 2 && looked <= 2 && used <= Duration::from_millis(20)
    });
}

#[test]
fn clients_that_have_left_wake_nobody() {
    let origin = Mortal::start(echo(Duration::ZERO));
    let backend = origin.address.to_string();
    let words = ["--backend", &backend, "--log", "none", "--admin", "none", "--client-idle-timeout", "2s"];
    let proxy = Process::start(&words);
    // So far apart that the time-out of each would wake it once.
    for _ in 0..100 {
        assert_eq!(Client::connect(proxy.address).get("/").status, 200);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(600)); // its figures are out by then
    let sleeps = proxy.sleeps_of_the_loop();
    std::thread::sleep(Duration::from_millis(2500)); // their time-outs would have come in this time
    let woken = proxy.sleeps_of_the_loop() - sleeps;
    assert!(woken <= 20, "{woken}");
}

#[test]
fn many_idle_clients_disturb_nobody() {
    idle_clients(500);
}

#[test]
#[ignore = "ten thousand sockets; the figures want the machine for itself"]
fn ten_thousand_idle_clients_cost_at_most_300_bytes_each() {
    let bytes = idle_clients(10_000);
    assert!(bytes <= 300, "{bytes} bytes each");
}

/// User memory of each idle client, in bytes.
fn idle_clients(count: usize) -> u64 {
    raise_own_limit();
    let origin = Mortal::start(echo(Duration::ZERO));
    let backend = origin.address.to_string();
    let proxy = Process::start(&["--backend", &backend, "--log", "none", "--admin", "none"]);
    let load = Load::start(proxy.address, 4, &["GET"], Duration::from_millis(1));
    load.more(500);
    let before = cost_of_requests(&proxy, &load);
    let resident = proxy.resident_kib();
    let mut idle = Vec::new();
    while idle.len() < count {
        let mut client = Client::connect(proxy.address);
        if idle.len().is_multiple_of(2) {
            assert_eq!(client.get("/").status, 200); // half have asked something, half have not
        }
        client.seen = Vec::new();
        idle.push(client);
    }
    let after = cost_of_requests(&proxy, &load);
    let told = load.stop();
    assert!(told.iter().all(|one| one.status == 200), "{:?}", statuses(&told));
    let bytes = (proxy.resident_kib().saturating_sub(resident) * 1024) / count as u64;
    println!(
        "{count} idle clients: {bytes} bytes each; 1000 requests of others {before:?} of CPU before, {after:?} with them"
    );
    assert!(after < before * 4 + Duration::from_millis(100), "{before:?} {after:?}");
    bytes
}

/// CPU time that the next thousand requests cost the proxy: others that share the machine take none of it.
fn cost_of_requests(proxy: &Process, load: &Load) -> Duration {
    let (cpu, answered) = (proxy.cpu(), load.count());
    load.more(1000);
    (proxy.cpu() - cpu).mul_f64(1000.0 / (load.count() - answered) as f64)
}
