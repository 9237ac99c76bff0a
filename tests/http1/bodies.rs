//! Where bodies end, in both directions (RFC 9112 sections 6 and 7), and how they are framed anew.

use super::row::{Row, answered, bad_answer, passes, refused, row};

pub fn rows() -> Vec<Row> {
    let mut rows = request_lengths();
    rows.extend(request_codings());
    rows.extend(request_chunks());
    rows.extend(response_lengths());
    rows.extend(response_chunks());
    rows.extend(bad_response_chunks());
    rows.extend(until_close());
    rows.extend(bodiless());
    rows
}

const POST: &str = "POST / HTTP/1.1|Host: h|";

/// A POST with these framing fields and body, and what reaches the origin of it.
fn post(name: &str, sends: &str, reaches: &str) -> Row {
    passes(name, format!("{POST}{sends}"), format!("{POST}{reaches}"))
}

fn request_lengths() -> Vec<Row> {
    let mut rows = vec![
        post("length 0", "Content-Length: 0||", "Content-Length: 0|{fwd}|"),
        post("length 5", "Content-Length: 5||hello", "Content-Length: 5|{fwd}|hello"),
        post("length with zeros in front", "Content-Length: 0005||hello", "Content-Length: 0005|{fwd}|hello"),
        post("a body of CRLFs", "Content-Length: 4||||", "Content-Length: 4|{fwd}|||"),
        post(
            "a body of every kind of byte",
            "Content-Length: 6||\0\n\r\u{ff}\u{80}\u{7f}",
            "Content-Length: 6|{fwd}|\0\n\r\u{ff}\u{80}\u{7f}",
        ),
        post(
            "a body that looks like a request",
            "Content-Length: 27||{get}",
            "Content-Length: 27|{fwd}|{get}",
        ),
        post(
            "a body of 100 kB",
            "Content-Length: 100000||{x*100000}",
            "Content-Length: 100000|{fwd}|{x*100000}",
        ),
        passes(
            "a GET with a body",
            "GET / HTTP/1.1|Host: h|Content-Length: 2||ab",
            "GET / HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab",
        ),
        passes(
            "a DELETE with a body",
            "DELETE / HTTP/1.1|Host: h|Content-Length: 2||ab",
            "DELETE / HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab",
        ),
        passes(
            "an OPTIONS * with a body",
            "OPTIONS * HTTP/1.1|Host: h|Content-Length: 2||ab",
            "OPTIONS * HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab",
        ),
        passes(
            "HTTP/1.0 with a body",
            "POST / HTTP/1.0|Host: h|Content-Length: 2||ab",
            "POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd10}|ab",
        )
        .sees("{OK close}")
        .closed(),
        refused("a TRACE with a body", 400, "TRACE / HTTP/1.1|Host: h|Content-Length: 2||ab"),
    ];
    for (name, value) in [
        ("empty", ""),
        ("negative", "-1"),
        ("signed", "+5"),
        ("hexadecimal", "0x5"),
        ("a fraction", "5.0"),
        ("a list of equals", "5, 5"),
        ("a list of two", "5,6"),
        ("blank between digits", "5 5"),
        ("a word", "five"),
        ("past 64 bits", "18446744073709551621"),
        ("2^63", "9223372036854775808"),
        ("quoted", "\"5\""),
        ("with a unit", "5b"),
        ("with a comma", "5,"),
        ("full-width digits", "\u{ef}\u{bc}\u{95}"),
    ] {
        rows.push(refused(format!("length {name}"), 400, format!("{POST}Content-Length: {value}||hello")));
    }
    for (name, fields) in [
        ("two equal lengths", "Content-Length: 5|Content-Length: 5"),
        ("two different lengths", "Content-Length: 5|Content-Length: 6"),
        ("a length in two spellings", "Content-Length: 5|content-length: 5"),
        ("a length and chunked", "Content-Length: 5|Transfer-Encoding: chunked"),
        ("chunked and a length", "Transfer-Encoding: chunked|Content-Length: 5"),
        ("a length of 0 and chunked", "Transfer-Encoding: chunked|Content-Length: 0"),
    ] {
        rows.push(refused(name, 400, format!("{POST}{fields}||0||")));
    }
    rows
}

