//! One world from one seed: the proxy, its clients and origins, the weather, and what must always be true.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate::clock::{Time, Wall};
use tidegate::config::ProxyConfig;
use tidegate::net::Ready;
use tidegate::proxy::{Inbox, Proxy, Setup, World};
use tidegate::reactor::Turned;

use crate::client::Client;
use crate::config::draw_config;
use crate::ledger::Ledger;
use crate::manners::{self, Met, Quirk};
use crate::net::{Dial, FakeNet, Wire};
use crate::origin::Origin;
use crate::traffic::{requests_in, sent_max};

/// Rounds until a world without faults must have come to its end.
const FAIR_STEPS_MAX: u32 = 60_000;
/// Steps of a world with faults, before its peace.
const FOUL_STEPS: u32 = 300;
/// Steps without a call of the proxy's after which everybody waits.
const QUIET_STEPS: u32 = 200;
/// Turns in a row that may ask for another one without an event between them.
const TURNS_MAX: u32 = 2_000;

struct Sim {
    rng: fastrand::Rng,
    wire: Rc<RefCell<Wire>>,
    net: FakeNet,
    proxy: Proxy<FakeNet>,
    ledger: Ledger,
    clients: Vec<Client>,
    to_come: usize,
    origins: Vec<Origin>,
    late: Vec<(usize, Ready)>,
    /// How the server of each backend behaves.
    manners: Vec<Option<Quirk>>,
    /// Calls the proxy had made when it made the last one, and steps since then.
    quiet: (u64, u32),
    now: Time,
    fair: bool,
    trace: bool,
    requests_max: usize,
}

/// Plays the worlds of two workers that share what they learn: two networks, one clock, the same origins behind.
/// Returns their digests and how often a request tried a backend put out before.
pub fn run_together(seed: u64) -> ([(u64, u64, u64); 2], u32) {
    let (mut other, mut trials) = (0, 0);
    let mut both: [Sim; 2] = tidegate::bulletin::members(2)
        .into_iter()
        .map(|member| {
            let mut sim = Sim::with(seed, |config| {
                // Out at once and back soon: many trials.
                config.ejection = true;
                (config.ejector.failures, config.ejector.time) = (1, Duration::from_millis(1));
                config.ejector.time_max = Duration::from_millis(5);
            });
            sim.rng = fastrand::Rng::with_seed(seed ^ other); // the same configuration, other weather
            other = 0x9e37_79b9_7f4a_7c15;
            sim.proxy.world.join(member, None);
            sim
        })
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| panic!("two"));
    if both[0].fair {
        let mut steps = 0;
        while both.iter().any(|sim| !sim.is_content()) {
            trials += step_together(&mut both);
            steps += 1;
            assert!(steps < FAIR_STEPS_MAX, "stuck:\n{}\n{}", both[0].summary(), both[1].summary());
        }
        both.iter().for_each(Sim::check_benign);
    } else {
        for _ in 0..FOUL_STEPS {
            both.iter_mut().for_each(Sim::weather);
            trials += step_together(&mut both);
        }
        both.iter_mut().for_each(Sim::calm);
    }
    both.iter_mut().for_each(Sim::outlive);
    both.iter_mut().for_each(Sim::turn); // the last news of the other
    both.iter_mut().for_each(Sim::verify);
    (both.map(|sim| sim.digest()), trials)
}

fn step_together(both: &mut [Sim; 2]) -> u32 {
    let mut trying = 0;
    for turn in 0..2 {
        both[turn].now = both[0].now.max(both[1].now);
        both[turn].step();
        let trials = both[0].proxy.trials().into_iter().zip(both[1].proxy.trials());
        for (backend, (here, there)) in trials.enumerate() {
            assert!(here + there <= 1, "{here} and {there} requests try backend {backend}");
            trying += here + there;
        }
    }
    trying
}

/// Plays the world of `seed`; returns a digest of what happened, and what was met with.
pub fn run(seed: u64) -> ((u64, u64, u64), Met) {
    let mut sim = Sim::new(seed);
    if sim.fair {
        sim.play_fair();
    } else {
        for _ in 0..FOUL_STEPS {
            sim.weather();
            sim.step();
        }
        sim.calm();
    }
    sim.outlive();
    sim.verify();
    (sim.digest(), sim.ledger.met)
}

impl Sim {
    fn new(seed: u64) -> Sim {
        Sim::with(seed, |_| {})
    }

