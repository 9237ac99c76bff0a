//! The handler behind the admin address: paths to answers, and a tick that makes seconds of snapshots.
//!
//! One for a running proxy, whose board it watches, and one for a log, whose reader fills board and history. Absent:
//! sockets, and anything that could make the proxy wait.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::access::Access;
use super::api::{self, About, Moment, Recent};
use super::assets::Assets;
use super::control::Control;
use super::events::{self, Hello, News, REQUESTS_MAX};
use super::history::{self, History, Named, Second};
use super::metrics::{self, Scrape};
use super::reply::{EVENTS, json, plain, plain_with, reply};
use super::{Board, DecisionView, Event};
use crate::clock::Time;
use crate::http1::Method;
use crate::record::latencies::BOUNDS_US;
use crate::record::recent::RECENT;
use crate::record::snapshot::Snapshot;
use crate::serve::{Content, Handler, Reply, Request, Streams};

/// How often the board is looked at while somebody listens: a second is shown this late at most.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A proxy with nothing to do publishes nothing: its seconds are made here, after this long without news.
const SILENT_AFTER: Duration = Duration::from_millis(1400);
const SECOND: Duration = Duration::from_secs(1);
/// A comment goes to who listens after this long without a message.
const COMMENT_AFTER: Duration = Duration::from_secs(15);
/// More seconds than this at once are better fetched than told.
const TOLD_AT_ONCE: usize = 5;

/// What is answered besides the page's files, so that a method that fits none costs nothing to refuse.
const PATHS: [&[u8]; 9] = [
    b"/livez",
    b"/readyz",
    b"/api/stats",
    b"/api/history",
    b"/api/events",
    b"/api/log",
    b"/api/requests",
    b"/api/decisions",
    b"/metrics",
];

/// What an admin address shows.
#[derive(Debug)]
pub struct View {
    /// Figures and events.
    pub board: Arc<Board>,
    /// What does not change.
    pub about: About,
    /// A log instead of a proxy.
    pub log: Option<LogView>,
    /// Who may ask for what.
    pub access: Arc<Access>,
    /// Carries out orders, if there is somebody to order.
    pub control: Option<Control>,
}

/// What the reader of a log fills.
#[derive(Clone, Debug)]
pub struct LogView {
    /// Its seconds.
    pub history: Arc<Mutex<History>>,
    /// It is still growing.
    pub growing: Arc<AtomicBool>,
}

/// Answers on the admin address.
#[derive(Debug)]
pub struct Admin {
    view: View,
    history: Arc<Mutex<History>>,
    assets: Assets,
    watch: Watch,
    told: Told,
    streams: (usize, u64),
    /// Backends whose last figures have been scraped.
    seen_removed: BTreeSet<String>,
}

/// The snapshot that the last second was made of, and when.
#[derive(Debug)]
struct Watch {
    last: Arc<Snapshot>,
    urls: Arc<[String]>,
    second_at: Time,
    latest: Arc<Snapshot>,
    latest_at: Time,
    busy_share: Option<f64>,
}

/// What those who listen have been told.
#[derive(Debug, Default)]
struct Told {
    second: u64,
    event: u64,
    request: u64,
    urls: Option<Arc<[String]>>,
    at: Time,
}

#[derive(Serialize)]
struct HistoryJson<'h> {
    step_s: u32,
    bounds_us: &'static [u64],
    seconds: Vec<Named<'h>>,
}

#[derive(Serialize)]
struct Log {
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Explained {
    enabled: bool,
    decisions: Vec<DecisionView>,
}

#[derive(Serialize)]
struct Requests {
    requests: Vec<Recent>,
}

impl Admin {
    /// Shows this.
    pub fn new(view: View) -> Admin {
        let own = || Arc::new(Mutex::new(History::new(history::SECONDS_KEPT)));
        let history = view.log.as_ref().map_or_else(own, |log| log.history.clone());
        let last = view.board.fresh();
        let watch = Watch {
            urls: history::urls(&last, &Arc::from([])),
            second_at: Time::ZERO,
            latest: view.board.latest(),
            latest_at: Time::ZERO,
            busy_share: None,
            last,
        };
        Admin {
            view,
            history,
            assets: Assets::new(),
            watch,
            told: Told::default(),
            streams: (0, 0),
            seen_removed: BTreeSet::new(),
        }
    }

