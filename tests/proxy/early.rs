//! Answers that come before the request's end, and bytes of a request that are still on their way when its answer is
//! whole: what a backend means to read, it gets.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::config::{ProxyConfig, UpstreamMode};

use super::support::{Client, DEADLINE, End, Fields, Gate, Origin, OriginConn, ProxyUnderTest, message};

const LONG: usize = 200_000;
const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nDate: X\r\nContent-Length: 2\r\n\r\nok";
const ACCEPTED_CLOSE: &str =
    "HTTP/1.1 202 Accepted\r\nDate: X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

fn content() -> Vec<u8> {
    (0..LONG).map(|at| b'a' + (at % 23) as u8).collect()
}

/// The same in chunks of 7 to 9,000 bytes.
fn in_chunks(content: &[u8]) -> Vec<u8> {
    let (mut out, mut rest, mut size) = (Vec::new(), content, 7);
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        (rest, size) = (after, (size * 3) % 9000 + 7);
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// An origin that answers each request as soon as its head is there, and then reads its content: tells how many bytes of
/// it came, or `None` when it was cut.
fn answers_first(answer: &'static str) -> (Origin, Receiver<Option<usize>>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let origin = Origin::start(move |conn| {
        while let Some(head) = conn.head() {
            conn.write(answer);
            let body = conn.body(&head);
            let is_whole = body.is_some();
            let _ = tell.lock().unwrap().send(body.map(|body| body.len()));
            if !is_whole {
                return;
            }
        }
    });
    (origin, told)
}

/// Sends the head, has the answer, and only then sends the content, in pieces.
fn upload(client: &mut Client, head: &str, body: &[u8]) -> message::Response {
    client.send(head);
    let answer = client.response();
    for piece in body.chunks(10_000) {
        client.send(piece);
    }
    answer
}

fn rows_of(proxy: ProxyUnderTest) -> Vec<Fields> {
    proxy.stop().1
}

/// Each way to frame the content, by its name: the head and the content as sent.
fn framings() -> Vec<(&'static str, String, Vec<u8>)> {
    let content = content();
    let head = |field: &str| format!("POST /up HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n");
    vec![
        ("length", head(&format!("Content-Length: {LONG}")), content.clone()),
        ("chunked", head("Transfer-Encoding: chunked"), in_chunks(&content)),
    ]
}

#[test]
fn an_upload_is_read_to_its_end_behind_an_answer_that_does_not_say_close() {
    for (name, head, body) in framings() {
        let (origin, told) = answers_first(ACCEPTED);
        let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
        let mut client = proxy.client();
        for _ in 0..2 {
            let answer = upload(&mut client, &head, &body);
            assert_eq!((answer.status, answer.field("Connection")), (202, None), "{name}");
            let size = told.recv_timeout(DEADLINE).unwrap();
            assert_eq!(size, Some(if name == "length" { LONG } else { reframed(&body) }), "{name}");
        }
        assert_eq!(client.end, None, "{name}: the connection goes on");
        drop(client);
        let rows = rows_of(proxy);
        assert_eq!(rows.len(), 2, "{name}");
        assert!(
            rows.iter().all(|row| row.get("reason") == "ok" && row.get("status_code") == "202"),
            "{name}"
        );
    }
}

/// Chunks go on as they came.
fn reframed(body: &[u8]) -> usize {
    body.len()
}

#[test]
fn an_upload_from_http_1_0_is_read_to_its_end_too() {
    let (origin, told) = answers_first(ACCEPTED);
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    let head = format!("POST /up HTTP/1.0\r\nHost: h\r\nContent-Length: {LONG}\r\n\r\n");
    assert_eq!(upload(&mut client, &head, &content()).status, 202);
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), Some(LONG));
    assert_eq!(client.read_to_end(), (vec![], End::Closed));
}

#[test]
fn a_request_pipelined_behind_such_an_upload_is_answered() {
    let (origin, told) = answers_first(ACCEPTED);
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    let head = format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {LONG}\r\n\r\n");
    let mut body = content();
    body.extend_from_slice(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(upload(&mut client, &head, &body).status, 202);
    assert_eq!(client.response().status, 202);
    // The two go by connections of their own, and which one tells first is chance.
    let sizes = [(); 2].map(|()| told.recv_timeout(DEADLINE).unwrap());
    assert!(sizes.contains(&Some(LONG)) && sizes.contains(&Some(0)), "{sizes:?}");
}

#[test]
fn an_upload_is_cut_behind_an_answer_that_says_close_and_the_row_says_so() {
    for (name, head, body) in framings() {
        let (origin, told) = answers_first(ACCEPTED_CLOSE);
        let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
        let mut client = proxy.client();
        client.send(&head);
        client.send(&body[..10_000]);
        let answer = client.response();
        assert_eq!((answer.status, answer.field("Connection")), (202, Some("close")), "{name}");
        assert_eq!(told.recv_timeout(DEADLINE).unwrap(), None, "{name}");
        assert_eq!(client.read_to_end(), (vec![], End::Closed), "{name}");
        drop(client);
        let rows = rows_of(proxy);
        assert_eq!((rows[0].get("status_code"), rows[0].get("reason")), ("202".into(), "request_cut".into()));
    }
}

#[test]
fn an_upload_is_cut_when_its_backend_stops_reading() {
    let origin = Origin::start(|conn| {
        conn.head();
        conn.write(ACCEPTED);
        conn.reset();
    });
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    const TOO_LONG: usize = 20 * 1024 * 1024; // for the kernel to take all of it
    client.send(format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {TOO_LONG}\r\n\r\n"));
    assert_eq!(client.response().status, 202);
    client.send(vec![b'x'; TOO_LONG]);
    assert_eq!(client.read_to_end().0, b"");
    drop(client);
    let rows = rows_of(proxy);
    assert_eq!((rows[0].get("status_code"), rows[0].get("reason")), ("202".into(), "request_cut".into()));
}

#[test]
fn an_upload_that_stops_behind_its_answer_is_cut_at_the_body_time_out() {
    let (origin, told) = answers_first(ACCEPTED);
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| {
        config.timeouts.request_body = Duration::from_millis(200);
    });
    let mut client = proxy.client();
    client.send(format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {LONG}\r\n\r\nsome"));
    assert_eq!(client.response().status, 202);
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), None);
    assert_eq!(client.read_to_end().0, b"");
    drop(client);
    assert_eq!(rows_of(proxy)[0].get("reason"), "request_cut");
}

