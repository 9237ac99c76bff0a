//! `tidegate bench`: scenarios in turns, and a report that may be believed.
//!
//! ```text
//! flags, file --plan--> scenarios --order--> turns: ABC BCA CAB ...
//!     each turn: backends and proxy as fresh processes (child), load from this one or from wrk (drive), one Round
//!     after each turn: run.json as a whole; at the end, or after Ctrl-C: the report
//! ```
//!
//! A turn begins with nothing learned: processes, connections and averages are new, and the warm-up counts nowhere. In
//! a round all scenarios have the same seed, so their backends draw the same latencies. Absent: statistics (see
//! [`report`](crate::report)), and any tuning of the machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::cli::Failure;
use crate::demo::on_signals;
use crate::emulator::script::Script;
use crate::load::Spacing;
use crate::report::run::{FILE_NAME, FORMAT, Load, Named, Round, RunFile, Scenario};
use crate::report::{self, ReportConfig};

pub mod child;
pub mod plan;

pub(crate) mod file;

mod drive;
mod machine;
mod meter;
mod ports;
mod screen;
mod turn;
mod wrk;

use plan::Plan;
use screen::Screen;
use turn::Stage;

pub(crate) use turn::Seeds;

/// Where the children's complaints go, in the run directory.
const MESSAGES: &str = "children.log";

/// Everything `tidegate bench` can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchConfig {
    /// At least one; names are unique.
    pub plans: Vec<Plan>,
    /// The same for all.
    pub load: LoadPlan,
    /// First of the backends' ports; 0 is any.
    pub base_port: u16,
    /// A directory without a run in it; named after the time when absent.
    pub out: Option<PathBuf>,
}

/// The load, and how often it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadPlan {
    /// Who drives it.
    pub driver: Driver,
    /// At least 1.
    pub connections: usize,
    /// Requests a second of an open loop, > 0; a closed loop when absent.
    pub rate: Option<f64>,
    /// How an open loop's requests are spread.
    pub spacing: Spacing,
    /// Turns of each scenario; at least 1.
    pub rounds: u32,
    /// Measured in each turn; > 0.
    pub duration: Duration,
    /// Driven before that.
    pub warmup: Duration,
    /// Of everything drawn.
    pub seed: u64,
}

/// A load generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// [`load`](crate::load), on a thread of this process.
    BuiltIn,
    /// The program of that name.
    Wrk,
}

/// Runs it all on this process's terminal; the first SIGINT or SIGTERM ends it early, the second at once.
///
/// # Errors
/// A directory that cannot be written, a child that cannot be started or dies. What was finished before is reported.
pub fn run(config: &BenchConfig) -> Result<(), Failure> {
    let stop = on_signals().map_err(|error| Failure::Runtime(format!("signals: {error}")))?;
    let directory = make_directory(config)?;
    let mut run = blank(config);
    let store = |run: &RunFile| {
        run.store(&directory).map_err(|error| cannot_write(&directory.join(FILE_NAME), &error))
    };
    store(&run)?;
    let screen = Screen::new(config);
    screen.line(&greeting(config, &directory, &run));
    let outcome = all_turns(config, &directory, &mut run, &screen, &stop, &store);
    screen.end();
    run.interrupted = outcome.is_err() || stop.load(Ordering::SeqCst);
    store(&run)?;
    tidy(&directory);
    if run.scenarios.iter().all(|scenario| scenario.rounds.is_empty()) {
        screen.line("No round was finished: nothing to report.");
        return outcome;
    }
    if run.interrupted {
        screen.line("Ended early; the report has what was finished.");
    }
    let config = ReportConfig {
        paths: vec![directory],
        out: None,
        warmup: Duration::ZERO,
        compare: false,
        threshold: 0.0,
    };
    let reported = report::report(&config).map(|text| screen.line(&format!("\n{text}")));
    outcome.and(reported) // why it ended early matters more than what became of the report
}

fn all_turns(
    config: &BenchConfig,
    directory: &Path,
    run: &mut RunFile,
    screen: &Screen,
    stop: &Arc<AtomicBool>,
    store: &dyn Fn(&RunFile) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let path = directory.join(MESSAGES);
    let messages = File::create(&path).map_err(|error| cannot_write(&path, &error))?;
    let backends_max = config.plans.iter().map(|plan| plan.backends.len()).max().unwrap_or(0);
    let ports = ports::choose(config.base_port, backends_max).map_err(Failure::Runtime)?;
    for (scenario, plan) in run.scenarios.iter_mut().zip(&config.plans) {
        scenario.backends = named(plan, &ports);
    }
    let stage = Stage { load: &config.load, directory, messages: &messages, ports: &ports };
    for round in 0..config.load.rounds {
        let seeds = Seeds::of_round(config.load.seed, round);
        for index in plan::order(round, config.plans.len()) {
            if stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let plan = &config.plans[index];
            screen.begin(&plan.name, round);
            let Some(done) = stage.turn(plan, round, &seeds, screen, stop)? else { return Ok(()) };
            screen.done(plan, round, &done);
            run.scenarios[index].rounds.push(done.round);
            store(run)?;
        }
        screen.round_done(round, run);
    }
    Ok(())
}

