//! Help and version, on standard output.
#![allow(clippy::print_stdout, reason = "it is what was asked for")]

use super::flags::{Flag, Kind};
use super::{GLOBAL, VERBS, VERSION, Verb};
use crate::oci::OCI_VERSION;

/// The name in messages.
pub(super) const PROGRAM: &str = "minirunc";

pub(super) fn version() -> u8 {
    println!("{PROGRAM} version {VERSION}\nspec: {OCI_VERSION}");
    0
}

pub(super) fn program() -> u8 {
    println!("Open Container Initiative runtime, with the command line of runc\n");
    println!("Usage: {PROGRAM} [options] <command> [options] [arguments]\n\nCommands:");
    for verb in &VERBS {
        println!("  {:<12} {}", verb.name, verb.about);
    }
    println!("\nOptions:");
    options(&GLOBAL);
    0
}

pub(super) fn verb(verb: &Verb) -> u8 {
    let arguments = if verb.arguments.1 == 0 { "" } else { " <arguments>" };
    println!("{}\n\nUsage: {PROGRAM} {} [options]{arguments}", verb.about, verb.name);
    println!("Takes {}\n", verb.wanted);
    if !verb.flags.is_empty() {
        println!("Options:");
        options(verb.flags);
    }
    0
}

fn options(flags: &[Flag]) {
    for flag in flags {
        let short = if flag.short.is_empty() {
            String::new()
        } else {
            format!(", -{}", flag.short)
        };
        let value = if flag.kind == Kind::Switch { "" } else { " value" };
        println!("  {:<28} {}", format!("--{}{short}{value}", flag.name), flag.help);
    }
}
