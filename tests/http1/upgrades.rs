//! Upgrades and the tunnels behind them (RFC 9110 section 7.8): with and without content, and those that are none.

use super::row::{Row, answered, bad_answer, passes, row};

pub fn rows() -> Vec<Row> {
    let mut rows = upgrades();
    rows.extend(upgrades_with_content());
    rows.extend(upgrades_with_expect());
    rows.extend(upgrades_that_are_none());
    rows
}

const ASK: &str = "GET /ws HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Key: k||";
const ASKED: &str =
    "GET /ws HTTP/1.1|Host: h|Sec-WebSocket-Key: k|{fwd}Connection: upgrade|Upgrade: websocket||";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: websocket|Sec-WebSocket-Accept: a||";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols|Sec-WebSocket-Accept: a|Via: 1.1 tidegate|Connection: upgrade|Upgrade: websocket||";

fn upgrades() -> Vec<Row> {
    vec![
        row("an upgrade, then bytes both ways")
            .sends(format!("{ASK}{{read}}hello\0\u{ff}"))
            .reaches(&[&format!("{ASKED}hello\0\u{ff}")])
            .answers(&[&format!("{SWITCH}{{take 7}}world{{close}}")])
            .sees(format!("{SWITCHED}world"))
            .tunnelled(),
        row("the origin speaks first")
            .sends(format!("{ASK}{{read}}end{{finish}}"))
            .reaches(&[&format!("{ASKED}end")])
            .answers(&[&format!("{SWITCH}hello{{take 3}}bye{{close}}")])
            .sees(format!("{SWITCHED}hellobye"))
            .tunnelled(),
        row("a half-close of the client goes on, and the rest comes")
            .sends(format!("{ASK}{{read}}abc{{finish}}"))
            .reaches(&[&format!("{ASKED}abc")])
            .answers(&[&format!("{SWITCH}{{take 4}}")])
            .sees(SWITCHED)
            .tunnelled(),
        row("another protocol")
            .sends("GET / HTTP/1.1|Host: h|Connection: upgrade|Upgrade: chat/2, talk||{read}x")
            .reaches(&["GET / HTTP/1.1|Host: h|{fwd}Connection: upgrade|Upgrade: chat/2, talk||x"])
            .answers(&["HTTP/1.1 101 S|Connection: upgrade|Upgrade: chat/2||{take 1}y{close}"])
            .sees("HTTP/1.1 101 S|Via: 1.1 tidegate|Connection: upgrade|Upgrade: chat/2||y")
            .tunnelled(),
        row("an upgrade with an empty body")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 0|Connection: Upgrade|Upgrade: SPDY/3.1||{read}x")
            .reaches(&[
                "POST / HTTP/1.1|Host: h|Content-Length: 0|{fwd}Connection: upgrade|Upgrade: SPDY/3.1||x",
            ])
            .answers(&["HTTP/1.1 101 S|Connection: upgrade|Upgrade: spdy/3.1||{take 1}y{close}"])
            .sees("HTTP/1.1 101 S|Via: 1.1 tidegate|Connection: upgrade|Upgrade: spdy/3.1||y")
            .tunnelled(),
        row("an upgrade the origin declines").sends(ASK).reaches(&[ASKED]).drops(),
        row("an upgrade the origin refuses")
            .sends(ASK)
            .reaches(&[ASKED])
            .answers(&["HTTP/1.1 403 No|Date: X|Content-Length: 0||"])
            .sees("HTTP/1.1 403 No|Date: X|Content-Length: 0|Via: 1.1 tidegate||")
            .drops(),
        row("an upgrade the origin declines, and what was sent behind it")
            .sends(format!("{ASK}{{get}}"))
            .reaches(&[ASKED, "{got}"])
            .answers(&["{ok}"; 2])
            .sees("{OK}{OK}"),
        row("an upgrade, and what was sent behind it at once")
            .sends(format!("{ASK}early"))
            .reaches(&[&format!("{ASKED}early")])
            .answers(&[&format!("{SWITCH}{{take 5}}late{{close}}")])
            .sees(format!("{SWITCHED}late"))
            .tunnelled(),
        answered(
            "100 before the 101",
            format!("HTTP/1.1 100 Continue||{SWITCH}{{take 1}}{{close}}"),
            format!("HTTP/1.1 100 Continue|Via: 1.1 tidegate||{SWITCHED}"),
        )
        .sends(format!("{ASK}{{read}}{{read}}x"))
        .reaches(&[&format!("{ASKED}x")])
        .tunnelled(),
    ]
}

/// What container engines' attach and exec send.
const ATTACH: &str = "POST /attach HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: tcp|";
const UPGRADED: &str = "HTTP/1.1 101 UPGRADED|Connection: Upgrade|Upgrade: tcp|Content-Type: x/raw||";
const ATTACHED: &str =
    "HTTP/1.1 101 UPGRADED|Content-Type: x/raw|Via: 1.1 tidegate|Connection: upgrade|Upgrade: tcp||";

