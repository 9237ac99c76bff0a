//! One turn of one scenario: fresh backends and a fresh proxy, the load, and a [`Round`].

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::child::{self, Server};
use super::drive::{self, Driven};
use super::plan::{BackendPlan, Plan};
use super::screen::Screen;
use super::{LoadPlan, MESSAGES};
use crate::balance::Average;
use crate::cli::Failure;
use crate::config::value::Value as _;
use crate::report::run::Round;

/// A process that uses more of its core than this has none left for a peak.
const BUSY: f64 = 0.9;
/// A port may be held for a moment by what ends just now.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// What all turns share.
pub(super) struct Stage<'a> {
    pub(super) load: &'a LoadPlan,
    pub(super) directory: &'a Path,
    pub(super) messages: &'a File,
    /// Of the backends, by their place.
    pub(super) ports: &'a [u16],
}

/// What is drawn from what in a round, the same for all its scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    round: u64,
}

/// A turn that was finished.
pub(super) struct Done {
    pub(super) round: Round,
    /// Share of a core the proxy used; no warning, for it is what is measured.
    pub(super) proxy_share: Option<f64>,
}

impl Seeds {
    pub(crate) fn of_round(seed: u64, round: u32) -> Seeds {
        // The generator mixes: neighbouring rounds have nothing in common.
        Seeds { round: fastrand::Rng::with_seed(seed ^ (u64::from(round) << 32)).u64(..) }
    }

    /// Of the arrivals.
    pub(crate) fn load(self) -> u64 {
        self.round
    }

    /// Of the policy's own choices, where it is not a process that seeds itself.
    pub(crate) fn policy(self) -> u64 {
        self.drawn(0)
    }

    /// Drawn once rather than next to each other: the generator's sequences of neighbouring seeds go together so far that
    /// a queue fed by one and served by the other is a tenth longer than it ought to be.
    fn drawn(self, stream: u64) -> u64 {
        fastrand::Rng::with_seed(self.round.wrapping_add(stream)).u64(..)
    }

    /// Of the backend in this place.
    pub(crate) fn backend(self, place: usize) -> u64 {
        self.drawn(1 + place as u64)
    }
}

impl Stage<'_> {
    /// Runs it; `None` when it was stopped before its end, of which nothing is kept.
    pub(super) fn turn(
        &self,
        plan: &Plan,
        round: u32,
        seeds: &Seeds,
        screen: &Screen,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Done>, Failure> {
        let stem = format!("{}_{}", plan.name, round + 1);
        let csv = format!("{stem}.csv");
        let mut backends = Vec::new();
        for (place, backend) in plan.backends.iter().enumerate() {
            backends.push(self.backend(backend, place, *seeds)?);
        }
        let mut proxy = self.proxy(plan, &backends, &self.directory.join(&csv))?;
        let mut ids = vec![proxy.process.id()];
        ids.extend(backends.iter().map(|backend| backend.process.id()));
        let job = drive::Job {
            load: self.load,
            target: proxy.address,
            seed: seeds.load(),
            directory: self.directory,
            name: &plan.name,
            stem: &stem,
            watched: &ids,
        };
        let driven = drive::drive(&job, screen, stop)?;
        if stop.load(Ordering::SeqCst) {
            drop((proxy, backends));
            for file in [&csv, &format!("{stem}.hgrm")] {
                // Half a round is in nobody's way.
                let _ = fs::remove_file(self.directory.join(file));
            }
            return Ok(None);
        }
        for (name, server) in names(plan).zip(std::iter::once(&mut proxy).chain(&mut backends)) {
            self.must_be_alive(&name, server)?;
        }
        proxy.process.stop().map_err(|error| Failure::Runtime(format!("the proxy does not end: {error}")))?;
        let warnings = warnings(plan, &driven);
        let proxy_share = driven.usage.shares.first().copied().flatten();
        let Driven { mut round, usage, .. } = driven;
        (round.csv, round.warnings, round.others) = (Some(csv), warnings, usage.others);
        Ok(Some(Done { round, proxy_share }))
    }

    fn backend(&self, backend: &BackendPlan, place: usize, seeds: Seeds) -> Result<Server, Failure> {
        let port = self.ports.get(place).copied().unwrap_or(0);
        let mut words: Vec<OsString> = vec!["backend".into()];
        let mut say = |flag: &str, value: &OsStr| words.push(flag_with(flag, value));
        say("id", backend.id.as_ref());
        say("port", port.to_string().as_ref());
        say("seed", seeds.backend(place).to_string().as_ref());
        say("fail-rate", backend.fail_rate.to_string().as_ref());
        if let Some(latency) = &backend.latency {
            say("latency", latency.show().as_ref());
        }
        if let Some(limit) = backend.concurrency {
            say("concurrency", limit.to_string().as_ref());
        }
        if let Some(script) = &backend.script {
            say("script", script.as_os_str());
        }
        self.serve(&words, &format!("backend {} at port {port}", backend.id))
    }

    fn proxy(&self, plan: &Plan, backends: &[Server], csv: &Path) -> Result<Server, Failure> {
        let listed: Vec<String> = backends
            .iter()
            .zip(&plan.backends)
            .map(|(server, backend)| spec(server.address, backend.weight))
            .collect();
        let mut words: Vec<OsString> =
            ["proxy", "--listen", "127.0.0.1:0", "--admin", "none", "--drain-timeout", "2s"]
                .map(OsString::from)
                .to_vec();
        let mut say = |flag: &str, value: &OsStr| words.push(flag_with(flag, value));
        say("backend", listed.join(",").as_ref());
        say("routing", plan.routing.routing.name().as_ref());
        let options = plan.routing.options();
        if options.tail {
            say("objective", "tail".as_ref());
        }
        if options.average == Average::Sma {
            say("least-time-average", "sma".as_ref());
        }
        say("upstream", plan.upstream.to_string().as_ref());
        say("client-keepalive", plan.client_keepalive.show().as_ref());
        say("log", csv.as_os_str());
        self.serve(&words, &format!("the proxy of {}", plan.name))
    }

    fn serve(&self, words: &[OsString], name: &str) -> Result<Server, Failure> {
        let mut failed: Option<io::Error> = None;
        for _ in 0..ATTEMPTS {
            if failed.is_some() {
                thread::sleep(BETWEEN_ATTEMPTS);
            }
            match child::serve(words, self.messages) {
                Ok(server) => return Ok(server),
                Err(error) => failed = Some(error),
            }
        }
        Err(self.child_failed(name, &failed.map_or_else(String::new, |error| error.to_string())))
    }

    fn must_be_alive(&self, name: &str, server: &mut Server) -> Result<(), Failure> {
        match server.process.ended() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.child_failed(name, &format!("it ended by itself, {status}"))),
            Err(error) => Err(self.child_failed(name, &error.to_string())),
        }
    }

    fn child_failed(&self, name: &str, why: &str) -> Failure {
        let path = self.directory.join(MESSAGES);
        let said = fs::read_to_string(&path).unwrap_or_default();
        let last = said.lines().last().map_or_else(String::new, |line| format!(" ({line})"));
        Failure::Runtime(format!("{name}: {why}{last}; see {}", path.display()))
    }
}

