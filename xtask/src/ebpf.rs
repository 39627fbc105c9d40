//! `cargo xtask ebpf`: builds the kernel programs so that every machine gets the same bytes, and compares them with the
//! committed object.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::shell::{command, execute, root};

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";
/// Binary target and committed file.
const OBJECTS: [(&str, &str); 1] = [("lynceus-ebpf", "lynceus.bpf.o")];
/// The crates behind the programs; with what they depend on they are part of the inputs.
const DEPENDENCIES: [&str; 1] = ["aya-ebpf"];
/// Debug information is what the BTF is made of; v3 has 32-bit arithmetic and atomics (Linux 5.12).
const FLAGS: [&str; 5] = [
    "-Ctarget-cpu=v3",
    "-Ctarget-feature=+allows-misaligned-mem-access",
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "-Zlocation-detail=none",
];

#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing; fail unless source and committed object agree
    #[arg(long)]
    pub(crate) check: bool,
}

/// What the committed object was made of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Provenance {
    rustc: String,
    llvm: String,
    bpf_linker: String,
    flags: Vec<String>,
    /// SHA-256 over the sources of the core library.
    core: String,
    /// SHA-256 over our sources, the build profile and the locked versions of the dependencies.
    inputs: String,
    /// SHA-256 of each object.
    objects: BTreeMap<String, String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = root().join("sensor-ebpf/object");
    let file = folder.join("provenance.toml");
    if options.check {
        return check(&folder, &file);
    }
    let mut provenance = describe()?;
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for ((_, name), bytes) in OBJECTS.iter().zip(build()?) {
        provenance.objects.insert((*name).to_owned(), digest(&bytes));
        let path = folder.join(name);
        fs::write(&path, &bytes).with_context(|| format!("failed to write {}", path.display()))?;
        println!(
            "{name}: {} bytes, SHA-256 {}",
            bytes.len(),
            provenance.objects[*name]
        );
    }
    let text = toml::to_string(&provenance).context("failed to write the provenance as TOML")?;
    fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))
}

fn check(folder: &Path, file: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let committed: Provenance =
        toml::from_str(&text).with_context(|| format!("{} is no provenance", file.display()))?;
    for (name, expected) in &committed.objects {
        let path = folder.join(name);
        let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        ensure!(
            digest(&bytes) == *expected,
            "{name} is not the object that the provenance names"
        );
    }
    let inputs = inputs()?;
    ensure!(
        inputs == committed.inputs,
        "the sources of the kernel programs changed since the object was built; run `cargo xtask ebpf`"
    );
    println!("inputs agree with the committed object");
    let here = describe().context("the object was not rebuilt: run `cargo xtask setup` first")?;
    let built = build()?;
    if let Some(difference) = difference(&here, &committed) {
        println!("bytes not compared: {difference}");
        println!("the programs build with this toolchain; the kernel tests run on the committed object");
        return Ok(());
    }
    for ((_, name), bytes) in OBJECTS.iter().zip(built) {
        ensure!(
            committed.objects.get(*name) == Some(&digest(&bytes)),
            "{name}: same toolchain, same inputs, other bytes"
        );
        println!("{name}: rebuilt, same bytes");
    }
    Ok(())
}

/// Why the bytes of two builds need not be equal.
fn difference(here: &Provenance, committed: &Provenance) -> Option<String> {
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

/// Builds all objects and returns their bytes.
fn build() -> anyhow::Result<Vec<Vec<u8>>> {
    let root = root();
    let target = root.join("target/ebpf");
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.extend(remaps(&root)?);
    let mut objects = Vec::new();
    for (binary, _) in OBJECTS {
        execute(
            command("cargo")
                .arg("+nightly")
                .args([
                    "build",
                    "--quiet",
                    "--package",
                    "sensor-ebpf",
                    "--bin",
                    binary,
                    "--locked",
                ])
                .args(["--profile", PROFILE, "--target", TARGET, "-Z", "build-std=core"])
                .arg("--target-dir")
                .arg(&target)
                .env_remove("RUSTFLAGS")
                // The variables of the stable cargo that runs this program would choose its compiler.
                .env_remove("RUSTC")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")),
        )
        .context("failed to build the kernel programs; `cargo xtask setup` gets what they need")?;
        let path = target.join(TARGET).join(PROFILE).join(binary);
        let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        refuse_paths(binary, &bytes, &root)?;
        objects.push(bytes);
    }
    Ok(objects)
}

/// Flags that replace this machine's folders, so that two machines get the same bytes.
fn remaps(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut remaps = vec![remap(root, "lynceus"), remap(&sysroot()?, "rust")];
    let home = cargo_home()?;
    // More than one only where a registry was replaced by another.
    if let Ok(folders) = fs::read_dir(home.join("registry/src")) {
        for folder in folders {
            remaps.push(remap(
                &folder.context("failed to list the cargo registry")?.path(),
                "registry",
            ));
        }
    }
    Ok(remaps)
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}

fn refuse_paths(name: &str, bytes: &[u8], root: &Path) -> anyhow::Result<()> {
    let home = cargo_home()?;
    for folder in [root, home.as_path(), sysroot()?.as_path()] {
        let folder = folder.to_string_lossy();
        ensure!(
            !bytes
                .windows(folder.len())
                .any(|window| window == folder.as_bytes()),
            "{name} holds the path {folder}"
        );
    }
    Ok(())
}

/// Toolchain, flags, core library and inputs as they are here; no objects.
fn describe() -> anyhow::Result<Provenance> {
    let verbose = output("rustc", &["+nightly", "-vV"])?;
    let field = |name: &str| {
        verbose
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("`rustc +nightly -vV` states no `{name}`"))
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
fn inputs() -> anyhow::Result<String> {
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

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Folder of the nightly toolchain.
pub(crate) fn sysroot() -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(
        output("rustc", &["+nightly", "--print", "sysroot"])?.trim(),
    ))
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

/// What a program prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let line = format!("{program} {}", arguments.join(" "));
    let output = command(program)
        .args(arguments)
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN")
        .output()
        .with_context(|| format!("failed to start `{line}`"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}
