//! Response heads: which are forwarded and which are replaced by a 502 (RFC 9112 section 4, RFC 9110 section 15).

use super::row::{Row, answered, bad_answer, row};

pub fn rows() -> Vec<Row> {
    let mut rows = status_lines();
    rows.extend(fields());
    rows.extend(endings());
    rows.extend(surplus());
    rows.extend(interims());
    rows.extend(persistence());
    rows
}

const VIA: &str = "Via: 1.1 tidegate|";

/// A whole answer with this status line, forwarded with `seen` as its status line.
fn line(name: &str, line: &str, seen: &str) -> Row {
    answered(
        format!("status line {name}"),
        format!("{line}|Date: X|Content-Length: 2||ok"),
        format!("{seen}|Date: X|Content-Length: 2|{VIA}|ok"),
    )
}

fn status_lines() -> Vec<Row> {
    let same = |name: &str, text: &str| line(name, text, text);
    let mut rows = vec![
        same("200 OK", "HTTP/1.1 200 OK"),
        same("with a long reason", "HTTP/1.1 200 {a*300}"),
        same("with a reason of bytes above 127", "HTTP/1.1 200 \u{e9}\u{ff}"),
        same("with an empty reason", "HTTP/1.1 200 "),
        line("without its last blank", "HTTP/1.1 200", "HTTP/1.1 200 "),
        same("with a reason of several words", "HTTP/1.1 404 Not To Be Found"),
        line("of HTTP/1.2", "HTTP/1.2 200 OK", "HTTP/1.1 200 OK"),
        answered(
            "status line of HTTP/1.0",
            "HTTP/1.0 200 OK|Date: X|Content-Length: 2||ok",
            "HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.0 tidegate||ok",
        )
        .drops(),
        answered(
            "status line of HTTP/1.0 that stays",
            "HTTP/1.0 200 OK|Date: X|Connection: keep-alive|Content-Length: 2||ok",
            "HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.0 tidegate||ok",
        ),
    ];
    for status in
        [201, 206, 299, 300, 301, 400, 401, 404, 407, 418, 426, 451, 499, 500, 501, 502, 503, 504, 599]
    {
        let row = same(&format!("of status {status}"), &format!("HTTP/1.1 {status} S"));
        // Behind these some origins leave the connection open, but dead.
        rows.push(if matches!(status, 400 | 501) { row.drops() } else { row });
    }
    for (name, line) in [
        ("of HTTP/2", "HTTP/2 200 OK"),
        ("of HTTP/2.0", "HTTP/2.0 200 OK"),
        ("of HTTP/0.9", "HTTP/0.9 200 OK"),
        ("of HTTP/1.10", "HTTP/1.10 200 OK"),
        ("in lower case", "http/1.1 200 OK"),
        ("of another protocol", "ICY 200 OK"),
        ("that is none", "<html>hello</html>"),
        ("without a status", "HTTP/1.1 "),
        ("of a version alone", "HTTP/1.1"),
        ("with two digits", "HTTP/1.1 20 OK"),
        ("with four digits", "HTTP/1.1 2000 OK"),
        ("with letters for digits", "HTTP/1.1 abc OK"),
        ("with a sign", "HTTP/1.1 +20 OK"),
        ("with two blanks", "HTTP/1.1  200 OK"),
        ("with a tab", "HTTP/1.1\t200 OK"),
        ("with a tab after the status", "HTTP/1.1 200\tOK"),
        ("with a blank in front", " HTTP/1.1 200 OK"),
        ("after an empty line", "|HTTP/1.1 200 OK"),
        ("of status 0", "HTTP/1.1 000 No"),
        ("of status 099", "HTTP/1.1 099 No"),
        ("of status 600", "HTTP/1.1 600 No"),
        ("of status 999", "HTTP/1.1 999 No"),
        ("with a NUL", "HTTP/1.1 200 O\0K"),
        ("with a bare CR", "HTTP/1.1 200 O\rK"),
        ("with a control byte", "HTTP/1.1 200 O\u{1}K"),
        ("that a request would have", "GET / HTTP/1.1"),
    ] {
        rows.push(bad_answer(format!("status line {name}"), format!("{line}|Date: X|Content-Length: 2||ok")));
    }
    rows.push(bad_answer("status line ended by a bare LF", "HTTP/1.1 200 OK\nContent-Length: 2||ok"));
    rows
}

