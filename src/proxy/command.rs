//! Orders from the page, carried out between two turns.
//!
//! They were checked before they came here; a backend that has gone meanwhile is told as an event and nothing more. A
//! reload undoes them: the file's word is the last.

use std::sync::Arc;

use super::World;
use crate::balance::Variant;
use crate::dashboard::Kind;
use crate::net::Net;
use crate::record::row::Names;

/// What the page may order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// This backend gets no new requests.
    Drain(String),
    /// It does again, slowly at first.
    Enable(String),
    /// Its capacity relative to the others; finite and > 0.
    Weight(String, f64),
    /// Another policy with the options its name tells, which has yet to learn.
    Routing(Variant),
    /// Done elsewhere; only to be told.
    Note(Option<String>, String),
}

impl<N: Net> World<N> {
    /// Carries out what lies ready on the board.
    pub fn obey(&mut self) {
        let Some(board) = self.showing.board.clone() else { return };
        for command in board.take_commands() {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Drain(url) => self.on_backend(&url, |world, backend| {
                // Whoever ordered it saw the figures of a moment ago: two orders could each have left the other.
                if world.upstreams.is_last_open(backend) {
                    return "is the last one that gets requests: not drained".to_owned();
                }
                if !world.upstreams.set_drained(backend, true, world.now) {
                    return "is drained already".to_owned();
                }
                world.close_orphans();
                world.wake_waiting();
                "drained: it gets no new requests".to_owned()
            }),
            Command::Enable(url) => self.on_backend(&url, |world, backend| {
                if !world.upstreams.set_drained(backend, false, world.now) {
                    return "was not drained".to_owned();
                }
                world.wake_waiting();
                world.wake_refused();
                "gets requests again, slowly at first".to_owned()
            }),
            Command::Weight(url, weight) => self.on_backend(&url, |world, backend| {
                world.upstreams.set_weight(backend, weight);
                format!("weight {weight}")
            }),
            Command::Routing(variant) => self.switch(variant),
            Command::Note(url, text) => {
                let backend = url.and_then(|url| self.urls.iter().position(|known| *known == url));
                self.tell(Kind::Control, backend, || text);
            }
        }
    }

    fn on_backend(&mut self, url: &str, act: impl FnOnce(&mut World<N>, usize) -> String) {
        let found = (0..self.upstreams.len())
            .find(|backend| self.upstreams.url(*backend) == url && self.upstreams.is_configured(*backend));
        let text = match found {
            Some(backend) => act(self, backend),
            None => format!("{url} is gone: nothing done"),
        };
        if self.speaks_for_all() {
            tracing::info!(backend = url, text, "ordered on the admin page");
        }
        self.tell(Kind::Control, found, || text);
    }

    /// Another policy from now on. Whether failing backends are put out stays as configured.
    fn switch(&mut self, variant: Variant) {
        if self.variant() == variant {
            return self.tell(Kind::Control, None, || format!("routing is {variant} already"));
        }
        let mut config = (*self.config).clone();
        (config.routing, config.policy_options) = (variant.routing, variant.options());
        self.policy = variant.build(self.upstreams.len());
        self.config = Arc::new(config);
        if let Some(log) = &mut self.log {
            log.set_names(Names { routings: vec![variant.name().to_owned()], backends: self.urls.clone() });
        }
        if self.speaks_for_all() {
            tracing::info!(routing = variant.name(), "routing switched on the admin page");
        }
        self.tell(Kind::Control, None, || format!("routing switched to {variant}"));
    }
}
