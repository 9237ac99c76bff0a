//! The figures as plain lines.

use super::model::{Event, Watched, errors};
use super::table::{COLUMNS, Sort, ms, name, percent, rows};

/// What there is to say of the whole proxy: who it is, and its figures by name.
pub(super) struct Head {
    pub(super) who: String,
    pub(super) is_ready: bool,
    pub(super) figures: Vec<(&'static str, String)>,
}

/// Of the latest look.
pub(super) fn head(watched: &Watched) -> Head {
    let stats = &watched.look.stats;
    let mut who = format!("tidegate {}", stats.version.as_deref().unwrap_or("")).trim_end().to_owned();
    for part in
        [stats.listen.as_deref(), Some(&*stats.routing), stats.upstream.as_deref()].into_iter().flatten()
    {
        who += &format!(" · {part}");
    }
    who += &format!(" · up {}", span(stats.uptime_s));
    let is_ready = stats.ready.unwrap_or(true);
    who += if is_ready { " · ready" } else { " · draining" };
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let [rate, error_rate] = if watched.is_recent {
        ["req/s", "errors/s"]
    } else {
        ["req/s since the start", "errors/s since the start"]
    };
    let mut figures = vec![
        (rate, format!("{:.1}", watched.rate)),
        (error_rate, format!("{:.1}", watched.error_rate)),
        ("in flight", count(stats.in_flight)),
        ("clients", stats.clients_active.to_string()),
        ("p50 ms", ms(stats.p50_ms)),
        ("p95 ms", ms(stats.p95_ms)),
        ("p99 ms", ms(stats.p99_ms)),
        ("last 200 ms", ms(stats.recent_mean_ms)),
        ("reuse", percent(watched.reuse())),
        ("own µs", ms(stats.overhead_us.as_ref().and_then(|own| own.mean))),
        ("busy", percent(stats.busy_share)),
        ("requests", stats.requests.to_string()),
        ("errors", errors(stats).to_string()),
        ("retries", stats.retries.to_string()),
        ("ejections", count(stats.ejections)),
    ];
    // What an older proxy does not tell takes no room.
    figures.retain(|(_, value)| value != "-");
    Head { who, is_ready, figures }
}

/// The whole of it: head, backends, decision, latest events.
pub(super) fn page(watched: &Watched) -> String {
    let head = head(watched);
    let figures: Vec<String> = head.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let mut text = format!("{}\n{}\n\n", head.who, figures.join("  "));
    let rows = rows(watched, Sort::default());
    let widest = rows.iter().map(|row| name(&row.backend.url).chars().count()).max().unwrap_or(0).max(7);
    text += &format!("{:<widest$}", "backend");
    for column in &COLUMNS {
        text += &format!("  {:>width$}", column.title, width = usize::from(column.width));
    }
    text += "\n";
    for row in &rows {
        text += &format!("{:<widest$}", name(&row.backend.url));
        for column in &COLUMNS {
            text += &format!("  {:>width$}", (column.cell)(row), width = usize::from(column.width));
        }
        if let Some(why) = &row.backend.why {
            text += &format!("  {why}");
        }
        text += "\n";
    }
    if let Some(sentence) = &watched.look.stats.sentence {
        text += &format!("\n{sentence}\n");
    }
    let events = latest(&watched.look.events, EVENTS);
    if !events.is_empty() {
        text += "\n";
    }
    for line in events {
        text += &line;
        text += "\n";
    }
    text
}

/// The last `count` events, a line each: when, what kind, which backend (or a dash), in words.
pub(super) fn latest(events: &[Event], count: usize) -> Vec<String> {
    let events = &events[events.len().saturating_sub(count)..];
    let whose = |event: &Event| event.backend.as_deref().map_or("-", name).to_owned();
    let widest = events.iter().map(|event| whose(event).chars().count()).max().unwrap_or(0).min(WHOSE_MAX);
    let line = |event: &Event| {
        format!("{}  {:<12}  {:<widest$}  {}", clock(event.t), event.kind, whose(event), event.text)
    };
    events.iter().map(line).collect()
}

/// Events worth a line in a plain table.
const EVENTS: usize = 10;
/// A backend with a longer name moves the words beside it.
const WHOSE_MAX: usize = 32;

/// A length of time as people say it.
fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, ..) => format!("{days} d {hours} h"),
    }
}

/// Time of day, UTC, of milliseconds since 1970.
fn clock(unix_ms: f64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(unix_ms as i64);
    stamp.map_or_else(|_| "--:--:--".to_owned(), |stamp| stamp.strftime("%H:%M:%SZ").to_string())
}
