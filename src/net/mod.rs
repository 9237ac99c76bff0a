//! Every touch of a socket.
//!
//! [`Net`] is the seam: the proxy is generic over it, the real one is [`Sockets`], and the seeded simulation has its
//! own. [`Conn`] is one socket with what the kernel last said about it. Nothing here knows HTTP, sessions or time.

mod conn;
mod listen;
mod sockets;

pub use conn::{Conn, ConnKey, Drain, Fill, Ready, Role, SessionKey};
pub use listen::{adopt, defer_accept, listen, listen_together, share};
pub use sockets::Sockets;

use std::io;
use std::net::SocketAddr;

/// What the proxy asks of a network. Every call returns at once; `WouldBlock` means an event will follow.
pub trait Net {
    /// One connected (or connecting) byte stream. Dropping it closes it.
    type Stream;

    /// Begins a connection. It may be refused at once (no ports left, no route).
    fn dial(&mut self, address: SocketAddr) -> io::Result<Self::Stream>;

    /// Asks for events under `token`, for as long as the stream lives: readable and writable, edge-triggered. What
    /// is already true is reported too.
    fn register(&mut self, stream: &mut Self::Stream, token: usize) -> io::Result<()>;

    /// Reads what there is; 0 means the peer has finished sending. `into` is never empty.
    fn read(&mut self, stream: &mut Self::Stream, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what the peer has room for.
    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Writes both stretches in one call, in order, as far as there is room.
    fn write_both(&mut self, stream: &mut Self::Stream, first: &[u8], second: &[u8]) -> io::Result<usize>;

    /// After the event that ends a connect: why it failed, or that it did not.
    fn connect_result(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Has small writes sent at once, whatever is still unacknowledged (TCP_NODELAY). Accepted streams do so already;
    /// dialled ones need it only from the second write of a request on.
    fn send_at_once(&mut self, stream: &mut Self::Stream);

    /// Tells the peer that no more bytes will follow; reading goes on.
    fn finish_writing(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Bytes written that the peer has not acknowledged, if the system tells. A sender who is not let write for long can
    /// see by it whether the peer takes anything: the kernel lets write again only when much of its buffer is free.
    fn unacknowledged(&self, stream: &Self::Stream) -> Option<u64>;

    /// Makes the coming close a reset: what is unsent is forgotten and no TIME_WAIT is left. For an upstream whose
    /// answer is complete, and for a client whose answer was cut where a clean end would look complete.
    fn reset_on_close(&mut self, stream: &mut Self::Stream);
}