fn request_codings() -> Vec<Row> {
    let mut rows = vec![
        post(
            "chunked",
            "Transfer-Encoding: chunked||5|hello|0||",
            "Transfer-Encoding: chunked|{fwd}|5|hello|0||",
        ),
        post(
            "Chunked in capitals",
            "Transfer-Encoding: CHUNKED||2|ab|0||",
            "Transfer-Encoding: chunked|{fwd}|2|ab|0||",
        ),
        post(
            "empty members about chunked",
            "Transfer-Encoding: , chunked ,||2|ab|0||",
            "Transfer-Encoding: chunked|{fwd}|2|ab|0||",
        ),
        refused("chunked in HTTP/1.0", 400, "POST / HTTP/1.0|Host: h|Transfer-Encoding: chunked||0||"),
        refused("an unknown coding in HTTP/1.0", 400, "POST / HTTP/1.0|Host: h|Transfer-Encoding: gzip||0||"),
    ];
    for (name, value) in [
        ("gzip and chunked", "gzip, chunked"),
        ("gzip alone", "gzip"),
        ("identity", "identity"),
        ("an unknown one with parameters", "foo;a=b, chunked"),
        ("xchunked", "xchunked"),
        ("compress", "compress"),
    ] {
        rows.push(refused(format!("coding {name}"), 501, format!("{POST}Transfer-Encoding: {value}||0||")));
    }
    for (name, value) in [
        ("chunked twice", "chunked, chunked"),
        ("chunked not last", "chunked, gzip"),
        ("empty", ""),
        ("a comma alone", ","),
        ("chunked with a parameter", "chunked;a=b"),
        ("chunked in quotes", "\"chunked\""),
        ("a vertical tab at the front", "\u{b}chunked"),
        ("a bad token", "chunked@"),
    ] {
        rows.push(refused(format!("coding {name}"), 400, format!("{POST}Transfer-Encoding: {value}||0||")));
    }
    rows.push(refused(
        "chunked in two fields",
        400,
        format!("{POST}Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||"),
    ));
    rows.push(refused(
        "gzip and chunked in two fields",
        501,
        format!("{POST}Transfer-Encoding: gzip|Transfer-Encoding: chunked||0||"),
    ));
    rows.push(refused(
        "chunked and identity in two fields",
        400,
        format!("{POST}Transfer-Encoding: chunked|Transfer-Encoding: identity||0||"),
    ));
    rows
}

