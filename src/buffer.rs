//! Bytes on their way through, and the free list they are borrowed from.
//!
//! A [`Buffer`] is three stretches of one allocation: `ready` bytes that may be sent as they stand, `raw` bytes that
//! were read but not yet understood, and room for more. Bodies are re-framed in place by moving the boundary between
//! the first two, so a body byte is copied from the kernel and to the kernel and nowhere between.
//!
//! An idle connection owns no buffer: [`Buffer::default`] has no allocation. [`Pool`] hands out the block used last
//! (it is still in the cache) in a few sizes, so a fast exchange reads into 72 KiB that a thousand others share, and a
//! stalled one is moved to the smallest block that holds what it has left. Nothing here reads or writes a socket.

/// A block borrowed from a [`Pool`], or none at all.
///
/// Laid out as `start..ready` (may be sent), a gap left by dropped bytes, `raw..end` (read, not yet understood).
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    ready: usize,
    raw: usize,
    end: usize,
}

impl Buffer {
    /// Bytes that may be sent as they are.
    pub fn ready(&self) -> &[u8] {
        &self.bytes[self.start..self.ready]
    }

    /// How many there are of those; cheaper than to ask the slice, whose bounds are checked.
    pub fn ready_len(&self) -> usize {
        self.ready - self.start
    }

    /// The same bytes but for the first `count`.
    pub fn ready_behind(&self, count: usize) -> &[u8] {
        &self.bytes[self.start + count..self.ready]
    }

    /// Bytes read but not yet passed on to `ready`.
    pub fn raw(&self) -> &[u8] {
        &self.bytes[self.raw..self.end]
    }

    /// How many there are of those.
    pub fn raw_len(&self) -> usize {
        self.end - self.raw
    }

    /// Whether there is nothing in it at all.
    pub fn is_empty(&self) -> bool {
        self.start == self.ready && self.raw == self.end
    }

    /// Whether the socket may be read into it now.
    pub fn has_room(&self) -> bool {
        self.end < self.bytes.len()
    }

    /// Size of the block behind it; 0 for none.
    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes in it, ready and raw.
    pub fn len(&self) -> usize {
        self.ready - self.start + self.end - self.raw
    }

    /// Room for a read. Never empty when [`has_room`](Buffer::has_room): a read into nothing looks like an end of file.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were read into [`spare`](Buffer::spare).
    pub fn commit(&mut self, count: usize) {
        debug_assert!(self.end + count <= self.bytes.len());
        self.end += count;
    }

    /// The first `count` raw bytes may be sent as they stand. They move down over the gap, if there is one, so that
    /// taking a body apart costs each byte one move at most, however many pieces it comes in.
    pub fn clear_to_send(&mut self, count: usize) {
        debug_assert!(self.raw + count <= self.end);
        if self.ready != self.raw {
            self.bytes.copy_within(self.raw..self.raw + count, self.ready);
        }
        self.ready += count;
        self.raw += count;
    }

    /// The first `count` raw bytes are not for the other side.
    pub fn drop_raw(&mut self, count: usize) {
        debug_assert!(self.raw + count <= self.end);
        self.raw += count;
        if self.start == self.ready {
            (self.start, self.ready) = (self.raw, self.raw);
        }
        self.rewind_if_empty();
    }

    /// Puts `text` in front of the raw bytes, cleared to send; `false` (and nothing done) when there is no room.
    pub fn insert_ready(&mut self, text: &[u8]) -> bool {
        if self.raw - self.ready < text.len() && !self.widen_gap(text.len()) {
            return false;
        }
        self.bytes[self.ready..self.ready + text.len()].copy_from_slice(text);
        self.ready += text.len();
        true
    }

    /// `count` ready bytes were sent.
    pub fn sent(&mut self, count: usize) {
        debug_assert!(self.start + count <= self.ready);
        self.start += count;
        if self.start == self.ready {
            (self.start, self.ready) = (self.raw, self.raw);
        }
        self.rewind_if_empty();
    }

