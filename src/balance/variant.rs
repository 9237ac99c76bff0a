//! A policy together with what it is told, under one name: `elastic:tail`, `least-time:sma`.
//!
//! Where several policies are compared in one list (bench, shadows) the name must say all; a proxy has one policy and
//! flags of their own for its options. Absent: the policies.

use std::fmt;
use std::str::FromStr;

use super::routing::{AnyPolicy, Average, Options, Routing, UnknownRouting};

/// What `elastic` makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// The mean latency.
    #[default]
    Mean,
    /// The slow end: mean and spread together.
    Tail,
}

/// A policy and its options. Options that the policy does not heed are at their defaults, so that equals are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Which policy.
    pub routing: Routing,
    options: Options,
}

impl Variant {
    /// Every name there is, in the order help texts list them.
    pub const NAMES: [&'static str; Routing::ALL.len() + 2] = {
        let mut names = [""; Routing::ALL.len() + 2];
        let mut index = 0;
        while index < Routing::ALL.len() {
            names[index] = Routing::ALL[index].name();
            index += 1;
        }
        names[index] = LEAST_TIME_SMA;
        names[index + 1] = ELASTIC_TAIL;
        names
    };

    /// `routing`, told those of `options` that concern it.
    pub fn new(routing: Routing, options: Options) -> Variant {
        let heeded = match routing {
            Routing::Elastic => Options { tail: options.tail, ..Options::default() },
            Routing::LeastTime => Options { average: options.average, ..Options::default() },
            _ => Options::default(),
        };
        Variant { routing, options: heeded }
    }

    /// What the policy is told.
    pub const fn options(self) -> Options {
        self.options
    }

    /// The canonical name: that of the routing, and behind a colon the option that is not the default.
    pub const fn name(self) -> &'static str {
        match (self.routing, self.options) {
            (Routing::Elastic, Options { tail: true, .. }) => ELASTIC_TAIL,
            (Routing::LeastTime, Options { average: Average::Sma, .. }) => LEAST_TIME_SMA,
            (routing, _) => routing.name(),
        }
    }

    /// The name as a part of file names: no colon.
    pub const fn file_name(self) -> &'static str {
        match (self.routing, self.options) {
            (Routing::Elastic, Options { tail: true, .. }) => "elastic-tail",
            (Routing::LeastTime, Options { average: Average::Sma, .. }) => "least-time-sma",
            (routing, _) => routing.name(),
        }
    }

    /// The policy itself, for `backends` backends.
    pub fn build(self, backends: usize) -> AnyPolicy {
        self.routing.build(backends, self.options)
    }
}

const ELASTIC_TAIL: &str = "elastic:tail";
const LEAST_TIME_SMA: &str = "least-time:sma";

impl From<Routing> for Variant {
    fn from(routing: Routing) -> Variant {
        Variant::new(routing, Options::default())
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Variant {
    type Err = UnknownRouting;

    /// A routing's name, or that and `:tail` or `:mean` (elastic), `:sma` or `:ewma` (least-time).
    fn from_str(name: &str) -> Result<Variant, UnknownRouting> {
        let Some((routing, option)) = name.split_once(':') else {
            return name.parse::<Routing>().map(Variant::from);
        };
        let unknown = || UnknownRouting { name: name.to_owned() };
        let routing = routing.parse::<Routing>().map_err(|_| unknown())?;
        let options = match (routing, option) {
            (Routing::Elastic, "tail") => Options { tail: true, ..Options::default() },
            (Routing::LeastTime, "sma") => Options { average: Average::Sma, ..Options::default() },
            (Routing::Elastic, "mean") | (Routing::LeastTime, "ewma") => Options::default(),
            _ => return Err(unknown()),
        };
        Ok(Variant::new(routing, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_others_are_refused() {
        for name in Variant::NAMES {
            let variant: Variant = name.parse().unwrap();
            assert_eq!((variant.name(), variant.to_string().as_str()), (name, name));
            assert_eq!(variant.file_name(), name.replace(':', "-"));
            assert_eq!(Variant::new(variant.routing, variant.options()), variant);
            assert_eq!(variant.build(3).routing(), variant.routing);
        }
        assert_eq!("elastic:mean".parse(), Ok(Variant::from(Routing::Elastic)));
        assert_eq!("least_time:ewma".parse(), Ok(Variant::from(Routing::LeastTime)));
        for wrong in
            ["", ":", "elastic:", "elastic:sma", "p2c:tail", ":tail", "elastic:tail:tail", "elastic tail"]
        {
            assert!(wrong.parse::<Variant>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_that_do_not_concern_it_are_forgotten() {
        let all = Options { tail: true, average: Average::Sma };
        assert_eq!(Variant::new(Routing::TwoChoices, all), Variant::from(Routing::TwoChoices));
        assert_eq!(
            Variant::new(Routing::Elastic, all).options(),
            Options { tail: true, ..Options::default() }
        );
        assert_eq!(Variant::new(Routing::LeastTime, all).name(), "least-time:sma");
    }
}
