//! Ports for the backends: the same ones in every turn, because a backend's address is its name in the log.
//!
//! The children bind them again and again, so they are taken from below the range from which the kernel gives outgoing
//! connections theirs (ip(7), ip_local_port_range).

use std::net::{Ipv4Addr, SocketAddr};

use crate::net;

/// Where to look when any will do.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 200;

/// `count` ports in a row from `first` on; from elsewhere when `first` is 0 or one of them is in use.
pub(super) fn choose(first: u16, count: usize) -> Result<Vec<u16>, String> {
    let wanted = (first != 0).then_some(first);
    let elsewhere = std::iter::repeat_with(|| fastrand::u16(RANGE)).take(ATTEMPTS);
    for first in wanted.into_iter().chain(elsewhere) {
        let Some(ports) = row(first, count) else { continue };
        if ports.iter().all(|port| is_free(*port)) {
            return Ok(ports);
        }
    }
    Err(format!("no {count} free ports in a row were found: name the first with --base-port"))
}

fn row(first: u16, count: usize) -> Option<Vec<u16>> {
    let count = u16::try_from(count).ok()?;
    let last = first.checked_add(count.checked_sub(1)?)?;
    Some((first..=last).collect())
}

fn is_free(port: u16) -> bool {
    net::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_gone_around() {
        let taken = net::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = choose(port, 3).unwrap();
        assert!(ports.len() == 3 && !ports.contains(&port), "{ports:?}");
        assert_eq!(ports[2], ports[0] + 2);
        assert_eq!(choose(0, 1).unwrap().len(), 1);
        assert!(row(u16::MAX, 2).is_none() && row(1, 0).is_none());
    }
}
