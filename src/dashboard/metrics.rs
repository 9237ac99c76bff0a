//! `/metrics`: the figures for Prometheus.
//!
//! Latencies are histograms whose bounds are edges of the buckets they were recorded into: counts are exact, and the
//! same bounds everywhere make them fit to be added up. Each backend has one series of each kind: labels are its name, and a
//! name that has moved to another address is the new one. Absent: anything computed over time, which is the scraper's.

use std::collections::BTreeSet;
use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::About;
use super::exposition::{self, Form};
use super::reply::{accepts_gzip, guards, gzip, plain, reply};
use crate::http1::persist::Why;
use crate::record::latencies::{BOUNDS_US, Distribution};
use crate::record::snapshot::{BackendSnapshot, Snapshot, State};
use crate::serve::{Content, Reply, Request};

/// Of the answer, besides Content-Type.
const FIELDS: &str = concat!("Vary: Accept, Accept-Encoding\r\nCache-Control: no-store\r\n", guards!());
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What one scrape sees.
#[derive(Clone, Debug)]
pub(super) struct Scrape {
    pub(super) snapshot: Arc<Snapshot>,
    /// Those that have series.
    pub(super) backends: Vec<BackendSnapshot>,
    pub(super) about: About,
    pub(super) ready: bool,
    pub(super) busy_share: Option<f64>,
    /// Who listens to the stream of seconds, and how many were cut for not keeping up.
    pub(super) streams: (usize, u64),
}

/// The answer to a scraper, in the form and the coding it asks for.
pub(super) fn answer(request: &Request<'_>, scrape: Scrape, out: &mut Vec<u8>) -> Reply {
    let form = Form::asked_for(request);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut found = String::new();
    if text::encode(&mut found, &registry).is_err() {
        return plain(500, "the figures cannot be written\n");
    }
    if form == Form::Text {
        found = exposition::as_text(&found);
    }
    let fields = format!("Content-Type: {}\r\n{FIELDS}", form.media_type());
    if accepts_gzip(request) {
        let gzipped: Arc<[u8]> = gzip(found.as_bytes(), 1).into();
        return reply(200, format!("{fields}Content-Encoding: gzip\r\n"), Content::Shared(gzipped));
    }
    out.extend_from_slice(found.as_bytes());
    reply(200, fields, Content::Text)
}

/// Which backends have series: those configured, and of those removed the ones with requests in flight. When the last
/// has ended a removed one is shown once more, for its last figures, and is in `seen` from then on.
pub(super) fn shown<'s>(
    backends: &'s [BackendSnapshot],
    seen: &mut BTreeSet<String>,
) -> Vec<&'s BackendSnapshot> {
    let is_removed = |one: &BackendSnapshot| one.live.state == State::Removed;
    let mut names = BTreeSet::new();
    let (gone, there): (Vec<_>, Vec<_>) = backends.iter().partition(|one| is_removed(one));
    let mut shown: Vec<_> = there.into_iter().filter(|one| names.insert(one.url.as_str())).collect();
    seen.retain(|url| gone.iter().any(|one| one.url == *url) && !names.contains(url.as_str()));
    // Of several of one name the last to be added is the last to have been removed.
    for one in gone.into_iter().rev() {
        let is_first = names.insert(one.url.as_str());
        if is_first && (one.live.in_flight > 0 || seen.insert(one.url.clone())) {
            shown.push(one);
        }
    }
    shown
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut to = Family { encoder: &mut encoder };
        self.about_it(&mut to)?;
        self.totals(&mut to)?;
        self.by_backend(&mut to)
    }
}

/// Writes families of metrics.
struct Family<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Family<'_, '_> {
    fn counters<const L: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, String); L], u64)>,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn seconds(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn gauges<const L: usize, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, String); L], V)>,
    ) -> Result<(), Error> {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }
}

