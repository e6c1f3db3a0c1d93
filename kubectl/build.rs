//! How the executable is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let linux_gnu = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux")
        && std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    if linux_gnu {
        // A position-independent executable has its tables of addresses (.data.rel.ro: 0.9 MB here) rewritten when it
        // starts, which turns them into private memory of each process; and there is a process for each pod. At a fixed
        // address they are read from the file, and shared by all. Libraries, stack, heap and mappings stay randomized.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
