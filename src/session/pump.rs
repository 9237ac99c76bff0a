//! Moves bytes of one flow from one connection to the other, until something is in the way.
//!
//! The only loop that reads and writes message bodies, called for either side's event. Backpressure is the absence of
//! a read: while anything waits to be sent nothing more is read, the kernel's window closes, and the source's ready
//! bit stays set for the next turn.

use super::exchange::Flow;
use crate::buffer::SIZES;
use crate::http1::body::BadBody;
use crate::net::{ConnKey, Drain, Fill, Net};
use crate::proxy::World;

/// Bytes one session may move in each direction before it is the others' turn: one fast pair must not starve the rest.
pub(super) const TURN_BYTES_MAX: usize = 512 * 1024;
/// Body bytes copied behind the head to save a second stretch in the write: below this a copy is cheaper.
const COALESCE_MAX: usize = 4096;
/// A body with at least this much to come is read in the largest pieces.
const LARGE_BODY: u64 = 128 * 1024;

/// Why the pump stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// The whole message is with the sink.
    Complete,
    /// The source has nothing now.
    SourceBlocked,
    /// The sink takes nothing now.
    SinkBlocked,
    /// The budget is spent.
    Budget,
    /// The source closed or broke before the message ended.
    SourceGone,
    /// The sink broke.
    SinkGone,
    /// The source broke the framing.
    Malformed(&'static str),
    /// The source sends more than it may.
    TooLarge,
}

/// Moves what it can, at most about `budget` bytes.
pub(super) fn pump<N: Net>(
    world: &mut World<N>,
    flow: &mut Flow,
    source: ConnKey,
    sink: ConnKey,
    budget: &mut usize,
) -> Pumped {
    loop {
        match flow.body.advance(&mut flow.buffer) {
            Ok(()) => {}
            Err(BadBody::Malformed(what)) => return Pumped::Malformed(what),
            Err(BadBody::Truncated) => return Pumped::SourceGone,
            Err(BadBody::TooLarge) => return Pumped::TooLarge,
        }
        if let Some(stopped) = drain(world, flow, sink) {
            return stopped;
        }
        if flow.body.is_finished() {
            return Pumped::Complete;
        }
        if *budget == 0 {
            return Pumped::Budget;
        }
        match fill(world, flow, source) {
            Fill::Bytes(count) => *budget = budget.saturating_sub(count),
            Fill::Blocked => return Pumped::SourceBlocked,
            Fill::Broken(_) => return Pumped::SourceGone,
            Fill::Closed if flow.source_failed => return Pumped::SourceGone,
            Fill::Closed => match flow.body.end_of_input(&mut flow.buffer) {
                Ok(()) => {}
                Err(_) => return Pumped::SourceGone,
            },
        }
    }
}

/// Sends what is cleared to send; `None` when all of it went.
pub(super) fn drain<N: Net>(world: &mut World<N>, flow: &mut Flow, sink: ConnKey) -> Option<Pumped> {
    while !flow.is_drained() {
        coalesce(flow);
        let Some(conn) = world.conns.get_mut(sink.0) else { return Some(Pumped::SinkGone) };
        if flow.out_sent > 0 || flow.spilled {
            conn.hurry(&mut world.net);
        }
        match conn.drain(&mut world.net, &flow.out[flow.out_sent..], flow.buffer.ready()) {
            Drain::Bytes(count) => {
                let of_out = count.min(flow.out.len() - flow.out_sent);
                flow.out_sent += of_out;
                if count > of_out {
                    flow.buffer.sent(count - of_out);
                    flow.spilled = true;
                }
                flow.written += count as u64;
                flow.progress = world.now;
            }
            Drain::Blocked => {
                flow.slow = true;
                return Some(Pumped::SinkBlocked);
            }
            Drain::Broken(_) => return Some(Pumped::SinkGone),
        }
    }
    None
}

/// A few body bytes go behind the head, while none of it has been sent: one stretch is cheaper to send than two.
fn coalesce(flow: &mut Flow) {
    let ready = flow.buffer.ready();
    if flow.out_sent < flow.out.len() && !ready.is_empty() && ready.len() <= COALESCE_MAX {
        flow.out.extend_from_slice(ready);
        let count = ready.len();
        flow.buffer.sent(count);
    }
}

/// Reads once into the flow's buffer.
pub(super) fn fill<N: Net>(world: &mut World<N>, flow: &mut Flow, source: ConnKey) -> Fill {
    let Some(conn) = world.conns.get_mut(source.0) else { return Fill::Closed };
    let reserve = flow.body.reserve();
    make_room(&mut world.buffers, flow, reserve);
    let filled = conn.fill(&mut world.net, &mut flow.buffer, reserve);
    if let Fill::Bytes(count) = filled {
        flow.read += count as u64;
        flow.progress = world.now;
    }
    filled
}

/// Sees to it that a read is worth its system call.
fn make_room(buffers: &mut crate::buffer::Pool, flow: &mut Flow, reserve: usize) {
    let wanted = read_size(flow);
    let buffer = &mut flow.buffer;
    if buffer.is_empty() && buffer.capacity() < wanted {
        buffers.give(buffer);
        *buffer = buffers.take(wanted);
        return;
    }
    let room = wanted / 2 + reserve;
    if buffer.spare().len() < room {
        buffer.compact();
    }
    if buffer.spare().len() < room && buffer.capacity() < wanted {
        buffers.resize(buffer, wanted);
    }
    if !buffer.has_room() {
        buffers.resize(buffer, SIZES[SIZES.len() - 1]);
    }
}

/// Large pieces only for a large body whose sink has shown that it takes them: what a stalled one has not taken stays
/// in memory.
fn read_size(flow: &Flow) -> usize {
    match flow.body.remaining() {
        _ if flow.slow => SIZES[1],
        Some(left) if left >= LARGE_BODY && flow.written >= SIZES[1] as u64 => SIZES[3],
        _ => SIZES[2],
    }
}
