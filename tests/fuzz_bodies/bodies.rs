//! What must hold for any bytes at all. Each body takes the bytes of one fuzz target.

#[allow(dead_code, unreachable_pub)] // the simulation's network; an exchange needs half of it
#[path = "../sim/net.rs"]
mod net;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tidegate::clock::Time;
use tidegate::config::{BackendConfig, ProxyConfig};
use tidegate::http1::chunked::{Piece, Scanner};
use tidegate::http1::request::RequestHead;
use tidegate::http1::response::ResponseHead;
use tidegate::http1::rewrite::{self, ForwardedFields, RequestContext, ResponseContext};
use tidegate::http1::{Framing, Limits, Method, Parsed, Sender};
use tidegate::proxy::{Inbox, Proxy, Setup, World};
use tidegate::reactor::Turned;

use net::{Dial, FakeNet, PeerRead, Wire};

const CONTEXT: RequestContext<'_> = RequestContext {
    client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    trusted: false,
    keep_alive: true,
    forwarded: ForwardedFields::All,
    x_real_ip: false,
    via: true,
    pseudonym: "tidegate",
    request_id: None,
};

thread_local! {
    /// Heads that have read all the bytes before: what they take over from them must not show.
    static USED: RefCell<(RequestHead, ResponseHead)> = RefCell::default();
}

/// A head that parses is forwarded as one that parses to the same meaning; one that is whole does not depend on what
/// follows; one that is refused stays so with more bytes.
pub(crate) fn request_head(bytes: &[u8]) {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let parsed = head.parse(bytes, &limits);
    USED.with_borrow_mut(|(used, _)| {
        assert_eq!(used.parse(bytes, &limits), parsed);
        if let Ok(Parsed::Complete(_)) = parsed {
            assert_eq!((used.facts(), used.authority()), (head.facts(), head.authority()));
        }
    });
    let Ok(Parsed::Complete(len)) = parsed else { return };
    let facts = head.facts();
    let mut out = Vec::new();
    rewrite::request(&head, bytes, &CONTEXT, &mut out);
    if head.lacks_host() {
        rewrite::put_host("default.example", &mut out);
    }
    let mut alone = RequestHead::default();
    assert_eq!(alone.parse(&bytes[..len], &limits), Ok(Parsed::Complete(len)));
    assert_eq!(alone.facts(), facts);
    assert_ne!(alone.parse(&bytes[..len - 1], &limits), Ok(Parsed::Complete(len - 1)));
    if out.len() > limits.request_head {
        return; // what we add can make it too long for ourselves
    }
    let mut again = RequestHead::default();
    let room = Limits { request_line: 65_535, request_head: 65_535, fields: 1000, ..limits };
    assert_eq!(
        again.parse(&out, &room),
        Ok(Parsed::Complete(out.len())),
        "{:?}",
        String::from_utf8_lossy(&out)
    );
    assert_eq!((again.facts().method, again.facts().framing), (facts.method, facts.framing));
}

/// The same for response heads, as answers to GET and HEAD.
pub(crate) fn response_head(bytes: &[u8]) {
    let limits = Limits::default();
    for method in [Method::Get, Method::Head] {
        let mut head = ResponseHead::default();
        let parsed = head.parse(bytes, method, &limits);
        USED.with_borrow_mut(|(_, used)| {
            assert_eq!(used.parse(bytes, method, &limits), parsed);
            if let Ok(Parsed::Complete(_)) = parsed {
                assert_eq!(used.facts(), head.facts());
            }
        });
        let Ok(Parsed::Complete(len)) = parsed else { continue };
        let facts = head.facts();
        let context = ResponseContext {
            client: facts.version,
            keep_alive: true,
            framing: facts.framing,
            via: true,
            pseudonym: "tidegate",
            date: b"Thu, 01 Jan 1970 00:00:00 GMT",
            upgrade: facts.status == 101,
        };
        let mut out = Vec::new();
        rewrite::response(&head, &bytes[..len], &context, &mut out);
        if out.len() > limits.response_head || facts.status == 101 {
            continue;
        }
        let mut again = ResponseHead::default();
        let room = Limits { fields: 1000, ..limits };
        assert_eq!(again.parse(&out, method, &room), Ok(Parsed::Complete(out.len())));
        assert_eq!(again.facts().status, facts.status);
        // A 205 says in so many words that it has no content.
        let says_empty = (facts.framing, again.facts().framing) == (Framing::Empty, Framing::Length(0));
        let same =
            again.facts().framing == facts.framing || facts.framing == Framing::UntilClose || says_empty;
        assert!(same, "{:?} became {:?}", facts.framing, again.facts().framing);
    }
}

