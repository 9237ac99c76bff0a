//! Request heads: which are accepted, which refused and how (RFC 9112 sections 2, 3 and 5; RFC 9110 section 7.2).

use super::row::{Row, passes, refused, row};

pub fn rows() -> Vec<Row> {
    let mut rows = methods();
    rows.extend(request_lines());
    rows.extend(targets());
    rows.extend(other_forms());
    rows.extend(versions());
    rows.extend(hosts());
    rows.extend(fields());
    rows.extend(line_ends());
    rows.extend(limits());
    rows
}

fn methods() -> Vec<Row> {
    let mut rows = vec![row("GET")];
    for method in
        ["DELETE", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "get", "connect", "M-SEARCH", "PROPFIND"]
    {
        rows.push(passes(
            format!("method {method}"),
            format!("{method} / HTTP/1.1|Host: h||"),
            format!("{method} / HTTP/1.1|Host: h|{{fwd}}|"),
        ));
    }
    rows.push(passes(
        "method of every token character",
        "!#$%&'*+-.^_`{pipe}~09azAZ / HTTP/1.1|Host: h||",
        "!#$%&'*+-.^_`{pipe}~09azAZ / HTTP/1.1|Host: h|{fwd}|",
    ));
    rows.extend([
        row("a HEAD without Host")
            .sends("HEAD / HTTP/1.1||")
            .reaches(&[])
            .sees("HTTP/1.1 400 Bad Request|Date: *|Content-Type: text/plain|Content-Length: 25|Connection: close||")
            .closed(),
        row("a HEAD of another version")
            .sends("HEAD / HTTP/3.1|Host: h||")
            .reaches(&[])
            .sees("HTTP/1.1 505 HTTP Version Not Supported|Date: *|Content-Type: text/plain|Content-Length: 61|Connection: close||")
            .closed(),
        row("HEAD")
            .sends("HEAD / HTTP/1.1|Host: h||")
            .reaches(&["HEAD / HTTP/1.1|Host: h|{fwd}|"])
            .answers(&["HTTP/1.1 200 OK|Date: X|Content-Length: 2||"])
            .sees("HTTP/1.1 200 OK|Date: X|Content-Length: 2|Via: 1.1 tidegate||")
            .trusting(),
    ]);
    rows.push(refused("CONNECT to an authority", 405, "CONNECT h:443 HTTP/1.1|Host: h:443||"));
    rows.push(refused("CONNECT to a path", 405, "CONNECT / HTTP/1.1|Host: h||"));
    for (name, method) in [
        ("with a colon", "GE:T"),
        ("with a slash", "GE/T"),
        ("with a brace", "GE{brace}T"),
        ("with a quote", "GE\"T"),
        ("with a NUL", "GE\0T"),
        ("with a tab", "GE\tT"),
        ("with a byte above 127", "GE\u{e9}T"),
        ("with parentheses", "(GET)"),
    ] {
        rows.push(refused(format!("method {name}"), 400, format!("{method} / HTTP/1.1|Host: h||")));
    }
    rows
}

fn request_lines() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, line) in [
        ("two blanks after the method", "GET  / HTTP/1.1"),
        ("two blanks before the version", "GET /  HTTP/1.1"),
        ("a tab for a blank", "GET\t/ HTTP/1.1"),
        ("a tab before the version", "GET /\tHTTP/1.1"),
        ("a blank at the front", " GET / HTTP/1.1"),
        ("a blank at the end", "GET / HTTP/1.1 "),
        ("a blank in the target", "GET /a b HTTP/1.1"),
        ("no target", "GET HTTP/1.1"),
        ("an empty target", "GET  HTTP/1.1"),
        ("no version (HTTP/0.9)", "GET /"),
        ("a method alone", "GET"),
        ("a bare CR", "GET / \rHTTP/1.1"),
        ("vertical tab", "GET /\u{b}HTTP/1.1"),
        ("form feed", "GET\u{c}/ HTTP/1.1"),
        ("a fourth word", "GET / HTTP/1.1 x"),
    ] {
        rows.push(refused(format!("request line with {name}"), 400, format!("{line}|Host: h||")));
    }
    rows.push(refused("TLS at the plain port", 400, "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}||"));
    rows.push(refused("an HTTP/2 preface", 505, "PRI * HTTP/2.0||SM||"));
    rows.push(passes("one empty line before it", "|{get}", "{got}"));
    rows.push(passes("two empty lines before it", "||{get}", "{got}"));
    rows.push(refused("many empty lines before it", 400, "||||||{get}"));
    rows.push(refused("an empty line ended by a bare LF before it", 400, "\n{get}"));
    rows
}

