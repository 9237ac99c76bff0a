//! `tidegate top`: a running proxy's figures in the terminal.
//!
//! ```text
//! feed    asks the admin address for /api/stats and /api/log, once a second, on a thread of its own
//! model   what the answers say, and what two of them say of the second between: rates, shares, latencies
//! table   rows and columns, sorted; text  the same as plain lines, for --once and for what is no terminal
//! view    drawn in a terminal; screen  keys, and the terminal given back whatever happens   (feature `tui`)
//! ```
//!
//! It is a client like any browser and knows nothing that the admin address does not tell. Absent: changing anything.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::time::Duration;

use crate::cli::Failure;

mod feed;
mod model;
#[cfg_attr(not(feature = "tui"), allow(dead_code))] // sorting and widths are for terminals
mod table;
#[cfg_attr(not(feature = "tui"), allow(dead_code))]
mod text;

#[cfg(feature = "tui")]
mod screen;
#[cfg(feature = "tui")]
mod view;

#[cfg(test)]
mod tests;

/// Between two looks at the proxy: rates are those of this time.
const EVERY: Duration = Duration::from_secs(1);

/// Everything `tidegate top` can be told.
#[derive(Clone, PartialEq)]
pub struct TopConfig {
    /// The admin address.
    pub address: SocketAddr,
    /// The same as given, `http://host:port`.
    pub url: String,
    /// What an admin address that is not loopback wants to see first.
    pub token: Option<String>,
    /// One plain table of two looks a second apart, then the end.
    pub once: bool,
}

impl std::fmt::Debug for TopConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the token.
        write!(f, "TopConfig({}, once: {})", self.url, self.once)
    }
}

/// Shows the figures until told to end, or once.
///
/// # Errors
/// Nobody answers at the address, what answers is no proxy of ours, or there is no terminal after all.
pub fn run(config: &TopConfig) -> Result<(), Failure> {
    let feed = feed::Feed::new(config);
    let first = feed.look().map_err(|why| Failure::Runtime(format!("--admin {}: {why}", config.url)))?;
    if config.once || !io::stdout().is_terminal() {
        let mut watched = model::Watched::default();
        watched.take(first);
        std::thread::sleep(EVERY);
        // A proxy that has gone meanwhile leaves what was seen, said to be of the time since its start.
        if let Ok(second) = feed.look() {
            watched.take(second);
        }
        return crate::run::print(&text::page(&watched));
    }
    watch(feed, first)
}

#[cfg(feature = "tui")]
fn watch(feed: feed::Feed, first: model::Look) -> Result<(), Failure> {
    screen::run(feed, first).map_err(|error| Failure::Runtime(format!("terminal: {error}")))
}

#[cfg(not(feature = "tui"))]
fn watch(_: feed::Feed, _: model::Look) -> Result<(), Failure> {
    Err(Failure::Usage("this build has no terminal view (feature `tui`): add --once".to_owned()))
}
