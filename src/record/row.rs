//! One exchange as a CSV row.
//!
//! Pure: a row and the wall clock's reading come in, bytes go out. Quoting is the csv crate's; numbers come from
//! a table because `format!` alone would cost more than the rest of the row. Absent: files, threads, clocks.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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

/// Lays rows out as CSV lines. What most rows have in common with the row before is kept as text.
#[derive(Debug)]
pub struct RowEncoder {
    /// The second whose text `stamp` starts with.
    second: i64,
    /// `2026-01-31T12:00:00.000000Z,`; the six digits are overwritten for each row.
    stamp: [u8; STAMP_BYTES],
    /// The names as fields, commas included.
    backends: Vec<Vec<u8>>,
    routings: Vec<Vec<u8>>,
    /// The client address last written, and its text with the colon before the port.
    client: IpAddr,
    client_text: Vec<u8>,
}

const STAMP_DIGITS: usize = "2026-01-31T12:00:00.".len();
const STAMP_BYTES: usize = STAMP_DIGITS + "000000Z,".len();
/// Room for all of a row but its free text, so that a line grows once.
const NUMBERS_BYTES_MAX: usize = 400;

impl RowEncoder {
    /// An encoder for rows whose indices mean `names`.
    pub fn new(names: &Names) -> RowEncoder {
        let mut encoder = RowEncoder {
            second: 0,
            stamp: *b"1970-01-01T00:00:00.000000Z,",
            backends: Vec::new(),
            routings: Vec::new(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            client_text: b"0.0.0.0:".to_vec(),
        };
        encoder.set_names(names);
        encoder
    }

    /// What the indices of the rows to come mean.
    pub fn set_names(&mut self, names: &Names) {
        let as_fields = |names: &[String]| {
            let field = |name: &String| {
                let mut field = Vec::new();
                push_text(&mut field, name.as_bytes());
                field
            };
            names.iter().map(field).collect()
        };
        self.backends = as_fields(&names.backends);
        self.routings = as_fields(&names.routings);
    }

    /// Appends the line of `row`, whose exchange ended `unix_micros` after 1970-01-01T00:00:00Z. An index without a
    /// name leaves its field empty.
    pub fn encode(&mut self, row: &Row<'_>, unix_micros: i64, line: &mut Vec<u8>) {
        let facts = &row.facts;
        line.reserve(NUMBERS_BYTES_MAX + row.path.len());
        self.set_micros(unix_micros);
        line.extend_from_slice(&self.stamp);
        push_name(line, &self.backends, facts.backend.map(|index| index as usize));
        push_millis(line, facts.latency_us);
        push_number(line, u64::from(facts.status));
        push_name(line, &self.routings, Some(usize::from(facts.routing)));
        match row.method {
            b"GET" => line.extend_from_slice(b"GET,"), // a few moves, not two calls
            method => push_text(line, method),
        }
        push_text(line, row.path);
        self.push_address(line, facts.client);
        push_if_any(line, facts.connect_us);
        push_if_any(line, facts.ttfb_us);
        push_number(line, facts.total_us);
        push_number(line, facts.bytes_in);
        push_number(line, facts.bytes_out);
        push_number(line, u64::from(facts.attempts));
        line.extend_from_slice(if facts.reused { b"1," } else { b"0," });
        match row.reason {
            "ok" => line.extend_from_slice(b"ok,"),
            reason => push_text(line, reason.as_bytes()),
        }
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

    /// As the standard library prints it. Laying an address out costs as much as half the row, and the row before is
    /// often the same client's.
    fn push_address(&mut self, line: &mut Vec<u8>, address: SocketAddr) {
        if let SocketAddr::V6(v6) = address
            && v6.scope_id() != 0
        {
            let _ = write!(line, "{v6},"); // writing to a Vec cannot fail
            return;
        }
        if address.ip() != self.client {
            self.client = address.ip();
            self.client_text.clear();
            let _ = match self.client {
                IpAddr::V4(v4) => write!(self.client_text, "{v4}:"),
                IpAddr::V6(v6) => write!(self.client_text, "[{v6}]:"),
            };
        }
        line.extend_from_slice(&self.client_text);
        push_number(line, u64::from(address.port()));
    }
}

/// Free text and a comma. Text without a byte that CSV treats specially goes in as it is; the rest is the csv crate's.
fn push_text(line: &mut Vec<u8>, text: &[u8]) {
    // None of the special ones is above the comma, and few others are below it: `/`, letters and digits are not.
    let is_plain = text.iter().fold(u8::MAX, |least, byte| least.min(*byte)) > b',';
    if !is_plain && text.iter().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n')) {
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

fn push_name(line: &mut Vec<u8>, names: &[Vec<u8>], index: Option<usize>) {
    line.extend_from_slice(index.and_then(|index| names.get(index)).map_or(b",", |name| name));
}

#[inline(always)]
fn push_if_any(line: &mut Vec<u8>, value: Option<u64>) {
    match value {
        Some(value) => push_number(line, value),
        None => line.push(b','),
    }
}

/// Every number below a thousand as its three digits, the first one lowest, and above them how many zeros are in front
/// of its first digit that counts.
static THOUSAND: [u32; 1000] = {
    let mut table = [0; 1000];
    let mut number = 0;
    while number < 1000 {
        let digits = [number / 100, number / 10 % 10, number % 10];
        let zeros = if number >= 100 {
            0
        } else if number >= 10 {
            1
        } else {
            2
        };
        table[number as usize] = 0x30_3030 + (digits[0] | digits[1] << 8 | digits[2] << 16) + (zeros << 24);
        number += 1;
    }
    table
};

/// Three digits of `number`, which is below 1000, and the zeros in front.
#[inline(always)]
fn three_digits(number: u64) -> (u64, u32) {
    let entry = THOUSAND[number as usize % 1000];
    (u64::from(entry & 0xff_ffff), entry >> 24)
}

/// Appends the first `len` bytes of `word`, lowest first, less the `skipped` first ones.
#[inline(always)]
fn push_word(line: &mut Vec<u8>, word: u64, len: usize, skipped: u32) {
    let end = line.len() + len - skipped as usize;
    line.extend_from_slice(&(word >> (8 * skipped)).to_le_bytes());
    line.truncate(end);
}

/// A number and a comma.
#[inline(always)]
fn push_number(line: &mut Vec<u8>, value: u64) {
    const COMMA: u64 = b',' as u64;
    if value < 1_000 {
        let (digits, zeros) = three_digits(value);
        push_word(line, digits | COMMA << 24, 4, zeros);
    } else if value < 1_000_000 {
        let ((high, zeros), (low, _)) = (three_digits(value / 1_000), three_digits(value % 1_000));
        push_word(line, high | low << 24 | COMMA << 48, 7, zeros);
    } else {
        line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        line.push(b',');
    }
}

/// Microseconds as milliseconds with three decimals, and a comma.
fn push_millis(line: &mut Vec<u8>, micros: Option<u64>) {
    let Some(micros) = micros else { return line.push(b',') };
    let (whole, (fraction, _)) = (micros / 1_000, three_digits(micros % 1_000));
    if whole < 1_000 {
        let (digits, zeros) = three_digits(whole);
        push_word(line, digits | u64::from(b'.') << 24 | fraction << 32 | u64::from(b',') << 56, 8, zeros);
    } else {
        line.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        push_word(line, u64::from(b'.') | fraction << 8 | u64::from(b',') << 32, 5, 0);
    }
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
        ];
        for text in texts.into_iter().flat_map(|text| [text, text, "1.2.3.4:5"]) {
            let client = text.parse().unwrap();
            let mut line = Vec::new();
            encoder.encode(&Row { facts: Facts { client, ..facts() }, ..row() }, 0, &mut line);
            assert!(String::from_utf8(line).unwrap().contains(&format!(",{text},")), "{text}");
        }
    }

    #[test]
    fn numbers_read_as_the_standard_library_prints_them() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power / 7 * 3]);
        for value in near.chain([u64::MAX]) {
            let mut line = Vec::new();
            push_number(&mut line, value);
            push_millis(&mut line, Some(value));
            let expected = format!("{value},{}.{:03},", value / 1_000, value % 1_000);
            assert_eq!(String::from_utf8(line).unwrap(), expected);
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
            RowEncoder::new(&names()).encode(&odd, 0, &mut line);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&line[6..]);
            let record = reader.byte_records().next().unwrap().unwrap();
            let mut writer = csv::Writer::from_writer(b"before".to_vec());
            writer.write_byte_record(&record).unwrap();
            prop_assert_eq!(line, writer.into_inner().unwrap());
        }
    }
}
