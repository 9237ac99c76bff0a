//! Orders over the admin address: checked here, carried out by the reactor between two turns.
//!
//! Off without a token. Each order is answered as soon as it is on its way; what became of it is an event. A reload of
//! the file undoes them all. Absent: any lock the reactor would wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::Board;
use super::access::{Access, Allowance};
use super::reply::{json_with, plain_with};
use crate::balance::Variant;
use crate::clock::Time;
use crate::config::address::BackendSpec;
use crate::http1::Method;
use crate::proxy::Command;
use crate::reactor;
use crate::record::snapshot::{BackendSnapshot, State};
use crate::serve::{Reply, Request};

/// An order is a short line.
pub(super) const BODY_MAX: usize = 4096;
/// After this long the figures tell of an order: they are made twice a second.
const SHOWN_AFTER: Duration = Duration::from_secs(2);
const DELAY_MS_MAX: u64 = 60_000;

/// Delays in microseconds that backends of this process add to their answers, by their URLs.
pub type Delays = Vec<(String, Arc<AtomicU64>)>;

/// The way to who carries orders out.
#[derive(Debug)]
pub struct Control {
    reactor: reactor::Control,
    delays: Delays,
    allowance: Allowance,
    /// Backends drained a moment ago, and until when the figures may not show it yet.
    drained: Vec<(String, Time)>,
}

impl Control {
    /// Of the proxy on this reactor; `delays` are those of backends in this process.
    pub fn new(reactor: reactor::Control, delays: Delays) -> Control {
        Control { reactor, delays, allowance: Allowance::default(), drained: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    backend: Option<String>,
    weight: Option<f64>,
    routing: Option<String>,
    delay_ms: Option<u64>,
}

/// A status and why.
type Refusal = (u16, String);

/// What to answer to a request below `/api/control/`.
pub(super) fn answer(
    control: Option<&mut Control>,
    access: &Access,
    board: &Board,
    request: &Request<'_>,
    text: &mut Vec<u8>,
    now: Time,
) -> Reply {
    if request.method() != Method::Post {
        return plain_with(405, "Allow: POST\r\n", "method not allowed\n");
    }
    let Some(control) = control.filter(|_| access.has_token()) else {
        return json_with(
            403,
            "",
            text,
            &json!({ "error": "nothing can be changed here: see --admin-token-file" }),
        );
    };
    if let Some(refusal) = access.refuse_unknown(request, now) {
        let (fields, why) = match refusal.status {
            429 => ("Retry-After: 1\r\n", "too many wrong tokens: wait a second"),
            _ => ("WWW-Authenticate: Bearer realm=\"tidegate\"\r\n", "wants the token"),
        };
        return json_with(refusal.status, fields, text, &json!({ "error": why }));
    }
    if !control.allowance.admit(now) {
        return json_with(
            429,
            "Retry-After: 1\r\n",
            text,
            &json!({ "error": "too many orders: wait a second" }),
        );
    }
    match obey(control, board, request, now) {
        Ok(done) => json_with(200, "", text, &json!({ "done": done })),
        Err((status, error)) => json_with(status, "", text, &json!({ "error": error })),
    }
}

fn obey(control: &mut Control, board: &Board, request: &Request<'_>, now: Time) -> Result<String, Refusal> {
    let verb = request.path().strip_prefix(b"/api/control/").unwrap_or_default();
    if !matches!(verb, b"drain" | b"enable" | b"weight" | b"routing" | b"delay") {
        return Err((404, "there is drain, enable, weight, routing and delay".to_owned()));
    }
    let order: Order =
        serde_json::from_slice(request.body()).map_err(|error| (400, format!("not an order: {error}")))?;
    let (command, done) = match verb {
        b"drain" => {
            let url = backend(board, &order)?;
            control.drained.retain(|(_, shown)| *shown > now);
            must_leave_one(board, &url, &control.drained)?;
            control.drained.push((url.clone(), now.plus(SHOWN_AFTER)));
            let done = format!("{url} is drained: it gets no new requests");
            (Command::Drain(url), done)
        }
        b"enable" => {
            let url = backend(board, &order)?;
            control.drained.retain(|(drained, _)| *drained != url);
            let done = format!("{url} gets requests again");
            (Command::Enable(url), done)
        }
        b"weight" => {
            let url = backend(board, &order)?;
            let weight = order.weight.filter(|weight| BackendSpec::check_weight(*weight).is_ok());
            let weight =
                weight.ok_or_else(|| (400, "weight must be a number from 0.001 to 1000".to_owned()))?;
            let done = format!("{url} has weight {weight}");
            (Command::Weight(url, weight), done)
        }
        b"routing" => {
            let name = order.routing.ok_or_else(|| (400, "routing must be a name".to_owned()))?;
            let routing: Variant = name.parse().map_err(|error| (400, format!("{error}")))?;
            (Command::Routing(routing), format!("routing is {routing}"))
        }
        _ => delay(control, board, &order)?,
    };
    if !board.order(command) {
        return Err((429, "too many orders wait".to_owned()));
    }
    control.reactor.commands();
    Ok(done)
}

fn delay(control: &Control, board: &Board, order: &Order) -> Result<(Command, String), Refusal> {
    let url = backend(board, order)?;
    let delay_ms = order.delay_ms.filter(|millis| *millis <= DELAY_MS_MAX);
    let delay_ms = delay_ms.ok_or_else(|| (400, format!("delay_ms must be 0 to {DELAY_MS_MAX}")))?;
    let Some((_, delay)) = control.delays.iter().find(|(own, _)| *own == url) else {
        return Err((409, format!("{url} is not a demo backend: nobody here can delay it")));
    };
    delay.store(delay_ms * 1000, Ordering::Relaxed);
    let told = format!("answers {delay_ms} ms later");
    let done = format!("{url} {told}");
    Ok((Command::Note(Some(url), told), done))
}

/// The backend that is meant: by its URL, or that without its scheme.
fn backend(board: &Board, order: &Order) -> Result<String, Refusal> {
    let name = order.backend.as_deref().ok_or_else(|| (400, "backend must be a URL".to_owned()))?;
    let snapshot = board.latest();
    let known = snapshot.backends.iter().filter(|backend| backend.live.state != State::Removed);
    let found = known
        .map(|backend| &backend.url)
        .find(|url| *url == name || url.strip_prefix("http://") == Some(name));
    found.cloned().ok_or_else(|| (404, format!("no backend {name:?}")))
}

/// Draining the last backend that gets requests would be an outage by a click.
fn must_leave_one(board: &Board, url: &str, drained: &[(String, Time)]) -> Result<(), Refusal> {
    let snapshot = board.latest();
    let is_open = |other: &BackendSnapshot| {
        !matches!(other.live.state, State::Draining | State::Removed)
            && drained.iter().all(|(drained, _)| *drained != other.url)
    };
    match snapshot.backends.iter().any(|other| other.url != url && is_open(other)) {
        true => Ok(()),
        false => Err((409, format!("{url} is the last one that gets requests"))),
    }
}
