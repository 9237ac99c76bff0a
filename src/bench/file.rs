//! The scenario file: tables of scenarios and one of the load, with line and column of whatever is wrong.
//!
//! ```toml
//! [load]                      # the flags of `tidegate bench`, which win over these
//! connections = 100
//! duration = "20s"
//!
//! [[scenario]]
//! name = "queues"
//! routing = ["round-robin", "elastic:tail"]  # each is a scenario of its own; options behind a colon
//! upstream = "persistent"
//! workers = 1                                # threads of the proxy, or "auto"
//! [[scenario.backend]]                       # without any, the original's A, B and C
//! id = "small"
//! latency = "exponential:mean=20ms"
//! concurrency = 2
//! fail-rate = 0.01
//! weight = 1
//! script = "pause.toml"                      # beside this file
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use toml::Spanned;

use super::plan::{BackendPlan, ORIGINAL, Plan, ROUTINGS, keepalive_default, original_backends};
use crate::cli::LoadArgs;
use crate::config::file::{key_of_line, of_key, place, unreadable};
use crate::config::given::Given;
use crate::config::value::{Fraction, Value};
use crate::config::workers::Workers;
use crate::config::{UpstreamMode, Variant};
use crate::emulator::profile::Profile;
use crate::emulator::script::Script;

/// What flags say in place of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Over {
    pub(crate) routings: Option<Vec<Variant>>,
    pub(crate) upstreams: Option<Vec<UpstreamMode>>,
    pub(crate) keepalive: Option<bool>,
}

/// A file as read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) plans: Vec<Plan>,
    pub(crate) load: LoadArgs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    load: LoadArgs,
    scenario: Vec<Spanned<ScenarioTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ScenarioTable {
    name: Spanned<String>,
    routing: Option<Several<Variant>>,
    upstream: Option<Several<UpstreamMode>>,
    client_keepalive: Option<Given<bool>>,
    workers: Option<Given<Workers>>,
    #[serde(default)]
    backend: Vec<BackendTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BackendTable {
    id: Spanned<String>,
    latency: Option<Given<Profile>>,
    concurrency: Option<Spanned<Given<u32>>>,
    fail_rate: Option<Given<Fraction>>,
    script: Option<Spanned<PathBuf>>,
    weight: Option<Spanned<f64>>,
}

/// Reads `path`, `over` it what the flags say. The error is one line.
pub(crate) fn read(path: &Path, over: &Over) -> Result<Read, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| unreadable("scenario", path, &error, "a TOML file with [[scenario]] tables"))?;
    parse(&text, path.parent().unwrap_or(Path::new("")), over).map_err(|(at, why)| {
        let (line, column) = place(&text, at);
        format!("{}:{line}:{column}: {}", path.display(), why.replace('\n', ", "))
    })
}

/// Where in the text, and what is wrong.
type Wrong = (usize, String);

fn parse(text: &str, beside: &Path, over: &Over) -> Result<Read, Wrong> {
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span: Range<usize>| span.start);
        (at, of_key(key_of_line(text, place(text, at).0), error.message()))
    })?;
    if file.scenario.is_empty() {
        return Err((0, "there is no [[scenario]]".to_owned()));
    }
    let mut plans: Vec<Plan> = Vec::new();
    for table in file.scenario {
        let at = table.get_ref().name.span().start;
        for plan in scenarios(table.into_inner(), beside, over, &plans)? {
            if plans.iter().any(|other| other.name == plan.name) {
                return Err((at, format!("name '{}': is there twice", plan.name)));
            }
            plans.push(plan);
        }
    }
    Ok(Read { plans, load: file.load })
}

