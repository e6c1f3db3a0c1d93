//! Sandboxes.

pub(crate) mod files;
