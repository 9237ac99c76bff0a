//! A responder on a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::thread::{Builder, JoinHandle};

use super::{Handler, Responder, Settings};
use crate::net;
use crate::reactor::{Control, DrainTimes, Reactor};

/// A responder at work. It goes on when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; the port is the real one.
    pub address: SocketAddr,
    /// For orders.
    pub control: Control,
    thread: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    /// When the poll failed, or the thread panicked.
    pub fn join(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }

    /// Ends it and waits for that; answers under way are cut off.
    ///
    /// # Errors
    /// As [`Running::join`].
    pub fn stop(self) -> io::Result<()> {
        self.control.stop();
        self.join()
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// Listens at `address` (port 0 is any free one) and answers from a new thread called `name`.
///
/// # Errors
/// When the address cannot be had, or there are no descriptors or threads left.
pub fn start<H: Handler + Send + 'static>(
    name: &str,
    address: SocketAddr,
    settings: Settings,
    handler: H,
) -> io::Result<Running> {
    let listener = net::listen(address)?;
    let address = listener.local_addr()?;
    let drain = DrainTimes { delay: std::time::Duration::ZERO, timeout: settings.drain };
    let reactor = Reactor::new(listener, drain)?;
    let control = reactor.control();
    let mut responder = Responder::new(reactor.registry()?, settings, handler);
    let thread = Builder::new().name(name.to_owned()).spawn(move || reactor.run(&mut responder))?;
    Ok(Running { address, control, thread })
}
