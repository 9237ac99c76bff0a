//! Several messages on one connection: persistence, order, expectations, early answers, Max-Forwards.

use super::row::{Row, passes, refused, row};

pub fn rows() -> Vec<Row> {
    let mut rows = persistence();
    rows.extend(pipelining());
    rows.extend(expectations());
    rows.extend(early_answers());
    rows.extend(max_forwards());
    rows.extend(body_limits());
    rows.extend(half_closes());
    rows
}

fn persistence() -> Vec<Row> {
    let http10 = |name: &str, connection: &str| {
        passes(name, format!("GET / HTTP/1.0|Host: h|{connection}|"), "GET / HTTP/1.1|Host: h|{fwd10}|")
    };
    let http11 =
        |name: &str, connection: &str| passes(name, format!("GET / HTTP/1.1|Host: h|{connection}|"), "{got}");
    vec![
        http11("1.1 stays", ""),
        http11("1.1 stays with keep-alive", "Connection: keep-alive|"),
        http11("1.1 closes with close", "Connection: close|").sees("{OK close}").closed(),
        http11("1.1 closes with CLOSE", "Connection: CLOSE|").sees("{OK close}").closed(),
        http11("1.1 closes with close and keep-alive", "Connection: keep-alive, close|")
            .sees("{OK close}")
            .closed(),
        http11("1.1 closes with close in a second field", "Connection: a|Connection: close|")
            .sees("{OK close}")
            .closed(),
        http11("1.1 is indifferent to Proxy-Connection", "Proxy-Connection: close|"),
        http10("1.0 closes", "").sees("{OK close}").closed(),
        http10("1.0 stays with keep-alive", "Connection: keep-alive|").sees("{OK keep}"),
        http10("1.0 stays with Keep-Alive", "Connection: Keep-Alive|").sees("{OK keep}"),
        http10("1.0 closes with both", "Connection: keep-alive, close|").sees("{OK close}").closed(),
        http10("1.0 is indifferent to Proxy-Connection", "Proxy-Connection: keep-alive|")
            .sees("{OK close}")
            .closed(),
        row("1.1 closes when told to").without_keepalive().sees("{OK close}").closed(),
        row("1.0 closes when told to")
            .without_keepalive()
            .sends("GET / HTTP/1.0|Host: h|Connection: keep-alive||")
            .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
            .sees("{OK close}")
            .closed(),
        row("what follows a close is not served")
            .sends("GET / HTTP/1.1|Host: h|Connection: close||{get}")
            .sees("{OK close}")
            .closed(),
        row("what follows a refusal is not served")
            .sends("GET / HTTP/1.1|Host: a b||{get}")
            .reaches(&[])
            .sees("{400 close}")
            .closed(),
    ]
}

fn pipelining() -> Vec<Row> {
    let many =
        |count: usize| (0..count).map(|index| format!("GET /{index} HTTP/1.1|Host: h||")).collect::<String>();
    let reach: Vec<String> = (0..20).map(|index| format!("GET /{index} HTTP/1.1|Host: h|{{fwd}}|")).collect();
    let reach: Vec<&str> = reach.iter().map(String::as_str).collect();
    vec![
        row("two requests in a row").sends("{get}{get}").answers(&["{ok}"; 2]).reaches(&["{got}"; 2]).sees("{OK}{OK}"),
        row("twenty requests in a row").sends(many(20)).answers(&["{ok}"; 20]).reaches(&reach).sees("{OK}".repeat(20)),
        row("a POST, then a GET")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 3||abc{get}")
            .answers(&["{ok}"; 2])
            .reaches(&["POST / HTTP/1.1|Host: h|Content-Length: 3|{fwd}|abc", "{got}"])
            .sees("{OK}{OK}"),
        row("a POST in chunks, then a GET")
            .sends("POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||3|abc|0||{get}")
            .answers(&["{ok}"; 2])
            .reaches(&["POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked|{fwd}|3|abc|0||", "{got}"])
            .sees("{OK}{OK}"),
        row("a POST, an empty line too many, then a GET")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 3||abc|{get}")
            .answers(&["{ok}"; 2])
            .reaches(&["POST / HTTP/1.1|Host: h|Content-Length: 3|{fwd}|abc", "{got}"])
            .sees("{OK}{OK}"),
        row("a HEAD between GETs")
            .sends("{get}HEAD / HTTP/1.1|Host: h||{get}")
            .answers(&["{ok}", "HTTP/1.1 200 OK|Date: X|Content-Length: 2||", "{ok}"])
            .reaches(&["{got}", "HEAD / HTTP/1.1|Host: h|{fwd}|", "{got}"])
            .sees("{OK}HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.1 tidegate||{OK}"),
        row("a good request, then a bad one")
            .sends("{get}GET / HTTP/1.1||")
            .sees("{OK}{400 close}")
            .closed(),
        row("a bad answer, then a good one")
            .sends("{get}{get}")
            .answers(&["nonsense||", "{ok}"])
            .reaches(&["{got}"; 2])
            .sees("{502 keep}{OK}"),
        row("a bad answer to a HEAD, then a good one")
            .sends("HEAD / HTTP/1.1|Host: h||{get}")
            .answers(&["nonsense||", "{ok}"])
            .reaches(&["HEAD / HTTP/1.1|Host: h|{fwd}|", "{got}"])
            .sees("HTTP/1.1 502 Bad Gateway|Date: *|Content-Type: text/plain|Content-Length: 33||{OK}"),
        row("answers until close, one after the other")
            .sends("{get}{get}")
            .answers(&["HTTP/1.1 204 No|Date: X||{close}", "HTTP/1.1 200 OK|Date: X||a{close}"])
            .reaches(&["{got}"; 2])
            .sees("HTTP/1.1 204 No|Date: X|Via: 1.1 tidegate||HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked|Via: 1.1 tidegate||1|a|0||")
            .rechunked()
            .drops(),
        row("a smuggled request stays a body")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 27||{get}{get}")
            .answers(&["{ok}"; 2])
            .reaches(&["POST / HTTP/1.1|Host: h|Content-Length: 27|{fwd}|{get}", "{got}"])
            .sees("{OK}{OK}"),
    ]
}

