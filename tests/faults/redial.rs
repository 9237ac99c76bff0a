//! When nobody can be connected to for a moment: a backend that restarts, or one that is slow to accept.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tidegate::config::ProxyConfig;

use crate::backends::usual;
use crate::load::{ask, statuses};
use crate::mortal::{Mortal, echo};
use crate::support::origin::OriginConn;
use crate::support::pace::undisturbed;
use crate::support::port::Reserved;
use crate::support::{ProxyUnderTest, wait_for};

const MIXED: [&str; 4] = ["GET", "POST", "PUT", "PATCH"];

/// A server with room for hardly anybody in front of its accept, which comes every `pause`. It closes after each answer.
fn slow_to_accept(backlog: i32, pause: Duration) -> SocketAddr {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(backlog).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let mut conn = OriginConn::new(stream.into(), 0, Default::default());
                if conn.request().is_some() {
                    conn.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
                }
            });
            std::thread::sleep(pause);
        }
    });
    address
}

/// So many clients at once, each with so many requests one after the other; the statuses they were told.
fn crowd(address: SocketAddr, clients: usize, each: usize) -> Vec<JoinHandle<Vec<crate::load::Told>>> {
    (0..clients)
        .map(|place| {
            std::thread::spawn(move || {
                let mut client = None;
                let method = MIXED[place % MIXED.len()];
                (0..each).map(|id| ask(&mut client, address, method, place * each + id)).collect()
            })
        })
        .collect()
}

fn told(crowd: Vec<JoinHandle<Vec<crate::load::Told>>>) -> Vec<crate::load::Told> {
    crowd.into_iter().flat_map(|one| one.join().unwrap()).collect()
}

#[test]
fn a_hundred_clients_before_a_short_accept_queue_are_all_answered() {
    for (backlog, pause) in [(1, 8), (5, 5), (1, 2)] {
        undisturbed(Duration::from_millis(500), || {
            let origin = slow_to_accept(backlog, Duration::from_millis(pause));
            let proxy = ProxyUnderTest::start(&[origin], usual);
            let begun = Instant::now();
            let told = told(crowd(proxy.address, 100, 3));
            let longest = told.iter().map(|one| one.took).max().unwrap();
            println!(
                "backlog {backlog}, an accept every {pause} ms: {:?} in {:?}, the longest {longest:?}",
                statuses(&told),
                begun.elapsed()
            );
            assert_eq!(statuses(&told), [(200, 300)].into());
        });
    }
}

#[test]
fn a_backend_whose_accept_queue_stays_full_is_a_504_when_the_queue_time_is_over() {
    let deaf = crate::backends::Deaf::new();
    let proxy = ProxyUnderTest::logged(&[deaf.address], |config| {
        usual(config);
        config.timeouts.connect = Duration::from_millis(200);
        config.queue.timeout = Duration::from_millis(500);
    });
    let one = ask(&mut None, proxy.address, "POST", 1);
    assert_eq!(one.status, 504);
    assert!(one.took >= Duration::from_millis(500), "{:?}", one.took);
    let (figures, rows) = proxy.stop();
    assert_eq!(rows[0].get("reason"), "connect_timeout");
    assert_eq!(figures.backends[0].errors, 1, "one request, one error");
}

/// Clients that ask while nobody listens, for `gap` at least, and then somebody does.
fn through_a_gap(
    gap: Duration,
    origins: usize,
    change: fn(&mut ProxyConfig),
) -> (Vec<crate::load::Told>, ProxyUnderTest) {
    let mut down = Mortal::unborn(echo(Duration::from_millis(1)));
    let others: Vec<Reserved> = (1..origins).map(|_| Reserved::new()).collect();
    let mut backends: Vec<SocketAddr> = others.iter().map(|other| other.address).collect();
    backends.push(down.address);
    let proxy = ProxyUnderTest::logged(&backends, |config| {
        usual(config);
        change(config);
    });
    let crowd = crowd(proxy.address, 100, 1);
    std::thread::sleep(gap);
    down.restart();
    let told = told(crowd);
    (told, proxy)
}

#[test]
fn a_restart_of_the_only_backend_is_seen_by_nobody() {
    undisturbed(Duration::from_millis(500), || {
        let (told, proxy) = through_a_gap(Duration::from_millis(200), 1, |_| {});
        let mut took: Vec<Duration> = told.iter().map(|one| one.took).collect();
        took.sort();
        println!("told {:?}, the longest after {:?}", statuses(&told), took[99]);
        assert_eq!(statuses(&told), [(200, 100)].into());
        let (figures, rows) = proxy.stop();
        let errors = figures.backends[0].errors;
        println!("{errors} errors, {} dials", figures.counters.dispatched);
        assert!((1..=100).contains(&errors), "each request adds one at most: {errors}");
        assert_eq!(figures.counters.ejections, 1);
        assert!(rows.iter().all(|row| row.get("reason") == "ok"));
    });
}

