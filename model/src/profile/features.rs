//! Features: the numbers by which windows of profiles are compared, with their units. Derived, so nothing of them travels.

use super::ProfileDelta;

/// What a feature is, for people and for models. The list only grows at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureInfo {
    pub name: &'static str,
    pub unit: &'static str,
    pub about: &'static str,
}

/// All features, in the order of [`ProfileDelta::features`].
pub const FEATURES: [FeatureInfo; 18] = [
    info("flows", "flows", "flows as client"),
    info(
        "flows_not_established",
        "flows",
        "flows as client without a connection coming about",
    ),
    info(
        "fail_ratio",
        "ratio",
        "share of flows as client that were not established",
    ),
    info(
        "dst_ips",
        "addresses",
        "hosts as client; one counts again for another protocol, and if some flows are established and some not",
    ),
    info(
        "dst_ports",
        "ports",
        "destination ports as client, counted as dst_ips",
    ),
    info(
        "out_tuples",
        "tuples",
        "destination IP, port and protocol, counted as dst_ips",
    ),
    info(
        "silent_targets",
        "targets",
        "TCP and UDP targets that did not answer",
    ),
    info("bytes_out", "bytes", "IP bytes sent as client"),
    info("bytes_in", "bytes", "IP bytes received as client"),
    info("packets_out", "packets", "packets sent as client"),
    info("packets_in", "packets", "packets received as client"),
    info(
        "mean_packet_out",
        "bytes",
        "mean IP length of the packets sent as client",
    ),
    info("upload_ratio", "ratio", "bytes sent of all bytes as client"),
    info(
        "median_duration",
        "seconds",
        "median duration of flows, to a factor of 1.4",
    ),
    info(
        "median_flow_bytes",
        "bytes",
        "median bytes of flows, to a factor of 1.4",
    ),
    info("server_flows", "flows", "flows as server"),
    info("dns_messages", "messages", "DNS messages"),
    info(
        "dns_nxdomain_ratio",
        "ratio",
        "DNS messages that say: no such name",
    ),
];

const fn info(name: &'static str, unit: &'static str, about: &'static str) -> FeatureInfo {
    FeatureInfo { name, unit, about }
}

impl ProfileDelta {
    /// One number for each of [`FEATURES`]; `None` where there is nothing to measure it on.
    #[must_use]
    pub fn features(&self) -> [Option<f64>; FEATURES.len()] {
        let totals = &self.totals;
        let (open, silent) = (&totals.client_established, &totals.client_not_established);
        let flows = (open.flows + silent.flows) as f64;
        let sent = open.bytes_sent.saturating_add(silent.bytes_sent) as f64;
        let received = open.bytes_received.saturating_add(silent.bytes_received) as f64;
        let packets_sent = open.packets_sent.saturating_add(silent.packets_sent) as f64;
        let packets_received = open.packets_received.saturating_add(silent.packets_received) as f64;
        let server = totals.server_established.flows + totals.server_not_established.flows;
        [
            Some(flows),
            Some(silent.flows as f64),
            ratio(silent.flows as f64, flows),
            Some(self.client_peers.distinct()),
            Some(self.client_ports.distinct()),
            Some(self.out_tuples.distinct()),
            Some(self.attempts.distinct()),
            Some(sent),
            Some(received),
            Some(packets_sent),
            Some(packets_received),
            ratio(sent, packets_sent),
            ratio(sent, sent + received),
            self.flow_durations.quantile(0.5).map(|micros| micros / 1e6),
            self.flow_bytes.quantile(0.5),
            Some(server as f64),
            Some(self.apps.dns as f64),
            ratio(self.apps.dns_nxdomain as f64, self.apps.dns as f64),
        ]
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Counts;
    use crate::time::Timestamp;
    use crate::window::WindowId;

    #[test]
    fn every_feature_has_its_place() {
        let window = WindowId {
            profile: std::net::IpAddr::from([10, 0, 0, 1]),
            start: Timestamp(0),
        };
        let mut delta = ProfileDelta::new(window);
        let by_name = |delta: &ProfileDelta, name: &str| {
            let at = FEATURES.iter().position(|feature| feature.name == name).unwrap();
            delta.features()[at]
        };
        assert_eq!(by_name(&delta, "fail_ratio"), None, "nothing is not zero");
        assert_eq!(by_name(&delta, "flows"), Some(0.0));
        delta.totals.client_established = Counts {
            flows: 3,
            packets_sent: 10,
            bytes_sent: 1_000,
            bytes_received: 3_000,
            packets_received: 9,
        };
        delta.totals.client_not_established.flows = 1;
        delta.apps.dns = 4;
        delta.apps.dns_nxdomain = 1;
        delta.flow_durations.add(1_000_000);
        assert_eq!(by_name(&delta, "fail_ratio"), Some(0.25));
        assert_eq!(by_name(&delta, "mean_packet_out"), Some(100.0));
        assert_eq!(by_name(&delta, "upload_ratio"), Some(0.25));
        assert_eq!(by_name(&delta, "dns_nxdomain_ratio"), Some(0.25));
        let median = by_name(&delta, "median_duration").unwrap();
        assert!((0.7..1.45).contains(&median), "{median}");
        let mut names: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FEATURES.len());
    }
}