impl Scrape {
    fn about_it(&self, to: &mut Family<'_, '_>) -> Result<(), Error> {
        // As `tidegate --version` spells it: 0.1.0 (abc1234).
        let (version, revision) = self.about.version.split_once(" (").unwrap_or((&self.about.version, ""));
        let labels =
            [("version", version.to_owned()), ("revision", revision.trim_end_matches(')').to_owned())];
        to.gauges("tidegate_build_info", "What is running.", [(labels, 1u64)])?;
        let routing = [("routing", self.snapshot.routing.clone())];
        to.gauges("tidegate_routing_info", "The routing in force.", [(routing, 1u64)])?;
        let started = self.snapshot.started_ms as f64 / 1e3;
        to.gauge("tidegate_start_time_seconds", "Unix time of the start.", started)?;
        to.gauge("tidegate_ready", "Whether new requests are welcome.", f64::from(u8::from(self.ready)))?;
        if let Some(share) = self.busy_share {
            let help = "Share of the last second that the event loop was at work.";
            to.gauge("tidegate_reactor_busy_share", help, share)?;
        }
        let busy = self.snapshot.busy_us as f64 / 1e6;
        to.seconds("tidegate_reactor_busy_seconds", "Seconds that the event loop was at work.", busy)?;
        let (open, dropped) = self.streams;
        to.gauge("tidegate_admin_subscribers", "Readers of the stream of seconds.", open as f64)?;
        let help = "Readers of that stream cut for not keeping up.";
        to.counter("tidegate_admin_subscribers_dropped", help, dropped)
    }

