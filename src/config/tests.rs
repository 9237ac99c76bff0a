//! How settings are spelled: tables of both readings, and no panic on any text.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::address::{Address, BackendSpec};
use super::value::{Bytes, Fraction, OrNone, Percent, Switch, Value, nearest, nearest_value};
use super::{Cidr, Routing, UpstreamMode, file};

/// Each text reads as a value, which is written as the last column and read back the same.
fn reads<T: Value + PartialEq + Debug>(rows: &[(&str, T, &str)]) {
    for (text, value, shown) in rows {
        assert_eq!(T::parse(text).as_ref(), Ok(value), "{text}");
        assert_eq!(value.show(), *shown, "{text}");
        assert_eq!(T::parse(shown).as_ref(), Ok(value), "{shown}");
    }
}

fn refuses<T: Value + Debug>(texts: &[&str]) {
    for text in texts {
        let why = T::parse(text).expect_err(text);
        assert!(!why.contains('\n') && !why.is_empty(), "{text}: {why}");
    }
}

#[test]
fn durations() {
    let millis = Duration::from_millis;
    reads(&[
        ("10s", millis(10_000), "10s"),
        ("500ms", millis(500), "500ms"),
        ("1.5s", millis(1500), "1500ms"),
        ("60s", millis(60_000), "1m"),
        ("75s", millis(75_000), "75s"),
        ("1h", millis(3_600_000), "1h"),
        ("0s", Duration::ZERO, "0s"),
        ("7us", Duration::from_micros(7), "7us"),
        ("365d", millis(365 * 86_400_000), "365d"),
    ]);
    refuses::<Duration>(&["", "10", "s", ".s", "1..5s", "-1s", "+1s", "1 s", "1S", "366d", "1e9s", "nans"]);
}

#[test]
fn sizes_and_numbers() {
    reads(&[
        ("32k", Bytes(32 << 10), "32KiB"),
        ("8KiB", Bytes(8 << 10), "8KiB"),
        ("65535", Bytes(65_535), "65535"),
        ("1g", Bytes(1 << 30), "1GiB"),
        ("0", Bytes(0), "0"),
        ("3000b", Bytes(3000), "3000"),
    ]);
    refuses::<Bytes>(&["", "k", "8KB", "-1", "1.5k", "9223372036854775808", "99999999999999999999g"]);
    reads(&[("20%", Percent(20), "20%"), ("0%", Percent(0), "0%")]);
    refuses::<Percent>(&["20", "101%", "%", "1.5%"]);
    reads(&[("0.3", Fraction(0.3), "0.3"), ("1", Fraction(1.0), "1")]);
    refuses::<Fraction>(&["", "-0.1", "1.1", "nan", "inf"]);
    refuses::<u32>(&["", "-1", "1.0", "4294967296"]);
    reads(&[("none", OrNone(None), "none"), ("7", OrNone(Some(7u32)), "7")]);
}

#[test]
fn names() {
    reads(&[
        ("adaptive_sma", Routing::AdaptiveSma, "adaptive_sma"),
        ("adaptive-ewma", Routing::AdaptiveEwma, "adaptive_ewma"),
        ("round_robin", Routing::RoundRobin, "round-robin"),
    ]);
    for name in Routing::names() {
        assert_eq!(Routing::parse(name).unwrap().show(), *name);
    }
    reads(&[("non_persistent", UpstreamMode::NonPersistent, "non-persistent")]);
    reads(&[("auto", Switch::Auto, "auto")]);
    reads(&[("on", true, "on"), ("off", false, "off")]);
    assert_eq!(nearest("least_conn", Routing::names().iter().copied()), Some("least-connections"));
    assert_eq!(nearest("xyz", Routing::names().iter().copied()), None);
    assert_eq!(nearest_value("SMA", Routing::names().iter().copied()), Some("adaptive_sma"));
    assert_eq!(nearest_value("ma", Routing::names().iter().copied()), None);
}

#[test]
fn networks_and_paths() {
    let net = |text: &str| text.parse::<Cidr>().unwrap();
    reads(&[
        ("10.0.0.0/8", net("10.0.0.0/8"), "10.0.0.0/8"),
        ("127.0.0.1", net("127.0.0.1/32"), "127.0.0.1/32"),
        ("::1", net("::1/128"), "::1/128"),
    ]);
    refuses::<Cidr>(&["", "10.0.0.1/8", "10.0.0.0/33", "localhost", "10.0.0.0/"]);
    refuses::<String>(&["", "healthz", "/a b", "/a#b", "/é", "/\r\n"]);
    refuses::<PathBuf>(&[""]);
}

#[test]
fn addresses_and_backends() {
    let rows = [
        ("127.0.0.1:8081", "127.0.0.1:8081"),
        ("http://127.0.0.1:8081", "127.0.0.1:8081"),
        ("HTTP://127.0.0.1:8081/", "127.0.0.1:8081"),
        ("127.0.0.1:8081@2.5", "127.0.0.1:8081@2.5"),
        ("http://[::1]:80/@0.5", "[::1]:80@0.5"),
        ("host_a.internal:80@1", "host_a.internal:80"),
    ];
    for (text, shown) in rows {
        assert_eq!(text.parse::<BackendSpec>().unwrap().to_string(), shown, "{text}");
    }
    let bad =
        ["", "h", ":80", "h:", "h:x", "h:0", "h:65536", "[h]:80", "[::1]", "::1:80", "h:80/x", "ftp://h:80"];
    let bad_weights = ["h:80@", "h:80@0", "h:80@-1", "h:80@inf", "h:80@nan", "h:80@1e9", "user@h:80"];
    for text in bad.iter().chain(&bad_weights) {
        assert!(text.parse::<BackendSpec>().is_err(), "{text}");
    }
    let backend = "http://localhost:8081@2".parse::<BackendSpec>().unwrap();
    let addresses = backend.address.resolve_all().unwrap();
    assert_eq!(addresses.len(), 1, "of localhost one");
    let backend = backend.at_each(&addresses).remove(0);
    assert_eq!(backend.url, "http://localhost:8081");
    assert_eq!((backend.address.to_string().as_str(), backend.weight), ("127.0.0.1:8081", 2.0));
    assert_eq!(Address::parse("[::1]:1").unwrap().resolve().unwrap().to_string(), "[::1]:1");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,40}|[0-9.]{0,30}[a-zA-Z%]{0,3}|[a-z0-9:/@\\[\\].]{0,30}") {
        if let Ok(time) = Duration::parse(&text) {
            prop_assert_eq!(Duration::parse(&time.show()), Ok(time));
        }
        if let Ok(size) = Bytes::parse(&text) {
            prop_assert_eq!(Bytes::parse(&size.show()), Ok(size));
        }
        if let Ok(spec) = text.parse::<BackendSpec>() {
            prop_assert_eq!(spec.to_string().parse(), Ok(spec));
        }
        let _ = (Cidr::parse(&text), Percent::parse(&text), Routing::parse(&text), Fraction::parse(&text));
    }

    #[test]
    fn no_file_panics(text in "[a-z\\-]{1,9} ?= ?\\PC{0,20}\n|\\PC{0,40}|\\[\\[backend\\]\\]\n\\PC{0,20}") {
        if let Err((line, column, why)) = file::parse(&text) {
            prop_assert!(line > 0 && column > 0 && !why.is_empty());
        }
    }
}