fn fields() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, field) in [
        ("any token as a name", "!#$%&'*+-.^_`{pipe}~9aZ: v"),
        ("an empty value", "A:"),
        ("bytes above 127 in the value", "A: \u{e9}\u{ff}"),
        ("tabs in the value", "A: b\tc"),
        ("the same name twice", "Set-Cookie: a=b; Path=/, x|Set-Cookie: c=d"),
        ("no blank before the value", "A:b"),
        ("Server", "Server: origin/1.0"),
        ("WWW-Authenticate", "WWW-Authenticate: Basic realm=\"a, b\""),
        ("an underscore", "a_b: c"),
        ("Host", "Host: h"),
    ] {
        rows.push(answered(
            format!("answer with {name}"),
            format!("HTTP/1.1 200 OK|Date: X|{field}|Content-Length: 2||ok"),
            format!("HTTP/1.1 200 OK|Date: X|{field}|Content-Length: 2|{VIA}|ok"),
        ));
    }
    for (name, field) in [
        ("a blank before its name and one before the colon", " A : b"),
        ("no name", ": b"),
        ("a blank for a name", " : b"),
        ("no colon", "A"),
        ("a blank in the name", "A B: c"),
        ("a byte above 127 in the name", "\u{e9}: b"),
        ("a NUL in the value", "A: b\0c"),
        ("a NUL in the name", "A\0: b"),
        ("a bare CR in the value", "A: b\rc"),
        ("a control byte in the value", "A: b\u{2}"),
        ("DEL in the value", "A: \u{7f}"),
        ("a folded value", "A: b| c"),
        ("a value folded with a tab", "A: b|\tc"),
        ("a bare LF between fields", "A: b\nC: d"),
    ] {
        rows.push(bad_answer(
            format!("answer with {name}"),
            format!("HTTP/1.1 200 OK|Date: X|{field}|Content-Length: 2||ok"),
        ));
    }
    for (name, field, seen) in [
        ("a blank before the colon", "A : b", "A: b"),
        ("blanks and tabs before the colon", "A \t : b", "A: b"),
        ("a tab before the colon and no blank behind it", "A\t:b", "A:b"),
        ("blanks before several colons", "A : b|C: d|E  :f : g", "A: b|C: d|E:f : g"),
        ("a blank before the colon of an empty field", "A :", "A:"),
    ] {
        rows.push(answered(
            format!("answer with {name}"),
            format!("HTTP/1.1 200 OK|Date: X|{field}|Content-Length: 2||ok"),
            format!("HTTP/1.1 200 OK|Date: X|{seen}|Content-Length: 2|{VIA}|ok"),
        ));
    }
    rows.push(bad_answer(
        "answer with a blank before its first field",
        "HTTP/1.1 200 OK| A: b|Content-Length: 2||ok",
    ));
    rows.push(bad_answer("answer whose empty line is a bare LF", "HTTP/1.1 200 OK|Content-Length: 0|\n"));
    rows.push(answered(
        "answer of a hundred fields",
        format!("HTTP/1.1 200 OK|Date: X|{}Content-Length: 2||ok", "A: b|".repeat(98)),
        format!("HTTP/1.1 200 OK|Date: X|{}Content-Length: 2|{VIA}|ok", "A: b|".repeat(98)),
    ));
    rows.push(bad_answer(
        "answer of a field more",
        format!("HTTP/1.1 200 OK|Date: X|{}Content-Length: 2||ok", "A: b|".repeat(99)),
    ));
    rows.push(answered(
        "answer with a field of 60 kB",
        "HTTP/1.1 200 OK|Date: X|A: {b*60000}|Content-Length: 2||ok",
        format!("HTTP/1.1 200 OK|Date: X|A: {{b*60000}}|Content-Length: 2|{VIA}|ok"),
    ));
    rows.push(bad_answer(
        "answer with a field of 66 kB",
        "HTTP/1.1 200 OK|Date: X|A: {b*66000}|Content-Length: 2||ok",
    ));
    rows
}

/// Connections that end before a head is there.
fn endings() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, text) in [
        ("nothing", ""),
        ("half a status line", "HTTP/1.1 20"),
        ("a status line", "HTTP/1.1 200 OK|"),
        ("half a field", "HTTP/1.1 200 OK|Content-Le"),
        ("all but the empty line", "HTTP/1.1 200 OK|Content-Length: 0|"),
    ] {
        for end in ["close", "finish", "reset"] {
            rows.push(bad_answer(format!("{end} after {name}"), format!("{text}{{{end}}}")));
        }
    }
    rows
}

