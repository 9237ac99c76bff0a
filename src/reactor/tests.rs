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
    let wanted = acceptor::ACCEPTS_MAX + 1;
    let clients: Vec<_> = (0..wanted).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let reactor = Reactor::new(listener, times).unwrap();
    let control = reactor.control();
    let (ended, has_ended) = std::sync::mpsc::channel();
    let worker = control.clone();
    let thread = std::thread::spawn(move || {
        let mut counting =
            Counting { held: Vec::new(), most: acceptor::ACCEPTS_MAX, accepted: 0, wanted, control: worker };
        reactor.run(&mut counting).unwrap();
        ended.send(counting.accepted).unwrap();
    });
    let accepted = has_ended.recv_timeout(Duration::from_secs(10));
    control.stop();
    thread.join().unwrap();
    assert_eq!(accepted, Ok(wanted));
    drop(clients);
}

/// An acceptor with its poll, and clients to come.
struct Door {
    poll: Poll,
    acceptor: Acceptor,
    address: SocketAddr,
    service: Counting,
    clients: Vec<std::net::TcpStream>,
}

impl Door {
    fn new(most: usize) -> (Door, TcpListener) {
        let listener = crate::net::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let mut both = crate::net::share(listener, 2).unwrap();
        let poll = Poll::new().unwrap();
        let acceptor = Acceptor::new(both.pop().unwrap(), poll.registry()).unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).unwrap());
        let control = Control::of(Arc::new(AtomicU8::new(0)), waker);
        let service = Counting { held: Vec::new(), most, accepted: 0, wanted: usize::MAX, control };
        let mut door = Door { poll, acceptor, address, service, clients: Vec::new() };
        assert_eq!(door.round(Time::ZERO), 0); // the first look is at once, without having heard
        (door, both.pop().unwrap())
    }

    fn come(&mut self, clients: usize) {
        let address = self.address;
        self.clients.extend((0..clients).map(|_| std::net::TcpStream::connect(address).unwrap()));
    }

    /// Whether the poll speaks of the listener; what is there already counts.
    fn hears(&mut self) -> bool {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        let heard = events.iter().any(|event| event.token() == LISTENER);
        if heard {
            self.acceptor.heard();
        }
        heard
    }

    fn round(&mut self, now: Time) -> usize {
        self.acceptor.accept(&mut self.service, self.poll.registry(), now)
    }
}

/// On Linux; elsewhere each of them is asked whether there is another.
#[cfg(target_os = "linux")]
#[test]
fn who_comes_alone_is_not_asked_whether_there_is_another_and_who_is_left_is_heard_of() {
    let (mut door, _other) = Door::new(usize::MAX);
    for _ in 0..20 {
        door.come(1);
        assert!(door.hears());
        assert_eq!((door.round(Time::ZERO), door.acceptor.due()), (1, None)); // not ready: nobody was asked for
        assert!(!door.hears());
        assert_eq!(door.round(Time::ZERO), 0);
    }
    door.come(500);
    let mut rounds = Vec::new();
    while door.hears() {
        rounds.push(door.round(Time::ZERO));
    }
    assert_eq!(rounds.iter().sum::<usize>(), 500);
    assert!(rounds.len() < 60 && rounds[0] == 1, "a crowd is taken by ever larger batches: {rounds:?}");
    door.come(1);
    assert!(door.hears());
    assert_eq!(door.round(Time::ZERO), 1);
}

#[test]
fn a_listener_without_room_is_quiet_until_there_is_some() {
    let (mut door, _other) = Door::new(0);
    door.come(2);
    assert!(door.hears());
    assert_eq!(door.round(Time::ZERO), 0);
    let rest_ends = door.acceptor.due().unwrap();
    assert!(rest_ends > Time::ZERO);
    for _ in 0..3 {
        door.hears(); // once more at the most, when it is quietened
        assert_eq!(door.round(Time::ZERO), 0);
    }
    assert!(!door.hears(), "the poll would spin");
    assert_eq!(door.round(rest_ends), 0);
    assert!(door.acceptor.due().unwrap() > rest_ends);
    door.service.most = 2;
    let mut accepted = door.round(rest_ends); // there is room: the rest need not be over
    while door.hears() {
        accepted += door.round(rest_ends);
    }
    assert_eq!(accepted, 2);
}

#[test]
fn closing_takes_who_is_there_and_hears_no_more_even_of_a_socket_that_others_hold() {
    let (mut door, other) = Door::new(usize::MAX);
    door.come(acceptor::ACCEPTS_MAX * 2 + 3);
    door.acceptor.close(&mut door.service, door.poll.registry(), Time::ZERO);
    assert_eq!((door.service.accepted, door.acceptor.due()), (door.clients.len(), None));
    door.come(1);
    assert!(!door.hears());
    assert!(other.accept().is_ok());
}
