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

/// Has the kernel keep clients back until they have sent something, but no longer than about a second
/// (TCP_DEFER_ACCEPT).
///
/// # Errors
/// Where there is no such option: other systems than Linux.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "neither std, socket2 nor rustix can set this option; nothing here outlives the call"
)]
pub fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let seconds: libc::c_int = 1;
    let length = size_of_val(&seconds) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads `length` bytes of a value that lives on.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// As on Linux, if it could.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn defer_accept(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// The first to come out of the queue: true if it is the one that spoke, though the silent one came first.
    fn speaker_comes_first(listener: &TcpListener) -> bool {
        let address = listener.local_addr().unwrap();
        let _silent = TcpStream::connect(address).unwrap();
        let mut speaker = TcpStream::connect(address).unwrap();
        speaker.write_all(b"GET").unwrap();
        let began = Instant::now();
        loop {
            match listener.accept() {
                Ok((_, peer)) => return peer == speaker.local_addr().unwrap(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            assert!(began.elapsed() < DEADLINE, "nobody comes out of the queue");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn who_says_nothing_waits_outside() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(!speaker_comes_first(&listen(any).unwrap()));
        // A machine that stalls for more than a second lets the silent one in: then once more.
        let once = || {
            let listener = listen(any).unwrap();
            defer_accept(&listener).unwrap();
            speaker_comes_first(&listener)
        };
        assert!((0..10).any(|_| once()));
    }
}