#[test]
fn when_all_backends_are_gone_the_first_to_return_has_them_all() {
    undisturbed(Duration::from_millis(500), || {
        let (told, proxy) = through_a_gap(Duration::from_millis(200), 4, |_| {});
        assert_eq!(statuses(&told), [(200, 100)].into());
        let (figures, _) = proxy.stop();
        assert!(figures.backends.iter().all(|backend| backend.errors <= 100), "{:?}", figures.backends);
    });
}

#[test]
fn a_restart_under_keep_alive_is_seen_by_nobody_but_those_whose_post_was_on_its_way() {
    let mut origin = Mortal::start(echo(Duration::from_millis(1)));
    let proxy = ProxyUnderTest::start(&[origin.address], usual);
    let load = crate::load::Load::start(proxy.address, 8, &["GET"], Duration::from_millis(1));
    for _ in 0..3 {
        load.more(200);
        origin.kill();
        std::thread::sleep(Duration::from_millis(200));
        origin.restart();
    }
    load.more(200);
    let told = load.stop();
    // A fresh connection may be cut in the midst of its first answer: those are no gap.
    let failed = told.iter().filter(|one| one.status != 200).count();
    println!("three restarts: {:?}", statuses(&told));
    assert!(failed <= 3 * 8, "{failed}");
}

#[test]
fn when_it_does_not_return_the_answer_is_a_502_at_the_connect_time_out() {
    let nobody = Reserved::new();
    let proxy = ProxyUnderTest::logged(&[nobody.address], |config| {
        usual(config);
        config.timeouts.connect = Duration::from_millis(300);
    });
    let one = ask(&mut None, proxy.address, "POST", 1);
    assert_eq!(one.status, 502);
    assert!(one.took >= Duration::from_millis(300), "{:?}", one.took);
    let (figures, rows) = proxy.stop();
    assert_eq!(rows[0].get("reason"), "connect_failed");
    assert_eq!(figures.backends[0].errors, 1, "one request, one error");
    let attempts: u32 = rows[0].get("attempts").parse().unwrap();
    assert!((3..=20).contains(&attempts), "{attempts}");
}

#[test]
fn more_than_may_wait_are_told_at_once_and_so_are_all_without_retries() {
    for (max, retries, waiting) in [(3, 2, 3), (1000, 0, 0)] {
        let nobody = Reserved::new();
        let proxy = ProxyUnderTest::start(&[nobody.address], |config| {
            usual(config);
            config.queue.max = max;
            config.retries = retries;
            config.timeouts.connect = Duration::from_secs(2);
        });
        let told = told(crowd(proxy.address, 12, 1));
        let late = told.iter().filter(|one| one.took >= Duration::from_secs(2)).count();
        assert_eq!(statuses(&told), [(502, 12)].into());
        assert_eq!(late, waiting, "{told:?}");
    }
}

/// How many requests the backend has failed: one that waits is one of them.
fn errors(proxy: &ProxyUnderTest) -> u64 {
    proxy.figures().map_or(0, |figures| figures.backends[0].errors)
}

#[test]
fn a_client_that_leaves_while_it_waits_is_forgotten_and_makes_room() {
    let nobody = Reserved::new();
    let proxy = ProxyUnderTest::logged(&[nobody.address], |config| {
        usual(config);
        config.queue.max = 1;
        config.timeouts.connect = crate::support::DEADLINE;
    });
    for waited in 1..=3 {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
        wait_for("the request to wait", || errors(&proxy) == waited);
        client.reset();
        wait_for("the client to be forgotten", || {
            proxy.figures().is_some_and(|figures| figures.counters.clients_active == 0)
        });
    }
    let (_, rows) = proxy.stop();
    let gone = rows.iter().filter(|row| row.get("reason") == "client_gone").count();
    assert_eq!(gone, 3);
}

#[test]
fn a_stop_cuts_off_those_who_wait() {
    let nobody = Reserved::new();
    let proxy = ProxyUnderTest::logged(&[nobody.address], |config| {
        usual(config);
        config.timeouts.connect = crate::support::DEADLINE;
        config.drain_timeout = Duration::from_millis(50);
    });
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the request to wait", || errors(&proxy) == 1);
    let (_, rows) = proxy.stop();
    let cut = rows.iter().filter(|row| row.get("reason") == "shutdown").count();
    assert_eq!(cut, 1);
}
