//! How each type of setting is spelled, the same for a flag, an environment variable and the TOML file.
//!
//! A refusal is the second half of a line ("a duration needs a unit: 10s"); who reports it puts the flag or the
//! file, and the value, before it. Absent: anything about more than one setting.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::emulator::profile::{Profile, ProfileError};

use super::{Average, Cidr, Objective, Routing, UpstreamMode, Variant};

/// A type with one spelling for flag, environment and file.
pub trait Value: Clone + Send + Sync + 'static {
    /// Reads it; the error says what would be right.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes what [`parse`](Value::parse) reads.
    fn show(&self) -> String;

    /// Whether TOML writes it as a bare integer.
    fn is_integer(&self) -> bool {
        false
    }

    /// Every spelling there is, if they can be listed.
    fn names() -> &'static [&'static str] {
        &[]
    }
}

/// `none`, or a value.
#[derive(Clone, Debug, PartialEq)]
pub struct OrNone<T>(pub Option<T>);

/// The name of a host, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(pub String);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A whole percentage, 0..=100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

/// A share as a fraction, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fraction(pub f64);

/// `on`, `off`, or whatever goes with the routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    Off,
    /// On except where the original's exact behaviour is asked for.
    Auto,
}

const DURATION_MAX_S: u64 = 365 * 86_400; // far from every overflow, and past any sane time-out
const UNITS_NS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const UPSTREAMS: [&str; 2] = ["persistent", "non-persistent"];
const ROUTINGS: [&str; Routing::ALL.len()] = {
    let mut names = [""; Routing::ALL.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = Routing::ALL[index].name();
        index += 1;
    }
    names
};

impl Value for Duration {
    fn parse(text: &str) -> Result<Duration, String> {
        if text.starts_with('-') {
            return Err("a duration is never below 0s: write 10s, 500ms, 1m or 1h".to_owned());
        }
        let split = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let Ok(count) = number.parse::<f64>() else {
            return Err("a duration is a number with a unit: 10s, 500ms, 1m or 1h".to_owned());
        };
        if unit.is_empty() {
            return Err(format!("a duration needs a unit: {text}s, {text}ms, {text}m or {text}h"));
        }
        let Some((_, nanos)) = UNITS_NS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("'{unit}' is not a unit of time: use ns, us, ms, s, m, h or d"));
        };
        let seconds = count * (*nanos as f64) / 1e9;
        if seconds > DURATION_MAX_S as f64 {
            return Err("a duration is at most 365d".to_owned());
        }
        Ok(Duration::from_secs_f64(seconds))
    }

    fn show(&self) -> String {
        let nanos = u64::try_from(self.as_nanos()).unwrap_or(u64::MAX);
        let fits = |unit: u64| nanos.is_multiple_of(unit) && nanos > 0;
        match UNITS_NS.iter().find(|(_, unit)| fits(*unit)) {
            Some((name, unit)) => format!("{}{name}", nanos / unit),
            None => "0s".to_owned(),
        }
    }
}

impl Value for Bytes {
    fn parse(text: &str) -> Result<Bytes, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            _ => return Err("a size is a number of bytes, or one with KiB, MiB or GiB: 8KiB, 32k".to_owned()),
        };
        let count = number.parse::<u64>().ok().and_then(|count| count.checked_mul(factor));
        // i64 is what TOML can hold.
        match count.filter(|bytes| i64::try_from(*bytes).is_ok()) {
            Some(bytes) => Ok(Bytes(bytes)),
            None => Err("a size is a whole number of bytes below 2^63, like 8KiB or 32k".to_owned()),
        }
    }

    fn show(&self) -> String {
        match SIZES.iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => format!("{}{name}", self.0 / unit),
            None => self.0.to_string(),
        }
    }

    fn is_integer(&self) -> bool {
        !SIZES.iter().any(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit))
    }
}

impl Value for Percent {
    fn parse(text: &str) -> Result<Percent, String> {
        match text.strip_suffix('%').map(str::parse::<u32>) {
            Some(Ok(percent)) if percent <= 100 => Ok(Percent(percent)),
            _ => Err("a share is a whole percentage: 0% to 100%".to_owned()),
        }
    }

    fn show(&self) -> String {
        format!("{}%", self.0)
    }
}

impl Value for Fraction {
    fn parse(text: &str) -> Result<Fraction, String> {
        match text.parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Fraction(share)),
            _ => Err("must be a number from 0 to 1, like 0.3".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<$type, String> {
                text.parse().map_err(|_| format!("must be a whole number, 0 to {}", <$type>::MAX))
            }

            fn show(&self) -> String {
                self.to_string()
            }

            fn is_integer(&self) -> bool {
                true
            }
        }
    )*};
}
whole_number!(u16, u32, u64); // keys of the file are u32: TOML integers end at i64

impl Value for bool {
    fn parse(text: &str) -> Result<bool, String> {
        choose(text, &[("on", true), ("off", false)])
    }

    fn show(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["on", "off"]
    }
}

impl Value for Switch {
    fn parse(text: &str) -> Result<Switch, String> {
        choose(text, &[("on", Switch::On), ("off", Switch::Off), ("auto", Switch::Auto)])
    }

    fn show(&self) -> String {
        match self {
            Switch::On => "on",
            Switch::Off => "off",
            Switch::Auto => "auto",
        }
        .to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["on", "off", "auto"]
    }
}

