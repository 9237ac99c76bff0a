//! Decisions in words: a sentence for people, one line for the log, one for a response field.
//!
//! All of it visible ASCII and blanks, whatever a backend is called. Absent: deciding anything.

use std::fmt::Write as _;

use super::super::original;
use super::{Considered, Decision};
use crate::balance::{Reason, Routing};

/// Others named in a sentence; more are counted.
const OTHERS_NAMED: usize = 3;
/// A log row's reason is cut at 256 bytes; backends that would not fit are counted.
const COMPACT_BYTES: usize = 200;

/// What the backends are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    urls: Vec<String>,
    /// `host:port`.
    full: Vec<String>,
    /// The port, where that tells them apart.
    short: Vec<String>,
}

impl Labels {
    /// Of backends with these URLs.
    pub fn new(urls: &[String]) -> Labels {
        let urls: Vec<String> = urls.iter().map(|url| visible(url)).collect();
        let full: Vec<String> = urls
            .iter()
            .map(|url| url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/').to_owned())
            .collect();
        let ports: Vec<&str> = full.iter().map(|label| original::port_label(label)).collect();
        let distinct = (1..ports.len()).all(|at| !ports[..at].contains(&ports[at]));
        let short =
            if distinct { ports.iter().map(|port| (*port).to_owned()).collect() } else { full.clone() };
        Labels { urls, full, short }
    }

    /// URL of the backend at this index.
    pub fn url(&self, backend: u32) -> &str {
        self.urls.get(backend as usize).map_or("?", String::as_str)
    }

    fn full(&self, backend: u32) -> &str {
        self.full.get(backend as usize).map_or("?", String::as_str)
    }

    fn short(&self, backend: u32) -> &str {
        self.short.get(backend as usize).map_or("?", String::as_str)
    }
}

/// Without what could end a line, a field or a word.
fn visible(text: &str) -> String {
    let keep =
        |letter: char| if letter.is_ascii_graphic() && !";,\"".contains(letter) { letter } else { '?' };
    text.chars().map(keep).collect()
}

/// A score with the digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{value:.1e}"),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 1.0 || size == 0.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The decision in a sentence or two; the original's modes speak in the original's words.
pub fn sentence(decision: &Decision, labels: &Labels) -> String {
    if decision.policy.routing.is_exact() {
        return in_the_originals_words(decision, labels);
    }
    let name = labels.full(decision.backend);
    let begin = match decision.reason {
        Reason::Best => format!("Chose {name}"),
        Reason::Probe => format!("Probed {name}, not asked for a while"),
        Reason::Young => format!("Gave {name}, which joined lately, some of its first requests"),
        Reason::RoundRobin => format!("It was the turn of {name}"),
        Reason::Unmeasured => format!("Asked {name}, of which nothing is known yet"),
        Reason::Drawn if decision.chosen().is_some_and(|chosen| chosen.score.is_some()) => {
            format!("Chose {name}, the better of a few drawn at random")
        }
        Reason::Drawn => format!("Drew {name}"),
        Reason::Fallback => format!("Attempt {} went to {name}", decision.attempt),
        Reason::Panic => format!("Chose {name}, ignoring who is out because most are"),
        Reason::Trial => format!("Tried {name}, whose time out is over"),
        Reason::Only => format!("Only {name} could be chosen"),
    };
    let Some(chosen) = decision.chosen() else { return format!("{begin}.") };
    let comparison = match chosen.score {
        Some(score) => format!(": score {}{}", number(score), against(decision, score, labels)),
        None => String::new(),
    };
    format!("{begin}{comparison}; {} in flight.", chosen.in_flight)
}

/// ` beat 14.0 (8082) and 20.2 (8083)`, or what it did not beat.
fn against(decision: &Decision, score: f64, labels: &Labels) -> String {
    let rivals = |candidate: &&Considered| candidate.up && candidate.backend != decision.backend;
    let mut others: Vec<(f64, u32)> = decision
        .candidates()
        .iter()
        .filter(rivals)
        .filter_map(|candidate| Some((candidate.score?, candidate.backend)))
        .collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((best, _)) = others.first() else { return String::new() };
    let verb = match () {
        () if *best < score && decision.reason == Reason::Best => " against", // within what counts as equal
        () if *best < score => ", others",
        () if number(*best) == number(score) => " against",
        () => " beat",
    };
    let named = others.len().min(OTHERS_NAMED);
    let more = others.len() - named + decision.cut as usize;
    let mut parts: Vec<String> = others[..named]
        .iter()
        .map(|(score, backend)| format!("{} ({})", number(*score), labels.short(*backend)))
        .collect();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    let last = parts.pop().unwrap_or_default();
    let joined = if parts.is_empty() { last } else { format!("{} and {last}", parts.join(", ")) };
    format!("{verb} {joined}")
}

/// As the original's console, less the line breaks.
fn in_the_originals_words(decision: &Decision, labels: &Labels) -> String {
    let url = labels.url(decision.backend);
    let (tag, plural) = match decision.policy.routing {
        Routing::AdaptiveSma => ("SMA", "SMAs"),
        Routing::AdaptiveEwma => ("EWMA", "EWMAs"),
        _ => return format!("[RR] Chosen: {url}"),
    };
    if decision.reason == Reason::Unmeasured {
        return format!("[{tag}] Probing unmeasured: {url}");
    }
    let scored =
        decision.candidates().iter().filter_map(|candidate| Some((candidate.backend, candidate.score?)));
    let averages: Vec<String> =
        scored.map(|(backend, average)| format!("{}={average:.1}ms", labels.short(backend))).collect();
    format!("[{tag}] {plural}: {} [{tag}] Chosen: {url}", averages.join(", "))
}

/// Appends `elastic best 8081=12.1 8082=14.0 8083=down n=3` to `out`: policy, reason, each backend's score where it has
/// one, and what the chosen one had in flight.
pub fn compact(decision: &Decision, labels: &Labels, out: &mut String) {
    let from = out.len();
    // Writing to a String cannot fail, here and below.
    let _ = write!(out, "{} {}", decision.policy, decision.reason.name());
    let mut cut = decision.cut;
    for candidate in decision.candidates() {
        if out.len() - from > COMPACT_BYTES {
            cut += 1;
            continue;
        }
        let label = labels.short(candidate.backend);
        let _ = match (candidate.tried, candidate.up, candidate.score) {
            (true, ..) => write!(out, " {label}=tried"),
            (_, false, _) => write!(out, " {label}=down"),
            (_, _, Some(score)) => write!(out, " {label}={}", number(score)),
            _ => Ok(()),
        };
    }
    if cut > 0 {
        let _ = write!(out, " +{cut}");
    }
    if let Some(chosen) = decision.chosen() {
        let _ = write!(out, " n={}", chosen.in_flight);
    }
    if decision.attempt > 1 {
        let _ = write!(out, " attempt={}", decision.attempt);
    }
}

/// Appends the value of a response field to `out`: words of `key=value`, a `;` before each candidate.
pub fn field_value(decision: &Decision, labels: &Labels, out: &mut String) {
    let _ = write!(
        out,
        "policy={} reason={} backend={} attempt={}",
        decision.policy,
        decision.reason.name(),
        labels.full(decision.backend),
        decision.attempt
    );
    if let Some(gamma) = decision.gamma {
        let _ = write!(out, " gamma={gamma:.3}");
    }
    for candidate in decision.candidates() {
        let _ = write!(out, "; candidate={} n={}", labels.full(candidate.backend), candidate.in_flight);
        if let Some(score) = candidate.score {
            let _ = write!(out, " score={}", number(score));
        }
        if let Some(estimate) = candidate.estimate_ms {
            let _ = write!(out, " ms={}", number(estimate));
        }
        let marks = [(candidate.tried, " tried=1"), (!candidate.up, " up=0")];
        marks.iter().filter(|(holds, _)| *holds).for_each(|(_, mark)| out.push_str(mark));
    }
    if decision.cut > 0 {
        let _ = write!(out, "; more={}", decision.cut);
    }
}
