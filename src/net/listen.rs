//! The listening socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

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

/// Makes a listener of a socket that somebody else has opened.
///
/// # Errors
/// It is no TCP socket that listens.
pub fn adopt(fd: OwnedFd) -> io::Result<TcpListener> {
    let socket = Socket::from(fd);
    if !socket.is_listener()? || socket.local_addr()?.as_socket().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a TCP socket that listens"));
    }
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    Ok(TcpListener::from_std(socket.into()))
}
