//! The kernel programs packet by packet (`BPF_PROG_TEST_RUN`) beside an empty program and a hash map, on the same packets
//! in turns; then reading the full cache and merging records in user space, with and without cold fields (what few flows
//! have: handshake times, flag counts past 255 packets, tunnel addresses, fragments).
//!
//! `cargo xtask bench kernel`; needs root. Prints the tables of `docs/benchmarks.md`. `--only WORD` (a hook or a column,
//! any number of them) measures a part; `--object FILE` takes another object than the built-in one.
#![allow(clippy::print_stdout, reason = "the tables are what it is for")]

mod designs;
mod packets;
mod table;
mod traffic;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use lynceus_tests::mutator::Layer;
use lynceus_tests::need_root;

use self::designs::Designs;
use self::packets::CASES;

const LAYERS: [Layer; 2] = [Layer::Xdp, Layer::Tc];

fn main() -> Result<()> {
    let Some(_root) = need_root() else { return Ok(()) };
    let wanted = Wanted::from_arguments(std::env::args().skip(1))?;
    let mut designs = Designs::load(wanted.object.as_deref())?;
    for layer in LAYERS {
        if wanted.layer(layer) {
            packets::measure_all(layer, &wanted, &mut designs)?;
        }
    }
    table::read(&mut designs)?;
    if wanted.only.is_empty() {
        table::merge()?;
    }
    Ok(())
}

/// What the command line asks for; everything where it says nothing.
#[derive(Default)]
struct Wanted {
    only: Vec<String>,
    object: Option<PathBuf>,
}

impl Wanted {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // What `cargo bench` adds.
                "--bench" => {}
                "--only" => wanted.only.push(arguments.next().context("--only what?")?),
                "--object" => wanted.object = Some(arguments.next().context("--object which?")?.into()),
                _ => bail!("unknown argument `{argument}`; --only and --object are known"),
            }
        }
        let known: Vec<&str> = LAYERS.iter().map(|layer| layer.name()).chain(CASES).collect();
        for word in &wanted.only {
            ensure!(known.contains(&word.as_str()), "`{word}` is none of {known:?}");
        }
        Ok(wanted)
    }

    fn layer(&self, layer: Layer) -> bool {
        self.among(layer.name(), &LAYERS.map(Layer::name))
    }

    fn case(&self, name: &str) -> bool {
        self.among(name, &CASES)
    }

    fn among(&self, name: &str, all: &[&str]) -> bool {
        let mut asked = self
            .only
            .iter()
            .filter(|word| all.contains(&word.as_str()))
            .peekable();
        asked.peek().is_none() || asked.any(|word| word == name)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
