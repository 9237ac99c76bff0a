//! Which connection may serve whom, as a table.

use std::time::Duration;

use super::super::persist::{Exchanged, HEAD_REST, HEAD_REST_FIRST, Keep, Known, Trust, Why, decide};
use super::super::response::ResponseHead;
use super::super::{Limits, Method, Parsed};

/// A GET that was answered well.
const GOOD: Exchanged = Exchanged {
    method: Method::Get,
    has_content: false,
    upgrade: false,
    login: false,
    status: 200,
    announces_content: false,
    says_close: false,
    persists: true,
    is_sent: true,
    is_undelivered: false,
    has_surplus: false,
};
const UNKNOWN: Known =
    Known { heads_are_clean: false, heads_have_content: false, caught: false, closes: false };
const POOL: Keep = Keep::Pool(Duration::ZERO);
const STRICT: Trust = Trust::Strict;
const LEARNED: Trust = Trust::Learned;
const ALWAYS: Trust = Trust::Always;

#[test]
fn each_doubt_has_its_verdict() {
    let head = Exchanged { method: Method::Head, announces_content: true, ..GOOD };
    let not_modified = Exchanged { status: 304, announces_content: true, ..GOOD };
    let post = Exchanged { method: Method::Post, has_content: true, ..GOOD };
    let get_with_content = Exchanged { has_content: true, ..GOOD };
    let upgrade = Exchanged { upgrade: true, ..GOOD };
    let clean = Known { heads_are_clean: true, ..UNKNOWN };
    let dirty = Known { heads_have_content: true, ..UNKNOWN };
    let caught = Known { caught: true, ..UNKNOWN };
    let closes = Known { closes: true, ..UNKNOWN };
    let reusable = (POOL, Why::Reusable);
    let close = |why: Why| (Keep::Close, why);
    let rests = |rest: Duration| (Keep::Pool(rest), Why::Reusable);
    for (name, exchanged, known, strict, learned, always) in [
        ("a plain GET", GOOD, UNKNOWN, reusable, reusable, reusable),
        ("HEAD, unknown", head, UNKNOWN, close(Why::HeadContent), rests(HEAD_REST_FIRST), reusable),
        ("HEAD, clean", head, clean, close(Why::HeadContent), rests(HEAD_REST), reusable),
        ("HEAD, caught", head, dirty, close(Why::HeadContent), close(Why::HeadContent), reusable),
        ("304", not_modified, UNKNOWN, close(Why::HeadContent), rests(HEAD_REST_FIRST), reusable),
        ("POST", post, UNKNOWN, close(Why::Content), reusable, reusable),
        ("POST, caught", post, caught, close(Why::Content), close(Why::Content), reusable),
        ("GET, caught", GOOD, caught, reusable, reusable, reusable),
        (
            "GET with content",
            get_with_content,
            UNKNOWN,
            close(Why::UndefinedContent),
            close(Why::UndefinedContent),
            reusable,
        ),
        ("upgrade", upgrade, UNKNOWN, close(Why::UpgradeDeclined), close(Why::UpgradeDeclined), reusable),
        ("a backend that closes", GOOD, closes, close(Why::ClosesUnsaid), close(Why::ClosesUnsaid), reusable),
    ] {
        assert_eq!(decide(STRICT, &exchanged, known), strict, "{name}, strict");
        assert_eq!(decide(LEARNED, &exchanged, known), learned, "{name}, learned");
        assert_eq!(decide(ALWAYS, &exchanged, known), always, "{name}, always");
    }
}

#[test]
fn what_http_ends_is_closed_however_much_is_trusted() {
    let clean = Known { heads_are_clean: true, ..UNKNOWN };
    for (exchanged, why) in [
        (Exchanged { says_close: true, login: true, ..GOOD }, Why::SaidClose),
        (Exchanged { persists: false, ..GOOD }, Why::EndsHere),
        (Exchanged { is_sent: false, ..GOOD }, Why::RequestCut),
        (Exchanged { has_surplus: true, ..GOOD }, Why::Surplus),
        (Exchanged { is_undelivered: true, ..GOOD }, Why::Undelivered),
    ] {
        for trust in [STRICT, LEARNED, ALWAYS] {
            assert_eq!(decide(trust, &exchanged, clean), (Keep::Close, why), "{trust:?}");
        }
    }
}

