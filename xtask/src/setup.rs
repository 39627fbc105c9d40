//! `cargo xtask setup`: gets what building the kernel programs needs. Users do not need it: the object is committed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};

use crate::shell::{command, execute, has, root};
use crate::toolchain::{minor, name, output, pinned, rustc, sysroot};

/// The last version whose LLVM is that of the 1.97 nightly; newer ones need a system LLVM 23.
const BPF_LINKER: &str = "0.10.3";

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Where the core library's sources come from
    #[arg(long, value_enum, default_value_t)]
    rust_src: RustSource,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum RustSource {
    /// What is there, else rustup, else the distribution
    #[default]
    Auto,
    /// `rustup component add rust-src`
    Rustup,
    /// Debian sid's package `rust-src`, from the archive of this machine's apt sources; not installed, only unpacked
    Distribution,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    nightly()?;
    linker()?;
    core_sources(options.rust_src)?;
    println!("`cargo xtask ebpf` has what it needs");
    Ok(())
}

fn nightly() -> anyhow::Result<()> {
    let (pinned, version) = pinned()?;
    if let Ok(here) = rustc(&["--version"]) {
        let note = match minor(&here) == Some(version.as_str()) {
            _ if name() == pinned => String::new(),
            true => format!(" (of the version of {pinned}, which built the committed object)"),
            false => format!(
                " (the committed object was built by {pinned}; bpf-linker {BPF_LINKER} needs {version})"
            ),
        };
        println!("{}: {}{note}", name(), here.trim());
        return Ok(());
    }
    ensure!(
        has("rustup"),
        "there is no toolchain `{}`, and no rustup to install it",
        name()
    );
    // Clippy is for `cargo xtask lint`.
    let install = ["toolchain", "install", name(), "--profile", "minimal"];
    execute(command("rustup").args(install).args(["--component", "clippy"])).with_context(|| {
        format!(
            "the kernel programs need the compiler {}, and rustup could not install it; any nightly {version} will do: \
             LYNCEUS_NIGHTLY names it",
            name()
        )
    })
}

fn linker() -> anyhow::Result<()> {
    if let Ok(version) = output("bpf-linker", &["--version"])
        && version.trim().ends_with(BPF_LINKER)
    {
        println!("linker: {}", version.trim());
        return Ok(());
    }
    execute(command("cargo").args(["install", "--locked", "--version", BPF_LINKER, "bpf-linker"]))
        .with_context(|| format!("failed to install bpf-linker {BPF_LINKER}"))
}

/// The sources of the core library, which is built for the BPF target.
fn core_sources(from: RustSource) -> anyhow::Result<()> {
    let place = sysroot()?.join("lib/rustlib/src/rust/library");
    let is_there = || place.join("core/src/lib.rs").is_file();
    if from == RustSource::Distribution {
        return from_distribution(&place);
    }
    if from == RustSource::Auto && is_there() {
        println!("core library: {}", place.display());
        return Ok(());
    }
    let rustup = execute(command("rustup").args(["component", "add", "rust-src", "--toolchain", name()]));
    if rustup.is_ok() && is_there() {
        return Ok(());
    }
    ensure!(
        from == RustSource::Auto,
        "rustup has no rust-src for `{}`",
        name()
    );
    println!("rustup has no rust-src; trying the distribution's package");
    from_distribution(&place).context(
        "the core library's sources are not to be had: `rustup component add rust-src` failed, and so did the \
         distribution's package `rust-src`",
    )
}

/// Unpacks the library out of Debian sid's `rust-src`, if it is of the nightly's minor version. Nothing is installed, and
/// the system's own lists are not touched.
fn from_distribution(place: &Path) -> anyhow::Result<()> {
    ensure!(has("apt-get") && has("dpkg-deb"), "this is no Debian system");
    let state = root().join("target/setup/apt");
    for folder in ["lists/partial", "cache/archives/partial"] {
        let folder = state.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    let (archive, keyring) = debian_archive()?;
    let sources = state.join("sources.list");
    let line = format!("deb [signed-by={keyring}] {archive} sid main\n");
    fs::write(&sources, line).with_context(|| format!("failed to write {}", sources.display()))?;
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        String::from("Dir::Etc::sourceparts=/dev/null"),
        format!("Dir::State::lists={}", state.join("lists").display()),
        format!("Dir::Cache={}", state.join("cache").display()),
    ];
    let apt = |program: &str, arguments: &[&str]| {
        let mut apt = command(program);
        apt.current_dir(&state);
        for option in &options {
            apt.args(["-o", option]);
        }
        apt.args(arguments);
        apt
    };
    execute(&mut apt("apt-get", &["update", "-qq"]))?;
    let policy = apt("apt-cache", &["policy", "rust-src"])
        .output()
        .context("failed to start apt-cache")?;
    let policy = String::from_utf8_lossy(&policy.stdout).into_owned();
    let candidate = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .context("the archive has no package rust-src")?;
    let version = rustc(&["--version"])?;
    let wanted = minor(&version).with_context(|| format!("`{}` is no version", version.trim()))?;
    ensure!(
        candidate.starts_with(&format!("{wanted}.")),
        "the archive's rust-src is {candidate}, the nightly compiler needs {wanted}"
    );
    execute(&mut apt("apt-get", &["download", "-qq", "rust-src"]))?;
    let package = find(&state, |name| {
        name.starts_with("rust-src_") && name.ends_with(".deb")
    })?;
    let library = unpack(&package, &state.join("unpacked"))?;
    fs::remove_file(&package).with_context(|| format!("failed to remove {}", package.display()))?;
    link(&library, place)?;
    println!("core library: {} (from rust-src {candidate})", library.display());
    Ok(())
}