    fn with(seed: u64, change: impl FnOnce(&mut ProxyConfig)) -> Sim {
        let mut rng = fastrand::Rng::with_seed(seed);
        let fair = rng.bool();
        let addresses: Vec<SocketAddr> =
            (0..rng.u16(1..=4)).map(|index| SocketAddr::from(([10, 0, 0, 1], 8081 + index))).collect();
        let mut config = draw_config(fair, &addresses, &mut rng);
        change(&mut config);
        let manners: Vec<_> = addresses.iter().map(|_| manners::draw(config.pool_trust, &mut rng)).collect();
        let wire = Rc::new(RefCell::new(Wire {
            capacity_max: [300, 5_000, 80_000][rng.usize(..3)],
            short_one_in: [0, 4, 30][rng.usize(..3)],
            register_fails_one_in: if fair { 0 } else { [0, 0, 50][rng.usize(..3)] },
            ..Wire::new(addresses, rng.u64(..))
        }));
        let large = wire.borrow().capacity_max > 1000;
        let net = FakeNet(wire.clone());
        let setup = Setup {
            config: Arc::new(config),
            log: None,
            shadow_log: None,
            console: None,
            inbox: Inbox::default(),
            clients_max: 1000,
            seed,
        };
        Sim {
            proxy: Proxy::new(World::new(net.clone(), setup)),
            wire,
            net,
            ledger: Ledger { large, ..Ledger::default() },
            clients: Vec::new(),
            to_come: rng.usize(1..=12),
            origins: Vec::new(),
            late: Vec::new(),
            manners,
            quiet: (0, 0),
            now: Time::from_millis(1),
            fair,
            trace: std::env::var_os("TIDEGATE_SIM_TRACE").is_some(),
            requests_max: rng.usize(1..=6),
            rng,
        }
    }

    /// What may go wrong between two steps.
    fn weather(&mut self) {
        let rng = &mut self.rng;
        let mut wire = self.wire.borrow_mut();
        if rng.u8(..10) == 0 {
            let dials = [
                Dial::AtOnce,
                Dial::AtOnce,
                Dial::Later,
                Dial::RefusedAtOnce,
                Dial::RefusedLater,
                Dial::Never,
            ];
            let backend = rng.usize(..wire.dials.len());
            wire.dials[backend] = dials[rng.usize(..dials.len())];
        }
        if rng.u8(..30) == 0 && !wire.links.is_empty() {
            let link = rng.usize(..wire.links.len());
            if wire.links[link].backend.is_some() {
                wire.peer_reset(link);
            }
        }
        let chosen = |tokens: &[usize], rng: &mut fastrand::Rng| rng.choice(tokens).copied();
        let spurious = Ready::READABLE.with(Ready::WRITABLE);
        if rng.u8(..8) == 0 {
            self.late.extend(chosen(&wire.tokens(), rng).map(|token| (token, spurious)));
        }
        if rng.u8(..8) == 0 {
            let everything = spurious.with(Ready::READ_CLOSED).with(Ready::GONE);
            self.late.extend(chosen(&wire.stale, rng).map(|token| (token, everything)));
        }
        let pause = match rng.u8(..60) {
            0 => Duration::from_secs(rng.u64(1..1000)),
            1..=4 => Duration::from_millis(rng.u64(1..60)),
            _ => Duration::from_micros(rng.u64(..300)),
        };
        self.now = self.now.plus(pause);
        drop(wire);
        match self.rng.u16(..1000) {
            0 => self.proxy.drain(),
            1 => drop(self.proxy.shed_idle()),
            _ => {}
        }
        if self.rng.u8(..10) == 0 {
            let at = self.rng.usize(..self.origins.len() + 1);
            if let Some(origin) = self.origins.get_mut(at) {
                origin.close_if_idle(&mut self.wire.borrow_mut());
            }
        }
    }

    /// One round of everybody; whether a peer did anything.
    fn step(&mut self) -> bool {
        self.now = self.now.plus(Duration::from_micros(self.rng.u64(..10)));
        if self.fair {
            self.pass_time();
        }
        if self.to_come > 0 && self.rng.u8(..4) == 0 {
            self.connect_client();
        }
        let mut busy = false;
        for client in &mut self.clients {
            if self.rng.u8(..3) > 0 {
                busy |= client.step(&mut self.wire.borrow_mut(), &self.ledger, &mut self.rng);
            }
        }
        let dialled = std::mem::take(&mut self.wire.borrow_mut().dialled);
        for link in dialled {
            let manner = self.wire.borrow().links[link].backend.and_then(|backend| self.manners[backend]);
            self.origins.push(Origin::new(link, self.fair, manner, &mut self.rng));
        }
        for origin in &mut self.origins {
            busy |= origin.step(self.now, &mut self.wire.borrow_mut(), &mut self.ledger, &mut self.rng);
        }
        self.wire.borrow_mut().settle_dials(3);
        self.deliver(2);
        self.turn();
        busy
    }

