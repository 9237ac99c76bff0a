//! Clients that leave, that read nothing, or that send all before they read; and backends that say they are at work.

use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::config::AbortOnClose;

use super::backends::Deaf;
use super::support::port::Reserved;
use super::support::{Client, DEADLINE, Fields, Gate, Origin, ProxyUnderTest, message, wait_for};

const SHORT: Duration = Duration::from_millis(300);
const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

fn sends_an_event_and_falls_silent() -> Origin {
    Origin::start(|conn| {
        while conn.request().is_some() {
            conn.write("HTTP/1.1 200 OK\r\nDate: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n");
            conn.is_closed();
        }
    })
}

fn says_nothing() -> Origin {
    Origin::start(|conn| {
        conn.request();
        conn.is_closed();
    })
}

/// A client that has the first event of a stream.
fn listener(proxy: &ProxyUnderTest) -> Client {
    let mut client = proxy.client();
    client.send(GET);
    assert!(client.read_until(|seen| seen.ends_with(b"event\r\n")));
    client
}

#[test]
fn clients_that_leave_a_silent_stream_are_not_their_backends_fault() {
    let origins = [sends_an_event_and_falls_silent(), sends_an_event_and_falls_silent()];
    let proxy = ProxyUnderTest::logged(&origins.each_ref().map(|origin| origin.address), |config| {
        config.timeouts.response_body = SHORT;
        config.ejection = true;
    });
    let mut clients: Vec<Client> = (0..24).map(|_| listener(&proxy)).collect();
    clients.iter_mut().for_each(|client| {
        client.finish();
    });
    clients.iter_mut().for_each(|client| {
        client.read_to_end();
    });
    let (figures, rows) = proxy.stop();
    assert_eq!((rows.len(), figures.counters.ejections, figures.counters.client_gone), (24, 0, 24));
    for row in rows {
        assert_eq!((row.get("status_code"), row.get("reason")), ("499".into(), "client_gone".into()));
    }
    assert!(figures.backends.iter().all(|backend| backend.errors == 0));
}

#[test]
fn clients_that_leave_a_long_poll_are_not_their_backends_fault() {
    let origins = [says_nothing(), says_nothing()];
    let proxy = ProxyUnderTest::logged(&origins.each_ref().map(|origin| origin.address), |config| {
        config.timeouts.upstream = SHORT;
        config.ejection = true;
    });
    for _ in 0..12 {
        let mut client = proxy.client();
        client.send("POST /poll HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").finish();
        assert_eq!(client.read_to_end().0, b"");
    }
    let (figures, rows) = proxy.stop();
    assert_eq!((rows.len(), figures.counters.ejections), (12, 0));
    for row in rows {
        assert_eq!((row.get("status_code"), row.get("reason")), ("499".into(), "client_gone".into()));
    }
}

#[test]
fn streams_that_fall_silent_together_are_one_failure() {
    let origins = [sends_an_event_and_falls_silent(), sends_an_event_and_falls_silent()];
    let proxy = ProxyUnderTest::logged(&origins.each_ref().map(|origin| origin.address), |config| {
        config.timeouts.response_body = SHORT;
        config.ejection = true;
    });
    let mut clients: Vec<Client> = (0..24).map(|_| listener(&proxy)).collect();
    clients.iter_mut().for_each(|client| {
        client.read_to_end();
    });
    let (figures, rows) = proxy.stop();
    assert_eq!((rows.len(), figures.counters.ejections), (24, 0));
    assert!(rows.iter().all(|row| row.get("reason") == "response_stalled"));
    let errors: Vec<u64> = figures.backends.iter().map(|backend| backend.errors).collect();
    assert!(errors.iter().all(|errors| *errors <= 2), "{errors:?}"); // two, should the machine stand still between
}

