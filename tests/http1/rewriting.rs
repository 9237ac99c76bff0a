//! What is left out, appended and replaced on the way (RFC 9110 sections 7.6 and 7.8, RFC 7239).

use super::row::{Row, answered, passes, refused, row};
use tidegate::config::{ForwardedFields, ProxyConfig, UpstreamMode, ViaFields};

pub fn rows() -> Vec<Row> {
    let mut rows = hop_by_hop();
    rows.extend(nominated());
    rows.extend(via_and_forwarded());
    rows.extend(trusted());
    rows.extend(fewer());
    rows.extend(real_ip());
    rows.extend(request_ids());
    rows.extend(responses());
    rows.extend(refused_looks());
    rows
}

/// A GET with these fields, and what the origin sees between the request line and its end.
fn get(name: &str, fields: &str, reaches: &str) -> Row {
    passes(name, format!("GET / HTTP/1.1|{fields}|"), format!("GET / HTTP/1.1|{reaches}|"))
}

fn hop_by_hop() -> Vec<Row> {
    let mut rows = Vec::new();
    for field in [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "proxy-connection: close",
        "Trailer: A",
        "TE: gzip",
        "TE:",
        "Upgrade: websocket",
        "HTTP2-Settings: AAA",
        "Connection: keep-alive",
        "Connection:",
        "Connection: TE",
        "KEEP-ALIVE: x",
    ] {
        rows.push(get(&format!("without {field}"), &format!("Host: h|{field}|A: b|"), "Host: h|A: b|{fwd}"));
    }
    for field in
        ["Content_Length: 5", "Transfer_Encoding: chunked", "X_Forwarded_For: 1.2.3.4", "X-Forwarded_For: a"]
    {
        rows.push(get(
            &format!("without the look-alike {field}"),
            &format!("Host: h|{field}|"),
            "Host: h|{fwd}",
        ));
    }
    rows.extend([
        get("TE: trailers goes on", "Host: h|TE: trailers|", "Host: h|{fwd}Connection: TE|TE: trailers|"),
        get(
            "of TE only trailers goes on",
            "Host: h|TE: gzip;q=0.5, Trailers|Connection: TE|",
            "Host: h|{fwd}Connection: TE|TE: trailers|",
        ),
        passes(
            "TE of HTTP/1.0 does not",
            "GET / HTTP/1.0|Host: h|TE: trailers||",
            "GET / HTTP/1.1|Host: h|{fwd10}|",
        )
        .sees("{OK close}")
        .closed(),
        get("end-to-end fields keep their order", "B: 1|Host: h|A: 2|C: 3|", "B: 1|Host: h|A: 2|C: 3|{fwd}"),
        get(
            "Proxy-Authorization goes on",
            "Host: h|Proxy-Authorization: x|",
            "Host: h|Proxy-Authorization: x|{fwd}",
        ),
        get("Date goes on", "Host: h|Date: Y|", "Host: h|Date: Y|{fwd}"),
        get(
            "an upgrade to h2c does not",
            "Host: h|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AA|",
            "Host: h|{fwd}",
        ),
        get("non-persistent upstream", "Host: h|", "Host: h|{fwd}Connection: close|")
            .with(non_persistent)
            .drops(),
        get(
            "non-persistent upstream with TE",
            "Host: h|TE: trailers|",
            "Host: h|{fwd}Connection: close, TE|TE: trailers|",
        )
        .with(non_persistent)
        .drops(),
    ]);
    rows
}

fn non_persistent(config: &mut ProxyConfig) {
    config.upstream = UpstreamMode::NonPersistent;
}

