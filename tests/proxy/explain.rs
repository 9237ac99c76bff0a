//! Why a request went where it went: the field, the log, the admin address; shadows beside the policy in force.

use super::support::port::Reserved;
use super::support::{Origin, ProxyUnderTest, wait_for};
use std::net::SocketAddr;
use std::time::Duration;
use tidegate::balance::{Options, Routing, Variant};
use tidegate::config::{BackendConfig, ProxyConfig};

const ASKS: &str = "GET /why HTTP/1.1\r\nHost: h\r\nX-Tidegate-Explain: 1\r\n\r\n";

fn explains(config: &mut ProxyConfig) {
    config.routing = Routing::LeastConnections;
    config.explain = true;
}

fn trusts_loopback(config: &mut ProxyConfig) {
    explains(config);
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

/// Answers every request, with an explanation of its own making.
fn pretender() -> Origin {
    Origin::start(|conn| {
        while conn.request().is_some() {
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Tidegate-Explain: policy=mine\r\n\r\nok");
        }
    })
}

fn explanations(client: &mut super::support::Client) -> Vec<String> {
    client.read_until(|seen| seen.ends_with(b"\r\n\r\nok"));
    let text = String::from_utf8(std::mem::take(&mut client.seen)).unwrap();
    let named = |line: &&str| line.to_ascii_lowercase().starts_with("x-tidegate-explain:");
    text.lines().filter(named).map(|line| line[19..].trim().to_owned()).collect()
}

#[test]
fn a_trusted_peer_that_asks_is_told_and_only_by_us() {
    let (first, second) = (pretender(), pretender());
    let proxy = ProxyUnderTest::start(&[first.address, second.address], trusts_loopback);
    let mut client = proxy.client();
    for attempt in 0..4 {
        let told = explanations(client.send(ASKS));
        assert_eq!(told.len(), 1, "{told:?}");
        let origin = if attempt % 2 == 0 { &first } else { &second };
        let begin = format!("policy=least-connections reason=best backend={} attempt=1; ", origin.address);
        assert!(told[0].starts_with(&begin), "{begin} {told:?}");
        assert!(told[0].contains(&format!("candidate={} n=0 score=0.0", first.address)), "{told:?}");
        assert!(told[0].bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{told:?}");
    }
    for unasked in ["0", "", "1, 1", "yes"] {
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Tidegate-Explain: {unasked}\r\n\r\n");
        assert!(explanations(client.send(request)).is_empty(), "{unasked}");
    }
    assert!(explanations(client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")).is_empty());
    for origin in [first, second] {
        for arrival in origin.seen() {
            let head = String::from_utf8_lossy(&arrival.bytes).to_ascii_lowercase();
            assert!(!head.contains("tidegate-explain"), "it is for us alone: {head}");
        }
    }
}

#[test]
fn nobody_else_is_told() {
    let changes: [fn(&mut ProxyConfig); 3] = [
        explains, // loopback is not trusted by being loopback
        |config| {
            explains(config);
            config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        },
        |config| {
            trusts_loopback(config);
            config.explain = false;
        },
    ];
    for change in changes {
        let origin = pretender();
        let proxy = ProxyUnderTest::start(&[origin.address], change);
        assert!(explanations(proxy.client().send(ASKS)).is_empty());
        let head = String::from_utf8_lossy(&origin.seen()[0].bytes).to_ascii_lowercase();
        assert!(!head.contains("tidegate-explain"), "{head}");
    }
}

#[test]
fn a_retry_says_so_in_field_log_and_ring() {
    let nowhere = Reserved::new();
    let (dead, well) = (
        nowhere.address,
        Origin::start(|conn| {
            while conn.request().is_some() {
                conn.answer("ok");
            }
        }),
    );
    let proxy = ProxyUnderTest::logged(&[dead, well.address], trusts_loopback);
    let mut client = proxy.client();
    let told = explanations(client.send(ASKS));
    let begin = format!("policy=least-connections reason=fallback backend={} attempt=2; ", well.address);
    assert!(told[0].starts_with(&begin) && told[0].contains("tried=1"), "{told:?}");
    assert_eq!(explanations(client.send("GET /quiet HTTP/1.1\r\nHost: h\r\n\r\n")), Vec::<String>::new());
    wait_for("the decisions", || proxy.board().decisions().len() == 3);
    wait_for("their ends", || proxy.board().decisions().iter().all(|one| one.outcome.is_some()));
    let json = serde_json::to_value(proxy.board().decisions()).unwrap();
    let [quiet, second, first] = &json.as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(
        (&first["reason"], &first["attempt"], &first["backend"]),
        (&"best".into(), &1.into(), &0.into())
    );
    assert_eq!(
        (&first["outcome"]["status"], &first["outcome"]["reason"]),
        (&0.into(), &"connect_failed".into())
    );
    assert_eq!(
        (&second["reason"], &second["attempt"], &second["backend"]),
        (&"fallback".into(), &2.into(), &1.into())
    );
    assert_eq!((&second["outcome"]["status"], &second["outcome"]["reason"]), (&200.into(), &"ok".into()));
    assert!(second["outcome"]["latency_ms"].is_number() && second["gamma"].is_null());
    assert_eq!(
        (&second["candidates"][0]["tried"], &second["candidates"][0]["up"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&second["path"], &second["method"], &second["candidates_cut"]),
        (&"/why".into(), &"GET".into(), &0.into())
    );
    assert!(second["sentence"].as_str().unwrap().starts_with("Attempt 2 went to 127.0.0.1:"), "{second}");
    assert!(second["t"].as_u64().unwrap() > 1_600_000_000_000);
    assert_eq!(quiet["seq"], 3);
    drop(client);
    let (figures, rows) = proxy.stop();
    assert!(figures.explain && figures.sentence.is_some());
    let port = |address: SocketAddr| address.port();
    let expected = format!(
        "ok; least-connections fallback {}=tried {}=0.0 n=0 attempt=2; connection reusable",
        port(dead),
        port(well.address)
    );
    assert_eq!(rows[0].get("reason"), expected);
    assert!(rows[1].get("reason").starts_with("ok; least-connections "), "{}", rows[1].get("reason"));
}

#[test]
fn our_own_answers_are_explained_too() {
    let nowhere = [Reserved::new(), Reserved::new()];
    let proxy = ProxyUnderTest::start(&nowhere.each_ref().map(|one| one.address), |config| {
        trusts_loopback(config);
        config.timeouts.connect = Duration::from_millis(1); // less than a pause: no second round
    });
    let answer = proxy.client().send(ASKS).response();
    assert_eq!(answer.status, 502);
    let told = answer.field("X-Tidegate-Explain").unwrap();
    assert!(told.contains("attempt=2") && told.contains("tried=1"), "{told}");
}

#[test]
fn without_explain_the_log_is_as_ever_and_a_sentence_is_there_all_the_same() {
    let origin = Origin::echo_path();
    let proxy = ProxyUnderTest::logged(&[origin.address], |config| config.routing = Routing::Elastic);
    let mut client = proxy.client();
    (0..5).for_each(|_| assert_eq!(client.get("/").status, 200));
    drop(client);
    assert!(proxy.board().decisions().is_empty());
    let (figures, rows) = proxy.stop();
    assert!(rows.iter().all(|row| row.get("reason") == "ok" && row.get("routing_mode") == "elastic"));
    assert!(!figures.explain && figures.shadow.is_empty());
    let sentence = figures.sentence.unwrap();
    assert_eq!(sentence, format!("Only {} could be chosen: score 1.0; 0 in flight.", origin.address));
}

#[test]
fn shadows_watch_and_a_reload_changes_them_and_the_objective() {
    let origins = [Origin::echo_path(), Origin::echo_path()];
    let directory = tempfile::tempdir().unwrap();
    let shadow_log = directory.path().join("shadow.csv");
    let mut config = ProxyConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        backends: origins.iter().map(|origin| BackendConfig::at(origin.address)).collect(),
        routing: Routing::Elastic,
        shadow: vec![Routing::Elastic.into(), Routing::RoundRobin.into()],
        shadow_log: Some(shadow_log.clone()),
        log: None,
        admin: None,
        ..ProxyConfig::default()
    };
    let proxy =
        tidegate::run::start_proxy(config.clone(), || {}).unwrap_or_else(|failure| panic!("{failure}"));
    let mut client = super::support::Client::connect(proxy.address);
    (0..50).for_each(|_| assert_eq!(client.get("/").status, 200));
    wait_for("figures", || proxy.board.latest().shadow.first().is_some_and(|shadow| shadow.decisions == 50));
    let shadow = proxy.board.latest().shadow.clone();
    assert_eq!((shadow[0].routing, shadow[0].agreed_share), ("elastic", 1.0));
    assert_eq!((shadow[1].routing, shadow[1].decisions), ("round-robin", 50));
    assert!(shadow[1].agreed < 50 && shadow[0].mean_ms_agreed == shadow[0].mean_ms_all);
    config.policy_options = Options { tail: true, ..Options::default() };
    config.shadow = vec![Routing::RoundRobin.into(), "least-time:sma".parse::<Variant>().unwrap()];
    config.explain = true;
    proxy.reload(config);
    wait_for("the reload", || {
        client.get("/");
        proxy.board.latest().routing == "elastic:tail"
    });
    client.get("/last");
    let figures = proxy.stop().unwrap_or_else(|failure| panic!("{failure}"));
    let names: Vec<&str> = figures.shadow.iter().map(|shadow| shadow.routing).collect();
    assert_eq!(names, ["round-robin", "least-time:sma"]);
    assert!(figures.shadow[0].decisions > 50, "it goes on");
    assert!(figures.shadow[1].decisions < figures.shadow[0].decisions && figures.explain);
    let rows = std::fs::read_to_string(shadow_log).unwrap();
    assert!(
        rows.starts_with("timestamp,routing,decisions,agreed,agreed_share,mean_ms_agreed,mean_ms_all\n"),
        "{rows}"
    );
    assert!(rows.contains(",round-robin,") && rows.contains(",least-time:sma,"), "{rows}");
}
