//! Origins that answer before they have read the whole request and close: what they did not read makes the kernel send a
//! reset behind the answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::backends::usual;
use crate::child::Process;
use crate::support::{Client, End, Origin, OriginConn, ProxyUnderTest, message, wait_for};

const TIMES: usize = 50;

/// Reads at most so much of a request, says this, and closes.
fn hasty(reads: usize, answer: &'static str) -> Origin {
    Origin::start(move |conn: &mut OriginConn| {
        let mut piece = vec![0; reads];
        if reads > 0 {
            let _ = conn.stream.read(&mut piece);
        }
        conn.write(answer);
    })
}

const LENGTH: &str = "Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\nno, sorry";
const CHUNKED: &str = "Too Large\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nno, \r\n5\r\nsorry\r\n0\r\n\r\n";
const TO_THE_CLOSE: &str = "Too Large\r\nConnection: close\r\n\r\nno, sorry";

/// How many of these requests were not told exactly that.
fn wrong(reads: usize, status: u16, rest: &str, request: &[u8]) -> usize {
    let answer: &'static str = Box::leak(format!("HTTP/1.1 {status} {rest}").into_boxed_str());
    let origin = hasty(reads, answer);
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        usual(config);
    });
    let one = || {
        let mut client = proxy.client();
        let (seen, end) = client.send(request).read_to_end();
        let told = message::Response::parse(&seen, "GET", end == End::Closed);
        told.is_some_and(|(told, _)| (told.status, told.body.as_slice()) == (status, b"no, sorry"))
    };
    (0..TIMES).filter(|_| !one()).count()
}

#[test]
fn an_answer_behind_which_a_reset_comes_is_forwarded_whole() {
    let head =
        format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: {}\r\n\r\n", "c".repeat(20_000));
    let length = 300_000;
    let mut body =
        format!("POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    body.resize(body.len() + length, b'b');
    let mut failed = Vec::new();
    for (how, rest) in [("length", LENGTH), ("chunked", CHUNKED), ("to the close", TO_THE_CLOSE)] {
        for (what, request, status) in [("head", head.as_bytes(), 431), ("body", &body, 413)] {
            for reads in [0, 1000] {
                let wrong = wrong(reads, status, rest, request);
                println!("{how}, part of the {what}, {reads} bytes read: {wrong} of {TIMES} wrong");
                failed.extend((wrong > 0).then_some((how, what, reads, wrong)));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Whether somebody dials this address and has had no answer: state 2 is SYN_SENT.
fn is_dialled(address: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let peer = format!(":{:04X} 02 ", address.port());
    table.lines().any(|line| line.contains(&peer))
}

/// The connection comes up, is answered on and broken, all before the proxy has looked at it.
#[test]
fn an_answer_on_a_connection_that_is_broken_before_anything_was_sent_is_forwarded() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(1).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let room = Duration::from_millis(100);
    let queued: Vec<TcpStream> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, room).ok()).collect();
    let backend = address.to_string();
    let proxy = Process::start(&["--backend", &backend, "--admin", "none", "--connect-timeout", "20s"]);
    let mut client = Client::connect(proxy.address);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    wait_for("the dial", || is_dialled(address));
    proxy.pause();
    if !is_dialled(address) {
        return; // it was about to be dialled again, and that is somebody else's test
    }
    queued.iter().for_each(|_| drop(listener.accept().unwrap()));
    let (mut accepted, _) = listener.accept().unwrap(); // when the kernel asks again
    accepted.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy").unwrap();
    accepted.set_linger(Some(Duration::ZERO)).unwrap();
    drop(accepted);
    proxy.signal(Signal::CONT);
    let answer = client.response();
    assert_eq!((answer.status, answer.body.as_slice()), (503, &b"busy"[..]), "{}", proxy.said());
}

/// The origin answers an upload, without a word of closing, and breaks off; what it says comes to the proxy together with
/// a piece of the upload, and that cannot be written any more.
#[test]
fn the_answer_to_an_upload_that_was_cut_before_it_says_close() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = listener.local_addr().unwrap().to_string();
    let proxy = Process::start(&["--backend", &backend, "--admin", "none", "--log", "none"]);
    let mut client = Client::connect(proxy.address);
    let begun = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n{}", "u".repeat(1000));
    client.send(&begun);
    let (mut accepted, _) = listener.accept().unwrap();
    let mut begun = Vec::new();
    while message::head_len(&begun).is_none() {
        let mut byte = [0];
        accepted.read_exact(&mut byte).unwrap(); // of the content nothing: that is why the close is a reset
        begun.extend(byte);
    }
    wait_for("some of the content", || accepted.peek(&mut [0]).is_ok_and(|count| count > 0));
    proxy.pause();
    accepted.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    drop(accepted);
    client.send("u".repeat(1000));
    proxy.signal(Signal::CONT);
    let answer = client.response();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]), "{}", proxy.said());
    assert_eq!(answer.field("connection"), Some("close"), "the rest of the upload is not taken");
}
