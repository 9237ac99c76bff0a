//! The proxy on a reactor.

use std::net::SocketAddr;
use std::sync::PoisonError;

use mio::net::TcpStream;

use super::Proxy;
use crate::clock::Time;
use crate::net::{Ready, Sockets};
use crate::reactor::{Order, Pulse, Service, Turned};

impl Service for Proxy<Sockets> {
    fn accept(&mut self, stream: TcpStream, peer: SocketAddr, now: Time) {
        Proxy::accept(self, stream, peer, now);
    }

    fn has_room(&self) -> bool {
        self.world.clients_everywhere(self.clients()) < self.world.clients_max
    }

    fn shed(&mut self) {
        self.world.say_exhausted();
        self.world.shed_pooled();
        self.shed_idle(); // a client needs two: one for itself, one to its backend
    }

    fn make_room(&mut self) {
        self.world.say_full();
        // The idle ones may all be another worker's.
        if self.shed_idle() == 0
            && let Some(peers) = self.world.sharing.as_ref().and_then(|sharing| sharing.peers.as_ref())
        {
            peers.make_room();
        }
    }

    fn woke(&mut self, now: Time) {
        self.world.now = now;
    }

    fn mark(&mut self, token: usize, ready: Ready) {
        Proxy::mark(self, token, ready);
    }

    fn turn(&mut self, now: Time, unix_seconds: u64) -> Turned {
        self.world.unix_seconds = unix_seconds;
        let turned = Proxy::turn(self, now);
        if self.world.lull.take_end() {
            give_back_memory();
        }
        turned
    }

    fn next_deadline(&self) -> Option<Time> {
        Proxy::next_deadline(self)
    }

    fn publish(&mut self, pulse: Pulse) -> bool {
        self.world.publish(pulse)
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Unready => self.world.set_unready(),
            Order::Drain => {
                self.world.tell_drain();
                self.drain();
            }
            Order::MakeRoom => {
                self.shed_idle();
            }
            Order::ReopenLog => self.world.reopen_log(),
            Order::Commands => self.world.obey(),
            Order::Reload => {
                let ready = self.world.inbox.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(config) = ready {
                    self.world.adopt(config);
                }
            }
            Order::Stop => {}
        }
    }

    fn is_drained(&self) -> bool {
        self.clients() == 0
    }

    fn stop(&mut self, pulse: Pulse) {
        self.cut_off(pulse.wall.at);
        self.world.publish(pulse);
        self.world.close_log();
    }
}

/// Has the allocator return what is free to the system. glibc keeps what lies below anything still in use, for ever if
/// nothing more is freed; and of another thread's share it returns nothing by itself. Takes milliseconds for a hundred
/// megabytes, on a thread of its own: whoever neither allocates nor frees meanwhile does not wait for it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no crate in use has this call of the C library; it has no precondition")]
fn give_back_memory() {
    // SAFETY: it may be called at any time from any thread.
    let trim = || unsafe { libc::malloc_trim(0) };
    if let Err(error) = std::thread::Builder::new().name("memory".to_owned()).spawn(trim) {
        tracing::debug!(%error, "no thread to give memory back");
    }
}

/// Other allocators see to that themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back_memory() {}
