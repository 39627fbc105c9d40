//! The numbers by which windows of profiles are compared. Derived from the profile, so nothing of them travels.

mod derive;

pub use derive::Extras;

/// What a feature is, for people and for models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureInfo {
    pub name: &'static str,
    pub unit: &'static str,
    /// In which role the profile's address is looked at.
    pub side: Side,
    pub about: &'static str,
    /// When there is no value. A missing value is no term of the score, never zero.
    pub missing: &'static str,
    /// Logarithms are taken of `1 + scale · value`, so that ratios and seconds are resolved like counts.
    pub scale: u16,
    /// Only whole numbers occur.
    pub whole: bool,
}

/// The role of the profile's address in the flows that a feature counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It began them.
    Client,
    /// Others came to it.
    Server,
    /// Any.
    Both,
}

impl Side {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Both => "both",
        }
    }
}

/// Number of features.
pub const COUNT: usize = 29;

/// Changes when a feature changes its meaning or its place; baselines of another version are not used.
pub const FEATURES_VERSION: u32 = 2;

const NEVER: &str = "never";
const NO_FLOWS: &str = "no flow as client";
const NO_MESSAGES: &str = "no DNS message as client";
const NO_RHYTHM: &str = "no tuple with eight symbols that say a period";

/// All features, in the order of [`Values`]. The list only grows at its end.
pub const FEATURES: [FeatureInfo; COUNT] = [
    count("flows", "flows", Side::Client, "flows", NEVER),
    real(
        "flow_rate",
        "flows/min",
        Side::Client,
        10,
        "flows over the time from the first to the last packet, at least a second",
        NO_FLOWS,
    ),
    real(
        "fail_ratio",
        "ratio",
        Side::Client,
        100,
        "share of flows that were not established",
        NO_FLOWS,
    ),
    count("dst_ips", "addresses", Side::Client, "hosts", NEVER),
    count(
        "dst_ports",
        "ports",
        Side::Client,
        "destination ports, TCP and UDP apart",
        NEVER,
    ),
    count(
        "ports_of_one_host",
        "ports",
        Side::Client,
        "most ports of any one host",
        NO_FLOWS,
    ),
    count(
        "silent_targets",
        "targets",
        Side::Client,
        "TCP and UDP targets that did not answer",
        NEVER,
    ),
    count(
        "asked_targets",
        "targets",
        Side::Client,
        "addresses that were asked for by ARP (by neighbour discovery: in vain) or pinged",
        NEVER,
    ),
    count(
        "dst_asns",
        "systems",
        Side::Client,
        "autonomous systems of the hosts",
        "no host's system is known",
    ),
    count(
        "dst_countries",
        "countries",
        Side::Client,
        "countries of the hosts",
        "no host's country is known",
    ),
    count(
        "new_peers",
        "addresses",
        Side::Client,
        "hosts that are in none of the profile's four windows before this one",
        "no earlier window",
    ),
    real("bytes_out", "bytes", Side::Client, 1, "IP bytes sent", NEVER),
    real("bytes_in", "bytes", Side::Client, 1, "IP bytes received", NEVER),
    real(
        "bytes_to_one_host",
        "bytes",
        Side::Client,
        1,
        "most IP bytes sent to any one host",
        NO_FLOWS,
    ),
    count("packets_out", "packets", Side::Client, "packets sent", NEVER),
    real(
        "mean_packet_out",
        "bytes",
        Side::Client,
        1,
        "mean IP length of the packets sent",
        "no packet sent",
    ),
    real(
        "upload_ratio",
        "ratio",
        Side::Client,
        100,
        "bytes sent of all bytes",
        "no bytes",
    ),
    real(
        "median_duration",
        "seconds",
        Side::Both,
        100,
        "median duration of flows, to a factor of 1.4",
        "no flow",
    ),
    real(
        "median_flow_bytes",
        "bytes",
        Side::Both,
        1,
        "median bytes of flows, to a factor of 1.4",
        "no flow",
    ),
    real(
        "regularity",
        "ratio",
        Side::Client,
        100,
        "share of periodic symbols in the letters of the most regular tuple",
        NO_RHYTHM,
    ),
    real(
        "letters_entropy",
        "bits",
        Side::Client,
        10,
        "entropy of the symbols that say a period, over all tuples",
        NO_RHYTHM,
    ),
    count("dns_messages", "messages", Side::Client, "DNS messages", NEVER),
    real(
        "dns_nxdomain_ratio",
        "ratio",
        Side::Client,
        100,
        "DNS messages that say: no such name",
        NO_MESSAGES,
    ),
    real(
        "dns_name_entropy",
        "bits",
        Side::Client,
        10,
        "mean entropy of a character in the names asked for, without the registered suffix",
        "no name was seen",
    ),
    count(
        "new_fingerprints",
        "fingerprints",
        Side::Client,
        "TLS fingerprints (JA4) that nobody here showed before this window",
        "the collector knows the fingerprints of less than a day",
    ),
    count(
        "server_flows",
        "flows",
        Side::Server,
        "flows that others began",
        "incoming flows are not counted",
    ),
    count(
        "server_peers",
        "addresses",
        Side::Server,
        "hosts that came",
        "incoming flows are not counted",
    ),
    real(
        "hour_surprisal",
        "nats",
        Side::Both,
        10,
        "how unusual activity at this hour of the day (UTC) is for this profile",
        "fewer than 24 earlier windows",
    ),
    real(
        "hosting_ratio",
        "ratio",
        Side::Client,
        100,
        "share of the hosts that are in published ranges of AWS, Google Cloud or Oracle Cloud",
        "one of these lists is not here, or no host is routed",
    ),
];