    /// Moves everything to the front of the block, making all the room there is usable.
    pub fn compact(&mut self) {
        let (ready, raw) = (self.ready - self.start, self.end - self.raw);
        self.bytes.copy_within(self.start..self.ready, 0);
        self.bytes.copy_within(self.raw..self.end, ready);
        (self.start, self.ready, self.raw, self.end) = (0, ready, ready, ready + raw);
    }

    fn widen_gap(&mut self, wanted: usize) -> bool {
        if self.bytes.len() - self.len() < wanted {
            return false;
        }
        if self.bytes.len() - self.end < wanted {
            self.compact();
        }
        self.bytes.copy_within(self.raw..self.end, self.ready + wanted);
        self.end = self.ready + wanted + (self.end - self.raw);
        self.raw = self.ready + wanted;
        true
    }

    fn rewind_if_empty(&mut self) {
        if self.is_empty() {
            (self.start, self.ready, self.raw, self.end) = (0, 0, 0, 0);
        }
    }
}

/// Sizes of the blocks handed out. The smallest holds a trickled head, 72 KiB is one read's worth of an ordinary
/// message (64 KiB of body and its head), the largest are for bodies that have shown to be large and to be taken fast.
pub const SIZES: [usize; 5] = [1024, 16 * 1024, 72 * 1024, 256 * 1024, 512 * 1024];
/// Free blocks kept per size; more are given back to the allocator. Together at most 29 MiB, and only for
/// some seconds after a burst: see [`Pool::free_spare`].
const KEPT: [usize; 5] = [4096, 512, 128, 16, 8];

/// Free blocks kept per size however long nobody needs them: under 1 MiB.
const AT_REST: [usize; 5] = [64, 16, 8, 0, 0];

/// Free lists of blocks, last in first out.
#[derive(Debug, Default)]
pub struct Pool {
    free: [Vec<Box<[u8]>>; SIZES.len()],
    lent: usize,
    /// Bytes taken from the allocator since that was last asked.
    grown: usize,
    /// Blocks that were free whenever that was looked at, by size.
    spare: [usize; SIZES.len()],
}

impl Pool {
    /// Lends a block of at least `size` bytes (at most the largest of [`SIZES`]).
    pub fn take(&mut self, size: usize) -> Buffer {
        let class = SIZES.iter().position(|have| *have >= size).unwrap_or(SIZES.len() - 1);
        self.take_class(class)
    }

    /// Lends a block of the size at this index of [`SIZES`].
    #[inline]
    pub fn take_class(&mut self, class: usize) -> Buffer {
        self.lent += SIZES[class];
        let bytes = match self.free[class].pop() {
            Some(bytes) => bytes,
            None => self.fresh(SIZES[class]),
        };
        Buffer { bytes, start: 0, ready: 0, raw: 0, end: 0 }
    }

    /// Takes a block back, leaving the holder with none. What was in it is forgotten.
    #[inline]
    pub fn give(&mut self, buffer: &mut Buffer) {
        if buffer.capacity() > 0 {
            self.put_back(buffer);
        }
    }

    fn put_back(&mut self, buffer: &mut Buffer) {
        let bytes = std::mem::take(buffer).bytes;
        if let Some(class) = SIZES.iter().position(|size| *size == bytes.len()) {
            self.lent -= bytes.len();
            if self.free[class].len() < KEPT[class] {
                self.free[class].push(bytes);
            }
        }
    }

    /// Moves what is in `buffer` to a block of at least `size` bytes, when that is not what it has already.
    pub fn resize(&mut self, buffer: &mut Buffer, size: usize) {
        let mut other = self.take(size.max(buffer.len()));
        if other.capacity() != buffer.capacity() {
            let (ready, len) = (buffer.ready().len(), buffer.len());
            other.bytes[..ready].copy_from_slice(buffer.ready());
            other.bytes[ready..len].copy_from_slice(buffer.raw());
            (other.ready, other.raw, other.end) = (ready, ready, len);
            std::mem::swap(buffer, &mut other);
        }
        self.give(&mut other);
    }