const EXPECT: &str = "POST / HTTP/1.1|Host: h|Content-Length: 2|Expect: 100-continue||";
const CONTINUED: &str = "HTTP/1.1 100 Continue|Via: 1.1 tidegate||{OK}";

fn expectations() -> Vec<Row> {
    let reached = "POST / HTTP/1.1|Host: h|Content-Length: 2|Expect: 100-continue|{fwd}|";
    let early = |name: &str, status: &str| {
        row(name)
            .sends(format!("{EXPECT}{{read}}"))
            .reaches(&[reached])
            .answers(&[&format!("HTTP/1.1 {status}|Date: X|Content-Length: 0||{{read}}")])
            .sees(format!(
                "HTTP/1.1 {status}|Date: X|Content-Length: 0|Via: 1.1 tidegate|Connection: close||"
            ))
            .closed()
            .drops()
    };
    vec![
        row("Expect and 100, then the body")
            .sends(format!("{EXPECT}{{read}}ab"))
            .reaches(&[&format!("{reached}ab")])
            .answers(&["HTTP/1.1 100 Continue||{read}{ok}"])
            .sees(CONTINUED),
        row("Expect, but the body comes at once")
            .sends(format!("{EXPECT}ab"))
            .reaches(&[&format!("{reached}ab")])
            .answers(&["{read}{ok}"]),
        row("Expect with a chunked body")
            .sends("POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked|Expect: 100-Continue||{read}2|ab|0||")
            .reaches(&[
                "POST / HTTP/1.1|Host: h|Expect: 100-Continue|Transfer-Encoding: chunked|{fwd}|2|ab|0||",
            ])
            .answers(&["HTTP/1.1 100 Continue||{read}{ok}"])
            .sees(CONTINUED),
        early("Expect and an early 413", "413 Too Large"),
        early("Expect and an early 417", "417 Expectation Failed"),
        early("Expect and an early 401", "401 Unauthorized"),
        passes("Expect without a body is dropped", "GET / HTTP/1.1|Host: h|Expect: 100-continue||", "{got}"),
        passes(
            "Expect with a length of 0 is dropped",
            "POST / HTTP/1.1|Host: h|Content-Length: 0|Expect: 100-continue||",
            "POST / HTTP/1.1|Host: h|Content-Length: 0|{fwd}|",
        ),
        passes(
            "Expect of HTTP/1.0 is dropped",
            "POST / HTTP/1.0|Host: h|Content-Length: 2|Expect: 100-continue||ab",
            "POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd10}|ab",
        )
        .sees("{OK close}")
        .closed(),
        refused("another expectation", 417, "GET / HTTP/1.1|Host: h|Expect: 200-ok||"),
        refused(
            "another expectation beside the known",
            417,
            "POST / HTTP/1.1|Host: h|Content-Length: 2|Expect: 100-continue, x||ab",
        ),
    ]
}

fn early_answers() -> Vec<Row> {
    let early = |name: &str, fields: &str, body: &str| {
        row(name).sends(format!("POST / HTTP/1.1|Host: h|{fields}|{{read}}{body}"))
    };
    let says = |close: &str| format!("HTTP/1.1 202 Accepted|Date: X|Content-Length: 2|{close}|no");
    let seen =
        |close: &str| format!("HTTP/1.1 202 Accepted|Date: X|Content-Length: 2|Via: 1.1 tidegate|{close}|no");
    let mut rows = Vec::new();
    for (how, field, body) in [
        ("by length", "Content-Length: 5|", "hello"),
        ("in chunks", "Transfer-Encoding: chunked|", "5|hello|0||"),
    ] {
        let whole = format!("POST / HTTP/1.1|Host: h|{field}{{fwd}}|{body}");
        rows.push(
            early(&format!("an early answer to a body {how} that is read all the same"), field, body)
                .answers(&[&format!("{}{{read}}", says(""))])
                .reaches(&[&whole])
                .sees(seen(""))
                .drops(),
        );
        rows.push(
            early(&format!("an early answer that says close to a body {how}"), field, body)
                .answers(&[&format!("{}{{read}}", says("Connection: close|"))])
                .reaches_begun(&whole)
                .sees(seen("Connection: close|"))
                .closed()
                .drops(),
        );
    }
    rows
}

