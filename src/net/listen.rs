//! The listening socket.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel completes before we accept them. The usual 128 loses SYNs when a thousand clients open at
/// once, and a lost SYN costs its client a second.
const BACKLOG: i32 = 4096;

/// Opens a listener. Accepted sockets inherit TCP_NODELAY, which saves a system call for each.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // a restart must not wait for the last run's TIME_WAIT
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