    /// Before a wait of unknown length: an empty buffer is given back, a nearly empty one shrunk to the smallest block
    /// that holds what is left.
    pub fn park(&mut self, buffer: &mut Buffer) {
        if buffer.is_empty() {
            self.give(buffer);
        } else if buffer.capacity() > SIZES[0] {
            self.resize(buffer, buffer.len());
        }
    }

    #[cold]
    fn fresh(&mut self, size: usize) -> Box<[u8]> {
        self.grown += size;
        vec![0; size].into_boxed_slice()
    }

    /// So many bytes were taken from the allocator by who keeps a free list beside this one.
    pub fn note_growth(&mut self, bytes: usize) {
        self.grown += bytes;
    }

    /// Whether anything was taken from the allocator since that was last asked.
    pub fn has_grown(&self) -> bool {
        self.grown > 0
    }

    /// How many bytes were, since the last time.
    pub fn take_growth(&mut self) -> usize {
        std::mem::take(&mut self.grown)
    }

    /// Forgets how many blocks could be spared.
    pub fn count_spare_anew(&mut self) {
        self.spare = [usize::MAX; SIZES.len()];
    }

    /// Blocks that are in use now cannot be spared.
    pub fn count_spare(&mut self) {
        for (spare, free) in self.spare.iter_mut().zip(&self.free) {
            *spare = (*spare).min(free.len());
        }
    }

    /// Frees the blocks that could be spared at every count, but for [`AT_REST`]: those that have waited longest.
    pub fn free_spare(&mut self) {
        for ((free, spare), at_rest) in self.free.iter_mut().zip(self.spare).zip(AT_REST) {
            let count = spare.min(free.len().saturating_sub(at_rest));
            free.drain(..count);
        }
        self.spare = [0; SIZES.len()];
    }

