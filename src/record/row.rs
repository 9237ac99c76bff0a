//! One exchange as a CSV row.
//!
//! Pure: a row and the wall clock's reading come in, bytes go out. Quoting is the csv crate's; numbers are laid out with
//! itoa because `format!` alone would cost as much as the rest of the row. Absent: files, threads, clocks.

use std::io::Write as _;
use std::net::SocketAddr;

use jiff::Timestamp;

use crate::clock::Time;

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

/// Lays rows out as CSV lines, reusing the text of the current second.
#[derive(Debug)]
pub struct RowEncoder {
    /// The second whose text `stamp` starts with.
    second: i64,
    /// `2026-01-31T12:00:00.000000Z`; the six digits are overwritten for each row.
    stamp: Vec<u8>,
}

const STAMP_DIGITS: usize = "2026-01-31T12:00:00.".len();

impl Default for RowEncoder {
    fn default() -> Self {
        let mut encoder = RowEncoder { second: 0, stamp: Vec::new() };
        encoder.set_second(0);
        encoder
    }
}

impl RowEncoder {
    /// Appends the line of `row`, whose exchange ended `unix_micros` after 1970-01-01T00:00:00Z. An index out of
    /// `names` leaves its field empty.
    pub fn encode(&mut self, row: &Row<'_>, names: &Names, unix_micros: i64, line: &mut Vec<u8>) {
        let facts = &row.facts;
        self.set_micros(unix_micros);
        line.extend_from_slice(&self.stamp);
        line.push(b',');
        push_text(line, name(&names.backends, facts.backend.map(|index| index as usize)));
        push_millis(line, facts.latency_us);
        push_number(line, Some(u64::from(facts.status)));
        push_text(line, name(&names.routings, Some(usize::from(facts.routing))));
        push_text(line, row.method);
        push_text(line, row.path);
        push_address(line, facts.client);
        push_number(line, facts.connect_us);
        push_number(line, facts.ttfb_us);
        push_number(line, Some(facts.total_us));
        push_number(line, Some(facts.bytes_in));
        push_number(line, Some(facts.bytes_out));
        push_number(line, Some(u64::from(facts.attempts)));
        line.extend_from_slice(if facts.reused { b"1," } else { b"0," });
        push_text(line, row.reason.as_bytes());
        if let Some(last) = line.last_mut() {
            *last = b'\n'; // every field ended in a comma
        }
    }

    fn set_micros(&mut self, unix_micros: i64) {
        let second = unix_micros.div_euclid(1_000_000);
        if second != self.second {
            self.set_second(second);
        }
        let fraction = unix_micros.rem_euclid(1_000_000) as u32;
        put_digits(&mut self.stamp[STAMP_DIGITS..STAMP_DIGITS + 6], fraction);
    }

    /// Rows come in order of time, so this runs about once a second.
    fn set_second(&mut self, second: i64) {
        self.second = second;
        // A second jiff cannot hold (before year -9999 or after 9999) is no date anyone logs: the epoch stands for it.
        let date = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH).to_string();
        let plain = if date.len() == STAMP_DIGITS { date.as_str() } else { "1970-01-01T00:00:00Z" };
        self.stamp.clear();
        self.stamp.extend_from_slice(&plain.as_bytes()[..STAMP_DIGITS - 1]);
        self.stamp.extend_from_slice(b".000000Z");
    }
}

/// Free text and a comma. Text without a byte that CSV treats specially goes in as it is, which saves more than half of
/// the row's price; the rest is the csv crate's.
fn push_text(line: &mut Vec<u8>, text: &[u8]) {
    if text.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n')) {
        push_quoted(line, text);
    } else {
        line.extend_from_slice(text);
    }
    line.push(b',');
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

fn push_number(line: &mut Vec<u8>, value: Option<u64>) {
    if let Some(value) = value {
        line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    line.push(b',');
}

fn push_millis(line: &mut Vec<u8>, micros: Option<u64>) {
    if let Some(micros) = micros {
        let mut fraction = *b".000,";
        put_digits(&mut fraction[1..4], (micros % 1_000) as u32);
        line.extend_from_slice(itoa::Buffer::new().format(micros / 1_000).as_bytes());
        line.extend_from_slice(&fraction);
    } else {
        line.push(b',');
    }
}

fn push_address(line: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            let mut number = itoa::Buffer::new();
            for (place, octet) in v4.ip().octets().into_iter().enumerate() {
                line.extend_from_slice(number.format(octet).as_bytes());
                line.push(if place < 3 { b'.' } else { b':' });
            }
            line.extend_from_slice(number.format(v4.port()).as_bytes());
        }
        SocketAddr::V6(v6) => {
            // Writing to a Vec cannot fail. The formatter costs as much as the rest of the row; IPv6 clients pay it.
            let _ = write!(line, "{v6}");
        }
    }
    line.push(b',');
}

fn name(names: &[String], index: Option<usize>) -> &[u8] {
    index.and_then(|index| names.get(index)).map_or(b"", |name| name.as_bytes())
}

/// Fills `place` with the lowest digits of `value`, zeros first.
fn put_digits(place: &mut [u8], mut value: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{facts, names, row};
    use proptest::prelude::*;

    fn fields(row: &Row<'_>, unix_micros: i64) -> Vec<String> {
        let mut line = Vec::new();
        RowEncoder::default().encode(row, &names(), unix_micros, &mut line);
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
        let mut encoder = RowEncoder::default();
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
            encoder.encode(&row(), &names(), micros, &mut line);
            assert_eq!(std::str::from_utf8(&line[..27]).unwrap(), expected, "{micros}");
        }
    }

    #[test]
    fn addresses_read_as_the_standard_library_prints_them() {
        for text in ["0.0.0.0:0", "255.255.255.255:65535", "127.0.0.1:80", "[::1]:443", "[fe80::1:2]:9"] {
            let client = text.parse().unwrap();
            let written = fields(&Row { facts: Facts { client, ..facts() }, ..row() }, 0);
            assert_eq!(written[7], text);
        }
    }

    proptest! {
        /// The quick path changes no byte of what the csv crate would write by itself.
        #[test]
        fn lines_are_those_of_the_csv_crate(
            method in "[A-Z,\"]{0,5}",
            path in prop::collection::vec(prop_oneof![any::<u8>(), Just(b','), Just(b'"')], 0..40),
            reason in ".{0,20}",
        ) {
            let odd = Row { method: method.as_bytes(), path: &path, reason: &reason, ..row() };
            let mut line = b"before".to_vec();
            RowEncoder::default().encode(&odd, &names(), 0, &mut line);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&line[6..]);
            let record = reader.byte_records().next().unwrap().unwrap();
            let mut writer = csv::Writer::from_writer(b"before".to_vec());
            writer.write_byte_record(&record).unwrap();
            prop_assert_eq!(line, writer.into_inner().unwrap());
        }
    }
}
