//! Heads where it matters which backend they go to, or what is left of them in the log.

use tidegate::config::{BackendConfig, ProxyConfig};

use super::support::origin::Arrival;
use super::support::port::Reserved;
use super::support::{Origin, ProxyUnderTest};

/// Backends known by name, and tried one after the other.
fn named(config: &mut ProxyConfig) {
    config.ejection = true;
    for BackendConfig { url, address, .. } in &mut config.backends {
        *url = format!("http://localhost:{}", address.port());
    }
}

fn first_lines(arrival: &Arrival) -> Vec<String> {
    String::from_utf8_lossy(&arrival.bytes).split("\r\n").take(2).map(str::to_owned).collect()
}

#[test]
fn a_request_without_a_host_has_the_name_of_each_backend_it_goes_to() {
    let silent = Reserved::new();
    let rude = Origin::start(|conn| {
        conn.request();
        conn.close();
    });
    let well = Origin::echo_path();
    let backends = [silent.address, rude.address, well.address];
    let proxy = ProxyUnderTest::start(&backends, |config| {
        named(config);
        config.retries = 2;
    });
    for (path, body) in [("/a", ""), ("/b", "hello")] {
        let fields = if body.is_empty() { "" } else { "Content-Length: 5\r\n" };
        let answer = proxy.client().send(format!("PUT {path} HTTP/1.0\r\n{fields}\r\n{body}")).response();
        assert_eq!((answer.status, &answer.body[..]), (200, path.as_bytes()));
    }
    let host = |origin: &Origin| format!("Host: localhost:{}", origin.address.port());
    for (origin, count) in [(&rude, 1), (&well, 2)] {
        let seen = origin.seen();
        assert!(seen.len() >= count, "{seen:?}");
        for arrival in &seen {
            assert_eq!(first_lines(arrival)[1], host(origin));
            let text = String::from_utf8_lossy(&arrival.bytes);
            assert_eq!(text.matches("\r\nHost: ").count(), 1, "{text}");
            assert!(
                text.ends_with(if text.starts_with("PUT /b") { "\r\n\r\nhello" } else { "\r\n\r\n" }),
                "{text}"
            );
        }
    }
}

#[test]
fn a_request_without_a_host_keeps_its_backends_name_on_a_fresh_connection() {
    let origin = Origin::start(|conn| {
        let request = conn.request();
        if conn.index == 0 {
            conn.answer("first");
            conn.request(); // read, and closed without an answer
        } else if request.is_some() {
            conn.answer("again");
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], named);
    let mut client = proxy.client();
    for wanted in ["first", "again"] {
        let answer = client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response();
        assert_eq!(answer.body, wanted.as_bytes());
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), 3);
    let wanted = ["GET / HTTP/1.1".to_owned(), format!("Host: localhost:{}", origin.address.port())];
    assert!(seen.iter().all(|arrival| first_lines(arrival) == wanted), "{seen:?}");
}

#[test]
fn refused_request_lines_are_in_the_log_as_far_as_they_can_be_told() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let cases: [(&[u8], u16, &str, &str); 8] = [
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT", "a:443"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "PRI", "*"),
        (b"GET /\xe9,\"\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n", 400, "GET", "/%E9,\"%1B[2J"),
        (b"HEAD /x HTTP/3.0\r\nHost: a\r\n\r\n", 505, "HEAD", "/x"),
        (b"GET /y http/1.1\r\nHost: a\r\n\r\n", 400, "GET", "/y"),
        (b"POST /z HTTP/1.1\r\n\r\n", 400, "POST", "/z"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, "", ""),
        (&[b'A'; 9000], 501, &"A".repeat(64), ""),
    ];
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    let told = format!("/{}", "a".repeat(8191));
    let long = (long.as_bytes(), 414, "GET", &told[..]);
    for (sent, ..) in cases.iter().chain([&long]) {
        proxy.client().send(sent).read_to_end();
    }
    let rows = proxy.stop().1;
    for ((sent, status, method, path), row) in cases.iter().chain([&long]).zip(&rows) {
        let written = (row.get("status_code"), row.get("method"), row.get("path"));
        assert_eq!(
            written,
            (status.to_string(), (*method).to_owned(), (*path).to_owned()),
            "{}",
            sent.escape_ascii()
        );
    }
    assert_eq!(rows.len(), cases.len() + 1);
}
