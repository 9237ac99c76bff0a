//! One exchange as a CSV row.
//!
//! Pure: a row and the wall clock's reading come in, bytes go out. Quoting is the csv crate's; numbers come from
//! a table because `format!` alone would cost more than the rest of the row. Absent: files, threads, clocks.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use jiff::Timestamp;

use super::text::{STRETCH_MAX, Text, Word};
use crate::clock::Time;
use crate::digits::three_digits;

/// The header line, its newline included. The first five columns are the original system's.
pub const HEADER: &str = "timestamp,backend_url,latency_ms,status_code,routing_mode,method,path,client,connect_us,\
                          ttfb_us,total_us,bytes_in,bytes_out,attempts,reused,reason\n";

/// The by-value part of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// When the exchange ended.
    pub at: Time,
    /// The client's address.
    pub client: SocketAddr,
    /// Index into [`Names::backends`] of the last backend tried; `None` when none was chosen.
    pub backend: Option<u32>,
    /// Index into [`Names::routings`].
    pub routing: u8,
    /// The status sent to the client (or the one that would have been).
    pub status: u16,
    /// Microseconds from just before sending upstream to the last byte; `None` when nothing was sent.
    pub latency_us: Option<u64>,
    /// Microseconds the connect took; `None` on a reused connection.
    pub connect_us: Option<u64>,
    /// Microseconds from just before sending upstream to the first byte of the answer.
    pub ttfb_us: Option<u64>,
    /// Microseconds from the request's first byte to the end of the exchange.
    pub total_us: u64,
    /// Bytes received from the client for this request, head and framing included.
    pub bytes_in: u64,
    /// Bytes sent to the client for this request, head and framing included.
    pub bytes_out: u64,
    /// How many times a backend was tried.
    pub attempts: u32,
    /// Whether the last attempt went over a pooled connection.
    pub reused: bool,
}

/// A whole row; the text is borrowed from the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// Numbers and addresses.
    pub facts: Facts,
    /// Request method as received; need not be UTF-8.
    pub method: &'a [u8],
    /// Request target as received; need not be UTF-8.
    pub path: &'a [u8],
    /// Short free text: `ok`, `client_gone`, `connect_refused`, …
    pub reason: &'a str,
}

/// The texts that rows name by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Canonical routing names.
    pub routings: Vec<String>,
    /// Backend URLs such as `http://127.0.0.1:8081`.
    pub backends: Vec<String>,
}

/// Lays rows out as CSV lines. What most rows have in common with the row before is kept as text.
#[derive(Debug)]
pub struct RowEncoder {
    /// The second whose text `stamp` starts with.
    second: i64,
    /// `2026-01-31T12:00:00.000000Z,`; the six digits are overwritten for each row.
    stamp: [u8; STAMP_ROOM],
    /// The names as fields, commas included.
    backends: Vec<Word>,
    routings: Vec<Word>,
    /// The client address last written, and its text with the colon before the port.
    client: IpAddr,
    scope: u32,
    client_text: Word,
    /// The row as far as its parts are short.
    text: Text,
}

const STAMP_DIGITS: usize = "2026-01-31T12:00:00.".len();
const STAMP_BYTES: usize = STAMP_DIGITS + "000000Z,".len();
/// A little more, since copies are of round sizes.
const STAMP_ROOM: usize = 32;

