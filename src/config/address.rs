//! Addresses and backends as people write them, and where they are.
//!
//! The one place that asks the resolver. The reactor never does: it would wait.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::BackendConfig;
use super::value::Value;

/// `host:port`; an IPv6 host in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, without brackets.
    host: String,
    port: u16,
}

/// A backend as given: `host:port`, `http://host:port` or `http://host:port/`, each with `@WEIGHT` behind it or not.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendSpec {
    /// Where it is.
    pub address: Address,
    /// Its weight, 1 unless given.
    pub weight: f64,
}

const WEIGHT_MIN: f64 = 0.001; // a ratio of a million between two backends is past any real pool
const WEIGHT_MAX: f64 = 1000.0;

impl Address {
    /// Looks the host up, IPv4 preferred: a server on `localhost` is more often found there.
    pub fn resolve(&self) -> Result<SocketAddr, String> {
        let found = self.look_up()?;
        found
            .iter()
            .find(|address| address.is_ipv4())
            .or(found.first())
            .copied()
            .ok_or_else(|| "the name has no address: write an IP address".to_owned())
    }

    /// All addresses of the host, sorted, so that the same answer in another order is the same. Of `localhost` one: there
    /// IPv4 and IPv6 lead to the same machine, and most servers listen on one of them only.
    pub fn resolve_all(&self) -> Result<Vec<SocketAddr>, String> {
        let is_local = self.host.eq_ignore_ascii_case("localhost")
            || self.host.to_ascii_lowercase().ends_with(".localhost");
        if is_local {
            return Ok(vec![self.resolve()?]);
        }
        let mut found = self.look_up()?;
        found.sort();
        found.dedup();
        if found.is_empty() {
            Err("the name has no address: write an IP address".to_owned())
        } else {
            Ok(found)
        }
    }

    fn look_up(&self) -> Result<Vec<SocketAddr>, String> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, self.port)]);
        }
        match (self.host.as_str(), self.port).to_socket_addrs() {
            Ok(found) => Ok(found.collect()),
            Err(error) => Err(format!("the name does not resolve ({error}): write an IP address")),
        }
    }

    /// Whether it is a name, whose addresses may change.
    pub fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

impl BackendSpec {
    /// The backends it stands for, one at each of these addresses. Of several each is named with its address behind the
    /// name: `http://api:8080#10.0.0.1`.
    pub fn at_each(&self, addresses: &[SocketAddr]) -> Vec<BackendConfig> {
        let name = format!("http://{}", self.address.show());
        let url = |address: &SocketAddr| match addresses {
            [_] => name.clone(),
            _ => format!("{name}#{}", address.ip()),
        };
        let one = |address: &SocketAddr| BackendConfig {
            url: url(address),
            address: *address,
            weight: self.weight,
        };
        addresses.iter().map(one).collect()
    }

    fn at(address: &str, weight: f64) -> Result<BackendSpec, String> {
        Ok(BackendSpec {
            address: BackendSpec::parse_address(address)?,
            weight: BackendSpec::check_weight(weight)?,
        })
    }

    /// Where it is, without a weight.
    pub(crate) fn parse_address(text: &str) -> Result<Address, String> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("backends are spoken to in plain HTTP: write http://host:port".to_owned()),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('/') {
            return Err("a backend has no path, requests bring theirs: write http://host:port".to_owned());
        }
        let address = Address::parse(rest)?;
        if address.port == 0 {
            return Err("nothing answers on port 0: write host:port with the backend's port".to_owned());
        }
        Ok(address)
    }

    /// Its weight, if it can be one.
    pub(crate) fn check_weight(weight: f64) -> Result<f64, String> {
        if !(WEIGHT_MIN..=WEIGHT_MAX).contains(&weight) {
            return Err(format!("the weight must be a number from {WEIGHT_MIN} to {WEIGHT_MAX}, like @2.5"));
        }
        Ok(weight)
    }
}

impl From<&BackendConfig> for BackendSpec {
    fn from(backend: &BackendConfig) -> BackendSpec {
        let address = Address::parse(backend.authority()).unwrap_or_else(|_| backend.address.into());
        BackendSpec { address, weight: backend.weight }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address { host: address.ip().to_string(), port: address.port() }
    }
}

impl Value for Address {
    fn parse(text: &str) -> Result<Address, String> {
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err("must be host:port, like 127.0.0.1:8080".to_owned());
        };
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(ip) if ip.parse::<Ipv6Addr>().is_ok() => ip,
            None if host.contains(':') => {
                return Err("must be host:port, an IPv6 address in brackets: [::1]:8080".to_owned());
            }
            None if is_host_name(host) => host,
            _ => return Err("must be host:port, like 127.0.0.1:8080 or localhost:8080".to_owned()),
        };
        match port.parse() {
            Ok(port) => Ok(Address { host: host.to_owned(), port }),
            Err(_) => Err(format!("must be host:port with a port of 0 to {}", u16::MAX)),
        }
    }

    fn show(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for BackendSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<BackendSpec, String> {
        match text.split_once('@') {
            None => BackendSpec::at(text, 1.0),
            // What is no number fails the range as NaN does.
            Some((address, weight)) => BackendSpec::at(address, weight.parse().unwrap_or(f64::NAN)),
        }
    }
}

/// Letters, digits, `-`, `.` and the `_` that container networks put in names.
fn is_host_name(host: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !host.is_empty() && host.bytes().all(allowed)
}

impl fmt::Display for BackendSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.show())?;
        if self.weight != 1.0 {
            write!(f, "@{}", self.weight)?;
        }
        Ok(())
    }
}

impl Serialize for BackendSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BackendTable { address: self.address.show(), weight: Some(self.weight) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BackendSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BackendSpec, D::Error> {
        deserializer.deserialize_any(TableOrText)
    }
}

/// `[[backend]]` in the file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BackendTable {
    address: String,
    weight: Option<f64>,
}

struct TableOrText;

impl<'de> de::Visitor<'de> for TableOrText {
    type Value = BackendSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with address and weight, or text like \"127.0.0.1:8081@2.5\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<BackendSpec, E> {
        BackendSpec::from_str(text).map_err(|why| E::custom(format_args!("'{text}': {why}")))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BackendSpec, A::Error> {
        let table = BackendTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let weight = table.weight.unwrap_or(1.0);
        BackendSpec::at(&table.address, weight)
            .map_err(|why| de::Error::custom(format_args!("'{}@{weight}': {why}", table.address)))
    }
}