fn request_chunks() -> Vec<Row> {
    let chunked = |name: &str, body: &str, reaches: &str| {
        post(
            name,
            &format!("Transfer-Encoding: chunked||{body}"),
            &format!("Transfer-Encoding: chunked|{{fwd}}|{reaches}"),
        )
    };
    let mut rows = vec![
        chunked("no chunk but the last", "0||", "0||"),
        chunked("two chunks", "1|a|2|bc|0||", "1|a|2|bc|0||"),
        chunked("sizes in either case", "a|0123456789|A|0123456789|0||", "a|0123456789|A|0123456789|0||"),
        chunked("zeros in front of a size", "00002|ab|000||", "00002|ab|000||"),
        chunked("data of CRLFs and zeros", "a|0||0|\n\r|0||", "a|0||0|\n\r|0||"),
        chunked("an extension", "2;a|bc|0||", "2|bc|0||"),
        chunked("an extension with a value", "2;a=b;c=d|bc|0;e||", "2|bc|0||"),
        chunked("an extension with a quoted value", "2;a=\"b;\\\"c\"|bc|0||", "2|bc|0||"),
        chunked("a large chunk", "186a0|{x*100000}|0||", "186a0|{x*100000}|0||"),
        chunked("trailers nobody asked for", "2|ab|0|A: b||", "2|ab|0||"),
        post(
            "trailers from a client that knows them",
            "TE: trailers|Connection: TE|Transfer-Encoding: chunked||2|ab|0|A: b|Content-Length: 9||",
            "Transfer-Encoding: chunked|{fwd}Connection: TE|TE: trailers||2|ab|0|A: b||",
        ),
        post(
            "a trailer that Connection names",
            "TE: trailers|Connection: TE, A|Transfer-Encoding: chunked||2|ab|0|A: b|B: c||",
            "Transfer-Encoding: chunked|{fwd}Connection: TE|TE: trailers||2|ab|0||",
        ),
    ];
    for (name, body) in [
        ("a size that is none", "x|"),
        ("an empty size", "|"),
        ("a negative size", "-1|"),
        ("a signed size", "+2|ab|0||"),
        ("0x before a size", "0x2|ab|0||"),
        ("a blank before a size", " 2|ab|0||"),
        ("a blank after a size", "2 |ab|0||"),
        ("a size of 2^63", "8000000000000000|"),
        ("a size of 17 digits", "10000000000000000|"),
        ("a bare LF after a size", "2\nab|0||"),
        ("a bare LF after data", "2|ab\n0||"),
        ("no CRLF after data", "2|abc|0||"),
        ("a bare CR after a size", "2\rab|0||"),
        ("a blank before an extension", "2 ;a|ab|0||"),
        ("an extension without a name", "2;|ab|0||"),
        ("a NUL in an extension", "2;a=\0|ab|0||"),
        ("a LF in a quoted extension", "2;a=\"\n\"|ab|0||"),
        ("a bare LF after the last chunk", "0\n|"),
        ("a bare LF at the very end", "0|\n"),
        ("a trailer without a colon", "0|A||"),
        ("a trailer with a blank in its name", "0|A : b||"),
        ("a trailer with a NUL", "0|A: \0||"),
        ("a folded trailer", "0|A: b| c||"),
        ("a trailer ended by a bare LF", "0|A: b\n|"),
    ] {
        // Whole or not, the origin may have seen the head before the body turns bad; it never sees the end.
        rows.push(cut_request(name, body));
    }
    rows.push(cut_request("an extension without end", "2;{a*5000}"));
    rows.push(
        cut_request("extensions past all measure", &format!("{}0||", "1;{a*4000}|x|".repeat(20)))
            .may_begin(format!("{POST}Transfer-Encoding: chunked|{{fwd}}|{}", "1|x|".repeat(20))),
    );
    rows.push(cut_request("trailers past all measure", &format!("0|{}|", "A: {b*1000}|".repeat(20))));
    rows
}

/// A request whose body turns out bad: 400, and never a whole request at the origin.
fn cut_request(name: &str, body: &str) -> Row {
    refused(format!("chunks with {name}"), 400, format!("{POST}Transfer-Encoding: chunked||{body}"))
        .may_begin(format!("{POST}Transfer-Encoding: chunked|{{fwd}}|{body}"))
}

/// What a 200 with these fields and this body becomes: fields, then body.
fn body(name: &str, fields: &str, content: &str, seen_fields: &str, seen: &str) -> Row {
    answered(
        name,
        format!("HTTP/1.1 200 OK|Date: X|{fields}|{content}"),
        format!("HTTP/1.1 200 OK|Date: X|{seen_fields}|{seen}"),
    )
}

const VIA: &str = "Via: 1.1 tidegate|";

