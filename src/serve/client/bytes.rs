//! The only reads and writes of a connection. Nothing here knows which phase it is in.

use super::{Client, KEPT_MAX, LARGE_BODY, Rest, Step};
use crate::buffer::SIZES;
use crate::net::{Drain, Fill, Ready};
use crate::serve::{Shared, pattern};

impl Client {
    /// Sends head and content as far as there is room and budget; what stopped it if there was no room.
    pub(super) fn drain<H>(&mut self, shared: &mut Shared<H>, budget: &mut usize) -> Option<Step> {
        loop {
            let Client { conn, out, rest, input, .. } = self;
            let head = &out[self.sent..self.cleared];
            let content: &[u8] = match rest {
                Rest::Nothing => &[],
                Rest::Static(bytes) => &bytes[self.rest_sent as usize..],
                Rest::Shared(bytes) => &bytes[self.rest_sent as usize..],
                Rest::Pattern => pattern::piece(self.rest_sent, self.rest_left),
                Rest::Echo => input.ready(),
            };
            if head.is_empty() && content.is_empty() {
                self.recycle_out();
                return None;
            }
            if *budget == 0 {
                return Some(Step::Again);
            }
            match conn.drain(&mut shared.net, head, content) {
                Drain::Bytes(count) => {
                    let of_head = count.min(head.len());
                    let of_content = count - of_head;
                    self.sent += of_head;
                    if let Rest::Echo = self.rest {
                        self.input.sent(of_content);
                    } else {
                        self.rest_sent += of_content as u64;
                        self.rest_left -= of_content as u64;
                    }
                    self.progress = shared.now;
                    *budget = budget.saturating_sub(count);
                }
                Drain::Blocked => return Some(Step::Wait),
                Drain::Broken(_) => return Some(Step::Gone),
            }
        }
    }

    /// Sends what is cleared of `out`; what stopped it if not all went.
    pub(super) fn flush<H>(&mut self, shared: &mut Shared<H>) -> Option<Step> {
        while self.sent < self.cleared {
            match self.conn.drain(&mut shared.net, &self.out[self.sent..self.cleared], &[]) {
                Drain::Bytes(count) => {
                    self.sent += count;
                    self.progress = shared.now;
                }
                Drain::Blocked => return Some(Step::Wait),
                Drain::Broken(_) => return Some(Step::Gone),
            }
        }
        self.recycle_out();
        None
    }

    fn recycle_out(&mut self) {
        if self.sent == self.out.len() {
            self.out.clear();
            (self.sent, self.cleared) = (0, 0);
            if self.out.capacity() > KEPT_MAX {
                self.out.shrink_to(KEPT_MAX);
            }
        }
    }

    /// Reads once.
    pub(super) fn fill<H>(&mut self, shared: &mut Shared<H>) -> Fill {
        if !self.conn.ready().any(Ready::READABLE) {
            return Fill::Blocked; // before a block is borrowed in vain
        }
        let size = match self.body.remaining() {
            Some(left) if left >= LARGE_BODY => SIZES[3],
            Some(0) => SIZES[1],
            _ => SIZES[2],
        };
        if self.input.is_empty() && self.input.capacity() < size {
            shared.buffers.give(&mut self.input);
            self.input = shared.buffers.take(size);
        }
        if self.input.spare().len() < size / 2 {
            self.input.compact();
        }
        if !self.input.has_room() {
            let larger = self.input.capacity() + 1;
            shared.buffers.resize(&mut self.input, larger);
        }
        let filled = self.conn.fill(&mut shared.net, &mut self.input, 0);
        if let Fill::Bytes(_) = filled {
            self.progress = shared.now;
        }
        filled
    }
}
