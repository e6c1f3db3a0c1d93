//! The Container Runtime Interface: what the kubelet asks for, a file for each group of verbs.
//!
//! ```text
//!   runtime_service   one line a verb ──> sandboxes, create, start, stop, remove, status, update, exec, stats, node
//!   image_service     one line a verb ──> images
//!                                            │ calls: sandbox/, shim, snapshots, images, cgroups
//!   describe, filter  records ──> CRI messages     events   one broadcast for all watchers     answer   errors ──> codes
//! ```
//!
//! A verb that changes something goes on when its client gives up: it runs in a task of its own, so that a kubelet's deadline
//! never leaves a thing half made.

mod answer;
mod create;

mod describe;
pub(crate) mod events;
mod exec;
mod filter;
mod image_service;
mod metrics;
mod node;
mod remove;
pub(crate) mod resources;
mod runtime_service;
mod sandboxes;
mod signal;
mod start;
mod stats;
mod status;
mod stop;
mod streams;
mod trace;
mod update;

pub(crate) use answer::{Answer, shim_failed, to_the_end, with_code};
pub(crate) use exec::output_pipe;
pub(crate) use exec::process as exec_process;
pub(crate) use image_service::ImageServer;
pub(crate) use remove::remove_files;
pub(crate) use runtime_service::RuntimeServer;
pub(crate) use signal::number as signal_number;
pub(crate) use streams::{ContainerStreams, SessionError, attach_to, following_size, input, on_pipes, on_terminal};
pub(crate) use trace::TraceLayer;
