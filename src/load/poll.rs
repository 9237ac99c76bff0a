//! The driver's loop: its poll and its clock.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::driver::Driver;
use super::{LoadConfig, LoadResult, Progress};
use crate::clock::Time;
use crate::net::Sockets;
use crate::reactor::ready_of;

/// Events taken from the kernel at once.
const EVENTS: usize = 1024;
/// How often the wish to stop is looked for.
const LOOK_UP: Duration = Duration::from_millis(50);

pub(super) fn run(config: &LoadConfig, progress: &Progress) -> io::Result<LoadResult> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let origin = Instant::now();
    let clock = || Time::ZERO.plus(origin.elapsed());
    let mut driver = Driver::new(config, Sockets::new(poll.registry().try_clone()?), Time::ZERO)?;
    let (mut now, mut slept, mut busy_share) = (clock(), Duration::ZERO, None);
    while !driver.is_over(now) {
        if driver.is_ending() && busy_share.is_none() {
            busy_share = Some(awake(slept, now));
        }
        wait(&mut poll, &mut events, &driver, now)?;
        let woken = clock();
        slept += woken.since(now);
        now = woken;
        for event in &events {
            let Token(token) = event.token();
            driver.event(token, ready_of(event), now);
            now = clock(); // each latency by its own time, not by that of the batch
        }
        if progress.is_stopped() {
            driver.stop(now);
        }
        driver.turn(now);
        let (requests, errors) = driver.counts();
        progress.show(requests, errors);
        now = clock();
    }
    let busy_share = busy_share.unwrap_or_else(|| awake(slept, now));
    Ok(driver.finish(busy_share))
}

fn awake(slept: Duration, now: Time) -> f64 {
    let all = now.since(Time::ZERO).as_secs_f64();
    if all > 0.0 { (1.0 - slept.as_secs_f64() / all).clamp(0.0, 1.0) } else { 0.0 }
}

/// Waits for events, or until something is due.
fn wait(poll: &mut Poll, events: &mut Events, driver: &Driver<Sockets>, now: Time) -> io::Result<()> {
    let mut until = driver.next_deadline().since(now).min(LOOK_UP);
    if driver.is_busy() {
        until = Duration::ZERO;
    }
    if let Some(arrival) = driver.next_arrival().map(|at| at.since(now))
        && arrival < until
    {
        sleep_exactly(poll, arrival)?;
        until = Duration::ZERO;
    }
    match poll.poll(events, Some(until)) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// mio's poll counts in milliseconds, rounded up; a request sent that late would charge the server with it. Waiting for
/// the poll's own descriptor to become readable can be done to the nanosecond.
fn sleep_exactly(poll: &Poll, span: Duration) -> io::Result<()> {
    let Ok(timeout) = Timespec::try_from(span) else { return Ok(()) };
    match rustix::event::poll(&mut [PollFd::new(poll.registry(), PollFlags::IN)], Some(&timeout)) {
        Err(error) if error != rustix::io::Errno::INTR => Err(error.into()),
        _ => Ok(()),
    }
}