fn targets() -> Vec<Row> {
    let mut rows = Vec::new();
    for target in [
        "/a/../b",
        "/a/./b",
        "//a//b",
        "/%2F%2e%2E/",
        "/%00",
        "/%zz",
        "/a?b=c&d=%20",
        "/?",
        "/??a=/?",
        "/;v=1,2",
        "/a:b@c!$&'()*+,;=-._~",
        "/\"<>[]^`{brace}{pipe}\\",
        "/http://other/",
    ] {
        rows.push(passes(
            format!("target {target} unchanged"),
            format!("GET {target} HTTP/1.1|Host: h||"),
            format!("GET {target} HTTP/1.1|Host: h|{{fwd}}|"),
        ));
    }
    rows
}

fn other_forms() -> Vec<Row> {
    let mut rows = Vec::new();
    for (form, path) in [
        ("http://h2/a?b", "/a?b"),
        ("http://h2", "/"),
        ("http://h2/", "/"),
        ("http://h2?q", "/?q"),
        ("HTTP://h2/a", "/a"),
        ("http://h2//a/../b", "//a/../b"),
    ] {
        rows.push(passes(
            format!("absolute-form {form}"),
            format!("GET {form} HTTP/1.1|Host: h||"),
            format!("GET {path} HTTP/1.1|Host: h2|{{fwd h2}}|"),
        ));
    }
    rows.push(passes(
        "absolute-form with a port",
        "GET http://h2:8080/a HTTP/1.1|Host: h2:8080|A: b||",
        "GET /a HTTP/1.1|Host: h2:8080|A: b|{fwd h2:8080}|",
    ));
    rows.push(
        passes(
            "absolute-form in HTTP/1.0 without Host",
            "GET http://h2/a HTTP/1.0|Connection: keep-alive||",
            "GET /a HTTP/1.1|Host: h2|{fwd10 h2}|",
        )
        .sees("{OK keep}"),
    );
    for form in ["https://h2/a", "HTTPS://h", "https://h?a"] {
        rows.push(refused(format!("absolute-form {form}"), 421, format!("GET {form} HTTP/1.1|Host: h||")));
    }
    rows.push(passes(
        "OPTIONS of a whole server in absolute-form",
        "OPTIONS http://h2 HTTP/1.1|Host: h||",
        "OPTIONS * HTTP/1.1|Host: h2|{fwd h2}|",
    ));
    rows.push(passes("OPTIONS *", "OPTIONS * HTTP/1.1|Host: h||", "OPTIONS * HTTP/1.1|Host: h|{fwd}|"));
    for (name, target) in [
        ("a fragment", "/a#b"),
        ("a byte above 127", "/\u{e9}"),
        ("a NUL", "/a\0b"),
        ("a control byte", "/a\u{1}b"),
        ("DEL", "/a\u{7f}"),
        ("no slash", "a/b"),
        ("* but no OPTIONS", "*"),
        ("a query alone", "?a"),
        ("authority-form", "h:80"),
        ("another scheme", "ftp://h/"),
        ("a scheme without authority", "http:///a"),
        ("an empty host and a port", "http://:80/"),
        ("userinfo", "http://u:p@h/"),
        ("a bad port", "http://h:x/"),
        ("a bad host", "http://h\"/"),
        ("a fragment on a URI", "http://h/#a"),
    ] {
        rows.push(refused(format!("target with {name}"), 400, format!("GET {target} HTTP/1.1|Host: h||")));
    }
    rows
}

fn versions() -> Vec<Row> {
    let mut rows = vec![
        row("HTTP/1.2 counts as 1.1").sends("GET / HTTP/1.2|Host: h||").reaches(&["{got}"]),
        row("HTTP/1.9 counts as 1.1").sends("GET / HTTP/1.9|Host: h||").reaches(&["{got}"]),
        passes("HTTP/1.0", "GET / HTTP/1.0|Host: h||", "GET / HTTP/1.1|Host: h|{fwd10}|")
            .sees("{OK close}")
            .closed(),
    ];
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.1"] {
        rows.push(refused(version, 505, format!("GET / {version}|Host: h||")));
    }
    for version in [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/1.10",
        "HTTP/11.1",
        "http/1.1",
        "HTTP/1,1",
        "HTTPS/1.1",
        "HTTP /1.1",
        "1.1",
    ] {
        rows.push(refused(format!("version {version}"), 400, format!("GET / {version}|Host: h||")));
    }
    rows
}

