//! stub
use super::About;
use crate::record::snapshot::Snapshot;

/// stub
pub(super) const FIELDS: &str = "Content-Type: text/plain\r\n";

/// stub
pub(super) fn write(
    _snapshot: &Snapshot,
    _about: &About,
    _busy: Option<f64>,
    _streams: (usize, u64),
    _text: &mut Vec<u8>,
) {
}
