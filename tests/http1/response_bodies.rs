//! Where response bodies end (RFC 9112 sections 6 and 7), and how they are framed anew for the client.

use super::row::{Row, answered, bad_answer, row};

pub fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(chunks());
    rows.extend(bad_chunks());
    rows.extend(until_close());
    rows.extend(heads());
    rows.extend(bodiless());
    rows
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

fn lengths() -> Vec<Row> {
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
    let (padded, plain) = ("Content-Length: 005|", format!("Content-Length: 5|{VIA}"));
    rows.push(body("answer of a length with zeros in front", padded, "hello", &plain, "hello"));
    for (name, field) in [("a blank", "Content-Length : 5|"), ("tabs", "Content-Length\t\t: 05|")] {
        rows.push(body(
            &format!("answer of a length with {name} before the colon"),
            field,
            "hello",
            &plain,
            "hello",
        ));
    }
    rows.push(body(
        "answer of a length of zeros only",
        "Content-Length: 00|",
        "",
        &format!("Content-Length: 0|{VIA}"),
        "",
    ));
    rows.push(
        body("answer of a length with zeros in front to HTTP/1.0", padded, "hello", "", "")
            .sees(format!("HTTP/1.1 200 OK|Date: X|{plain}Connection: keep-alive||hello"))
            .sends("GET / HTTP/1.0|Host: h|Connection: keep-alive||")
            .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"]),
    );
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
        ("a length and chunked with a blank", "Content-Length: 2|Transfer-Encoding : chunked|"),
        ("two lengths, one with a blank", "Content-Length : 2|Content-Length: 2|"),
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

fn chunks() -> Vec<Row> {
    let chunked = |name: &str, content: &str, seen: &str| {
        let (fields, seen_fields) =
            ("Transfer-Encoding: chunked|", format!("Transfer-Encoding: chunked|{VIA}"));
        body(name, fields, content, &seen_fields, seen)
    };
    let mut rows = vec![
        chunked("answer without a chunk", "0||", "0||"),
        chunked("answer in chunks", "2|ab|3|cde|0||", "2|ab|3|cde|0||"),
        body(
            "answer in chunks, a blank before the colon",
            "Transfer-Encoding : chunked|",
            "2|ab|3|cde|0||",
            &format!("Transfer-Encoding: chunked|{VIA}"),
            "2|ab|3|cde|0||",
        ),
        chunked("answer in a large chunk", "186a0|{x*100000}|0||", "186a0|{x*100000}|0||"),
        chunked("answer with extensions", "2;a=b|ab|0;c||", "2|ab|0||"),
        chunked("answer with blanks about extensions", "2 ; a\t= b |ab|0 ;c||", "2|ab|0||"),
        chunked("answer with blanks behind its sizes", "2   |ab|3\t|cde|0    ||", "2|ab|3|cde|0||"),
        chunked(
            "answer with sizes of a fixed width",
            "00000002|ab|00000003|cde|00000000||",
            "2|ab|3|cde|0||",
        ),
        chunked("answer with zeros and blanks about its sizes", "{0*40}2 |ab|{0*40}  ||", "2|ab|0||"),
        chunked(
            "answer with a blank before the colon of a trailer",
            "2|ab|0|A : b|Content-Length : 9||",
            "2|ab|0|A: b||",
        )
        .sends("GET / HTTP/1.1|Host: h|TE: trailers|Connection: TE||")
        .reaches(&["GET / HTTP/1.1|Host: h|{fwd}Connection: TE|TE: trailers||"]),
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
        ("chunks with blanks and zeros to HTTP/1.0", "2 |ab|003 ; y|cde|00 ||"),
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

fn bad_chunks() -> Vec<Row> {
    let mut rows = Vec::new();
    let head = "HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked|";
    for (name, body) in [
        ("a size that is none", "x|"),
        ("a bare LF after a size", "2\nab|0||"),
        ("no CRLF after data", "2|abc|0||"),
        ("a size of 2^63", "8000000000000000|"),
        ("a blank in a size", "2 2|ab|0||"),
        ("a blank and a bare LF after a size", "2 \nab|0||"),
        ("an extension of two words", "2;a b|ab|0||"),
        ("a blank before one", " 2|ab|0||"),
        ("an empty size", "|"),
        ("a bare LF at the end", "2|ab|0|\n"),
        ("a trailer without a colon", "0|A||"),
        ("a trailer without a colon behind its blank", "0|A ||"),
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
        answered("an answer until close ended by a reset", "HTTP/1.1 200 OK|Date: X||{reset}", seen)
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

fn heads() -> Vec<Row> {
    let head = |row: Row| {
        row.sends("HEAD / HTTP/1.1|Host: h||").reaches(&["HEAD / HTTP/1.1|Host: h|{fwd}|"]).trusting()
    };
    vec![
        head(answered(
            "HEAD with a length",
            "HTTP/1.1 200 OK|Date: X|Content-Length: 99||",
            format!("HTTP/1.1 200 OK|Date: X|Content-Length: 99|{VIA}|"),
        )),
        head(answered(
            "HEAD with a length with zeros in front",
            "HTTP/1.1 200 OK|Date: X|Content-Length: 099||",
            format!("HTTP/1.1 200 OK|Date: X|Content-Length: 99|{VIA}|"),
        )),
        head(answered(
            "HEAD with a blank before the colon of the length",
            "HTTP/1.1 200 OK|Date: X|Content-Length : 99||",
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
        row("HEAD from HTTP/1.0 that stays")
            .sends("HEAD / HTTP/1.0|Host: h|Connection: keep-alive||")
            .reaches(&["HEAD / HTTP/1.1|Host: h|{fwd10}|"])
            .answers(&["HTTP/1.1 200 OK|Date: X|Transfer-Encoding: chunked||"])
            .sees(format!("HTTP/1.1 200 OK|Date: X|{VIA}Connection: keep-alive||"))
            .trusting(),
    ]
}

fn bodiless() -> Vec<Row> {
    vec![
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
        )
        .trusting(),
        answered(
            "304 with a length with zeros in front",
            "HTTP/1.1 304 Not Modified|Date: X|Content-Length: 099||",
            format!("HTTP/1.1 304 Not Modified|Date: X|Content-Length: 99|{VIA}|"),
        )
        .trusting(),
        answered(
            "304 with chunked",
            "HTTP/1.1 304 Not Modified|Date: X|Transfer-Encoding: chunked||",
            format!("HTTP/1.1 304 Not Modified|Date: X|{VIA}|"),
        )
        .trusting(),
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
            format!("HTTP/1.1 205 Reset|Date: X|Content-Length: 0|{VIA}|"),
        )
        .drops(),
        answered(
            "205 in chunks with content",
            "HTTP/1.1 205 Reset|Date: X|Transfer-Encoding: chunked||5|hello|0||",
            format!("HTTP/1.1 205 Reset|Date: X|Content-Length: 0|{VIA}|"),
        )
        .drops(),
        bad_answer("205 with content", "HTTP/1.1 205 Reset|Date: X|Content-Length: 2||ok"),
    ]
}
