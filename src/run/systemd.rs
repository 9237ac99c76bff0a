//! What a service manager is told and what it hands over (sd_notify(3), sd_listen_fds(3)); without one, nothing happens.
//!
//! The file descriptor handed over is a bare number, and making a socket of a number is what Rust calls unsafe. The
//! kernel makes a second descriptor of it instead, through pidfd_getfd(2): one system call more at start, Linux 5.6.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpListener;
use sd_notify::NotifyState;

use crate::net;
use crate::reactor::Control;

/// The first socket handed over, if there is any.
///
/// # Errors
/// It is no socket that listens, or the kernel keeps it from us.
pub(super) fn listener() -> io::Result<Option<TcpListener>> {
    let mut fds = sd_notify::listen_fds()?;
    let Some(fd) = fds.next() else { return Ok(None) };
    if fds.len() > 0 {
        tracing::warn!("of {} sockets handed over only the first is used", fds.len() + 1);
    }
    adopt(fd).map(Some)
}

#[cfg(target_os = "linux")]
fn adopt(fd: i32) -> io::Result<TcpListener> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    net::adopt(pidfd_getfd(own, fd, PidfdGetfdFlags::empty())?)
}

#[cfg(not(target_os = "linux"))]
fn adopt(_fd: i32) -> io::Result<TcpListener> {
    Err(io::Error::other("sockets are taken over on Linux only"))
}

/// Clients may come.
pub(super) fn ready(address: SocketAddr) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("listening on {address}"))]);
}

/// A changed configuration is read; [`ready`] ends it.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// The end has begun, and may take this long.
pub(super) fn stopping(at_most: Duration) {
    let micros = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::Stopping, NotifyState::Status("draining"), NotifyState::ExtendTimeoutUsec(micros)]);
}

/// Keeps telling that the loop turns, for as long as it does, where a watchdog is set.
pub(super) fn watch(control: Control) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else { return };
    let spawned = std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        loop {
            if control.turns() {
                tell(&[NotifyState::Watchdog]);
            }
            std::thread::sleep(interval / 2);
        }
    });
    if let Err(error) = spawned {
        tracing::error!("no thread for the watchdog, which will end this process: {error}");
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
