//! What an object was made of: toolchain, flags, core library and our own inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::build::{FLAGS, PROFILE};
use crate::shell::root;
use crate::toolchain::{output, rustc, sysroot};

/// The crates behind the programs; with what they depend on they are part of the inputs.
const DEPENDENCIES: [&str; 2] = ["aya-ebpf", "aya-log-ebpf"];

/// What the committed object was made of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Provenance {
    rustc: String,
    llvm: String,
    bpf_linker: String,
    flags: Vec<String>,
    /// SHA-256 over the sources of the core library.
    core: String,
    /// SHA-256 over our sources, the build profile and the locked versions of the dependencies.
    pub(super) inputs: String,
    /// SHA-256 of each object.
    pub(super) objects: BTreeMap<String, String>,
}

/// Why the bytes of two builds need not be equal.
pub(super) fn difference(here: &Provenance, committed: &Provenance) -> Option<String> {
    for (what, mine, theirs) in [
        ("rustc", &here.rustc, &committed.rustc),
        ("LLVM", &here.llvm, &committed.llvm),
        ("bpf-linker", &here.bpf_linker, &committed.bpf_linker),
        ("the core library", &here.core, &committed.core),
    ] {
        if mine != theirs {
            return Some(format!("{what} is {mine}, the object was built with {theirs}"));
        }
    }
    (here.flags != committed.flags).then(|| String::from("the flags differ"))
}

/// Toolchain, flags, core library and inputs as they are here; no objects.
pub(super) fn describe() -> anyhow::Result<Provenance> {
    let verbose = rustc(&["-vV"])?;
    let field = |name: &str| {
        verbose
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("`rustc -vV` states no `{name}`"))
    };
    let library = sysroot()?.join("lib/rustlib/src/rust/library");
    Ok(Provenance {
        rustc: verbose.lines().next().unwrap_or_default().to_owned(),
        llvm: field("LLVM version:")?,
        bpf_linker: output("bpf-linker", &["--version"])?.trim().to_owned(),
        flags: FLAGS.iter().map(|flag| (*flag).to_owned()).collect(),
        core: digest_of_folder(&library.join("core/src"))?,
        inputs: inputs()?,
        objects: BTreeMap::new(),
    })
}

/// SHA-256 over everything of ours that the object depends on.
pub(super) fn inputs() -> anyhow::Result<String> {
    let root = root();
    let mut sum = Sha256::new();
    sum.update(digest_of_folder(&root.join("sensor-ebpf/src"))?);
    sum.update(read(&root.join("sensor-ebpf/Cargo.toml"))?);
    let workspace: toml::Table =
        toml::from_str(&read(&root.join("Cargo.toml"))?).context("Cargo.toml is no TOML")?;
    let profile = workspace
        .get("profile")
        .and_then(|profiles| profiles.get(PROFILE))
        .context("Cargo.toml has no profile `ebpf`")?;
    sum.update(profile.to_string());
    for package in locked(&read(&root.join("Cargo.lock"))?)? {
        sum.update(package);
    }
    Ok(hex(&sum.finalize()))
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Name, version and checksum of every crate behind the programs.
fn locked(text: &str) -> anyhow::Result<BTreeSet<String>> {
    let lock: Lock = toml::from_str(text).context("Cargo.lock is no lock file")?;
    let mut wanted: Vec<&str> = DEPENDENCIES.to_vec();
    let mut found = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        for package in lock.package.iter().filter(|package| package.name == name) {
            let checksum = package.checksum.as_deref().unwrap_or("none");
            if found.insert(format!("{name} {} {checksum}\n", package.version)) {
                // A dependency is written as its name, with its version where there are several.
                wanted.extend(
                    package
                        .dependencies
                        .iter()
                        .filter_map(|line| line.split(' ').next()),
                );
            }
        }
    }
    if found.is_empty() {
        bail!("Cargo.lock does not name {}", DEPENDENCIES.join(", "));
    }
    Ok(found)
}

/// SHA-256 over the names and contents of all Rust files below a folder, in the order of their names.
fn digest_of_folder(folder: &Path) -> anyhow::Result<String> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("failed to list {}", next.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("failed to list {}", next.display()))?
                .path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                files.insert(name, path);
            }
        }
    }
    let mut sum = Sha256::new();
    for (name, path) in files {
        sum.update(name.to_string_lossy().as_bytes());
        sum.update([0]);
        sum.update(digest(read(&path)?.as_bytes()));
    }
    Ok(hex(&sum.finalize()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provenance() -> Provenance {
        Provenance {
            rustc: String::from("rustc 1"),
            llvm: String::from("22"),
            bpf_linker: String::from("0.10.3"),
            flags: Vec::new(),
            core: String::from("abc"),
            inputs: String::from("def"),
            objects: BTreeMap::new(),
        }
    }

    #[test]
    fn says_what_differs_between_two_toolchains() {
        assert_eq!(difference(&provenance(), &provenance()), None);
        let other = Provenance {
            core: String::from("xyz"),
            ..provenance()
        };
        assert_eq!(
            difference(&other, &provenance()).as_deref(),
            Some("the core library is xyz, the object was built with abc")
        );
    }

    #[test]
    fn follows_the_lock_file() {
        let text = "[[package]]\nname = \"aya-ebpf\"\nversion = \"1\"\nchecksum = \"aa\"\ndependencies = [\"b 2\"]\n\
                    [[package]]\nname = \"b\"\nversion = \"2\"\n[[package]]\nname = \"c\"\nversion = \"3\"\n";
        let found: Vec<String> = locked(text).expect("a lock file").into_iter().collect();
        assert_eq!(found, ["aya-ebpf 1 aa\n", "b 2 none\n"]);
        assert!(locked("[[package]]\nname = \"c\"\nversion = \"3\"\n").is_err());
    }
}
