//! Every order, and what it does.

use std::net::SocketAddr;

use tidegate::balance::Routing;
use tidegate::config::{BackendConfig, EmulatorConfig, ProxyConfig};
use tidegate::{emulator, run};

use crate::guard::{TOKEN, order, with_token};
use crate::support::{Client, wait_for};
use crate::{Stage, ask, json};

impl Stage {
    fn order(&self, verb: &str, body: &str) -> (u16, String) {
        order(self.admin, verb, body, TOKEN)
    }

    /// An order that must be taken, and whose event must come.
    fn ordered(&self, verb: &str, body: &str, told: &str) {
        let (status, text) = self.order(verb, body);
        assert_eq!(status, 200, "{verb} {body}: {text}");
        assert!(text.starts_with("{\"done\":"), "{text}");
        wait_for(told, || self.json("/api/log").to_string().contains(told));
    }

    fn state(&self, backend: usize) -> String {
        self.json("/api/stats")["backends"][backend]["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_drained_backend_gets_nothing_new_and_finishes_what_it_has() {
    let stage = Stage::start(2, with_token);
    stage.load(10);
    assert_eq!(stage.reached(), [5, 5]);
    let body = format!("{{\"backend\":\"{}\"}}", stage.url(0));
    stage.ordered("drain", &body, "drained: it gets no new requests");
    stage.load(10);
    assert_eq!(stage.reached(), [5, 15]);
    wait_for("its state", || stage.state(0) == "draining");
    wait_for("its connections", || stage.json("/api/stats")["backends"][0]["open"] == 0);
    let last = format!("{{\"backend\":\"{}\"}}", stage.url(1));
    assert_eq!(stage.order("drain", &last).0, 409, "the last one");
    stage.ordered("enable", &body, "gets requests again");
    stage.load(10);
    assert_eq!(stage.reached(), [10, 20]);
    wait_for("its state", || stage.state(0) == "up");
}

#[test]
fn routing_switches_and_rows_say_so() {
    let stage = Stage::start(2, with_token);
    stage.load(4);
    stage.ordered("routing", "{\"routing\":\"adaptive_sma\"}", "switched to adaptive_sma");
    stage.load(4);
    wait_for("the routing", || stage.json("/api/stats")["routing"] == "adaptive_sma");
    let (status, why) = stage.order("routing", "{\"routing\":\"best\"}");
    assert_eq!(status, 400);
    assert!(why.contains("elastic:tail") && why.contains("least-time:sma"), "{why}");
    let (_, rows) = stage.proxy.stop();
    let modes: Vec<String> = rows.iter().map(|row| row.get("routing_mode")).collect();
    assert_eq!((modes[0].as_str(), modes[7].as_str()), ("round-robin", "adaptive_sma"));
}

#[test]
fn a_policy_is_ordered_by_the_name_it_is_shown_under() {
    let stage = Stage::start(2, with_token);
    for name in ["elastic:tail", "elastic", "least-time:sma", "adaptive_ewma"] {
        stage.ordered("routing", &format!("{{\"routing\":\"{name}\"}}"), &format!("switched to {name}"));
        stage.load(4);
        wait_for("the routing", || stage.json("/api/stats")["routing"] == name);
    }
    let (_, rows) = stage.proxy.stop();
    let modes: Vec<String> = rows.iter().step_by(4).map(|row| row.get("routing_mode")).collect();
    assert_eq!(modes, ["elastic:tail", "elastic", "least-time:sma", "adaptive_ewma"]);
}

#[test]
fn two_orders_at_once_do_not_drain_both() {
    let stage = Stage::start(2, with_token);
    let drain = |backend: usize| stage.order("drain", &format!("{{\"backend\":\"{}\"}}", stage.url(backend)));
    assert_eq!(drain(0).0, 200);
    assert_eq!(drain(1).0, 409, "though the figures are a moment old");
    stage.load(10);
    assert_eq!(stage.reached(), [0, 10]);
    wait_for("the states", || stage.state(0) == "draining" && stage.state(1) == "up");
}

#[test]
fn weights_move_requests() {
    let stage = Stage::start(2, |config| {
        config.routing = Routing::Random;
        with_token(config);
    });
    let body = format!("{{\"backend\":\"{}\",\"weight\":1000}}", stage.url(1));
    stage.ordered("weight", &body, "weight 1000");
    stage.load(100);
    assert!(stage.reached()[1] > 90, "{:?}", stage.reached());
    wait_for("the weight", || stage.json("/api/stats")["backends"][1]["weight"] == 1000.0);
}

#[test]
fn what_is_no_order_is_told_why() {
    let stage = Stage::start(1, with_token);
    let url = stage.url(0);
    for (verb, body, status) in [
        ("drain", "{".to_owned(), 400),
        ("drain", "{}".to_owned(), 400),
        ("drain", "{\"backend\":\"http://nowhere\"}".to_owned(), 404),
        ("weight", format!("{{\"backend\":\"{url}\"}}"), 400),
        ("weight", format!("{{\"backend\":\"{url}\",\"weight\":0}}"), 400),
        ("weight", format!("{{\"backend\":\"{url}\",\"weight\":1e-300}}"), 400),
        ("weight", format!("{{\"backend\":\"{url}\",\"weight\":1e999}}"), 400),
        ("delay", format!("{{\"backend\":\"{url}\",\"delay_ms\":5}}"), 409),
        ("delay", format!("{{\"backend\":\"{url}\",\"delay_ms\":99999999}}"), 400),
        ("explode", "{}".to_owned(), 404),
    ] {
        let (found, text) = stage.order(verb, &body);
        assert_eq!(found, status, "{verb} {body}: {text}");
        assert!(text.starts_with("{\"error\":"), "{text}");
    }
    let long = format!(
        "POST /api/control/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{}",
        "x".repeat(5000)
    );
    assert_eq!(ask(stage.admin, &long).status, 413);
}

#[test]
fn orders_may_come_in_chunks_and_after_a_100() {
    let stage = Stage::start(1, with_token);
    let mut client = Client::connect(stage.admin);
    client.send(format!(
        "POST /api/control/routing HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    assert_eq!(client.response().status, 100);
    client.send("b\r\n{\"routing\":\r\n6\r\n\"p2c\"}\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(client.get("/livez").status, 421, "the connection goes on, and h is not its name");
}

#[test]
fn a_demo_backend_is_delayed_and_a_reload_undoes_what_was_ordered() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let emulators: Vec<_> = ["A", "B"]
        .map(|id| {
            let config = EmulatorConfig {
                latency: Some("constant:0ms".parse().unwrap()),
                ..EmulatorConfig::original(id, loopback)
            };
            emulator::start_delayed(&config).unwrap()
        })
        .into();
    let urls: Vec<String> = emulators.iter().map(|(one, _)| format!("http://{}", one.address)).collect();
    let mut config = ProxyConfig {
        listen: loopback,
        admin: Some(loopback),
        backends: emulators.iter().map(|(one, _)| BackendConfig::at(one.address)).collect(),
        routing: Routing::RoundRobin,
        log: None,
        ..ProxyConfig::default()
    };
    with_token(&mut config);
    let delays = urls.iter().cloned().zip(emulators.iter().map(|(_, delay)| delay.clone())).collect();
    let proxy = run::start_demo_proxy(config.clone(), Some(delays), || {}).unwrap();
    let admin = proxy.admin.as_ref().unwrap().address;
    assert_eq!(json(admin, "/api/stats")["demo"], true);
    let ordered = |verb: &str, body: String| assert_eq!(order(admin, verb, &body, TOKEN).0, 200, "{body}");
    ordered("delay", format!("{{\"backend\":\"{}\",\"delay_ms\":50}}", urls[0]));
    let mut client = Client::connect(proxy.address);
    let texts: Vec<String> = (0..2).map(|_| String::from_utf8(client.get("/").body).unwrap()).collect();
    assert!(texts.iter().any(|text| text.contains("A \u{2013} simulated 50ms")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("B \u{2013} simulated 0ms")), "{texts:?}");

    ordered("drain", format!("{{\"backend\":\"{}\"}}", urls[0]));
    ordered("weight", format!("{{\"backend\":\"{}\",\"weight\":7}}", urls[1]));
    ordered("routing", "{\"routing\":\"p2c\"}".to_owned());
    let is = |routing: &str, state: &str, weight: f64| {
        let stats = json(admin, "/api/stats");
        stats["routing"] == routing
            && stats["backends"][0]["state"] == state
            && stats["backends"][1]["weight"] == weight
    };
    wait_for("the orders", || is("p2c", "draining", 7.0));
    proxy.reload(config);
    wait_for("the reload", || is("round-robin", "up", 1.0));
    proxy.stop().unwrap();
    emulators.into_iter().for_each(|(one, _)| one.stop().unwrap());
}
