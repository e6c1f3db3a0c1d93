//! Floor 0: what two of our processes must agree on byte for byte, and nothing else.
//!
//! - [`kinds`]: the identities of the kinds that are served, [`path`]: their URLs, [`schema`]: their shapes;
//! - [`object`], [`status`], [`field`], [`names`], [`selector`], [`quantity`]: the API machinery's own types and rules;
//! - [`cri`], [`images`], [`containers`], [`build`]: gRPC of the runtime; [`notify`], [`trace`]: what goes along between all of them.

pub mod build;
pub mod containers;
pub mod cri;
pub mod decoding;
pub mod field;
pub mod images;
pub mod kinds;
pub mod names;
pub mod notify;
pub mod object;
pub mod path;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
pub mod trace;
