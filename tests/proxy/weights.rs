//! What a weight is worth: with equal latencies, a share of the requests near it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate::balance::Routing;

use crate::support::{Origin, ProxyUnderTest};

const CLIENTS: usize = 8;
const REQUESTS: usize = 1200;

#[test]
fn shares_are_near_the_weights_by_every_policy_that_takes_them() {
    for routing in Routing::ALL.into_iter().filter(|routing| !routing.is_exact()) {
        let origins = [0, 1].map(|_| {
            Origin::start(|conn| {
                while conn.request().is_some() {
                    std::thread::sleep(Duration::from_millis(2)); // the work
                    conn.answer("done");
                }
            })
        });
        let proxy = ProxyUnderTest::start(&origins.each_ref().map(|origin| origin.address), |config| {
            config.routing = routing;
            config.backends[0].weight = 2.0;
        });
        let left = AtomicUsize::new(REQUESTS);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = proxy.client();
                    while left
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        assert_eq!(client.get("/").status, 200);
                    }
                });
            }
        });
        let share = origins[0].lines().len() as f64 / REQUESTS as f64;
        println!("{}: {share:.3} of the requests for 2 of 3", routing.name());
        assert!((0.52..0.82).contains(&share), "{}: {share}", routing.name());
    }
}