fn hosts() -> Vec<Row> {
    let mut rows = Vec::new();
    for host in [
        "example.com",
        "example.com:80",
        "example.com:",
        "127.0.0.1:9090",
        "[::1]",
        "[2001:db8::1]:8080",
        "[v1.fe:x]",
        "a-b_c~d.e",
        "%41.example",
        "a!$&'()*+,;=",
        "h:00080",
        "EXAMPLE.com.",
    ] {
        rows.push(passes(
            format!("Host {host}"),
            format!("GET / HTTP/1.1|Host: {host}||"),
            format!("GET / HTTP/1.1|Host: {host}|{{fwd {host}}}|"),
        ));
    }
    for host in [
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "u@h",
        "h:x",
        "h:65536",
        "h:-1",
        "h:80:80",
        "::1",
        "[::1",
        "[::1]x",
        "[::g]",
        "[]",
        "%4",
        "%zz",
        "h\\",
        "h\"",
        "<h>",
        "h\u{e9}",
        ":80",
        "h, h",
        "[fe80::1%25eth0]",
    ] {
        rows.push(refused(format!("Host {host}"), 400, format!("GET / HTTP/1.1|Host: {host}||")));
    }
    rows.push(refused("no Host", 400, "GET / HTTP/1.1||"));
    rows.push(refused("an empty Host", 400, "GET / HTTP/1.1|Host:||"));
    rows.push(refused("two Hosts", 400, "GET / HTTP/1.1|Host: h|Host: g||"));
    rows.push(refused("the same Host twice", 400, "GET / HTTP/1.1|Host: h|host: h||"));
    rows.push(refused("no Host beside an absolute-form", 400, "GET http://h/ HTTP/1.1||"));
    for (name, host) in [("an empty", ""), ("a bad", " a b"), ("another", " g:8")] {
        for (version, fwd) in [("1.1", "fwd h2"), ("1.0|Connection: keep-alive", "fwd10 h2")] {
            let row = passes(
                format!("{name} Host beside an absolute-form of HTTP/{version}"),
                format!("GET http://h2/a HTTP/{version}|Host:{host}|A: b||"),
                format!("GET /a HTTP/1.1|Host: h2|A: b|{{{fwd}}}|"),
            );
            rows.push(if version == "1.1" { row } else { row.sees("{OK keep}") });
        }
    }
    rows.push(refused("two Hosts beside an absolute-form", 400, "GET http://h/ HTTP/1.1|Host: h|Host: h||"));
    rows.push(refused(
        "two empty Hosts beside an absolute-form",
        400,
        "GET http://h/ HTTP/1.1|Host:|Host:||",
    ));
    rows.push(refused("two Hosts in HTTP/1.0", 400, "GET / HTTP/1.0|Host: h|Host: h||"));
    rows.push(refused("Host_ is no Host", 400, "GET / HTTP/1.1|Host_: h||"));
    rows.push(refused("Host : is refused", 400, "GET / HTTP/1.1|Host : h||"));
    rows
}

fn fields() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, field, seen) in [
        ("any token as a name", "!#$%&'*+-.^_`{pipe}~9aZ: v", "!#$%&'*+-.^_`{pipe}~9aZ: v"),
        ("an underscore in a name", "a_b: v", "a_b: v"),
        ("an empty value", "a:", "a:"),
        ("no blank before the value", "a:v", "a:v"),
        ("bytes above 127 in a value", "a: \u{e9}\u{ff}\u{80}", "a: \u{e9}\u{ff}\u{80}"),
        ("tabs in a value", "a:\tb\tc", "a:\tb\tc"),
        ("quotes and commas", "a: \"b, c\", d", "a: \"b, c\", d"),
        ("the same name twice", "a: 1|A: 2", "a: 1|A: 2"),
        ("a colon in a value", "a: b:c", "a: b:c"),
        (
            "Authorization and cookies",
            "Authorization: Basic x|Cookie: a=b; c",
            "Authorization: Basic x|Cookie: a=b; c",
        ),
        (
            "Cache-Control and Range",
            "Cache-Control: no-store|Range: bytes=0-1",
            "Cache-Control: no-store|Range: bytes=0-1",
        ),
    ] {
        rows.push(passes(
            format!("field with {name}"),
            format!("GET / HTTP/1.1|Host: h|{field}||"),
            format!("GET / HTTP/1.1|Host: h|{seen}|{{fwd}}|"),
        ));
    }
    for (name, field) in [
        ("a blank before the colon", "a : b"),
        ("a tab before the colon", "a\t: b"),
        ("no name", ": b"),
        ("no colon", "a"),
        ("a blank in the name", "a b: c"),
        ("a byte above 127 in the name", "\u{e9}: b"),
        ("a quote in the name", "\"a\": b"),
        ("a slash in the name", "a/b: c"),
        ("an NUL in the name", "a\0: b"),
        ("a NUL in the value", "a: b\0c"),
        ("a bare CR in the value", "a: b\rc"),
        ("a control byte in the value", "a: b\u{1}c"),
        ("BEL in the value", "a: \u{7}"),
        ("ESC in the value", "a: \u{1b}[0m"),
        ("DEL in the value", "a: \u{7f}"),
        ("a folded value", "a: b| c"),
        ("a value folded with a tab", "a: b|\tc"),
        ("a fold with nothing in it", "a: b| "),
    ] {
        rows.push(refused(format!("field with {name}"), 400, format!("GET / HTTP/1.1|Host: h|{field}||")));
    }
    rows.push(refused("a blank before the first field", 400, "GET / HTTP/1.1| Host: h||"));
    rows.push(refused("a tab line before the first field", 400, "GET / HTTP/1.1|\tx|Host: h||"));
    rows
}