impl Value for UpstreamMode {
    fn parse(text: &str) -> Result<UpstreamMode, String> {
        choose(
            text,
            &[("persistent", UpstreamMode::Persistent), ("non-persistent", UpstreamMode::NonPersistent)],
        )
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn names() -> &'static [&'static str] {
        &UPSTREAMS
    }
}

impl Value for Routing {
    fn parse(text: &str) -> Result<Routing, String> {
        Routing::from_str(text).map_err(|_| match Variant::from_str(text) {
            // Names of lists that compare policies; a proxy has flags for what a policy is told.
            Ok(variant) if variant.routing == Routing::LeastTime => {
                format!(
                    "for a proxy write --routing least-time --least-time-average {}",
                    variant.options().average.show()
                )
            }
            Ok(variant) => {
                let objective = if variant.options().tail { Objective::Tail } else { Objective::Mean };
                format!("for a proxy write --routing {} --objective {}", variant.routing, objective.show())
            }
            Err(_) => unknown(text, &ROUTINGS),
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn names() -> &'static [&'static str] {
        &ROUTINGS
    }
}

impl Value for Variant {
    fn parse(text: &str) -> Result<Variant, String> {
        Variant::from_str(text).map_err(|_| unknown(text, &Variant::NAMES))
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn names() -> &'static [&'static str] {
        &Variant::NAMES
    }
}

impl Value for Objective {
    fn parse(text: &str) -> Result<Objective, String> {
        choose(text, &[("mean", Objective::Mean), ("tail", Objective::Tail)])
    }

    fn show(&self) -> String {
        match self {
            Objective::Mean => "mean",
            Objective::Tail => "tail",
        }
        .to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["mean", "tail"]
    }
}

impl Value for Average {
    fn parse(text: &str) -> Result<Average, String> {
        choose(text, &[("ewma", Average::Ewma), ("sma", Average::Sma)])
    }

    fn show(&self) -> String {
        match self {
            Average::Ewma => "ewma",
            Average::Sma => "sma",
        }
        .to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["ewma", "sma"]
    }
}

impl Value for Profile {
    fn parse(text: &str) -> Result<Profile, String> {
        text.parse().map_err(|error: ProfileError| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Cidr {
    fn parse(text: &str) -> Result<Cidr, String> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => Cidr::from(address),
            Err(_) => text
                .parse::<Cidr>()
                .map_err(|_| "must be an address or a network, like 10.0.0.0/8 or ::1".to_owned())?,
        };
        // Silently widening 10.0.0.5/8 would trust sixteen million peers where one was meant.
        if net.addr() != net.network() {
            return Err(format!("has bits past its prefix: write {} or {}", net.trunc(), net.addr()));
        }
        Ok(net)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for IpAddr {
    fn parse(text: &str) -> Result<IpAddr, String> {
        text.parse().map_err(|_| "must be an IP address, like 127.0.0.1 or ::1".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() {
            return Err("must be the path of a file".to_owned());
        }
        Ok(PathBuf::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// Only ever the target of a health check: anything else that is a string has a type of its own.
impl Value for String {
    fn parse(text: &str) -> Result<String, String> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !text.starts_with('/') || !printable {
            return Err("must be a path that begins with /, like /healthz".to_owned());
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for HostName {
    fn parse(text: &str) -> Result<HostName, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if text.is_empty() || !text.bytes().all(plain) {
            return Err("must be the name of a host without a port, like admin.example".to_owned());
        }
        Ok(HostName(text.to_ascii_lowercase()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl<T: Value> Value for OrNone<T> {
    fn parse(text: &str) -> Result<OrNone<T>, String> {
        if text == "none" {
            return Ok(OrNone(None));
        }
        T::parse(text).map(|value| OrNone(Some(value))).map_err(|why| format!("{why}, or none"))
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(|| "none".to_owned(), Value::show)
    }

    fn is_integer(&self) -> bool {
        self.0.as_ref().is_some_and(Value::is_integer)
    }
}

/// The value that goes by a name, hyphens and underscores being one.
pub(crate) fn choose<T: Copy>(text: &str, named: &[(&'static str, T)]) -> Result<T, String> {
    let plain = text.replace('_', "-");
    named.iter().find(|(name, _)| *name == plain).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        unknown(text, &names)
    })
}

/// What to say of a word that is none of `names`.
fn unknown(text: &str, names: &[&str]) -> String {
    let all = names.join(", ");
    match nearest_value(text, names.iter().copied()) {
        Some(name) => format!("did you mean '{name}'? one of {all}"),
        None => format!("must be one of {all}"),
    }
}

/// The most similar of `names`, if any is similar enough to have been meant.
pub(crate) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let text = text.to_ascii_lowercase().replace('_', "-");
    names
        .map(|name| (strsim::jaro(&text, &name.replace('_', "-")), name))
        .filter(|(similarity, _)| *similarity > 0.7) // clap's own threshold
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The same for values, of which half a name says enough: `ewma`.
pub(crate) fn nearest_value<'n>(text: &str, names: impl Iterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let has_word = |name: &&str| name.split(['-', '_']).any(|word| word.eq_ignore_ascii_case(text));
    nearest(text, names.clone()).or_else(|| names.clone().find(has_word))
}