const fn count(
    name: &'static str,
    unit: &'static str,
    side: Side,
    about: &'static str,
    missing: &'static str,
) -> FeatureInfo {
    FeatureInfo {
        whole: true,
        ..real(name, unit, side, 1, about, missing)
    }
}

const fn real(
    name: &'static str,
    unit: &'static str,
    side: Side,
    scale: u16,
    about: &'static str,
    missing: &'static str,
) -> FeatureInfo {
    FeatureInfo {
        name,
        unit,
        side,
        about,
        missing,
        scale,
        whole: false,
    }
}

/// Place of a feature in [`FEATURES`].
#[must_use]
pub fn place_of(name: &str) -> Option<usize> {
    FEATURES.iter().position(|feature| feature.name == name)
}

/// One number for each of [`FEATURES`], or none where there is nothing to measure it on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values([Option<f64>; COUNT]);

impl Values {
    /// Numbers that are negative or not finite are missing: no feature has such values.
    #[must_use]
    pub fn new(values: [Option<f64>; COUNT]) -> Self {
        Self(values.map(|value| value.filter(|value| value.is_finite() && *value >= 0.0)))
    }

    #[must_use]
    pub fn get(&self, feature: usize) -> Option<f64> {
        self.0.get(feature).copied().flatten()
    }

    pub fn set(&mut self, feature: usize, value: Option<f64>) {
        if let Some(place) = self.0.get_mut(feature) {
            *place = value.filter(|value| value.is_finite() && *value >= 0.0);
        }
    }

    /// Features that have a value.
    pub fn present(&self) -> impl Iterator<Item = (usize, f64)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(feature, value)| Some((feature, (*value)?)))
    }

    #[must_use]
    pub const fn all(&self) -> &[Option<f64>; COUNT] {
        &self.0
    }
}

impl Default for Values {
    fn default() -> Self {
        Self([None; COUNT])
    }
}

/// ln(1 + scale · value) of a feature's value.
#[must_use]
pub fn logarithm(feature: usize, value: f64) -> f64 {
    let scale = FEATURES.get(feature).map_or(1.0, |info| f64::from(info.scale));
    libm::log1p(scale * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_feature_is_described() {
        let mut names: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COUNT);
        for feature in &FEATURES {
            assert!(!feature.unit.is_empty() && !feature.about.is_empty() && !feature.missing.is_empty());
            assert!(feature.scale > 0);
        }
        assert_eq!(place_of("dst_ips"), Some(3));
    }

    #[test]
    fn the_documented_list_is_this_one() {
        let page = include_str!("../../../docs/outliers.md");
        assert!(page.contains(&format!("{COUNT} features (list version {FEATURES_VERSION})")));
        let rows = page
            .lines()
            .skip_while(|line| !line.starts_with("| feature |"))
            .skip(2);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), COUNT);
        for (feature, row) in FEATURES.iter().zip(rows) {
            let (name, unit, side) = (feature.name, feature.unit, feature.side.name());
            assert!(
                row.starts_with(&format!("| `{name}` | {unit} | {side} | ")),
                "{row}"
            );
            assert!(
                row.split('|').filter(|cell| !cell.trim().is_empty()).count() == 5,
                "{row}"
            );
        }
    }

    #[test]
    fn what_is_no_number_is_missing() {
        let mut values = Values::default();
        for wrong in [f64::NAN, f64::INFINITY, -1.0] {
            values.set(0, Some(wrong));
            assert_eq!(values.get(0), None);
        }
        values.set(0, Some(0.0));
        assert_eq!(values.present().collect::<Vec<_>>(), [(0, 0.0)]);
        assert_eq!(values.get(COUNT), None);
    }
}
