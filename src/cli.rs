//! The flags exactly as typed, and what the command line asks for.
//!
//! clap does the parsing; this module adds what must not drift apart: every flag's environment variable is made from
//! its name, and every default in the help of `proxy` from the code's own. Complaints become one line each
//! (`complaint`), manual pages say more than help does (`manual`). Deliberately absent: judging what is typed against each other (see [`crate::config`]) and running
//! any of it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::bench::BenchConfig;
use crate::config::defaults::defaults;
use crate::config::messages::Messages;
use crate::config::origin::{Origin, Origins, variable};
use crate::config::{DashboardConfig, DemoConfig, EmulatorConfig, Settings};
use crate::dashboard::Token;
use crate::emulator::script::Script;
use crate::report::ReportConfig;
use crate::simulate::{ReplayConfig, SimulateConfig};
use crate::top::TopConfig;

mod backend;
mod bench;
mod complaint;
mod dashboard;
mod demo;
mod environment;
mod failure;
mod manual;
mod messages;
mod proxy;
mod replay;
mod report;
mod simulate;
mod top;

#[cfg(test)]
pub(crate) use self::bench::SCENARIO_FILE;
pub use self::bench::{LoadArgs, Rate};
pub use self::environment::strays;
pub use self::failure::Failure;
pub use self::proxy::ProxyArgs;

/// A command line as understood.
#[derive(Debug)]
pub struct Line {
    /// What to do.
    pub asked: Asked,
    /// What to tell meanwhile.
    pub messages: Messages,
}

/// What was asked for, each with its settings.
#[derive(Debug)]
pub enum Asked {
    /// `tidegate proxy`: settings rather than a config, so that it can be loaded again.
    Proxy(Box<Settings>),
    /// `tidegate backend`, and what changes while it runs.
    Backend(EmulatorConfig, Script),
    /// `tidegate demo`.
    Demo(DemoConfig),
    /// `tidegate bench`.
    Bench(BenchConfig),
    /// `tidegate simulate`.
    Simulate(SimulateConfig),
    /// `tidegate replay`.
    Replay(ReplayConfig),
    /// `tidegate report`.
    Report(ReportConfig),
    /// `tidegate dashboard`.
    Dashboard(DashboardConfig),
    /// `tidegate top`.
    Top(TopConfig),
    /// `tidegate check`: the effective configuration, for stdout, and a line for each name that does not resolve today.
    Checked(String, Vec<String>),
    /// Something to read, for stdout: help, version, a completion script, a manual page.
    Text(String),
}

/// An adaptive HTTP/1.1 reverse-proxy load balancer
#[derive(Parser, Debug)]
#[command(name = "tidegate", version = crate::VERSION, max_term_width = 110, subcommand_required = true)]
#[command(
    after_help = "Each flag has an environment variable, TIDEGATE_ and its name, as its help says (for a backend's id \
                  and port, SERVER_ID and PORT). A flag wins over the environment, that over the file, that over the \
                  default. 'tidegate demo' shows it all at work; 'tidegate man' has signals and exit codes."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    messages: messages::MessageArgs,
}

/// What the placeholders of the help stand for.
const NOTATION: &str = "DURATION is a number with its unit (ns, us, ms, s, m, h or d): 500ms. SIZE is a number of bytes, \
                        or one with KiB, MiB or GiB: 8KiB. N is a whole number, PERCENT a whole number with %.";

#[derive(Subcommand, Debug)]
enum Command {
    /// Balance requests over backends
    #[command(after_help = NOTATION)]
    Proxy(Box<Proxy>),
    /// Be an origin server with an emulated latency
    Backend(backend::BackendArgs),
    /// Run backends, proxy and load in one process, and end with a table
    Demo(demo::DemoArgs),
    /// Compare routings: scenarios in turns, each in processes of its own, and a report
    Bench(bench::BenchArgs),
    /// Compare routings in virtual time: scenarios as for bench, many seeds in seconds
    Simulate(simulate::SimulateArgs),
    /// Compare routings on a recorded log: its backends' latencies as the world
    Replay(replay::ReplayArgs),
    /// Make tables and plots of a run or of logs, or compare two
    Report(report::ReportArgs),
    /// Show a log on the live page
    Dashboard(dashboard::DashboardArgs),
    /// Watch a running proxy in the terminal
    Top(top::TopArgs),
    /// Check a configuration file and print what a proxy would make of it
    #[command(after_help = NOTATION)]
    Check(Box<Check>),
    /// Print a completion script
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    Man {
        /// Of this command; of tidegate itself if left out
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(manual::PAGES))]
        command: Option<String>,
    },
}

#[derive(Args, Debug)]
struct Proxy {
    /// TOML file with the same names as these flags
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: ProxyArgs,
}

