//! Compiles the .proto files with protox, so that no protoc is needed.

use std::error::Error;

const FILES: &[&str] = &[
    "proto/mesos/v1/mesos.proto",
    "proto/mesos/v1/executor/executor.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    // Contents are shared with the receive buffer instead of copied.
    prost_build::Config::new()
        .bytes(["."])
        .btree_map(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
