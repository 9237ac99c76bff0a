//! `tidegate top` before a real proxy, where standard output is no terminal.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

mod support;

#[path = "support/child.rs"]
mod child;

use support::port::Reserved;
use support::{Client, Origin, wait_for};

fn top(words: &[&str], admin: Option<&str>) -> (Option<i32>, String, String) {
    let mut command = child::command(&["top"]);
    command.args(words).env_remove("TIDEGATE_ADMIN");
    command.envs(admin.map(|url| ("TIDEGATE_ADMIN", url)));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn one_table_and_out() {
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let words = ["--backend", &backend, "--admin", "127.0.0.1:0", "--log", "none", "--routing", "p2c"];
    let proxy = child::Process::start(&words);
    let mut client = Client::connect(proxy.address);
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.read_to_end();

    let admin = proxy.admin().to_string();
    let url = format!("http://{admin}/");
    wait_for("the figures to be shown", || top(&["--once", "--admin", &url], None).1.contains("requests 1"));
    for (words, variable) in [(&["--once", "--admin", &admin][..], None), (&[], Some(&admin[..]))] {
        let (code, stdout, stderr) = top(words, variable);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
        // Two looks: the one request was before the first of them.
        for part in ["tidegate", "p2c", "p99 ms", &backend, "requests 1", "req/s 0.0", " 0.0       -  "] {
            assert!(stdout.contains(part), "no {part:?} in\n{stdout}");
        }
    }
}

#[test]
fn who_does_not_answer_is_named() {
    let reserved = Reserved::new();
    let port = reserved.address.port();
    let (code, stdout, stderr) = top(&["--admin", &format!("localhost:{port}")], None);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.contains(&format!("http://localhost:{port}: ")) && stderr.contains("start a proxy"),
        "{stderr}"
    );

    // A server of another kind.
    let origin = Origin::echo_path();
    let (code, _, stderr) = top(&["--admin", &origin.address.to_string()], None);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is this its --admin?"), "{stderr}");
}