/// What becomes of a request whose client closes behind it while no backend can be connected to, and of the backend.
fn closes_while_connecting(to: SocketAddr, abort_on_close: AbortOnClose, ejection: bool) -> (Fields, u64) {
    let proxy = ProxyUnderTest::logged(&[to], |config| {
        config.timeouts.connect = SHORT;
        config.queue.timeout = 2 * SHORT; // so long a dial is made anew, where it is
        config.abort_on_close = abort_on_close;
        config.ejection = ejection;
    });
    let mut client = proxy.client();
    client.send(GET).finish();
    assert_eq!(client.read_to_end().0, b"");
    let (figures, mut rows) = proxy.stop();
    assert_eq!(rows.len(), 1);
    (rows.remove(0), figures.backends[0].errors)
}

#[test]
fn who_has_left_before_a_connect_time_out_is_gone() {
    let deaf = Deaf::new();
    let refuses = Reserved::new();
    for (to, ejection) in [(deaf.address, false), (deaf.address, true), (refuses.address, true)] {
        for abort_on_close in [AbortOnClose::Auto, AbortOnClose::On, AbortOnClose::Off] {
            let (row, errors) = closes_while_connecting(to, abort_on_close, ejection);
            let told = (row.get("status_code"), row.get("reason"));
            assert_eq!(told, ("499".into(), "client_gone".into()), "{abort_on_close:?} {ejection}");
            // A refusal is the backend's own, whoever is there to be told.
            assert!(errors == 0 || to == refuses.address, "{abort_on_close:?} {ejection}");
        }
    }
}

#[test]
fn a_half_close_is_answered_elsewhere_when_a_backend_cannot_be_connected_to() {
    let deaf = Deaf::new();
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[deaf.address, origin.address], |config| {
        config.timeouts.connect = SHORT;
        config.ejection = true;
    });
    for _ in 0..2 {
        let mut client = proxy.client();
        client.send(GET).finish();
        assert_eq!(client.response().status, 200);
    }
}

/// One request is with the backend, eight wait for their turn.
fn a_full_backend(abort_on_close: AbortOnClose) -> (Arc<Gate>, Origin, ProxyUnderTest, Client, Vec<Client>) {
    let gate = Arc::new(Gate::default());
    let origin = Origin::held(&gate);
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.max_connections_per_backend = Some(1);
        config.queue.timeout = Duration::from_secs(600);
        config.timeouts.upstream = Duration::from_secs(600);
        config.abort_on_close = abort_on_close;
    });
    let mut first = proxy.client();
    first.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the first to be with the backend", || origin.lines().len() == 1);
    let waiting = (0..8)
        .map(|_| {
            let mut client = proxy.client();
            client.send("GET /waits HTTP/1.1\r\nHost: h\r\n\r\n").finish();
            client
        })
        .collect();
    (gate, origin, proxy, first, waiting)
}

