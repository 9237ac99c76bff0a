//! The flags of `tidegate bench`: what is compared under which load, and how often.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::bench::plan::{Plan, ROUTINGS, UPSTREAMS, matrix, with_control};
use crate::bench::{BenchConfig, Driver, LoadPlan, file};
use crate::config::given::Given;
use crate::config::value::{Value, choose};
use crate::config::{UpstreamMode, Variant};
use crate::load::Spacing;

/// The help's last words. Indented lines keep their ends, in the manual page too.
pub(crate) const SCENARIO_FILE: &str = r#"SCENARIO.toml, all of it but the names optional:

  [load]                        # the flags under Load
  connections = 60
  duration = "20s"
  [[scenario]]
  name = "queues"
  routing = ["round-robin", "elastic:tail"]
  upstream = "persistent"
  client-keepalive = true
  workers = 1
  [[scenario.backend]]          # none: the original's A, B and C
  id = "small"
  latency = "exponential:mean=20ms"
  concurrency = 2
  fail-rate = 0.01
  weight = 1
  script = "small.toml"         # beside this file

small.toml, a --script of tidegate backend: what changes at some time after its start:

  [[change]]
  at = "8s"
  latency = "constant:200ms"    # or fail-rate, pause = "300ms", refuse or reset = true
  every = "10s"                 # again, so many times in all
  times = 3"#;

/// As typed.
#[derive(Args, Clone, Debug)]
#[command(after_help = SCENARIO_FILE)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct BenchArgs {
    /// File with scenarios [default: the original's six, and a second round robin as a control]
    #[arg(value_name = "SCENARIO.toml")]
    pub scenario: Option<PathBuf>,

    /// Routings to compare, with their option behind a colon: elastic:tail (repeat, or separate with commas) [default: the file's, else round-robin, adaptive_sma,
    /// adaptive_ewma]
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Scenarios")]
    pub routing: Option<Vec<Given<Variant>>>,

    /// Modes to compare them in [default: the file's, else both]
    #[arg(long, value_name = "MODE", value_delimiter = ',', help_heading = "Scenarios")]
    pub upstream: Option<Vec<Given<UpstreamMode>>>,

    /// Keep client connections after an answer [default: on with persistent, off with non-persistent]
    #[arg(long, value_name = "on|off", help_heading = "Scenarios")]
    pub client_keepalive: Option<Given<bool>>,

    /// First of the backends' ports, in a row; 0: wherever there are free ones, as when one of these is in use
    #[arg(long, value_name = "PORT", default_value = "8081", help_heading = "Scenarios")]
    pub base_port: Given<u16>,

    #[command(flatten)]
    pub load: LoadArgs,

    /// Run directory, new [default: logs/bench-<UTC time>]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
}

/// The load as typed; the `[load]` table of a scenario file has the same shape and names.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)] // each field's comment is its help text
pub struct LoadArgs {
    /// What drives the load: our own driver, or wrk (a closed loop only) [default: built-in]
    #[arg(long, value_name = "built-in|wrk", help_heading = "Load")]
    pub driver: Option<Given<Driver>>,

    /// Connections at once [default: 100]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub connections: Option<Given<u32>>,

    /// Requests a second, whatever the answers do (an open loop) [default: each connection waits for its answer]
    #[arg(long, value_name = "R", help_heading = "Load")]
    pub rate: Option<Given<Rate>>,

    /// How the requests of an open loop are spread [default: poisson]
    #[arg(long, value_name = "poisson|constant", help_heading = "Load")]
    pub arrivals: Option<Given<Spacing>>,

    /// How often each scenario runs, in turns; fewer than 5 give no intervals and no winners [default: 5]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub rounds: Option<Given<u32>>,

    /// How long each round is measured [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    pub duration: Option<Given<Duration>>,

    /// How long it is driven before that [default: 2s]
    #[arg(long, value_name = "DURATION", help_heading = "Load")]
    pub warmup: Option<Given<Duration>>,

    /// Seed of latencies and arrivals; the same in all scenarios of a round [default: another one each time]
    #[arg(long, value_name = "N", help_heading = "Load")]
    pub seed: Option<Given<u64>>,
}

/// Requests a second, above 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(pub f64);

