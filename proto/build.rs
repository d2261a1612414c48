//! Compiles the .proto files with protox, so that no protoc is needed.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] = &[
    "proto/aurora/v1/api.proto",
    "proto/aurora/storage/v1/storage.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out_dir.join("descriptors.binpb"),
        descriptors.encode_to_vec(),
    )?;

    let grpc = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_client(grpc)
        .build_server(grpc)
        .btree_map(".")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
