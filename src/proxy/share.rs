//! One worker of several: what it hears from the others before it acts, and what it tells them.
//!
//! It listens once a turn, not once a request. Alone there is nobody to tell, and all of this is an `Option` that is
//! `None`. Absent: how news travels (bulletin/), and who the workers are (run/).

use super::World;
use crate::balance::{Observation, Policy};
use crate::bulletin::{Member, News, Standing};
use crate::net::Net;
use crate::reactor::Control;
use crate::upstream::Entered;
use crate::upstream::health::{Change, Usable, Verdict};

/// A worker's dealings with the others.
#[derive(Debug)]
pub(super) struct Sharing {
    pub(super) member: Member,
    /// For orders to the others.
    pub(super) peers: Option<Control>,
}

impl<N: Net> World<N> {
    /// Makes this one of several workers; `peers` gives orders to the others.
    pub fn join(&mut self, mut member: Member, peers: Option<Control>) {
        member.enrol((0..self.upstreams.len()).map(|backend| self.upstreams.address(backend)));
        self.sharing = Some(Box::new(Sharing { member, peers }));
    }

    /// Takes in what the others have told since the last time.
    pub(super) fn hear(&mut self) {
        let Some(mut sharing) = self.sharing.take() else { return };
        let member = &mut sharing.member;
        member.hear(|backend, entry| match entry.news {
            News::Seen(seen) => {
                let seen = Observation { backend, ..seen };
                self.policy.observe_elsewhere(self.upstreams.candidates(), &seen, entry.at);
                self.shadows.observe_elsewhere(self.upstreams.candidates(), &seen, entry.at);
            }
            News::Judged(verdict) => self.upstreams.hear(backend, verdict),
        });
        for backend in 0..self.upstreams.len() {
            if let Some(standing) = member.changed(backend)
                && self.follow(backend, standing)
            {
                self.wake_waiting();
                self.wake_refused();
            }
            let down = member.is_down(backend);
            if down != self.upstreams.is_down(backend) && self.upstreams.set_down(backend, down) {
                self.close_orphans();
                self.wake_waiting();
                self.wake_refused();
            }
            self.upstreams.set_elsewhere(backend, member.in_flight_elsewhere(backend));
        }
        self.sharing = Some(sharing);
    }

    /// Shows the others what is in flight here.
    pub(super) fn tell_in_flight(&mut self) {
        if let Some(sharing) = &mut self.sharing {
            for backend in 0..self.upstreams.len() {
                sharing.member.tell_in_flight(backend, self.upstreams.in_flight(backend));
            }
        }
    }

    /// Whether a request picked for this backend may go there. When the backend is due for its trial, one request of
    /// one worker may, and another worker's may have been quicker than this one: then pick again.
    pub fn may_enter(&mut self, backend: usize) -> bool {
        self.sharing.is_none() || self.claim(backend)
    }

    fn claim(&mut self, backend: usize) -> bool {
        let mut health = *self.upstreams.health(backend);
        if health.usable(self.now) != Usable::Trial {
            return true;
        }
        health.dispatched(self.now); // a copy: the table does the same when the request is entered
        let Some(sharing) = &mut self.sharing else { return true };
        let Err(standing) = sharing.member.agree(backend, health.to_share()) else { return true };
        self.follow(backend, standing);
        self.upstreams.is_used_though_out(backend)
            || self.upstreams.health(backend).usable(self.now) == Usable::Yes
    }

    /// Tells the others what was observed here.
    pub(super) fn share_observation(&mut self, seen: &Observation) {
        if let Some(sharing) = &self.sharing {
            sharing.member.post(seen.backend, News::Seen(*seen), self.now);
        }
    }

    /// Tells the others a verdict, and the change that it brought about here. Returns that change unless another
    /// worker has moved the backend meanwhile.
    pub(super) fn share_verdict(
        &mut self,
        backend: usize,
        entered: Entered,
        verdict: Verdict,
        change: Option<Change>,
    ) -> Option<Change> {
        if let Some(sharing) = &self.sharing {
            sharing.member.post(backend, News::Judged(verdict), self.now);
        }
        // A trial that told nothing is no change, but lets another one begin.
        let moved = change.is_some() || entered.trial;
        if !moved || self.share_standing(backend) { change } else { None }
    }

    /// After anything that may have moved a backend: has the others follow. False: they have moved it themselves.
    pub(super) fn share_standing(&mut self, backend: usize) -> bool {
        let Some(sharing) = &mut self.sharing else { return true };
        let standing = self.upstreams.health(backend).to_share();
        let Err(instead) = sharing.member.agree(backend, standing) else { return true };
        self.follow(backend, instead);
        false
    }

    /// Others have moved a backend. True when it is back in.
    fn follow(&mut self, backend: usize, standing: Standing) -> bool {
        let is_back = self.upstreams.adopt_standing(backend, standing);
        self.close_orphans();
        is_back
    }

    /// Tells the others the outcome of the active checks, which one worker makes for all.
    pub(super) fn share_down(&mut self, backend: usize) {
        if let Some(sharing) = &self.sharing {
            sharing.member.tell_down(backend, self.upstreams.is_down(backend));
        }
    }

    /// After a reload: names the backends anew.
    pub(super) fn enrol_again(&mut self) {
        let Some(mut sharing) = self.sharing.take() else { return };
        sharing.member.enrol((0..self.upstreams.len()).map(|backend| self.upstreams.address(backend)));
        let checks = sharing.member.worker() == 0;
        self.sharing = Some(sharing);
        if checks {
            // Who makes the checks knows whether there are any now.
            (0..self.upstreams.len()).for_each(|backend| self.share_down(backend));
        }
        if !self.config.ejection {
            (0..self.upstreams.len()).for_each(|backend| {
                self.share_standing(backend); // all are in
            });
        }
        self.hear();
    }

    /// Whether this worker says what all of them do.
    pub(super) fn speaks_for_all(&self) -> bool {
        self.sharing.as_ref().is_none_or(|sharing| sharing.member.worker() == 0)
    }

    /// Client connections of all workers.
    pub(super) fn clients_everywhere(&self, own: usize) -> usize {
        self.sharing.as_ref().map_or(own, |sharing| sharing.member.clients())
    }
}
