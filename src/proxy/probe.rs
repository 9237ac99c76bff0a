//! Looking after backends without a client's request: active checks, and whether an unreachable one is back.
//!
//! With `--health-path` each backend is asked for that path at regular intervals, whatever the traffic. Without it only
//! a backend put out because nobody could connect to it is looked at: when a connect succeeds, its trial comes at once
//! instead of when its time out is over. One probe per backend at a time, on the same sockets, buffers and clock as
//! everything else. Absent: what a probe's outcome means for routing (upstream/).

use super::World;
use crate::clock::Time;
use crate::config::HealthCheck;
use crate::dashboard::Kind;
use crate::fault::Fault;
use crate::http1::response::ResponseHead;
use crate::http1::{Limits, Method, Parsed};
use crate::net::{Conn, ConnKey, Drain, Fill, Net, Ready, Role};
use crate::record::snapshot::LastCheck;
use std::time::Duration;

/// How often an unreachable backend is dialled.
const REVISIT: Duration = Duration::from_secs(1);
/// Reads of one probe's answer in a turn, of a KiB each: twice the longest head there may be. Interim answers without end
/// must not keep the loop.
const READS_MAX: usize = 128;

/// The probes of all backends, by backend index.
#[derive(Debug, Default)]
pub struct Probes {
    check: Option<HealthCheck>,
    list: Vec<Probe>,
    draw: fastrand::Rng,
}

#[derive(Debug)]
struct Probe {
    due: Time,
    flight: Option<Flight>,
    /// Outcomes of the same kind in a row.
    in_a_row: u32,
    last_good: bool,
    /// What came of the last one, for display.
    last: Option<LastCheck>,
}

#[derive(Debug)]
struct Flight {
    conn: ConnKey,
    until: Time,
    /// What is still to be sent; empty for a mere connect.
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
}

impl Probes {
    /// Begins with the checks configured, if any, the first of each at some time within the interval: proxies started
    /// together do not ask together, nor are all backends asked at once.
    pub fn new(check: Option<HealthCheck>, backends: usize, seed: u64) -> Probes {
        let mut probes = Probes { check, list: Vec::new(), draw: fastrand::Rng::with_seed(seed) };
        probes.resize(backends, Time::ZERO);
        probes
    }

    /// Makes room for further backends.
    pub fn resize(&mut self, backends: usize, now: Time) {
        let interval = self.check.as_ref().map(|check| check.interval);
        let draw = &mut self.draw;
        self.list.resize_with(backends, || Probe {
            due: within(interval, now, draw),
            flight: None,
            in_a_row: 0,
            last_good: true,
            last: None,
        });
    }

    /// Other checks from now on; probes under way end first.
    pub fn set_check(&mut self, check: Option<HealthCheck>, now: Time) {
        if self.check != check {
            let interval = check.as_ref().map(|check| check.interval);
            self.check = check;
            for probe in &mut self.list {
                probe.due = within(interval, now, &mut self.draw);
            }
        }
    }

    /// When the next thing is to be done.
    pub fn next_deadline(&self) -> Option<Time> {
        let due = self
            .list
            .iter()
            .map(|probe| probe.flight.as_ref().map_or(probe.due, |flight| flight.until))
            .min()?;
        (due != Time::NEVER).then_some(due)
    }

    /// What came of the last probe of this backend.
    pub fn last(&self, backend: usize) -> Option<LastCheck> {
        self.list.get(backend)?.last
    }

    /// Connections probes hold, for the leak sweep.
    pub fn in_flight(&self, backend: usize) -> usize {
        usize::from(self.list.get(backend).is_some_and(|probe| probe.flight.is_some()))
    }
}

/// Some time within the interval from now on.
fn within(interval: Option<Duration>, now: Time, draw: &mut fastrand::Rng) -> Time {
    interval.map_or(Time::NEVER, |interval| now.plus(interval.mul_f64(draw.f64())))
}

