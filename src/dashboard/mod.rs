//! The admin address: the page, its figures as JSON, a stream of seconds, metrics, liveness and readiness, and, with a
//! token, control; all answered from a thread of its own.
//!
//! ```text
//! reactor --snapshot, events--> board --4 looks a second--> history --1 message a second--> who listens
//!         <------commands------ board <--checked orders---- control
//! ```
//!
//! Everything shown comes from a [`Board`]; a reader that hangs holds nothing up. `tidegate dashboard` shows a log the
//! same way. Deliberately absent: TLS and users; the address belongs on loopback or behind something that has them.

mod access;
mod admin;
pub mod api;
mod assets;
mod board;
mod control;
mod decisions;
mod events;
mod exposition;
pub mod history;
mod log;
mod metrics;
pub mod open;
mod reply;
mod seconds;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use access::{Access, Token};
pub use admin::{Admin, LogView, View};
pub use api::About;
pub use board::{Board, Event, Kind};
pub use control::{Control, Delays};
pub use decisions::{DecisionView, Decisions};
pub use log::LogReader;

use crate::serve::{self, Running, Settings};

/// Connections at once: a few browsers and probes, and those who listen to the stream.
const CONNECTIONS_MAX: usize = 256;
/// Who may listen to the stream at once.
const STREAMS_MAX: usize = 128;
/// No request here has a body worth more.
const BODY_MAX: u64 = 64 * 1024;
/// ... nor one that takes longer: before it is here nobody has shown a token, and a place is taken.
const BODY_WITHIN: Duration = Duration::from_secs(10);

impl View {
    /// Of a running proxy, for reading only, on loopback.
    pub fn of(board: Arc<Board>) -> View {
        let access = Arc::new(Access::new(std::net::Ipv4Addr::LOCALHOST.into(), &[], None));
        View { board, about: About::default(), log: None, access, control: None }
    }
}

/// Listens and answers from a thread of its own.
///
/// # Errors
/// When the address cannot be had.
pub fn start(address: SocketAddr, view: View) -> io::Result<Running> {
    let settings = Settings {
        body_max: BODY_MAX,
        connections_max: CONNECTIONS_MAX,
        streams_max: STREAMS_MAX,
        body: BODY_WITHIN,
        body_whole: BODY_WITHIN,
        drain: Duration::from_secs(1),
        ..Settings::default()
    };
    let board = view.board.clone();
    let running = serve::start("admin", address, settings, Admin::new(view))?;
    board.wake(running.control.clone());
    Ok(running)
}