fn nominated() -> Vec<Row> {
    vec![
        get("a field that Connection names", "Host: h|Connection: A|A: b|C: d|", "Host: h|C: d|{fwd}"),
        get("in another case", "Host: h|connection: a-B|A-b: c|", "Host: h|{fwd}"),
        get("each of it, wherever it stands", "A: 1|Host: h|Connection: a|A: 2|a: 3|", "Host: h|{fwd}"),
        get("several of them", "Host: h|Connection: A,, b ,\tC|A: 1|B: 2|C: 3|D: 4|", "Host: h|D: 4|{fwd}"),
        get(
            "in several Connection fields",
            "Host: h|Connection: A|Connection: B|A: 1|B: 2|",
            "Host: h|{fwd}",
        ),
        get(
            "Cookie and Authorization too",
            "Host: h|Connection: Cookie, Authorization|Cookie: a|Authorization: b|",
            "Host: h|{fwd}",
        ),
        get("Host is not one of them", "Host: h|Connection: Host|", "Host: h|{fwd}"),
        get(
            "nor is what frames the body",
            "Host: h|Connection: Content-Length|Content-Length: 0|",
            "Host: h|Content-Length: 0|{fwd}",
        ),
        get(
            "nor is what we say ourselves",
            "Host: h|Connection: X-Forwarded-For, Forwarded|Forwarded: for=x|",
            "Host: h|{fwd}",
        ),
        get("a name that is not there", "Host: h|Connection: nothing|", "Host: h|{fwd}"),
        passes(
            "chunked stays though Connection names it",
            "POST / HTTP/1.1|Host: h|Connection: Transfer-Encoding|Transfer-Encoding: chunked||1|a|0||",
            "POST / HTTP/1.1|Host: h|Transfer-Encoding: chunked|{fwd}|1|a|0||",
        ),
        get(
            "Connection: close names no field",
            "Host: h|Close: a|Connection: close|",
            "Host: h|Close: a|{fwd}",
        )
        .sees("{OK close}")
        .closed(),
    ]
}

fn via_and_forwarded() -> Vec<Row> {
    let drop = |name: &str, field: &str| {
        get(&format!("{name} from anybody"), &format!("Host: h|{field}|"), "Host: h|{fwd}")
    };
    vec![
        get("Via is appended to", "Host: h|Via: 1.0 a, 1.1 b|", "Host: h|Via: 1.0 a, 1.1 b|{fwd}"),
        get(
            "several Vias are appended to",
            "Via: 1.0 a|Host: h|Via: 1.1 b|",
            "Via: 1.0 a|Host: h|Via: 1.1 b|{fwd}",
        ),
        drop("X-Forwarded-For", "X-Forwarded-For: 1.2.3.4"),
        drop("X-Forwarded-Proto", "x-forwarded-proto: https"),
        drop("X-Forwarded-Host", "X-Forwarded-Host: evil"),
        drop("X-Forwarded-Port", "X-Forwarded-Port: 1"),
        drop("Forwarded", "Forwarded: for=1.2.3.4"),
        drop("all of them", "Forwarded: for=a|X-Forwarded-For: b|X-Forwarded-For: c|X-Forwarded-Host: d"),
        drop("X-Real-IP", "X-Real-IP: 1.2.3.4"),
        drop("True-Client-IP", "true-client-ip: 1.2.3.4"),
        drop("both of them, and twice", "X-REAL-IP: a|True-Client-IP: b|X-Real-IP: c"),
        drop("look-alikes of both", "X_Real_IP: a|X-Real_IP: b|True_Client_IP: c"),
        get("a longer name than X-Real-IP", "Host: h|X-Real-IPs: a|", "Host: h|X-Real-IPs: a|{fwd}"),
        passes(
            "X-Real-IP from HTTP/1.0 goes, too",
            "GET / HTTP/1.0|Host: h|X-Real-IP: 1.2.3.4||",
            "GET / HTTP/1.1|Host: h|{fwd10}|",
        )
        .sees("{OK close}")
        .closed(),
        passes(
            "HTTP/1.0 without Host gets the backend's",
            "GET / HTTP/1.0|A: b||",
            "GET / HTTP/1.1|Host: {origin}|A: b|{fwd10 -}|",
        )
        .sees("{OK close}")
        .closed(),
        passes(
            "OPTIONS * of HTTP/1.0 without Host gets it, too",
            "OPTIONS * HTTP/1.0|Connection: keep-alive||",
            "OPTIONS * HTTP/1.1|Host: {origin}|{fwd10 -}|",
        )
        .sees("{OK keep}"),
        passes(
            "a POST of HTTP/1.0 without Host, and its body",
            "POST /a HTTP/1.0|Content-Length: 3|Connection: keep-alive||abc",
            "POST /a HTTP/1.1|Host: {origin}|Content-Length: 3|{fwd10 -}|abc",
        )
        .sees("{OK keep}"),
        row("two of HTTP/1.0 without Host in a row")
            .sends("GET / HTTP/1.0|Connection: keep-alive||GET /b HTTP/1.0|Connection: keep-alive||")
            .answers(&["{ok}"; 2])
            .reaches(&[
                "GET / HTTP/1.1|Host: {origin}|{fwd10 -}|",
                "GET /b HTTP/1.1|Host: {origin}|{fwd10 -}|",
            ])
            .sees("{OK keep}{OK keep}"),
    ]
}

