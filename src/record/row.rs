//! One exchange as a CSV row.
//!
//! Pure: a row and the wall clock's reading come in, bytes go out. The quoting is the csv crate's; numbers are laid out
//! with itoa because `format!` alone would cost as much as the rest of the row. Absent: files, threads, clocks.

use std::io::Write as _;
use std::net::SocketAddr;

use csv::ByteRecord;
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

/// Lays rows out as CSV fields, reusing its memory and the text of the current second.
#[derive(Debug)]
pub struct RowEncoder {
    record: ByteRecord,
    scratch: Vec<u8>,
    /// The second whose text `stamp` starts with.
    second: i64,
    /// `2026-01-31T12:00:00.000000Z`; the six digits are overwritten for each row.
    stamp: Vec<u8>,
}

const STAMP_DIGITS: usize = "2026-01-31T12:00:00.".len();

impl Default for RowEncoder {
    fn default() -> Self {
        let mut encoder =
            RowEncoder { record: ByteRecord::new(), scratch: Vec::new(), second: 0, stamp: Vec::new() };
        encoder.set_second(0);
        encoder
    }
}

impl RowEncoder {
    /// The fields of `row`, whose exchange ended `unix_micros` after 1970-01-01T00:00:00Z. An index out of `names`
    /// leaves its field empty.
    pub fn encode(&mut self, row: &Row<'_>, names: &Names, unix_micros: i64) -> &ByteRecord {
        let facts = &row.facts;
        let mut number = itoa::Buffer::new();
        self.record.clear();
        self.push_stamp(unix_micros);
        self.record.push_field(name(&names.backends, facts.backend.map(|index| index as usize)));
        self.push_millis(facts.latency_us);
        self.record.push_field(number.format(facts.status).as_bytes());
        self.record.push_field(name(&names.routings, Some(facts.routing as usize)));
        self.record.push_field(row.method);
        self.record.push_field(row.path);
        self.push_address(facts.client);
        for micros in [facts.connect_us, facts.ttfb_us] {
            match micros {
                Some(micros) => self.record.push_field(number.format(micros).as_bytes()),
                None => self.record.push_field(b""),
            }
        }
        for count in [facts.total_us, facts.bytes_in, facts.bytes_out, u64::from(facts.attempts)] {
            self.record.push_field(number.format(count).as_bytes());
        }
        self.record.push_field(if facts.reused { b"1" } else { b"0" });
        self.record.push_field(row.reason.as_bytes());
        &self.record
    }

    fn push_stamp(&mut self, unix_micros: i64) {
        let second = unix_micros.div_euclid(1_000_000);
        if second != self.second {
            self.set_second(second);
        }
        let fraction = unix_micros.rem_euclid(1_000_000) as u32;
        put_digits(&mut self.stamp[STAMP_DIGITS..STAMP_DIGITS + 6], fraction);
        self.record.push_field(&self.stamp);
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

    fn push_millis(&mut self, micros: Option<u64>) {
        self.scratch.clear();
        if let Some(micros) = micros {
            self.scratch.extend_from_slice(itoa::Buffer::new().format(micros / 1_000).as_bytes());
            let mut fraction = *b".000";
            put_digits(&mut fraction[1..], (micros % 1_000) as u32);
            self.scratch.extend_from_slice(&fraction);
        }
        self.record.push_field(&self.scratch);
    }

    fn push_address(&mut self, address: SocketAddr) {
        self.scratch.clear();
        match address {
            SocketAddr::V4(v4) => {
                let mut number = itoa::Buffer::new();
                for (place, octet) in v4.ip().octets().into_iter().enumerate() {
                    if place > 0 {
                        self.scratch.push(b'.');
                    }
                    self.scratch.extend_from_slice(number.format(octet).as_bytes());
                }
                self.scratch.push(b':');
                self.scratch.extend_from_slice(number.format(v4.port()).as_bytes());
            }
            SocketAddr::V6(v6) => {
                // Writing to a Vec cannot fail. The formatter costs about 1 µs; IPv6 clients pay it.
                let _ = write!(self.scratch, "{v6}");
            }
        }
        self.record.push_field(&self.scratch);
    }
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

    fn fields(row: &Row<'_>, unix_micros: i64) -> Vec<String> {
        let mut encoder = RowEncoder::default();
        let record = encoder.encode(row, &names(), unix_micros);
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
            let record = encoder.encode(&row(), &names(), micros);
            assert_eq!(std::str::from_utf8(&record[0]).unwrap(), expected, "{micros}");
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
}