/// Unpacks `usr/src/rustc-*/library` of a package into a folder of its own and returns where it is.
fn unpack(package: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let mut archive = command("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start dpkg-deb")?;
    let contents = archive.stdout.take().context("dpkg-deb has no standard output")?;
    execute(
        command("tar")
            .args(["-x", "--no-same-owner", "--wildcards", "-C"])
            .arg(folder)
            .arg("./usr/src/rustc-*/library/*")
            .stdin(contents),
    )
    .with_context(|| format!("{} does not hold the library's sources", package.display()))?;
    let status = archive.wait().context("failed to wait for dpkg-deb")?;
    ensure!(
        status.success(),
        "dpkg-deb failed on {}: {status}",
        package.display()
    );
    let library = find(&folder.join("usr/src"), |name| name.starts_with("rustc-"))?.join("library");
    ensure!(
        library.join("core/src/lib.rs").is_file(),
        "{} holds no core library",
        package.display()
    );
    Ok(library)
}

/// Puts a link to the library at its place in the sysroot. A link that stands there goes; a folder is rustup's and stays.
fn link(library: &Path, place: &Path) -> anyhow::Result<()> {
    if place.is_symlink() {
        fs::remove_file(place).with_context(|| format!("failed to remove {}", place.display()))?;
    }
    ensure!(
        !place.exists(),
        "{} is there and not a link; `rustup component remove rust-src --toolchain {}` makes room",
        place.display(),
        name()
    );
    let parent = place.parent().context("the sysroot is the root folder")?;
    fs::create_dir_all(parent).with_context(|| format!("failed to create {}", parent.display()))?;
    symlink(library, place)
        .with_context(|| format!("failed to link {} to {}", place.display(), library.display()))
}

/// URI and keyring of the Debian archive that this machine uses.
fn debian_archive() -> anyhow::Result<(String, String)> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir(folder) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        if let Some(found) = archive_in(&text) {
            return Ok(found);
        }
    }
    bail!("no apt source of this machine is a Debian archive")
}

/// Finds the archive in a file of either form: `deb [signed-by=…] URI suite …` or the fields `URIs:`, `Signed-By:`.
fn archive_in(text: &str) -> Option<(String, String)> {
    const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let is_debian = |uri: &str| uri.trim_end_matches('/').ends_with("/debian");
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        if let Some(uri) = field("URIs:").filter(|uri| is_debian(uri)) {
            return Some((uri.to_owned(), field("Signed-By:").unwrap_or(KEYRING).to_owned()));
        }
    }
    let line = text.lines().find_map(|line| {
        let line = line.strip_prefix("deb ")?;
        line.split_whitespace().find(|word| is_debian(word))
    })?;
    Some((line.to_owned(), KEYRING.to_owned()))
}

fn find(folder: &Path, wanted: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    fs::read_dir(folder)
        .with_context(|| format!("failed to list {}", folder.display()))?
        .flatten()
        .find(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .with_context(|| format!("{} does not hold what the package should", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_archive_in_both_forms() {
        let fields = "Types: deb\nURIs: http://a.test/debian-security\nSigned-By: /k1\n\nTypes: deb\nURIs: \
                      http://a.test/debian\nSuites: stable\nSigned-By: /k2\n";
        assert_eq!(
            archive_in(fields),
            Some((String::from("http://a.test/debian"), String::from("/k2")))
        );
        let line = "# deb http://no.test/debian x\ndeb [arch=amd64] http://b.test/debian/ stable main\n";
        assert_eq!(
            archive_in(line).map(|found| found.0),
            Some(String::from("http://b.test/debian/"))
        );
        assert_eq!(archive_in("deb http://c.test/other stable main\n"), None);
    }

    /// A package made here: the real one is 80 MB and needs a network.
    #[test]
    fn unpacks_the_library_of_a_package_and_links_it() {
        if !has("dpkg-deb") {
            println!("skipped: needs dpkg-deb");
            return;
        }
        let base = std::env::temp_dir().join(format!("lynceus-setup-{}", std::process::id()));
        let tree = base.join("tree");
        for (path, text) in [
            (
                "DEBIAN/control",
                "Package: rust-src\nVersion: 1.97.1-1\nArchitecture: all\nMaintainer: t\nDescription: t\n",
            ),
            ("usr/src/rustc-1.97.1/library/core/src/lib.rs", "//! core"),
            ("usr/src/rustc-1.97.1/compiler/main.rs", "//! not wanted"),
        ] {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let package = base.join("rust-src_1.97.1-1_all.deb");
        execute(command("dpkg-deb").arg("--build").arg(&tree).arg(&package)).expect("a package");

        let library = unpack(&package, &base.join("unpacked")).expect("unpacks");
        assert_eq!(
            fs::read_to_string(library.join("core/src/lib.rs")).expect("there"),
            "//! core"
        );
        assert!(
            !library.join("../compiler").exists(),
            "only the library is unpacked"
        );
        let place = base.join("sysroot/lib/library");
        // A second time replaces the link.
        link(&library, &place).expect("links");
        link(&library, &place).expect("links again");
        assert!(place.join("core/src/lib.rs").is_file());
        // rustup's own folder stays.
        let error = link(&library, &tree).expect_err("a folder").to_string();
        assert!(error.contains("not a link"), "{error}");
        // A package without the library.
        fs::remove_dir_all(tree.join("usr/src/rustc-1.97.1/library")).expect("removed");
        execute(command("dpkg-deb").arg("--build").arg(&tree).arg(&package)).expect("a package");
        assert!(unpack(&package, &base.join("unpacked")).is_err());
        fs::remove_dir_all(&base).expect("removed");
    }
}
