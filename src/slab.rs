//! A slab whose keys know when they are out of date.
//!
//! The `slab` crate reuses slots at once, and events already harvested for a closed socket still arrive (mio issue
//! 219). So every entry carries the value of an insertion counter, a [`Key`] carries both slot and counter, and a
//! look-up with an old key finds `None`. Nothing here knows what is stored.

use std::fmt;

/// Names one entry for as long as it lives, and nothing afterwards.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// A key no slab ever hands out: a slab would have to hold four thousand million entries first.
    pub const NONE: Key = Key { slot: u32::MAX, generation: u32::MAX };

    /// The key as one word, for an event token: generation above, slot below.
    pub fn to_token(self) -> usize {
        ((self.generation as usize) << 32) | self.slot as usize
    }

    /// The key a token was made from.
    pub fn from_token(token: usize) -> Key {
        Key { slot: token as u32, generation: (token >> 32) as u32 }
    }

    /// The slot number: small and dense, for display and for tables beside the slab.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.slot, self.generation)
    }
}

/// Entries of one kind under generational keys.
#[derive(Debug)]
pub struct Slab<T> {
    entries: slab::Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { entries: slab::Slab::new(), generation: 0 }
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    pub fn new() -> Self {
        Slab::default()
    }

    /// The key the next [`insert`](Slab::insert) will return, for values that must know their own name.
    pub fn next_key(&self) -> Key {
        Key { slot: self.entries.vacant_key() as u32, generation: self.generation }
    }

    /// Stores `value` and names it.
    pub fn insert(&mut self, value: T) -> Key {
        let generation = self.generation;
        self.generation = self.generation.wrapping_add(1);
        Key { slot: self.entries.insert((generation, value)) as u32, generation }
    }

    /// The entry, unless the key is out of date.
    pub fn get(&self, key: Key) -> Option<&T> {
        match self.entries.get(key.slot as usize) {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// The entry for change, unless the key is out of date.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.entries.get_mut(key.slot as usize) {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Takes the entry out; `None` when the key is out of date.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.entries.try_remove(key.slot as usize).map(|(_, value)| value)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry with its key, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.entries
            .iter()
            .map(|(slot, (generation, value))| (Key { slot: slot as u32, generation: *generation }, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_old_key_finds_nothing_in_a_reused_slot() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second");
        assert_eq!(first.slot(), second.slot());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn a_token_is_the_key() {
        let mut slab = Slab::new();
        slab.insert(0);
        let expected = slab.next_key();
        let key = slab.insert(1);
        assert_eq!(key, expected);
        assert_eq!(Key::from_token(key.to_token()), key);
        assert_eq!(Key::from_token(Key::NONE.to_token()), Key::NONE);
        assert_eq!(slab.get(Key::NONE), None);
    }

    proptest! {
        /// Any order of inserts and removes agrees with a map that never reuses a name.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), any::<u8>()), 1..200)) {
            let mut slab = Slab::new();
            let mut model: Vec<(Key, u8, bool)> = Vec::new();
            for (insert, value) in steps {
                if insert || model.is_empty() {
                    model.push((slab.insert(value), value, true));
                } else {
                    let chosen = value as usize % model.len();
                    let (key, stored, live) = model[chosen];
                    prop_assert_eq!(slab.remove(key), live.then_some(stored));
                    model[chosen].2 = false;
                }
                prop_assert_eq!(slab.len(), model.iter().filter(|entry| entry.2).count());
                for (key, stored, live) in &model {
                    prop_assert_eq!(slab.get(*key).copied(), live.then_some(*stored));
                }
            }
        }
    }
}
