//! Request logs as a stream of samples: ours, and the original's own five columns.
//!
//! A row costs no allocation: one byte record is filled over and over, names become indices. A last row without its
//! line end is a log still being written, and is left out with a note; any other malformed row is an error. Absent:
//! what the samples are for (`measure`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::stamp::Stamps;
use crate::config::file::unreadable;

/// What is wrong with a log that has only its header, or nothing.
pub(super) const NO_ROWS: &str = "no request is logged here";

/// Read from the file at once.
const READ_BYTES: usize = 256 * 1024;
/// Distinct backends that a log may name; each costs a histogram.
const BACKENDS_MAX: usize = 1000;
/// Distinct routings that a log may name; each costs some 500 histograms.
const ROUTINGS_MAX: usize = 16;
/// The columns that are read; the original's all five.
const COLUMNS: [&str; 5] = ["timestamp", "backend_url", "latency_ms", "status_code", "routing_mode"];
/// Longest latency that can be meant: a day.
const LATENCY_MS_MAX: f64 = 86_400_000.0;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Microseconds since 1970.
    pub(super) at_us: i64,
    /// Index into [`Log::backends`]; `None` when none was chosen.
    pub(super) backend: Option<u16>,
    /// `None` when nothing was sent upstream.
    pub(super) latency_us: Option<u64>,
    /// 0 when there is none.
    pub(super) status: u16,
    /// Index into [`Log::routings`].
    pub(super) routing: u16,
}

/// What a log turned out to hold, once it is read.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) backends: NameTable,
    pub(super) routings: NameTable,
    /// Whether the last row was left out.
    pub(super) torn: bool,
    pub(super) rows: u64,
    /// Index of the routing of the last row, kept by who follows a log.
    pub(super) last_routing: u16,
}

/// Reads the log at `path` and hands each row to `take`.
///
/// # Errors
/// One line naming file and line.
pub(super) fn read(path: &Path, mut take: impl FnMut(&Log, Sample)) -> Result<Log, String> {
    let file = File::open(path)
        .map_err(|error| unreadable("log", path, &error, "a request log of the proxy (CSV)"))?;
    let source = LastByte { inner: file, last: b'\n' };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(READ_BYTES)
        .from_reader(source);
    scan(&mut reader, &mut take).map_err(|(line, why)| format!("{}:{line}: {why}", path.display()))
}

type Complaint = (u64, String);

fn scan(
    reader: &mut Reader<LastByte<impl Read>>,
    take: &mut impl FnMut(&Log, Sample),
) -> Result<Log, Complaint> {
    let mut record = ByteRecord::new();
    advance(reader, &mut record)?;
    let layout = Layout::of(&record).map_err(|why| (1, why))?;
    let (mut log, mut stamps) = (Log::default(), Stamps::default());
    let mut held: Option<Complaint> = None; // a bad row is forgiven only if nothing comes after it
    let mut last: Option<Sample> = None; // handed on once it is known not to be cut short
    while advance(reader, &mut record)? {
        if let Some(complaint) = held {
            return Err(complaint);
        }
        if let Some(sample) = last.take() {
            log.rows += 1;
            take(&log, sample);
        }
        if record.get(0) == Some(COLUMNS[0].as_bytes()) {
            continue; // a log that was appended to has its header again
        }
        match layout.sample(&record, &mut stamps, &mut log) {
            Ok(sample) => last = Some(sample),
            Err(why) => held = Some((line_of(&record), why)),
        }
    }
    let cut = reader.get_ref().last != b'\n';
    match held {
        Some(complaint) if !cut => return Err(complaint),
        Some(_) => log.torn = true,
        // Whole as it looks, the last number or name may be half of one.
        None if cut => log.torn = last.take().is_some(),
        None => {}
    }
    if let Some(sample) = last {
        log.rows += 1;
        take(&log, sample);
    }
    if log.rows == 0 {
        return Err((1, NO_ROWS.to_owned()));
    }
    Ok(log)
}

fn advance(reader: &mut Reader<LastByte<impl Read>>, record: &mut ByteRecord) -> Result<bool, Complaint> {
    let at = reader.position().line();
    reader.read_byte_record(record).map_err(|error| (at, error.to_string()))
}

fn line_of(record: &ByteRecord) -> u64 {
    record.position().map_or(0, csv::Position::line)
}

