//! The CRI's two services: a file for each group of verbs.

mod filter;
mod signal;