#[test]
fn who_gives_up_in_the_queue_is_not_sent() {
    for abort_on_close in [AbortOnClose::Auto, AbortOnClose::On] {
        let (gate, origin, proxy, mut first, mut waiting) = a_full_backend(abort_on_close);
        waiting.iter_mut().for_each(|client| assert_eq!(client.read_to_end().0, b""));
        let mut live = proxy.client();
        live.send("GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
        gate.open();
        assert_eq!((first.response().status, live.response().status), (200, 200));
        assert_eq!(origin.lines(), ["GET /first HTTP/1.1", "GET /live HTTP/1.1"]);
        drop((first, live, waiting));
        let rows = proxy.stop().1;
        let gone =
            rows.iter().filter(|row| row.get("reason") == "client_gone" && row.get("status_code") == "499");
        assert_eq!(gone.count(), 8);
    }
}

#[test]
fn where_a_close_says_nothing_the_queue_is_served_whole() {
    let (gate, origin, _proxy, mut first, mut waiting) = a_full_backend(AbortOnClose::Off);
    gate.open();
    assert_eq!(first.response().status, 200);
    waiting.iter_mut().for_each(|client| assert_eq!(client.response().status, 200));
    assert_eq!(origin.lines().len(), 9);
}

#[test]
fn a_half_close_is_answered_unless_every_close_is_a_leaving() {
    for (abort_on_close, pipelined, answers) in [
        (AbortOnClose::Auto, 1, 1),
        (AbortOnClose::Off, 1, 1),
        (AbortOnClose::On, 1, 0),
        (AbortOnClose::Auto, 3, 3),
        (AbortOnClose::Off, 3, 3),
    ] {
        let gate = Arc::new(Gate::default());
        let origin = Origin::held(&gate);
        let proxy =
            ProxyUnderTest::logged(&[origin.address], |config| config.abort_on_close = abort_on_close);
        let mut client = proxy.client();
        client.send(GET.repeat(pipelined)).finish();
        if answers == 0 {
            assert_eq!(client.read_to_end().0, b"");
            gate.open();
            let rows = proxy.stop().1;
            assert_eq!(
                (rows[0].get("status_code"), rows[0].get("reason")),
                ("499".into(), "client_gone".into())
            );
            continue;
        }
        wait_for("the request to be with the backend", || !origin.lines().is_empty());
        gate.open();
        let seen = client.read_to_end().0;
        let count = seen.windows(4).filter(|bytes| bytes == b"late").count();
        assert_eq!(count, answers, "{abort_on_close:?} {pipelined}");
    }
}

/// Where every close is a leaving, requests before it are answered all the same, whatever connection they get; the last,
/// which has nothing but the close behind it, is not.
#[test]
fn what_stands_before_a_close_is_answered_on_any_connection() {
    for is_warm in [false, true] {
        let gate = Arc::new(Gate::default());
        let held = gate.clone();
        let origin = Origin::start(move |conn| {
            while let Some(request) = conn.request() {
                if request.starts_with(b"GET /last") {
                    held.wait();
                }
                conn.answer("late");
            }
        });
        let proxy =
            ProxyUnderTest::logged(&[origin.address], |config| config.abort_on_close = AbortOnClose::On);
        if is_warm {
            proxy.client().get("/");
        }
        let mut client = proxy.client();
        client.send([&GET.repeat(2), "GET /last HTTP/1.1\r\nHost: h\r\n\r\n"].concat()).finish();
        let seen = client.read_to_end().0;
        gate.open();
        assert_eq!(seen.windows(4).filter(|bytes| bytes == b"late").count(), 2, "{is_warm}");
        let rows = proxy.stop().1;
        let last = rows.last().unwrap();
        assert_eq!((last.get("status_code"), last.get("reason")), ("499".into(), "client_gone".into()));
    }
}

/// Sends so many 102s, a pause between them, and then the answer.
fn works(interims: usize, pause: Duration) -> Origin {
    Origin::start(move |conn| {
        while conn.request().is_some() {
            for _ in 0..interims {
                if !conn.write("HTTP/1.1 102 Processing\r\n\r\n") {
                    return;
                }
                std::thread::sleep(pause); // the work itself
            }
            conn.answer("done");
        }
    })
}

#[test]
fn a_backend_that_says_it_works_is_waited_for() {
    let origin = works(20, Duration::from_millis(50));
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_millis(600);
        config.timeouts.interim = Duration::from_secs(60);
    });
    let mut client = proxy.client();
    for version in ["1.1", "1.0"] {
        client.send(format!("GET / HTTP/{version}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"));
        loop {
            let answer = client.response();
            if answer.status != 102 {
                assert_eq!((answer.status, answer.body), (200, b"done".to_vec()), "{version}");
                break;
            }
            assert_eq!(version, "1.1", "an interim answer to HTTP/1.0");
        }
    }
}

#[test]
fn a_backend_that_only_says_so_is_not_waited_for_for_ever() {
    let origin = works(1000, Duration::from_millis(100));
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_millis(600);
        config.timeouts.interim = Duration::from_millis(1500);
    });
    let mut client = proxy.client();
    client.send(GET);
    let began = Instant::now();
    let last = std::iter::repeat_with(|| client.response().status).find(|status| *status != 102);
    assert_eq!(last, Some(504));
    assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
}

#[test]
fn more_interim_answers_than_anybody_needs_are_a_bad_answer() {
    let origin = works(5000, Duration::ZERO);
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send(GET);
    let last = std::iter::repeat_with(|| client.response().status).find(|status| *status != 102);
    assert_eq!(last, Some(502));
    drop(client);
    assert_eq!(proxy.stop().1[0].get("reason"), "too many interim responses");
}

