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
    open(address, false)
}

/// Opens so many listeners at one address, between which the kernel divides the clients (SO_REUSEPORT). Port 0 is the
/// same free one for all.
///
/// # Errors
/// As [`listen`]; also when somebody listens there who would share, for he was not asked.
pub fn listen_together(address: SocketAddr, listeners: usize) -> io::Result<Vec<TcpListener>> {
    if listeners <= 1 {
        return Ok(vec![listen(address)?]);
    }
    if address.port() != 0 {
        // Another process of the same user would share its port with us, and half of our clients would be its.
        drop(bind(address, false)?);
    }
    let first = open(address, true)?;
    let address = first.local_addr()?;
    let others = (1..listeners).map(|_| open(address, true));
    std::iter::once(Ok(first)).chain(others).collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = bind(address, shared)?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // a restart must not wait for the last run's TIME_WAIT
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// So many listeners that are one socket: who is quickest has the client. For a socket that somebody else has opened
/// without SO_REUSEPORT.
///
/// # Errors
/// When there are no file descriptors left.
pub fn share(listener: TcpListener, listeners: usize) -> io::Result<Vec<TcpListener>> {
    let socket = Socket::from(OwnedFd::from(listener));
    let mut all = Vec::with_capacity(listeners);
    for _ in 1..listeners {
        all.push(TcpListener::from_std(socket.try_clone()?.into()));
    }
    all.push(TcpListener::from_std(socket.into()));
    Ok(all)
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
