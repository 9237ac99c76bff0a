//! Much at once: large bodies byte for byte, bounded memory, many requests.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::support::{DEADLINE, Gate, Origin, OriginConn, ProxyUnderTest, is_not_yet, message, wait_for};

const MIB: usize = 1024 * 1024;
const LARGE: usize = 64 * MIB;

/// Bytes that differ from themselves at any offset that could be mistaken for another: a block of prime length, over
/// and over.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Pattern {
        let mut random = fastrand::Rng::with_seed(7);
        Pattern((0..1_048_573).map(|_| random.u8(..)).collect())
    }

    /// The bytes from `at` on, as many as lie together and at most `most`.
    fn at(&self, at: usize, most: usize) -> &[u8] {
        let start = at % self.0.len();
        &self.0[start..(start + most).min(self.0.len())]
    }

    fn write(&self, sink: &mut impl Write, total: usize, chunked: bool) -> std::io::Result<()> {
        let mut at = 0;
        while at < total {
            let piece = self.at(at, (total - at).min(100_003));
            if chunked {
                write!(sink, "{:x}\r\n", piece.len())?;
            }
            sink.write_all(piece)?;
            if chunked {
                sink.write_all(b"\r\n")?;
            }
            at += piece.len();
        }
        if chunked { sink.write_all(b"0\r\n\r\n") } else { Ok(()) }
    }

    /// Says where the first difference is.
    fn check(&self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            let piece = self.at(at, bytes.len() - at);
            if piece != &bytes[at..at + piece.len()] {
                return Err(at);
            }
            at += piece.len();
        }
        Ok(())
    }
}

fn framing(chunked: bool, total: usize) -> String {
    if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {total}") }
}

/// Reads until the peer has sent a whole message with a body of `total`, and gives that body.
fn read_large(stream: &mut impl Read, already: Vec<u8>, chunked: bool, total: usize) -> Vec<u8> {
    let mut bytes = already;
    bytes.reserve(total + MIB);
    let deadline = Instant::now() + 6 * DEADLINE;
    let mut piece = vec![0; MIB];
    loop {
        let head = message::head_len(&bytes).unwrap_or(0);
        let is_whole =
            head > 0 && if chunked { bytes.ends_with(b"\r\n0\r\n\r\n") } else { bytes.len() - head >= total };
        if is_whole && !chunked {
            return bytes.split_off(head);
        }
        // A large chunked body may end a piece like this by chance; then it does not parse.
        if is_whole && let Some((_, data)) = message::chunked(&bytes[head..]) {
            return data;
        }
        match stream.read(&mut piece) {
            Ok(0) => panic!("closed after {} bytes", bytes.len()),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if is_not_yet(&error) && Instant::now() < deadline => {}
            Err(error) => panic!("{error} after {} bytes", bytes.len()),
        }
    }
}

