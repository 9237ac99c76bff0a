//! Places in service, and the queue before them.
//!
//! The latency of a request is known when it arrives, so when it will be done follows at once from when those before
//! it will be: a queue without waiting rooms, and without a timer's lateness adding up from one request to the next.
//! A client that leaves does not give up its place; a server seldom notices either.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::clock::Time;

/// A first-come, first-served queue before some places, or before as many as it takes.
#[derive(Debug)]
pub(super) struct Service {
    places: Option<usize>,
    /// When each place that was ever taken comes free.
    free_at: BinaryHeap<Reverse<Time>>,
}

impl Service {
    /// `places` is at least 1; `None` stands for unlimited.
    pub(super) fn new(places: Option<usize>) -> Service {
        Service { places, free_at: BinaryHeap::new() }
    }

    /// When a request that arrives now and takes so long will be done. To be called in order of arrival.
    pub(super) fn admit(&mut self, now: Time, latency: Duration) -> Time {
        let Some(places) = self.places else { return now.plus(latency) };
        let taken = self.free_at.len();
        let begin = match self.free_at.peek() {
            Some(Reverse(free)) if *free <= now || taken >= places => (*free).max(now),
            _ => {
                self.free_at.push(Reverse(now.plus(latency)));
                return now.plus(latency);
            }
        };
        let end = begin.plus(latency);
        if let Some(mut place) = self.free_at.peek_mut() {
            *place = Reverse(end);
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Arrival and latency in, the end of service out, all in milliseconds.
    fn check(places: Option<usize>, rows: &[(u64, u64, u64)]) {
        let mut service = Service::new(places);
        for (arrival, latency, end) in rows {
            let found = service.admit(Time::from_millis(*arrival), ms(*latency));
            assert_eq!(found, Time::from_millis(*end), "{places:?}: {arrival} {latency}");
        }
    }

    #[test]
    fn unlimited_service_never_waits() {
        check(None, &[(0, 10, 10), (0, 10, 10), (5, 0, 5)]);
    }

    #[test]
    fn one_place_serves_in_order() {
        check(Some(1), &[(0, 10, 10), (1, 5, 15), (2, 1, 16), (20, 5, 25), (25, 0, 25)]);
    }

    #[test]
    fn further_places_are_used_before_anyone_waits() {
        check(
            Some(2),
            &[(0, 10, 10), (0, 20, 20), (1, 5, 15), (2, 1, 16), (3, 10, 26), (26, 1, 27), (26, 1, 27)],
        );
    }
}
