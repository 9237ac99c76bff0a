//! What a report says, as values: the text, the page and summary.json are three spellings of a [`Summary`].

use std::collections::BTreeMap;

use serde::Serialize;

use super::input::{Input, Loaded};
use super::published;
use super::run::RunFile;
use super::stats::{Figure, Interval, Metric, ROUNDS_MIN, Samples, Slices, Values, interval};
use super::verdict::{self, Control, Verdict};

/// A whole report.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the run.
    pub title: String,
    /// What intervals are over.
    pub basis: Basis,
    /// Whose clock latencies are by.
    pub source: Source,
    /// What a reader should know, in sentences.
    pub notes: Vec<String>,
    /// How the run was made, if that is known; its scenarios are in `groups`.
    pub run: Option<RunFile>,
    /// Scenarios that may be compared with each other.
    pub groups: Vec<Group>,
}

impl Summary {
    /// Those of `notes` that figures must not be read without. The first two say what intervals are over and whose the
    /// latencies are; there is nothing to warn of where they are as one would think.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        let few = self.basis == Basis::Rounds && self.rows().any(|row| row.samples < ROUNDS_MIN);
        let warned = [few, self.source == Source::ProxyLog];
        let notes = self.notes.iter().enumerate();
        notes.filter(move |(index, _)| *warned.get(*index).unwrap_or(&true)).map(|(_, note)| note.as_str())
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.groups.iter().flat_map(|group| &group.scenarios)
    }
}

/// What is resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Independent rounds.
    Rounds,
    /// Slices of time.
    Slices,
}

/// Who measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The built-in load driver.
    Clients,
    /// The proxy's log.
    ProxyLog,
}

/// Scenarios that differ in routing only.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// What they have in common.
    pub title: String,
    /// The scenario that ratios are to.
    pub baseline: Option<String>,
    /// One row each, in the order they were run.
    pub scenarios: Vec<Row>,
    /// One per judged metric.
    pub verdicts: Vec<Verdict>,
    /// Whether round robin against round robin shows no difference.
    pub control: Control,
}

/// A scenario's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub routing: String,
    /// Backend connections: `persistent`, `non-persistent` or, if not known, empty.
    pub upstream: String,
    /// Whether it is the control.
    pub control: bool,
    /// Rounds or slices the intervals are over.
    pub samples: usize,
    /// Requests in the proxy's log.
    pub requests: u64,
    /// Of these, those answered with 5xx or not at all.
    pub errors: u64,
    /// Seconds measured, all rounds.
    pub seconds: f64,
    /// By metric.
    pub figures: BTreeMap<Metric, Figure>,
    /// The figures as multiples of the baseline's.
    pub ratios: BTreeMap<Metric, Figure>,
    /// Longest latency in the log, ms.
    pub max_ms: Option<f64>,
    /// What the original's authors measured, for its scenarios.
    pub original: Option<published::Published>,
    /// By backend, sorted by name.
    pub backends: Vec<BackendRow>,
    /// Latency distribution.
    pub curve: Vec<CurvePoint>,
    /// Seconds per point of `series`.
    pub series_step_s: f64,
    /// Over time, rounds laid over each other.
    pub series: Vec<SeriesPoint>,
}

impl Row {
    /// The share of the requests that failed, 0..=1.
    pub fn error_share(&self) -> f64 {
        self.errors as f64 / self.requests.max(1) as f64
    }
}

/// A backend's part.
#[derive(Clone, Debug, Serialize)]
pub struct BackendRow {
    /// Its name in the scenario where that is known, else its URL without the scheme.
    pub name: String,
    /// Requests sent there.
    pub requests: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Of all requests that were sent anywhere, 0..=1.
    pub share: f64,
    /// Mean latency.
    pub mean_ms: Option<f64>,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
}

/// Of a distribution.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CurvePoint {
    /// 0..=1.
    pub quantile: f64,
    /// What that share of the requests did not exceed.
    pub ms: f64,
}

/// Of a time series.
#[derive(Clone, Debug, Serialize)]
pub struct SeriesPoint {
    /// Requests logged.
    pub requests: u64,
    /// By backend, in the order of [`Row::backends`], 0..=1.
    pub shares: Vec<f64>,
    /// Mean latency.
    pub mean_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
}

/// A row with what its intervals were drawn from.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) row: Row,
    pub(super) samples: Samples,
    pub(super) replicates: Vec<Values>,
}

