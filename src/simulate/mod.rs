//! Policies without traffic: `tidegate simulate` before emulated backends, `tidegate replay` before a recorded log.
//!
//! ```text
//! SCENARIO.toml --bench/file--> plans --emulated--> Origins \
//!                                                            world: events in virtual time --report--> the bench's table
//! LOG.csv --report/rows--> requests --recorded--> Origins   /
//! ```
//!
//! The policies, the backend table with its ejector and the retry budget are the proxy's own code; the backends of a
//! simulation are the emulator's. A round is one seed, alike for all policies, so that they meet the same arrivals and
//! the same latencies; equal seeds give equal tables. Rounds run on as many threads as there are cores.
//!
//! Absent: the proxy's own time, sockets, bodies, and anything that would make a figure here a promise about there. What
//! is found here is to be shown with `tidegate bench`.

mod emulated;
mod recorded;
#[cfg(test)]
mod tests;
mod world;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::balance::Variant;
use crate::bench::plan::{BackendPlan, Plan};
use crate::bench::{self, BenchConfig, LoadPlan, Seeds};
use crate::cli::Failure;
use crate::config::BackendConfig;
use crate::report::{self, Laps, Summary};
use emulated::Cast;
use recorded::{Record, Recorded};
use world::{Load, Setting, World};

/// Everything `tidegate simulate` can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateConfig {
    /// What the table is called.
    pub title: String,
    /// At least one; names are unique.
    pub plans: Vec<Plan>,
    /// The same for all; its rounds are the seeds.
    pub load: LoadPlan,
    /// Added to each attempt, more or less.
    pub network: Duration,
    /// Where to write the report; nowhere when absent.
    pub out: Option<PathBuf>,
}

/// Everything `tidegate replay` can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayConfig {
    /// The log: ours, or the original's.
    pub log: PathBuf,
    /// At least one.
    pub routings: Vec<Variant>,
    /// Clients of a closed loop, at least 1; by what the log looks like when absent.
    pub connections: Option<usize>,
    /// Whether arrivals are the log's, or a closed loop's; by what the log looks like when absent.
    pub arrivals: Option<Arrivals>,
    /// Rounds; at least 1.
    pub seeds: u32,
    /// Of everything drawn.
    pub seed: u64,
    /// Left out at the start; a tenth of the log when absent.
    pub warmup: Option<Duration>,
    /// Where to write the report; nowhere when absent.
    pub out: Option<PathBuf>,
}

/// What sets the pace of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// The log does.
    Recorded,
    /// The answers do.
    Closed,
}

/// `tidegate simulate`: the table.
///
/// # Errors
/// One line: a script that cannot be read, a report that cannot be written.
pub fn simulate(config: &SimulateConfig) -> Result<String, Failure> {
    let (load, mut names) = (&config.load, Vec::new());
    let given = match load.rate {
        Some(rate) => Load::Open { rate, spacing: load.spacing, connections: load.connections },
        None => Load::Closed(load.connections),
    };
    let mut all = Vec::new();
    for plan in &config.plans {
        let cast = Cast::new(&plan.backends).map_err(Failure::Usage)?;
        let backends: Vec<BackendConfig> =
            plan.backends.iter().enumerate().map(|(place, it)| backend(&it.id, place, it.weight)).collect();
        let indices = indices(&plan.backends, &mut names);
        let mut laps = Laps::new(bench::scenario(plan, load), load.rounds as usize);
        let round = |round: u32| {
            let seeds = Seeds::of_round(load.seed, round);
            let setting = Setting {
                routing: plan.routing,
                backends: &backends,
                load: &given,
                network: config.network,
                warmup: load.warmup,
                duration: load.duration,
                load_seed: seeds.load(),
                policy_seed: seeds.policy(),
            };
            World::new(&setting, cast.of_round(seeds)).run().0
        };
        in_order(load.rounds, round, |lap| laps.add(lap, &indices));
        all.push(laps);
    }
    let note = "Virtual time: the proxy's policies, ejector and retries before emulated backends, without sockets; a \
                round is a seed. What is found here is to be shown with tidegate bench."
        .to_owned();
    let plans = BenchConfig { plans: config.plans.clone(), load: load.clone(), base_port: 0, out: None };
    let run = config.out.is_some().then(|| bench::blank(&plans));
    told(report::summary_of_laps(&config.title, run, names, vec![note], all), config.out.as_ref())
}

/// `tidegate replay`: the table.
///
/// # Errors
/// One line: a log that cannot be read, a report that cannot be written.
pub fn replay(config: &ReplayConfig) -> Result<String, Failure> {
    let (log, names, recorded_by, torn) = report::read_log(&config.log).map_err(Failure::Usage)?;
    let shown = config.log.display();
    if names.is_empty() {
        return Err(Failure::Usage(format!("{shown}: backend_url is empty in every row: nothing to replay")));
    }
    let record = Record::new(&log, names.len());
    if record.span.is_zero() {
        return Err(Failure::Usage(format!(
            "{shown}: all of it is one moment: a replay needs a log of some time"
        )));
    }
    let closed = match config.arrivals {
        Some(arrivals) => arrivals == Arrivals::Closed,
        None => config.connections.is_some() || record.is_closed(),
    };
    let clients = closed.then(|| config.connections.unwrap_or_else(|| record.clients()));
    let warmup = config.warmup.unwrap_or(record.span / 10);
    if warmup >= record.span {
        let (has, wanted) = (record.span.as_secs_f64(), warmup.as_secs_f64());
        return Err(Failure::Usage(format!("--warmup '{wanted}s': {shown} is only {has:.3} s long")));
    }
    let (laps, lacking) = replayed(config, &record, &names, clients, warmup);
    let mut notes = vec![recorded_note(&log, &record, &recorded_by, clients)];
    if torn {
        notes.push("The log's last row has no line end and is left out.".to_owned());
    }
    notes.extend(lacking);
    let names = names.iter().map(|name| name.trim_start_matches("http://").to_owned()).collect();
    told(report::summary_of_laps(&shown.to_string(), None, names, notes, laps), config.out.as_ref())
}

