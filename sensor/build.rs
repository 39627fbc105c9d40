//! Names the object with the kernel programs that goes into the sensor: the committed one, or the one that
//! `LYNCEUS_EBPF_OBJECT` names (`cargo xtask ebpf --check` tests a rebuilt one that way).

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=LYNCEUS_EBPF_OBJECT");
    let committed = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../sensor-ebpf/object/lynceus.bpf.o");
    let object = std::env::var_os("LYNCEUS_EBPF_OBJECT").map_or_else(committed, PathBuf::from);
    println!("cargo::rustc-env=LYNCEUS_OBJECT={}", object.display());
    println!("cargo::rerun-if-changed={}", object.display());
}
