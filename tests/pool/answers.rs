//! Answers after which a connection is no good any more, though nobody says so.

use std::time::Duration;

use crate::clients::{Ask, alternate, check_all, plain};
use crate::origin::{Origin, complaint, page};
use crate::support::ProxyUnderTest;

/// After these some servers take no further request on the connection, and leave it open.
const LAST: [(u16, &str); 7] = [
    (400, "400 Bad Request"),
    (408, "408 Request Timeout"),
    (413, "413 Content Too Large"),
    (414, "414 URI Too Long"),
    (431, "431 Request Header Fields Too Large"),
    (501, "501 Not Implemented"),
    (505, "505 HTTP Version Not Supported"),
];

/// Asks for one of those by name.
fn refused(path: &str, round: usize) -> Ask {
    let (status, line) = LAST[round % LAST.len()];
    Ask::new("GET", path).field(&format!("X-Status: {line}")).gets(status, path)
}

#[test]
fn an_upgrade_declined_leaves_nothing_for_the_next_client() {
    let origin = Origin::start(|conn| {
        while let Some(request) = conn.request() {
            let upgrade = request.field("Upgrade").is_some();
            if !conn.answer(&request) {
                return;
            }
            if upgrade {
                conn.head();
                conn.write(complaint());
                return;
            }
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let odd = |path: &str, _| Ask::new("GET", path).field("Connection: Upgrade").field("Upgrade: foo/2");
    let tally = alternate(proxy.address, &origin.diary, 10, odd, plain);
    tally.check("a declined Upgrade, then 400", &origin.diary);
}

#[test]
fn a_connection_that_is_silent_after_a_refusal_keeps_nobody_waiting() {
    let origin = Origin::start(|conn| {
        while let Some(request) = conn.request() {
            let Some(line) = request.field("X-Status") else {
                conn.answer(&request);
                continue;
            };
            conn.write(page(line, &request.path, &request.path));
            while conn.head().is_some() {} // and says nothing any more
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.timeouts.upstream = Duration::from_secs(5); // that a failure of this test does not take too long
    });
    let tally = alternate(proxy.address, &origin.diary, 50, refused, plain);
    tally.check("a refusal, then silence", &origin.diary);
}

#[test]
fn a_stray_answer_behind_a_refusal_is_nobodys() {
    let origin = Origin::start(|conn| {
        while let Some(request) = conn.request() {
            let Some(line) = request.field("X-Status") else {
                conn.answer(&request);
                continue;
            };
            conn.write(page(line, &request.path, &request.path));
            std::thread::sleep(Duration::from_millis(1));
            conn.write(complaint());
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let tally = alternate(proxy.address, &origin.diary, 10, refused, plain);
    tally.check("a refusal, then a stray answer", &origin.diary);
}

/// Bytes behind whole answers: a name, the status, the rest of the answer to this path, and what follows.
type Surplus = (&'static str, &'static str, fn(&str) -> String, &'static str);

const SURPLUS: [Surplus; 8] = [
    ("a line end behind a length", "200 OK", by_length, "\r\n"),
    ("a newline behind a length", "200 OK", by_length, "\n"),
    ("a length counted in characters", "200 OK", by_length, "\u{e4}"),
    ("a whole answer behind a length", "200 OK", by_length, STRAY),
    ("a line end behind the last chunk", "200 OK", in_chunks, "\r\n"),
    ("a whole answer behind the last chunk", "200 OK", in_chunks, STRAY),
    ("a page behind a 301 of length 0", "301 Moved", of_no_length, "<html>moved</html>"),
    ("a body behind a 204", "204 No Content", without_any, "{}"),
];

const STRAY: &str = "HTTP/1.1 200 OK\r\nX-For: /nobody\r\nContent-Length: 3\r\n\r\nwho";

fn by_length(path: &str) -> String {
    format!("Content-Length: {}\r\n\r\n{path}", path.len())
}

fn in_chunks(path: &str) -> String {
    format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{path}\r\n0\r\n\r\n", path.len())
}

fn of_no_length(_path: &str) -> String {
    "Content-Length: 0\r\n\r\n".to_owned()
}

fn without_any(_path: &str) -> String {
    "\r\n".to_owned()
}

#[test]
fn bytes_behind_an_answer_spoil_neither_it_nor_the_next_nor_the_name_of_their_backend() {
    let mut stories = Vec::new();
    for (kind, line, rest, behind) in SURPLUS {
        let origin = Origin::start(move |conn| {
            while let Some(request) = conn.request() {
                let path = &request.path;
                let sent = if request.field("X-Surplus").is_some() {
                    // At once: what comes only when the next request is out cannot be told from its answer.
                    conn.write(format!("HTTP/1.1 {line}\r\nX-For: {path}\r\n{}{behind}", rest(path)))
                } else {
                    conn.answer(&request)
                };
                if !sent {
                    return;
                }
            }
        });
        let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
        let odd = |path: &str, _| {
            let ask = Ask::new("GET", path).field("X-Surplus: 1");
            let body = if line.starts_with("200") { path } else { "" };
            ask.gets(line[..3].parse().unwrap(), body)
        };
        let tally = alternate(proxy.address, &origin.diary, 10, odd, plain);
        let (figures, rows) = proxy.stop();
        stories.extend(tally.told(kind, &origin.diary));
        if figures.backends[0].errors > 0 || rows.iter().any(|row| row.get("status_code") == "502") {
            stories.push(format!("{kind}: the backend was charged {} times", figures.backends[0].errors));
        }
    }
    check_all(stories);
}
