//! Backends that are down, mute, wrong, failing or slow.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tidegate::balance::Routing;
use tidegate::config::ProxyConfig;

use crate::load::{Load, Told, quantile, statuses};
use crate::mortal::{Mortal, echo};
use crate::support::pace::undisturbed;
use crate::support::{DEADLINE, Origin, OriginConn, ProxyUnderTest, message, wait_for};

const SAFE: &[&str] = &["GET"];
const ALL: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"];
const MIXED: &[&str] = &["GET", "POST"];

/// As users run it: the default routing, failing backends put out.
pub fn usual(config: &mut ProxyConfig) {
    config.routing = Routing::Elastic;
    config.ejection = true;
}

fn quick() -> Mortal {
    Mortal::start(echo(Duration::from_millis(1)))
}

#[test]
fn a_backend_that_refuses_connections_is_never_seen_and_found_again_within_three_seconds() {
    found_again(ALL);
}

#[test]
fn one_that_is_asked_nothing_idempotent_is_found_again_too() {
    found_again(&["POST"]);
}

/// One of three refuses and then comes up, asked by these methods.
fn found_again(methods: &'static [&'static str]) {
    undisturbed(Duration::from_millis(500), || {
        let mut down = Mortal::unborn(echo(Duration::from_millis(1)));
        let up = [quick(), quick()];
        let proxy = ProxyUnderTest::start(&[down.address, up[0].address, up[1].address], usual);
        let load = Load::start(proxy.address, 7, methods, Duration::from_millis(2));
        load.more(1000);
        down.restart();
        let returned = Instant::now();
        wait_for("the backend to be found again", || down.count() > 0);
        let found = returned.elapsed();
        let told = load.stop();
        println!("found again after {found:?}, told {:?}", statuses(&told));
        assert!(found < Duration::from_secs(3), "{found:?}"); // it may have been put out for up to ten
        assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200], "{:?}", statuses(&told));
    });
}

#[test]
fn killed_under_load_and_restarted_no_get_fails_and_no_post_is_sent_twice() {
    let mut origins = [quick(), quick(), quick()];
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let proxy = ProxyUnderTest::start(&addresses, usual);
    let load = Load::start(proxy.address, 8, MIXED, Duration::ZERO);
    for round in 0..4 {
        load.more(300);
        origins[round % 2].kill();
        load.more(300);
        let before = origins[round % 2].count();
        origins[round % 2].restart();
        wait_for("the backend to be found again", || origins[round % 2].count() > before);
    }
    let told = load.stop();
    for one in &told {
        let fair = if one.method == "GET" { one.status == 200 } else { matches!(one.status, 200 | 502) };
        assert!(fair, "{} {} was told {}: {:?}", one.method, one.id, one.status, statuses(&told));
    }
    let mut posts: Vec<String> =
        origins.iter().flat_map(Mortal::lines).filter(|line| line.starts_with("POST")).collect();
    let all = posts.len();
    posts.sort();
    posts.dedup();
    println!("killed four times: told {:?}, {all} POSTs sent", statuses(&told));
    assert_eq!(posts.len(), all, "a POST was sent twice");
}

#[test]
fn a_backend_that_accepts_and_never_answers_catches_few_and_holds_up_nobody_else() {
    let timeout = Duration::from_millis(500);
    // As long as the others answer in time: a pause of the machine is a time-out for all of them.
    undisturbed(timeout / 4, || {
        let mute = TcpListener::bind("127.0.0.1:0").unwrap(); // the kernel accepts, nobody else does
        let up = [quick(), quick()];
        let addresses = [mute.local_addr().unwrap(), up[0].address, up[1].address];
        let proxy = ProxyUnderTest::start(&addresses, |config| {
            usual(config);
            config.timeouts.upstream = timeout;
        });
        let load = Load::start(proxy.address, 16, SAFE, Duration::from_millis(1));
        load.more(3000);
        let told = load.stop();
        let (caught, others): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|one| one.status == 504);
        assert_eq!(statuses(&others).keys().copied().collect::<Vec<_>>(), [200]);
        assert!((1..=24).contains(&caught.len()), "{} caught", caught.len());
        assert!(caught.iter().all(|one| one.took >= timeout), "{caught:?}");
        let p95 = quantile(&others, 0.95);
        println!("{} caught, p95 of {} others {p95:?}", caught.len(), others.len());
        assert!(p95 < timeout / 2, "{p95:?}"); // who waits behind one that is caught has waited for the time-out
    });
}

