//! Who may ask for what: Host, Origin, token, address.

use std::net::SocketAddr;

use tidegate::config::ProxyConfig;

use crate::support::wait_for;
use crate::{Stage, ask, field, get};

pub(crate) const TOKEN: &str = "correct-horse-battery-staple";

/// Gives the proxy a token, in a file that lasts as long as the process.
pub(crate) fn with_token(config: &mut ProxyConfig) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, format!("{TOKEN}\n").as_bytes()).unwrap();
    config.admin_token_file = Some(file.into_temp_path().keep().unwrap());
}

#[test]
fn only_by_its_own_names_and_only_for_its_own_pages() {
    let stage = Stage::start(1, |config| config.admin_hosts = vec!["admin.example".to_owned()]);
    let port = stage.admin.port();
    for (fields, status) in [
        (format!("Host: 127.0.0.1:{port}"), 200),
        (format!("Host: localhost:{port}"), 200),
        (format!("Host: [::1]:{port}"), 200),
        ("Host: ADMIN.example".to_owned(), 200),
        (format!("Host: evil.example:{port}"), 421),
        ("Host: 10.1.2.3".to_owned(), 421),
        (format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}"), 200),
        (format!("Host: localhost:{port}\r\nOrigin: http://localhost:1"), 403),
        (format!("Host: localhost:{port}\r\nOrigin: http://evil.example"), 403),
        (format!("Host: localhost:{port}\r\nOrigin: null"), 403),
        // An image or a script on a page from elsewhere has no Origin; a link followed is welcome.
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image".to_owned(), 403),
        ("Host: localhost\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Dest: script".to_owned(), 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: document".to_owned(), 200),
        ("Host: localhost\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: empty".to_owned(), 200),
    ] {
        for path in ["/", "/api/stats", "/metrics", "/livez"] {
            let answer = ask(stage.admin, &format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
            assert_eq!(answer.status, status, "{fields} {path}");
        }
    }
}

#[test]
fn a_target_with_a_host_of_its_own_is_no_way_in() {
    let stage = Stage::start(1, |_| ());
    for (target, host, status) in [
        ("http://evil.example/api/stats", "localhost", 421),
        ("http://localhost/api/stats", "evil.example", 200),
        ("/api/stats", "evil.example@localhost", 400),
    ] {
        let answer = ask(stage.admin, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, status, "{target} {host}");
    }
    for fields in ["", "Host: localhost\r\nHost: localhost\r\n", "Host:\r\n"] {
        let answer = ask(stage.admin, &format!("GET /api/stats HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(answer.status, 400, "{fields}");
    }
}

#[test]
fn nothing_can_be_changed_without_a_token_file() {
    let stage = Stage::start(1, |_| ());
    let answer = order(stage.admin, "drain", "{}", "");
    assert_eq!(answer.0, 403);
    assert!(answer.1.contains("--admin-token-file"), "{}", answer.1);
    assert_eq!(stage.json("/api/stats")["control"], false);
}

#[test]
fn orders_want_the_token_and_nothing_but_the_token() {
    let stage = Stage::start(1, with_token);
    assert_eq!(stage.json("/api/stats")["control"], true);
    for (offered, why) in [
        ("", "{\"error\":\"wants the token\"}"),
        ("Authorization: Bearer wrong-token-of-some-length", "{\"error\":\"wrong token\"}"),
        ("Authorization: Basic Zm9vOmJhcg==", "{\"error\":\"wants the token\"}"),
    ] {
        let fields = if offered.is_empty() { String::new() } else { format!("{offered}\r\n") };
        let answer = post(stage.admin, "routing", "{\"routing\":\"p2c\"}", &fields);
        assert_eq!(answer.status, 401, "{offered}");
        assert_eq!(String::from_utf8_lossy(&answer.body), why, "{offered}");
        assert!(field(&answer, "www-authenticate").unwrap().starts_with("Bearer"));
    }
    assert_eq!(order(stage.admin, "routing", "{\"routing\":\"p2c\"}", TOKEN).0, 200);
    let foreign = format!("Authorization: Bearer {TOKEN}\r\nOrigin: http://evil.example\r\n");
    assert_eq!(post(stage.admin, "routing", "{\"routing\":\"p2c\"}", &foreign).status, 403);
    let get = get(stage.admin, "/api/control/routing", "");
    assert_eq!((get.status, field(&get, "allow").as_deref()), (405, Some("POST")));
    wait_for("guesses to be bounded", || {
        order(stage.admin, "routing", "{\"routing\":\"p2c\"}", "guess-guess-guess-guess").0 == 429
    });
    assert_eq!(order(stage.admin, "routing", "{\"routing\":\"p2c\"}", TOKEN).0, 200, "and lock nobody out");
    wait_for("orders to be bounded, too", || {
        order(stage.admin, "routing", "{\"routing\":\"p2c\"}", TOKEN).0 == 429
    });
}

#[test]
fn on_an_open_address_reading_wants_the_token_too() {
    let stage = Stage::start(1, |config| {
        config.admin = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
        with_token(config);
    });
    let admin = SocketAddr::from(([127, 0, 0, 1], stage.admin.port()));
    for path in ["/api/stats", "/api/events", "/api/history", "/metrics"] {
        assert_eq!(get(admin, path, "").status, 401, "{path}");
    }
    for path in ["/", "/main.js", "/livez", "/readyz"] {
        assert_eq!(get(admin, path, "").status, 200, "{path}");
    }
    let guess = "Authorization: Bearer guess-guess-guess-guess\r\n";
    wait_for("guesses to be bounded", || get(admin, "/api/stats", guess).status == 429);
    assert_eq!(get(admin, "/api/stats", "").status, 401, "no guess at all");
    let authorized = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(get(admin, "/api/stats", &authorized).status, 200);
}

#[test]
fn a_token_that_is_none_is_refused_at_start() {
    for (text, why) in
        [("short", "at least 16"), ("", "at least 16"), ("two words of some length", "at least 16")]
    {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = ProxyConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            admin_token_file: Some(file.path().to_owned()),
            log: None,
            ..ProxyConfig::default()
        };
        let failure = tidegate::run::start_proxy(config, || {}).unwrap_err().to_string();
        assert!(failure.starts_with("--admin-token-file") && failure.contains(why), "{failure}");
    }
}

/// Status and content of an order.
pub(crate) fn order(admin: SocketAddr, verb: &str, body: &str, token: &str) -> (u16, String) {
    let fields = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let answer = post(admin, verb, body, &fields);
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

fn post(admin: SocketAddr, verb: &str, body: &str, fields: &str) -> crate::support::message::Response {
    let length = body.len();
    ask(
        admin,
        &format!(
            "POST /api/control/{verb} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}