/// The run before its first round.
pub(crate) fn blank(config: &BenchConfig) -> RunFile {
    let with_wrk = config.load.driver == Driver::Wrk;
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    RunFile {
        format: FORMAT,
        command: machine::command_line(words),
        started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        seed: config.load.seed,
        git_revision: machine::git_revision(),
        versions: machine::versions(with_wrk),
        machine: machine::machine(),
        interrupted: true, // until its end has been seen
        scenarios: config.plans.iter().map(|plan| scenario(plan, &config.load)).collect(),
    }
}

/// The backends by the names that a report gives them.
fn named(plan: &Plan, ports: &[u16]) -> Vec<Named> {
    let pairs = plan.backends.iter().zip(ports);
    pairs.map(|(one, port)| Named { id: one.id.clone(), address: format!("127.0.0.1:{port}") }).collect()
}

/// The scenario before its first round.
pub(crate) fn scenario(plan: &Plan, load: &LoadPlan) -> Scenario {
    Scenario {
        name: plan.name.clone(),
        routing: plan.routing.name().to_owned(),
        upstream: plan.upstream.to_string(),
        client_keepalive: plan.client_keepalive,
        profile: plan.profile.clone(),
        control: plan.control,
        load: Load {
            driver: if load.driver == Driver::Wrk { "wrk" } else { "tidegate" }.to_owned(),
            connections: u32::try_from(load.connections).unwrap_or(u32::MAX),
            rate: load.rate,
            arrivals: load.rate.map(|_| crate::config::value::Value::show(&load.spacing)),
        },
        duration_s: load.duration.as_secs_f64(),
        warmup_s: load.warmup.as_secs_f64(),
        backends: Vec::new(), // until their ports are known
        rounds: Vec::<Round>::new(),
    }
}

/// A line for each script of which a round is too short to see everything.
fn too_short(config: &BenchConfig) -> Vec<String> {
    let life = config.load.warmup + config.load.duration;
    let mut lines = Vec::new();
    for path in config.plans.iter().flat_map(|plan| &plan.backends).filter_map(|one| one.script.as_deref()) {
        let Ok(script) = Script::read(path, "script") else { continue }; // read before, so it is there
        let (late, all) = script.too_late(life);
        if late > 0 {
            let line = format!(
                "Warning: a round ends after {life:?}, before {late} of the {all} changes in {}: a longer --duration \
                 would see them.\n",
                path.display()
            );
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

fn greeting(config: &BenchConfig, directory: &Path, run: &RunFile) -> String {
    let (count, load) = (config.plans.len(), &config.load);
    let whole = (load.warmup + load.duration) * load.rounds * u32::try_from(count).unwrap_or(u32::MAX);
    let many = |count: usize, one| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let warmup = if load.warmup.is_zero() { "no".to_owned() } else { format!("{:?} of", load.warmup) };
    let mut text = format!(
        "{}, {} of {:?} after {warmup} warm-up each: {:.0} s and a little. Ctrl-C keeps what is done.\n\
         Run directory: {}\n",
        many(count, "scenario"),
        many(load.rounds as usize, "round"),
        load.duration,
        whole.as_secs_f64(),
        directory.display(),
    );
    text.extend(too_short(config));
    if cfg!(debug_assertions) {
        text += "This is a debug build: of use to try things out, not to measure.\n";
    }
    if run.machine.cores < 3 {
        text += &format!(
            "Backends, proxy and load share {} core(s): mind the warnings on who is the bottleneck.\n",
            run.machine.cores
        );
    }
    text
}

fn make_directory(config: &BenchConfig) -> Result<PathBuf, Failure> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let directory = config.out.clone().unwrap_or_else(|| Path::new("logs").join(format!("bench-{now}")));
    let refuse = |why: &str| Err(Failure::Usage(format!("--out '{}': {why}", directory.display())));
    if directory.join(FILE_NAME).exists() {
        return refuse("there is a run in it already: name another");
    }
    // A run writes many files, by names of its own: not among somebody else's.
    match fs::read_dir(&directory).map(|mut entries| entries.next().is_some()) {
        Ok(true) => return refuse("there is something else in it: name a new directory, or an empty one"),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return refuse("is no directory: name a new one");
        }
        _ => {}
    }
    fs::create_dir_all(&directory).map_err(|error| cannot_write(&directory, &error))?;
    Ok(directory)
}

/// Children that had nothing to say leave no file.
fn tidy(directory: &Path) {
    let path = directory.join(MESSAGES);
    if fs::metadata(&path).is_ok_and(|meta| meta.len() == 0) {
        // It may stay if it must.
        let _ = fs::remove_file(path);
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Runtime(format!("{}: {error}", path.display()))
}