#[test]
fn a_backend_that_drops_connection_requests_costs_a_time_out_and_no_error() {
    let deaf = Deaf::new();
    let up = [quick(), quick()];
    let proxy = ProxyUnderTest::start(&[deaf.address, up[0].address, up[1].address], |config| {
        usual(config);
        config.timeouts.connect = Duration::from_millis(200);
    });
    let load = Load::start(proxy.address, 7, ALL, Duration::from_millis(1));
    load.more(1500);
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200], "{:?}", statuses(&told));
    let slow = told.iter().filter(|one| one.took >= Duration::from_millis(200)).count();
    println!("{slow} of {} waited for a connect time-out", told.len());
    assert!(slow >= 1, "it was never tried");
    assert!(slow < told.len() / 10, "{slow} of {} waited", told.len());
}

/// A listener with a full backlog: the kernel drops every further SYN.
pub struct Deaf {
    pub address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl Deaf {
    pub fn new() -> Deaf {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let queued = (0..4)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).unwrap();
                let _ = socket.connect(&address.into()); // in progress, for ever from the second on
                socket
            })
            .collect();
        let full = TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_err();
        assert!(full, "the backlog has room");
        Deaf { address, _listener: listener, _queued: queued }
    }
}

const MALFORMED: &[(&str, &[u8])] = &[
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("a NUL", b"HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n"),
    ("no status", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
    ("HTTP/0.9", b"<html>hello</html>\r\n\r\n"),
    ("HTTP/2", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a bare LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("a length that is none", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    ("an unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gnuzip, chunkd\r\n\r\n"),
    ("a bad first chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n"),
    ("a chunk line of nothing", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n"),
    ("noise", b"\x00\x01\x02\xff\xfe\r\n\r\n"),
    ("a close before anything", b""),
    ("a cut head", b"HTTP/1.1 200 OK\r\nContent-Le"),
];

#[test]
fn malformed_answers_become_502_their_connection_is_closed_and_the_backend_is_charged() {
    for (name, bytes) in MALFORMED {
        let closed = Arc::new(AtomicUsize::new(0));
        let count = closed.clone();
        let bad = Origin::start(move |conn: &mut OriginConn| {
            if conn.request().is_some() {
                conn.write(bytes);
                if bytes.len() < 30 {
                    conn.finish();
                }
                if conn.is_closed() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let good = Origin::echo_path();
        let proxy = ProxyUnderTest::start(&[bad.address, good.address], |config| {
            config.ejection = true; // round robin: the bad one has every other request until it is out
            config.ejector.time = Duration::from_secs(600);
            config.ejector.time_max = config.ejector.time;
        });
        let mut client = None;
        let mut bad_answers = 0;
        for id in 0..40 {
            let told = crate::load::ask(&mut client, proxy.address, "POST", id);
            match told.status {
                200 => assert_eq!(told.body, format!("/{id}").into_bytes(), "{name}"),
                502 => bad_answers += 1,
                other => panic!("{name}: {other}"),
            }
        }
        assert_eq!(bad_answers, 5, "{name}: out after five in a row");
        wait_for("the connections to be closed", || closed.load(Ordering::SeqCst) == bad.connections());
    }
}

#[test]
fn a_backend_that_fails_fast_gains_nothing_by_it() {
    let share = share_of_failing(|_| true);
    println!("failing always: share {share:.3}");
    assert!(share < 0.1, "{share}");
}

#[test]
fn a_backend_that_fails_thirty_percent_gains_nothing_by_it() {
    let share = share_of_failing(|count| count % 10 < 3);
    println!("failing at 30 %: share {share:.3}");
    assert!(share < 0.34, "{share}");
}

/// Share of the requests that a backend gets which answers 500 at once when `fails` says so; its peers take 3 ms.
fn share_of_failing(fails: impl Fn(usize) -> bool + Send + Sync + 'static) -> f64 {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let failing = Mortal::start(move |conn| {
        while conn.request().is_some() {
            if fails(count.fetch_add(1, Ordering::SeqCst)) {
                conn.write("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
            } else {
                std::thread::sleep(Duration::from_millis(3));
                conn.answer("fine");
            }
        }
    });
    let well = [3, 3].map(|pause| Mortal::start(echo(Duration::from_millis(pause))));
    let proxy = ProxyUnderTest::start(&[failing.address, well[0].address, well[1].address], usual);
    let load = Load::start(proxy.address, 12, SAFE, Duration::ZERO);
    load.more(3000);
    let told = load.stop();
    assert!(told.iter().all(|one| matches!(one.status, 200 | 500)), "{:?}", statuses(&told));
    asked.load(Ordering::SeqCst) as f64 / told.len() as f64
}

#[test]
fn when_all_backends_fail_all_are_used_and_their_answers_seen() {
    let origins: Vec<Origin> = (0..3)
        .map(|_| {
            Origin::start(|conn| {
                while conn.request().is_some() {
                    conn.write("HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\nmine");
                }
            })
        })
        .collect();
    let addresses: Vec<SocketAddr> = origins.iter().map(|origin| origin.address).collect();
    let proxy = ProxyUnderTest::start(&addresses, usual);
    let mut client = proxy.client();
    for _ in 0..200 {
        let answer: message::Response = client.get("/");
        assert_eq!((answer.status, answer.body.as_slice()), (500, &b"mine"[..]));
    }
    for origin in &origins {
        assert!(origin.seen().len() > 20, "{}", origin.seen().len());
    }
}

#[test]
fn each_failed_attempt_counts_as_one_error_those_on_trial_too() {
    let failing = Origin::start(|conn| {
        while conn.request().is_some() {
            conn.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let well = Mortal::start(echo(Duration::ZERO));
    let proxy = ProxyUnderTest::start(&[failing.address, well.address], |config| {
        config.ejection = true;
        config.ejector.time = Duration::from_millis(20);
        config.ejector.time_max = Duration::from_millis(20);
    });
    let mut client = proxy.client();
    wait_for("three trials after the five failures", || {
        client.get("/");
        failing.seen().len() >= 8
    });
    let figures = proxy.stop().0;
    assert_eq!(figures.backends[0].errors, failing.seen().len() as u64);
}

#[test]
fn a_slowed_backend_is_left_within_a_second_and_found_again() {
    let pause = Arc::new(AtomicU64::new(3));
    let waits = pause.clone();
    let changing = Mortal::start(move |conn| {
        while conn.request().is_some() {
            std::thread::sleep(Duration::from_millis(waits.load(Ordering::SeqCst)));
            conn.answer("x");
        }
    });
    let steady = [3, 3].map(|pause| Mortal::start(echo(Duration::from_millis(pause))));
    let proxy = ProxyUnderTest::start(&[changing.address, steady[0].address, steady[1].address], usual);
    let load = Load::start(proxy.address, 12, SAFE, Duration::ZERO);
    let share_of_the_next = |count: usize| {
        let (before, answered) = (changing.count(), load.count());
        load.more(count);
        (changing.count() - before) as f64 / (load.count() - answered) as f64
    };
    wait_for("an even share", || share_of_the_next(300) > 0.2);
    pause.store(30, Ordering::SeqCst);
    let slowed = Instant::now();
    let answered = load.count();
    wait_for("its share to fall", || share_of_the_next(200) < 0.1);
    let (left, meanwhile) = (slowed.elapsed(), load.count() - answered);
    pause.store(3, Ordering::SeqCst);
    let recovered = Instant::now();
    while share_of_the_next(300) < 0.2 {
        assert!(recovered.elapsed() < 4 * DEADLINE, "its share does not come back");
    }
    println!("left after {left:?} and {meanwhile} requests, back after {:?}", recovered.elapsed());
    // Twelve clients of 3 ms each: what two seconds bring at most, a second and the last 200 requests looked at.
    assert!(meanwhile < 8000, "{meanwhile} requests in {left:?}");
    let told = load.stop();
    assert_eq!(statuses(&told).keys().copied().collect::<Vec<_>>(), [200]);
}