/// How long it takes until a reader that reads nothing is cut, of the time that it has.
fn time_of_a_reader_that_reads_nothing(write: Duration) -> Duration {
    let origin = Origin::start(|conn| {
        conn.request();
        conn.write("HTTP/1.1 200 OK\r\nDate: X\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 65536], b"\r\n".to_vec()].concat();
        while conn.write(&chunk) {}
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.timeouts.client_write = write);
    let mut client = proxy.client();
    client.send(GET);
    wait_for("the row", || proxy.figures().is_some_and(|figures| figures.counters.requests == 1));
    drop(client);
    let rows = proxy.stop().1;
    assert_eq!(rows[0].get("reason"), "client_stalled");
    Duration::from_micros(rows[0].get("total_us").parse().unwrap())
}

#[test]
fn a_reader_that_reads_nothing_has_its_time_and_not_twice_that() {
    let write = Duration::from_secs(2);
    // A machine that stalls makes it longer: then once more.
    let fits = || {
        let took = time_of_a_reader_that_reads_nothing(write);
        assert!(took >= write, "{took:?}");
        took < write + write / 2
    };
    assert!((0..5).any(|_| fits()));
}

const UPLOAD: usize = 30_000_000;

/// Sends all of it before it reads, as many clients do.
fn upload(proxy: &ProxyUnderTest, is_chunked: bool) -> message::Response {
    let mut client = proxy.client();
    if is_chunked {
        client.send("POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = [b"100000\r\n".to_vec(), vec![b'x'; 1 << 20], b"\r\n".to_vec()].concat();
        for _ in 0..UPLOAD >> 20 {
            client.send(&chunk);
        }
        client.send("0\r\n\r\n");
    } else {
        client.send(format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {UPLOAD}\r\n\r\n"));
        client.send(vec![b'x'; UPLOAD]);
    }
    client.response()
}

#[test]
fn who_sends_all_before_reading_has_its_answer() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.write("HTTP/1.1 413 No\r\nDate: X\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        conn.finish();
        conn.is_closed();
    });
    for is_chunked in [false, true] {
        let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
        let answer = upload(&proxy, is_chunked);
        assert_eq!((answer.status, answer.body), (413, b"no".to_vec()), "of the backend");
        assert_eq!(proxy.stop().1[0].get("reason"), "request_cut");
        let proxy =
            ProxyUnderTest::start(&[origin.address], |config| config.request_body_max = Some(1_000_000));
        assert_eq!(upload(&proxy, is_chunked).status, 413, "of ours");
    }
}

#[test]
fn who_sends_all_before_reading_a_long_answer_has_it_too() {
    const LONG: usize = 20_000_000;
    let origin = Origin::start(|conn| {
        conn.head();
        conn.write(format!(
            "HTTP/1.1 413 No\r\nDate: X\r\nConnection: close\r\nContent-Length: {LONG}\r\n\r\n"
        ));
        conn.write(vec![b'n'; LONG]);
        conn.finish();
        conn.is_closed();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.client_write = Duration::from_secs(8);
    });
    let answer = upload(&proxy, false);
    assert_eq!((answer.status, answer.body.len()), (413, LONG));
}

#[test]
fn who_sends_for_ever_is_cut() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.request_body_max = Some(1000);
        config.timeouts.linger = Duration::from_secs(20);
        config.timeouts.linger_total = Duration::from_millis(500);
    });
    let mut client = proxy.client();
    client.send("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n");
    assert_eq!(client.response().status, 413);
    let began = Instant::now();
    let piece = vec![b'x'; 64 * 1024];
    while std::io::Write::write_all(&mut client.stream, &piece).is_ok() {
        assert!(began.elapsed() < DEADLINE, "it is never cut");
    }
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    let _ = client.stream.shutdown(Shutdown::Both);
}

#[test]
fn who_pauses_for_too_long_is_cut() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.request_body_max = Some(1000);
        config.timeouts.linger = SHORT;
    });
    let mut client = proxy.client();
    client.send("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nsome");
    assert_eq!(client.response().status, 413);
    wait_for("the client to be gone", || {
        proxy.figures().is_some_and(|figures| figures.counters.clients_active == 0)
    });
}