fn line_ends() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, text) in [
        ("after the request line", "GET / HTTP/1.1\nHost: h||"),
        ("after a field", "GET / HTTP/1.1|Host: h\nA: b||"),
        ("for the empty line", "GET / HTTP/1.1|Host: h|\n"),
        ("everywhere", "GET / HTTP/1.1\nHost: h\n\n"),
        ("before the last CRLF", "GET / HTTP/1.1|Host: h\n|"),
    ] {
        rows.push(refused(format!("bare LF {name}"), 400, text));
    }
    for (name, text) in [
        ("after the request line", "GET / HTTP/1.1\rHost: h||"),
        ("after a field", "GET / HTTP/1.1|Host: h\rA: b||"),
        ("doubled before a LF", "GET / HTTP/1.1\r|Host: h||"),
        ("before the empty line", "GET / HTTP/1.1|Host: h|\rx||"),
    ] {
        rows.push(refused(format!("bare CR {name}"), 400, text));
    }
    rows
}

fn limits() -> Vec<Row> {
    // "GET /" and " HTTP/1.1" CRLF are 16 bytes.
    let long = |total: usize| format!("/{{a*{}}}", total - 16);
    let mut rows = vec![
        passes(
            "a request line of just 8 KiB",
            format!("GET {} HTTP/1.1|Host: h||", long(8192)),
            format!("GET {} HTTP/1.1|Host: h|{{fwd}}|", long(8192)),
        ),
        refused("a request line of a byte more", 414, format!("GET {} HTTP/1.1|Host: h||", long(8193))),
        refused("a request line without end", 414, format!("GET {}", long(9000))),
        refused("a method without end", 501, "{A*9000}"),
        refused("a method without end that is none", 400, "{A*4000}\0{A*5000}"),
        passes(
            "a hundred fields",
            format!("GET / HTTP/1.1|Host: h|{}|", "a: b|".repeat(99)),
            format!("GET / HTTP/1.1|Host: h|{}{{fwd}}|", "a: b|".repeat(99)),
        ),
        refused("a field more", 431, format!("GET / HTTP/1.1|Host: h|{}|", "a: b|".repeat(100))),
        refused("a field of 32 KiB", 431, "GET / HTTP/1.1|Host: h|a: {b*32768}||"),
        refused("a field name without end", 431, "GET / HTTP/1.1|Host: h|{a*33000}"),
    ];
    rows.push(passes(
        "a head long enough to be looked at in parts",
        "GET / HTTP/1.1|Host: h|a: {b*3000}||",
        "GET / HTTP/1.1|Host: h|a: {b*3000}|{fwd}|",
    ));
    rows.push(
        passes(
            "as many fields as were configured",
            format!("GET / HTTP/1.1|Host: h|{}|", "a: b|".repeat(500)),
            format!("GET / HTTP/1.1|Host: h|{}{{fwd}}|", "a: b|".repeat(500)),
        )
        .with(|config| config.limits.fields = 501),
    );
    rows.push(
        refused("a line past the configured length", 414, "GET /{a*300} HTTP/1.1|Host: h||")
            .with(|config| config.limits.request_line = 256),
    );
    rows.push(
        refused("a head past the configured length", 431, "GET / HTTP/1.1|Host: h|a: {b*600}||")
            .with(|config| config.limits.request_head = 512),
    );
    rows
}
