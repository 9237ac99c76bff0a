//! The threads of a proxy, one per worker, that start together and end together.
//!
//! Absent: what they share (proxy/share.rs), and what is opened for them (run.rs).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use mio::net::TcpListener;

use crate::cli::Failure;
use crate::dashboard::Board;
use crate::net::Sockets;
use crate::proxy::{Proxy, World};
use crate::reactor::{Control, DrainTimes, Reactor};
use crate::record::merge::merged;
use crate::record::snapshot::Snapshot;

/// All threads of a proxy.
#[derive(Debug)]
pub(super) struct Crew {
    threads: Vec<JoinHandle<io::Result<Snapshot>>>,
}

/// A loop for each listener, all with one clock.
pub(super) fn reactors(listeners: Vec<TcpListener>, drain: DrainTimes) -> io::Result<Vec<Reactor>> {
    let mut reactors: Vec<Reactor> = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let mut reactor = Reactor::new(listener, drain)?;
        if let Some(first) = reactors.first() {
            reactor.count_from(first.origin());
        }
        reactors.push(reactor);
    }
    Ok(reactors)
}

/// Has each show its figures, by a page if they are `watched`, and the first one's board those of all. `None` of none.
pub(super) fn show(worlds: &mut [World<Sockets>], reactors: &[Reactor], watched: bool) -> Option<Arc<Board>> {
    let shown = worlds.iter_mut().zip(reactors).map(|(world, reactor)| world.show(reactor.wall(), watched));
    let mut boards = shown.collect::<Vec<_>>().into_iter();
    let first = boards.next()?;
    if boards.len() > 0 {
        first.lead(boards.collect());
    }
    Some(first)
}

impl Crew {
    /// Starts a thread for each. `ended` runs on the last one to end, whatever the reason. When one cannot go on, the
    /// others are stopped: nobody would notice that a part of the clients is not served any more.
    pub(super) fn start(
        workers: Vec<(Reactor, World<Sockets>)>,
        control: &Control,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<Crew> {
        let count = workers.len();
        let left = Arc::new(AtomicUsize::new(count));
        let ended: Ended = Arc::new(Mutex::new(Some(Box::new(ended))));
        let mut crew = Crew { threads: Vec::with_capacity(count) };
        for (worker, (reactor, world)) in workers.into_iter().enumerate() {
            let name = if count == 1 { "reactor".to_owned() } else { format!("reactor-{worker}") };
            let mut end =
                End { is_good: false, control: control.clone(), left: left.clone(), ended: ended.clone() };
            let thread = Builder::new().name(name).spawn(move || {
                let mut proxy = Proxy::new(world);
                let result = reactor.run(&mut proxy);
                let wall = proxy.world.wall();
                let figures = proxy.world.snapshot(wall, true);
                end.is_good = result.is_ok();
                drop(end);
                result.map(|()| figures)
            });
            match thread {
                Ok(thread) => crew.threads.push(thread),
                Err(error) => {
                    control.stop();
                    let _ = crew.wait();
                    return Err(error);
                }
            }
        }
        Ok(crew)
    }

    /// Waits for all, and adds up what they have come to.
    ///
    /// # Errors
    /// When one of them failed.
    pub(super) fn wait(self) -> Result<Snapshot, Failure> {
        // All of them, before the first complaint.
        let ends: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        let mut figures = Vec::with_capacity(ends.len());
        for end in ends {
            let end = end.map_err(|_| Failure::Runtime("the proxy's thread has panicked".to_owned()))?;
            figures.push(end.map_err(|error| super::runtime("event loop", &error))?);
        }
        let figures: Vec<Arc<Snapshot>> = figures.into_iter().map(Arc::new).collect();
        merged(&figures).ok_or_else(|| Failure::Runtime("a proxy without threads".to_owned()))
    }
}

type Ended = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Dropped at the end of a worker, also by a panic.
struct End {
    is_good: bool,
    control: Control,
    left: Arc<AtomicUsize>,
    ended: Ended,
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.is_good {
            self.control.stop();
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(ended) = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            ended();
        }
    }
}
