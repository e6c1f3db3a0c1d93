//! Exec, attach and port-forward: the streams between a user's terminal and a process in a container.
//!
//! ```text
//!   kubectl ── API server ── kubelet ── bytes ──> server ── negotiation ──> websocket_command ─┐
//!                               │                   ^  the token's Session  spdy_command ──────┤ session: Streams
//!                            CRI Exec ── tokens ────┘                       websocket_ports ───┤     │
//!                                        URL, one use, one minute           spdy_ports, tunnel ┘     v
//!                                                                                       Backend: shim, pod's ports
//! ```
//!
//! The API server and the kubelet pass the bytes on as they are, so all protocols that clients speak end here. What runs
//! behind a session is the [`Backend`]'s; nothing here knows of containers.

mod farewell;
mod negotiation;
mod ports;
mod server;
mod session;
mod spdy;
mod spdy_command;
mod spdy_ports;
mod status;
mod tokens;
mod tunnel;
mod websocket_command;
mod websocket_ports;

pub use server::{Streaming, StreamingError};
pub use session::{Backend, Outcome, Output, Session, Streams, TerminalSize};
#[cfg(fuzzing)]
pub use spdy::fuzz;
pub use tokens::TooManySessions;

#[cfg(test)]
mod tests;
