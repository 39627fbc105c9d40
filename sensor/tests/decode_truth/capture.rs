//! Messages of a capture file, through the source that users run.

use std::path::Path;

use lynceus_model::app::AppRecord;
use lynceus_sensor::flow_table::FlowTableConfig;
use lynceus_sensor::source::pcap::{Depth, PcapSource};
use lynceus_sensor::source::{Event, Source, Status};
use sensor_ebpf::heads::HeadLimits;

/// What the decoders tell of a capture. A fault of the file ends it; what was readable before is told.
pub(crate) fn messages(path: &Path) -> Vec<AppRecord> {
    let mut source = PcapSource::new([path.to_owned()], FlowTableConfig::default(), Depth::Deep)
        .with_decoders(HeadLimits::DEFAULT);
    let mut records = Vec::new();
    let mut events = Vec::new();
    loop {
        let status = source.next(&mut events);
        records.extend(events.drain(..).filter_map(|event| match event {
            Event::App(record) => Some(*record),
            Event::Flow(_) => None,
        }));
        if matches!(status, Ok(Status::Ended)) {
            return records;
        }
    }
}
