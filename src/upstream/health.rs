//! Passive health of one backend.
