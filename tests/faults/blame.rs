//! Whom a failure is charged to: the backend, or the request that no backend takes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::backends::usual;
use crate::support::{Client, Origin, OriginConn, ProxyUnderTest, wait_for};

/// A client with an address of its own: all of 127/8 is here.
fn client_of(last: u8, proxy: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
    socket.bind(&own.into()).unwrap();
    socket.connect(&proxy.into()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    Client { stream: socket.into(), seen: Vec::new(), end: None }
}

fn status(client: &mut Client, method: &str, path: &str, cookie: usize) -> u16 {
    let cookie = "c".repeat(cookie);
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\nCookie: {cookie}\r\n\r\n")).response().status
}

/// Answers all but what `refuses` says of its head; on that it closes without a word.
fn closing_on(refuses: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Origin {
    Origin::start(move |conn: &mut OriginConn| {
        while let Some(request) = conn.request() {
            if refuses(&request) {
                return;
            }
            conn.answer("fine");
        }
    })
}

/// Asks until each of these was fine at least once in two looks of the proxy.
fn warm(proxy: &ProxyUnderTest, origins: &[&Origin]) {
    let mut client = client_of(9, proxy.address);
    let begun = Instant::now();
    wait_for("some good answers", || {
        assert_eq!(status(&mut client, "GET", "/warm", 10), 200);
        begun.elapsed() > Duration::from_millis(250) && origins.iter().all(|origin| origin.seen().len() > 3)
    });
}

#[test]
fn a_head_that_no_backend_takes_puts_none_out() {
    for is_warm in [false, true] {
        let origins = [4096, 4096].map(|max| closing_on(move |request| request.len() > max));
        let proxy = ProxyUnderTest::start(&origins.each_ref().map(|origin| origin.address), |config| {
            usual(config);
            config.retry_budget.percent = 100; // each is sent to both
        });
        if is_warm {
            warm(&proxy, &[&origins[0], &origins[1]]);
        }
        let mut failed = 0;
        for _ in 0..30 {
            assert_eq!(status(&mut client_of(2, proxy.address), "GET", "/large", 4500), 502);
            failed += u32::from(status(&mut client_of(3, proxy.address), "POST", "/small", 10) != 200);
        }
        let (figures, _) = proxy.stop();
        println!("warm {is_warm}: {} ejections, {failed} others failed", figures.counters.ejections);
        assert_eq!((figures.counters.ejections, failed), (0, 0));
        assert!(figures.backends.iter().all(|backend| backend.live.failure_rate == 0.0), "taken back");
        assert!(figures.backends.iter().all(|backend| backend.errors == 30), "and yet shown");
    }
}

#[test]
fn a_method_that_one_backend_refuses_by_closing_costs_it_no_other_traffic() {
    let refusing = closing_on(|request| request.starts_with(b"PROPFIND"));
    let willing = closing_on(|_| false);
    let proxy = ProxyUnderTest::start(&[refusing.address, willing.address], |config| config.ejection = true);
    warm(&proxy, &[&refusing, &willing]);
    let mut refused = 0;
    for place in 0..40 {
        // From everywhere and to everywhere: nothing but the method is the same.
        let path = format!("/{place}");
        let told = status(&mut client_of(20 + place, proxy.address), "PROPFIND", &path, 10);
        refused += u32::from(told == 502);
    }
    let before = refusing.seen().len();
    for _ in 0..40 {
        assert_eq!(status(&mut client_of(2, proxy.address), "GET", "/", 10), 200);
    }
    let share = refusing.seen().len() - before;
    let (figures, _) = proxy.stop();
    println!("{refused} refused, {} ejections, {share} of 40 there after", figures.counters.ejections);
    assert_eq!((figures.counters.ejections, refused, share), (0, 20, 20));
    assert!(figures.backends[0].live.failure_rate > 0.5 || share > 0, "held failures count in the rate");
}

#[test]
fn one_client_with_one_path_has_a_backend_put_out_that_stops_working() {
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = broken.clone();
    let stopping = closing_on(move |_| is_broken.load(Ordering::SeqCst));
    let well = closing_on(|_| false);
    let proxy = ProxyUnderTest::start(&[stopping.address, well.address], |config| {
        config.ejection = true;
        config.ejector.time = Duration::from_secs(600);
        config.ejector.time_max = config.ejector.time;
    });
    let mut client = client_of(2, proxy.address);
    let begun = Instant::now();
    wait_for("some good answers", || {
        assert_eq!(status(&mut client, "POST", "/", 10), 200);
        begun.elapsed() > Duration::from_millis(250)
    });
    broken.store(true, Ordering::SeqCst);
    let failed = (0..40).filter(|_| status(&mut client, "POST", "/", 10) != 200).count();
    let (figures, _) = proxy.stop();
    assert_eq!((failed, figures.counters.ejections), (5, 1));
}

#[test]
fn backends_that_close_where_another_answers_are_put_out() {
    let origins = [closing_on(|_| true), closing_on(|_| true), closing_on(|_| false)];
    let proxy = ProxyUnderTest::start(&origins.each_ref().map(|origin| origin.address), |config| {
        config.ejection = true;
        config.ejector.time = Duration::from_secs(600);
        config.ejector.time_max = config.ejector.time;
        config.ejector.share_max = 100;
    });
    let mut client = client_of(2, proxy.address);
    for _ in 0..30 {
        assert_eq!(status(&mut client, "GET", "/", 10), 200);
    }
    let (figures, _) = proxy.stop();
    assert_eq!(figures.counters.ejections, 2);
    assert_eq!([0, 1].map(|broken| figures.backends[broken].errors), [5, 5]);
}
