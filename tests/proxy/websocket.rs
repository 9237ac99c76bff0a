//! A WebSocket library at both ends.

use std::net::TcpStream;

use tungstenite::{Message, WebSocket};

use super::support::{Origin, Patient, ProxyUnderTest};

/// Sends back every message until the client closes.
fn echo_server() -> Origin {
    Origin::start(|conn| {
        let mut socket = tungstenite::accept(Patient::new(conn.stream.try_clone().unwrap())).unwrap();
        while let Ok(message) = socket.read() {
            if message.is_text() || message.is_binary() {
                socket.send(message).unwrap();
            }
        }
    })
}

fn connect(proxy: &ProxyUnderTest) -> WebSocket<Patient> {
    let stream = TcpStream::connect(proxy.address).unwrap();
    let url = format!("ws://{}/chat", proxy.address);
    let (socket, response) = tungstenite::client(url, Patient::new(stream)).unwrap();
    assert_eq!(response.status(), 101);
    socket
}

#[test]
fn messages_of_every_kind_go_there_and_back() {
    let origin = echo_server();
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let mut socket = connect(&proxy);
    let large: Vec<u8> = (0..1024 * 1024u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for message in [
        Message::text("hello"),
        Message::text(""),
        Message::text("gr\u{fc}\u{df}e"),
        Message::binary(vec![0, 255, 13, 10]),
        Message::binary(large),
        Message::text("x".repeat(70_000)),
    ] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping(b"are you there"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"are you there"[..].into()));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    let rows = proxy.stop().1;
    assert_eq!(
        (rows.len(), rows[0].get("status_code"), rows[0].get("reason")),
        (1, "101".into(), "ok".into())
    );
}

#[test]
fn many_messages_in_both_directions_at_once() {
    let origin = echo_server();
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    std::thread::scope(|scope| {
        for id in 0..8 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut socket = connect(proxy);
                for n in 0..100 {
                    socket.write(Message::text(format!("{id} {n}"))).unwrap();
                }
                socket.flush().unwrap();
                for n in 0..100 {
                    assert_eq!(socket.read().unwrap(), Message::text(format!("{id} {n}")));
                }
            });
        }
    });
}

#[test]
fn the_server_may_speak_first_and_close_first() {
    let origin = Origin::start(|conn| {
        let mut socket = tungstenite::accept(Patient::new(conn.stream.try_clone().unwrap())).unwrap();
        socket.send(Message::text("welcome")).unwrap();
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    });
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut socket = connect(&proxy);
    assert_eq!(socket.read().unwrap(), Message::text("welcome"));
    assert!(socket.read().unwrap().is_close());
    while socket.read().is_ok() {}
}
