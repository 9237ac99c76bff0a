//! Request heads as the origin sees them.

use crate::http1::request::RequestHead;
use crate::http1::rewrite::{self, ForwardedFields, RequestContext};
use crate::http1::{Limits, Parsed};
use std::net::{IpAddr, Ipv4Addr};

pub(super) const HOW: RequestContext<'static> = RequestContext {
    client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    trusted: false,
    keep_alive: true,
    forwarded: ForwardedFields::All,
    x_real_ip: false,
    via: true,
    pseudonym: "tidegate",
    request_id: None,
};

pub(super) fn rewritten(head: &str, how: &RequestContext<'_>) -> String {
    let mut parsed = RequestHead::default();
    let complete = parsed.parse(head.as_bytes(), &Limits::default());
    assert_eq!(complete, Ok(Parsed::Complete(head.len())), "{head}");
    let mut out = b"before".to_vec();
    rewrite::request(&parsed, head.as_bytes(), how, &mut out);
    let mut out = out.strip_prefix(b"before").unwrap().to_vec();
    if parsed.lacks_host() {
        let len = out.len();
        assert_eq!(rewrite::put_host("origin:9000", &mut out), (out.len() - len) as isize);
    }
    let sent = String::from_utf8(out).unwrap();
    let again = RequestHead::default().parse(sent.as_bytes(), &Limits::default());
    assert_eq!(again, Ok(Parsed::Complete(sent.len())), "{sent}");
    sent
}

/// What is always added for a request to `host`, less Via.
fn added(host: &str) -> String {
    format!(
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: {host}\r\n\
         Forwarded: for=192.0.2.1;proto=http;host=\"{host}\"\r\n"
    )
}

/// The request that `GET / HTTP/1.1` with Host `a` and these field lines becomes, less what is always the same.
fn fields_left(fields: &str, how: &RequestContext<'_>) -> String {
    let sent = rewritten(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), how);
    let sent = sent.strip_prefix("GET / HTTP/1.1\r\nHost: a\r\n").unwrap().strip_suffix("\r\n").unwrap();
    assert_eq!(sent.matches("Via: 1.1 tidegate\r\n").count(), 1, "{sent}");
    sent.replace("Via: 1.1 tidegate\r\n", "").replace(&added("a"), "")
}

#[test]
fn a_plain_request_keeps_its_lines_as_they_were() {
    let head = "GET /a?b HTTP/1.1\r\nhOsT:a:80\r\nAccept:  */* \t\r\nX:\r\nx: \u{e9}\r\n";
    let via = "Via: 1.1 tidegate\r\n";
    assert_eq!(rewritten(&format!("{head}\r\n"), &HOW), format!("{head}{via}{}\r\n", added("a:80")));
    assert_eq!(rewritten(&format!("\r\n\r\n{head}\r\n"), &HOW), format!("{head}{via}{}\r\n", added("a:80")));
}

#[test]
fn request_lines_become_origin_form_and_http_1_1() {
    for (line, sent, host) in [
        ("GET http://b HTTP/1.1", "GET / HTTP/1.1", "b"),
        ("GET http://b/ HTTP/1.1", "GET / HTTP/1.1", "b"),
        ("get HTTP://b:8/c//d/../?e HTTP/1.1", "get /c//d/../?e HTTP/1.1", "b:8"),
        ("GET http://b?e=/ HTTP/1.1", "GET /?e=/ HTTP/1.1", "b"),
        ("OPTIONS http://b HTTP/1.1", "OPTIONS * HTTP/1.1", "b"),
        ("OPTIONS http://b/ HTTP/1.1", "OPTIONS / HTTP/1.1", "b"),
        ("OPTIONS http://b?c HTTP/1.1", "OPTIONS /?c HTTP/1.1", "b"),
        ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1", "a"),
        ("GET /x HTTP/1.3", "GET /x HTTP/1.1", "a"),
        ("GET /http://c HTTP/1.1", "GET /http://c HTTP/1.1", "a"),
    ] {
        let head = format!("{line}\r\nX: y\r\nHost: a\r\nZ: z\r\n\r\n");
        let fields = if host == "a" {
            "X: y\r\nHost: a\r\nZ: z\r\n".into()
        } else {
            format!("Host: {host}\r\nX: y\r\nZ: z\r\n")
        };
        let expected = format!("{sent}\r\n{fields}Via: 1.1 tidegate\r\n{}\r\n", added(host));
        assert_eq!(rewritten(&head, &HOW), expected);
    }
}

