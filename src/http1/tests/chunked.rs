//! Chunked bodies accepted and refused.

use crate::buffer::Pool;
use crate::http1::Framing;
use crate::http1::Sender;
use crate::http1::body::Body;
use crate::http1::chunked::{BadChunk, Piece, Scanner};

/// Data, trailer section and number of bytes left.
type Parts = (Vec<u8>, Vec<u8>, usize);

/// What is made of a body that arrives in pieces of these sizes (the last again and again).
fn read(sender: Sender, bytes: &[u8], steps: &[usize]) -> Result<Option<Parts>, BadChunk> {
    let mut scanner = Scanner::new(sender);
    let (mut data, mut start, mut end) = (Vec::new(), 0, 0);
    let mut steps = steps.iter().copied().chain(std::iter::repeat(steps.last().copied().unwrap_or(1)));
    loop {
        let front = &bytes[start..end];
        start += match scanner.next(front)? {
            Piece::Framing { len, .. } | Piece::Last(len) => len,
            Piece::Data(len) => {
                assert!(len > 0);
                data.extend_from_slice(&front[..len]);
                len
            }
            Piece::End(len) => return Ok(Some((data, front[..len].to_vec(), bytes.len() - start - len))),
            Piece::Partial if end == bytes.len() => return Ok(None),
            Piece::Partial => {
                end = (end + steps.next().unwrap_or(1).max(1)).min(bytes.len());
                0
            }
        };
        assert!(start <= end);
    }
}

fn good(body: &[u8], data: &[u8], trailers: &[u8]) {
    good_of(Sender::Client, body, data, trailers);
    good_of(Sender::Backend, body, data, trailers);
}

fn good_of(sender: Sender, body: &[u8], data: &[u8], trailers: &[u8]) {
    let read = |bytes: &[u8], steps: &[usize]| read(sender, bytes, steps);
    let shown = body.escape_ascii();
    for behind in ["", "\r\n", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let bytes = [body, behind.as_bytes()].concat();
        let expected = Ok(Some((data.to_vec(), trailers.to_vec(), behind.len())));
        assert_eq!(read(&bytes, &[bytes.len()]), expected, "whole: {shown}");
        assert_eq!(read(&bytes, &[1]), expected, "byte by byte: {shown}");
        for split in 1..bytes.len() {
            assert_eq!(read(&bytes, &[split, bytes.len()]), expected, "split at {split}: {shown}");
        }
    }
    for len in 0..body.len() {
        assert_eq!(read(&body[..len], &[len]), Ok(None), "cut at {len}: {shown}");
    }
}

fn bad(body: &[u8]) {
    bad_of(Sender::Client, body);
    bad_of(Sender::Backend, body);
}

fn bad_of(sender: Sender, body: &[u8]) {
    let read = |bytes: &[u8], steps: &[usize]| read(sender, bytes, steps);
    let shown = body.escape_ascii();
    let whole = read(body, &[body.len()]);
    assert!(whole.is_err(), "{whole:?}: {shown}");
    assert!(read(body, &[1]).is_err(), "byte by byte: {shown}");
    for split in 1..body.len() {
        assert!(read(body, &[split, body.len()]).is_err(), "split at {split}: {shown}");
    }
    let longer = [body, b"\r\n\r\n0\r\n\r\n"].concat();
    assert!(read(&longer, &[longer.len()]).is_err(), "with more behind: {shown}");
}

#[test]
fn bodies_accepted() {
    good(b"0\r\n\r\n", b"", b"\r\n");
    good(b"0000000000000000\r\n\r\n", b"", b"\r\n");
    good(b"5\r\nhello\r\n0\r\n\r\n", b"hello", b"\r\n");
    good(
        b"00a\r\n0123456789\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n00\r\n\r\n",
        b"0123456789\r\n\r\n\r\n\r\n\r\n",
        b"\r\n",
    );
    good(b"1\r\n\n\r\n1\r\n\0\r\n0\r\n\r\n", b"\n\0", b"\r\n");
    good(b"1;a\r\nx\r\n0;b=c\r\n\r\n", b"x", b"\r\n");
    good(b"1;a;b;c=d;e=\"f\"\r\nx\r\n0\r\n\r\n", b"x", b"\r\n");
    good(b"1;a=\"\"\r\nx\r\n0\r\n\r\n", b"x", b"\r\n");
    good(b"1;a=\"; \t\\\"\\\\\xff\"\r\nx\r\n0\r\n\r\n", b"x", b"\r\n");
    good(b"1 ; a = b\r\nx\r\n0 \t;\tb\r\n\r\n", b"x", b"\r\n");
    good(b"1; a;b =c; d= \"e;f\"\t;g\r\nx\r\n0\r\n\r\n", b"x", b"\r\n");
    good(b"00000000000000001\r\nx\r\n00000000000000000000\r\n\r\n", b"x", b"\r\n");
    good(b"000000000000000000000000a;b\r\n0123456789\r\n0\r\n\r\n", b"0123456789", b"\r\n");
    good(b"0\r\nA: b\r\n\r\n", b"", b"A: b\r\n\r\n");
    good(b"1\r\nx\r\n0\r\nA:\r\nB: \xe9\t c \r\n\r\n", b"x", b"A:\r\nB: \xe9\t c \r\n\r\n");
}

