//! `--export FORMAT:PATH`: what was found and what was seen, in a format that others read.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use lynceus_collector::output::Format;
use lynceus_collector::output::encode::Item;
use lynceus_collector::output::logs::{LabelledFlows, Labels, LettersLog, Style, ZeekLogs};
use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::window::WindowUpdate;

/// One export as given on the command line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Export {
    format: What,
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// Evidence and alerts, one a line.
    Findings(Format),
    /// A folder of Zeek's logs.
    Zeek(Style),
    /// `conn.log` with labels.
    Labelled(Style),
    Letters,
}

/// Formats of flows, by name.
const LOGS: [(&str, What); 5] = [
    ("zeek", What::Zeek(Style::Tsv)),
    ("zeek-json", What::Zeek(Style::Json)),
    ("labelled", What::Labelled(Style::Tsv)),
    ("labelled-json", What::Labelled(Style::Json)),
    ("letters", What::Letters),
];

/// Reads `FORMAT:PATH`.
pub(super) fn parse(text: &str) -> Result<Export, String> {
    let (name, path) = text.split_once(':').ok_or("it is written as FORMAT:PATH")?;
    let log = LOGS.iter().find(|(log, _)| *log == name).map(|(_, what)| *what);
    let format = log
        .or_else(|| Format::from_name(name).map(What::Findings))
        .ok_or_else(|| {
            let logs = LOGS.map(|(name, _)| name).join(", ");
            format!("{name:?} is none of {}, {logs}", Format::names())
        })?;
    if path.is_empty() {
        return Err("there is no file behind the colon".to_owned());
    }
    Ok(Export {
        format,
        path: path.into(),
    })
}

/// Exports of flows, messages and letters, written while the input is read.
#[derive(Default)]
pub(super) struct Logs(Vec<(PathBuf, Log)>);

enum Log {
    Zeek(Box<ZeekLogs>),
    Labelled(Box<LabelledFlows>),
    Letters(Box<LettersLog>),
}

impl Logs {
    pub(super) fn open(exports: &[Export]) -> anyhow::Result<Self> {
        let mut logs = Vec::new();
        for export in exports {
            let path = &export.path;
            let log = match export.format {
                What::Findings(_) => continue,
                What::Zeek(style) => ZeekLogs::create(path, style).map(|log| Log::Zeek(Box::new(log))),
                What::Labelled(style) => {
                    LabelledFlows::create(path, style).map(|log| Log::Labelled(Box::new(log)))
                }
                What::Letters => LettersLog::create(path).map(|log| Log::Letters(Box::new(log))),
            };
            logs.push((path.clone(), log.with_context(|| path.display().to_string())?));
        }
        Ok(Self(logs))
    }

    pub(super) fn flow(&mut self, update: &FlowUpdate) -> anyhow::Result<()> {
        self.each(|log| match log {
            Log::Zeek(log) => log.flow(update),
            Log::Labelled(log) => log.flow(update),
            Log::Letters(_) => Ok(()),
        })
    }

    pub(super) fn app(&mut self, record: &AppRecord) -> anyhow::Result<()> {
        self.each(|log| match log {
            Log::Zeek(log) => log.app(record),
            Log::Labelled(_) | Log::Letters(_) => Ok(()),
        })
    }

    pub(super) fn window(&mut self, update: &WindowUpdate) -> anyhow::Result<()> {
        self.each(|log| match log {
            Log::Letters(log) => log.update(update),
            Log::Zeek(_) | Log::Labelled(_) => Ok(()),
        })
    }

    fn each(&mut self, mut write: impl FnMut(&mut Log) -> io::Result<()>) -> anyhow::Result<()> {
        for (path, log) in &mut self.0 {
            write(log).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Writes all to their ends. Gives the flows whose messages had to be written apart, because too many were open.
    pub(super) fn finish(self, labels: &Labels) -> anyhow::Result<u64> {
        let mut early = 0;
        for (path, log) in self.0 {
            let finished = match log {
                Log::Zeek(log) => log.finish().map(|count| early += count),
                Log::Labelled(log) => log.finish(labels),
                Log::Letters(log) => log.finish(),
            };
            finished.with_context(|| path.display().to_string())?;
        }
        Ok(early)
    }
}

/// The files of all exports of findings.
pub(super) struct Exports<'a> {
    files: Vec<(&'a Export, Format, BufWriter<File>)>,
    /// What the findings say of flows, for labelled ones.
    labels: Option<Labels>,
}

impl<'a> Exports<'a> {
    pub(super) fn open(exports: &'a [Export]) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        for export in exports {
            if let What::Findings(format) = export.format {
                let file = File::create(&export.path).with_context(|| export.path.display().to_string())?;
                files.push((export, format, BufWriter::new(file)));
            }
        }
        let labelled = exports
            .iter()
            .any(|export| matches!(export.format, What::Labelled(_)));
        Ok(Self {
            files,
            labels: labelled.then(Labels::default),
        })
    }

    /// One line in each file.
    pub(super) fn write(&mut self, item: Item<'_>) -> anyhow::Result<()> {
        if let Some(labels) = &mut self.labels {
            match item {
                Item::Evidence(evidence) => labels.evidence(evidence),
                Item::Alert(alert) => labels.alert(alert),
            }
        }
        for (export, format, file) in &mut self.files {
            let mut line = format.encode(item);
            line.push(b'\n');
            file.write_all(&line)
                .with_context(|| export.path.display().to_string())?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<Labels> {
        for (export, _, mut file) in self.files {
            file.flush().with_context(|| export.path.display().to_string())?;
        }
        Ok(self.labels.unwrap_or_default())
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
            (What::Findings(Format::Eve), PathBuf::from("/tmp/a:b.json"))
        );
        assert_eq!(parse("zeek:logs").unwrap().format, What::Zeek(Style::Tsv));
        assert!(parse("xml:/tmp/x").unwrap_err().contains("eve, idmef, ecs"));
        assert!(parse("eve").is_err() && parse("eve:").is_err());
    }
}