    /// Now and then a while in which nobody does anything, long enough for connections to have rested; and where all wait
    /// for an origin that works, until that has something to say.
    fn pass_time(&mut self) {
        if self.rng.u8(..100) == 0 {
            self.now = self.now.plus(Duration::from_millis(self.rng.u64(1..30)));
        }
        let (calls, steps) = self.quiet;
        let now = self.wire.borrow().calls;
        self.quiet = (now, if now == calls { steps + 1 } else { 0 });
        let next = self.origins.iter().filter_map(Origin::works_until).min();
        // A slow origin may still have something to send: that is not to be late because another one works.
        let wanted =
            if self.origins.iter().any(Origin::has_to_send) { 20 * QUIET_STEPS } else { QUIET_STEPS };
        if let (Some(next), true) = (next, steps > wanted) {
            self.now = self.now.max(next);
        }
    }

    fn connect_client(&mut self) {
        self.to_come -= 1;
        let link = self.wire.borrow_mut().open(None, Dial::AtOnce);
        let count = self.rng.usize(1..=self.requests_max);
        let number = self.clients.len() as u32;
        let client = Client::new((link, number), count, self.fair, &mut self.ledger, &mut self.rng);
        if self.trace {
            println!("{:?} client on link {link}: {:?} {:?}", self.now, client.fate, client.requests);
        }
        self.clients.push(client);
        let peer = SocketAddr::from(([192, 0, 2, 1], 1000 + link as u16));
        self.proxy.accept(self.net.stream(link), peer, self.now);
    }

    /// Events of this moment, and those held back before; some are held back again.
    fn deliver(&mut self, one_in: u32) {
        let mut events = std::mem::take(&mut self.late);
        events.extend(self.wire.borrow_mut().harvest(one_in));
        for (token, ready) in events {
            if one_in > 1 && self.rng.u8(..5) == 0 {
                self.late.push((token, ready));
                continue;
            }
            if self.trace {
                println!("{:?} event {ready:?} for {token:#x}", self.now);
            }
            self.proxy.mark(token, ready);
        }
    }

    fn turn(&mut self) {
        for _ in 0..TURNS_MAX {
            let turned = self.proxy.turn(self.now);
            self.proxy.sweep();
            if turned == Turned::Idle {
                let world = &self.proxy.world;
                let in_flight: u32 =
                    (0..world.upstreams.len()).map(|backend| world.upstreams.in_flight(backend)).sum();
                assert!(in_flight > 0 || world.waiting.is_empty(), "a queue that nobody will serve");
                return;
            }
        }
        panic!("{TURNS_MAX} turns in a row and still busy");
    }

    /// Until every client has what it asked for.
    fn play_fair(&mut self) {
        let mut steps = 0;
        while !self.is_content() {
            self.step();
            steps += 1;
            assert!(steps < FAIR_STEPS_MAX, "stuck:\n{}", self.summary());
        }
        self.check_benign();
    }

    /// Every client has what it asked for, and uploads answered early have arrived, or nothing moves any more.
    fn is_content(&self) -> bool {
        let uploads_done = self.ledger.answers.iter().all(|answer| !answer.reads_on || answer.is_read);
        self.to_come == 0
            && self.clients.iter().all(Client::is_content)
            && (uploads_done || self.quiet.1 > 2 * QUIET_STEPS)
    }

    fn digest(&self) -> (u64, u64, u64) {
        let counters = &self.proxy.world.stats.counters;
        (counters.requests, counters.bytes_out, self.wire.borrow().calls)
    }

    fn check_benign(&self) {
        for client in &self.clients {
            client.check_benign();
        }
    }

