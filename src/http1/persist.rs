//! Whether the connection to a backend may serve another request, and whose.

/// How far backends are trusted to keep to HTTP on a connection that is used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only connections about which there is no doubt are used again.
    Strict,
    /// The same, and those of backends that were seen to be reliable.
    #[default]
    Learned,
    /// All that HTTP allows.
    Always,
}
