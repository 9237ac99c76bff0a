//! So many backends out that being out would be ignored, if they answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate::balance::Routing;
use tidegate::config::HealthCheck;

use crate::load::{Load, statuses};
use crate::mortal::{Mortal, echo};
use crate::support::{Origin, ProxyUnderTest, wait_for};

const REQUESTS: usize = 1000;

/// One of four is there. By whatever policy, the other three get the failures that put them out and their trials, and all
/// requests are answered.
#[test]
fn backends_that_refuse_get_only_trials_while_one_answers() {
    for routing in Routing::ALL {
        let dead = [(); 3].map(|()| Mortal::unborn(echo(Duration::ZERO)));
        let alive = Mortal::start(echo(Duration::from_millis(1)));
        let backends = [dead[0].address, dead[1].address, alive.address, dead[2].address];
        let proxy = ProxyUnderTest::start(&backends, |config| {
            config.routing = routing;
            config.ejection = true;
        });
        let load = Load::start(proxy.address, 8, &["GET", "POST"], Duration::ZERO);
        load.more(REQUESTS);
        let told = statuses(&load.stop());
        let retries = proxy.stop().0.counters.retries;
        println!("{}: {told:?}, {retries} attempts on those that refuse", routing.name());
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), [200], "{}: {told:?}", routing.name());
        // Five failures each, from up to eight clients at once, and a trial of each a second.
        assert!(retries < 60, "{}: {retries} attempts on those that refuse", routing.name());
    }
}

/// Three of four fail their checks, and would fail requests: the one that passes gets them all.
#[test]
fn backends_that_fail_their_checks_get_nothing_while_one_passes() {
    for routing in Routing::ALL {
        let asked: [Arc<AtomicUsize>; 4] = Default::default();
        let origins = [0, 1, 2, 3].map(|index| {
            let asked = asked[index].clone();
            Origin::start(move |conn| {
                while let Some(request) = conn.request() {
                    let is_check = request.starts_with(b"GET /healthz");
                    asked.fetch_add(usize::from(!is_check), Ordering::SeqCst);
                    let status = if index == 2 { 200 } else { 500 };
                    conn.write(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
                }
            })
        });
        let proxy = ProxyUnderTest::start(&origins.each_ref().map(|origin| origin.address), |config| {
            config.routing = routing;
            config.ejection = true;
            config.health = Some(HealthCheck {
                path: "/healthz".to_owned(),
                interval: Duration::from_millis(20),
                timeout: Duration::from_secs(5),
                fall: 1,
                rise: 1,
                ..Default::default()
            });
        });
        let checks = |index: usize| origins[index].lines().len();
        wait_for("two checks each", || (0..4).all(|index| checks(index) >= 2));
        let load = Load::start(proxy.address, 4, &["GET", "POST"], Duration::ZERO);
        load.more(REQUESTS / 4);
        let told = statuses(&load.stop());
        let asked = asked.map(|count| count.load(Ordering::SeqCst));
        println!("{}: {told:?}, asked {asked:?}", routing.name());
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), [200], "{}: {told:?}", routing.name());
        assert_eq!([asked[0], asked[1], asked[3]], [0, 0, 0], "{}", routing.name());
    }
}

/// Three of four answer nothing but 500: those are used, for it is more likely that the judgement is wrong, and an answer
/// of one is better than a queue in front of the other.
#[test]
fn backends_that_answer_badly_are_used_when_too_many_are_out() {
    let origins = [500, 500, 200, 500].map(|status| {
        Origin::start(move |conn| {
            while conn.request().is_some() {
                conn.write(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
            }
        })
    });
    let proxy = ProxyUnderTest::start(&origins.each_ref().map(|origin| origin.address), |config| {
        config.routing = Routing::RoundRobin;
        config.ejection = true;
        config.ejector.time = Duration::from_secs(60);
        config.ejector.time_max = Duration::from_secs(60);
    });
    let load = Load::start(proxy.address, 1, &["GET"], Duration::ZERO);
    load.more(100);
    let before = origins.each_ref().map(|origin| origin.lines().len());
    load.more(40);
    let after = origins.each_ref().map(|origin| origin.lines().len());
    let more: Vec<usize> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    assert!(more.iter().all(|more| *more >= 9), "{more:?} of 40");
}
