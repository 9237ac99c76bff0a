//! The real network: non-blocking TCP sockets registered with mio.
//!
//! Bytes go through rustix, which makes the system call itself: by way of libc each one costs 50 instructions more, for
//! thread cancellation, which nobody here uses.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::Net;

/// TCP through the operating system.
#[derive(Debug)]
pub struct Sockets {
    registry: Registry,
}

impl Sockets {
    /// Registers with the poll behind `registry`.
    pub fn new(registry: Registry) -> Self {
        Sockets { registry }
    }
}

impl Net for Sockets {
    type Stream = TcpStream;

    fn dial(&mut self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // TCP_QUICKACK stays on: off, the handshake's last acknowledgement would ride on the request and save a packet,
        // but a backend that writes head and body apart without TCP_NODELAY would wait 40 ms for ours.
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(TcpStream::from_std(socket.into()))
    }

    fn register(&mut self, stream: &mut TcpStream, token: usize) -> io::Result<()> {
        self.registry.register(stream, Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    fn read(&mut self, stream: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(&*stream, into, RecvFlags::empty())?.1)
    }

    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*stream, bytes, SendFlags::NOSIGNAL)?)
    }

    fn write_both(&mut self, stream: &mut TcpStream, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let both = [IoSlice::new(first), IoSlice::new(second)];
        Ok(rustix::net::sendmsg(&*stream, &both, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    }

    fn connect_result(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        stream.peer_addr().map(|_| ())
    }

    fn send_at_once(&mut self, stream: &mut TcpStream) {
        // A failure costs time, not bytes.
        let _ = stream.set_nodelay(true);
    }

    fn finish_writing(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.shutdown(std::net::Shutdown::Write)
    }

    #[cfg(target_os = "linux")]
    #[allow(
        unsafe_code,
        reason = "no crate has SIOCOUTQ as a safe call; an integer comes back, and nothing else"
    )]
    fn unacknowledged(&self, stream: &TcpStream) -> Option<u64> {
        // SIOCOUTQ is TIOCOUTQ by another name (tcp(7)).
        const SIOCOUTQ: rustix::ioctl::Opcode = libc::TIOCOUTQ as rustix::ioctl::Opcode;
        // SAFETY: the kernel writes one int for this request, which is what the getter holds.
        let bytes = unsafe {
            let getter = rustix::ioctl::Getter::<SIOCOUTQ, libc::c_int>::new();
            rustix::ioctl::ioctl(stream, getter)
        };
        bytes.ok().and_then(|bytes| u64::try_from(bytes).ok())
    }

    #[cfg(not(target_os = "linux"))]
    fn unacknowledged(&self, _: &TcpStream) -> Option<u64> {
        None
    }

    fn reset_on_close(&mut self, stream: &mut TcpStream) {
        // A failure here only means an ordinary close.
        let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
    }
}

fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