fn max_forwards() -> Vec<Row> {
    let own = |name: &str, sends: &str, sees: &str| row(name).sends(sends).reaches(&[]).sees(sees);
    let allow = "HTTP/1.1 200 OK|Date: *|Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH|Content-Length: 0||";
    let mut rows = vec![
        passes(
            "OPTIONS with Max-Forwards counts down",
            "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 7||",
            "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 6|{fwd}|",
        ),
        passes(
            "Max-Forwards beyond counting",
            "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 99999999999999999999999||",
            "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 4294967294|{fwd}|",
        ),
        passes(
            "TRACE with Max-Forwards counts down",
            "TRACE / HTTP/1.1|Host: h|Max-Forwards: 1||",
            "TRACE / HTTP/1.1|Host: h|Max-Forwards: 0|{fwd}|",
        ),
        passes(
            "Max-Forwards of a GET is left alone",
            "GET / HTTP/1.1|Host: h|Max-Forwards: 0||",
            "GET / HTTP/1.1|Host: h|Max-Forwards: 0|{fwd}|",
        ),
        own("OPTIONS that ends here", "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 0||", allow),
        own("OPTIONS * that ends here", "OPTIONS * HTTP/1.1|Host: h|Max-Forwards: 0||", allow),
        own(
            "TRACE that ends here",
            "TRACE /a HTTP/1.1|Host: h|Max-Forwards: 0|A: b|Cookie: c||",
            "HTTP/1.1 200 OK|Date: *|Content-Type: message/http|Content-Length: 53||TRACE /a HTTP/1.1|Host: h|Max-Forwards: 0|A: b||",
        ),
        own(
            "OPTIONS that ends here, twice",
            "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 0||OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 0||",
            &format!("{allow}{allow}"),
        ),
        own(
            "OPTIONS that ends here, with a body",
            "OPTIONS / HTTP/1.1|Host: h|Max-Forwards: 0|Content-Length: 27||{get}",
            &allow.replace("Content-Length: 0||", "Content-Length: 0|Connection: close||"),
        )
        .closed(),
    ];
    for value in ["", "-1", "x", "1, 2", "1|Max-Forwards: 1"] {
        rows.push(refused(
            format!("Max-Forwards: {value}"),
            400,
            format!("OPTIONS / HTTP/1.1|Host: h|Max-Forwards: {value}||"),
        ));
    }
    rows
}

fn body_limits() -> Vec<Row> {
    let limited = |row: Row| row.with(|config| config.request_body_max = Some(10));
    vec![
        limited(passes(
            "a body as long as allowed",
            "POST / HTTP/1.1|Host: h|Content-Length: 10||0123456789",
            "POST / HTTP/1.1|Host: h|Content-Length: 10|{fwd}|0123456789",
        )),
        limited(passes(
            "a body in chunks as long as allowed",
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|01234|5|56789|0||",
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked|{fwd}|5|01234|5|56789|0||",
        )),
        limited(refused(
            "a body longer than allowed",
            413,
            "POST / HTTP/1.1|Host: h|Content-Length: 11||0123456789a",
        )),
        limited(refused(
            "a body in chunks longer than allowed",
            413,
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|01234|6|56789a|0||",
        ))
        .may_begin("POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked|{fwd}|5|01234|6|56789a|0||"),
        limited(refused(
            "a chunk longer than allowed",
            413,
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked||100000|0123456789a",
        ))
        .may_begin("POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked|{fwd}|100000|0123456789a"),
    ]
}

fn half_closes() -> Vec<Row> {
    vec![
        row("a half-close after a whole request").sends("{get}{finish}").half_closed(),
        row("a half-close after a whole POST")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 2||ab{finish}")
            .reaches(&["POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab"])
            .half_closed(),
        row("a half-close after two requests")
            .sends("{get}{get}{finish}")
            .answers(&["{ok}"; 2])
            .reaches(&["{got}"; 2])
            .sees("{OK}{OK}")
            .half_closed(),
        row("a half-close in a head")
            .sends("GET / HTTP/1.1|Host: h|{finish}")
            .reaches(&[])
            .sees("")
            .half_closed(),
        row("nothing but a half-close").sends("{finish}").reaches(&[]).sees("").half_closed(),
        row("a half-close in a body")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 5||ab{finish}")
            .reaches(&[])
            .may_begin("POST / HTTP/1.1|Host: h|Content-Length: 5|{fwd}|ab!")
            .sees("")
            .half_closed(),
    ]
}
