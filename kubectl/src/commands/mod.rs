//! One file per verb: arguments, then what is done with them. `target` and `objects` are how all of
//! them name objects.

pub mod api_resources;
pub mod apply;
pub mod attach;
pub mod cluster_info;
pub mod config;
pub mod cp;
pub mod create;
pub mod delete;
pub mod demo;
pub mod describe;
pub mod duration;
pub mod exec;
pub mod get;
pub mod image;
pub mod local;
pub mod logs;
pub mod mark;
pub mod objects;
pub mod patch;
pub mod pod;
pub mod port_forward;
pub mod programs;
pub mod streams;
pub mod target;
pub mod terminal;
pub mod version;
pub mod wait;
pub mod workload;
pub mod writing;