    fn get(&mut self, request: &Request<'_>, text: &mut Vec<u8>, now: Time) -> Option<Reply> {
        self.look(now);
        self.advance(now);
        let board = self.view.board.clone();
        Some(match request.path() {
            b"/livez" => plain(200, "ok\n"),
            b"/readyz" if board.is_ready() => plain(200, "ready\n"),
            b"/readyz" => plain(503, "draining\n"),
            b"/api/stats" => {
                let snapshot = board.latest();
                json(request, text, &api::stats(&snapshot, &self.view.about, self.moment(now)))
            }
            b"/api/history" => self.history(request, text),
            b"/api/events" => self.open_stream(text, now),
            b"/api/log" => json(request, text, &Log { events: board.events_after(0) }),
            b"/api/requests" => {
                json(request, text, &Requests { requests: api::requests(&board.fresh(), 0, RECENT) })
            }
            b"/api/decisions" => {
                let enabled = board.latest().explain;
                json(request, text, &Explained { enabled, decisions: board.decisions() })
            }
            b"/metrics" => {
                let snapshot = board.fresh(); // for it is of one moment
                let shown = metrics::shown(&snapshot.backends, &mut self.seen_removed);
                let scrape = Scrape {
                    backends: shown.into_iter().cloned().collect(),
                    snapshot,
                    about: self.view.about.clone(),
                    ready: board.is_ready(),
                    busy_share: self.watch.busy_share,
                    streams: self.streams,
                };
                metrics::answer(request, scrape, text)
            }
            _ => return self.assets.answer(request),
        })
    }

    fn history(&self, request: &Request<'_>, text: &mut Vec<u8>) -> Reply {
        let since = number_in(request.query(), "since").unwrap_or(0);
        let history = self.lock();
        let mut known: Option<&Arc<[String]>> = None;
        let seconds = history.after(since).map(|second| {
            let named = second.after(known);
            known = Some(&second.urls);
            named
        });
        let whole = HistoryJson { step_s: 1, bounds_us: &BOUNDS_US, seconds: seconds.collect() };
        json(request, text, &whole)
    }

    fn open_stream(&mut self, text: &mut Vec<u8>, now: Time) -> Reply {
        if self.streams.0 == 0 {
            self.pass_over(); // what came while nobody listened is in the history
            self.told.at = now;
        }
        events::begin(text);
        self.hello(text, now);
        self.told.urls = None; // the next second names its backends again
        reply(200, EVENTS, Content::Stream)
    }

    fn hello(&self, out: &mut Vec<u8>, now: Time) {
        let seq = self.lock().last_seq();
        let snapshot = self.view.board.latest();
        let stats = api::stats(&snapshot, &self.view.about, self.moment(now));
        events::message(out, "hello", seq, &Hello { stats, seq });
    }

    /// Notes when the figures shown were first seen: in between time goes on, figures do not.
    fn look(&mut self, now: Time) {
        let latest = self.view.board.latest();
        if !Arc::ptr_eq(&latest, &self.watch.latest) {
            (self.watch.latest, self.watch.latest_at) = (latest, now);
        }
    }

    fn moment(&self, now: Time) -> Moment {
        let growing = self.view.log.as_ref().map(|log| log.growing.load(Ordering::Relaxed));
        let age = now.since(self.watch.latest_at).as_millis();
        Moment {
            age_ms: if growing.is_some() { 0 } else { u64::try_from(age).unwrap_or(0) },
            busy_share: self.watch.busy_share,
            ready: self.view.board.is_ready(),
            live: growing.unwrap_or(true),
        }
    }

    /// Makes seconds of what has been published since the last one, and of silence.
    fn advance(&mut self, now: Time) {
        if self.view.log.is_some() {
            return;
        }
        let at_rest = now.since(self.watch.second_at) >= SILENT_AFTER;
        let board = &self.view.board;
        let fresh = if at_rest { board.fresh_at_rest() } else { board.fresh() };
        let is_news = !Arc::ptr_eq(&fresh, &self.watch.last);
        // What comes a little late is no silence.
        self.fill_silence(now, if is_news { SILENT_AFTER + SECOND } else { SILENT_AFTER });
        if !is_news {
            return;
        }
        let watch = &mut self.watch;
        watch.urls = history::urls(&fresh, &watch.urls);
        let span = fresh.wall.at.micros_since(watch.last.wall.at);
        // Of all the time that all workers had.
        let span = span * u64::from(self.view.about.workers.max(1));
        let busy = fresh.busy_us.saturating_sub(watch.last.busy_us);
        watch.busy_share = (span > 0).then(|| (busy as f64 / span as f64).min(1.0));
        let second = history::second(&watch.last, Some(&fresh), &watch.urls);
        (watch.last, watch.second_at) = (fresh, now);
        self.lock().push(second);
    }