#[derive(Args, Debug)]
struct Check {
    /// The TOML file
    file: PathBuf,

    #[command(flatten)]
    settings: ProxyArgs,
}

/// Reads a command line, program name first. Help and version are texts asked for, not failures.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Line, Failure> {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let matches = match command().try_get_matches_from(&argv) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => {
            let asked = Asked::Text(error.render().to_string());
            return Ok(Line { asked, messages: Messages::default() });
        }
        Err(error) => return Err(Failure::Usage(complaint::one_line(&error, &argv))),
    };
    let cli = Cli::from_arg_matches(&matches)
        .map_err(|error| Failure::Usage(complaint::one_line(&error, &argv)))?;
    let origins = matches.subcommand().map_or_else(Origins::default, |(_, chosen)| origins(chosen));
    let messages = cli.messages.messages();
    asked(cli.command, origins).map(|asked| Line { asked, messages })
}

fn asked(command: Command, origins: Origins) -> Result<Asked, Failure> {
    match command {
        Command::Proxy(proxy) => {
            let file_named = origins.name("config");
            let settings = Settings { flags: proxy.settings, origins, file: proxy.config, file_named };
            Ok(Asked::Proxy(Box::new(settings)))
        }
        Command::Backend(args) => {
            let (config, script) = args.config()?;
            Ok(Asked::Backend(config, script))
        }
        Command::Demo(args) => Ok(Asked::Demo(args.config()?)),
        Command::Bench(args) => Ok(Asked::Bench(args.config()?)),
        Command::Simulate(args) => Ok(Asked::Simulate(args.config()?)),
        Command::Replay(args) => Ok(Asked::Replay(args.config()?)),
        Command::Report(args) => Ok(Asked::Report(args.config()?)),
        Command::Dashboard(args) => Ok(Asked::Dashboard(args.config())),
        Command::Top(args) => Ok(Asked::Top(args.config()?)),
        Command::Check(check) => {
            let file_named = String::new(); // a check has but one file
            let settings = Settings { flags: check.settings, origins, file: Some(check.file), file_named };
            let loaded = settings.load()?;
            if let Some(path) = &loaded.config.admin_token_file {
                // A proxy would not start without it.
                Token::read(path)
                    .map_err(|why| loaded.origins.refuse("admin-token-file", path.display(), why))?;
            }
            Ok(Asked::Checked(loaded.to_toml()?, loaded.unresolved))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut self::command(), "tidegate", &mut script);
            Ok(Asked::Text(String::from_utf8_lossy(&script).into_owned()))
        }
        Command::Man { command } => Ok(Asked::Text(manual::page(command.as_deref())?)),
    }
}

/// The command line with environment variables and defaults filled in.
pub fn command() -> clap::Command {
    let shown = shown_defaults();
    Cli::command().mut_subcommands(|command| {
        let has_file = matches!(command.get_name(), "proxy" | "check");
        command.mut_args(|arg| {
            let Some(long) = arg.get_long().map(str::to_owned) else { return arg };
            let arg = match shown.iter().find(|(key, _)| *key == long) {
                Some((_, default)) if has_file => {
                    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                    arg.help(format!("{help} [default: {default}]"))
                }
                _ => arg,
            };
            let arg = if arg.get_env().is_none() { arg.env(variable(&long)) } else { arg };
            // Otherwise `--retries -1` is told that there is no flag -1.
            let takes_value = arg.get_action().takes_values();
            arg.hide_env_values(true).allow_negative_numbers(takes_value)
        })
    })
}

/// The names of the subcommands.
fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

/// What help says of the defaults of `proxy`, by key.
fn shown_defaults() -> Vec<(String, String)> {
    let Ok(table) = toml::Table::try_from(defaults()) else { return Vec::new() };
    let backends = defaults().backend.unwrap_or_default();
    let backends: Vec<String> = backends.iter().map(ToString::to_string).collect();
    let mut shown = vec![
        ("log".to_owned(), "logs/<routing>_<upstream>.csv".to_owned()),
        ("backend".to_owned(), backends.join(",")),
    ];
    for (key, value) in table {
        match value {
            toml::Value::Array(_) => {}
            toml::Value::String(text) => shown.push((key, text)),
            other => shown.push((key, other.to_string())),
        }
    }
    shown
}

/// Which settings were given as a flag and which in the environment.
fn origins(matches: &clap::ArgMatches) -> Origins {
    let mut origins = Origins::default();
    for id in matches.ids() {
        let origin = match matches.value_source(id.as_str()) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ => continue,
        };
        origins.by_key.insert(id.as_str().replace('_', "-"), origin);
    }
    origins
}
