//! A wake-up to the microsecond.
//!
//! The poll's own time-out comes in whole milliseconds, rounded up: half a millisecond too late on the average, which
//! is a twentieth of a latency of 10 ms. A timer among the polled descriptors is exact, at the price of one system
//! call whenever the earliest deadline changes. Linux only; elsewhere, and when there is no descriptor to be had, the
//! poll's time-out has to do.

use crate::clock::Time;

/// One timer, set to one time.
#[derive(Debug)]
pub(super) struct Alarm {
    set_to: Time,
    #[cfg(target_os = "linux")]
    timer: Option<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// An alarm whose events come under `token`.
    pub(super) fn new(registry: &mio::Registry, token: usize) -> Alarm {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        use std::os::fd::AsRawFd as _;

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).ok().filter(|timer| {
            let fd = timer.as_raw_fd();
            let mut source = mio::unix::SourceFd(&fd);
            registry.register(&mut source, mio::Token(token), mio::Interest::READABLE).is_ok()
        });
        Alarm { set_to: Time::NEVER, timer }
    }

    /// Sees to an event at `due`, or soon after. Being edge-triggered and set again each time, the timer is never read.
    pub(super) fn set(&mut self, due: Time, now: Time) {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let Some(timer) = &self.timer else { return };
        if due == self.set_to {
            return;
        }
        self.set_to = due;
        let nanos = due.since(now).as_nanos().max(1) as u64; // zero would switch it off
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: (nanos / 1_000_000_000).cast_signed(),
            tv_nsec: (nanos % 1_000_000_000).cast_signed(),
        };
        // A failure only means a later wake-up, by the poll's time-out.
        let _ = timerfd_settime(
            timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: once, it_value: value },
        );
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(super) fn new(_registry: &mio::Registry, _token: usize) -> Alarm {
        Alarm { set_to: Time::NEVER }
    }

    pub(super) fn set(&mut self, due: Time, _now: Time) {
        self.set_to = due;
    }
}