#[test]
fn a_login_keeps_its_connection_to_itself_however_much_is_trusted() {
    for trust in [STRICT, LEARNED, ALWAYS] {
        let login = Exchanged { login: true, status: 401, ..GOOD };
        assert_eq!(decide(trust, &login, UNKNOWN), (Keep::Client, Why::Login), "{trust:?}");
    }
    // What spoils it for others spoils it for its own client, too.
    for (doubtful, why) in [
        (Exchanged { login: true, status: 400, ..GOOD }, Why::Status),
        (Exchanged { login: true, has_content: true, ..GOOD }, Why::UndefinedContent),
        (Exchanged { login: true, method: Method::Head, announces_content: true, ..GOOD }, Why::HeadContent),
    ] {
        assert_eq!(decide(LEARNED, &doubtful, UNKNOWN), (Keep::Close, why));
        assert_eq!(decide(ALWAYS, &doubtful, UNKNOWN), (Keep::Client, Why::Login));
    }
}

#[test]
fn some_statuses_leave_a_connection_dead() {
    for status in 200..=599 {
        let is_doubtful = [400, 408, 413, 414, 431, 501, 505].contains(&status);
        let expected = if is_doubtful { (Keep::Close, Why::Status) } else { (POOL, Why::Reusable) };
        assert_eq!(decide(LEARNED, &Exchanged { status, ..GOOD }, UNKNOWN), expected, "{status}");
        assert_eq!(decide(ALWAYS, &Exchanged { status, ..GOOD }, UNKNOWN), (POOL, Why::Reusable), "{status}");
    }
}

#[test]
fn content_is_expected_of_three_methods_only() {
    use Method::*;
    for (method, expected) in [
        (Post, Why::Reusable),
        (Put, Why::Reusable),
        (Patch, Why::Reusable),
        (Get, Why::UndefinedContent),
        (Head, Why::UndefinedContent),
        (Delete, Why::UndefinedContent),
        (Options, Why::UndefinedContent),
        (Trace, Why::UndefinedContent),
        (Other, Why::UndefinedContent),
    ] {
        let exchanged = Exchanged { method, has_content: true, ..GOOD };
        assert_eq!(decide(LEARNED, &exchanged, UNKNOWN).1, expected, "{method:?}");
    }
}

#[test]
fn each_reason_has_its_number_and_its_name() {
    for (number, why) in Why::ALL.iter().enumerate() {
        assert_eq!(*why as usize, number);
        assert_eq!(Why::ALL.iter().filter(|other| other.name() == why.name()).count(), 1);
    }
}

/// The short cut says of an answer what the rule says, for the usual request.
#[test]
fn the_short_cut_agrees_with_the_rule() {
    let mut head = ResponseHead::default();
    let mut plain = 0;
    let fields = [
        "",
        "Content-Length: 0\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nConnection: close\r\n",
        "Content-Length: 5\r\nConnection: keep-alive\r\n",
        "Content-Length: 5\r\nKeep-Alive: timeout=0\r\n",
        "Content-Length: 5\r\nKeep-Alive: timeout=5\r\n",
        "Content-Length: 5\r\nWWW-Authenticate: NTLM\r\n",
        "Content-Length: 5\r\nWWW-Authenticate: Basic realm=\"a\", Negotiate\r\n",
        "Content-Length: 5\r\nProxy-Authenticate: Negotiate\r\n",
    ];
    let statuses = [200, 204, 205, 206, 301, 304, 400, 401, 404, 407, 408, 413, 414, 426, 431, 500, 501, 505];
    for (version, status, fields) in ["1.0", "1.1"]
        .iter()
        .flat_map(|version| statuses.iter().map(move |status| (version, status)))
        .flat_map(|(version, status)| fields.iter().map(move |fields| (version, status, fields)))
    {
        for method in [Method::Get, Method::Head, Method::Post] {
            let bytes = format!("HTTP/{version} {status} X\r\n{fields}\r\n");
            let Ok(Parsed::Complete(_)) = head.parse(bytes.as_bytes(), method, &Limits::MOST) else {
                continue;
            };
            let facts = head.facts();
            let exchanged = Exchanged {
                method,
                login: facts.offers_login,
                status: *status,
                announces_content: facts.announces_content,
                says_close: facts.says_close || facts.keep_alive_timeout == Some(0),
                persists: facts.keep_alive,
                ..GOOD
            };
            let (keep, _) = decide(LEARNED, &exchanged, UNKNOWN);
            // What announces a time goes the long way, so that the time is noted.
            let expected = keep == POOL && facts.keep_alive_timeout.is_none();
            assert_eq!(facts.keeps_plainly, expected, "{method:?}: {bytes}");
            plain += u32::from(expected);
        }
    }
    assert!(plain > 100, "{plain}");
}
