//! Generates the messages; nobody needs a protoc binary.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    // A folder that `lynceus module new` made has the messages beside it.
    let places = [Path::new("proto"), Path::new("../../proto/proto")];
    let root = places.into_iter().find(|root| root.is_dir()).ok_or("no folder proto")?;
    println!("cargo:rerun-if-changed={}", root.display());
    let files = protox::compile([root.join("lynceus/v1/module.proto")], [root])?;
    tonic_prost_build::configure().build_server(false).compile_fds(files)?;
    Ok(())
}
