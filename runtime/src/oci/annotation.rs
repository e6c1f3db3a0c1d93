//! Annotations that make a bundle complete: what the shim needs and the runtime specification has no field for.

/// The root filesystem's layers, as the JSON of [`super::Rootfs`].
pub const ROOTFS: &str = "minik.dev/rootfs";
/// Absolute path of the log file.
pub const LOG_PATH: &str = "minik.dev/log-path";
/// Parts of sources to mount in their place, as a JSON object from a mount's destination to a path below its source. No link in
/// the source leads out of it.
pub const SUB_PATHS: &str = "minik.dev/sub-paths";
/// `true` when the container's stdin is kept open.
pub const STDIN: &str = "minik.dev/stdin";
/// `true` when stdin closes with the first attached client.
pub const STDIN_ONCE: &str = "minik.dev/stdin-once";
