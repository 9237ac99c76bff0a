//! Backends that refuse, keep silent or stop in the middle, and clients that vanish.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tidegate::balance::Routing;

use super::support::{End, Gate, Origin, OriginConn, ProxyUnderTest, wait_for};

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_backend_that_refuses_is_a_502_and_a_row() {
    let backend = nobody();
    let proxy = ProxyUnderTest::logged(&[backend], |_| {});
    let mut client = proxy.client();
    assert_eq!(client.get("/a?b").status, 502);
    assert_eq!(client.get("/again").status, 502, "on the same connection");
    drop(client);
    let (figures, rows) = proxy.stop();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get("status_code"), "502");
    assert_eq!(rows[0].get("reason"), "connect_failed");
    assert_eq!(rows[0].get("backend_url"), format!("http://{backend}"));
    assert_eq!((rows[0].get("method"), rows[0].get("path")), ("GET".into(), "/a?b".into()));
    assert_eq!(figures.counters.clients_active, 0);
}

#[test]
fn a_backend_that_keeps_silent_is_a_504_and_a_row() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.is_closed();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_millis(200);
    });
    let mut client = proxy.client();
    let asked = Instant::now();
    assert_eq!(client.get("/").status, 504);
    assert!(asked.elapsed() >= Duration::from_millis(200));
    assert_eq!(client.get("/").status, 504, "on the same connection");
    wait_for("a fresh connection for each", || origin.connections() == 2);
    drop(client);
    let (_, rows) = proxy.stop();
    assert_eq!(rows[0].get("status_code"), "504");
    assert_eq!(rows[0].get("reason"), "upstream_timeout");
}

#[test]
fn a_time_out_is_in_the_figures_though_nobody_says_a_word_after_it() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.is_closed();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_millis(1600); // all figures of its beginning are out by then
    });
    let mut client = proxy.client();
    assert_eq!(client.get("/").status, 504);
    wait_for("the figures to have it", || {
        proxy.figures().is_some_and(|figures| figures.counters.responses[5] == 1)
    });
}

#[test]
fn a_truncated_answer_is_in_the_log_as_one() {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    let (seen, _) = client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").read_to_end();
    assert!(seen.ends_with(b"\r\n\r\nhello"));
    let (_, rows) = proxy.stop();
    assert_eq!(
        (rows[0].get("status_code"), rows[0].get("reason")),
        ("200".into(), "response_truncated".into())
    );
}

