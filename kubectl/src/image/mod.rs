//! The node's images, over the runtime's socket: CRI's ImageService, and our runtime's progress of pulls and imports.

pub mod archive;
pub mod ignore;
pub mod pack;
pub mod progress;
pub mod runtime;