#[test]
fn bodies_refused() {
    for line in [
        "",
        " 1",
        "\t1",
        "x",
        "0x1",
        "+1",
        "-1",
        "1x",
        "g",
        "1,1",
        "1.0",
        "\u{661}",
        "1;",
        "1; ",
        "1 ;",
        "1;a =",
        "1;a= ",
        "1;a = ;b",
        "1 a",
        "1 1",
        "1 =a",
        "1;a b=c",
        "1;a=b c",
        "1;a=\"b\" c",
        "1\u{b}",
        "0 0",
        "000000000000000010000000000000000",
        "1;;a",
        "1;=b",
        "1;a=",
        "1;a=;b",
        "1;a=\"",
        "1;a=\"b",
        "1;a=\"b\"c",
        "1;a=\"\0\"",
        "1;a=\"\\\0\"",
        "1;a b",
        "1;a\0",
        "1;(",
        "1;a=(",
        "1;\u{e9}",
        "1:a",
        "1\r",
        "8000000000000000",
        "ffffffffffffffff",
        "10000000000000000",
        "1;a=b=c",
        "1;a=\"\u{7f}\"",
        "1;a;",
        ";a",
    ] {
        bad(format!("{line}\r\nx\r\n0\r\n\r\n").as_bytes());
    }
    for body in [
        "1\nx\r\n0\r\n\r\n",
        "1\r\nx\n0\r\n\r\n",
        "1\r\nx0\r\n\r\n",
        "1\r\nxy\r\n0\r\n\r\n",
        "2\r\nx\r\n0\r\n\r\n",
        "1\r\nx\r\r\n0\r\n\r\n",
        "1\r\nx\r\n0\n\r\n",
        "1\r\nx\r\n0\r\n\n",
        "\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "1\rx\r\n0\r\n\r\n",
        "1;a\nx\r\n0\r\n\r\n",
        "1;a=\"b\nc\"\r\nx\r\n0\r\n\r\n",
        "1;a=\"b\r\nc\"\r\nx\r\n0\r\n\r\n",
        "1\r\nx\r\n\r\n0\r\n\r\n",
        "1\r\nx \r\n0\r\n\r\n",
    ] {
        bad(body.as_bytes());
    }
    for section in [
        "A: b\n",
        "A\r\n",
        ": b\r\n",
        " A: b\r\n",
        " : b\r\n",
        "A \r\n",
        "A: b\r\n c\r\n",
        "A: b\rc\r\n",
        "A: \0\r\n",
        "A: \u{7f}\r\n",
        "A@: b\r\n",
        "A: b\r\n\n",
        "A b: c\r\n",
        "A: b\r\nB\r\n",
        "\rA: b\r\n",
        "A: b\r\r\n",
    ] {
        bad(format!("0\r\n{section}\r\n").as_bytes());
    }
}

/// Some servers fill the line up to a fixed width. A client's blanks could be there for another reader.
#[test]
fn blanks_before_a_line_end_are_taken_from_backends_only() {
    for body in ["1 \r\nx\r\n0\r\n\r\n", "1\t   \r\nx\r\n0   \r\n\r\n", "1;a=b \r\nx\r\n0 ; c \r\n\r\n"] {
        good_of(Sender::Backend, body.as_bytes(), b"x", b"\r\n");
        bad_of(Sender::Client, body.as_bytes());
    }
    let trailer = b"1\r\nx\r\n0\r\nA \t: b\r\n\r\n";
    good_of(Sender::Backend, trailer, b"x", b"A \t: b\r\n\r\n");
    bad_of(Sender::Client, trailer);
}

