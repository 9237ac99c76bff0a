//! Flags to a checked configuration to a subcommand; exit codes. No logic.

use std::io::{self, Write as _};
use std::process::ExitCode;

use tidegate::cli::{self, Asked, Failure};
use tidegate::config::messages::Format;
use tidegate::{bench, run, simulate, top};

fn main() -> ExitCode {
    let line = match cli::parse(std::env::args_os()) {
        Ok(line) => line,
        Err(failure) => return failed(&failure),
    };
    let messages = run::start_messages(line.messages);
    match (run(line.asked), line.messages.format) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(failure), Format::Json) => {
            tracing::error!("{failure}");
            drop(messages);
            ExitCode::from(failure.exit_code())
        }
        (Err(failure), Format::Text) => {
            drop(messages); // what was told before stands before
            failed(&failure)
        }
    }
}

fn failed(failure: &Failure) -> ExitCode {
    // A closed stderr leaves the exit code to tell.
    let _ = writeln!(io::stderr(), "tidegate: {failure}");
    ExitCode::from(failure.exit_code())
}

fn run(asked: Asked) -> Result<(), Failure> {
    if !matches!(asked, Asked::Text(_)) {
        cli::strays().iter().for_each(|line| tracing::warn!("{line}"));
    }
    match asked {
        Asked::Proxy(settings) => run::proxy(&settings),
        Asked::Backend(config, script) => run::backend(&config, &script),
        Asked::Demo(config) => run::demo(&config),
        Asked::Bench(config) => bench::run(&config),
        Asked::Report(config) => run::report(&config),
        Asked::Dashboard(config) => run::dashboard(&config),
        Asked::Top(config) => top::run(&config),
        Asked::Checked(text, unresolved) => {
            unresolved.iter().for_each(|line| tracing::warn!("{line}"));
            run::print(&text)
        }
        Asked::Text(text) => run::print(&text),
        Asked::Simulate(config) => simulate::simulate(&config).and_then(|text| run::print(&text)),
        Asked::Replay(config) => simulate::replay(&config).and_then(|text| run::print(&text)),
    }
}