impl RowEncoder {
    /// An encoder for rows whose indices mean `names`.
    pub fn new(names: &Names) -> RowEncoder {
        let mut stamp = [0; STAMP_ROOM];
        stamp[..STAMP_BYTES].copy_from_slice(b"1970-01-01T00:00:00.000000Z,");
        let mut encoder = RowEncoder {
            second: 0,
            stamp,
            backends: Vec::new(),
            routings: Vec::new(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            scope: 0,
            client_text: Word::new(b"0.0.0.0:"),
            text: Text::new(),
        };
        encoder.set_names(names);
        encoder
    }

    /// What the indices of the rows to come mean.
    pub fn set_names(&mut self, names: &Names) {
        let as_words = |names: &[String]| {
            let mut field = Vec::new();
            let word = |name: &String| {
                field.clear();
                push_text(&mut field, name.as_bytes());
                Word::new(&field)
            };
            names.iter().map(word).collect()
        };
        self.backends = as_words(&names.backends);
        self.routings = as_words(&names.routings);
    }

    /// Appends the line of `row`, whose exchange ended `unix_micros` after 1970-01-01T00:00:00Z. An index without a
    /// name leaves its field empty.
    pub fn encode(&mut self, row: &Row<'_>, unix_micros: i64, line: &mut Vec<u8>) {
        let facts = &row.facts;
        self.set_micros(unix_micros);
        self.set_client(facts.client);
        let text = &mut self.text;
        text.clear();
        text.push(&self.stamp, STAMP_BYTES);
        push_name(text, &self.backends, facts.backend.map(|index| index as usize), line);
        text.push_millis(facts.latency_us);
        text.push_number(u64::from(facts.status));
        push_name(text, &self.routings, Some(usize::from(facts.routing)), line);
        match row.method {
            b"GET" => text.push(b"GET,", 4), // one store, and by far the most
            method => push_apart(text, method, line),
        }
        if row.path.len() <= STRETCH_MAX && is_plain(row.path) {
            text.push_slice(row.path);
            text.push(b",", 1);
        } else {
            push_apart(text, row.path, line);
        }
        text.push_word(&self.client_text, line);
        text.push_number(u64::from(facts.client.port()));
        text.push_if_any(facts.connect_us);
        text.push_if_any(facts.ttfb_us);
        text.push_number(facts.total_us);
        text.push_number(facts.bytes_in);
        text.push_number(facts.bytes_out);
        text.push_number(u64::from(facts.attempts));
        text.push(if facts.reused { b"1," } else { b"0," }, 2);
        match row.reason {
            "ok" => text.push(b"ok,", 3),
            reason => push_apart(text, reason.as_bytes(), line),
        }
        text.flush(line);
        if let Some(last) = line.last_mut() {
            *last = b'\n'; // every field ended in a comma
        }
    }

    fn set_micros(&mut self, unix_micros: i64) {
        let second = unix_micros.div_euclid(1_000_000);
        if second != self.second {
            self.set_second(second);
        }
        let fraction = unix_micros.rem_euclid(1_000_000) as u64;
        let (high, low) = (three_digits(fraction / 1_000).0, three_digits(fraction % 1_000).0);
        let digits = (high | low << 24).to_le_bytes();
        self.stamp[STAMP_DIGITS..STAMP_DIGITS + 6].copy_from_slice(&digits[..6]);
    }

    /// Rows come in order of time, so this runs about once a second.
    #[cold]
    fn set_second(&mut self, second: i64) {
        self.second = second;
        // A second jiff cannot hold (before year -9999 or after 9999) is no date anyone logs: the epoch stands for it.
        let date = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let plain = if date.len() == STAMP_DIGITS { date.as_str() } else { "1970-01-01T00:00:00Z" };
        self.stamp[..STAMP_DIGITS - 1].copy_from_slice(&plain.as_bytes()[..STAMP_DIGITS - 1]);
    }

    /// An address as the standard library prints it. Laying it out costs as much as half the row, and the row before is
    /// often the same client's.
    fn set_client(&mut self, client: SocketAddr) {
        let scope = if let SocketAddr::V6(v6) = client { v6.scope_id() } else { 0 };
        if client.ip() == self.client && scope == self.scope {
            return;
        }
        (self.client, self.scope) = (client.ip(), scope);
        let mut text = [0; 64]; // the longest takes 60
        let mut rest = &mut text[..];
        let _ = match client {
            SocketAddr::V4(v4) => write!(rest, "{}:", v4.ip()),
            SocketAddr::V6(v6) if scope == 0 => write!(rest, "[{}]:", v6.ip()),
            SocketAddr::V6(v6) => write!(rest, "[{}%{scope}]:", v6.ip()),
        };
        let left = rest.len();
        self.client_text = Word::new(&text[..text.len() - left]);
    }
}

#[inline(always)]
fn push_name(text: &mut Text, names: &[Word], index: Option<usize>, line: &mut Vec<u8>) {
    match index.and_then(|index| names.get(index)) {
        Some(name) => text.push_word(name, line),
        None => text.push(b",", 1),
    }
}

/// What may be long or in need of quotes goes to the line by itself, behind what is in `text`.
fn push_apart(text: &mut Text, field: &[u8], line: &mut Vec<u8>) {
    text.flush(line);
    push_text(line, field);
}

/// Free text and a comma. Text without a byte that CSV treats specially goes in as it is; the rest is the csv crate's.
fn push_text(line: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) || !text.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n')) {
        line.extend_from_slice(text);
    } else {
        push_quoted(line, text);
    }
    line.push(b',');
}

/// Whether there is surely nothing special in it: none of that is above the comma, and few others are below it, `/`,
/// letters and digits are not.
fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(u8::MAX, |least, byte| least.min(*byte)) > b','
}

