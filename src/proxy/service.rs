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
        self.clients() < self.world.clients_max
    }

    fn shed(&mut self) {
        self.world.say_exhausted();
        self.world.shed_pooled();
        self.shed_idle(); // a client needs two: one for itself, one to its backend
    }

    fn make_room(&mut self) {
        self.shed_idle();
    }

    fn woke(&mut self, now: Time) {
        self.world.now = now;
    }

    fn mark(&mut self, token: usize, ready: Ready) {
        Proxy::mark(self, token, ready);
    }

    fn turn(&mut self, now: Time, unix_seconds: u64) -> Turned {
        self.world.unix_seconds = unix_seconds;
        Proxy::turn(self, now)
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
