//! Backends as rows and columns: what is shown of each, in which order.

use super::model::{Backend, Change, Watched};

/// One backend, ready to be shown.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub(super) backend: &'a Backend,
    /// Of the last interval; since the start is all there is after only one look.
    pub(super) last: Option<Change>,
    /// Its place in the configuration.
    place: usize,
    /// Nobody had a request in the last interval: there is nothing to have a share of.
    is_idle: bool,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// In characters, without the gap.
    pub(super) width: u16,
    /// A narrow terminal drops those with the highest first.
    pub(super) rank: u8,
    pub(super) cell: fn(&Row<'_>) -> String,
    /// What it is sorted by, ascending; unknown values come last.
    order: fn(&Row<'_>) -> f64,
}

/// What is shown, in this order; the name and the small chart stand before and after. Each: title, width, rank, cell, and
/// what it is sorted by.
pub(super) const COLUMNS: [Column; 11] = [
    column("state", 8, 1, state, |row| rank_of_state(row.backend)),
    column("weight", 6, 9, |row| number(row.backend.weight), |row| or_last(row.backend.weight)),
    column("flight", 6, 3, |row| row.backend.in_flight.to_string(), |row| -(row.backend.in_flight as f64)),
    column("req/s", 8, 2, rate, |row| -row.last.map_or(0.0, |last| last.rate)),
    column("share", 6, 0, |row| percent(share(row)), |row| -share(row).unwrap_or(0.0)),
    column("now ms", 8, 4, |row| ms(now_ms(row)), |row| or_last(now_ms(row))),
    column("p50 ms", 8, 7, |row| ms(row.backend.p50_ms), |row| or_last(row.backend.p50_ms)),
    column("p95 ms", 8, 5, |row| ms(row.backend.p95_ms), |row| or_last(row.backend.p95_ms)),
    column("p99 ms", 8, 8, |row| ms(row.backend.p99_ms), |row| or_last(row.backend.p99_ms)),
    column("errors", 7, 6, |row| row.backend.errors.to_string(), |row| -(row.backend.errors as f64)),
    column("score", 9, 10, |row| number(row.backend.score), |row| or_last(row.backend.score)),
];

const fn column(
    title: &'static str,
    width: u16,
    rank: u8,
    cell: fn(&Row<'_>) -> String,
    order: fn(&Row<'_>) -> f64,
) -> Column {
    Column { title, width, rank, cell, order }
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    /// Of [`COLUMNS`]; the order of the configuration when absent.
    pub(super) column: Option<usize>,
    pub(super) reversed: bool,
}

impl Sort {
    /// By the next column.
    pub(super) fn next(self) -> Sort {
        let next = self.column.map_or(0, |column| column + 1);
        Sort { column: (next < COLUMNS.len()).then_some(next), reversed: false }
    }

    /// By the one before; needed by keys only.
    #[cfg(feature = "tui")]
    pub(super) fn previous(self) -> Sort {
        Sort {
            column: self.column.map_or(Some(COLUMNS.len() - 1), |column| column.checked_sub(1)),
            reversed: false,
        }
    }
}

/// Every backend, sorted.
pub(super) fn rows<'w>(watched: &'w Watched, sort: Sort) -> Vec<Row<'w>> {
    let backends = watched.look.stats.backends.iter().enumerate();
    let is_idle = watched.is_recent && watched.rate == 0.0;
    let row = |(place, backend): (usize, &'w Backend)| Row {
        backend,
        last: watched.last(&backend.url),
        place,
        is_idle,
    };
    let mut rows: Vec<Row<'_>> = backends.map(row).collect();
    if let Some(column) = sort.column.and_then(|column| COLUMNS.get(column)) {
        rows.sort_by(|a, b| (column.order)(a).total_cmp(&(column.order)(b)).then(a.place.cmp(&b.place)));
    }
    if sort.reversed {
        rows.reverse();
    }
    rows
}

/// A backend's name without what all of them begin with.
pub(super) fn name(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}

/// A number of milliseconds in three or four digits, or a dash.
pub(super) fn ms(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.2}"),
        Some(value) if value < 1000.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}

/// A share, 0..=1, or a dash.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}%", share * 100.0))
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        },
    )
}

fn state(row: &Row<'_>) -> String {
    row.backend.state.clone().unwrap_or_else(|| "-".to_owned())
}

/// What needs looking at comes first.
fn rank_of_state(backend: &Backend) -> f64 {
    match backend.state.as_deref() {
        Some("down") => 0.0,
        Some("ejected") => 1.0,
        Some("trial") => 2.0,
        Some("draining" | "removed") => 3.0,
        _ => 4.0,
    }
}

fn rate(row: &Row<'_>) -> String {
    row.last.map_or_else(|| "-".to_owned(), |last| format!("{:.1}", last.rate))
}

fn share(row: &Row<'_>) -> Option<f64> {
    match row.last {
        Some(_) if row.is_idle => None,
        Some(last) => Some(last.share),
        None => row.backend.share,
    }
}

fn now_ms(row: &Row<'_>) -> Option<f64> {
    match row.last {
        Some(last) => last.mean_ms,
        None => row.backend.mean_ms,
    }
}

fn or_last(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::INFINITY)
}
