//! A network in memory: bounded pipes, partial transfers, resets, and edge-triggered events as epoll gives them.
//!
//! Each [`Link`] is one TCP connection between the proxy and a peer the simulation plays. Whatever the kernel would
//! report as an edge sets `edge`; [`Wire::harvest`] turns that into the bits that are true at that moment.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;

use tidegate::net::{Net, Ready};

/// How a dial goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dial {
    /// The handshake is over before the first write.
    AtOnce,
    /// It takes until the simulation says so.
    Later,
    /// `connect` itself fails.
    RefusedAtOnce,
    /// A reset comes later.
    RefusedLater,
    /// Nobody ever answers.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    Waiting(Dial),
    Up,
    Refused,
}

#[derive(Debug, Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    capacity: usize,
    fin: bool,
}

impl Pipe {
    fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }
}

/// What a peer's read gives.
#[derive(Debug, PartialEq, Eq)]
pub enum PeerRead {
    Bytes(Vec<u8>),
    Blocked,
    Fin,
    Reset,
}

/// One connection.
#[derive(Debug)]
pub struct Link {
    /// Index of the backend dialled; `None` for a client's.
    pub backend: Option<usize>,
    /// Everything the proxy ever got the kernel to take.
    pub log: Vec<u8>,
    handshake: Handshake,
    error: Option<ErrorKind>,
    token: Option<usize>,
    edge: bool,
    no_space: bool,
    to_proxy: Pipe,
    from_proxy: Pipe,
    peer_closed: bool,
    /// The proxy's end saw a reset.
    reset: bool,
    proxy_closed: bool,
    reset_on_close: bool,
    /// The peer's end saw a reset.
    peer_reset: bool,
    /// Bytes of the peer the proxy has read.
    pub consumed: usize,
}

/// All connections, and what the weather is like.
#[derive(Debug)]
pub struct Wire {
    pub links: Vec<Link>,
    pub rng: fastrand::Rng,
    /// What the next dial to each backend does.
    pub dials: Vec<Dial>,
    /// Addresses of the backends.
    pub addresses: Vec<SocketAddr>,
    /// Dialled links the origins have not looked at yet.
    pub dialled: Vec<usize>,
    /// Calls the proxy has made.
    pub calls: u64,
    /// Largest capacity of a pipe.
    pub capacity_max: usize,
    /// One call in so many meets EINTR or a needlessly short transfer.
    pub short_one_in: u32,
    /// One registration in so many fails; 0 for none.
    pub register_fails_one_in: u32,
    /// Tokens of links closed by the proxy.
    pub stale: Vec<usize>,
}

impl Wire {
    /// A network in fair weather, with these backends.
    pub fn new(addresses: Vec<SocketAddr>, seed: u64) -> Wire {
        Wire {
            links: Vec::new(),
            rng: fastrand::Rng::with_seed(seed),
            dials: vec![Dial::AtOnce; addresses.len()],
            addresses,
            dialled: Vec::new(),
            calls: 0,
            capacity_max: 80_000,
            short_one_in: 0,
            register_fails_one_in: 0,
            stale: Vec::new(),
        }
    }

    pub fn open(&mut self, backend: Option<usize>, handshake: Dial) -> usize {
        let capacity = |rng: &mut fastrand::Rng, most: usize| match rng.u8(..4) {
            0 => rng.usize(20..=64),
            _ => rng.usize(40..=most),
        };
        let most = self.capacity_max;
        let up = if handshake == Dial::AtOnce { Handshake::Up } else { Handshake::Waiting(handshake) };
        self.links.push(Link {
            backend,
            log: Vec::new(),
            handshake: up,
            error: None,
            token: None,
            edge: false,
            no_space: false,
            to_proxy: Pipe { capacity: capacity(&mut self.rng, most), ..Pipe::default() },
            from_proxy: Pipe { capacity: capacity(&mut self.rng, most), ..Pipe::default() },
            peer_closed: false,
            reset: false,
            proxy_closed: false,
            reset_on_close: false,
            peer_reset: false,
            consumed: 0,
        });
        self.links.len() - 1
    }

    /// Lets handshakes that can end do so.
    pub fn settle_dials(&mut self, one_in: u32) {
        for index in 0..self.links.len() {
            let Handshake::Waiting(dial) = self.links[index].handshake else { continue };
            if dial == Dial::Never || self.rng.u32(..one_in) > 0 {
                continue;
            }
            let link = &mut self.links[index];
            link.edge = true;
            if dial == Dial::Later {
                link.handshake = Handshake::Up;
            } else {
                link.handshake = Handshake::Refused;
                link.error = Some(ErrorKind::ConnectionRefused);
                link.reset = true;
            }
        }
    }

    pub fn is_up(&self, link: usize) -> bool {
        self.links[link].handshake == Handshake::Up
    }

    pub fn is_closed_by_proxy(&self, link: usize) -> bool {
        self.links[link].proxy_closed
    }