fn response_lengths() -> Vec<Row> {
    let length = |name: &str, value: &str, content: &str| {
        let field = format!("Content-Length: {value}|");
        body(name, &field, content, &format!("{field}{VIA}"), content)
    };
    let mut rows = vec![
        length("answer of length 0", "0", ""),
        length("answer of length 5", "5", "hello"),
        length("answer of 100 kB", "100000", "{x*100000}"),
        length("answer of CRLFs", "4", "||"),
        length(
            "answer that looks like one more",
            "32",
            "HTTP/1.1 200 OK|Content-Length: 0||".trim_end_matches("||"),
        ),
    ];
    rows.pop();
    rows.push(length("answer that looks like one more", "38", "HTTP/1.1 200 OK|Content-Length: 0||"));
    for (name, fields) in [
        ("two lengths", "Content-Length: 2|Content-Length: 2|"),
        ("a list of lengths", "Content-Length: 2, 2|"),
        ("two different lengths", "Content-Length: 2|Content-Length: 3|"),
        ("an empty length", "Content-Length:|"),
        ("a negative length", "Content-Length: -2|"),
        ("a signed length", "Content-Length: +2|"),
        ("a length past 64 bits", "Content-Length: 18446744073709551618|"),
        ("a hexadecimal length", "Content-Length: 0x2|"),
        ("a length and chunked", "Content-Length: 2|Transfer-Encoding: chunked|"),
        ("an unknown coding", "Transfer-Encoding: gzip, chunked|"),
        ("chunked twice", "Transfer-Encoding: chunked, chunked|"),
        ("chunked not last", "Transfer-Encoding: chunked, gzip|"),
        ("an empty coding", "Transfer-Encoding:|"),
    ] {
        rows.push(bad_answer(format!("answer with {name}"), format!("HTTP/1.1 200 OK|{fields}|ok")));
    }
    rows.push(bad_answer(
        "answer chunked in HTTP/1.0",
        "HTTP/1.0 200 OK|Transfer-Encoding: chunked||2|ok|0||",
    ));
    for (name, end) in [("close", "{close}"), ("half-close", "{finish}"), ("reset", "{reset}")] {
        if end != "{reset}" {
            rows.push(
                answered(
                    format!("answer cut by a {name}"),
                    format!("HTTP/1.1 200 OK|Date: X|Content-Length: 5||hel{end}"),
                    format!("HTTP/1.1 200 OK|Date: X|Content-Length: 5|{VIA}|hel"),
                )
                .broken(),
            );
        }
        let cut_early = answered(
            format!("answer cut before its body by a {name}"),
            format!("HTTP/1.1 200 OK|Date: X|Content-Length: 5||{end}"),
            format!("HTTP/1.1 200 OK|Date: X|Content-Length: 5|{VIA}|"),
        );
        rows.push(match end {
            "{reset}" => cut_early.or_instead("{502 keep}").broken(),
            _ => cut_early.broken(),
        });
    }
    rows
}

fn response_chunks() -> Vec<Row> {
    let chunked = |name: &str, content: &str, seen: &str| {
        let (fields, seen_fields) =
            ("Transfer-Encoding: chunked|", format!("Transfer-Encoding: chunked|{VIA}"));
        body(name, fields, content, &seen_fields, seen)
    };
    let mut rows = vec![
        chunked("answer without a chunk", "0||", "0||"),
        chunked("answer in chunks", "2|ab|3|cde|0||", "2|ab|3|cde|0||"),
        chunked("answer in a large chunk", "186a0|{x*100000}|0||", "186a0|{x*100000}|0||"),
        chunked("answer with extensions", "2;a=b|ab|0;c||", "2|ab|0||"),
        chunked("answer with trailers nobody asked for", "2|ab|0|A: b||", "2|ab|0||"),
        chunked(
            "answer with trailers that were asked for",
            "2|ab|0|A: b|Content-Length: 9|C:d||",
            "2|ab|0|A: b|C:d||",
        )
        .sends("GET / HTTP/1.1|Host: h|TE: trailers|Connection: TE||")
        .reaches(&["GET / HTTP/1.1|Host: h|{fwd}Connection: TE|TE: trailers||"]),
        body(
            "answer with a trailer that Connection names",
            "Connection: A|Transfer-Encoding: chunked|",
            "2|ab|0|A: b||",
            &format!("Transfer-Encoding: chunked|{VIA}"),
            "2|ab|0||",
        )
        .sends("GET / HTTP/1.1|Host: h|TE: trailers|Connection: TE||")
        .reaches(&["GET / HTTP/1.1|Host: h|{fwd}Connection: TE|TE: trailers||"]),
        body(
            "answer that announces its trailers",
            "Trailer: A|Transfer-Encoding: chunked|",
            "0|A: b||",
            &format!("Transfer-Encoding: chunked|{VIA}"),
            "0||",
        ),
    ];
    let plain = format!("HTTP/1.1 200 OK|Date: X|{VIA}Connection: close||abcde");
    for (name, content) in [
        ("chunks to HTTP/1.0", "2|ab|3|cde|0||"),
        ("chunks with extensions to HTTP/1.0", "2;x|ab|3;y=z|cde|0||"),
        ("chunks with trailers to HTTP/1.0", "5|abcde|0|A: b||"),
    ] {
        for (how, fields) in [("", ""), (" that would stay", "Connection: keep-alive|")] {
            rows.push(
                body(&format!("{name}{how}"), "Transfer-Encoding: chunked|", content, "", "")
                    .sees(plain.clone())
                    .sends(format!("GET / HTTP/1.0|Host: h|{fields}|"))
                    .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
                    .closed(),
            );
        }
    }
    rows
}

