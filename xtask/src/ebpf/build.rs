//! Builds the programs of a folder with sources, and takes out of them what tells where that was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::{OBJECTS, strip};
use crate::shell::{command, execute, root};
use crate::toolchain::{self, sysroot};

const TARGET: &str = "bpfel-unknown-none";
pub(super) const PROFILE: &str = "ebpf";
/// Debug information is what the BTF is made of; v3 has 32-bit arithmetic and atomics (Linux 5.12).
pub(super) const FLAGS: [&str; 5] = [
    "-Ctarget-cpu=v3",
    UNSTABLE,
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    "-Zlocation-detail=none",
];

/// The compiler says of one of the flags that it is not stable, at every crate and whatever the lints say: it is known, and
/// without it the object is another one. Not among [`FLAGS`], because it changes no object. [`lint`] refuses warnings.
const QUIET: &str = "-Awarnings";

/// The flag that the compiler warns of; it matters to generated code only.
const UNSTABLE: &str = "-Ctarget-feature=+allows-misaligned-mem-access";

/// A built object and the name under which it is committed.
pub(super) struct Object {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Builds all objects of the workspace in `folder`.
pub(super) fn build(folder: &Path) -> anyhow::Result<Vec<Object>> {
    let target = folder.join("target/ebpf");
    let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    flags.push(QUIET.to_owned());
    flags.extend(remaps(folder)?);
    let mut objects = Vec::new();
    for (binary, name) in OBJECTS {
        execute(cargo(folder, "build", binary).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))
            .context("failed to build the kernel programs; `cargo xtask setup` gets what they need")?;
        let path = target.join(TARGET).join(PROFILE).join(binary);
        let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let bytes = strip::without_dwarf(&bytes)?;
        refuse_this_machine(name, &bytes, folder)?;
        objects.push(Object { name, bytes });
    }
    Ok(objects)
}

/// The lints over the files that are compiled for the BPF target only, which the workspace's own lint run does not see.
pub(crate) fn lint() -> anyhow::Result<()> {
    // No code is generated.
    let flags: Vec<&str> = FLAGS.into_iter().filter(|flag| *flag != UNSTABLE).collect();
    for (binary, _) in OBJECTS {
        execute(
            cargo(&root(), "clippy", binary)
                .args(["--", "-D", "warnings"])
                .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")),
        )
        .context("the lints of the kernel programs failed; the nightly needs its `clippy` component")?;
    }
    Ok(())
}

/// The nightly's cargo over a binary for the BPF target.
fn cargo(folder: &Path, what: &str, binary: &str) -> Command {
    let mut cargo = command("cargo");
    cargo
        .current_dir(folder)
        .arg(toolchain::argument())
        .args([
            what,
            "--quiet",
            "--package",
            "sensor-ebpf",
            "--bin",
            binary,
            "--locked",
        ])
        .args(["--profile", PROFILE, "--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(folder.join("target/ebpf"))
        .env_remove("RUSTFLAGS")
        // The variables of the stable cargo that runs this program would choose its compiler.
        .env_remove("RUSTC")
        .env_remove("RUSTUP_TOOLCHAIN");
    cargo
}

/// A copy of the workspace's sources in another folder. What a build of it left there stays.
pub(super) fn copy_of_sources() -> anyhow::Result<PathBuf> {
    let copy = root().join("target/ebpf-elsewhere");
    let entries = |folder: &Path| {
        fs::read_dir(folder)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .with_context(|| format!("failed to list {}", folder.display()))
    };
    fs::create_dir_all(&copy).with_context(|| format!("failed to create {}", copy.display()))?;
    for entry in entries(&copy)?
        .iter()
        .filter(|entry| entry.file_name() != "target")
    {
        let path = entry.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.with_context(|| format!("failed to remove {}", path.display()))?;
    }
    let mut folders = vec![(root(), copy.clone())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).with_context(|| format!("failed to create {}", to.display()))?;
        for entry in entries(&from)? {
            let name = entry.file_name();
            let (from, to) = (entry.path(), to.join(&name));
            if from.is_dir() {
                if name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                    folders.push((from, to));
                }
            } else {
                fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
            }
        }
    }
    Ok(copy)
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

/// Fails if an object holds a folder of this machine or any other absolute path or address.
fn refuse_this_machine(name: &str, bytes: &[u8], folder: &Path) -> anyhow::Result<()> {
    let home = cargo_home()?;
    let mut local = vec![folder.to_owned(), sysroot()?];
    // A registry's folder is called after its host.
    if let Ok(registries) = fs::read_dir(home.join("registry/src")) {
        local.extend(
            registries
                .flatten()
                .map(|registry| PathBuf::from(registry.file_name())),
        );
    }
    local.push(home);
    for word in &local {
        let word = word.to_string_lossy();
        ensure!(
            !bytes.windows(word.len()).any(|window| window == word.as_bytes()),
            "{name} holds {word}"
        );
    }
    let places = places_in(bytes);
    ensure!(places.is_empty(), "{name} names {}", places.join(", "));
    Ok(())
}

/// Absolute paths and URLs in an object's text.
fn places_in(bytes: &[u8]) -> Vec<String> {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let texts = bytes.split(|byte| !is_text(byte)).filter(|text| text.len() >= 6);
    texts
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .filter(|text| {
            let absolute = text.starts_with('/') && text[1..].contains('/');
            absolute || text.contains("://") || text.contains("registry/src")
        })
        .collect()
}

fn cargo_home() -> anyhow::Result<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> Vec<u8> {
        let path = root().join("sensor-ebpf/object").join(OBJECTS[0].1);
        fs::read(path).expect("the committed object")
    }

    #[test]
    fn the_committed_object_names_no_place() {
        assert_eq!(places_in(&committed()), Vec::<String>::new());
        // What the search would find.
        let text = b"\0/usr/lib/x\0src/lib.rs\0/@/unit\0registry/src/a\0a://b.test\0";
        assert_eq!(
            places_in(text),
            ["/usr/lib/x", "/@/unit", "registry/src/a", "a://b.test"]
        );
    }

    #[test]
    fn the_committed_object_has_types_and_lines_but_no_dwarf() {
        use object::{Object as _, ObjectSection as _};
        let bytes = committed();
        let file = object::File::parse(bytes.as_slice()).expect("an ELF file");
        let names: Vec<_> = file
            .sections()
            .filter_map(|section| section.name().ok())
            .collect();
        assert!(
            names.contains(&".BTF") && names.contains(&".BTF.ext"),
            "{names:?}"
        );
        assert!(!names.iter().any(|name| name.contains("debug")), "{names:?}");
    }
}