impl<N: Net> World<N> {
    /// Nobody could connect to this backend: look whether it is back, soon and again.
    pub fn revisit(&mut self, backend: usize) {
        if self.probes.check.is_none()
            && let Some(probe) = self.probes.list.get_mut(backend)
        {
            probe.due = self.now.plus(REVISIT);
        }
    }

    /// Begins the probes that are due and ends those that take too long.
    pub fn run_probes(&mut self) {
        if self.probes.next_deadline().is_none_or(|due| due > self.now) {
            return;
        }
        for backend in 0..self.probes.list.len() {
            let probe = &self.probes.list[backend];
            match &probe.flight {
                Some(flight) if flight.until <= self.now => {
                    self.probe_ended(backend, false, "no answer in time", None);
                }
                None if probe.due <= self.now => self.begin_probe(backend),
                _ => {}
            }
        }
    }

    /// After a reload: looks after those that have come, and forgets what was under way for those that made room.
    pub fn adopt_probes(&mut self, holds: &[bool], check: Option<HealthCheck>) {
        self.probes.resize(self.upstreams.len(), self.now);
        for (probe, holds) in self.probes.list.iter_mut().zip(holds) {
            if !holds {
                if let Some(flight) = probe.flight.take() {
                    self.conns.remove(flight.conn.0);
                }
                (probe.in_a_row, probe.last_good, probe.last) = (0, true, None);
            }
            if check.is_some() && probe.due == Time::NEVER {
                probe.due = self.now;
            }
        }
        self.probes.set_check(check, self.now);
    }

    /// Something was said about a probe's connection.
    pub fn probe_event(&mut self, backend: usize) {
        let Some(flight) = self.probes.list.get_mut(backend).and_then(|probe| probe.flight.as_mut()) else {
            return;
        };
        let Some(conn) = self.conns.get_mut(flight.conn.0) else { return };
        if !conn.ready().any(Ready::WRITABLE.with(Ready::GONE)) {
            return;
        }
        if flight.sent == 0 && self.net.connect_result(&mut conn.stream).is_err() {
            return self.probe_ended(backend, false, "cannot connect", None);
        }
        if flight.request.is_empty() {
            return self.probe_ended(backend, true, "can be connected to", None);
        }
        if flight.sent < flight.request.len() {
            match conn.drain(&mut self.net, &flight.request[flight.sent..], &[]) {
                Drain::Bytes(count) => flight.sent += count,
                Drain::Blocked => return,
                Drain::Broken(_) => return self.probe_ended(backend, false, "connection lost", None),
            }
        }
        self.read_probe(backend);
    }

    fn begin_probe(&mut self, backend: usize) {
        let unreachable = self.upstreams.is_unreachable(backend);
        let (timeout, request) = match &self.probes.check {
            Some(check) if self.upstreams.is_configured(backend) => {
                let configured = || self.upstreams.authority(backend);
                let host = check.host.as_deref().unwrap_or_else(configured);
                let path = &check.path;
                let text = format!(
                    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health\r\nConnection: close\r\n\r\n"
                );
                (check.timeout, text.into_bytes())
            }
            None if unreachable && self.upstreams.is_configured(backend) => {
                (self.config.timeouts.connect, Vec::new())
            }
            _ => {
                self.probes.list[backend].due = Time::NEVER;
                return;
            }
        };
        let stream = match self.dial(backend) {
            Ok(stream) => stream,
            Err(Fault::Exhausted) => {
                self.probes.list[backend].due = self.now.plus(REVISIT); // our want is no verdict on the backend
                return;
            }
            Err(_) => return self.probe_ended(backend, false, "cannot connect", None),
        };
        let conn = ConnKey(self.conns.insert(Conn::dialled(stream, Role::Probe(backend))));
        let until = self.now.plus(timeout);
        self.probes.list[backend].flight = Some(Flight { conn, until, request, sent: 0, answer: Vec::new() });
        // Registered before anything is tried: a probe is in no hurry, and an event will tell how the connect went.
        if let Some(dialled) = self.conns.get_mut(conn.0) {
            dialled.forget(Ready::WRITABLE);
        }
        if self.register(conn).is_err() {
            self.probe_ended(backend, false, "cannot connect", None);
        }
    }

