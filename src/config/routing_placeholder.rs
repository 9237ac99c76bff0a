//! The names of the routing policies, until the policies themselves bring their own `Routing`.
//!
//! Only names: no state and no decision is made here.

use std::fmt;
use std::str::FromStr;

/// Which policy chooses the backend of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each variant is the policy of that name in the routing documentation
pub enum Routing {
    RoundRobin,
    AdaptiveSma,
    AdaptiveEwma,
    Random,
    LeastConnections,
    P2c,
    PeakEwma,
    LeastTime,
    Elastic,
}

const NAMED: [(Routing, &str); 9] = [
    (Routing::RoundRobin, "round-robin"),
    (Routing::AdaptiveSma, "adaptive_sma"),
    (Routing::AdaptiveEwma, "adaptive_ewma"),
    (Routing::Random, "random"),
    (Routing::LeastConnections, "least-connections"),
    (Routing::P2c, "p2c"),
    (Routing::PeakEwma, "peak-ewma"),
    (Routing::LeastTime, "least-time"),
    (Routing::Elastic, "elastic"),
];

impl fmt::Display for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMED.iter().find(|(routing, _)| routing == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Routing {
    type Err = String;

    /// Takes a canonical name, hyphens and underscores being one.
    fn from_str(text: &str) -> Result<Routing, String> {
        let plain = |name: &str| name.replace('_', "-");
        NAMED
            .iter()
            .find(|(_, name)| plain(name) == plain(text))
            .map(|(routing, _)| *routing)
            .ok_or_else(|| "unknown routing".to_owned())
    }
}