/// Of a chunk-size line only its number goes on, however the body is cut.
#[test]
fn only_the_number_of_a_size_line_goes_on() {
    for (body, sent) in [
        ("5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("0005\r\nhello\r\n000\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("05;a\r\nhello\r\n00;b=c\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("5 ; a = \"b\"\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("00000005   \r\nhello\r\n5\t\r\nagain\r\n0  \r\n\r\n", "5\r\nhello\r\n5\r\nagain\r\n0\r\n\r\n"),
        ("5\r\nhello\r\n0\r\nA : b\r\nHost : c\r\nD:e\r\n\r\n", "5\r\nhello\r\n0\r\nA: b\r\nD:e\r\n\r\n"),
    ] {
        for step in 1..=body.len() {
            let mut buffer = Pool::default().take(1024);
            let mut flow = Body::of_answer(Framing::Chunked, Framing::Chunked, true);
            let mut seen = Vec::new();
            for piece in body.as_bytes().chunks(step) {
                buffer.spare()[..piece.len()].copy_from_slice(piece);
                buffer.commit(piece.len());
                flow.advance(&mut buffer).unwrap();
                let count = buffer.ready().len();
                seen.extend_from_slice(buffer.ready());
                buffer.sent(count);
            }
            assert!(flow.is_finished(), "{body:?} by {step}");
            assert_eq!(String::from_utf8(seen).unwrap(), sent, "{body:?} by {step}");
        }
    }
}

#[test]
fn what_may_be_forwarded_as_it_is() {
    let first = |bytes: &[u8]| Scanner::new(Sender::Client).next(bytes);
    assert_eq!(first(b"5\r\nhel"), Ok(Piece::Framing { len: 3, plain: true }));
    assert_eq!(first(b"5;a=b\r\n"), Ok(Piece::Framing { len: 7, plain: false }));
    assert_eq!(first(b"05\r\n"), Ok(Piece::Framing { len: 4, plain: false }));
    assert_eq!(first(b"5 ;a\r\n"), Ok(Piece::Framing { len: 6, plain: false }));
    assert_eq!(first(b"50\r\n"), Ok(Piece::Framing { len: 4, plain: true }));
    assert_eq!(first(b"0;a\r\n\r\n"), Ok(Piece::Last(5)));
    assert_eq!(first(b""), Ok(Piece::Partial));
    let mut scanner = Scanner::new(Sender::Client);
    assert_eq!(scanner.next(b"7fffffffffffffff\r\n"), Ok(Piece::Framing { len: 18, plain: true }));
    assert_eq!(scanner.next(b""), Ok(Piece::Partial));
    assert_eq!(scanner.next(b"abc"), Ok(Piece::Data(3)));
}

#[test]
fn extensions_are_bounded() {
    let line = |len: usize| format!("1;{}\r\nx\r\n", "a".repeat(len - 4));
    let end = "0\r\n\r\n";
    let read_whole = |body: String| read(Sender::Backend, body.as_bytes(), &[body.len()]);
    assert!(read_whole(format!("{}{end}", line(4096))).is_ok());
    assert!(read_whole(format!("{}{end}", line(4097))).is_err());
    assert!(Scanner::new(Sender::Client).next(&line(5000).as_bytes()[..4095]).is_ok());
    assert!(Scanner::new(Sender::Client).next(&line(5000).as_bytes()[..4096]).is_err());
    // 4,096 bytes of line less the size digit and CRLF, 16 times, is 65,488; one more small one may pass 65,536.
    assert!(read_whole(format!("{}{end}", line(4096).repeat(16))).is_ok());
    assert!(read_whole(format!("{}{}{end}", line(4096).repeat(16), line(100))).is_err());
    // Sizes of a fixed width may go on for ever, whole lines of padding may not; a line has its bound in any case.
    let padded =
        |zeros: usize, blanks: usize| format!("{}1{}\r\nx\r\n", "0".repeat(zeros), " ".repeat(blanks));
    assert!(read_whole(format!("{}{end}", padded(8, 8).repeat(70_000))).is_ok());
    assert!(read_whole(format!("{}{end}", padded(4093, 0))).is_ok());
    assert!(read_whole(format!("{}{end}", padded(4094, 0))).is_err());
    assert!(read_whole(format!("{}{end}", padded(0, 4093))).is_ok());
    assert!(read_whole(format!("{}{end}", padded(0, 4094))).is_err());
    assert!(read_whole(format!("{}{end}", padded(2000, 2000).repeat(16))).is_ok());
    assert!(read_whole(format!("{}{end}", padded(2000, 2000).repeat(17))).is_err());
}

#[test]
fn trailers_are_bounded() {
    let body = |fields: usize, len: usize| {
        format!("0\r\n{}\r\n", format!("A: {}\r\n", "b".repeat(len - 5)).repeat(fields))
    };
    for step in [1, 7, 100_000] {
        let read = |body: String| read(Sender::Client, body.as_bytes(), &[step]);
        assert!(read(body(64, 10)).is_ok());
        assert!(read(body(65, 10)).is_err());
        assert!(read(body(1, 8190)).is_ok());
        assert!(read(body(1, 8191)).is_err());
    }
}
