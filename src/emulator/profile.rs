//! How long an emulated backend takes: a profile is a distribution, a sampler draws from it.
//!
//! Pure: the seed is an argument, and one seed gives one sequence. The distributions are drawn by inversion from
//! fastrand's uniform numbers (Devroye, "Non-Uniform Random Variate Generation", 1986, II.2), which spares a crate.
//! Absent: sleeping, queueing, and failing on purpose.

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// No sample exceeds this, however heavy the tail.
pub const LATENCY_MAX: Duration = Duration::from_secs(3_600);

/// A distribution of latencies.
#[derive(Clone, Debug, PartialEq)]
pub enum Profile {
    /// Always the same.
    Constant(Duration),
    /// One after the other, from the start again; never empty.
    Cycle(Vec<Duration>),
    /// Evenly between two bounds, `min <= max`.
    Uniform {
        /// Lower bound.
        min: Duration,
        /// Upper bound.
        max: Duration,
    },
    /// The times of a memoryless server.
    Exponential {
        /// Mean.
        mean: Duration,
    },
    /// Its logarithm is normal: a bulk and a moderate tail.
    LogNormal {
        /// Half of the samples are below.
        median: Duration,
        /// Standard deviation of the natural logarithm, >= 0.
        sigma: f64,
    },
    /// A heavy tail: P(latency > x) = (scale / x)^shape.
    Pareto {
        /// The least latency.
        scale: Duration,
        /// Tail exponent, > 0; the mean is finite above 1.
        shape: f64,
        /// Longer samples count as this.
        max: Option<Duration>,
    },
    /// Two speeds.
    Bimodal {
        /// The usual latency.
        fast: Duration,
        /// The other one.
        slow: Duration,
        /// How often it is the other one, 0..=1.
        slow_share: f64,
    },
}

impl Profile {
    /// The latencies of the original system's backends by their id: `A`, `B` or `C`; any other id acts as `A`.
    pub fn for_id(id: &str) -> Profile {
        let millis = |list: &[u64]| Profile::Cycle(list.iter().copied().map(Duration::from_millis).collect());
        match id {
            "B" => millis(&[200]),
            "C" => millis(&[250]),
            _ => millis(&[10, 15, 20, 400, 400, 400, 10, 15, 20]),
        }
    }
}

/// Draws latencies from a [`Profile`].
#[derive(Clone, Debug)]
pub struct Sampler {
    profile: Profile,
    random: fastrand::Rng,
    /// Position in a cycle.
    step: usize,
}

impl Sampler {
    /// A sampler at its beginning; equal seeds give equal sequences.
    pub fn new(profile: Profile, seed: u64) -> Sampler {
        Sampler { profile, random: fastrand::Rng::with_seed(seed), step: 0 }
    }

    /// The latency of the next request, at most [`LATENCY_MAX`].
    pub fn draw(&mut self) -> Duration {
        let random = &mut self.random;
        let drawn = match &self.profile {
            Profile::Constant(always) => *always,
            Profile::Cycle(list) => {
                let now = list.get(self.step).copied().unwrap_or_default();
                self.step = if self.step + 1 < list.len() { self.step + 1 } else { 0 };
                now
            }
            Profile::Uniform { min, max } => *min + scaled(max.saturating_sub(*min), random.f64()),
            Profile::Exponential { mean } => scaled(*mean, -above_zero(random).ln()),
            Profile::LogNormal { median, sigma } => scaled(*median, (sigma * normal(random)).exp()),
            Profile::Pareto { scale, shape, max } => {
                let drawn = scaled(*scale, above_zero(random).powf(-1.0 / shape));
                max.map_or(drawn, |max| drawn.min(max))
            }
            Profile::Bimodal { fast, slow, slow_share } => {
                if random.f64() < *slow_share {
                    *slow
                } else {
                    *fast
                }
            }
        };
        drawn.min(LATENCY_MAX)
    }
}

/// Uniform in (0, 1]: its logarithm is finite.
fn above_zero(random: &mut fastrand::Rng) -> f64 {
    1.0 - random.f64()
}

/// A standard normal number (Box and Muller, 1958). The second one it could give is not kept: a draw costs far less
/// than the request it delays.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * above_zero(random).ln()).sqrt();
    radius * (TAU * random.f64()).cos()
}

/// `span * factor`, kept within 0..=[`LATENCY_MAX`]; an overflowed or undefined product counts as the maximum.
fn scaled(span: Duration, factor: f64) -> Duration {
    let nanos = span.as_nanos() as f64 * factor;
    if nanos < LATENCY_MAX.as_nanos() as f64 { Duration::from_nanos(nanos as u64) } else { LATENCY_MAX }
}

/// Why a text is no profile: what was found and what would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError(String);

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProfileError {}

fn fail<T>(text: String) -> Result<T, ProfileError> {
    Err(ProfileError(text))
}

const FORMS: [(&str, &str); 7] = [
    ("constant", "constant:200ms"),
    ("cycle", "cycle:10ms,15ms,400ms"),
    ("uniform", "uniform:min=5ms,max=15ms"),
    ("exponential", "exponential:mean=10ms"),
    ("lognormal", "lognormal:median=20ms,sigma=0.5"),
    ("pareto", "pareto:scale=5ms,shape=1.5 (and max=10s if wanted)"),
    ("bimodal", "bimodal:fast=10ms,slow=400ms,slow-share=0.1"),
];

impl FromStr for Profile {
    type Err = ProfileError;

