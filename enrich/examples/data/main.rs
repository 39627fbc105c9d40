//! Makes the tables of `enrich/data` from unpacked packages; `cargo xtask data` gets the packages and runs this.
//!
//! `data SOURCES OUT`: SOURCES holds `sources.json`, a list of folders of unpacked packages, each with the header of its
//! table, without sections.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod asn;
mod maxmind;
mod spread;
mod vendors;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use lynceus_enrich::offline::container::{Container, Header};
use lynceus_enrich::offline::ranges::Key;
use lynceus_enrich::offline::write::Writer;
use serde::Deserialize;

/// An unpacked package and the header of the table that it becomes.
#[derive(Deserialize)]
struct Source {
    folder: PathBuf,
    header: Header,
}

/// Level of zstd.
const LEVEL: i32 = 19;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [sources, out] = arguments.as_slice() else {
        bail!("usage: data SOURCES OUT");
    };
    let list = std::fs::read(sources.join("sources.json")).context("sources.json")?;
    let list: Vec<Source> = serde_json::from_slice(&list).context("sources.json")?;
    for Source { folder, header } in list {
        let name = match header.kind.as_str() {
            "country" => format!("country-{}.lyntab", header.source),
            kind => format!("{kind}.lyntab"),
        };
        let bytes = table(&folder, header).with_context(|| name.clone())?;
        check(&bytes).with_context(|| name.clone())?;
        std::fs::write(out.join(&name), &bytes).with_context(|| name.clone())?;
        println!("{name}: {} bytes", bytes.len());
    }
    Ok(())
}

fn table(folder: &Path, header: Header) -> anyhow::Result<Vec<u8>> {
    let kind = header.kind.clone();
    let source = header.source.clone();
    let mut writer = Writer::new(header, LEVEL);
    match kind.as_str() {
        "asn" => asn::write(&mut writer, folder)?,
        "country" => maxmind::countries(&mut writer, folder, &source)?,
        "city" => maxmind::cities(&mut writer, folder)?,
        "mac-vendor" => vendors::write(&mut writer, folder)?,
        other => bail!("{other:?}: no such kind of table"),
    }
    Ok(writer.finish())
}

/// What was written is read again before it is kept.
fn check(bytes: &[u8]) -> anyhow::Result<()> {
    let container = Container::open(bytes.to_vec())?;
    ensure!(container.header.records > 0, "no records");
    ensure!(
        container.hash() == container.header.payload_sha256,
        "the hash of the payload is not that of the header"
    );
    Ok(())
}

/// Ranges with ends become a cut of the whole space: what is between them says nothing.
pub(crate) struct Cut<K>(pub(crate) Vec<(K, u32)>);

impl<K: Key> Cut<K> {
    pub(crate) fn add(&mut self, first: K, last: K, number: u32) -> anyhow::Result<()> {
        if let Some((end, 0)) = self.0.last().copied() {
            if end > first {
                // One pair in the file of autonomous systems does; the one that begins later is the more specific one.
                println!("ranges overlap at {first:?}: the later one holds");
            }
            if end >= first {
                self.0.pop();
            }
            ensure!(
                self.0.last().is_none_or(|(start, _)| *start < first),
                "ranges are not in order at {first:?}"
            );
        } else {
            ensure!(self.0.is_empty(), "a range behind the last address");
        }
        self.0.push((first, number));
        if let Some(next) = last.wide().checked_add(1).and_then(K::narrow) {
            self.0.push((next, 0));
        }
        Ok(())
    }
}
