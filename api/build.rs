//! Compiles the gRPC protocols. protox reads the `.proto` files in Rust, so that a build needs no protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    const PROTOS: [&str; 4] = [
        "proto/runtime.proto",
        "proto/images.proto",
        "proto/containers.proto",
        "proto/build.proto",
    ];
    for proto in PROTOS {
        println!("cargo:rerun-if-changed={proto}");
    }
    let files = protox::compile(PROTOS, ["proto"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
