//! Where a backend stands, in one word.

use crate::clock::Time;

const STRIKES_BITS: u32 = 6;
const STATE_BITS: u32 = 2;

/// Whether a backend takes requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It does.
    #[default]
    In,
    /// Not until this time, and then one that tries it.
    Out(Time),
    /// That time is over, and one request of some worker is trying it.
    Trial(Time),
}

/// Place and record of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it takes requests.
    pub place: Place,
    /// How often it was put out of late; at most 63 are told apart.
    pub strikes: u32,
}

impl Standing {
    /// All of it in a word; times to the microsecond. Equal words are the same standing.
    pub fn pack(self) -> u64 {
        let micros = |until: Time| until.as_nanos() / 1_000;
        let (state, until) = match self.place {
            Place::In => (0, 0),
            Place::Out(until) => (1, micros(until)),
            Place::Trial(until) => (2, micros(until)),
        };
        // 2^64 ns are fewer than 2^56 µs, so no bit is lost.
        let strikes = u64::from(self.strikes.min((1 << STRIKES_BITS) - 1));
        until << (STATE_BITS + STRIKES_BITS) | strikes << STATE_BITS | state
    }

    /// What was packed.
    pub fn unpack(word: u64) -> Standing {
        let until = Time::from_nanos((word >> (STATE_BITS + STRIKES_BITS)).saturating_mul(1_000));
        let place = match word & ((1 << STATE_BITS) - 1) {
            1 => Place::Out(until),
            2 => Place::Trial(until),
            _ => Place::In,
        };
        Standing { place, strikes: (word >> STATE_BITS & ((1 << STRIKES_BITS) - 1)) as u32 }
    }
}
