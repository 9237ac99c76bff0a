//! The figures as plain lines.

use super::model::{Watched, errors};
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
    let mut figures = vec![
        ("req/s", format!("{:.1}", watched.rate)),
        ("errors/s", format!("{:.1}", watched.error_rate)),
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
    let events = &watched.look.events;
    if !events.is_empty() {
        text += "\n";
    }
    for event in events.iter().skip(events.len().saturating_sub(EVENTS)) {
        text += &format!("{}  {:<12}  {}\n", clock(event.t), event.kind, event.text);
    }
    text
}

/// Events worth a line in a plain table.
const EVENTS: usize = 10;

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
pub(super) fn clock(unix_ms: f64) -> String {
    let stamp = jiff::Timestamp::from_millisecond(unix_ms as i64);
    stamp.map_or_else(|_| "--:--:--".to_owned(), |stamp| stamp.strftime("%H:%M:%SZ").to_string())
}
