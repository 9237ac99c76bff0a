//! The loop with a service that does nothing but count.

use std::time::Duration;

use super::*;

/// Takes so many clients, lets one go when asked for room, and ends the loop when all are served.
struct Counting {
    held: Vec<TcpStream>,
    most: usize,
    accepted: usize,
    wanted: usize,
    control: Control,
}

impl Service for Counting {
    fn accept(&mut self, stream: TcpStream, _peer: SocketAddr, _now: Time) {
        self.held.push(stream);
        self.accepted += 1;
        if self.accepted == self.wanted {
            self.control.stop();
        }
    }

    fn has_room(&self) -> bool {
        self.held.len() < self.most
    }

    fn shed(&mut self) {}

    fn make_room(&mut self) {
        self.held.pop();
    }

    fn woke(&mut self, _now: Time) {}

    fn mark(&mut self, _token: usize, _ready: Ready) {}

    fn turn(&mut self, _now: Time, _unix_seconds: u64) -> Turned {
        Turned::Idle
    }

    fn next_deadline(&self) -> Option<Time> {
        None
    }

    fn publish(&mut self, _pulse: Pulse) -> bool {
        true
    }

    fn order(&mut self, _order: Order) {}

    fn is_drained(&self) -> bool {
        self.held.is_empty()
    }

    fn stop(&mut self, _pulse: Pulse) {}
}

/// A batch that takes the last room there is leaves a client waiting of whom no event will tell again.
#[test]
fn who_waits_behind_the_batch_that_took_the_last_room_is_seen_to() {
    let times = DrainTimes { delay: Duration::ZERO, timeout: Duration::ZERO };
    let listener = crate::net::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let wanted = ACCEPTS_MAX + 1;
    let clients: Vec<_> = (0..wanted).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let reactor = Reactor::new(listener, times).unwrap();
    let control = reactor.control();
    let (ended, has_ended) = std::sync::mpsc::channel();
    let worker = control.clone();
    let thread = std::thread::spawn(move || {
        let mut counting =
            Counting { held: Vec::new(), most: ACCEPTS_MAX, accepted: 0, wanted, control: worker };
        reactor.run(&mut counting).unwrap();
        ended.send(counting.accepted).unwrap();
    });
    let accepted = has_ended.recv_timeout(Duration::from_secs(30));
    control.stop();
    thread.join().unwrap();
    assert_eq!(accepted, Ok(wanted));
    drop(clients);
}