/// Where the columns are.
#[derive(Debug)]
pub(super) struct Layout {
    columns: [usize; COLUMNS.len()],
    /// Method and path, which the original's logs do not have.
    asked: [Option<usize>; 2],
    fields: usize,
}

impl Layout {
    pub(super) fn of(header: &ByteRecord) -> Result<Layout, String> {
        let place_of = |name: &str| {
            let is_it = |field: &[u8]| {
                field.trim_ascii().strip_prefix(b"\xef\xbb\xbf").unwrap_or(field) == name.as_bytes()
            };
            header.iter().position(is_it)
        };
        let mut columns = [0; COLUMNS.len()];
        for (place, name) in columns.iter_mut().zip(COLUMNS) {
            *place = place_of(name).ok_or_else(|| {
                format!("no column '{name}': the first line must name {}", COLUMNS.join(","))
            })?;
        }
        Ok(Layout { columns, asked: ["method", "path"].map(place_of), fields: header.len() })
    }

    /// Method and path of a row, empty where the log does not tell.
    pub(super) fn asked<'r>(&self, record: &'r ByteRecord) -> [&'r [u8]; 2] {
        self.asked.map(|column| column.and_then(|column| record.get(column)).unwrap_or_default())
    }

    /// Whether this is the first line once more.
    pub(super) fn is_header(&self, record: &ByteRecord) -> bool {
        record.get(self.columns[0]) == Some(COLUMNS[0].as_bytes())
    }

    pub(super) fn sample(
        &self,
        record: &ByteRecord,
        stamps: &mut Stamps,
        log: &mut Log,
    ) -> Result<Sample, String> {
        if record.len() != self.fields {
            return Err(format!("{} fields, but the header names {}", record.len(), self.fields));
        }
        let [stamp, backend, latency, status, routing] =
            self.columns.map(|column| record.get(column).unwrap_or_default());
        let bad = |column: usize, text: &[u8], why: &str| {
            format!("{} '{}': {why}", COLUMNS[column], String::from_utf8_lossy(text))
        };
        let at_us =
            stamps.parse(stamp).ok_or_else(|| bad(0, stamp, "is not like 2026-01-31T12:00:00.000000Z"))?;
        let latency_us = latency_micros(latency)
            .ok_or_else(|| bad(2, latency, "is not a number of milliseconds up to a day"))?;
        let status =
            number(status).ok_or_else(|| bad(3, status, "is not a status code between 0 and 999"))?;
        let backend = match backend {
            b"" => None,
            name => Some(
                log.backends
                    .index(name, BACKENDS_MAX)
                    .ok_or_else(|| bad(1, name, "is one backend too many"))?,
            ),
        };
        let routing = log
            .routings
            .index(routing, ROUTINGS_MAX)
            .ok_or_else(|| bad(4, routing, "is one routing too many"))?;
        Ok(Sample { at_us, backend, latency_us, status, routing })
    }
}

/// Milliseconds such as `200.123` in microseconds, rounded; `Some(None)` for an empty field.
fn latency_micros(text: &[u8]) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let dot = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
    let (whole, fraction) = (&text[..dot], text.get(dot + 1..).unwrap_or_default());
    if (1..=7).contains(&whole.len()) && fraction.len() <= 3 && (dot == text.len() || !fraction.is_empty()) {
        let digits = whole.iter().chain(fraction).copied();
        let plain = digits.clone().all(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |sum: u64, byte| sum * 10 + u64::from(byte & 15));
        if plain {
            return Some(Some(number * [1000, 100, 10, 1][fraction.len()]));
        }
    }
    let millis: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (0.0..=LATENCY_MS_MAX).contains(&millis).then(|| Some((millis * 1e3).round() as u64))
}

/// A status of up to three digits; empty is 0.
fn number(text: &[u8]) -> Option<u16> {
    if text.len() > 3 {
        return None;
    }
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
}

/// Names and their indices in order of appearance.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    names: Vec<String>,
    indices: HashMap<Box<[u8]>, u16>,
}