impl Value for Rate {
    fn parse(text: &str) -> Result<Rate, String> {
        match text.parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate <= RATE_MAX => Ok(Rate(rate)),
            _ => Err(format!("must be a number of requests a second above 0, at most {RATE_MAX}")),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

impl Value for Spacing {
    fn parse(text: &str) -> Result<Spacing, String> {
        choose(text, &[("poisson", Spacing::Poisson), ("constant", Spacing::Constant)])
    }

    fn show(&self) -> String {
        match self {
            Spacing::Poisson => "poisson",
            Spacing::Constant => "constant",
        }
        .to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["poisson", "constant"]
    }
}

impl Value for Driver {
    fn parse(text: &str) -> Result<Driver, String> {
        choose(text, &[("built-in", Driver::BuiltIn), ("wrk", Driver::Wrk)])
    }

    fn show(&self) -> String {
        match self {
            Driver::BuiltIn => "built-in",
            Driver::Wrk => "wrk",
        }
        .to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["built-in", "wrk"]
    }
}

const RATE_MAX: f64 = 1e7; // past what one core can send
pub(super) const CONNECTIONS_MAX: u32 = 60_000; // past what one address has ports for
const ROUNDS_MAX: u32 = 10_000;
const SPAN_MAX: Duration = Duration::from_secs(86_400);

impl LoadArgs {
    /// These, and where these say nothing, `other`.
    pub fn or(self, other: LoadArgs) -> LoadArgs {
        LoadArgs {
            driver: self.driver.or(other.driver),
            connections: self.connections.or(other.connections),
            rate: self.rate.or(other.rate),
            arrivals: self.arrivals.or(other.arrivals),
            rounds: self.rounds.or(other.rounds),
            duration: self.duration.or(other.duration),
            warmup: self.warmup.or(other.warmup),
            seed: self.seed.or(other.seed),
        }
    }

    /// What is meant by them.
    pub fn plan(&self) -> Result<LoadPlan, String> {
        let plan = LoadPlan {
            driver: or(&self.driver, Driver::BuiltIn),
            connections: or(&self.connections, 100) as usize,
            rate: self.rate.as_ref().map(|rate| rate.0.0),
            spacing: or(&self.arrivals, Spacing::Poisson),
            rounds: or(&self.rounds, 5),
            duration: or(&self.duration, Duration::from_secs(10)),
            warmup: or(&self.warmup, Duration::from_secs(2)),
            seed: or(&self.seed, fastrand::u64(..1 << 53)), // run.json's readers may have no wider integers
        };
        let refuse = |flag: &str, value: String, why: &str| Err(format!("--{flag} '{value}': {why}"));
        if !(1..=CONNECTIONS_MAX as usize).contains(&plan.connections) {
            return refuse("connections", plan.connections.to_string(), "must be from 1 to 60000");
        }
        if !(1..=ROUNDS_MAX).contains(&plan.rounds) {
            return refuse("rounds", plan.rounds.to_string(), "must be from 1 to 10000");
        }
        if plan.duration.is_zero() || plan.duration > SPAN_MAX {
            return refuse(
                "duration",
                plan.duration.show(),
                "must be longer than 0s and at most 1d, like 10s",
            );
        }
        if plan.warmup > SPAN_MAX {
            return refuse("warmup", plan.warmup.show(), "must be at most 1d");
        }
        if plan.rate.is_none() && self.arrivals.is_some() {
            return refuse(
                "arrivals",
                plan.spacing.show(),
                "needs --rate: in a closed loop the answers set the pace",
            );
        }
        if plan.driver == Driver::Wrk {
            if let Some(rate) = plan.rate {
                return refuse("rate", rate.to_string(), "wrk has no open loop: leave out --driver wrk");
            }
            for (flag, span) in [("duration", plan.duration), ("warmup", plan.warmup)] {
                if span.subsec_nanos() != 0 {
                    return refuse(flag, span.show(), "wrk counts in whole seconds");
                }
            }
        }
        Ok(plan)
    }
}

impl BenchArgs {
    /// What is meant by them; reads the file.
    pub(crate) fn config(self) -> Result<BenchConfig, String> {
        let routings = self.routing.map(|names| names.into_iter().map(|name| name.0).collect::<Vec<_>>());
        let upstreams = self.upstream.map(|modes| modes.into_iter().map(|mode| mode.0).collect::<Vec<_>>());
        once("routing", routings.as_deref().unwrap_or_default())?;
        once("upstream", upstreams.as_deref().unwrap_or_default())?;
        let keepalive = self.client_keepalive.map(|keep| keep.0);
        let (plans, load): (Vec<Plan>, LoadArgs) = match &self.scenario {
            Some(path) => {
                let over = file::Over { routings, upstreams, keepalive };
                let read = file::read(path, &over)?;
                (read.plans, self.load.or(read.load))
            }
            None => {
                let routings = routings.unwrap_or_else(|| ROUTINGS.map(Variant::from).to_vec());
                let upstreams = upstreams.unwrap_or_else(|| UPSTREAMS.to_vec());
                (matrix(&routings, &upstreams, keepalive), self.load)
            }
        };
        Ok(BenchConfig {
            plans: with_control(plans),
            load: load.plan()?,
            base_port: self.base_port.0,
            out: self.out,
        })
    }
}

/// Refuses what is named twice: the second would overwrite the files of the first, or find its port in use.
pub(super) fn once<T: Value + PartialEq>(flag: &str, values: &[T]) -> Result<(), String> {
    for (index, value) in values.iter().enumerate() {
        if values[..index].contains(value) {
            return Err(format!("--{flag} '{}': is named twice", value.show()));
        }
    }
    Ok(())
}

fn or<T: Clone>(given: &Option<Given<T>>, default: T) -> T {
    given.as_ref().map_or(default, |given| given.0.clone())
}