fn upgrades_with_content() -> Vec<Row> {
    let mut rows = Vec::new();
    let long = "186a0|{x*100000}|0||";
    for (framing, fields, seen_fields, body) in [
        ("by length", "Content-Length: 2|", "Content-Length: 2|{fwd}", "ab"),
        ("in chunks", "Transfer-Encoding: chunked|", "Transfer-Encoding: chunked|{fwd}", "2|ab|0||"),
        (
            "in chunks with a trailer",
            "Transfer-Encoding: chunked|",
            "Transfer-Encoding: chunked|{fwd}",
            "2|ab|0|T: v||",
        ),
        ("of 100 kB by length", "Content-Length: 100000|", "Content-Length: 100000|{fwd}", "{x*100000}"),
        ("of 100 kB in chunks", "Transfer-Encoding: chunked|", "Transfer-Encoding: chunked|{fwd}", long),
    ] {
        let upgrade = |name: &str, answer: &str| {
            row(format!("an upgrade with content {framing}{name}"))
                .sends(format!("{ATTACH}{fields}|{body}{{read}}hello"))
                .reaches(&[&format!(
                    "POST /attach HTTP/1.1|Host: h|{seen_fields}Connection: upgrade|Upgrade: tcp||{body}hello"
                )])
                .answers(&[answer])
                .sees(format!("{ATTACHED}world"))
                .tunnelled()
        };
        rows.push(upgrade("", &format!("{UPGRADED}{{take 5}}world{{close}}")));
        // The tunnel's first bytes come before the content has been read, too.
        rows.push(upgrade(
            ", and a 101 that does not wait for it",
            &format!("{UPGRADED}wor{{read}}{{take 5}}ld{{close}}"),
        ));
        rows.push(
            upgrade(", and what was sent behind it at once", &format!("{UPGRADED}{{take 5}}world{{close}}"))
                .sends(format!("{ATTACH}{fields}|{body}hello")),
        );
    }
    let reached = "POST /attach HTTP/1.1|Host: h|Content-Length: 2|{fwd}Connection: upgrade|Upgrade: tcp||ab";
    let ask = format!("{ATTACH}Content-Length: 2||ab");
    rows.extend([
        row("an upgrade with content the origin declines").sends(ask.clone()).reaches(&[reached]).drops(),
        row("an upgrade with content the origin refuses")
            .sends(ask.clone())
            .reaches(&[reached])
            .answers(&["HTTP/1.1 409 No|Date: X|Content-Length: 0||"])
            .sees("HTTP/1.1 409 No|Date: X|Content-Length: 0|Via: 1.1 tidegate||")
            .drops(),
        row("an upgrade with content the origin declines, and what was sent behind it")
            .sends(format!("{ask}{{get}}"))
            .reaches(&[reached, "{got}"])
            .answers(&["{ok}"; 2])
            .sees("{OK}{OK}"),
        passes(
            "a GET with content and an upgrade",
            "GET / HTTP/1.1|Host: h|Connection: upgrade|Upgrade: websocket|Content-Length: 2||ab",
            "GET / HTTP/1.1|Host: h|Content-Length: 2|{fwd}Connection: upgrade|Upgrade: websocket||ab",
        )
        .drops(),
    ]);
    for (name, answer) in [
        ("without its fields", "HTTP/1.1 101 S||"),
        ("without Upgrade", "HTTP/1.1 101 S|Connection: upgrade||"),
        ("to another protocol", "HTTP/1.1 101 S|Connection: upgrade|Upgrade: evil||"),
    ] {
        let row = bad_answer(format!("101 {name} after content"), answer);
        rows.push(row.sends(ask.clone()).reaches(&[reached]));
    }
    rows
}