#[cold]
fn push_quoted(line: &mut Vec<u8>, text: &[u8]) {
    let mut record = csv::Writer::from_writer(&mut *line);
    // Writing to a Vec cannot fail.
    let _ = record.write_record([text]);
    let _ = record.flush();
    drop(record);
    line.pop(); // its line end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{facts, names, row};
    use proptest::prelude::*;

    fn fields(row: &Row<'_>, unix_micros: i64) -> Vec<String> {
        let mut line = Vec::new();
        RowEncoder::new(&names()).encode(row, unix_micros, &mut line);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&line[..]);
        let record = reader.byte_records().next().unwrap().unwrap();
        record.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect()
    }

    #[test]
    fn every_column_is_where_the_header_says() {
        let columns: Vec<&str> = HEADER.trim_end().split(',').collect();
        let written = fields(&row(), 1_767_225_600_000_042);
        let expected = [
            ("timestamp", "2026-01-01T00:00:00.000042Z"),
            ("backend_url", "http://127.0.0.1:8082"),
            ("latency_ms", "200.123"),
            ("status_code", "200"),
            ("routing_mode", "adaptive_sma"),
            ("method", "GET"),
            ("path", "/a?b=c"),
            ("client", "10.20.30.40:50123"),
            ("connect_us", ""),
            ("ttfb_us", "200001"),
            ("total_us", "200300"),
            ("bytes_in", "78"),
            ("bytes_out", "230"),
            ("attempts", "1"),
            ("reused", "1"),
            ("reason", "ok"),
        ];
        let pairs: Vec<(&str, &str)> =
            columns.iter().copied().zip(written.iter().map(String::as_str)).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn absent_values_are_empty_fields() {
        let nothing = Facts { backend: None, latency_us: None, ttfb_us: None, routing: 9, ..facts() };
        let written = fields(&Row { facts: nothing, ..row() }, 0);
        for column in [1, 2, 4, 8, 9] {
            assert_eq!(written[column], "", "column {column}");
        }
        let beyond = Facts { backend: Some(77), latency_us: Some(7), ..facts() };
        let written = fields(&Row { facts: beyond, ..row() }, 0);
        assert_eq!((written[1].as_str(), written[2].as_str()), ("", "0.007"));
    }

    #[test]
    fn the_cached_second_is_renewed_in_both_directions() {
        let mut encoder = RowEncoder::new(&names());
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (999_999, "1970-01-01T00:00:00.999999Z"),
            (1_000_000, "1970-01-01T00:00:01.000000Z"),
            (951_826_154_300_007, "2000-02-29T12:09:14.300007Z"),
            (1_000_000, "1970-01-01T00:00:01.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (i64::MAX, "1970-01-01T00:00:00.775807Z"),
        ];
        for (micros, expected) in cases {
            let mut line = Vec::new();
            encoder.encode(&row(), micros, &mut line);
            assert_eq!(std::str::from_utf8(&line[..27]).unwrap(), expected, "{micros}");
        }
    }

    #[test]
    fn addresses_read_as_the_standard_library_prints_them() {
        let mut encoder = RowEncoder::new(&names());
        let texts = [
            "0.0.0.0:0",
            "255.255.255.255:65535",
            "127.0.0.1:80",
            "[::1]:443",
            "[fe80::1:2]:9",
            "[fe80::1%3]:9",
            "[fe80::1%4]:9",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
        ];
        for text in texts.into_iter().flat_map(|text| [text, text, "1.2.3.4:5"]) {
            let client = text.parse().unwrap();
            let mut line = Vec::new();
            encoder.encode(&Row { facts: Facts { client, ..facts() }, ..row() }, 0, &mut line);
            assert!(String::from_utf8(line).unwrap().contains(&format!(",{text},")), "{text}");
        }
    }

    proptest! {
        /// The quick path changes no byte of what the csv crate would write by itself.
        #[test]
        fn lines_are_those_of_the_csv_crate(
            method in "[A-Z,\"]{0,5}",
            path in prop_oneof![
                prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'"')], 0..40),
                "/[a-z]{120,140}".prop_map(String::into_bytes),
            ],
            name in "[a-z:/,.]{0,100}",
            reason in ".{0,20}",
        ) {
            let odd = Row { method: method.as_bytes(), path: &path, reason: &reason, ..row() };
            let mut line = b"before".to_vec();
            let mut names = names();
            names.backends[odd.facts.backend.unwrap() as usize].clone_from(&name);
            RowEncoder::new(&names).encode(&odd, 0, &mut line);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&line[6..]);
            let record = reader.byte_records().next().unwrap().unwrap();
            let mut writer = csv::Writer::from_writer(b"before".to_vec());
            writer.write_byte_record(&record).unwrap();
            prop_assert_eq!(line, writer.into_inner().unwrap());
        }
    }
}
