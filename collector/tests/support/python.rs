//! The Python of this machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A Python that has what a module needs; says that the test is skipped where there is none.
pub(crate) fn interpreter() -> Option<PathBuf> {
    let has = |python: &&&str| {
        let imported = Command::new(**python)
            .args(["-c", "import grpc, google.protobuf"])
            .stderr(Stdio::null())
            .status();
        imported.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].iter().find(has);
    let protoc = Command::new("protoc")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if found.is_none() || protoc.is_err() {
        println!("skipped: needs python3-grpcio, python3-protobuf and protobuf-compiler");
        return None;
    }
    found.map(PathBuf::from)
}