/// The scenarios of one table: each routing in each mode.
fn scenarios(table: ScenarioTable, beside: &Path, over: &Over, before: &[Plan]) -> Result<Vec<Plan>, Wrong> {
    let (at, name) = (table.name.span().start, table.name.into_inner());
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err((
            at,
            format!("name '{name}': it starts file names: use letters, digits, '-', '_' and '.'"),
        ));
    }
    let backends = match table.backend.is_empty() {
        true => original_backends(),
        false => table.backend.into_iter().map(|one| backend(one, beside)).collect::<Result<_, _>>()?,
    };
    // Scenarios before the same backends are compared with each other, so they share a profile's name.
    let profile = match before.iter().find(|plan| plan.backends == backends) {
        Some(plan) => plan.profile.clone(),
        None if backends == original_backends() => ORIGINAL.to_owned(),
        None => name.clone(),
    };
    let routings = over
        .routings
        .clone()
        .or(table.routing.map(|list| list.0))
        .unwrap_or(ROUTINGS.map(Variant::from).to_vec());
    let modes = over.upstreams.clone().or(table.upstream.map(|list| list.0));
    let modes = modes.unwrap_or_else(|| vec![UpstreamMode::Persistent]);
    let mut plans = Vec::new();
    for upstream in &modes {
        for routing in &routings {
            let by_routing =
                if routings.len() > 1 { format!("_{}", routing.file_name()) } else { String::new() };
            let by_mode = if modes.len() > 1 { format!("_{upstream}") } else { String::new() };
            let keepalive = over.keepalive.or(table.client_keepalive.as_ref().map(|keep| keep.0));
            plans.push(Plan {
                name: format!("{name}{by_routing}{by_mode}"),
                routing: *routing,
                upstream: *upstream,
                client_keepalive: keepalive.unwrap_or(keepalive_default(*upstream)),
                workers: table.workers.as_ref().map_or(Workers::Count(1), |workers| workers.0),
                profile: profile.clone(),
                backends: backends.clone(),
                control: false,
            });
        }
    }
    Ok(plans)
}

fn backend(table: BackendTable, beside: &Path) -> Result<BackendPlan, Wrong> {
    if table.id.get_ref().is_empty() {
        return Err((table.id.span().start, "id '': must not be empty".to_owned()));
    }
    if let Some(limit) = table.concurrency.as_ref().filter(|limit| limit.get_ref().0 == 0) {
        return Err((limit.span().start, "concurrency '0': must be at least 1".to_owned()));
    }
    let weight = table.weight.as_ref().map_or(1.0, |weight| *weight.get_ref());
    if !(0.001..=1000.0).contains(&weight) {
        let at = table.weight.map_or(0, |weight| weight.span().start);
        return Err((at, format!("weight '{weight}': must be a number from 0.001 to 1000")));
    }
    let script = match table.script {
        Some(script) => {
            let path = beside.join(script.get_ref());
            // Now rather than when the backend cannot start.
            Script::read(&path, "").map_err(|why| (script.span().start, format!("script: {why}")))?;
            Some(path)
        }
        None => None,
    };
    Ok(BackendPlan {
        id: table.id.into_inner(),
        latency: table.latency.map(|given| given.0),
        concurrency: table.concurrency.map(|limit| limit.into_inner().0),
        fail_rate: table.fail_rate.map_or(0.0, |share| share.0.0),
        script,
        weight,
    })
}

/// One value, or a list of them.
struct Several<T>(Vec<T>);

impl<'de, T: Value> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Several<T>, D::Error> {
        deserializer.deserialize_any(OneOrList(PhantomData))
    }
}

