//! `tidegate dashboard`: a log on the live page, until told to stop.

use std::io::Write as _;

use super::{ENDS, cannot_listen, runtime, signals};
use crate::cli::Failure;
use crate::config::DashboardConfig;
use crate::dashboard::{self, LogReader};

/// `tidegate dashboard`, until told to stop.
///
/// # Errors
/// One line: a log that cannot be read, or an address that cannot be had.
pub fn dashboard(config: &DashboardConfig) -> Result<(), Failure> {
    let mut signals = signals()?;
    let reader = LogReader::open(&config.log)
        .map_err(|why| Failure::Usage(format!("--log {}: {why}", config.log.display())))?;
    let page = dashboard::start(config.listen, reader.view(config))
        .map_err(|error| cannot_listen("--port", config.listen, &error))?;
    reader.follow().map_err(|error| runtime("log thread", &error))?;
    let line = format!("http://{}/ shows {}; Ctrl-C ends it\n", page.address, config.log.display());
    std::io::stdout().write_all(line.as_bytes()).map_err(|error| runtime("stdout", &error))?;
    let _ = signals.forever().find(|signal| ENDS.contains(signal));
    page.stop().map_err(|error| runtime("page", &error))
}