/// The proxy and the backends, as a reader knows them.
fn names(plan: &Plan) -> impl Iterator<Item = String> {
    let backends = plan.backends.iter().map(|backend| format!("backend {}", backend.id));
    std::iter::once("the proxy".to_owned()).chain(backends)
}

/// In one word, so that a value that begins with a hyphen is none the less a value.
fn flag_with(flag: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{flag}="));
    word.push(value);
    word
}

fn spec(address: SocketAddr, weight: f64) -> String {
    if weight == 1.0 { address.to_string() } else { format!("{address}@{weight}") }
}

/// Whether anything but the proxy was the bottleneck, and what else makes the figures doubtful.
fn warnings(plan: &Plan, driven: &Driven) -> Vec<String> {
    let mut warnings = Vec::new();
    let figures = driven.round.load.clone().unwrap_or_default();
    if let Some(busy) = figures.busy_share.filter(|busy| *busy > BUSY) {
        warnings.push(format!(
            "the load generator was the bottleneck (busy {:.0} % of the time): its latencies are its own",
            busy * 100.0
        ));
    }
    for (name, share) in names(plan).zip(&driven.usage.shares).skip(1) {
        if let Some(share) = share.filter(|share| *share > BUSY) {
            warnings.push(format!("{name} was a bottleneck ({:.0} % of a core)", share * 100.0));
        }
    }
    if figures.requests == 0 {
        warnings.push("not one request was answered in the measured time".to_owned());
    }
    if figures.errors > 0 {
        warnings.push(format!("{} requests without an answer ({})", figures.errors, driven.errors));
    }
    if driven.unsent > 0 {
        warnings.push(format!(
            "{} requests were due and never sent, as every connection was busy: the rate was not kept",
            driven.unsent
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::meter::Usage;
    use crate::bench::plan::{ROUTINGS, UPSTREAMS, matrix};
    use crate::report::run::LoadFigures;

    #[test]
    fn bottlenecks_are_named() {
        let plan = &matrix(&ROUTINGS, &UPSTREAMS, None)[0];
        let load = LoadFigures { requests: 5, errors: 2, busy_share: Some(0.95), ..LoadFigures::default() };
        let mut driven = Driven {
            round: Round { load: Some(load), ..Round::default() },
            usage: Usage { shares: vec![Some(0.99), Some(0.2), Some(0.97), None], others: Some(1.25) },
            errors: "2 reset".to_owned(),
            unsent: 3,
        };
        let found = warnings(plan, &driven);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("the load generator was the bottleneck (busy 95 %"));
        assert_eq!(found[1], "backend B was a bottleneck (97 % of a core)");
        assert_eq!(found[2], "2 requests without an answer (2 reset)");
        driven = Driven {
            round: Round {
                load: Some(LoadFigures { requests: 9, ..LoadFigures::default() }),
                ..Round::default()
            },
            usage: Usage { shares: vec![Some(1.0)], others: Some(0.1) },
            errors: String::new(),
            unsent: 0,
        };
        assert!(warnings(plan, &driven).is_empty());
    }

    #[test]
    fn seeds_differ_by_round_and_place_only() {
        let (first, second) = (Seeds::of_round(7, 0), Seeds::of_round(7, 1));
        assert_eq!(first, Seeds::of_round(7, 0));
        assert_ne!(first.backend(0), first.backend(1));
        assert_ne!(first.backend(0), second.backend(0));
        assert_ne!(first.load(), first.backend(0));
    }
}