struct OneOrList<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for OneOrList<T> {
    type Value = Several<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a list of names")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Several<T>, E> {
        let value = T::parse(text).map_err(|why| E::custom(format_args!("'{text}': {why}")))?;
        Ok(Several(vec![value]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Several<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Given(value)) = sequence.next_element::<Given<T>>()? {
            list.push(value);
        }
        if list.is_empty() {
            return Err(de::Error::custom("an empty list names nothing"));
        }
        Ok(Several(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Routing;
    use crate::cli::SCENARIO_FILE;

    fn wrong(text: &str) -> String {
        let (at, why) = parse(text, Path::new(""), &Over::default()).map(|_| ()).unwrap_err();
        let (line, column) = place(text, at);
        format!("{line}:{column}: {why}")
    }

    #[test]
    fn tables_become_scenarios() {
        let text = "[load]\nrate = 500\nduration = \"3s\"\n[[scenario]]\nname = \"six\"\n\
                    [[scenario]]\nname = \"small\"\nrouting = [\"round-robin\", \"elastic:tail\"]\nupstream = \"persistent\"\nworkers = \"auto\"\n\
                    [[scenario.backend]]\nid = \"x\"\nlatency = \"constant:5ms\"\nconcurrency = 2\nweight = 2\n\
                    fail-rate = 0.5\n";
        let read = parse(text, Path::new(""), &Over::default()).unwrap();
        let names: Vec<&str> = read.plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "six_round-robin",
                "six_adaptive_sma",
                "six_adaptive_ewma",
                "small_round-robin",
                "small_elastic-tail"
            ]
        );
        assert_eq!(read.plans[0].profile, ORIGINAL);
        let small = &read.plans[4];
        assert_eq!((small.profile.as_str(), small.client_keepalive), ("small", true));
        assert_eq!((read.plans[0].workers, small.workers), (Workers::Count(1), Workers::Auto));
        let backend = &small.backends[0];
        assert_eq!((backend.concurrency, backend.weight, backend.fail_rate), (Some(2), 2.0, 0.5));
        assert_eq!(read.load.plan().unwrap().rate, Some(500.0));
        let over = Over {
            routings: Some(vec![Variant::from(Routing::Random)]),
            keepalive: Some(false),
            ..Over::default()
        };
        let plans = parse(text, Path::new(""), &over).unwrap().plans;
        assert!(plans.iter().all(|plan| plan.routing == Routing::Random.into() && !plan.client_keepalive));
        assert_eq!(plans[1].name, "small");
    }

    #[test]
    fn the_help_shows_a_file_that_can_be_read() {
        let (scenario, script) = SCENARIO_FILE.split_once("small.toml, a").unwrap();
        let below = |text: &'static str| text.split_once(":\n").unwrap().1;
        let (scenario, script) = (below(scenario), below(script));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("small.toml"), script).unwrap();
        let read = parse(scenario, dir.path(), &Over::default()).unwrap();
        assert_eq!(read.plans.len(), 2);
        assert_eq!(read.load.connections.map(|given| given.0), Some(60));
    }

    #[test]
    fn complaints_have_line_and_column() {
        let scenario = "[[scenario]]\nname = \"a\"\n";
        let rows = [
            ("", "1:1: 'scenario' is missing"),
            ("scenario = []\n", "1:1: there is no [[scenario]]"),
            ("[[scenario]]\nnom = 1\n", "2:1: unknown key 'nom': did you mean 'name'?"),
            ("[lode]\n", "1:2: unknown key 'lode': did you mean 'load'?"),
            ("[load]\nrate = -1\n", "2:8: rate '-1': must be a number of requests a second above 0"),
            ("[load]\nduration = \"3\"\n", "2:12: duration '3': a duration needs a unit"),
            ("[[scenario]]\nname = \"a/b\"\n", "2:8: name 'a/b': it starts file names"),
            (
                &format!("{scenario}routing = \"elastik\"\n"),
                "3:11: routing 'elastik': did you mean 'elastic'?",
            ),
            (&format!("{scenario}workers = 0\n"), "3:11: workers '0': must be 1 to 256, or auto"),
            (&format!("{scenario}[[scenario.backend]]\nid = \"\"\n"), "4:6: id ''"),
            (&format!("{scenario}[[scenario.backend]]\nid = \"x\"\nweight = 0\n"), "5:10: weight '0'"),
            (
                &format!("{scenario}[[scenario.backend]]\nid = \"x\"\nconcurrency = 0\n"),
                "5:15: concurrency '0'",
            ),
            (&format!("{scenario}[[scenario.backend]]\nid = \"x\"\nlatency = \"5\"\n"), "5:11: latency '5'"),
            (&format!("{scenario}{scenario}"), "4:8: name 'a_round-robin': is there twice"),
        ];
        for (text, expected) in rows {
            let found = wrong(text);
            assert!(found.starts_with(expected), "{text:?}: {found}");
        }
    }
}
