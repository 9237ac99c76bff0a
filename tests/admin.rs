//! The admin address over real sockets.
#![allow(clippy::unwrap_used)] // a test that fails says where

#[path = "support/pace.rs"]
mod pace;
#[path = "support/client.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use pace::undisturbed;
use serde_json::Value;
use support::{Answer, Client};
use tidegate::clock::{Time, Wall};
use tidegate::dashboard::{self, Board, View};
use tidegate::record::stats::{Snapshot, Stats};

fn figures(clients: u64) -> Snapshot {
    let mut stats = Stats::new(Time::ZERO, &["http://127.0.0.1:8081".to_owned()]);
    stats.counters.clients_accepted = clients;
    stats.snapshot(Wall { at: Time::from_millis(1_500), unix_ms: 1_000_000 }, "round-robin", Vec::new(), true)
}

fn assert_guarded(answer: &Answer) {
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
}

#[test]
fn the_admin_address_tells_state_and_figures() {
    let board = Arc::new(Board::new(figures(1)));
    let admin = dashboard::start(SocketAddr::from(([127, 0, 0, 1], 0)), View::of(board.clone())).unwrap();
    let mut client = Client::connect(admin.address);
    for (path, status, text) in
        [("/livez", 200, "ok\n"), ("/readyz", 200, "ready\n"), ("/nowhere", 404, "not found\n")]
    {
        let answer = client.get(path);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{path}");
        assert_guarded(&answer);
    }
    assert!(client.get("/").text().contains("<title>tidegate"));

    let answer = client.get("/api/stats?now");
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_guarded(&answer);
    let stats: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&stats["clients_accepted"], &stats["routing"]), (&1.into(), &"round-robin".into()));
    assert_eq!(stats["backends"][0]["url"], "http://127.0.0.1:8081");

    board.publish(figures(2));
    board.set_ready(false);
    let stats: Value = serde_json::from_slice(&client.get("/api/stats").body).unwrap();
    assert_eq!(stats["clients_accepted"], 2);
    let answer = client.get("/readyz");
    assert_eq!((answer.status, answer.text().as_str()), (503, "draining\n"));
    assert_eq!(client.get("/livez").status, 200);
    admin.stop().unwrap();
}

#[test]
fn the_admin_address_takes_get_and_head_only() {
    let admin =
        dashboard::start(SocketAddr::from(([127, 0, 0, 1], 0)), View::of(Arc::new(Board::new(figures(0)))))
            .unwrap();
    let mut client = Client::connect(admin.address);
    for path in ["/", "/livez", "/readyz", "/api/stats"] {
        client.send(&format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{{}}"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD")), "{path}");
        assert_guarded(&answer);
        client.send(&format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let answer = client.answer_to_head();
        assert_eq!(answer.status, 200);
        assert_ne!(answer.field("content-length"), Some("0"));
    }
    assert_eq!(client.get("/api/history?since=18446744073709551615").status, 200);
    client.send("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    assert!(client.is_at_end());
    admin.stop().unwrap();
}

#[test]
fn seconds_nobody_looked_at_are_there_when_somebody_does() {
    undisturbed(std::time::Duration::from_millis(300), || {
        let board = Arc::new(Board::new(figures(1)));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let admin = dashboard::start(address, View::of(board.clone())).unwrap();
        let mut client = Client::connect(admin.address);
        assert_eq!(client.get("/livez").status, 200);
        let seconds = |client: &mut Client| {
            let history: Value = serde_json::from_slice(&client.get("/api/history").body).unwrap();
            history["seconds"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["t"].as_u64().unwrap())
                .collect::<Vec<_>>()
        };
        std::thread::sleep(std::time::Duration::from_millis(3_600));
        let found = seconds(&mut client);
        assert!((2..=4).contains(&found.len()), "{found:?}");
        assert!(found.windows(2).all(|pair| pair[1] == pair[0] + 1000), "{found:?}");
        board.publish(figures(2));
        assert_eq!(seconds(&mut client).len(), found.len() + 1, "what is published is a second at once");
        admin.stop().unwrap();
    });
}