#[test]
fn a_client_that_leaves_behind_its_answer_is_nobodys_failure() {
    let (origin, told) = answers_first(ACCEPTED);
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    for _ in 0..8 {
        let mut client = proxy.client();
        client.send(format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {LONG}\r\n\r\nsome"));
        assert_eq!(client.response().status, 202);
        drop(client);
        assert_eq!(told.recv_timeout(DEADLINE).unwrap(), None);
    }
    let (figures, rows) = proxy.stop();
    assert_eq!(figures.counters.ejections, 0);
    assert!(rows.iter().all(|row| row.get("reason") == "request_cut"));
}

/// A client that waits for leave to send gets another answer: it may never send its content, and nobody waits for it.
#[test]
fn nobody_waits_for_content_that_was_declined() {
    let (origin, told) = answers_first("HTTP/1.1 417 No\r\nDate: X\r\nContent-Length: 2\r\n\r\nno");
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("POST /up HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = client.response();
    assert_eq!((answer.status, answer.field("Connection")), (417, Some("close")));
    assert_eq!(told.recv_timeout(DEADLINE).unwrap(), None);
    assert_eq!(client.read_to_end(), (vec![], End::Closed));
}

/// Answers once the head is there, says close, and reads the content later, through a small window.
fn reads_late(gate: &Arc<Gate>) -> (Origin, Receiver<Option<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let (tell, told) = channel();
    let (tell, gate) = (Mutex::new(tell), gate.clone());
    let origin = Origin::on(listener, move |conn: &mut OriginConn| {
        conn.head();
        conn.write(ACCEPTED_CLOSE);
        gate.wait();
        let _ = tell.lock().unwrap().send(conn.take(LONG).map(|all| all.len()));
    });
    (origin, told)
}

/// All of the content has been given to the kernel when the answer is there, and most of it is still with ours.
fn what_was_taken_arrives(set: fn(&mut ProxyConfig)) {
    for _ in 0..5 {
        let gate = Arc::new(Gate::default());
        let (origin, told) = reads_late(&gate);
        let proxy = ProxyUnderTest::start(&[origin.address], set);
        let mut client = proxy.client();
        let head =
            format!("POST /up HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {LONG}\r\n\r\n");
        client.send([head.as_bytes(), &content()].concat());
        assert_eq!(client.response().status, 202);
        client.read_to_end();
        gate.open();
        assert_eq!(told.recv_timeout(DEADLINE).unwrap(), Some(LONG));
    }
}

#[test]
fn what_was_taken_arrives_behind_an_answer_that_says_close() {
    what_was_taken_arrives(|_| {});
}

#[test]
fn what_was_taken_arrives_where_each_request_has_its_own_connection() {
    what_was_taken_arrives(|config| config.upstream = UpstreamMode::NonPersistent);
}

/// Answers with bytes behind them, in two packets split at every place there is: the path says where.
#[test]
fn every_split_of_bytes_behind_an_answer_gives_the_same() {
    const ANSWERS: [&str; 3] = [
        "HTTP/1.1 200 OK\r\nDate: X\r\nContent-Length: 5\r\n\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nDate: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nmore",
        "HTTP/1.1 301 Moved\r\nDate: X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n<p>moved</p>",
    ];
    for (answer, status, body) in
        [(ANSWERS[0], 200, "hello"), (ANSWERS[1], 200, "hello"), (ANSWERS[2], 301, "")]
    {
        let origin = Origin::start(move |conn| {
            while let Some(request) = conn.request() {
                let line = String::from_utf8_lossy(&request).into_owned();
                let path = line.split(' ').nth(1).unwrap_or_default();
                let at: usize = path.trim_start_matches('/').parse().unwrap();
                conn.write(&answer[..at]);
                std::thread::sleep(Duration::from_millis(1)); // for two packets
                conn.write(&answer[at..]);
            }
        });
        let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.ejection = true);
        let mut client = proxy.client();
        for at in 0..=answer.len() {
            let seen = client.get(&format!("/{at}"));
            assert_eq!(
                (seen.status, seen.body),
                (status, body.as_bytes().to_vec()),
                "split at {at} of {answer:?}"
            );
        }
        drop(client);
        let (figures, rows) = proxy.stop();
        assert!(rows.iter().all(|row| row.get("reason") == "ok"), "{answer:?}");
        assert_eq!((figures.backends[0].errors, figures.counters.ejections), (0, 0), "{answer:?}");
        assert!(figures.counters.surplus > 0, "{answer:?}");
    }
}
