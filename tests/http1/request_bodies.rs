//! Where request bodies end (RFC 9112 sections 6 and 7), and which framing is refused.

use super::row::{Row, passes, refused};

pub fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(bad_lengths());
    rows.extend(codings());
    rows.extend(chunks());
    rows
}

const POST: &str = "POST / HTTP/1.1|Host: h|";

/// A POST with these framing fields and body, and what reaches the origin of it.
fn post(name: &str, sends: &str, reaches: &str) -> Row {
    passes(name, format!("{POST}{sends}"), format!("{POST}{reaches}"))
}

fn lengths() -> Vec<Row> {
    vec![
        post("length 0", "Content-Length: 0||", "Content-Length: 0|{fwd}|"),
        post("length 5", "Content-Length: 5||hello", "Content-Length: 5|{fwd}|hello"),
        post("length with zeros in front", "Content-Length: 0005||hello", "Content-Length: 5|{fwd}|hello"),
        post(
            "length of 20 digits, and a field behind it",
            "Content-Length: 00000000000000000005|A: b||hello",
            "A: b|Content-Length: 5|{fwd}|hello",
        ),
        post("length of zeros only", "Content-Length: 000||", "Content-Length: 0|{fwd}|"),
        post(
            "length with zeros in front that Connection names",
            "Connection: Content-Length|Content-Length: 02||ab",
            "Content-Length: 2|{fwd}|ab",
        ),
        passes(
            "length with zeros in front of HTTP/1.0",
            "POST / HTTP/1.0|Host: h|Content-Length: 010||0123456789",
            "POST / HTTP/1.1|Host: h|Content-Length: 10|{fwd10}|0123456789",
        )
        .sees("{OK close}")
        .closed(),
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
        )
        .drops(),
        passes(
            "a DELETE with a body",
            "DELETE / HTTP/1.1|Host: h|Content-Length: 2||ab",
            "DELETE / HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab",
        )
        .drops(),
        passes(
            "an OPTIONS * with a body",
            "OPTIONS * HTTP/1.1|Host: h|Content-Length: 2||ab",
            "OPTIONS * HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab",
        )
        .drops(),
        passes(
            "HTTP/1.0 with a body",
            "POST / HTTP/1.0|Host: h|Content-Length: 2||ab",
            "POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd10}|ab",
        )
        .sees("{OK close}")
        .closed(),
        refused("a TRACE with a body", 400, "TRACE / HTTP/1.1|Host: h|Content-Length: 2||ab"),
    ]
}

fn bad_lengths() -> Vec<Row> {
    let mut rows = Vec::new();
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
        ("of 21 digits", "000000000000000000005"),
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

fn codings() -> Vec<Row> {
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

fn chunks() -> Vec<Row> {
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
        chunked("zeros in front of a size", "00002|ab|000||", "2|ab|0||"),
        chunked("more zeros in front of a size than a number has digits", "{0*40}2|ab|{0*40}||", "2|ab|0||"),
        chunked("as many zeros as a line takes", "{0*4093}2|ab|0||", "2|ab|0||"),
        chunked("blanks about an extension", "2 ; a\t=  b ;c|ab|0\t;d||", "2|ab|0||"),
        chunked("blanks about a quoted extension", "2; a = \" ; \";b|ab|0||", "2|ab|0||"),
        chunked("zeros and an extension behind blanks", "002 ;a|ab|00 ;b||", "2|ab|0||"),
        chunked("data of CRLFs and zeros", "a|0||0|\n\r|0||", "a|0||0|\n\r|0||"),
        chunked("an extension", "2;a|bc|0||", "2|bc|0||"),
        chunked("an extension with a value", "2;a=b;c=d|bc|0;e||", "2|bc|0||"),
        chunked("an extension with a quoted value", "2;a=\"b;\\\"c\"|bc|0||", "2|bc|0||"),
        chunked("a large chunk", "186a0|{x*100000}|0||", "186a0|{x*100000}|0||"),
        chunked("trailers", "2|ab|0|A: b|C:||", "2|ab|0|A: b|C:||"),
        chunked(
            "trailers of which some must not be",
            "2|ab|0|Host: x|A: b|Content-Length: 9|X-Real-IP: 1|True-Client-IP: 2|X_Forwarded_For: 3||",
            "2|ab|0|A: b||",
        ),
        chunked("trailers without a chunk", "0|A: b||", "0|A: b||"),
        post(
            "trailers that are announced",
            "Trailer: A|Transfer-Encoding: chunked||2|ab|0|A: b||",
            "Transfer-Encoding: chunked|{fwd}|2|ab|0|A: b||",
        ),
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
        ("a tab after a size", "2\t|ab|0||"),
        ("a blank after an extension", "2;a |ab|0||"),
        ("a blank and a bare LF after a size", "2 \nab|0||"),
        ("a blank in a size", "2 2|ab|0||"),
        ("a size of 2^63", "8000000000000000|"),
        ("a size of 17 digits", "10000000000000000|"),
        ("a bare LF after a size", "2\nab|0||"),
        ("a bare LF after data", "2|ab\n0||"),
        ("no CRLF after data", "2|abc|0||"),
        ("a bare CR after a size", "2\rab|0||"),
        ("an extension without a name", "2;|ab|0||"),
        ("an extension without a name behind blanks", "2 ; |ab|0||"),
        ("an extension of two words", "2;a b|ab|0||"),
        ("a blank after the last size", "2|ab|0 ||"),
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
    rows.push(cut_request("a zero too many for a line", "{0*4094}2|ab|0||"));
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