    /// Every link with an edge: its token and what is true of it now.
    pub fn harvest(&mut self, one_in: u32) -> Vec<(usize, Ready)> {
        let mut events = Vec::new();
        for index in 0..self.links.len() {
            let link = &self.links[index];
            if !link.edge || link.proxy_closed || link.token.is_none() || self.rng.u32(..one_in) > 0 {
                continue;
            }
            let bits = link.bits();
            let link = &mut self.links[index];
            link.edge = false;
            if let Some(token) = link.token {
                events.push((token, bits));
            }
        }
        self.rng.shuffle(&mut events);
        events
    }

    /// Tokens of links that are alive.
    pub fn tokens(&self) -> Vec<usize> {
        self.links.iter().filter(|link| !link.proxy_closed).filter_map(|link| link.token).collect()
    }

    pub fn has_edges(&self) -> bool {
        self.links.iter().any(|link| link.edge && !link.proxy_closed && link.token.is_some())
    }

    /// Bytes the peer can write now.
    pub fn peer_room(&self, index: usize) -> usize {
        self.links[index].to_proxy.room()
    }

    pub fn peer_write(&mut self, index: usize, bytes: &[u8]) -> usize {
        let link = &mut self.links[index];
        if link.peer_closed || link.to_proxy.fin || link.reset {
            return 0;
        }
        if link.proxy_closed {
            // A byte for a socket that is gone is answered with a reset, which erases what was not read yet.
            link.peer_reset = true;
            link.from_proxy.bytes.clear();
            return 0;
        }
        let count = bytes.len().min(link.to_proxy.room());
        link.to_proxy.bytes.extend(&bytes[..count]);
        link.edge |= count > 0;
        count
    }

    pub fn peer_read(&mut self, index: usize, most: usize) -> PeerRead {
        let link = &mut self.links[index];
        let count = most.min(link.from_proxy.bytes.len());
        if count > 0 {
            let bytes: Vec<u8> = link.from_proxy.bytes.drain(..count).collect();
            if link.no_space && link.from_proxy.room() > 0 && !link.proxy_closed {
                link.no_space = false;
                link.edge = true;
            }
            return PeerRead::Bytes(bytes);
        }
        if link.peer_reset {
            PeerRead::Reset
        } else if link.from_proxy.fin && link.from_proxy.bytes.is_empty() {
            PeerRead::Fin
        } else {
            PeerRead::Blocked
        }
    }

    pub fn peer_fin(&mut self, index: usize) {
        let link = &mut self.links[index];
        link.edge |= !link.to_proxy.fin;
        link.to_proxy.fin = true;
    }

    /// An ordinary close; with bytes unread it is a reset, as the kernel has it.
    pub fn peer_close(&mut self, index: usize) {
        if self.links[index].from_proxy.bytes.is_empty() {
            self.peer_fin(index);
            self.links[index].peer_closed = true;
        } else {
            self.peer_reset(index);
        }
    }

    pub fn peer_reset(&mut self, index: usize) {
        let erases = self.rng.bool();
        let link = &mut self.links[index];
        if link.peer_closed && link.reset {
            return;
        }
        link.peer_closed = true;
        link.reset = true;
        link.edge = true;
        link.error = Some(ErrorKind::ConnectionReset);
        link.from_proxy.bytes.clear();
        if erases {
            link.to_proxy.bytes.clear();
        }
    }
}

impl Link {
    fn bits(&self) -> Ready {
        let mut bits = Ready::NONE;
        if matches!(self.handshake, Handshake::Waiting(_)) {
            return bits;
        }
        if !self.to_proxy.bytes.is_empty() {
            bits = bits.with(Ready::READABLE);
        }
        if self.from_proxy.room() > 0 {
            bits = bits.with(Ready::WRITABLE);
        }
        if self.to_proxy.fin {
            bits = bits.with(Ready::READABLE).with(Ready::READ_CLOSED);
        }
        if self.reset || (self.to_proxy.fin && self.from_proxy.fin) {
            bits =
                bits.with(Ready::READABLE).with(Ready::WRITABLE).with(Ready::READ_CLOSED).with(Ready::GONE);
        }
        bits
    }