fn trust_all(config: &mut ProxyConfig) {
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

/// The block for a trusted peer, with these values.
fn chain(via: &str, for_: &str, proto: &str, host: &str, forwarded: &str) -> String {
    format!(
        "{via}X-Forwarded-For: {for_}127.0.0.1|X-Forwarded-Proto: {proto}|X-Forwarded-Host: {host}|\
         Forwarded: {forwarded}for=127.0.0.1;proto=http;host=\"h\"|"
    )
}

fn trusted() -> Vec<Row> {
    let via = "Via: 1.1 tidegate|";
    let case = |name: &str, fields: &str, reaches: String| {
        get(
            &format!("from a trusted proxy: {name}"),
            &format!("Host: h|{fields}"),
            &format!("Host: h|{reaches}"),
        )
        .with(trust_all)
    };
    vec![
        case("nothing", "", chain(via, "", "http", "h", "")),
        case("X-Forwarded-For", "X-Forwarded-For: 1.2.3.4|", chain(via, "1.2.3.4, ", "http", "h", "")),
        case(
            "two of them",
            "X-Forwarded-For: a, b|X-Forwarded-For: c|",
            chain(via, "a, b, c, ", "http", "h", ""),
        ),
        case("an empty one", "X-Forwarded-For:|", chain(via, "", "http", "h", "")),
        case("X-Forwarded-Proto", "X-Forwarded-Proto: https|", chain(via, "", "https", "h", "")),
        case("X-Forwarded-Host", "X-Forwarded-Host: front|", chain(via, "", "http", "front", "")),
        case(
            "Forwarded",
            "Forwarded: for=1.2.3.4;proto=https|",
            chain(via, "", "http", "h", "for=1.2.3.4;proto=https, "),
        ),
        case(
            "Forwarded with an open quote, that would take ours in",
            "Forwarded: for=\"1|Forwarded: for=\"a, b\"|",
            chain(via, "", "http", "h", "for=\"a, b\", "),
        ),
        case(
            "X-Forwarded-Port",
            "X-Forwarded-Port: 8|",
            format!("X-Forwarded-Port: 8|{}", chain(via, "", "http", "h", "")),
        ),
        case("a look-alike", "X_Forwarded_For: 8|", chain(via, "", "http", "h", "")),
        case(
            "X-Real-IP and True-Client-IP",
            "X-Real-IP: 1.2.3.4|True-Client-IP: 5|",
            format!("X-Real-IP: 1.2.3.4|True-Client-IP: 5|{}", chain(via, "", "http", "h", "")),
        ),
        case("a look-alike of X-Real-IP", "X_Real-IP: 8|", chain(via, "", "http", "h", "")),
        get("from a proxy that is not trusted", "Host: h|X-Forwarded-For: 1.2.3.4|", "Host: h|{fwd}")
            .with(|config| config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]),
    ]
}

const VIA: &str = "Via: 1.1 tidegate|";
const X_FORWARDED: &str = "X-Forwarded-For: 127.0.0.1|X-Forwarded-Proto: http|X-Forwarded-Host: h|";
const FORWARDED: &str = "Forwarded: for=127.0.0.1;proto=http;host=\"h\"|";