fn download(chunked: bool) {
    let origin = Origin::start(move |conn: &mut OriginConn| {
        conn.request();
        conn.write(format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", framing(chunked, LARGE)));
        Pattern::new().write(&mut conn.stream, LARGE, chunked).unwrap();
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let body = read_large(&mut client.stream, Vec::new(), chunked, LARGE);
    assert_eq!(body.len(), LARGE);
    assert_eq!(Pattern::new().check(&body), Ok(()));
}

fn upload(chunked: bool) {
    let origin = Origin::start(move |conn: &mut OriginConn| {
        let body = read_large(&mut conn.stream, Vec::new(), chunked, LARGE);
        let verdict = format!("{} {:?}", body.len(), Pattern::new().check(&body));
        conn.answer(&verdict);
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{}\r\n\r\n", framing(chunked, LARGE)));
    Pattern::new().write(&mut client.stream, LARGE, chunked).unwrap();
    assert_eq!(String::from_utf8(client.response().body).unwrap(), format!("{LARGE} Ok(())"));
}

#[test]
fn sixty_four_mebibytes_come_down_by_length() {
    download(false);
}

#[test]
fn sixty_four_mebibytes_come_down_in_chunks() {
    download(true);
}

#[test]
fn sixty_four_mebibytes_go_up_by_length() {
    upload(false);
}

#[test]
fn sixty_four_mebibytes_go_up_in_chunks() {
    upload(true);
}

/// Waits until `count` has not moved for a while.
fn settled(count: &AtomicUsize) -> usize {
    let mut last = (count.load(Ordering::SeqCst), Instant::now());
    wait_for("the writes to stall", || {
        let now = count.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > Duration::from_millis(500)
    });
    last.0
}

/// What the kernel may hold for two sockets, and a little for the proxy.
const STALLED_BYTES_MAX: usize = 24 * MIB;

#[test]
fn a_client_that_does_not_read_stalls_the_origin() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let origin = Origin::start(move |conn: &mut OriginConn| {
        conn.request();
        conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..LARGE / piece.len() {
            assert!(conn.write(&piece));
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let stalled = settled(&written);
    assert!(stalled < STALLED_BYTES_MAX, "{stalled} bytes were taken");
    assert_eq!(proxy.client().get("/").status, 200, "others are served meanwhile");
    let body = read_large(&mut client.stream, Vec::new(), false, LARGE);
    assert_eq!(body.len(), LARGE);
}

#[test]
fn an_origin_that_does_not_read_stalls_the_client() {
    let gate = Arc::new(Gate::default());
    let opened = gate.clone();
    let origin = Origin::start(move |conn: &mut OriginConn| {
        let head = conn.head().unwrap();
        opened.wait();
        let body = conn.body(&head).unwrap();
        conn.answer(&body.len().to_string());
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n"));
    let written = Arc::new(AtomicUsize::new(0));
    let (mut stream, count) = (client.stream.try_clone().unwrap(), written.clone());
    let sender = std::thread::spawn(move || {
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..LARGE / piece.len() {
            stream.write_all(&piece).unwrap();
            count.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let stalled = settled(&written);
    gate.open();
    assert!(stalled < STALLED_BYTES_MAX, "{stalled} bytes were taken");
    assert_eq!(client.response().body, LARGE.to_string().as_bytes());
    sender.join().unwrap();
}

#[test]
fn a_thousand_pipelined_requests_are_answered_in_order() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    let requests: String = (0..1000).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..1000 {
        assert_eq!(client.response().body, format!("/{n}").as_bytes());
    }
    assert_eq!(origin.connections(), 1);
    drop(client);
    let (figures, rows) = proxy.stop();
    assert_eq!((figures.counters.requests, rows.len()), (1000, 1000));
    assert!((0..1000).all(|n| rows[n].get("path") == format!("/{n}")));
}

#[test]
fn many_clients_get_their_own_answers_and_a_row_for_each() {
    let origins = [Origin::echo_path(), Origin::echo_path(), Origin::echo_path()];
    let proxy = ProxyUnderTest::logged(&origins.each_ref().map(|origin| origin.address), |_| {});
    std::thread::scope(|scope| {
        for client_id in 0..30 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut client = proxy.client();
                for n in 0..50 {
                    let path = format!("/{client_id}/{n}");
                    assert_eq!(client.get(&path).body, path.as_bytes());
                }
            });
        }
    });
    let (figures, rows) = proxy.stop();
    assert_eq!((figures.counters.requests, rows.len()), (1500, 1500));
    assert!(rows.iter().all(|row| row.get("status_code") == "200" && row.get("reason") == "ok"));
    let share = |origin: &Origin| origin.seen().len();
    assert_eq!(origins.each_ref().map(share), [500; 3], "round robin");
}

#[test]
fn a_client_that_never_pauses_does_not_starve_the_others() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let flood = proxy.client();
    let (mut sending, mut reading) = (flood.stream.try_clone().unwrap(), flood.stream.try_clone().unwrap());
    let sender = std::thread::spawn(move || {
        let requests = "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n".repeat(1000);
        while sending.write_all(requests.as_bytes()).is_ok() {}
    });
    let reader = std::thread::spawn(move || {
        let mut piece = vec![0; MIB];
        let goes_on = |read: std::io::Result<usize>| match read {
            Ok(count) => count > 0,
            Err(error) => is_not_yet(&error),
        };
        while goes_on(reading.read(&mut piece)) {}
    });
    let mut client = proxy.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").status, 200); // within the deadline; one that is starved waits for ever
    }
    flood.reset();
    drop(proxy);
    sender.join().unwrap();
    reader.join().unwrap();
}

#[test]
fn each_row_counts_the_bytes_of_its_own_exchange() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut client = proxy.client();
    let requests = [
        "GET /one HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /four HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789",
        "POST /nine HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "GET /bad path HTTP/1.1\r\nHost: h\r\n\r\n",
    ];
    client.send(requests.concat());
    let mut received = Vec::new();
    for _ in requests {
        let answer = client.response();
        received.push((answer.head.len() + answer.body.len()).to_string());
    }
    drop(client);
    let rows = proxy.stop().1;
    let sent = requests.map(|request| request.len().to_string());
    assert_eq!(rows.iter().map(|row| row.get("bytes_in")).collect::<Vec<_>>(), sent);
    assert_eq!(rows.iter().map(|row| row.get("bytes_out")).collect::<Vec<_>>(), received);
}
