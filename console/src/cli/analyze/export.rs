//! `--export FORMAT:FILE`: what was found, in a format that others read.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use lynceus_collector::output::Format;
use lynceus_collector::output::encode::Item;

/// One export as given on the command line.
#[derive(Clone, Debug)]
pub(super) struct Export {
    format: Format,
    path: PathBuf,
}

/// Reads `FORMAT:FILE`.
pub(super) fn parse(text: &str) -> Result<Export, String> {
    let (format, path) = text.split_once(':').ok_or("it is written as FORMAT:FILE")?;
    let format =
        Format::from_name(format).ok_or_else(|| format!("{format:?} is none of {}", Format::names()))?;
    if path.is_empty() {
        return Err("there is no file behind the colon".to_owned());
    }
    Ok(Export {
        format,
        path: path.into(),
    })
}

/// The files of all exports.
pub(super) struct Exports<'a>(Vec<(&'a Export, BufWriter<File>)>);

impl<'a> Exports<'a> {
    pub(super) fn open(exports: &'a [Export]) -> anyhow::Result<Self> {
        let open = |export: &'a Export| {
            let file = File::create(&export.path).with_context(|| export.path.display().to_string())?;
            Ok((export, BufWriter::new(file)))
        };
        Ok(Self(exports.iter().map(open).collect::<anyhow::Result<_>>()?))
    }

    /// One line in each file.
    pub(super) fn write(&mut self, item: Item<'_>) -> anyhow::Result<()> {
        for (export, file) in &mut self.0 {
            let mut line = export.format.encode(item);
            line.push(b'\n');
            file.write_all(&line)
                .with_context(|| export.path.display().to_string())?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<()> {
        for (export, mut file) in self.0 {
            file.flush().with_context(|| export.path.display().to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_files() {
        let export = parse("eve:/tmp/a:b.json").unwrap();
        assert_eq!(
            (export.format, export.path),
            (Format::Eve, PathBuf::from("/tmp/a:b.json"))
        );
        assert!(parse("xml:/tmp/x").unwrap_err().contains("eve, idmef, ecs"));
        assert!(parse("eve").is_err() && parse("eve:").is_err());
    }
}
