//! What a network does to a backend, as far as it can be had without one: hosts that are gone without a word.

use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tidegate::config::HealthCheck;

use crate::load::ask;
use crate::support::port::Reserved;
use crate::support::{Client, Gate, Origin, OriginConn, ProxyUnderTest, wait_for};

/// A host that may be gone: what was connected to it stays so and is told nothing any more, nobody else can connect.
struct Host {
    origin: Origin,
    listener: TcpListener,
    gone: Arc<AtomicBool>,
    /// Connections the proxy has given up since it is gone.
    given_up: Arc<AtomicUsize>,
}

impl Host {
    /// Answers `/held` requests when the gate opens, so that they need a connection each.
    fn start(gate: &Arc<Gate>) -> Host {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (gone, given_up) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (is_gone, count, gate) = (gone.clone(), given_up.clone(), gate.clone());
        let origin = Origin::on(listener.try_clone().unwrap(), move |conn| {
            while let Some(request) = conn.request() {
                if is_gone.load(Ordering::SeqCst) {
                    assert!(conn.is_closed(), "the proxy waits for ever");
                    break;
                }
                if request.starts_with(b"GET /held") {
                    gate.wait();
                }
                conn.answer("here");
            }
            count.fetch_add(usize::from(is_gone.load(Ordering::SeqCst)), Ordering::SeqCst);
        });
        Host { origin, listener, gone, given_up }
    }

    fn vanish(&self) {
        self.gone.store(true, Ordering::SeqCst);
        SockRef::from(&self.listener).shutdown(Shutdown::Both).unwrap();
    }
}

/// Has the pool of each of `hosts` hold `count` connections.
fn fill_pools(proxy: &ProxyUnderTest, hosts: [&Host; 2], count: usize, gate: &Gate) {
    let mut clients: Vec<Client> = (0..2 * count).map(|_| proxy.client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(format!("GET /held/{index} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    wait_for("all to be held", || hosts.iter().all(|host| host.origin.seen().len() == count));
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
}

#[test]
fn after_a_host_has_gone_without_a_word_its_trials_cost_no_client_an_answer() {
    let gate = Arc::new(Gate::default());
    let hosts = [Host::start(&gate), Host::start(&gate)];
    let proxy = ProxyUnderTest::start(&hosts.each_ref().map(|host| host.origin.address), |config| {
        config.ejection = true;
        config.ejector.time = Duration::from_millis(50);
        config.timeouts.upstream = Duration::from_millis(400); // the other one may be slow on a busy machine
        config.admin = Some("127.0.0.1:0".parse().unwrap());
    });
    fill_pools(&proxy, [&hosts[0], &hosts[1]], 12, &gate);
    hosts[0].vanish();
    let mut client = None;
    let told: Vec<u16> = (0..60)
        .map(|id| {
            std::thread::sleep(Duration::from_millis(5));
            ask(&mut client, proxy.address, "GET", id).status
        })
        .collect();
    // Of the five that put it out, at least one by a time-out on a connection that looked well. While that waited, the
    // idle ones were closed in case they were in its way, so the others dialled, in vain, and were answered elsewhere; so
    // were the trials.
    let caught = told.iter().filter(|status| **status == 504).count();
    assert!(told.iter().all(|status| matches!(status, 200 | 504)) && (1..=5).contains(&caught), "{told:?}");
    wait_for("its pool to be emptied", || hosts[0].given_up.load(Ordering::SeqCst) == 12);
    let events = proxy.board().events_after(0);
    let told = |why: &str| events.iter().any(|event| event.text.starts_with(why));
    assert!(told("5 failures in a row ("), "{events:?}");
    assert!(told("trial request failed (connect_failed: connection refused); out for "), "{events:?}");
}

#[test]
fn a_backend_that_fails_its_checks_loses_the_connections_nobody_uses() {
    let gate = Arc::new(Gate::default());
    let hosts = [Host::start(&gate), Host::start(&gate)];
    let proxy = ProxyUnderTest::start(&hosts.each_ref().map(|host| host.origin.address), |config| {
        config.health = Some(HealthCheck {
            path: "/".to_owned(),
            interval: Duration::from_millis(50),
            timeout: Duration::from_millis(500),
            fall: 2,
            rise: 1,
            ..Default::default()
        });
    });
    gate.open();
    let mut client = proxy.client();
    (0..2).for_each(|_| assert_eq!(client.get("/").status, 200));
    hosts[0].vanish();
    wait_for("its connection to be closed", || hosts[0].given_up.load(Ordering::SeqCst) >= 1);
    (0..10).for_each(|_| assert_eq!(client.get("/").status, 200));
}

#[test]
fn when_all_are_out_a_connect_that_fails_is_still_tried_elsewhere() {
    let is_well = Arc::new(AtomicBool::new(false));
    let recovered = is_well.clone();
    let failing = Origin::start(move |conn| {
        while conn.request().is_some() {
            match recovered.load(Ordering::SeqCst) {
                true => conn.answer("well"),
                false => conn.write("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"),
            };
        }
    });
    // Out for as long as the test takes: the one for its answers, the others because nobody listens there.
    let reserved = [Reserved::new(), Reserved::new()];
    let down = reserved.each_ref().map(|one| one.address);
    let proxy = ProxyUnderTest::start(&[down[0], failing.address, down[1]], |config| {
        config.ejection = true;
        config.ejector.time = Duration::from_secs(60);
        config.ejector.time_max = Duration::from_secs(60);
    });
    let mut client = proxy.client();
    for _ in 0..30 {
        assert_eq!(client.get("/").status, 500);
    }
    is_well.store(true, Ordering::SeqCst);
    for id in 0..30 {
        assert_eq!(client.get("/").status, 200, "{id}");
    }
}

#[test]
fn an_upload_is_not_what_tries_a_backend_that_was_out() {
    let is_well = Arc::new(AtomicBool::new(false));
    let recovered = is_well.clone();
    let script = move |conn: &mut OriginConn| {
        while let Some(head) = conn.head() {
            if head.starts_with(b"GET") && !recovered.load(Ordering::SeqCst) {
                conn.write("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            conn.body(&head);
            conn.answer("well");
        }
    };
    let [failing, other] = [Origin::start(script), Origin::echo_path()];
    let proxy = ProxyUnderTest::start(&[failing.address, other.address], |config| {
        config.ejection = true;
        config.ejector.time = Duration::from_millis(20);
    });
    let mut client = proxy.client();
    wait_for("it to be out", || failing.lines().len() == 5 || client.get("/").status == 0);
    let out = Instant::now();
    is_well.store(true, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(50)); // its time out
    let mut uploading: Vec<Client> = (0..4).map(|_| proxy.client()).collect();
    for client in &mut uploading {
        client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf-");
    }
    std::thread::sleep(Duration::from_millis(100)); // for them to go where they go
    while failing.lines().len() == 5 && out.elapsed() < Duration::from_millis(800) {
        assert_eq!(client.get("/").status, 200);
    }
    // After a second anybody may try it; a machine as busy as that shows nothing.
    let tried = failing.lines().get(5).cloned();
    assert!(
        tried == Some("GET / HTTP/1.1".to_owned()) || out.elapsed() > Duration::from_millis(800),
        "{tried:?}"
    );
}
