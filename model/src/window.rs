//! Who and when: the sensor, the profile and the window that everything else hangs on.

use std::fmt;
use std::net::IpAddr;

use crate::app::AppRecord;
use crate::flow::FlowUpdate;
use crate::profile::ProfileDelta;
use crate::time::Timestamp;

/// Identity of a sensor (or of the group of sensors whose profiles are merged): a UUID, so that it survives restarts
/// and renamed hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SensorId(pub [u8; 16]);

/// As UUIDs are written: lower case, with hyphens.
impl fmt::Display for SensorId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                formatter.write_str("-")?;
            }
            write!(formatter, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Identity of a window of a profile: `[start, start + width)` of one IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowId {
    pub profile: IpAddr,
    pub start: Timestamp,
}

/// Which profiles a flow is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Only in the profile of its originator.
    #[default]
    Out,
    /// Also, as incoming, in the profile of its responder.
    All,
}

/// What the sensor says about one window of one profile at one moment: what is new in it, and the flows and messages
/// that made it new. This is the unit that batches are made of; a batch never splits one.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowUpdate {
    /// To be merged into what is known of [`ProfileDelta::window`].
    pub delta: Box<ProfileDelta>,
    pub stage: Stage,
    /// Each report stands once: in the update of its originator's profile.
    pub flows: Vec<FlowUpdate>,
    pub apps: Vec<AppRecord>,
}

/// Whether the window goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Sent early because memory was needed; more of the same moment follows. Detectors wait for it.
    Partial,
    /// All up to the last refresh of the sensor.
    Refreshed,
    /// The sensor expects nothing more for this window, and has sent everything of its time for all profiles. Late
    /// records may still come and are merged.
    Closed,
}