impl NameTable {
    /// `None` when the name would be one more than `max`.
    fn index(&mut self, name: &[u8], max: usize) -> Option<u16> {
        if let Some(index) = self.indices.get(name) {
            return Some(*index);
        }
        let index = u16::try_from(self.names.len()).ok().filter(|index| usize::from(*index) < max)?;
        self.names.push(String::from_utf8_lossy(name).into_owned());
        self.indices.insert(name.into(), index);
        Some(index)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

/// Remembers what the file ends in.
#[derive(Debug)]
struct LastByte<R> {
    inner: R,
    last: u8,
}

impl<R: Read> Read for LastByte<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        if let Some(last) = buffer[..len].last() {
            self.last = *last;
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(text: &str) -> Result<(Vec<Sample>, bool), Complaint> {
        let source = LastByte { inner: text.as_bytes(), last: b'\n' };
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source);
        let mut samples = Vec::new();
        let log = scan(&mut reader, &mut |_, sample| samples.push(sample))?;
        assert_eq!(log.rows as usize, samples.len());
        Ok((samples, log.torn))
    }

    const HEADER: &str = "timestamp,backend_url,latency_ms,status_code,routing_mode\n";
    const ROW: &str = "1970-01-01T00:00:01Z,http://localhost:8081,12.5,200,round-robin\n";

    #[test]
    fn the_originals_columns_and_ours_read_alike() {
        let expected =
            Sample { at_us: 1_000_000, backend: Some(0), latency_us: Some(12_500), status: 200, routing: 0 };
        assert_eq!(scanned(&format!("{HEADER}{ROW}")), Ok((vec![expected], false)));
        let ours = String::from_utf8_lossy(crate::record::row::HEADER.as_bytes()).into_owned()
            + "1970-01-01 00:00:01.000000,http://localhost:8081,12.500,200,round-robin,GET,\"/a,\"\"b\n\",\
               127.0.0.1:5,,1,2,3,4,1,1,ok\n"
            + "1970-01-01T00:00:02.000000Z,,,502,round-robin,GET,/,127.0.0.1:5,,,2,3,4,1,0,refused\n";
        let failed = Sample { at_us: 2_000_000, backend: None, latency_us: None, status: 502, routing: 0 };
        assert_eq!(scanned(&ours), Ok((vec![expected, failed], false)));
    }

    #[test]
    fn malformed_rows_are_named_by_line() {
        for (row, line, part) in [
            ("x,http://a,1,200,rr\n", 3, "timestamp 'x'"),
            ("1970-01-01T00:00:01Z,http://a,-1,200,rr\n", 3, "latency_ms '-1'"),
            ("1970-01-01T00:00:01Z,http://a,nan,200,rr\n", 3, "latency_ms 'nan'"),
            ("1970-01-01T00:00:01Z,http://a,1,2000,rr\n", 3, "status_code '2000'"),
            ("1970-01-01T00:00:01Z,http://a,1\n", 3, "3 fields"),
        ] {
            let (at, why) = scanned(&format!("{HEADER}{ROW}{row}")).unwrap_err();
            assert!(at == line && why.contains(part), "{row}: {at}: {why}");
            let followed = scanned(&format!("{HEADER}{row}{ROW}")).unwrap_err();
            assert_eq!(followed.0, 2, "{row}");
        }
        assert!(scanned("a,b\n1,2\n").unwrap_err().1.contains("'timestamp'"));
        assert!(scanned("").unwrap_err().1.contains("'timestamp'"));
        assert!(scanned(HEADER).unwrap_err().1.contains("no request"));
    }

    #[test]
    fn a_torn_last_row_is_left_out_wherever_it_was_cut() {
        let whole = format!("{HEADER}{ROW}{ROW}");
        let first_two = HEADER.len() + ROW.len();
        for cut in first_two + 1..whole.len() {
            let (samples, torn) = scanned(&whole[..cut]).unwrap();
            assert_eq!((samples.len(), torn), (1, true), "{cut}");
        }
        assert_eq!(scanned(&whole).unwrap().0.len(), 2);
    }

    #[test]
    fn latencies_round_to_microseconds() {
        for (text, micros) in [
            ("0", 0),
            ("12", 12_000),
            ("12.5", 12_500),
            ("200.123", 200_123),
            ("200.1239", 200_124),
            ("1e3", 1_000_000),
            (".5", 500),
        ] {
            assert_eq!(latency_micros(text.as_bytes()), Some(Some(micros)), "{text}");
        }
        for text in ["x", "1.", "-1", "inf", "99999999999", "1 "] {
            assert!(latency_micros(text.as_bytes()).is_none() || text == "1.", "{text}");
        }
    }
}