/// All rounds, and what to say of requests for which the log has no sample of their time.
fn replayed(
    config: &ReplayConfig,
    record: &Record,
    names: &[String],
    clients: Option<usize>,
    warmup: Duration,
) -> (Vec<Laps>, Vec<String>) {
    let load = record.load(clients);
    let backends: Vec<BackendConfig> =
        names.iter().enumerate().map(|(place, name)| backend(name, place, 1.0)).collect();
    let indices: Vec<usize> = (0..names.len()).collect();
    let (mut all, mut notes) = (Vec::new(), Vec::new());
    for routing in &config.routings {
        let mut laps =
            Laps::new(replay_scenario(config, *routing, clients, record, warmup), config.seeds as usize);
        let (mut served, mut lacking) = (0, 0);
        let round = |round: u32| {
            let seeds = Seeds::of_round(config.seed, round);
            let setting = Setting {
                routing: *routing,
                backends: &backends,
                load: &load,
                network: Duration::ZERO,
                warmup,
                duration: record.span.saturating_sub(warmup),
                load_seed: seeds.load(),
                policy_seed: seeds.policy(),
            };
            World::new(&setting, Recorded::new(record, seeds.backend(0))).run()
        };
        in_order(config.seeds, round, |(lap, origins)| {
            (served, lacking) = (served + origins.served, lacking + origins.lacking);
            laps.add(lap, &indices);
        });
        if lacking * 100 > served {
            notes.push(format!(
                "{routing}: {:.0} % of its requests went where the log has nothing within a second of their time.",
                lacking as f64 * 100.0 / served as f64
            ));
        }
        all.push(laps);
    }
    (all, notes)
}

fn replay_scenario(
    config: &ReplayConfig,
    routing: Variant,
    clients: Option<usize>,
    record: &Record,
    warmup: Duration,
) -> report::run::Scenario {
    let rate = record.arrivals.len() as f64 / record.span.as_secs_f64();
    report::run::Scenario {
        name: routing.name().to_owned(),
        routing: routing.name().to_owned(),
        profile: config.log.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        client_keepalive: true,
        load: report::run::Load {
            driver: "tidegate".to_owned(),
            connections: u32::try_from(clients.unwrap_or(record.in_flight.1)).unwrap_or(u32::MAX),
            rate: clients.is_none().then(|| (rate * 10.0).round() / 10.0),
            arrivals: clients.is_none().then(|| "recorded".to_owned()),
        },
        duration_s: record.span.saturating_sub(warmup).as_secs_f64(),
        warmup_s: warmup.as_secs_f64(),
        ..report::run::Scenario::default()
    }
}

/// What the log itself says, to compare with.
fn recorded_note(
    log: &[report::Logged],
    record: &Record,
    routings: &[String],
    clients: Option<usize>,
) -> String {
    let latencies: Vec<u64> = log.iter().filter_map(|row| row.latency_us).collect();
    let mean = latencies.iter().sum::<u64>() as f64 / latencies.len().max(1) as f64 / 1e3;
    let rate = log.len() as f64 / record.span.as_secs_f64();
    let (average, most) = record.in_flight;
    let load = match clients {
        Some(clients) => format!("replayed by {clients} clients in a closed loop"),
        None => "replayed with its own arrivals".to_owned(),
    };
    format!(
        "Recorded with {}: {rate:.1} requests/s, mean {mean:.1} ms, {average:.1} in flight on average and {most} at most; {load}. \
         A backend answers as it did at that time, however much more or less it is asked here.",
        routings.join(", ")
    )
}

fn told(summary: Summary, out: Option<&PathBuf>) -> Result<String, Failure> {
    let mut text = report::brief(&summary);
    if let Some(dir) = out {
        report::write(&summary, dir)?;
        text += &format!("Written to {}\n", dir.join("report.html").display());
    }
    Ok(text)
}

/// Runs `round` for each number below `rounds`, several at once, and hands over what comes of them in their order.
fn in_order<T: Send>(rounds: u32, round: impl Fn(u32) -> T + Sync, mut take: impl FnMut(T)) {
    let threads = thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    let mut next = 0;
    while next < rounds {
        let some = next..rounds.min(next + threads);
        next = some.end;
        let round = &round;
        let done: Vec<Option<T>> = thread::scope(|scope| {
            let running: Vec<_> = some.map(|number| scope.spawn(move || round(number))).collect();
            running.into_iter().map(|thread| thread.join().ok()).collect()
        });
        done.into_iter().flatten().for_each(&mut take);
    }
}

/// By place, each backend's index in `names`: its id, with its place where another of the scenario has the same.
fn indices(backends: &[BackendPlan], names: &mut Vec<String>) -> Vec<usize> {
    let index = |(place, backend): (usize, &BackendPlan)| {
        let taken = backends[..place].iter().any(|other| other.id == backend.id);
        let name = if taken { format!("{} ({})", backend.id, place + 1) } else { backend.id.clone() };
        names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        })
    };
    backends.iter().enumerate().map(index).collect()
}

/// A backend nobody will dial.
fn backend(name: &str, place: usize, weight: f64) -> BackendConfig {
    BackendConfig { url: name.to_owned(), address: nowhere(place), weight }
}

/// An address that tells backends apart, and nothing else.
fn nowhere(place: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x7f00_0000 + place as u32)), 1)
}
