//! The stream of seconds: who listens, who does not keep up, and that the proxy does not mind.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::pace::undisturbed;
use crate::support::{Client, wait_for};
use crate::{Stage, field};

fn listen(stage: &Stage) -> Client {
    let mut client = Client::connect(stage.admin);
    client.send("GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client
}

/// The data of the messages called `name` received so far.
fn messages(client: &Client, name: &str) -> Vec<Value> {
    let text = String::from_utf8_lossy(&client.seen).into_owned();
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let named = format!("event: {name}\n");
    whole
        .split("\n\n")
        .filter(|message| message.contains(&named))
        .filter_map(|message| message.lines().find_map(|line| line.strip_prefix("data: ")))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[test]
fn a_greeting_and_then_a_message_a_second() {
    let stage = Stage::start(2, |_| ());
    let mut client = listen(&stage);
    stage.load(10);
    let mut seen = (0, 0);
    let enough = client.read_until(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        seen = (text.matches("event: hello\n").count(), text.matches("event: second\n").count());
        seen.0 >= 1 && seen.1 >= 3 && text.ends_with("\n\n")
    });
    assert!(enough, "{seen:?}");
    let head = crate::support::message::head_len(&client.seen).unwrap();
    let text = String::from_utf8_lossy(&client.seen[..head]).into_owned();
    assert!(text.contains("text/event-stream") && text.contains("Connection: close"), "{text}");
    let hello = &messages(&client, "hello")[0];
    assert!(hello["seq"].is_number() && hello["stats"]["backends"].is_array());
    let news = messages(&client, "second");
    let told: u64 = news.iter().map(|news| news["second"]["requests"].as_u64().unwrap()).sum();
    assert_eq!(told, 10);
    let rows: usize = news.iter().map(|news| news["requests"].as_array().unwrap().len()).sum();
    assert_eq!(rows, 10);
    assert!(news[0]["second"]["urls"].is_array(), "the first one names its backends");
    let seqs: Vec<u64> = news.iter().map(|news| news["second"]["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
}

#[test]
fn one_too_many_is_told_when_to_come_back() {
    let stage = Stage::start(1, |_| ());
    let mut clients: Vec<Client> = (0..128).map(|_| listen(&stage)).collect();
    for client in &mut clients {
        assert!(client.read_until(|seen| seen.windows(12).any(|piece| piece == b"event: hello")));
    }
    let mut refused = listen(&stage);
    let answer = refused.response();
    assert_eq!((answer.status, field(&answer, "retry-after").as_deref()), (503, Some("5")));
    clients.truncate(100);
    wait_for("room", || {
        let mut client = listen(&stage);
        client.read_until(|seen| seen.len() > 12);
        client.seen.starts_with(b"HTTP/1.1 200")
    });
}

#[test]
fn a_hundred_listeners_and_a_hung_one_do_not_hold_the_proxy_up() {
    undisturbed(Duration::from_millis(300), || {
        let stage = Stage::start(2, |_| ());
        let mut listeners: Vec<Client> = (0..100).map(|_| listen(&stage)).collect();
        // It asks for more than the kernel will take, and never reads.
        let hung = Client::connect(stage.admin);
        let mut sender = hung.stream.try_clone().unwrap();
        sender.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let asks = "GET /api/history HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200);
        for _ in 0..50 {
            if std::io::Write::write_all(&mut sender, asks.as_bytes()).is_err() {
                break;
            }
        }
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut client = stage.proxy.client();
        while begun.elapsed() < Duration::from_secs(2) {
            let sent = Instant::now();
            assert_eq!(client.get("/").status, 200);
            slowest = slowest.max(sent.elapsed());
        }
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        for listener in &mut listeners {
            assert!(listener.read_until(|seen| seen.windows(13).any(|piece| piece == b"event: second")));
        }
        assert_eq!(stage.json("/api/stats")["requests"].as_u64().map(|count| count > 0), Some(true));
        drop(hung);
    });
}
