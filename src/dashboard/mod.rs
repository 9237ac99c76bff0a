//! The admin address: liveness, readiness and the figures as JSON, answered from a thread of its own.
//!
//! Everything shown comes from a [`Board`]; a reader that hangs holds nothing up. It has no access control and so
//! belongs on loopback or behind something that has.

mod board;
mod decisions;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use board::Board;
pub use decisions::{DecisionView, Decisions};

use crate::clock::Time;
use crate::http1::Method;
use crate::serve::{self, Content, Handler, Reply, Request, Running, Settings};

/// Connections at once: a few browsers and probes.
const CONNECTIONS_MAX: usize = 256;
/// No request here has a body worth more.
const BODY_MAX: u64 = 64 * 1024;

const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
const JSON: &str =
    "Content-Type: application/json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
const ONLY_GET: &str = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n\
                        X-Content-Type-Options: nosniff\r\nAllow: GET, HEAD\r\n";

const INDEX: &str = "\
tidegate
/livez      200 while the process runs
/readyz     200 when new requests are welcome, 503 when draining
/api/stats  figures since the start, as JSON
";

/// Answers on the admin address.
#[derive(Debug)]
pub struct Admin {
    board: Arc<Board>,
}

impl Admin {
    /// Shows what is on `board`.
    pub fn new(board: Arc<Board>) -> Admin {
        Admin { board }
    }
}

impl Handler for Admin {
    fn request(&mut self, request: &Request<'_>, text: &mut Vec<u8>, _now: Time) -> Reply {
        let known = matches!(request.path(), b"/" | b"/livez" | b"/readyz" | b"/api/stats");
        if !known {
            return plain(404, "not found\n");
        }
        if !matches!(request.method(), Method::Get | Method::Head) {
            return Reply { fields: ONLY_GET, ..plain(405, "method not allowed\n") };
        }
        match request.path() {
            b"/livez" => plain(200, "ok\n"),
            b"/readyz" if self.board.is_ready() => plain(200, "ready\n"),
            b"/readyz" => plain(503, "draining\n"),
            b"/api/stats" => match serde_json::to_writer(&mut *text, &*self.board.latest()) {
                Ok(()) => Reply { status: 200, fields: JSON, content: Content::Text, delay: Duration::ZERO },
                Err(_) => plain(500, "the figures cannot be written\n"),
            },
            _ => plain(200, INDEX),
        }
    }
}

fn plain(status: u16, text: &'static str) -> Reply {
    Reply { status, fields: TEXT, content: Content::Static(text.as_bytes()), delay: Duration::ZERO }
}

/// Listens and answers from a thread of its own.
///
/// # Errors
/// When the address cannot be had.
pub fn start(address: SocketAddr, board: Arc<Board>) -> io::Result<Running> {
    let settings = Settings {
        body_max: BODY_MAX,
        connections_max: CONNECTIONS_MAX,
        drain: Duration::from_secs(1),
        ..Settings::default()
    };
    serve::start("admin", address, settings, Admin::new(board))
}
