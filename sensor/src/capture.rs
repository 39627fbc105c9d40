//! What the daemon observes, as one source.

use std::sync::Arc;
use std::time::Duration;

use lynceus_model::address::Network;
use lynceus_model::status::{PointStatus, SensorStatus};
use lynceus_model::time::Timestamp;

use crate::block::Desk;
use crate::config::CaptureConfig;
use crate::flow_table::FlowTableConfig;
use crate::kernel::load;
use crate::source::files::FileSource;
use crate::source::follow::FollowSource;
use crate::source::kernel::{KernelConfig, KernelSource};
use crate::source::netflow::NetflowSource;
use crate::source::{Event, Source, Status};

/// How long one look at a pipe may take: a small part of the delay that a batch may have.
const PIPE_PATIENCE: Duration = Duration::from_millis(5);

/// An open source. Made and used by the pipeline's thread.
pub enum Capture {
    /// With the packets of the flows that were handed out.
    Files(Box<FileSource>, u64),
    Kernel(Box<KernelSource>),
    /// A growing directory of Zeek.
    Logs(Box<FollowSource>),
    Netflow(Box<NetflowSource>),
}

impl Capture {
    /// Opens files, directory or socket, or attaches to the interfaces, which do what `block` asks for
    /// ([`KernelConfig::block`]).
    ///
    /// # Errors
    /// What cannot be observed and why.
    pub fn open(config: &CaptureConfig, block: Option<(Arc<Desk>, Vec<Network>)>) -> anyhow::Result<Self> {
        if !config.interfaces.is_empty() {
            let source = KernelSource::start(KernelConfig {
                interfaces: config.interfaces.clone(),
                hook: config.hook,
                block,
                kernel: load::Options {
                    log: config.kernel_log,
                    ..load::Options::default()
                },
                ..KernelConfig::default()
            })?;
            for how in source.hooks() {
                tracing::info!(how, "attached");
            }
            return Ok(Self::Kernel(Box::new(source)));
        }
        if let Some(address) = config.netflow {
            return Ok(Self::Netflow(Box::new(NetflowSource::bind(address)?)));
        }
        if let Some(directory) = &config.watch {
            return Ok(Self::Logs(Box::new(FollowSource::start(directory)?)));
        }
        let source = FileSource::open(&config.files, FlowTableConfig::default(), Some(PIPE_PATIENCE));
        Ok(Self::Files(Box::new(source), 0))
    }

    /// Ends the intake: the source hands out what it still has, and then ends.
    pub fn stop(&mut self) {
        match self {
            Self::Files(source, _) => source.stop(),
            Self::Kernel(source) => source.stop(),
            Self::Logs(source) => source.stop(),
            Self::Netflow(source) => source.stop(),
        }
    }

    /// Accounting of the source. Name, version and times are the caller's.
    #[must_use]
    pub fn status(&self) -> SensorStatus {
        match self {
            Self::Files(source, packets) => SensorStatus {
                points: source.points(*packets).into_iter().map(with_open).collect(),
                losses: source.losses(),
                ..SensorStatus::default()
            },
            Self::Kernel(source) => source.status(),
            Self::Logs(source) => SensorStatus {
                name: "logs".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                points: vec![source.counts().point("rows of logs")],
                losses: source.counts().losses(),
                ..SensorStatus::default()
            },
            Self::Netflow(source) => source.status(),
        }
    }
}

/// Packets of a file that are neither in a flow that was handed out nor refused are in flows that are still open.
fn with_open(mut point: PointStatus) -> PointStatus {
    let refused: u64 = point.refused.iter().map(|counter| counter.count).sum();
    point.resident = point.seen.saturating_sub(point.recorded).saturating_sub(refused);
    point
}

impl Source for Capture {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        match self {
            Self::Files(source, packets) => {
                let before = events.len();
                let status = source.next(events);
                *packets += events[before..].iter().map(Event::packets).sum::<u64>();
                status
            }
            Self::Kernel(source) => source.next(events),
            Self::Logs(source) => source.next(events),
            Self::Netflow(source) => source.next(events),
        }
    }

    fn watermark(&self) -> Timestamp {
        match self {
            Self::Files(source, _) => source.watermark(),
            Self::Kernel(source) => source.watermark(),
            Self::Logs(source) => source.watermark(),
            Self::Netflow(source) => source.watermark(),
        }
    }

    fn origin(&self) -> Option<Timestamp> {
        // A sensor's windows are those of the fleet, whatever it reads.
        None
    }
}
