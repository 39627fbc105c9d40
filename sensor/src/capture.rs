//! What the daemon observes, as one source.

use std::time::Duration;

use lynceus_model::status::{Counter, PointStatus, SensorStatus};
use lynceus_model::time::Timestamp;
use sensor_ebpf::heads::HeadLimits;

use crate::config::CaptureConfig;
use crate::flow_table::FlowTableConfig;
use crate::source::kernel::{KernelConfig, KernelSource};
use crate::source::pcap::{Depth, PcapSource};
use crate::source::{Event, Source, Status};

/// How long one look at a pipe may take: a small part of the delay that a batch may have.
const PIPE_PATIENCE: Duration = Duration::from_millis(5);

/// An open source. Made and used by the pipeline's thread.
pub enum Capture {
    Files(Box<PcapSource>),
    Kernel(Box<KernelSource>),
}

impl Capture {
    /// Opens files, or attaches to the interfaces.
    ///
    /// # Errors
    /// What cannot be observed and why.
    pub fn open(config: &CaptureConfig) -> anyhow::Result<Self> {
        if !config.interfaces.is_empty() {
            let source = KernelSource::start(KernelConfig {
                interfaces: config.interfaces.clone(),
                hook: config.hook,
                ..KernelConfig::default()
            })?;
            for how in source.hooks() {
                tracing::info!(how, "attached");
            }
            return Ok(Self::Kernel(Box::new(source)));
        }
        let mut source = PcapSource::new(config.files.clone(), FlowTableConfig::default(), Depth::default())
            .with_decoders(HeadLimits::DEFAULT);
        if config.files.iter().any(|path| !path.is_file()) {
            source = source.with_patience(PIPE_PATIENCE);
        }
        Ok(Self::Files(Box::new(source)))
    }

    /// Ends the intake: the source hands out what it still has, and then ends.
    pub fn stop(&mut self) {
        match self {
            Self::Files(source) => source.stop(),
            Self::Kernel(source) => source.stop(),
        }
    }

    /// Accounting of the source. Name, version and times are the caller's.
    #[must_use]
    pub fn status(&self) -> SensorStatus {
        match self {
            Self::Files(source) => SensorStatus {
                points: vec![file_point(source)],
                ..SensorStatus::default()
            },
            Self::Kernel(source) => source.status(),
        }
    }
}

impl Source for Capture {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        match self {
            Self::Files(source) => source.next(events),
            Self::Kernel(source) => source.next(events),
        }
    }

    fn watermark(&self) -> Timestamp {
        match self {
            Self::Files(source) => source.watermark(),
            Self::Kernel(source) => source.watermark(),
        }
    }

    fn origin(&self) -> Option<Timestamp> {
        match self {
            // A sensor's windows are those of the fleet, whatever it reads.
            Self::Files(_) | Self::Kernel(_) => None,
        }
    }
}

/// A file's packets are refused or in a flow: the flow table cannot lose one.
fn file_point(source: &PcapSource) -> PointStatus {
    let counts = source.counts();
    let named = |(reason, packets): (&'static str, u64)| Counter {
        reason: reason.into(),
        count: packets,
    };
    let refused: Vec<Counter> = counts
        .refused_by_reason()
        .map(|(reason, tally)| named((reason, tally.packets)))
        .collect();
    let refused_packets: u64 = refused.iter().map(|counter| counter.count).sum();
    PointStatus {
        interface: "file".to_owned(),
        egress: false,
        hook: "file".to_owned(),
        seen: counts.seen.packets,
        recorded: counts.seen.packets - refused_packets,
        resident: 0,
        refused,
        degraded: counts
            .degraded_by_reason()
            .map(|(reason, tally)| named((reason, tally.packets)))
            .collect(),
    }
}