fn surplus() -> Vec<Row> {
    let ok = format!("HTTP/1.1 200 OK|Date: X|Content-Length: 2|{VIA}|ok");
    let mut rows = Vec::new();
    for (name, more) in [
        ("a byte more than its length", "!"),
        ("a CRLF more than its length", "|"),
        ("a second answer behind it", "HTTP/1.1 200 OK|Content-Length: 4||evil"),
    ] {
        rows.push(answered(format!("answer with {name}"), format!("{{ok}}{more}"), ok.clone()).drops());
    }
    rows.push(
        answered(
            "answer in chunks with more behind",
            "HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked||2|ab|0||HTTP",
            format!("HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked|{VIA}|2|ab|0||"),
        )
        .drops(),
    );
    rows.push(
        answered(
            "301 with a length of 0 and content behind it",
            "HTTP/1.1 301 Moved|Date: X|Location: /|Content-Length: 0||<p>moved</p>",
            format!("HTTP/1.1 301 Moved|Date: X|Location: /|Content-Length: 0|{VIA}|"),
        )
        .drops(),
    );
    rows.push(
        answered(
            "204 with more behind",
            "HTTP/1.1 204 No|Date: X||evil",
            format!("HTTP/1.1 204 No|Date: X|{VIA}|"),
        )
        .drops(),
    );
    rows.push(
        answered(
            "304 with a body",
            "HTTP/1.1 304 No|Date: X|Content-Length: 4||evil",
            format!("HTTP/1.1 304 No|Date: X|Content-Length: 4|{VIA}|"),
        )
        .drops(),
    );
    rows
}

fn interims() -> Vec<Row> {
    let http10 = |row: Row| {
        row.sends("GET / HTTP/1.0|Host: h||")
            .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
            .sees("{OK close}")
            .closed()
    };
    let mut rows = vec![
        answered(
            "100 nobody asked for",
            "HTTP/1.1 100 Continue||{ok}",
            format!("HTTP/1.1 100 Continue|{VIA}|{{OK}}"),
        ),
        answered("102", "HTTP/1.1 102 Processing||{ok}", format!("HTTP/1.1 102 Processing|{VIA}|{{OK}}")),
        answered(
            "103 with its Link",
            "HTTP/1.1 103 Early Hints|Link: </a>; rel=preload||{ok}",
            format!("HTTP/1.1 103 Early Hints|Link: </a>; rel=preload|{VIA}|{{OK}}"),
        ),
        answered(
            "several interim answers in order",
            "HTTP/1.1 103 A||HTTP/1.1 102 B||HTTP/1.1 103 C||HTTP/1.1 199 D||{ok}",
            format!(
                "HTTP/1.1 103 A|{VIA}|HTTP/1.1 102 B|{VIA}|HTTP/1.1 103 C|{VIA}|HTTP/1.1 199 D|{VIA}|{{OK}}"
            ),
        ),
        answered(
            "thirty interim answers",
            format!("{}{{ok}}", "HTTP/1.1 102 P||".repeat(30)),
            format!("{}{{OK}}", format!("HTTP/1.1 102 P|{VIA}|").repeat(30)),
        ),
        answered(
            "an interim answer with fields for one hop",
            "HTTP/1.1 103 E|Connection: A|A: b|C: d||{ok}",
            format!("HTTP/1.1 103 E|C: d|{VIA}|{{OK}}"),
        ),
        answered(
            "an interim answer with a length of 0",
            "HTTP/1.1 103 E|Content-Length: 0||{ok}",
            format!("HTTP/1.1 103 E|{VIA}|{{OK}}"),
        ),
        http10(row("100 to HTTP/1.0").answers(&["HTTP/1.1 100 Continue||{ok}"])),
        http10(row("103 to HTTP/1.0").answers(&["HTTP/1.1 103 E|Link: a||{ok}"])),
        http10(row("several interim answers to HTTP/1.0").answers(&["HTTP/1.1 103 A||HTTP/1.1 102 B||{ok}"])),
        bad_answer("an interim answer with a bad field", "HTTP/1.1 103 E|A b: c||{ok}"),
        answered(
            "an interim answer with a blank before a colon",
            "HTTP/1.1 103 E|Link : a||{ok}",
            format!("HTTP/1.1 103 E|Link: a|{VIA}|{{OK}}"),
        ),
    ];
    for (name, upgrade) in
        [("101 without an Upgrade", ""), ("101 nobody asked for", "Connection: upgrade|Upgrade: websocket|")]
    {
        rows.push(bad_answer(name, format!("HTTP/1.1 101 Switching Protocols|{upgrade}|{{ok}}")));
    }
    rows
}

fn persistence() -> Vec<Row> {
    let close = |name: &str, field: &str| {
        answered(name, format!("HTTP/1.1 200 OK|Date: X|{field}|Content-Length: 2||ok"), "{OK}").drops()
    };
    vec![
        close("answer that closes", "Connection: close"),
        close("answer that closes, in capitals", "CONNECTION: CLOSE"),
        close("answer that closes, a blank before the colon", "Connection : close"),
        close("answer that closes among others", "Connection: a, close ,b"),
        close("answer that closes in a second field", "Connection: keep-alive|Connection: close"),
        answered(
            "answer that closes, and does",
            "HTTP/1.1 200 OK|Date: X|Connection: close|Content-Length: 2||ok{close}",
            "{OK}",
        )
        .drops(),
        answered("answer and a silent close", "{ok}{close}", "{OK}").drops(),
        answered("answer and a half-close", "{ok}{finish}", "{OK}").drops(),
    ]
}