/// Works everything out.
pub(super) fn summarize(input: Input) -> Summary {
    let Input { title, run, scenarios, backends, mut notes } = input;
    let rounds = scenarios.iter().map(|loaded| loaded.scenario.rounds.len()).min().unwrap_or(0);
    let driven = |loaded: &Loaded| loaded.clients.is_some() && loaded.scenario.load.driver != "wrk";
    // Not by how many rounds there are: the log does not know what a request waited before it was sent, so that in an
    // open loop one round more would change what a latency is. What the clients have no slices of gets no interval.
    let source = if scenarios.iter().all(driven) { Source::Clients } else { Source::ProxyLog };
    let basis = match source {
        Source::ProxyLog if rounds < ROUNDS_MIN => Basis::Slices,
        _ => Basis::Rounds,
    };
    notes.splice(0..0, explain(basis, source, rounds));
    let mut groups: Vec<(String, Vec<Judged>)> = Vec::new();
    for (index, loaded) in scenarios.into_iter().enumerate() {
        let key = group_title(&loaded);
        let judged = judge(loaded, &backends, basis, source, index as u64);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(judged),
            None => groups.push((key, vec![judged])),
        }
    }
    let groups = groups.into_iter().map(|(title, members)| group(title, members)).collect();
    let run = run.map(|run| RunFile { scenarios: Vec::new(), ..run });
    Summary { title, basis, source, notes, run, groups }
}

fn explain(basis: Basis, source: Source, rounds: usize) -> Vec<String> {
    let over = match (basis, rounds) {
        (Basis::Rounds, rounds) if rounds < ROUNDS_MIN => format!(
            "With {rounds} of the {ROUNDS_MIN} rounds that intervals take there are none, and no winners; figures are \
             medians over the rounds."
        ),
        (Basis::Rounds, _) => "Figures are medians over the rounds, with 95 % bootstrap intervals over the rounds; \
                               ratios are drawn round by round."
            .to_owned(),
        (Basis::Slices, 0) => {
            "Intervals are 95 % block bootstrap intervals over slices: each file is cut into 20 slices of equal time. \
             They know the run's own unrest, not what would differ in another run."
                .to_owned()
        }
        (Basis::Slices, rounds) => format!(
            "With {rounds} of the {ROUNDS_MIN} rounds that intervals over rounds take, intervals are block bootstrap \
             intervals over 20 slices of equal time. They know nothing of differences between rounds."
        ),
    };
    let by = match source {
        Source::Clients => {
            "Throughput and latencies are the clients', by the load driver; shares are from the proxy's log."
        }
        Source::ProxyLog => {
            "Latencies are the proxy's: from sending upstream to the answer's last byte. What requests waited before \
             that, as the clients felt it, is not in them."
        }
    };
    vec![over, by.to_owned()]
}

fn group_title(loaded: &Loaded) -> String {
    let scenario = &loaded.scenario;
    let mut parts = Vec::new();
    if !scenario.upstream.is_empty() {
        parts.push(format!("{} backend connections", scenario.upstream));
    }
    if loaded.described {
        let load = &scenario.load;
        parts.push(format!("profile {}", scenario.profile));
        parts.push(match load.rate {
            Some(rate) => format!("{rate} requests/s over {} connections", load.connections),
            None => format!("{} connections in a closed loop", load.connections),
        });
        if scenario.upstream == "persistent" && !scenario.client_keepalive {
            parts.push("client connections closed".to_owned());
        }
    }
    if parts.is_empty() { "All logs".to_owned() } else { parts.join(", ") }
}

fn judge(loaded: Loaded, names: &[String], basis: Basis, source: Source, stream: u64) -> Judged {
    let samples = match (basis, source, &loaded.clients) {
        (_, Source::Clients, Some(clients)) => Samples::Rounds(
            clients
                .iter()
                .map(|seen| {
                    let ms = |value: Option<f64>| value.unwrap_or(f64::NAN);
                    [seen.rate, ms(seen.mean_ms), ms(seen.p50_ms), ms(seen.p95_ms), ms(seen.p99_ms)]
                })
                .collect(),
        ),
        (Basis::Rounds, ..) => Samples::Rounds(loaded.rounds.clone()),
        (Basis::Slices, ..) => Samples::Slices(Slices::new(&loaded.slices)),
    };
    let replicates = samples.replicates(stream);
    // Of slices the figure is the whole run's, which the round's own values are to the last digit.
    let values = match (&samples, &loaded.rounds[..]) {
        (Samples::Slices(_), [whole]) => *whole,
        _ => samples.values(),
    };
    let figures = figures(&values, &replicates, samples.tail());
    let row = row(loaded, names, source, samples.len(), figures);
    Judged { row, samples, replicates }
}

/// Each metric that has a value.
fn figures(values: &Values, replicates: &[Values], tail: f64) -> BTreeMap<Metric, Figure> {
    let figure = |(index, metric): (usize, Metric)| {
        let interval = interval(replicates.iter().map(|replicate| replicate[index]), tail);
        values[index].is_finite().then_some((metric, Figure { value: values[index], interval }))
    };
    Metric::ALL.into_iter().enumerate().filter_map(figure).collect()
}

