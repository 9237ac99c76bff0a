//! A scenario's backends: the very emulators that `tidegate backend` runs, told the time instead of serving sockets.

use std::time::Duration;

use super::world::{Begun, Origins};
use crate::bench::Seeds;
use crate::bench::plan::BackendPlan;
use crate::clock::Time;
use crate::config::EmulatorConfig;
use crate::emulator::Emulator;
use crate::emulator::script::Script;

/// What a failing emulator answers with.
const FAILS: u16 = 500;

/// A scenario's backends before any round.
#[derive(Debug)]
pub(super) struct Cast {
    roles: Vec<(EmulatorConfig, Script)>,
}

impl Cast {
    /// Reads their scripts. The error is one line.
    pub(super) fn new(plans: &[BackendPlan]) -> Result<Cast, String> {
        let role = |plan: &BackendPlan| {
            let script =
                plan.script.as_deref().map_or(Ok(Script::default()), |path| Script::read(path, "script"))?;
            let config = EmulatorConfig {
                latency: plan.latency.clone(),
                concurrency: plan.concurrency.map(|limit| limit as usize),
                fail_rate: plan.fail_rate,
                ..EmulatorConfig::original(&plan.id, super::nowhere(0))
            };
            Emulator::new(&config).map_err(|error| format!("{}: {error}", plan.id))?; // so that none fails later
            Ok::<_, String>((config, script))
        };
        plans.iter().map(role).collect::<Result<_, _>>().map(|roles| Cast { roles })
    }

    /// The backends of one round, new.
    pub(super) fn of_round(&self, seeds: Seeds) -> Emulated {
        let backend = |(place, (config, script)): (usize, &(EmulatorConfig, Script))| {
            let config = EmulatorConfig { seed: Some(seeds.backend(place)), ..config.clone() };
            let emulator = Emulator::scripted(&config, script, Duration::ZERO).ok();
            Backend { config, script: script.clone(), emulator }
        };
        Emulated { backends: self.roles.iter().enumerate().map(backend).collect() }
    }
}

/// Of one round.
#[derive(Debug)]
pub(super) struct Emulated {
    backends: Vec<Backend>,
}

#[derive(Debug)]
struct Backend {
    config: EmulatorConfig,
    script: Script,
    /// None while it is gone.
    emulator: Option<Emulator>,
}

impl Origins for Emulated {
    fn begin(&mut self, backend: usize, now: Time) -> Begun {
        let Some(emulator) = &mut self.backends[backend].emulator else { return Begun::Refused };
        let work = emulator.work(now);
        Begun::Answer(work.delay, if work.fails { FAILS } else { 200 })
    }

    fn switches(&self) -> Vec<(Time, usize, bool)> {
        let of = |(index, backend): (usize, &Backend)| -> Vec<(Time, usize, bool)> {
            let each = backend.script.listens().iter();
            each.map(|(at, listens)| (Time::ZERO.plus(*at), index, *listens)).collect()
        };
        let mut all: Vec<_> = self.backends.iter().enumerate().flat_map(of).collect();
        all.sort_by_key(|(at, ..)| *at);
        all
    }

    fn switch(&mut self, backend: usize, listens: bool) {
        let it = &mut self.backends[backend];
        match (listens, it.emulator.is_some()) {
            // With nothing remembered; the changes that are due by now are made at its first request.
            (true, false) => it.emulator = Emulator::scripted(&it.config, &it.script, Duration::ZERO).ok(),
            (false, true) => it.emulator = None,
            _ => {}
        }
    }
}
