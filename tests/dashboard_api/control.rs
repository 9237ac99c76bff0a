//! Every order, and what it does.

use tidegate::balance::Routing;

use crate::guard::{TOKEN, order, with_token};
use crate::support::{Client, wait_for};
use crate::{Stage, ask};

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
    assert_eq!(stage.order("routing", "{\"routing\":\"best\"}").0, 400);
    let (_, rows) = stage.proxy.stop();
    let modes: Vec<String> = rows.iter().map(|row| row.get("routing_mode")).collect();
    assert_eq!((modes[0].as_str(), modes[7].as_str()), ("round-robin", "adaptive_sma"));
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
