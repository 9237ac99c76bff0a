//! A port that is nobody else's, listened on or not.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A port of loopback held by a socket that does not listen: whoever connects is refused, the kernel gives it to nobody
/// who asks for any port, and who asks for this one may listen on it, any number of times one after the other.
pub struct Reserved {
    pub address: SocketAddr,
    _socket: Socket,
}

impl Reserved {
    pub fn new() -> Reserved {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap(); // as those have who listen
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Reserved { address, _socket: socket }
    }
}
