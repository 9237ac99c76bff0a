//! Flags to a checked configuration to a subcommand; exit codes. No logic.

use std::io::{self, Write as _};
use std::process::ExitCode;

use tidegate::cli::{self, Asked, Failure};
use tidegate::{bench, run};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A closed stderr leaves the exit code to tell.
            let _ = writeln!(io::stderr(), "tidegate: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(asked: Asked) -> Result<(), Failure> {
    let _messages = run::start_messages()?;
    match asked {
        Asked::Proxy(settings) => run::proxy(&settings),
        Asked::Backend(config, script) => run::backend(&config, &script),
        Asked::Demo(config) => run::demo(&config),
        Asked::Bench(config) => bench::run(&config),
        Asked::Report(config) => run::report(&config),
        Asked::Dashboard(config) => run::dashboard(&config),
        Asked::Text(text) => match io::stdout().write_all(text.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Runtime(format!("stdout: {error}")))
            }
            _ => Ok(()),
        },
    }
}