    fn write(&mut self, first: &[u8], second: &[u8], most: usize) -> io::Result<usize> {
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        if self.reset || self.from_proxy.fin {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if matches!(self.handshake, Handshake::Waiting(_)) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let wanted = first.len() + second.len();
        if self.peer_closed {
            // Taken by our kernel; the other one answers with a reset.
            self.reset = true;
            self.edge = true;
            self.error = Some(ErrorKind::ConnectionReset);
            self.log.extend(first.iter().chain(second));
            return Ok(wanted);
        }
        let count = wanted.min(self.from_proxy.room()).min(most);
        if count < wanted {
            self.no_space = true;
            self.edge |= self.from_proxy.room() > count; // there is room again at once
        }
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let bytes = || first.iter().chain(second).take(count);
        self.from_proxy.bytes.extend(bytes());
        self.log.extend(bytes());
        Ok(count)
    }

    fn read(&mut self, into: &mut [u8], most: usize) -> io::Result<usize> {
        assert!(!into.is_empty(), "a read into no room");
        if matches!(self.handshake, Handshake::Waiting(_)) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.to_proxy.bytes.len()).min(most);
        if count > 0 {
            for (to, from) in into.iter_mut().zip(self.to_proxy.bytes.drain(..count)) {
                *to = from;
            }
            self.consumed += count;
            // A short read that left bytes behind: only a newer arrival can have caused it.
            self.edge |= !self.to_proxy.bytes.is_empty();
            return Ok(count);
        }
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        if self.to_proxy.fin || self.reset {
            return Ok(0);
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

/// The test double of a socket.
#[derive(Debug)]
pub struct FakeStream {
    link: usize,
    wire: Rc<RefCell<Wire>>,
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        let mut wire = self.wire.borrow_mut();
        let link = &mut wire.links[self.link];
        assert!(!link.proxy_closed);
        link.proxy_closed = true;
        if link.reset_on_close || !link.to_proxy.bytes.is_empty() {
            link.peer_reset = true;
            link.from_proxy.bytes.clear();
        } else {
            link.from_proxy.fin = true;
        }
        let token = link.token;
        wire.stale.extend(token);
    }
}

/// The test double of the network.
#[derive(Clone, Debug)]
pub struct FakeNet(pub Rc<RefCell<Wire>>);

impl FakeNet {
    pub fn stream(&self, link: usize) -> FakeStream {
        FakeStream { link, wire: self.0.clone() }
    }

    /// Counts a call, and says how many bytes it may move; `None` for an interruption.
    fn call(&self) -> Option<usize> {
        let mut wire = self.0.borrow_mut();
        wire.calls += 1;
        let one_in = wire.short_one_in;
        if one_in == 0 || wire.rng.u32(..one_in) > 0 {
            return Some(usize::MAX);
        }
        (wire.rng.u8(..4) > 0).then(|| wire.rng.usize(1..=32))
    }
}

impl Net for FakeNet {
    type Stream = FakeStream;

    fn dial(&mut self, address: SocketAddr) -> io::Result<FakeStream> {
        self.call();
        let mut wire = self.0.borrow_mut();
        let backend =
            wire.addresses.iter().position(|known| *known == address).expect("a configured address");
        let dial = wire.dials[backend];
        if dial == Dial::RefusedAtOnce {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let link = wire.open(Some(backend), dial);
        wire.dialled.push(link);
        drop(wire);
        Ok(self.stream(link))
    }

    fn register(&mut self, stream: &mut FakeStream, token: usize) -> io::Result<()> {
        self.call();
        let mut wire = self.0.borrow_mut();
        let one_in = wire.register_fails_one_in;
        if one_in > 0 && wire.rng.u32(..one_in) == 0 {
            return Err(ErrorKind::OutOfMemory.into());
        }
        let link = &mut wire.links[stream.link];
        assert!(link.token.replace(token).is_none(), "registered twice");
        link.edge |= link.bits() != Ready::NONE;
        Ok(())
    }

    fn read(&mut self, stream: &mut FakeStream, into: &mut [u8]) -> io::Result<usize> {
        let most = self.call().ok_or(ErrorKind::Interrupted)?;
        self.0.borrow_mut().links[stream.link].read(into, most)
    }

    fn write(&mut self, stream: &mut FakeStream, bytes: &[u8]) -> io::Result<usize> {
        self.write_both(stream, bytes, &[])
    }

    fn write_both(&mut self, stream: &mut FakeStream, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let most = self.call().ok_or(ErrorKind::Interrupted)?;
        assert!(!first.is_empty() || !second.is_empty(), "an empty write");
        self.0.borrow_mut().links[stream.link].write(first, second, most)
    }

    fn connect_result(&mut self, stream: &mut FakeStream) -> io::Result<()> {
        self.call();
        let link = &mut self.0.borrow_mut().links[stream.link];
        match (link.error.take(), link.handshake) {
            (Some(kind), _) => Err(kind.into()),
            (None, Handshake::Up) if !link.reset => Ok(()),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn send_at_once(&mut self, _stream: &mut FakeStream) {
        self.call();
    }

    fn finish_writing(&mut self, stream: &mut FakeStream) -> io::Result<()> {
        self.call();
        let link = &mut self.0.borrow_mut().links[stream.link];
        if link.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        link.from_proxy.fin = true;
        link.edge |= link.to_proxy.fin;
        Ok(())
    }

    /// What the peer has not read has not arrived: a reset takes it along.
    fn unacknowledged(&self, stream: &FakeStream) -> Option<u64> {
        Some(self.0.borrow().links[stream.link].from_proxy.bytes.len() as u64)
    }

    fn reset_on_close(&mut self, stream: &mut FakeStream) {
        self.call();
        self.0.borrow_mut().links[stream.link].reset_on_close = true;
    }
}
