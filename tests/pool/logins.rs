//! Logins that hold for a connection (NTLM, Negotiate): whoever else got it would be taken for the one who logged in.

use std::sync::Mutex;

use crate::clients::{Ask, Asker, Tally};
use crate::origin::{Conn, Origin, page};
use crate::support::{ProxyUnderTest, wait_for};

/// Lets in who names himself in two steps, for as long as the connection lasts.
fn login(scheme: &'static str) -> impl Fn(&mut Conn) + Send + Sync {
    move |conn| {
        let mut who: Option<String> = None;
        while let Some(request) = conn.request() {
            let says = request.field("Authorization").and_then(|value| value.strip_prefix(scheme));
            let mut challenge = String::new();
            match says.map(str::trim) {
                Some("hello") => challenge = " prove-it".to_owned(),
                Some(name) => who = Some(name.to_owned()),
                None => {}
            }
            let path = &request.path;
            let answer = match &who {
                Some(name) if challenge.is_empty() => page("200 OK", path, &format!("{name} {path}")),
                _ => {
                    let page = page("401 Unauthorized", path, "who?");
                    let at = page.find("X-For").unwrap();
                    format!("{}WWW-Authenticate: {scheme}{challenge}\r\n{}", &page[..at], &page[at..])
                }
            };
            if !conn.write(answer) {
                return;
            }
        }
    }
}

const USERS: usize = 4;
const ROUNDS: usize = 100;

fn logins_are_their_clients_own(scheme: &'static str) {
    let origin = Origin::start(login(scheme));
    let proxy = ProxyUnderTest::logged(&[origin.address], |_| {});
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for user in 0..USERS {
            let (tally, to, diary) = (&tally, proxy.address, origin.diary.clone());
            scope.spawn(move || {
                let asker = |name: String| Asker::new(name, to, diary.clone());
                let mut known = asker(format!("user{user}"));
                let say = |what: &str| format!("Authorization: {scheme} {what}");
                let get = |path: &str| Ask::new("GET", path);
                let note = |outcome| tally.lock().unwrap().note(outcome);
                let path = |kind: &str, round| format!("/{kind}{user}/{round}");
                note(known.ask(&get(&path("in", 0)).gets(401, "who?")));
                note(known.ask(&get(&path("in", 1)).field(&say("hello")).gets(401, "who?")));
                let first = path("in", 2);
                let name = format!("user{user}");
                note(known.ask(&get(&first).field(&say(&name)).gets(200, &format!("{name} {first}"))));
                for round in 0..ROUNDS {
                    // One who has not logged in, on the same connection ever since or on a new one.
                    let (path_of_own, path_of_other) = (path("user", round), path("other", round));
                    note(known.ask(&get(&path_of_own).gets(200, &format!("{name} {path_of_own}"))));
                    let mut other = asker(format!("other{user}"));
                    note(other.ask(&get(&path_of_other).gets(401, "who?")));
                }
            });
        }
    });
    let (_, rows) = proxy.stop();
    tally.into_inner().unwrap().check(&format!("{scheme} logins"), &origin.diary);
    wait_for("the end of all connections", || origin.open() == 0);
    let own: Vec<_> = rows.iter().filter(|row| row.get("path").starts_with("/user")).collect();
    assert_eq!(own.len(), USERS * ROUNDS);
    assert!(own.iter().all(|row| row.get("reused") == "1"), "a login that lost its connection");
}

#[test]
fn a_connection_with_an_ntlm_login_is_its_clients_own() {
    logins_are_their_clients_own("NTLM");
}

#[test]
fn a_connection_with_a_negotiated_login_is_its_clients_own() {
    logins_are_their_clients_own("Negotiate");
}

/// The connection goes when its client goes, though it could serve for long.
#[test]
fn a_connection_with_a_login_is_closed_with_its_clients() {
    let origin = Origin::start(login("NTLM"));
    let proxy = ProxyUnderTest::start(&[origin.address], |_| {});
    let mut client = proxy.client();
    let line = "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: NTLM me\r\n\r\n";
    assert_eq!(client.send(line).response().body, b"me /x");
    assert_eq!(client.get("/y").body, b"me /y");
    assert_eq!(origin.open(), 1);
    drop(client);
    wait_for("the end of the connection", || origin.open() == 0);
    assert_eq!(proxy.client().get("/z").status, 401);
}
