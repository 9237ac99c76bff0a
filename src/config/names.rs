//! Which addresses the names of backends have, and which they had last.
//!
//! Asks the resolver of the system, and waits for it: at start, and on the thread that reloads.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::address::Address;
use super::value::Value as _;

/// What names resolved to last.
#[derive(Clone, Debug, Default)]
pub struct Names {
    last: BTreeMap<String, Vec<SocketAddr>>,
    /// A line for each that did not resolve when they were last looked up.
    pub(super) unresolved: Vec<String>,
}

/// The addresses of a name, and why they are not today's.
pub(super) type Found = (Vec<SocketAddr>, Option<String>);

impl Names {
    /// All addresses of a backend, none if its name resolves to none and never has; then, or when they are those it had
    /// last, with the reason.
    pub(super) fn look_up(&mut self, address: &Address) -> Found {
        let name = address.show();
        match address.resolve_all() {
            Ok(found) => {
                self.last.insert(name, found.clone());
                (found, None)
            }
            Err(why) => (self.last.get(&name).cloned().unwrap_or_default(), Some(why)),
        }
    }
}