    /// Bytes of all blocks lent at present, for the memory gauge and the leak sweep.
    pub fn lent(&self) -> usize {
        self.lent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(pool: &mut Pool, text: &[u8]) -> Buffer {
        let mut buffer = pool.take(1);
        buffer.spare()[..text.len()].copy_from_slice(text);
        buffer.commit(text.len());
        buffer
    }

    #[test]
    fn raw_bytes_become_ready_and_leave() {
        let mut pool = Pool::default();
        let mut buffer = filled(&mut pool, b"headBODYnext");
        buffer.drop_raw(4);
        buffer.clear_to_send(4);
        assert_eq!((buffer.ready(), buffer.raw()), (&b"BODY"[..], &b"next"[..]));
        buffer.drop_raw(1);
        assert_eq!((buffer.ready(), buffer.raw()), (&b"BODY"[..], &b"ext"[..]));
        buffer.sent(4);
        buffer.drop_raw(3);
        assert!(buffer.is_empty());
        pool.give(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        assert_eq!(pool.lent(), 0);
    }

    #[test]
    fn text_goes_between_ready_and_raw() {
        let mut pool = Pool::default();
        let mut buffer = filled(&mut pool, b"abcd");
        buffer.clear_to_send(2);
        assert!(buffer.insert_ready(b"--"));
        assert_eq!(buffer.len(), 6);
        assert_eq!((buffer.ready(), buffer.raw()), (&b"ab--"[..], &b"cd"[..]));
        let rest = buffer.spare().len();
        buffer.commit(rest);
        assert!(!buffer.has_room());
        assert!(!buffer.insert_ready(b"x"));
    }

    #[test]
    fn parking_keeps_the_bytes_and_gives_up_the_room() {
        let mut pool = Pool::default();
        let mut buffer = pool.take(64 * 1024);
        buffer.spare()[..5].copy_from_slice(b"a1b2c");
        buffer.commit(5);
        buffer.clear_to_send(2);
        pool.park(&mut buffer);
        assert_eq!(buffer.capacity(), 1024);
        assert_eq!((buffer.ready(), buffer.raw()), (&b"a1"[..], &b"b2c"[..]));
        pool.resize(&mut buffer, 256 * 1024);
        assert_eq!(buffer.capacity(), 256 * 1024);
        assert_eq!((buffer.ready(), buffer.raw()), (&b"a1"[..], &b"b2c"[..]));
        assert_eq!(pool.lent(), 256 * 1024);
    }

    #[test]
    fn what_nobody_has_needed_is_freed_and_what_somebody_has_is_not() {
        let mut pool = Pool::default();
        let burst = |pool: &mut Pool, count: usize| {
            let mut lent: Vec<Buffer> = (0..count).map(|_| pool.take_class(1)).collect();
            lent.iter_mut().for_each(|buffer| pool.give(buffer));
        };
        burst(&mut pool, 300);
        assert_eq!((pool.take_growth(), pool.has_grown()), (300 * SIZES[1], false));
        pool.count_spare_anew();
        let mut used: Vec<Buffer> = (0..40).map(|_| pool.take_class(1)).collect();
        pool.count_spare();
        used.iter_mut().for_each(|buffer| pool.give(buffer));
        pool.count_spare();
        pool.free_spare();
        assert_eq!(pool.free[1].len(), 40, "what was used at one count of two");
        pool.count_spare_anew();
        pool.count_spare();
        pool.free_spare();
        assert_eq!(pool.free[1].len(), AT_REST[1]);
        burst(&mut pool, AT_REST[1]);
        assert!(!pool.has_grown());
        pool.free_spare();
        assert_eq!(pool.free[1].len(), AT_REST[1], "nothing was counted");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Fill(Vec<u8>),
        Clear(usize),
        Drop(usize),
        Insert(Vec<u8>),
        Send(usize),
        Compact,
        Park,
        Grow,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            bytes.prop_map(Step::Fill),
            (0usize..300).prop_map(Step::Clear),
            (0usize..300).prop_map(Step::Drop),
            prop::collection::vec(any::<u8>(), 0..12).prop_map(Step::Insert),
            (0usize..300).prop_map(Step::Send),
            Just(Step::Compact),
            Just(Step::Park),
            Just(Step::Grow),
        ]
    }

    proptest! {
        /// Any order of operations agrees with two plain vectors.
        #[test]
        fn agrees_with_two_vectors(steps in prop::collection::vec(step(), 1..120)) {
            let mut pool = Pool::default();
            let mut buffer = Buffer::default();
            let (mut ready, mut raw) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Fill(bytes) => {
                        let room = buffer.spare();
                        let taken = bytes.len().min(room.len());
                        room[..taken].copy_from_slice(&bytes[..taken]);
                        buffer.commit(taken);
                        raw.extend_from_slice(&bytes[..taken]);
                    }
                    Step::Clear(count) => {
                        let count = count.min(raw.len());
                        buffer.clear_to_send(count);
                        ready.extend(raw.drain(..count));
                    }
                    Step::Drop(count) => {
                        let count = count.min(raw.len());
                        buffer.drop_raw(count);
                        raw.drain(..count);
                    }
                    Step::Insert(text) => {
                        if buffer.insert_ready(&text) {
                            ready.extend_from_slice(&text);
                        }
                    }
                    Step::Send(count) => {
                        let count = count.min(ready.len());
                        buffer.sent(count);
                        ready.drain(..count);
                    }
                    Step::Compact => buffer.compact(),
                    Step::Park => pool.park(&mut buffer),
                    Step::Grow => pool.resize(&mut buffer, 16 * 1024),
                }
                prop_assert_eq!(buffer.ready(), &ready[..]);
                prop_assert_eq!(buffer.raw(), &raw[..]);
                prop_assert_eq!(pool.lent(), buffer.capacity());
            }
        }
    }
}
