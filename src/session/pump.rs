//! Moves bytes of one flow from one connection to the other, until something is in the way.
//!
//! The only loop that reads and writes message bodies, called for either side's event. Backpressure is the absence of
//! a read: while anything waits to be sent nothing more is read, the kernel's window closes, and the source's ready
//! bit stays set for the next turn.

use super::exchange::Flow;
use crate::buffer::SIZES;
use crate::http1::body::BadBody;
use crate::net::{ConnKey, Drain, Fill, Net, Ready};
use crate::proxy::World;

/// Bytes one session may move in each direction before it is the others' turn: one fast pair must not starve the rest.
pub(super) const TURN_BYTES_MAX: usize = 512 * 1024;
/// Body bytes copied behind the head to save a second stretch in the write: below this a copy is cheaper.
const COALESCE_MAX: usize = 4096;
/// So much of a body the socket buffers nearly always take at once.
const BODY_END: u64 = 1024 * 1024;

/// How much to read at once, as an index into [`SIZES`]: an ordinary message to begin with, less for a sink that was
/// slower, since what a stalled one has not taken stays in memory, more for a fast pair with much to move.
pub(super) const PIECE_FIRST: u8 = 2;
const PIECE_LEAST: u8 = 1;
pub(super) const PIECE_LONG: u8 = 3;
const PIECE_MOST: u8 = SIZES.len() as u8 - 1;

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
        if let Some(stopped) = clear(flow) {
            return stopped;
        }
        if let Some(stopped) = drain(world, flow, sink) {
            return stopped;
        }
        if flow.body.is_finished() {
            return Pumped::Complete;
        }
        note_taken(flow);
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

/// Clears to send what is here of the body; `None` when nothing is wrong with it.
#[inline(always)]
pub(super) fn clear(flow: &mut Flow) -> Option<Pumped> {
    match flow.body.advance(&mut flow.buffer) {
        Ok(()) => None,
        Err(BadBody::Malformed(what)) => Some(Pumped::Malformed(what)),
        Err(BadBody::Truncated) => Some(Pumped::SourceGone),
        Err(BadBody::TooLarge) => Some(Pumped::TooLarge),
    }
}

/// Sends what is cleared to send; `None` when all of it went.
pub(super) fn drain<N: Net>(world: &mut World<N>, flow: &mut Flow, sink: ConnKey) -> Option<Pumped> {
    let mut is_tried = false;
    while !flow.is_drained() {
        coalesce(flow);
        let Some(conn) = world.conns.get_mut(sink.0) else { return Some(Pumped::SinkGone) };
        if flow.written > 0 {
            conn.hurry(&mut world.net);
        }
        is_tried |= conn.ready().any(Ready::WRITABLE);
        match conn.drain(&mut world.net, &flow.out[flow.out_sent..], flow.buffer.ready_behind(flow.held)) {
            Drain::Bytes(count) => {
                let of_out = count.min(flow.out.len() - flow.out_sent);
                flow.out_sent += of_out;
                if count > of_out {
                    flow.sent(count - of_out);
                }
                flow.written += count as u64;
                flow.writes = flow.writes.saturating_add(1);
                flow.progress = world.now;
            }
            Drain::Blocked => {
                // Where nothing was tried there is no news: a look must not hide what has left since the last one.
                if is_tried || flow.backlog.is_none() {
                    flow.backlog = world.net.unacknowledged(&conn.stream);
                }
                note_blocked(flow);
                return Some(Pumped::SinkBlocked);
            }
            Drain::Broken(kind) => {
                world.connect_error = Some(kind); // if it was the connect that failed, here it is told
                return Some(Pumped::SinkGone);
            }
        }
    }
    None
}

/// A few body bytes go behind the head, while not all of it has been sent: one stretch is cheaper to send than two.
#[inline(always)]
fn coalesce(flow: &mut Flow) {
    let count = flow.buffer.ready_len();
    if flow.out_sent < flow.out.len() && count > 0 && count <= COALESCE_MAX {
        flow.out.extend_from_slice(flow.buffer.ready());
        flow.buffer.sent(count);
    }
}

/// Reads once into the flow's buffer.
pub(super) fn fill<N: Net>(world: &mut World<N>, flow: &mut Flow, source: ConnKey) -> Fill {
    let Some(conn) = world.conns.get_mut(source.0) else { return Fill::Closed };
    if !conn.ready().any(Ready::READABLE) {
        return Fill::Blocked; // before a block is borrowed for nothing
    }
    let reserve = flow.body.reserve();
    if flow.buffer.capacity() == 0 {
        flow.buffer = world.buffers.take_class(usize::from(flow.piece));
    } else {
        make_room(&mut world.buffers, flow, reserve);
    }
    let filled = conn.fill(&mut world.net, &mut flow.buffer, reserve);
    if let Fill::Bytes(count) = filled {
        flow.read += count as u64;
        flow.progress = world.now;
        flow.brim = flow.buffer.spare().len() <= reserve;
    }
    filled
}

/// Sees to it that a read is worth its system call.
#[inline(never)]
fn make_room(buffers: &mut crate::buffer::Pool, flow: &mut Flow, reserve: usize) {
    let wanted = SIZES[usize::from(flow.piece)];
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

/// A whole read is on its way to the sink, which has taken it at once: the next may be larger if that one was full. The
/// largest is for the end of a body only, which the kernel takes even if the sink stalls now; of a longer one that much
/// would stay with us.
fn note_taken(flow: &mut Flow) {
    if flow.brim {
        flow.brim = false;
        let is_end = flow.body.remaining().is_some_and(|left| left <= BODY_END);
        flow.piece = if is_end { PIECE_MOST } else { (flow.piece + 1).min(PIECE_LONG) };
    }
}

/// The sink takes no more for now.
fn note_blocked(flow: &mut Flow) {
    flow.brim = false;
    flow.piece = flow.piece.saturating_sub(1).max(PIECE_LEAST);
}
