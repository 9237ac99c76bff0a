//! # How tidegate is built
//!
//! **The kernel only marks, one switch advances, one pump moves bytes, and everything clever is a pure function beside
//! them.** This page is the plan of the house; the `mod` list below is in reading order.
//!
//! ## A request is a one-way street
//!
//! ```text
//! kernel --event--> reactor   mark(token, ready): only sets bits and queues the session's key
//!                   reactor   turn(now): expire deadlines, run the queue; accept; publish
//!                     proxy     pop key -> session.advance(&mut world)      world = conns, upstreams, policy, records
//!                       session   head -> route -> connect -> relay -> finish -> (head | linger | gone)
//!                         http1/ balance/   pure calls: bytes or numbers in, a value out
//!                         net/conn          fill() and drain(), the only reads and writes
//!                       returns Turn::{Wait, Again, Done}
//!                   record/ dashboard/   leave by value: a batch of rows, a snapshot. Nothing calls back up.
//! ```
//!
//! Arrows point down; results come back as values. [`reactor`] has the only poll and the only clock of the hot path:
//! everything below is told the time. [`proxy::Proxy`] has all live state and is generic over [`net::Net`], so the
//! seeded simulation in `tests/sim` drives the very code that serves real clients.
//!
//! ## One request, function by function
//!
//! 1. *Accept.* `Reactor::run` polls; `Acceptor::accept` hands the socket to `Proxy::accept`: a `Conn`, a `Session`.
//! 2. *Bytes come.* `Proxy::mark` notes it and queues the session; `Proxy::turn` runs the queue through
//!    [`session::Session::advance`], whose steps are files of `session/`, in this order:
//! 3. *Head.* `read_head` borrows an exchange (`World::exchange`), reads (`pump::fill`, `Conn::fill`), parses
//!    (`RequestHead::parse`) and, in `accept`, writes the head to send on (`rewrite::request`).
//! 4. *Route.* `route` asks `World::decide`: `Upstreams::refresh` says who is up, `Policy::pick` picks,
//!    `Upstreams::dispatch` counts it in flight. Then `World::check_out` has a pooled connection, or `World::dial`.
//! 5. *Connect.* `connect` sends on the fresh socket before it is even registered: one write says whether it is up.
//! 6. *Relay.* `relay_request` pumps what the client sends (`pump::pump`). `read_answer` and `take_answer`, of answer.rs,
//!    read the answer's head (`ResponseHead::parse`), tell the policy (`World::observe`) and write the client's
//!    (`rewrite::response`); the same pump takes the answer's body the other way.
//! 7. *Finish.* `settle` gives all back: the connection to the pool (`World::check_in`), the place in flight
//!    (`Upstreams::finish`), the latency to the policy, the verdict to `Health::record`. `Session::record` makes the one
//!    row: `World::record` counts it (`Stats::record`) and copies it into a batch (`LogHandle::push`).
//! 8. *The row.* On the log's thread `Writer::run` lays it out (`RowEncoder::encode`) and appends it (`Sink::write`).
//!
//! What goes wrong anywhere ends in `Session::fail`: once more (`redial`, `go_elsewhere`, `pause`), an answer of our own
//! (`refuse`), or a visible cut (`abort`). Each way there is one row.
//!
//! ## Who owns what
//!
//! * One [`slab::Slab`] of [`net::Conn`], client and upstream alike, registered once for life; one slab of
//!   [`session::Session`], which has the logic and names its connections by key. Keys carry a generation: an event for a
//!   socket closed meanwhile finds nobody.
//! * An idle client is a connection and a session, and no buffer. What a request needs is in a
//!   [`session::Exchange`], taken from a free list at its first byte and given back after its record.
//! * Bytes on their way are in a [`buffer::Buffer`] that belongs to the exchange, not to the socket: the pump fills it
//!   from one connection and drains it to the other. A body byte is copied from the kernel and to the kernel, nowhere
//!   between. While anything waits to be sent nothing is read: that is all the backpressure there is.
//! * [`upstream::Upstreams`] is the only writer of in-flight counts, health and the connection pool. A policy
//!   ([`balance::Policy`]) keeps its own state and is told the rest.
//!
//! ## Several workers
//!
//! With `--workers` there are as many of all this, each on its thread, which share nothing but a [`bulletin`]: a ring of
//! samples each, a word per backend that says whether it is in, and counts of what is in flight. They read it once a turn.
//! Alone, a proxy has none: an `Option` that is `None`.
//!
//! ## What keeps it honest
//!
//! * Readiness is cleared only by the kernel's own answer, and never says what we want.
//! * A session step returns its next phase; only [`session::Session::advance`] assigns it. Only [`proxy`] removes sessions.
//! * A byte budget per turn, a bound on every buffer, a deadline on every wait: each a named constant or a flag.
//! * `http1 balance bulletin buffer digits slab timer record/{row,text}` name no socket, no poll and no clock;
//!   `tests/tidy.rs` sees to it.
//!
//! Deliberately absent: an async runtime, HTTP/2, TLS, caching, rewriting of paths, and on the reactor's thread any disk,
//! and any lock that is held for longer than it takes to copy what lies behind it.
#![cfg_attr(rustfmt, rustfmt_skip)] // `mod` lines stand in reading order

pub mod cli;
pub mod config;
pub mod run;
pub mod reactor;
pub mod proxy;
pub mod session;
pub mod fault;
pub mod http1;
pub mod net;
pub mod upstream;
pub mod bulletin;
pub mod balance;
pub mod record;
pub mod serve;
pub mod emulator;
pub mod dashboard;
pub mod load;
pub mod demo;
pub mod bench;
pub mod simulate;
pub mod report;
pub mod top;
pub mod buffer;
pub mod slab;
pub mod timer;
pub mod clock;
mod digits;

/// What this is, with the revision it was built from where that is known: `0.1.0 (abc1234)`.
pub const VERSION: &str = env!("VERSION_AND_REVISION");