fn row(
    loaded: Loaded,
    names: &[String],
    source: Source,
    samples: usize,
    figures: BTreeMap<Metric, Figure>,
) -> Row {
    let scenario = &loaded.scenario;
    let latencies = match (source, &loaded.client_latencies) {
        (Source::Clients, Some(clients)) => clients,
        _ => &loaded.total.latencies,
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names[*a].cmp(&names[*b]));
    let sent: u64 = loaded.backends.iter().map(|backend| backend.rows).sum();
    let backends = order.iter().map(|index| {
        let known = loaded.backends.get(*index);
        let ms = |quantile: f64| known.and_then(|backend| backend.latencies.quantile_ms(quantile));
        let requests = known.map_or(0, |backend| backend.rows);
        BackendRow {
            name: backend_name(scenario, names[*index].trim_start_matches("http://")),
            requests,
            errors: known.map_or(0, |backend| backend.errors),
            share: if sent > 0 { requests as f64 / sent as f64 } else { 0.0 },
            mean_ms: known.and_then(|backend| backend.latencies.mean_ms()),
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
        }
    });
    let series = loaded.series.1.iter().map(|point| {
        let all: u32 = point.backends.iter().sum();
        let share = |index: &usize| {
            f64::from(point.backends.get(*index).copied().unwrap_or(0)) / f64::from(all.max(1))
        };
        let shares = order.iter().map(share).collect();
        SeriesPoint { requests: point.rows, shares, mean_ms: point.mean_ms, p95_ms: point.p95_ms }
    });
    let is_original = !loaded.described || scenario.profile == "original";
    Row {
        name: scenario.name.clone(),
        routing: scenario.routing.clone(),
        upstream: scenario.upstream.clone(),
        control: scenario.control,
        samples,
        requests: loaded.total.rows,
        errors: loaded.total.errors,
        seconds: loaded.seconds,
        figures,
        ratios: BTreeMap::new(),
        max_ms: latencies.max_ms(),
        original: published::find(&scenario.upstream, &scenario.routing)
            .filter(|_| is_original && !scenario.control),
        backends: backends.collect(),
        curve: curve(latencies),
        series_step_s: loaded.series.0,
        series: series.collect(),
    }
}

/// A backend's name in its scenario; with its port if another one has that name.
fn backend_name(scenario: &super::run::Scenario, address: &str) -> String {
    let Some(own) = scenario.backends.iter().find(|named| named.address == address) else {
        return address.to_owned();
    };
    let twins = scenario.backends.iter().filter(|named| named.id == own.id).count();
    match address.rsplit_once(':') {
        Some((_, port)) if twins > 1 => format!("{} :{port}", own.id),
        _ => own.id.clone(),
    }
}

/// Every percent, then ever finer towards the end, as far as there are requests to tell.
fn curve(latencies: &super::measure::Latencies) -> Vec<CurvePoint> {
    let percents = (0..100).map(|percent| f64::from(percent) / 100.0);
    let nines = [0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99995, 0.99999, 0.999_999];
    let told = |quantile: &f64| (1.0 - quantile) * latencies.count() as f64 >= 1.0;
    percents
        .chain(nines.into_iter().filter(told))
        .chain([1.0])
        .filter_map(|quantile| Some(CurvePoint { quantile, ms: latencies.quantile_ms(quantile)? }))
        .collect()
}

fn group(title: String, mut members: Vec<Judged>) -> Group {
    let base = members.iter().position(|member| member.row.routing == "round-robin" && !member.row.control);
    if let Some(base) = base {
        for index in 0..members.len() {
            let ratios = ratios(&members[index], &members[base]);
            members[index].row.ratios = ratios;
        }
    }
    let control = verdict::control(&members, base);
    let verdicts = verdict::verdicts(&members);
    let baseline = base.map(|base| members[base].row.name.clone());
    let scenarios = members.into_iter().map(|member| member.row).collect();
    Group { title, baseline, scenarios, verdicts, control }
}

fn ratios(member: &Judged, base: &Judged) -> BTreeMap<Metric, Figure> {
    let tail = member.samples.tail().min(base.samples.tail());
    let ratio = |(index, metric): (usize, Metric)| {
        let value = member.row.figures.get(&metric)?.value / base.row.figures.get(&metric)?.value;
        let drawn = member.replicates.iter().zip(&base.replicates).map(|(a, b)| a[index] / b[index]);
        let interval: Option<Interval> = interval(drawn, tail);
        value.is_finite().then_some((metric, Figure { value, interval }))
    };
    Metric::ALL.into_iter().enumerate().filter_map(ratio).collect()
}
