//! The daemons as an agent in use: a sensor on the receiving end of a pair, and the collector that it ships to, with every
//! decoder and detector on, durable batches and default settings.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, LogRange, Store};
use lynceus_model::window::WindowUpdate;
use lynceus_proto::batch::Content;
use lynceus_proto::v1;
use lynceus_tests::netns::Pair;
use lynceus_tests::program::{Running, built};
use prost::Message;
use tempfile::TempDir;

use super::PATIENCE;
use super::usage::children_cpu;

pub(super) struct Daemons {
    sensor: Running,
    collector: Running,
    directory: TempDir,
    /// CPU of the children before.
    before: Duration,
}

/// CPU of each from its start to its end, and what is in the store.
pub(super) struct Ended {
    pub(super) sensor: Duration,
    pub(super) collector: Duration,
    pub(super) stored: Stored,
}

/// Packets, as the stored batches have them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stored {
    /// In the totals of the profiles.
    pub(super) counted: u64,
    /// In the flows that came with them; the rest was over the purse of a refresh (`profiles.carry`).
    pub(super) listed: u64,
}

impl Daemons {
    pub(super) fn start(pair: &Pair, hook: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().display();
        let write = |name: &str, text: String| std::fs::write(directory.path().join(name), text);
        write(
            "collector.toml",
            format!(
                "listen = \"unix:{path}/ingest.sock\"\nhttp_listen = \"\"\n[store]\ndirectory = \"{path}/store\"\n"
            ),
        )?;
        write(
            "sensor.toml",
            format!(
                "state_dir = \"{path}/sensor\"\n[capture]\ninterfaces = [\"{}\"]\nhook = \"{hook}\"\n\
                 [collector]\nurl = \"unix:{path}/ingest.sock\"\ndrain_timeout = \"50s\"\n",
                Pair::RX
            ),
        )?;
        let before = children_cpu()?;
        let mut collector = Command::new("taskset");
        run(
            &mut collector,
            &built("lynceus-collector")?,
            &directory.path().join("collector.toml"),
        );
        let collector = Running::start(collector, "listening", PATIENCE)?;
        let mut sensor = pair.receiver.command("taskset");
        run(
            &mut sensor,
            &built("lynceus-sensor")?,
            &directory.path().join("sensor.toml"),
        );
        let sensor = Running::start(sensor, "the sensor runs", PATIENCE)?;
        Ok(Self {
            sensor,
            collector,
            directory,
            before,
        })
    }

    pub(super) fn sensor_pid(&self) -> u32 {
        self.sensor.pid()
    }

    /// Ends the sensor, which ships what it has before it goes (the default would leave the rest to its spool), then the
    /// collector.
    pub(super) fn end(self) -> Result<Ended> {
        let ended = self.sensor.terminate(PATIENCE)?;
        ensure!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        let between = children_cpu()?;
        let ended = self.collector.terminate(PATIENCE)?;
        ensure!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        Ok(Ended {
            sensor: between.saturating_sub(self.before),
            collector: children_cpu()?.saturating_sub(between),
            stored: stored(&self.directory.path().join("store"))?,
        })
    }
}

/// On the CPU that does not send.
fn run(command: &mut Command, program: &Path, config: &Path) {
    command
        .args(["-c", "1"])
        .arg(program)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null());
}

/// Every packet has one client, so the clients' totals hold each once.
fn stored(directory: &Path) -> Result<Stored> {
    let store = EmbeddedStore::open(&EmbeddedOptions::new(directory))?;
    let (mut stored, mut fault) = (Stored::default(), None);
    store.read_log(&LogRange::default(), &mut |record| {
        let content = v1::Payload::decode(record.payload)
            .context("a stored batch")
            .and_then(|payload| Content::try_from(payload).context("a stored batch"));
        match content {
            Ok(content) => {
                content.updates.iter().for_each(|update| stored.add(update));
                ControlFlow::Continue(())
            }
            Err(error) => {
                fault = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    fault.map_or(Ok(stored), Err)
}

impl Stored {
    fn add(&mut self, update: &WindowUpdate) {
        let totals = &update.delta.totals;
        let as_client = [&totals.client_established, &totals.client_not_established];
        self.counted += as_client.map(|counts| counts.packets()).iter().sum::<u64>();
        let flows = update.flows.iter();
        self.listed += flows
            .map(|flow| flow.new_out.packets + flow.new_back.packets)
            .sum::<u64>();
    }
}