    fn read_probe(&mut self, backend: usize) {
        let Some(flight) = self.probes.list.get_mut(backend).and_then(|probe| probe.flight.as_mut()) else {
            return;
        };
        let Some(conn) = self.conns.get_mut(flight.conn.0) else { return };
        let mut buffer = self.buffers.take(1);
        let outcome = 'reads: {
            for _ in 0..READS_MAX {
                match conn.fill(&mut self.net, &mut buffer, 0) {
                    Fill::Bytes(count) => {
                        flight.answer.extend_from_slice(buffer.raw());
                        buffer.drop_raw(count);
                    }
                    Fill::Blocked => break 'reads None,
                    Fill::Closed | Fill::Broken(_) => break 'reads Some((false, "connection lost", None)),
                }
                match read_status(&mut flight.answer, &mut self.response_head, &self.config.limits) {
                    Ok(None) => {}
                    Ok(Some(status)) => {
                        let good = self.probes.check.as_ref().is_none_or(|check| check.expected.has(status));
                        let text = if good { "good answer" } else { "bad answer" };
                        break 'reads Some((good, text, Some(status)));
                    }
                    Err(what) => break 'reads Some((false, what, None)),
                }
            }
            Some((false, "answer without end", None))
        };
        self.buffers.give(&mut buffer);
        if let Some((good, text, status)) = outcome {
            self.probe_ended(backend, good, text, status);
        }
    }

    fn probe_ended(&mut self, backend: usize, good: bool, text: &'static str, status: Option<u16>) {
        let at = self.now;
        let Some(probe) = self.probes.list.get_mut(backend) else { return };
        if let Some(flight) = probe.flight.take()
            && let Some(mut conn) = self.conns.remove(flight.conn.0)
        {
            self.net.reset_on_close(&mut conn.stream);
        }
        probe.in_a_row = if probe.last_good == good { probe.in_a_row.saturating_add(1) } else { 1 };
        probe.last_good = good;
        probe.last = Some(LastCheck { at, ok: good, text, status });
        let Some(check) = &self.probes.check else {
            probe.due = if good { Time::NEVER } else { self.now.plus(REVISIT) };
            if good {
                self.upstreams.try_now(backend, self.now);
                self.share_standing(backend);
                self.wake_refused();
            }
            return;
        };
        probe.due = self.now.plus(check.interval);
        let enough = probe.in_a_row >= if good { check.rise } else { check.fall };
        let is_back = good && self.upstreams.is_unreachable(backend);
        let is_news = enough && self.upstreams.set_down(backend, !good);
        if is_news {
            let text = status.map_or_else(|| text.to_owned(), |status| format!("{text}, status {status}"));
            let (url, path, text) = (self.upstreams.url(backend), &check.path, text.as_str());
            match good {
                true => tracing::info!(backend = url, path, "backend passes its checks again"),
                false => tracing::warn!(backend = url, path, reason = text, "backend fails its checks"),
            }
            let kind = if good { Kind::Up } else { Kind::Down };
            self.tell(kind, Some(backend), || format!("active checks: {text}"));
        }
        if is_back {
            self.upstreams.try_now(backend, self.now);
            self.share_standing(backend);
        }
        if good {
            self.wake_refused();
        }
        if is_news {
            self.close_orphans();
            self.share_down(backend);
            self.wake_waiting();
        }
    }
}

/// The status of the answer so far; `None` while its final head is not here, what is wrong when it is none.
fn read_status(
    answer: &mut Vec<u8>,
    head: &mut ResponseHead,
    limits: &Limits,
) -> Result<Option<u16>, &'static str> {
    loop {
        match head.parse(answer, Method::Get, limits) {
            Ok(Parsed::Complete(len)) if head.facts().is_interim() => drop(answer.drain(..len)),
            Ok(Parsed::Complete(_)) => return Ok(Some(head.facts().status)),
            Ok(Parsed::Partial) => return Ok(None),
            Err(_) => return Err("no HTTP answer"),
        }
    }
}