fn bad_response_chunks() -> Vec<Row> {
    let mut rows = Vec::new();
    let head = "HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked|";
    for (name, body) in [
        ("a size that is none", "x|"),
        ("a bare LF after a size", "2\nab|0||"),
        ("no CRLF after data", "2|abc|0||"),
        ("a size of 2^63", "8000000000000000|"),
        ("a blank after a size", "2 |ab|0||"),
        ("a blank before one", " 2|ab|0||"),
        ("an empty size", "|"),
        ("a bare LF at the end", "2|ab|0|\n"),
        ("a trailer without a colon", "0|A||"),
        ("a NUL in a trailer", "0|A: \0||"),
        ("a bad extension", "2;=|ab|0||"),
    ] {
        rows.push(
            bad_answer(format!("answer in chunks with {name}"), format!("{head}|{body}"))
                .or_cut(format!("{head}{VIA}|{body}")),
        );
    }
    for (name, cut, seen) in [
        ("in its data", "5|hel", "5|hel"),
        ("after its data", "2|ab|", "2|ab|"),
        ("before its trailers", "2|ab|0|", "2|ab|0|"),
        ("before its end", "2|ab|0", "2|ab|"),
    ] {
        rows.push(
            answered(
                format!("answer in chunks cut {name}"),
                format!("{head}|{cut}{{close}}"),
                format!("{head}{VIA}|{seen}"),
            )
            .broken(),
        );
    }
    rows.push(
        answered(
            "answer in chunks cut, to HTTP/1.0",
            format!("{head}|5|hel{{close}}"),
            format!("HTTP/1.1 200 OK|Date: X|{VIA}Connection: close||hel"),
        )
        .sends("GET / HTTP/1.0|Host: h||")
        .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
        .reset(),
    );
    rows
}

fn until_close() -> Vec<Row> {
    let seen = format!("HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked|{VIA}|");
    vec![
        answered(
            "an answer until close",
            "HTTP/1.1 200 OK|Date: X||hello{close}",
            format!("{seen}5|hello|0||"),
        )
        .rechunked()
        .drops(),
        answered(
            "an answer until a half-close",
            "HTTP/1.1 200 OK|Date: X||hello{finish}",
            format!("{seen}5|hello|0||"),
        )
        .rechunked()
        .drops(),
        answered("an empty answer until close", "HTTP/1.1 200 OK|Date: X||{close}", format!("{seen}0||"))
            .rechunked()
            .drops(),
        answered(
            "a long answer until close",
            "HTTP/1.1 200 OK|Date: X||{x*200000}{close}",
            format!("{seen}30d40|{{x*200000}}|0||"),
        )
        .rechunked()
        .drops(),
        answered(
            "an answer of HTTP/1.0 until close",
            "HTTP/1.0 200 OK|Date: X||hello{close}",
            "HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked|Via: 1.0 tidegate||5|hello|0||",
        )
        .rechunked()
        .drops(),
        answered(
            "an answer until close to HTTP/1.0",
            "HTTP/1.1 200 OK|Date: X||hello{close}",
            format!("HTTP/1.1 200 OK|Date: X|{VIA}Connection: close||hello"),
        )
        .sends("GET / HTTP/1.0|Host: h|Connection: keep-alive||")
        .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
        .closed()
        .drops(),
        answered("an answer until close ended by a reset", "HTTP/1.1 200 OK|Date: X||{reset}", seen.clone())
            .rechunked()
            .or_instead("{502 keep}")
            .broken(),
        answered(
            "an answer until close ended by a reset, to HTTP/1.0",
            "HTTP/1.1 200 OK|Date: X||{reset}",
            format!("HTTP/1.1 200 OK|Date: X|{VIA}Connection: close||"),
        )
        .sends("GET / HTTP/1.0|Host: h||")
        .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
        .reset(),
    ]
}