    fn totals(&self, to: &mut Family<'_, '_>) -> Result<(), Error> {
        let counters = &self.snapshot.counters;
        let classes = CLASSES.iter().zip(counters.responses);
        let classes = classes.map(|(class, count)| ([("class", (*class).to_owned())], count));
        to.counters("tidegate_requests", "Exchanges ended, by class of their status.", classes)?;
        for (name, help, value) in [
            ("tidegate_refused", "Exchanges answered with an error without a backend.", counters.refused),
            ("tidegate_client_gone", "Exchanges their client left.", counters.client_gone),
            ("tidegate_retries", "Attempts beyond the first.", counters.retries),
            ("tidegate_dispatched", "Attempts in all.", counters.dispatched),
            (
                "tidegate_reused",
                "Exchanges whose last attempt went over a pooled connection.",
                counters.reused,
            ),
            ("tidegate_ejections", "Times a backend was put out.", counters.ejections),
            ("tidegate_surplus", "Times a backend sent bytes nobody had asked for.", counters.surplus),
            ("tidegate_log_dropped_rows", "Rows the request log has lost.", counters.log_drops),
            ("tidegate_clients_accepted", "Client connections accepted.", counters.clients_accepted),
            ("tidegate_received_bytes", "Bytes received from clients.", counters.bytes_in),
            ("tidegate_sent_bytes", "Bytes sent to clients.", counters.bytes_out),
        ] {
            to.counter(name, help, value)?;
        }
        let kept = Why::ALL.iter().zip(counters.kept);
        let kept = kept.map(|(why, count)| ([("reason", why.name().to_owned())], count));
        let help = "Whole answers, by what decided whether their connection may serve another request.";
        to.counters("tidegate_upstream_connection_verdicts", help, kept)?;
        to.gauge("tidegate_clients", "Client connections open.", counters.clients_active as f64)?;
        to.gauge(
            "tidegate_in_flight",
            "Requests dispatched, not finished.",
            self.snapshot.in_flight() as f64,
        )?;
        if self.snapshot.overhead.count() > 0 {
            let help = "Time exchanges took beyond what their backend took, between turns of the event loop.";
            let mut family = to.encoder.encode_descriptor(
                "tidegate_overhead_seconds",
                help,
                None,
                MetricType::Histogram,
            )?;
            let (sum, count, buckets) = histogram(&self.snapshot.overhead);
            family.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    fn by_backend(&self, to: &mut Family<'_, '_>) -> Result<(), Error> {
        let backends = &self.backends;
        let named = |of: &BackendSnapshot| [("backend", of.url.clone())];
        let help = "From sending a request upstream to the last byte of its answer.";
        let name = "tidegate_upstream_latency_seconds";
        let mut family = to.encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for backend in backends {
            let (sum, count, buckets) = histogram(&backend.latencies);
            let labels = named(backend);
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        let counts = |count: fn(&BackendSnapshot) -> u64| {
            backends.iter().map(move |one| (named(one), count(one))).collect::<Vec<_>>()
        };
        let levels = |level: fn(&BackendSnapshot) -> f64| {
            backends.iter().map(move |one| (named(one), level(one))).collect::<Vec<_>>()
        };
        let help = "Exchanges by the last backend they went to.";
        to.counters("tidegate_backend_requests", help, counts(|one| one.requests))?;
        to.counters("tidegate_backend_errors", "Attempts a backend failed.", counts(|one| one.errors))?;
        let help = "Attempts a backend failed that were made again elsewhere.";
        to.counters("tidegate_backend_retried", help, counts(|one| one.retries_from))?;
        let states = backends.iter().flat_map(|one| State::ALL.map(|state| (one, state)));
        let states = states.map(|(one, state)| {
            let labels = [("backend", one.url.clone()), ("state", state.name().to_owned())];
            (labels, u64::from(one.live.state == state))
        });
        to.gauges("tidegate_backend_state", "1 for the state a backend is in.", states)?;
        let help = "Requests dispatched to a backend, not finished.";
        to.gauges("tidegate_backend_in_flight", help, levels(|one| f64::from(one.live.in_flight)))?;
        let help = "Connections to a backend that wait in the pool.";
        to.gauges("tidegate_backend_pool_idle", help, levels(|one| one.live.idle as f64))?;
        let help = "Connections to a backend.";
        to.gauges("tidegate_backend_pool_open", help, levels(|one| one.live.open as f64))?;
        to.gauges("tidegate_backend_weight", "Relative capacity.", levels(|one| one.live.weight))?;
        let help = "Decayed share of failures among a backend's answers.";
        to.gauges("tidegate_backend_failure_rate", help, levels(|one| one.live.failure_rate))
    }
}

/// Sum in seconds, count, and counts between bounds in seconds, the last one open.
fn histogram(of: &Distribution) -> (f64, u64, Vec<(f64, u64)>) {
    let bounds = BOUNDS_US.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
    (of.sum_us() as f64 / 1e6, of.count(), bounds.zip(of.stretches()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::snapshot::Live;

    fn backend(url: &str, state: State, in_flight: u32, requests: u64) -> BackendSnapshot {
        BackendSnapshot {
            url: url.to_owned(),
            requests,
            errors: 0,
            retries_from: 0,
            share: 0.0,
            latencies: Arc::default(),
            live: Live { state, in_flight, ..Live::default() },
        }
    }

    #[test]
    fn a_removed_backend_has_series_while_it_is_busy_and_once_more() {
        let mut seen = BTreeSet::new();
        let mut names = |backends: &[BackendSnapshot]| -> Vec<(String, u64)> {
            shown(backends, &mut seen).iter().map(|one| (one.url.clone(), one.requests)).collect()
        };
        let table = |state, in_flight| [backend("a", State::Up, 0, 1), backend("b", state, in_flight, 2)];
        let (both, one) = (vec![("a".to_owned(), 1), ("b".to_owned(), 2)], vec![("a".to_owned(), 1)]);
        assert_eq!(names(&table(State::Up, 0)), both);
        assert_eq!(names(&table(State::Removed, 1)), both);
        assert_eq!(names(&table(State::Removed, 1)), both, "as long as it has one");
        assert_eq!(names(&table(State::Removed, 0)), both, "once more");
        assert_eq!(names(&table(State::Removed, 0)), one);
        assert_eq!(names(&table(State::Draining, 0)), both, "it is back");
        assert_eq!(names(&table(State::Removed, 0)), both, "and gone for the second time");
        assert_eq!(names(&table(State::Removed, 0)), one);
    }

    #[test]
    fn a_name_that_has_moved_has_one_series_and_it_is_the_live_one() {
        let mut seen = BTreeSet::new();
        let moved = [
            backend("a", State::Removed, 3, 1),
            backend("a", State::Removed, 0, 2),
            backend("a", State::Ejected, 0, 3),
        ];
        assert_eq!(shown(&moved, &mut seen).iter().map(|one| one.requests).collect::<Vec<_>>(), [3]);
        assert_eq!(shown(&moved[..2], &mut seen).iter().map(|one| one.requests).collect::<Vec<_>>(), [2]);
        assert!(shown(&moved[1..2], &mut seen).is_empty());
    }
}