    /// Parses `kind:arguments`; a bare duration is constant.
    fn from_str(text: &str) -> Result<Profile, ProfileError> {
        let Some((kind, arguments)) = text.split_once(':') else {
            if text.starts_with(|first: char| first.is_ascii_digit()) {
                return parse_duration(text).map(Profile::Constant).or_else(fail);
            }
            return fail(unknown_kind(text));
        };
        let kind = kind.trim().to_ascii_lowercase();
        let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == kind) else {
            return fail(unknown_kind(&kind));
        };
        parse_kind(&kind, arguments)
            .or_else(|problem| fail(format!("latency profile \"{text}\": {problem}; for example {form}")))
    }
}

fn unknown_kind(kind: &str) -> String {
    let known: Vec<&str> = FORMS.iter().map(|(kind, _)| *kind).collect();
    format!("unknown latency profile \"{kind}\"; known are {}; for example {}", known.join(", "), FORMS[0].1)
}

fn parse_kind(kind: &str, arguments: &str) -> Result<Profile, String> {
    if kind == "constant" {
        return parse_duration(arguments).map(Profile::Constant);
    }
    if kind == "cycle" {
        return arguments.split(',').map(parse_duration).collect::<Result<_, _>>().map(Profile::Cycle);
    }
    let mut named = Named::parse(arguments)?;
    let profile = match kind {
        "uniform" => {
            let (min, max) = (named.duration("min")?, named.duration("max")?);
            if min > max {
                return Err(format!("min={} is above max={}", Text(min), Text(max)));
            }
            Profile::Uniform { min, max }
        }
        "exponential" => Profile::Exponential { mean: named.duration("mean")? },
        "lognormal" => Profile::LogNormal {
            median: named.duration("median")?,
            sigma: named.number("sigma", "0 or more", |sigma| sigma >= 0.0)?,
        },
        "pareto" => Profile::Pareto {
            scale: named.duration("scale")?,
            shape: named.number("shape", "above 0", |shape| shape > 0.0)?,
            max: if named.has("max") { Some(named.duration("max")?) } else { None },
        },
        _ => Profile::Bimodal {
            fast: named.duration("fast")?,
            slow: named.duration("slow")?,
            slow_share: named.number("slow-share", "from 0 to 1", |share| (0.0..=1.0).contains(&share))?,
        },
    };
    named.finish()?;
    Ok(profile)
}

/// `key=value` pairs, each to be taken once.
struct Named<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Named<'t> {
    fn parse(arguments: &'t str) -> Result<Named<'t>, String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for part in arguments.split(',') {
            let Some((key, value)) = part.split_once('=') else {
                return Err(format!("\"{part}\" is not of the form name=value"));
            };
            let (key, value) = (key.trim(), value.trim());
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(format!("{key} is given twice"));
            }
            pairs.push((key, value));
        }
        Ok(Named(pairs))
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == key)
    }

    fn take(&mut self, key: &str) -> Result<&'t str, String> {
        let at = self.0.iter().position(|(known, _)| *known == key).ok_or(format!("{key} is missing"))?;
        Ok(self.0.swap_remove(at).1)
    }

    fn duration(&mut self, key: &str) -> Result<Duration, String> {
        parse_duration(self.take(key)?).map_err(|problem| format!("{key}: {problem}"))
    }

    fn number(&mut self, key: &str, range: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
        let text = self.take(key)?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && fits(*number));
        number.ok_or_else(|| format!("{key}: \"{text}\" is not a number {range}"))
    }

    fn finish(self) -> Result<(), String> {
        self.0.first().map_or(Ok(()), |(key, _)| Err(format!("{key} is not one of its parameters")))
    }
}

const UNITS: [(&str, u64); 5] =
    [("ns", 1), ("us", 1_000), ("\u{b5}s", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];

/// A decimal number and a unit, `1.5ms`, to the nearest nanosecond.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || format!("\"{text}\" is not a duration such as 20ms, 1.5s, 250us or 800ns");
    let number = number.parse::<f64>().map_err(|_| wrong())?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(format!("\"{text}\" lacks its unit; write {text}ms, or use s, us or ns"));
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let nanos = (number * *factor as f64).round();
    if nanos > LATENCY_MAX.as_nanos() as f64 {
        return Err(format!("\"{text}\" is longer than an hour"));
    }
    Ok(Duration::from_nanos(nanos as u64))
}

/// A duration in the largest unit that needs no fraction, so that it parses back to itself.
struct Text(Duration);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos() as u64;
        let whole = UNITS.iter().rev().find(|(_, factor)| nanos.is_multiple_of(*factor));
        let (_, factor) = whole.copied().unwrap_or(UNITS[0]);
        let unit = UNITS.iter().find(|(_, known)| *known == factor).map_or("ns", |(name, _)| name);
        write!(f, "{}{unit}", nanos / factor)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Profile::Constant(always) => write!(f, "constant:{}", Text(*always)),
            Profile::Cycle(list) => {
                for (place, step) in list.iter().enumerate() {
                    write!(f, "{}{}", if place == 0 { "cycle:" } else { "," }, Text(*step))?;
                }
                Ok(())
            }
            Profile::Uniform { min, max } => write!(f, "uniform:min={},max={}", Text(*min), Text(*max)),
            Profile::Exponential { mean } => write!(f, "exponential:mean={}", Text(*mean)),
            Profile::LogNormal { median, sigma } => {
                write!(f, "lognormal:median={},sigma={sigma}", Text(*median))
            }
            Profile::Pareto { scale, shape, max } => {
                write!(f, "pareto:scale={},shape={shape}", Text(*scale))?;
                max.map_or(Ok(()), |max| write!(f, ",max={}", Text(max)))
            }
            Profile::Bimodal { fast, slow, slow_share } => {
                write!(f, "bimodal:fast={},slow={},slow-share={slow_share}", Text(*fast), Text(*slow))
            }
        }
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