/// What is said by untrusted clients and by trusted peers.
const SAID: &str = "X-Forwarded-For: 1.2.3.4|X-Forwarded-Proto: https|X-Forwarded-Host: g|X-Forwarded-Port: 8|Forwarded: for=x|";

/// `--forwarded` and `--via` other than usual.
fn fewer() -> Vec<Row> {
    let from =
        |name: &str, reaches: &str| get(name, &format!("Host: h|{SAID}"), &format!("Host: h|{reaches}"));
    vec![
        from("X-Forwarded-* only", &format!("{VIA}{X_FORWARDED}"))
            .with(|config| config.forwarded = ForwardedFields::XForwarded),
        from("Forwarded only", &format!("{VIA}{FORWARDED}"))
            .with(|config| config.forwarded = ForwardedFields::Forwarded),
        from("neither form", VIA).with(|config| config.forwarded = ForwardedFields::Off),
        from(
            "X-Forwarded-* only, from a trusted proxy",
            "X-Forwarded-Port: 8|Forwarded: for=x|Via: 1.1 tidegate|X-Forwarded-For: 1.2.3.4, 127.0.0.1|\
             X-Forwarded-Proto: https|X-Forwarded-Host: g|",
        )
        .with(|config| {
            trust_all(config);
            config.forwarded = ForwardedFields::XForwarded;
        }),
        from(
            "Forwarded only, from a trusted proxy",
            "X-Forwarded-For: 1.2.3.4|X-Forwarded-Proto: https|X-Forwarded-Host: g|X-Forwarded-Port: 8|\
             Via: 1.1 tidegate|Forwarded: for=x, for=127.0.0.1;proto=http;host=\"h\"|",
        )
        .with(|config| {
            trust_all(config);
            config.forwarded = ForwardedFields::Forwarded;
        }),
        from("neither form, from a trusted proxy", &format!("{SAID}{VIA}")).with(|config| {
            trust_all(config);
            config.forwarded = ForwardedFields::Off;
        }),
        get(
            "no form, and for one hop, from a trusted proxy",
            "Host: h|Connection: forwarded|Forwarded: for=x|",
            &format!("Host: h|{VIA}"),
        )
        .with(|config| {
            trust_all(config);
            config.forwarded = ForwardedFields::Off;
        }),
        get("no Via", "Host: h|Via: 1.0 a|", &format!("Host: h|Via: 1.0 a|{X_FORWARDED}{FORWARDED}"))
            .sees("HTTP/1.1 200 OK|Date: X|Content-Length: 2||ok")
            .without_via()
            .with(|config| config.via = ViaFields::Off),
        get("Via in the request only", "Host: h|", "Host: h|{fwd}")
            .answers(&["HTTP/1.1 103 E|Link: a||HTTP/1.1 200 OK|Date: X|Via: 1.1 o|Content-Length: 2||ok"])
            .sees("HTTP/1.1 103 E|Link: a||HTTP/1.1 200 OK|Date: X|Via: 1.1 o|Content-Length: 2||ok")
            .without_via()
            .with(|config| config.via = ViaFields::Request),
        get("none of all, and nothing at all is added", "Host: h|A: b|", "Host: h|A: b|")
            .sees("HTTP/1.1 200 OK|Date: X|Content-Length: 2||ok")
            .without_via()
            .with(|config| {
                config.forwarded = ForwardedFields::Off;
                config.via = ViaFields::Off;
            }),
    ]
}