fn upgrades_with_expect() -> Vec<Row> {
    let mut rows = Vec::new();
    for (framing, fields, seen_fields, body) in [
        (
            "by length",
            "Content-Length: 2|Expect: 100-continue|",
            "Content-Length: 2|Expect: 100-continue|{fwd}",
            "ab",
        ),
        (
            "in chunks",
            "Transfer-Encoding: chunked|Expect: 100-continue|",
            "Expect: 100-continue|Transfer-Encoding: chunked|{fwd}",
            "2|ab|0||",
        ),
    ] {
        let reached =
            format!("POST /attach HTTP/1.1|Host: h|{seen_fields}Connection: upgrade|Upgrade: tcp||");
        let waits = |name: &str, answer: &str, seen: &str| {
            row(format!("Expect and an upgrade with content {framing}{name}"))
                .sends(format!("{ATTACH}{fields}|{{read}}{body}{{read}}hello"))
                .reaches(&[&format!("{reached}{body}hello")])
                .answers(&[answer])
                .sees(format!("{seen}{ATTACHED}world"))
                .tunnelled()
        };
        let rest = format!("{UPGRADED}{{take 5}}world{{close}}");
        rows.push(waits(
            "",
            &format!("HTTP/1.1 100 Continue||{{read}}{rest}"),
            "HTTP/1.1 100 Continue|Via: 1.1 tidegate||",
        ));
        rows.push(waits(
            ", and 100 and 101 at once",
            &format!("HTTP/1.1 100 Continue||{UPGRADED}{{read}}{{take 5}}world{{close}}"),
            "HTTP/1.1 100 Continue|Via: 1.1 tidegate||",
        ));
        // The client waits for a 100, which we owe it (RFC 9110 section 7.8).
        rows.push(waits(
            ", and 101 straight",
            &format!("{UPGRADED}{{read}}{{take 5}}world{{close}}"),
            "HTTP/1.1 100 Continue||",
        ));
        rows.push(
            row(format!("Expect and an upgrade with content {framing} that comes at once"))
                .sends(format!("{ATTACH}{fields}|{body}{{read}}hello"))
                .reaches(&[&format!("{reached}{body}hello")])
                .answers(&[&format!("{{read}}{rest}")])
                .sees(format!("{ATTACHED}world"))
                .tunnelled(),
        );
        rows.push(
            row(format!("Expect and an upgrade with content {framing} the origin refuses early"))
                .sends(format!("{ATTACH}{fields}|{{read}}"))
                .reaches(&[&reached])
                .answers(&["HTTP/1.1 409 No|Date: X|Content-Length: 0||{read}"])
                .sees("HTTP/1.1 409 No|Date: X|Content-Length: 0|Via: 1.1 tidegate|Connection: close||")
                .closed()
                .drops(),
        );
    }
    rows
}

fn upgrades_that_are_none() -> Vec<Row> {
    vec![
        passes("Upgrade without Connection", "GET / HTTP/1.1|Host: h|Upgrade: websocket||", "{got}"),
        passes("Connection without Upgrade", "GET / HTTP/1.1|Host: h|Connection: upgrade||", "{got}"),
        passes(
            "an upgrade in HTTP/1.0",
            "GET / HTTP/1.0|Host: h|Connection: upgrade|Upgrade: websocket||",
            "GET / HTTP/1.1|Host: h|{fwd10}|",
        )
        .sees("{OK close}")
        .closed(),
        passes("an upgrade to h2c", "GET / HTTP/1.1|Host: h|Connection: upgrade|Upgrade: h2c||", "{got}"),
        passes(
            "an upgrade to h2c or websocket",
            "GET / HTTP/1.1|Host: h|Connection: upgrade|Upgrade: h2c, websocket||",
            "GET / HTTP/1.1|Host: h|{fwd}Connection: upgrade|Upgrade: websocket||",
        )
        .drops(),
        passes(
            "an upgrade with content in HTTP/1.0",
            "POST / HTTP/1.0|Host: h|Connection: upgrade|Upgrade: tcp|Content-Length: 2||ab",
            "POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd10}|ab",
        )
        .sees("{OK close}")
        .closed(),
        passes(
            "an upgrade to h2c with content",
            "POST / HTTP/1.1|Host: h|Connection: upgrade|Upgrade: h2c|Content-Length: 2||ab",
            "POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab",
        ),
        bad_answer("101 to content without an upgrade", "HTTP/1.1 101 S|Connection: upgrade|Upgrade: tcp||")
            .sends("POST / HTTP/1.1|Host: h|Content-Length: 2||ab")
            .reaches(&["POST / HTTP/1.1|Host: h|Content-Length: 2|{fwd}|ab"]),
        bad_answer("101 without Connection", "HTTP/1.1 101 S|Upgrade: websocket||")
            .sends(ASK)
            .reaches(&[ASKED]),
        bad_answer("101 without Upgrade", "HTTP/1.1 101 S|Connection: upgrade||")
            .sends(ASK)
            .reaches(&[ASKED]),
        bad_answer("101 whose Connection names another", "HTTP/1.1 101 S|Connection: a|Upgrade: websocket||")
            .sends(ASK)
            .reaches(&[ASKED]),
        bad_answer("101 to h2c", "HTTP/1.1 101 S|Connection: upgrade|Upgrade: h2c||")
            .sends(ASK)
            .reaches(&[ASKED]),
        bad_answer("101 to another protocol", "HTTP/1.1 101 S|Connection: upgrade|Upgrade: evil||")
            .sends(ASK)
            .reaches(&[ASKED]),
        bad_answer(
            "101 to more than was asked",
            "HTTP/1.1 101 S|Connection: upgrade|Upgrade: websocket, evil||",
        )
        .sends(ASK)
        .reaches(&[ASKED]),
        bad_answer("101 without its fields", "HTTP/1.1 101 S||").sends(ASK).reaches(&[ASKED]),
        bad_answer("101 to an upgrade without Connection", SWITCH)
            .sends("GET / HTTP/1.1|Host: h|Upgrade: websocket||"),
        bad_answer("101 to HTTP/1.0", SWITCH)
            .sends("GET / HTTP/1.0|Host: h|Connection: upgrade, keep-alive|Upgrade: websocket||")
            .reaches(&["GET / HTTP/1.1|Host: h|{fwd10}|"])
            .sees("{502 keep10}"),
    ]
}
