//! Compiles the `.proto` files with protox, so nobody needs a protoc binary.

use std::error::Error;
use std::path::Path;

const FILES: [&str; 10] = [
    "lynceus/v1/app.proto",
    "lynceus/v1/control.proto",
    "lynceus/v1/evidence.proto",
    "lynceus/v1/flow.proto",
    "lynceus/v1/ingest.proto",
    "lynceus/v1/module.proto",
    "lynceus/v1/outlier.proto",
    "lynceus/v1/profile.proto",
    "lynceus/v1/query.proto",
    "lynceus/v1/status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES.iter().map(|file| root.join(file)), [root])?;
    tonic_prost_build::configure()
        // Payloads are cut out of the received buffer without a copy.
        .bytes(".lynceus.v1.Batch.payload")
        .compile_fds(descriptors)?;
    Ok(())
}
