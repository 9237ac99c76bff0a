//! Fields of heads on their way through: what is for one hop goes, what a proxy owes is added (RFC 9110 section 7.6).

use hyper::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    VIA,
};
use hyper::{Request, Response, Uri, Version};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const VIA_1_1: HeaderValue = HeaderValue::from_static("1.1 tidegate");
const VIA_1_0: HeaderValue = HeaderValue::from_static("1.0 tidegate");

/// Makes `request` ours: origin-form, HTTP/1.1, with the client's address. hyper frames the body afresh, and answers
/// `Expect: 100-continue` itself as soon as the body is asked for.
pub(crate) fn forward_request<B>(
    request: &mut Request<B>,
    client: &HeaderValue,
    default_host: Option<&HeaderValue>,
    keep: bool,
) {
    let via = via(request.version());
    *request.version_mut() = Version::HTTP_11;
    let authority = request.uri().authority().and_then(|name| HeaderValue::try_from(name.as_str()).ok());
    if authority.is_some() {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        if let Ok(path) = Uri::try_from(path) {
            *request.uri_mut() = path;
        }
    }
    let fields = request.headers_mut();
    remove_hop_by_hop(fields);
    fields.remove(EXPECT);
    // The target's authority rules (RFC 9112 section 3.2.2).
    let host = authority.or_else(|| fields.get(HOST).cloned());
    if let Some(host) = host.as_ref().or(default_host) {
        fields.insert(HOST, host.clone());
    }
    if let Some(host) = host {
        fields.insert(X_FORWARDED_HOST, host);
    }
    // Nobody is trusted: what the client says about itself is replaced.
    fields.insert(X_FORWARDED_FOR, client.clone());
    fields.insert(X_FORWARDED_PROTO, HTTP);
    fields.append(VIA, via);
    if !keep {
        fields.insert(CONNECTION, CLOSE);
    }
}

/// Makes `response` ours. hyper adds a `Date` where there is none.
pub(crate) fn forward_response<B>(response: &mut Response<B>) {
    let via = via(response.version());
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
    response.headers_mut().append(VIA, via);
}

fn via(version: Version) -> HeaderValue {
    if version == Version::HTTP_10 { VIA_1_0 } else { VIA_1_1 }
}

/// `Connection` first: it names others.
static HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

fn remove_hop_by_hop(fields: &mut HeaderMap) {
    // Each removal hashes its name, so only what is there is removed, and the usual `keep-alive` names no field.
    let mut found = [false; HOP_BY_HOP.len()];
    for name in fields.keys() {
        for (known, found) in HOP_BY_HOP.iter().zip(&mut found) {
            *found |= name == known;
        }
    }
    if found[0] {
        let named = |value: &HeaderValue| {
            let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
            names.filter_map(|name| HeaderName::try_from(name).ok()).collect::<Vec<_>>()
        };
        let usual = |value: &&HeaderValue| !matches!(value.as_bytes(), b"keep-alive" | b"close");
        let listed: Vec<_> = fields.get_all(CONNECTION).iter().filter(usual).flat_map(named).collect();
        for name in listed.iter().filter(|name| **name != HOST) {
            fields.remove(name);
        }
    }
    for (name, _) in HOP_BY_HOP.iter().zip(found).filter(|(_, found)| *found) {
        fields.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_one_hop_go_and_ours_come() {
        let mut request = Request::builder()
            .version(Version::HTTP_10)
            .uri("http://there:81/a?b")
            .header("host", "elsewhere")
            .header("connection", "x-one, Close, host")
            .header("x-one", "1")
            .header("x-two", "2")
            .header("te", "trailers")
            .header("expect", "100-continue")
            .header("x-forwarded-for", "6.6.6.6")
            .body(())
            .unwrap();
        let (client, default) = (HeaderValue::from_static("10.0.0.1"), HeaderValue::from_static("d"));
        forward_request(&mut request, &client, Some(&default), true);
        let mut lines: Vec<String> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        let expected = [
            "host: there:81",
            "via: 1.0 tidegate",
            "x-forwarded-for: 10.0.0.1",
            "x-forwarded-host: there:81",
            "x-forwarded-proto: http",
            "x-two: 2",
        ];
        assert_eq!(lines, expected);
        assert_eq!((request.uri().to_string().as_str(), request.version()), ("/a?b", Version::HTTP_11));
    }

    #[test]
    fn a_request_without_host_gets_the_backends() {
        let mut request = Request::builder().uri("/").body(()).unwrap();
        let (client, default) = (HeaderValue::from_static("10.0.0.1"), HeaderValue::from_static("d:1"));
        forward_request(&mut request, &client, Some(&default), false);
        assert_eq!(request.headers()[HOST], "d:1");
        assert_eq!(request.headers()[CONNECTION], "close");
        assert!(!request.headers().contains_key(X_FORWARDED_HOST));
    }
}
