//! All detectors, as configured, behind one call.

use lynceus_model::evidence::Evidence;
use lynceus_model::time::Timestamp;

use crate::{Detector, History, ProfileUpdate};
use crate::{arp_scan, data_upload, horizontal_scan, icmp_scan, long_connection, vertical_scan};

/// Constants of every detector; each has `enabled`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DetectConfig {
    pub horizontal_scan: horizontal_scan::Config,
    pub vertical_scan: vertical_scan::Config,
    pub icmp_scan: icmp_scan::Config,
    pub arp_scan: arp_scan::Config,
    pub long_connection: long_connection::Config,
    pub data_upload: data_upload::Config,
}

/// The detectors that are enabled.
pub struct Registry {
    detectors: Vec<Box<dyn Detector>>,
}

impl Registry {
    #[must_use]
    pub fn new(config: &DetectConfig) -> Self {
        let mut detectors: Vec<Box<dyn Detector>> = Vec::new();
        let config = config.clone();
        if config.horizontal_scan.enabled {
            detectors.push(Box::new(horizontal_scan::HorizontalScan::new(
                config.horizontal_scan,
            )));
        }
        if config.vertical_scan.enabled {
            detectors.push(Box::new(vertical_scan::VerticalScan::new(config.vertical_scan)));
        }
        if config.icmp_scan.enabled {
            detectors.push(Box::new(icmp_scan::IcmpScan::new(config.icmp_scan)));
        }
        if config.arp_scan.enabled {
            detectors.push(Box::new(arp_scan::ArpScan::new(config.arp_scan)));
        }
        if config.long_connection.enabled {
            detectors.push(Box::new(long_connection::LongConnection::new(
                config.long_connection,
            )));
        }
        if config.data_upload.enabled {
            detectors.push(Box::new(data_upload::DataUpload::new(config.data_upload)));
        }
        Self { detectors }
    }

    /// Names of the enabled detectors.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.detectors.iter().map(|detector| detector.name())
    }

    /// Shows an update to every detector, in a fixed order.
    pub fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        self.detectors
            .iter_mut()
            .flat_map(|detector| detector.inspect(update, history))
            .collect()
    }

    /// Tells every detector how far event time is.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Evidence> {
        self.detectors
            .iter_mut()
            .flat_map(|detector| detector.tick(now))
            .collect()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.names()).finish()
    }
}