    /// In fair weather no backend fails, whatever clients do, and an upload arrives though it was answered early: who does
    /// not say close reads on.
    fn check_backends(&mut self) {
        let figures = self.proxy.world.stats.snapshot(Wall::default(), "", Vec::new(), false);
        let errors: u64 = figures.backends.iter().map(|backend| backend.errors).sum();
        assert_eq!(errors, 0, "a backend was charged");
        let has_left = |id| self.clients.iter().any(|client| client.has_left() && client.has_asked(id));
        for answer in self.ledger.answers.iter().filter(|answer| answer.reads_on) {
            let arrived = answer.is_read || has_left(answer.id);
            assert!(arrived, "an upload was cut: {answer:?}\n{}", self.summary());
        }
    }

    fn summary(&self) -> String {
        let clients: Vec<String> = self.clients.iter().map(Client::summary).collect();
        let origins: Vec<String> = self.origins.iter().map(Origin::summary).collect();
        format!("{}\n{}", clients.join("\n"), origins.join("\n"))
    }

    /// The weather clears; those who can finish do.
    fn calm(&mut self) {
        self.wire.borrow_mut().dials.fill(Dial::AtOnce);
        let mut quiet = 0;
        for _ in 0..3_000 {
            quiet = if self.step() { 0 } else { quiet + 1 };
            if quiet > 50 {
                break;
            }
        }
    }

    /// Nobody does anything any more: the proxy must let go of everything by its own deadlines.
    fn outlive(&mut self) {
        let timeouts = self.proxy.world.config.timeouts;
        let retries = self.proxy.world.config.retries + 2;
        let longest = (timeouts.connect + timeouts.upstream + timeouts.interim) * retries
            + timeouts.linger_total
            + (timeouts.request_body + timeouts.response_body + timeouts.client_write) * 2
            + self.proxy.world.config.queue.timeout * retries
            + (timeouts.request_head + timeouts.client_idle + timeouts.linger + timeouts.upstream_idle) * 2;
        let end = self.now.plus(longest + Duration::from_secs(3)); // and a look whether a backend is back
        let mut rounds = 0;
        loop {
            self.deliver(1);
            self.turn();
            rounds += 1;
            assert!(rounds < 100_000, "woken for ever at {:?}", self.now);
            let has_events = !self.late.is_empty() || self.wire.borrow().has_edges();
            // An unreachable backend is looked at for ever; all else comes to an end.
            if !has_events && self.proxy.clients() == 0 && self.proxy.world.conns.is_empty() {
                break;
            }
            match self.proxy.next_deadline() {
                _ if has_events => {}
                Some(next) if next <= end => self.now = self.now.max(next),
                Some(next) => panic!("a deadline after all of them: {next:?} > {end:?}"),
                None => break,
            }
        }
    }

    fn verify(&mut self) {
        if self.fair {
            self.check_backends();
        }
        assert_eq!(self.proxy.clients(), 0, "clients left open");
        let world = &self.proxy.world;
        assert_eq!(world.conns.len(), 0, "connections left open");
        assert_eq!(world.buffers.lent(), 0, "buffers not given back");
        assert!(world.upstreams.candidates().iter().all(|candidate| candidate.in_flight == 0));
        let wire = self.wire.borrow();
        assert!(wire.links.iter().enumerate().all(|(index, _)| wire.is_closed_by_proxy(index)));
        let mut sent: HashMap<u32, usize> = HashMap::new();
        for link in wire.links.iter().filter(|link| link.backend.is_some()) {
            for id in requests_in(&link.log, &self.ledger) {
                *sent.entry(id).or_default() += 1;
            }
        }
        for (id, count) in sent {
            let method = self.ledger.requests[id as usize].method;
            let most = sent_max(method, world.config.retries);
            assert!(count <= most, "{method} {id} was sent {count} times");
        }
        self.check_rows(&wire);
    }

    /// One row per request: no fewer than answers seen, no more than heads the proxy can have read.
    fn check_rows(&self, wire: &Wire) {
        let counters = &self.proxy.world.stats.counters;
        let answers: usize = self.clients.iter().map(|client| client.answers_begun).sum();
        let heads: usize = self
            .clients
            .iter()
            .map(|client| {
                let consumed = wire.links[client.link].consumed;
                client.requests.iter().filter(|request| request.start < consumed).count()
            })
            .sum();
        let rows = usize::try_from(counters.requests).expect("a count");
        assert!(
            (answers..=heads).contains(&rows),
            "{rows} rows of {answers} answers and {heads} requests begun"
        );
        assert_eq!(counters.responses.iter().sum::<u64>(), counters.requests);
        assert_eq!(counters.clients_active, 0);
    }
}
