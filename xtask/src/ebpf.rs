//! `cargo xtask ebpf`: builds the kernel programs so that every machine gets the same bytes, and compares them with the
//! committed object.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use clap::Args;

use self::build::{Object, build, copy_of_sources};
use self::provenance::{Provenance, describe, difference, digest, inputs};
use crate::shell::{command, execute, is_root, root};

pub(crate) mod build;
mod provenance;
mod strip;

/// Binary target and committed file.
const OBJECTS: [(&str, &str); 1] = [("lynceus-ebpf", "lynceus.bpf.o")];

/// What the sensor's build script reads: the object that goes into its programs instead of the committed one.
const OBJECT_VARIABLE: &str = "LYNCEUS_EBPF_OBJECT";

/// The system tests that load or attach the kernel programs, by module.
const KERNEL_TESTS: [&str; 7] = [
    "system::kernel_",
    "system::accounting",
    "system::apps_parity",
    "system::offload",
    "system::hooks",
    "system::replay",
    "system::routes",
];

#[derive(Args)]
pub(crate) struct Options {
    /// Change nothing; fail unless source and committed object agree
    #[arg(long)]
    pub(crate) check: bool,
    /// Run the kernel tests on the rebuilt object also where its bytes are those of the committed one
    #[arg(long, requires = "check")]
    pub(crate) run: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = root().join("sensor-ebpf/object");
    let file = folder.join("provenance.toml");
    if options.check {
        return check(&folder, &file, options.run);
    }
    let mut provenance = describe()?;
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    for Object { name, bytes } in build(&root())? {
        let sum = digest(&bytes);
        let path = folder.join(name);
        fs::write(&path, &bytes).with_context(|| format!("failed to write {}", path.display()))?;
        println!("{name}: {} bytes, SHA-256 {sum}", bytes.len());
        provenance.objects.insert(name.to_owned(), sum);
    }
    let text = toml::to_string(&provenance).context("failed to write the provenance as TOML")?;
    fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))
}

/// Builds in a copy of the sources in another folder: equal bytes then also prove that the folder is not in them.
fn check(folder: &Path, file: &Path, always_run: bool) -> anyhow::Result<()> {
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
    ensure!(
        inputs()? == committed.inputs,
        "the sources of the kernel programs changed since the object was built; run `cargo xtask ebpf`"
    );
    println!("inputs agree with the committed object");
    let here = describe().context("the object was not rebuilt: run `cargo xtask setup` first")?;
    let built = build(&copy_of_sources()?)?;
    let Some(difference) = difference(&here, &committed) else {
        for Object { name, bytes } in &built {
            ensure!(
                committed.objects.get(*name) == Some(&digest(bytes)),
                "{name}: same toolchain, same inputs, other bytes"
            );
            println!("{name}: rebuilt in another folder, same bytes");
        }
        return if always_run {
            run_kernel_tests(&built)
        } else {
            Ok(())
        };
    };
    println!("bytes not compared with the committed object: {difference}");
    for (one, other) in built.iter().zip(build(&root())?) {
        ensure!(
            one.bytes == other.bytes,
            "{}: two builds in two folders have other bytes",
            one.name
        );
        println!("{}: two builds in two folders, same bytes", one.name);
    }
    run_kernel_tests(&built)
}

/// Loads and runs an object: the system tests of the kernel, with programs that hold it instead of the committed one.
fn run_kernel_tests(objects: &[Object]) -> anyhow::Result<()> {
    ensure!(
        is_root(),
        "the kernel tests of the rebuilt object need root; without them this check says nothing"
    );
    for Object { name, bytes } in objects {
        let path = root().join("target").join(format!("rebuilt-{name}"));
        fs::write(&path, bytes).with_context(|| format!("failed to write {}", path.display()))?;
        let mut tests = command("cargo");
        tests.args([
            "test",
            "--package",
            "lynceus-tests",
            "--test",
            "system",
            "--locked",
        ]);
        tests.arg("--").args(KERNEL_TESTS);
        execute(tests.env(OBJECT_VARIABLE, &path))
            .with_context(|| format!("{name}: rebuilt, but the kernel tests fail with it"))?;
        println!("{name}: the kernel tests passed on the rebuilt object");
    }
    Ok(())
}