#[test]
fn http_1_0_gets_a_host_and_its_version_in_via() {
    let rest = "Forwarded: for=192.0.2.1;proto=http\r\n\r\n";
    assert_eq!(
        rewritten("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &HOW),
        format!(
            "GET / HTTP/1.1\r\nHost: origin:9000\r\nVia: 1.0 tidegate\r\nX-Forwarded-For: 192.0.2.1\r\n\
             X-Forwarded-Proto: http\r\n{rest}"
        )
    );
    assert_eq!(
        rewritten("GET http://b/c HTTP/1.0\r\n\r\n", &HOW),
        format!("GET /c HTTP/1.1\r\nHost: b\r\nVia: 1.0 tidegate\r\n{}\r\n", added("b"))
    );
    let empty_host = rewritten("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", &HOW);
    assert!(
        empty_host.starts_with("OPTIONS * HTTP/1.1\r\nHost:\r\nVia") && empty_host.ends_with(rest),
        "{empty_host}"
    );
    let upgrade = rewritten(
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: b\r\nTE: trailers\r\n\r\n",
        &HOW,
    );
    assert!(
        !upgrade.contains("Upgrade") && !upgrade.contains("Connection") && !upgrade.contains("TE"),
        "{upgrade}"
    );
    let expect =
        rewritten("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", &HOW);
    assert!(!expect.contains("Expect"), "{expect}");
}

#[test]
fn a_host_is_put_in_for_each_backend_in_turn() {
    for line in ["GET /a HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n"] {
        let rest = "A: b\r\nHostess: c\r\n\r\nHost: body\r\n";
        let mut out = format!("{line}{rest}").into_bytes();
        for (host, more) in [("a:1", 11), ("longer.example:8080", 16), ("b:2", -16), ("b:2", 0)] {
            assert_eq!(rewrite::put_host(host, &mut out), more);
            assert_eq!(String::from_utf8_lossy(&out), format!("{line}Host: {host}\r\n{rest}"));
        }
    }
}

#[test]
fn hop_by_hop_and_nominated_fields_go() {
    for (fields, left) in [
        ("Connection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nA: b\r\n", "A: b\r\n"),
        (
            "A: b\r\nTE: gzip\r\nTrailer: c\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nB: c\r\n",
            "A: b\r\nB: c\r\n",
        ),
        ("Connection: a, B\r\nA: 1\r\nb: 2\r\nC: 3\r\na: 4\r\n", "C: 3\r\n"),
        ("A: 1\r\nConnection: x\r\nB: 2\r\nConnection:, A\r\nX: 3\r\n", "B: 2\r\n"),
        (
            "Connection: Host, close, content-length, Date\r\nContent-Length: 3\r\nDate: x\r\n",
            "Content-Length: 3\r\n",
        ),
        ("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n"),
        ("Connection: via, x-forwarded-for, forwarded\r\nVia: 1.0 x\r\nX-Forwarded-For: y\r\n", ""),
        ("transfer-encoding: , CHUNKED\r\nA: b\r\n", "A: b\r\nTransfer-Encoding: chunked\r\n"),
        ("Via: 1.0 x\r\n", "Via: 1.0 x\r\n"),
        ("Proxy-Authorization: x\r\nAuthorization: y\r\n", "Proxy-Authorization: x\r\nAuthorization: y\r\n"),
        (
            "content_length: 5\r\nTransfer_Encoding: x\r\nX_Forwarded-For: x\r\nx_forwarded_port: x\r\na_b: c\r\n",
            "a_b: c\r\n",
        ),
        (
            "Proxy_Connection: x\r\nKeep_Alive: y\r\nMax_Forwards: 1\r\nX_Request_Id: z\r\n",
            "X_Request_Id: z\r\n",
        ),
        ("Expect: 100-continue\r\nContent-Length: 1\r\n", "Expect: 100-continue\r\nContent-Length: 1\r\n"),
        ("Expect: 100-continue\r\n", ""),
        ("Content-Length: 010\r\nA: b\r\n", "A: b\r\nContent-Length: 10\r\n"),
        ("A: b\r\ncontent-LENGTH:\t00 \r\n", "A: b\r\nContent-Length: 0\r\n"),
        ("Connection: content-length\r\nContent-Length: 00000000000000000005\r\n", "Content-Length: 5\r\n"),
        ("Content-Length: 0\r\nA: b\r\n", "Content-Length: 0\r\nA: b\r\n"),
        ("Content-Length: 100\r\nA: b\r\n", "Content-Length: 100\r\nA: b\r\n"),
        ("Max-Forwards: 3\r\n", "Max-Forwards: 3\r\n"),
        ("TE: trailers, gzip\r\nConnection: TE\r\n", "Connection: TE\r\nTE: trailers\r\n"),
        (
            "Connection: Upgrade\r\nUpgrade: WebSocket, h2c\r\nUpgrade: b/1\r\n",
            "Connection: upgrade\r\nUpgrade: WebSocket, b/1\r\n",
        ),
        ("Connection: upgrade\r\nUpgrade: h2c\r\n", ""),
        (
            "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\nExpect: 100-continue\r\n",
            "Content-Length: 2\r\nExpect: 100-continue\r\nConnection: upgrade\r\nUpgrade: tcp\r\n",
        ),
        (
            "Connection: Upgrade\r\nUpgrade: tcp, h2c\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nConnection: upgrade\r\nUpgrade: tcp\r\n",
        ),
        ("Upgrade: websocket\r\n", ""),
        ("Connection: upgrade\r\nUpgrade: a b, websocket\r\n", ""),
    ] {
        assert_eq!(fields_left(fields, &HOW), left, "{fields}");
    }
}

#[test]
fn our_own_connection_options() {
    let closing = RequestContext { keep_alive: false, ..HOW };
    assert_eq!(fields_left("", &closing), "Connection: close\r\n");
    assert_eq!(fields_left("TE: trailers\r\n", &closing), "Connection: close, TE\r\nTE: trailers\r\n");
    let upgrade = "Connection: upgrade\r\nUpgrade: a\r\n";
    assert_eq!(fields_left(upgrade, &closing), upgrade);
    assert_eq!(
        fields_left("TE: trailers\r\nConnection: upgrade, TE\r\nUpgrade: a\r\n", &HOW),
        "Connection: upgrade, TE\r\nUpgrade: a\r\nTE: trailers\r\n"
    );
}

#[test]
fn max_forwards_counts_down() {
    for (method, received, sent) in
        [("TRACE", "1", "0"), ("OPTIONS", "0010", "9"), ("OPTIONS", "99999999999", "4294967294")]
    {
        let out =
            rewritten(&format!("{method} / HTTP/1.1\r\nMax-Forwards: {received}\r\nHost: a\r\n\r\n"), &HOW);
        assert_eq!(out.matches("Max-Forwards").count(), 1, "{out}");
        assert!(out.contains(&format!("\r\nMax-Forwards: {sent}\r\n")), "{out}");
    }
}

#[test]
fn forwarded_fields_of_clients_are_replaced_unless_trusted() {
    let said = "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n\
                Forwarded: for=3.3.3.3\r\nX-Forwarded-Port: 443\r\nA: b\r\n";
    assert_eq!(fields_left(said, &HOW), "A: b\r\n");
    let trusted = RequestContext { trusted: true, ..HOW };
    assert_eq!(
        fields_left(said, &trusted),
        "X-Forwarded-Port: 443\r\nA: b\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: h\r\nForwarded: for=3.3.3.3, for=192.0.2.1;proto=http;host=\"a\"\r\n"
    );
    assert_eq!(fields_left("", &trusted), "");
    assert_eq!(fields_left("X-Forwarded-For:\r\nX-Forwarded-Proto:\r\n", &trusted), "");
    assert_eq!(fields_left("Connection: x-forwarded-for\r\nX-Forwarded-For: x\r\n", &trusted), "");
}

#[test]
fn fewer_fields_are_added_when_told_to() {
    let said = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nForwarded: for=3.3.3.3\r\n";
    let x = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n";
    let rfc = "Forwarded: for=192.0.2.1;proto=http;host=\"a\"\r\n";
    let longer_x =
        "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n";
    let longer_rfc = "Forwarded: for=3.3.3.3, for=192.0.2.1;proto=http;host=\"a\"\r\n";
    let (said_x, said_rfc) = said.split_at(said.find("Forwarded: for=").unwrap());
    for (forwarded, untrusted, trusted) in [
        (ForwardedFields::All, format!("{x}{rfc}"), format!("{longer_x}{longer_rfc}")),
        (ForwardedFields::XForwarded, x.to_owned(), format!("{said_rfc}VIA{longer_x}")),
        (ForwardedFields::Forwarded, rfc.to_owned(), format!("{said_x}VIA{longer_rfc}")),
        (ForwardedFields::Off, String::new(), said.to_owned()),
    ] {
        for via in [true, false] {
            for (is_trusted, wanted) in [(false, &untrusted), (true, &trusted)] {
                let how = RequestContext { forwarded, via, trusted: is_trusted, ..HOW };
                let sent = rewritten(&format!("GET / HTTP/1.1\r\nHost: a\r\n{said}\r\n"), &how);
                let ours = "Via: 1.1 tidegate\r\n";
                assert_eq!(sent.matches(ours).count(), usize::from(via));
                let left = sent.replace(ours, "").replace("GET / HTTP/1.1\r\nHost: a\r\n", "");
                assert_eq!(left, format!("{}\r\n", wanted.replace("VIA", "")), "{forwarded:?} {is_trusted}");
            }
        }
    }
}

#[test]
fn x_real_ip_is_ours_or_a_trusted_peers() {
    let said = "x-real-ip: 1.1.1.1\r\nTrue-Client-IP: 2.2.2.2\r\nX_Real_IP: 3.3.3.3\r\nTrue-Client_IP: 4\r\n";
    let kept = "x-real-ip: 1.1.1.1\r\nTrue-Client-IP: 2.2.2.2\r\n";
    for (x_real_ip, trusted, fields, left) in [
        (false, false, said, ""),
        (false, true, said, kept),
        (true, false, said, "X-Real-IP: 192.0.2.1\r\n"),
        (true, true, said, kept),
        (true, true, "", "X-Real-IP: 192.0.2.1\r\n"),
        (true, true, "Connection: x-real-ip\r\nX-Real-IP: 1.1.1.1\r\n", "X-Real-IP: 192.0.2.1\r\n"),
        (false, false, "", ""),
    ] {
        let how = RequestContext { x_real_ip, trusted, ..HOW };
        assert_eq!(fields_left(fields, &how), left, "{x_real_ip} {trusted} {fields}");
    }
    let how = RequestContext { client: "::ffff:10.0.0.1".parse().unwrap(), x_real_ip: true, ..HOW };
    let sent = rewritten("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &how);
    assert!(sent.contains("\r\nX-Real-IP: 10.0.0.1\r\n"), "{sent}");
}

#[test]
fn addresses_of_the_client() {
    for (client, x_forwarded_for, node) in [
        ("10.0.200.3", "10.0.200.3", "10.0.200.3"),
        ("2001:db8::1", "2001:db8::1", "\"[2001:db8::1]\""),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"),
    ] {
        let how = RequestContext { client: client.parse().unwrap(), ..HOW };
        let sent = rewritten("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", &how);
        assert!(sent.contains(&format!("X-Forwarded-For: {x_forwarded_for}\r\n")), "{sent}");
        assert!(sent.contains(&format!("Forwarded: for={node};proto=http;host=\"[::1]:80\"\r\n")), "{sent}");
    }
}

#[test]
fn request_ids_are_added_when_absent() {
    let how = RequestContext { request_id: Some("id1"), ..HOW };
    assert_eq!(fields_left("", &how), "X-Request-Id: id1\r\n");
    assert_eq!(fields_left("x-request-ID: x\r\n", &how), "x-request-ID: x\r\n");
    assert_eq!(fields_left("Connection: x-request-id\r\nX-Request-Id: x\r\n", &how), "X-Request-Id: id1\r\n");
}

#[test]
fn a_trace_is_answered_with_the_request_less_its_secrets() {
    let front = "TRACE http://b/c HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n";
    let head = format!("\r\n{front}Cookie: x\r\nauthorization: y\r\nA: b\r\nProxy-Authorization: z\r\n\r\n");
    let mut parsed = RequestHead::default();
    parsed.parse(head.as_bytes(), &Limits::default()).unwrap();
    let mut out = Vec::new();
    rewrite::trace(&parsed, head.as_bytes(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{front}A: b\r\n\r\n"));
}

#[test]
fn asking_for_an_explanation_goes_no_further_and_can_be_looked_up() {
    for trusted in [false, true] {
        let how = RequestContext { trusted, ..HOW };
        for field in ["X-Tidegate-Explain: 1\r\n", "x-tidegate-explain:1\r\n", "X_Tidegate_Explain: 1\r\n"] {
            assert_eq!(fields_left(field, &how), "", "{field}");
        }
        assert_eq!(fields_left("X-Tidegate-Explain2: 1\r\n", &how), "X-Tidegate-Explain2: 1\r\n");
    }
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nx-Tidegate-Explain: \t1 \r\n\r\n";
    let mut parsed = RequestHead::default();
    assert_eq!(parsed.parse(head, &Limits::default()), Ok(Parsed::Complete(head.len())));
    assert_eq!(parsed.value(head, rewrite::EXPLAIN_FIELD), Some(&b"1"[..]));
}

#[test]
fn a_field_can_be_added_to_a_finished_head() {
    let mut out = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n".to_vec();
    rewrite::add_field("C", b"d", &mut out);
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n");
}