fn bodiless() -> Vec<Row> {
    let head = |row: Row| row.sends("HEAD / HTTP/1.1|Host: h||").reaches(&["HEAD / HTTP/1.1|Host: h|{fwd}|"]);
    let mut rows = vec![
        head(answered(
            "HEAD with a length",
            "HTTP/1.1 200 OK|Date: X|Content-Length: 99||",
            format!("HTTP/1.1 200 OK|Date: X|Content-Length: 99|{VIA}|"),
        )),
        head(answered(
            "HEAD with chunked",
            "HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked||",
            format!("HTTP/1.1 200 OK|Date: X|{VIA}|"),
        )),
        head(answered(
            "HEAD without either",
            "HTTP/1.1 200 OK|Date: X||",
            format!("HTTP/1.1 200 OK|Date: X|{VIA}|"),
        )),
        head(answered(
            "HEAD of a 404",
            "HTTP/1.1 404 No|Date: X|Content-Length: 9||",
            format!("HTTP/1.1 404 No|Date: X|Content-Length: 9|{VIA}|"),
        )),
        head(answered(
            "HEAD that gets a body",
            "HTTP/1.1 200 OK|Date: X|Content-Length: 2||ok",
            format!("HTTP/1.1 200 OK|Date: X|Content-Length: 2|{VIA}|"),
        ))
        .drops(),
        answered(
            "204",
            "HTTP/1.1 204 No Content|Date: X||",
            format!("HTTP/1.1 204 No Content|Date: X|{VIA}|"),
        ),
        answered(
            "204 with a length of 0",
            "HTTP/1.1 204 No Content|Date: X|Content-Length: 0||",
            format!("HTTP/1.1 204 No Content|Date: X|{VIA}|"),
        ),
        answered(
            "204 with a length",
            "HTTP/1.1 204 No Content|Date: X|Content-Length: 2||",
            format!("HTTP/1.1 204 No Content|Date: X|{VIA}|"),
        )
        .drops(),
        answered(
            "204 with chunked",
            "HTTP/1.1 204 No Content|Date: X|Transfer-Encoding: chunked||",
            format!("HTTP/1.1 204 No Content|Date: X|{VIA}|"),
        )
        .drops(),
        answered(
            "304",
            "HTTP/1.1 304 Not Modified|Date: X|ETag: \"a\"||",
            format!("HTTP/1.1 304 Not Modified|Date: X|ETag: \"a\"|{VIA}|"),
        ),
        answered(
            "304 with a length",
            "HTTP/1.1 304 Not Modified|Date: X|Content-Length: 99||",
            format!("HTTP/1.1 304 Not Modified|Date: X|Content-Length: 99|{VIA}|"),
        ),
        answered(
            "304 with chunked",
            "HTTP/1.1 304 Not Modified|Date: X|Transfer-Encoding: chunked||",
            format!("HTTP/1.1 304 Not Modified|Date: X|{VIA}|"),
        ),
        answered(
            "205 with a length of 0",
            "HTTP/1.1 205 Reset|Date: X|Content-Length: 0||",
            format!("HTTP/1.1 205 Reset|Date: X|Content-Length: 0|{VIA}|"),
        ),
        answered(
            "205 without a length",
            "HTTP/1.1 205 Reset|Date: X||",
            format!("HTTP/1.1 205 Reset|Date: X|Content-Length: 0|{VIA}|"),
        )
        .drops(),
        answered(
            "205 in chunks",
            "HTTP/1.1 205 Reset|Date: X|Transfer-Encoding: chunked||0||",
            format!("HTTP/1.1 205 Reset|Date: X|Transfer-Encoding: chunked|{VIA}|0||"),
        ),
        bad_answer("205 with content", "HTTP/1.1 205 Reset|Date: X|Content-Length: 2||ok"),
    ];
    rows.push(
        row("HEAD from HTTP/1.0 that stays")
            .sends("HEAD / HTTP/1.0|Host: h|Connection: keep-alive||")
            .reaches(&["HEAD / HTTP/1.1|Host: h|{fwd10}|"])
            .answers(&["HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked||"])
            .sees(format!("HTTP/1.1 200 OK|Date: X|{VIA}Connection: keep-alive||")),
    );
    rows
}