/// `--x-real-ip on`.
fn real_ip() -> Vec<Row> {
    let case = |name: &str, fields: &str, reaches: &str| {
        get(&format!("X-Real-IP {name}"), &format!("Host: h|{fields}"), &format!("Host: h|{reaches}"))
    };
    let on = |config: &mut ProxyConfig| config.x_real_ip = true;
    let on_and_trusted = |config: &mut ProxyConfig| {
        trust_all(config);
        config.x_real_ip = true;
    };
    let ours = "{fwd}X-Real-IP: 127.0.0.1|";
    vec![
        case("sent", "", ours).with(on),
        case(
            "sent in place of what anybody says",
            "X-Real-IP: 1.2.3.4|True-Client-IP: 5|X_Real_IP: 6|",
            ours,
        )
        .with(on),
        case("sent to a trusted proxy's request without one", "", ours).with(on_and_trusted),
        case("as a trusted proxy said it", "x-real-ip: 1.2.3.4|", "x-real-ip: 1.2.3.4|{fwd}")
            .with(on_and_trusted),
        case("for one hop, from a trusted proxy", "Connection: X-Real-IP|X-Real-IP: 1.2.3.4|", ours)
            .with(on_and_trusted),
        case("alone", "", &format!("{VIA}X-Real-IP: 127.0.0.1|")).with(|config| {
            config.x_real_ip = true;
            config.forwarded = ForwardedFields::Off;
        }),
    ]
}

fn request_ids() -> Vec<Row> {
    vec![
        get("X-Request-Id as it came", "Host: h|X-Request-Id: a|", "Host: h|X-Request-Id: a|{fwd}"),
        get(
            "X-Request-Id as it came, though one could be made",
            "Host: h|X-Request-Id: a|",
            "Host: h|X-Request-Id: a|{fwd}",
        )
        .with(|config| config.request_id = true),
        get("X-Request-Id not made unless asked for", "Host: h|", "Host: h|{fwd}"),
    ]
}

fn responses() -> Vec<Row> {
    let case = |name: &str, fields: &str, seen: &str| {
        answered(
            name,
            format!("HTTP/1.1 200 OK|Date: X|{fields}Content-Length: 2||ok"),
            format!("HTTP/1.1 200 OK|Date: X|{seen}Content-Length: 2|Via: 1.1 tidegate||ok"),
        )
    };
    let mut rows = Vec::new();
    for field in [
        "Keep-Alive: timeout=5, max=9",
        "Proxy-Connection: keep-alive",
        "Connection: keep-alive",
        "Trailer: A",
        "Upgrade: h2c",
        "Connection: upgrade|Upgrade: websocket",
        "TE: trailers",
        "Transfer_Encoding: chunked",
    ] {
        rows.push(case(&format!("answer without {field}"), &format!("{field}|"), ""));
    }
    rows.extend([
        case("answer without what Connection names", "Connection: A, b|A: 1|B: 2|C: 3|", "C: 3|"),
        case("answer whose Connection names Content-Length", "Connection: Content-Length|", ""),
        case("answer with Via", "Via: 1.1 origin|", "Via: 1.1 origin|"),
        case("answer with Server", "Server: o|", "Server: o|"),
        case("answer with Proxy-Authenticate", "Proxy-Authenticate: Basic|", "Proxy-Authenticate: Basic|"),
        answered(
            "answer without Date",
            "HTTP/1.1 200 OK|Content-Length: 2||ok",
            "HTTP/1.1 200 OK|Content-Length: 2|Date: *|Via: 1.1 tidegate||ok",
        ),
        answered(
            "answer whose Date is for one hop",
            "HTTP/1.1 200 OK|Connection: Date|Date: X|Content-Length: 2||ok",
            "HTTP/1.1 200 OK|Content-Length: 2|Date: *|Via: 1.1 tidegate||ok",
        ),
        answered(
            "426 keeps its Upgrade",
            "HTTP/1.1 426 Upgrade Required|Date: X|Connection: upgrade|Upgrade: websocket|Content-Length: 0||",
            "HTTP/1.1 426 Upgrade Required|Date: X|Content-Length: 0|Via: 1.1 tidegate|Connection: upgrade|Upgrade: websocket||",
        ),
    ]);
    rows
}

fn refused_looks() -> Vec<Row> {
    vec![
        refused(
            "too many Connection options",
            400,
            format!("GET / HTTP/1.1|Host: h|Connection: {}|", "a,".repeat(101) + "|"),
        ),
        row("a hundred Connection options")
            .sends(format!("GET / HTTP/1.1|Host: h|Connection: {}||", "a,".repeat(100))),
    ]
}
