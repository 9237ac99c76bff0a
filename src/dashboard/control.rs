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
use super::access::Access;
use super::reply::{json_with, plain_with};
use crate::balance::Routing;
use crate::clock::Time;
use crate::http1::Method;
use crate::proxy::Command;
use crate::reactor;
use crate::record::snapshot::State;
use crate::serve::{Reply, Request};

/// An order is a short line.
pub(super) const BODY_MAX: usize = 4096;
/// Orders, and wrong tokens, that may come at once.
const BURST: f64 = 10.0;
/// ... and a second after that.
const PER_SECOND: f64 = 2.0;
const DELAY_MS_MAX: u64 = 60_000;
const WEIGHT_MAX: f64 = 1e6;

/// Delays in microseconds that backends of this process add to their answers, by their URLs.
pub type Delays = Vec<(String, Arc<AtomicU64>)>;

/// The way to who carries orders out.
#[derive(Debug)]
pub struct Control {
    reactor: reactor::Control,
    delays: Delays,
    allowance: f64,
    filled: Time,
}

impl Control {
    /// Of the proxy on this reactor; `delays` are those of backends in this process.
    pub fn new(reactor: reactor::Control, delays: Delays) -> Control {
        Control { reactor, delays, allowance: BURST, filled: Time::ZERO }
    }

    fn admit(&mut self, now: Time) -> bool {
        let earned = now.since(self.filled).min(Duration::from_secs(60)).as_secs_f64() * PER_SECOND;
        self.allowance = (self.allowance + earned).min(BURST);
        self.filled = now;
        let admitted = self.allowance >= 1.0;
        if admitted {
            self.allowance -= 1.0;
        }
        admitted
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
    if !control.admit(now) {
        return json_with(
            429,
            "Retry-After: 1\r\n",
            text,
            &json!({ "error": "too many orders: wait a second" }),
        );
    }
    if access.refuse_unknown(request).is_some() {
        let challenge = "WWW-Authenticate: Bearer realm=\"tidegate\"\r\n";
        return json_with(401, challenge, text, &json!({ "error": "wants the token" }));
    }
    match obey(control, board, request) {
        Ok(done) => json_with(200, "", text, &json!({ "done": done })),
        Err((status, error)) => json_with(status, "", text, &json!({ "error": error })),
    }
}

fn obey(control: &Control, board: &Board, request: &Request<'_>) -> Result<String, Refusal> {
    let verb = request.path().strip_prefix(b"/api/control/").unwrap_or_default();
    if !matches!(verb, b"drain" | b"enable" | b"weight" | b"routing" | b"delay") {
        return Err((404, "there is drain, enable, weight, routing and delay".to_owned()));
    }
    let order: Order =
        serde_json::from_slice(request.body()).map_err(|error| (400, format!("not an order: {error}")))?;
    let (command, done) = match verb {
        b"drain" => {
            let url = backend(board, &order)?;
            must_leave_one(board, &url)?;
            let done = format!("{url} is drained: it gets no new requests");
            (Command::Drain(url), done)
        }
        b"enable" => {
            let url = backend(board, &order)?;
            let done = format!("{url} gets requests again");
            (Command::Enable(url), done)
        }
        b"weight" => {
            let url = backend(board, &order)?;
            let weight = order.weight.filter(|weight| *weight > 0.0 && *weight <= WEIGHT_MAX);
            let weight =
                weight.ok_or_else(|| (400, format!("weight must be above 0, at most {WEIGHT_MAX}")))?;
            let done = format!("{url} has weight {weight}");
            (Command::Weight(url, weight), done)
        }
        b"routing" => {
            let name = order.routing.ok_or_else(|| (400, "routing must be a name".to_owned()))?;
            let routing: Routing = name.parse().map_err(|error| (400, format!("{error}")))?;
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
fn must_leave_one(board: &Board, url: &str) -> Result<(), Refusal> {
    let snapshot = board.latest();
    let mut others = snapshot.backends.iter().filter(|backend| backend.url != url);
    match others.any(|other| !matches!(other.live.state, State::Draining | State::Removed)) {
        true => Ok(()),
        false => Err((409, format!("{url} is the last one that gets requests"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::{DrainTimes, Reactor};

    #[test]
    fn orders_come_in_bursts_and_then_by_the_second() {
        let listener = crate::net::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let times = DrainTimes { delay: Duration::ZERO, timeout: Duration::ZERO };
        let reactor = Reactor::new(listener, times).unwrap();
        let mut control = Control::new(reactor.control(), Vec::new());
        let now = Time::from_millis(5_000);
        assert_eq!((0..100).filter(|_| control.admit(now)).count(), 10);
        assert_eq!((0..100).filter(|_| control.admit(Time::from_millis(6_000))).count(), 2);
        assert_eq!((0..100).filter(|_| control.admit(Time::from_millis(60_000))).count(), 10);
    }
}