/// A chunked body reads the same whole and byte by byte: the same data, the same end, the same refusal. Only a long line
/// that is not here whole may be refused later than its first bad byte.
pub(crate) fn chunks(bytes: &[u8]) {
    let both = |sender| {
        let (whole, mut bytewise) = (scan(bytes, bytes.len().max(1), sender), scan(bytes, 1, sender));
        let waits = whole.1.is_none() && !whole.2;
        bytewise.2 &= !waits;
        assert_eq!(whole, bytewise, "{sender:?}: {:?}", String::from_utf8_lossy(bytes));
        whole
    };
    let (strict, lenient) = (both(Sender::Client), both(Sender::Backend));
    // What is taken from a client is taken from a backend, and alike.
    assert!(strict == lenient || strict.2, "{:?}", String::from_utf8_lossy(bytes));
}

/// The data and where the body ended; whether it was refused.
fn scan(bytes: &[u8], step: usize, sender: Sender) -> (Vec<u8>, Option<usize>, bool) {
    let (mut scanner, mut data) = (Scanner::new(sender), Vec::new());
    let (mut start, mut end) = (0, step.min(bytes.len()));
    loop {
        match scanner.next(&bytes[start..end]) {
            Err(_) => return (data, None, true),
            Ok(Piece::Partial) if end == bytes.len() => return (data, None, false),
            Ok(Piece::Partial) => end = (end + step).min(bytes.len()),
            Ok(Piece::End(len)) => return (data, Some(start + len), false),
            Ok(Piece::Framing { len, .. } | Piece::Last(len)) => start += len,
            Ok(Piece::Data(len)) => {
                data.extend(&bytes[start..start + len]);
                start += len;
            }
        }
    }
}

/// A whole proxy between a client and an origin that say what the bytes say, a NUL and 0xff between the two: nothing
/// leaks, nothing hangs past its deadline, and the origin sees no head that does not parse.
pub(crate) fn exchange(bytes: &[u8]) {
    let cut = bytes.windows(2).position(|pair| pair == [0, 0xff]);
    let (request, response) = cut.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + 2..]));
    let seed = bytes.len() as u64;
    let backend = SocketAddr::from(([10, 0, 0, 1], 8081));
    let wire = Rc::new(RefCell::new(Wire::new(vec![backend], seed)));
    let network = FakeNet(wire.clone());
    let config =
        ProxyConfig { backends: vec![BackendConfig::at(backend)], log: None, ..ProxyConfig::default() };
    let setup = Setup {
        config: Arc::new(config),
        log: None,
        shadow_log: None,
        console: None,
        inbox: Inbox::default(),
        clients_max: 9,
        seed,
    };
    let mut proxy = Proxy::new(World::new(network.clone(), setup));
    let client = wire.borrow_mut().open(None, Dial::AtOnce);
    let mut now = Time::from_millis(1);
    proxy.accept(network.stream(client), backend, now);
    let (mut sent, mut answered, mut rounds) = (0, 0, 0);
    loop {
        rounds += 1;
        assert!(rounds < 10_000, "never ends");
        {
            let mut wire = wire.borrow_mut();
            sent += wire.peer_write(client, &request[sent..]);
            while let PeerRead::Bytes(_) = wire.peer_read(client, 10_000) {}
            for link in (0..wire.links.len()).filter(|link| *link != client) {
                while let PeerRead::Bytes(_) = wire.peer_read(link, 10_000) {}
                answered += wire.peer_write(link, &response[answered..]);
            }
        }
        let events = wire.borrow_mut().harvest(1);
        let quiet = events.is_empty();
        events.into_iter().for_each(|(token, ready)| proxy.mark(token, ready));
        while proxy.turn(now) != Turned::Idle {}
        proxy.sweep();
        match proxy.next_deadline() {
            _ if proxy.clients() == 0 => break,
            Some(next) if quiet => now = now.max(next),
            _ => {}
        }
    }
    let wire = wire.borrow();
    wire.links.iter().filter(|link| link.backend.is_some()).for_each(|link| check_sent(&link.log));
}

/// What an origin got begins with a head it can read.
fn check_sent(log: &[u8]) {
    let room = Limits { request_line: 65_535, request_head: 65_535, fields: 1000, ..Limits::default() };
    let parsed = RequestHead::default().parse(log, &room);
    assert!(parsed.is_ok(), "{parsed:?}: {:?}", String::from_utf8_lossy(log));
}