#[test]
fn a_cut_answer_does_not_take_along_the_one_before_it() {
    let gate = Arc::new(Gate::default());
    let opened = gate.clone();
    let origin = Origin::start(move |conn| {
        conn.request();
        conn.answer("whole");
        conn.request();
        opened.wait();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("both requests at the origin", || origin.seen().len() == 2);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n"); // unread when the second answer is cut
    gate.open();
    let (seen, end) = client.read_to_end();
    assert!(seen.windows(5).any(|five| five == b"whole") && seen.ends_with(b"\r\n\r\nhello"));
    assert_eq!(end, End::Closed, "a reset could have erased the first");
}

#[test]
fn a_client_that_vanishes_takes_its_upstream_along() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        conn.request();
        tell.lock().unwrap().send(()).unwrap();
        let closed = conn.is_closed();
        assert!(closed);
        tell.lock().unwrap().send(()).unwrap();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    told.recv().unwrap();
    client.reset();
    told.recv_timeout(super::support::DEADLINE).expect("the upstream connection is closed");
    let (_, rows) = proxy.stop();
    assert_eq!((rows[0].get("status_code"), rows[0].get("reason")), ("499".into(), "client_gone".into()));
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_its_body_takes_its_upstream_along() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        conn.head();
        tell.lock().unwrap().send(()).unwrap();
        assert!(conn.is_closed());
        tell.lock().unwrap().send(()).unwrap();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
    told.recv().unwrap();
    client.finish();
    told.recv_timeout(super::support::DEADLINE).expect("the upstream connection is closed");
}

#[test]
fn a_client_that_has_finished_sending_is_still_answered() {
    let gate = Arc::new(Gate::default());
    let opened = gate.clone();
    let origin = Origin::start(move |conn| {
        conn.request();
        opened.wait();
        conn.answer("late");
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").finish();
    wait_for("the request", || origin.seen().len() == 1);
    gate.open();
    assert_eq!(client.response().body, b"late");
}

#[test]
fn interim_answers_have_an_end() {
    let origin = Origin::start(|conn| {
        conn.request();
        while conn.write("HTTP/1.1 102 Processing\r\n\r\n") {}
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut last = 0;
    let interims = (0..100).take_while(|_| {
        last = client.response().status;
        last == 102
    });
    assert_eq!((interims.count(), last), (32, 502));
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.write("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    for _ in 0..10 {
        let mut client = proxy.client();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
        client.send(vec![b'x'; 3_000_000]); // more than the sockets' buffers hold
        let answer = client.response();
        assert_eq!((answer.status, answer.body.as_slice()), (413, &b"no"[..]));
    }
}

/// Two backends: whichever is asked first does this, the other one answers.
fn first_does(script: impl Fn(&mut OriginConn) + Send + Sync + 'static) -> ([Origin; 2], ProxyUnderTest) {
    let first = Arc::new(AtomicBool::new(true));
    let script = Arc::new(script);
    let origin = || {
        let (first, script) = (first.clone(), script.clone());
        Origin::start(move |conn| {
            while conn.request().is_some() {
                if first.swap(false, Ordering::SeqCst) {
                    return script(conn);
                }
                conn.answer("elsewhere");
            }
        })
    };
    let origins = [origin(), origin()];
    let proxy = ProxyUnderTest::logged(&origins.each_ref().map(|origin| origin.address), |config| {
        config.routing = Routing::LeastConnections;
    });
    (origins, proxy)
}

fn requests(origins: &[Origin; 2]) -> usize {
    origins.iter().map(|origin| origin.seen().len()).sum()
}

#[test]
fn a_get_that_got_no_byte_is_tried_elsewhere() {
    let (origins, proxy) = first_does(|_| {});
    assert_eq!(proxy.client().get("/").body, b"elsewhere");
    assert_eq!(requests(&origins), 2);
    assert_eq!(proxy.stop().1[0].get("attempts"), "2");
}

#[test]
fn a_put_with_its_body_that_got_no_byte_is_tried_elsewhere() {
    let (origins, proxy) = first_does(|_| {});
    let mut client = proxy.client();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().body, b"elsewhere");
    let seen: Vec<_> = origins.iter().flat_map(Origin::seen).collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|arrival| arrival.bytes.ends_with(b"\r\n\r\nhello")));
}

#[test]
fn a_post_that_got_no_byte_is_not() {
    let (origins, proxy) = first_does(|_| {});
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.response().status, 502);
    assert_eq!(requests(&origins), 1);
}

#[test]
fn nothing_is_tried_elsewhere_after_a_byte_of_an_answer() {
    for answer in ["HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "HTTP/1.1 103 Early\r\n\r\n"] {
        let (origins, proxy) = first_does(move |conn| {
            conn.write(answer);
        });
        let mut client = proxy.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut status = client.response().status;
        if status == 103 {
            status = client.response().status;
        }
        assert_eq!(status, 502, "after {answer:?}");
        assert_eq!(requests(&origins), 1, "after {answer:?}");
    }
}

#[test]
fn a_backend_that_refuses_sends_even_a_post_elsewhere() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[nobody(), origin.address, nobody()], |config| {
        config.routing = Routing::LeastConnections;
    });
    for _ in 0..6 {
        let mut client = proxy.client();
        let text = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(client.send(text).response().body, b"/a");
    }
    assert_eq!(origin.seen().len(), 6);
    assert!(origin.seen().iter().all(|arrival| arrival.bytes.ends_with(b"\r\n\r\nx")));
}