    /// Nothing was published for so long: seconds in which nothing happened. They are made when somebody looks or
    /// something happens, so that nobody need wake for them.
    fn fill_silence(&mut self, now: Time, after: Duration) {
        let silence = now.since(self.watch.second_at);
        if silence < after {
            return;
        }
        let count = (silence - after).as_secs() + 1;
        let made = count.min(history::SECONDS_KEPT as u64);
        self.watch.busy_share = Some(0.0);
        self.watch.second_at = self.watch.second_at.plus(Duration::from_secs(count));
        let empty = history::second(&self.watch.last, None, &self.watch.urls);
        let mut history = self.lock();
        let before = history.last().map_or(empty.at_ms, |last| last.at_ms) + 1000 * (count - made);
        for step in 1..=made {
            history.push(Second { at_ms: before + 1000 * step, ..empty.clone() });
        }
    }

    /// Writes what is new to those who listen.
    fn tell(&mut self, now: Time, out: &mut Vec<u8>) {
        let history = self.history.clone();
        let history = history.lock().unwrap_or_else(PoisonError::into_inner);
        let last = history.last_seq();
        let (fresh, latest) = (self.view.board.fresh(), self.view.board.latest());
        if history.after(self.told.second).take(TOLD_AT_ONCE + 1).count() > TOLD_AT_ONCE {
            drop(history);
            self.hello(out, now);
        } else {
            for second in history.after(self.told.second) {
                let stats = api::stats(&latest, &self.view.about, self.moment(now));
                let events = self.view.board.events_after(self.told.event);
                let requests = api::requests(&fresh, self.told.request, REQUESTS_MAX);
                self.told.event = events.last().map_or(self.told.event, |event| event.seq);
                self.told.request = requests.first().map_or(self.told.request, |request| request.seq);
                let second_named = second.after(self.told.urls.as_ref());
                let news = News { stats, second: second_named, events: &events, requests: &requests };
                events::message(out, "second", second.seq, &news);
                self.told.urls = Some(second.urls.clone());
            }
        }
        self.told.second = last;
    }

    /// Nobody listens: who comes later fetches all this.
    fn pass_over(&mut self) {
        let last = self.lock().last_seq();
        self.told.second = last;
        self.told.event = self.view.board.last_event();
        self.told.request = self.view.board.fresh().recent.first().map_or(0, |row| row.seq);
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Admin {
    const TICK: Option<Duration> = Some(LOOK_EVERY);

    fn body_max(&self, request: &Request<'_>) -> usize {
        if request.path().starts_with(b"/api/control/") { super::control::BODY_MAX } else { 0 }
    }

    fn request(&mut self, request: &Request<'_>, text: &mut Vec<u8>, now: Time) -> Reply {
        if let Some(refusal) = self.view.access.refuse_stranger(request) {
            return refusal;
        }
        if request.path().starts_with(b"/api/control/") {
            let View { control, access, board, .. } = &mut self.view;
            return super::control::answer(control.as_mut(), access, board, request, text, now);
        }
        let reads = matches!(request.method(), Method::Get | Method::Head);
        let is_private = request.path().starts_with(b"/api/") || request.path() == b"/metrics";
        if is_private && let Some(refusal) = self.view.access.refuse_unknown(request, now) {
            return if reads { refusal } else { only_get() };
        }
        if !reads {
            let is_known = PATHS.contains(&request.path()) || self.assets.answer(request).is_some();
            return if is_known { only_get() } else { plain(404, "not found\n") };
        }
        self.get(request, text, now).unwrap_or_else(|| plain(404, "not found\n"))
    }

    fn has_news(&self) -> bool {
        let (latest, fresh) = (self.view.board.latest(), self.view.board.fresh());
        let seen = Arc::ptr_eq(&latest, &self.watch.latest);
        !seen || (self.view.log.is_none() && !Arc::ptr_eq(&fresh, &self.watch.last))
    }

    fn tick(&mut self, now: Time, streams: &mut Streams) {
        self.streams = (streams.open, streams.dropped);
        self.look(now);
        self.advance(now);
        if streams.open == 0 {
            return self.pass_over();
        }
        if self.lock().last_seq() != self.told.second {
            self.tell(now, &mut streams.bytes);
        } else if now.since(self.told.at) >= COMMENT_AFTER {
            events::silence(&mut streams.bytes);
        }
        if !streams.bytes.is_empty() {
            self.told.at = now;
        }
    }
}

fn only_get() -> Reply {
    plain_with(405, "Allow: GET, HEAD\r\n", "method not allowed\n")
}

/// The number that `name` has in a query.
fn number_in(query: &[u8], name: &str) -> Option<u64> {
    let query = std::str::from_utf8(query).ok()?;
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?.1.parse().ok()
}
