//! Origins that give each connection a worker for as long as it lasts: an idle one in the pool keeps a waiting one out.

use std::sync::Mutex;
use std::time::Duration;

use tidegate::config::{ROUTING_DEFAULT, ejects_by_default};

use crate::clients::{Ask, Asker, Tally};
use crate::origin::Origin;
use crate::support::ProxyUnderTest;

const WORKERS: usize = 5;
const CLIENTS: usize = 100;
const EACH: usize = 3;

#[test]
fn a_burst_is_answered_whole_by_a_few_workers_that_idle_connections_would_hold() {
    let origin = Origin::with_workers(WORKERS, |conn| {
        while let Some(request) = conn.request() {
            std::thread::sleep(Duration::from_millis(1));
            conn.answer(&request);
        }
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |config| {
        config.routing = ROUTING_DEFAULT;
        config.ejection = ejects_by_default(ROUTING_DEFAULT);
    });
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (tally, to, diary) = (&tally, proxy.address, origin.diary.clone());
            scope.spawn(move || {
                let mut asker = Asker::new(client.to_string(), to, diary);
                for round in 0..EACH {
                    let outcome = asker.ask(&Ask::new("GET", &format!("/{client}/{round}")));
                    tally.lock().unwrap().note(outcome);
                }
            });
        }
    });
    let kind = format!("{} requests of {CLIENTS} clients to {WORKERS} workers", CLIENTS * EACH);
    tally.into_inner().unwrap().check(&kind, &origin.diary);
}
