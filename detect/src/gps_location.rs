//! Geographic coordinates in unencrypted requests.

use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use serde::{Deserialize, Serialize};

use crate::names::shown;
use crate::report::{With, feature, grown, pair};
use crate::tally::Tallies;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`GpsLocation`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Digits behind the point: three are about 100 m, fewer name a town.
    pub min_digits: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_digits: 3,
        }
    }
}

/// Reads pairs of latitude and longitude out of the queries of HTTP requests; bodies are not seen in heads.
#[derive(Debug)]
pub struct GpsLocation {
    config: Config,
    leaks: Tallies<(IpAddr, u16), String>,
}

impl GpsLocation {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            leaks: Tallies::new(),
        }
    }
}

impl Detector for GpsLocation {
    fn name(&self) -> &'static str {
        "gps_location"
    }

    fn refused(&self) -> u64 {
        self.leaks.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        for record in update.apps {
            if let AppEvent::HttpRequest(request) = &record.event
                && let Some(location) = location(&request.uri, self.config.min_digits)
            {
                let server = record.tuple.responder;
                if let Some(tally) = self.leaks.note(window, (server.ip, server.port), record)
                    && tally.detail.is_empty()
                {
                    tally.detail = location;
                }
            }
        }
        let digits = self.config.min_digits;
        let found = self.leaks.say(window, |(server, port), tally| {
            let (key, location) = (format!("{server}/{port}"), &tally.detail);
            let evidence = Evidence {
                victim: Some(*server),
                dst_port: Some(*port),
                protocol: Some(6),
                threat_level: ThreatLevel::Low,
                confidence: Confidence::new(0.9),
                description: format!(
                    "{} sent its location to {server} without encryption: {location}.",
                    window.profile
                ),
                explanation: Explanation {
                    features: vec![
                        feature("requests with a location", tally.count as f64, "requests").threshold(1.0),
                    ],
                    text: format!(
                        "Latitude and longitude with at least {digits} digits behind the point stand in the request."
                    ),
                },
                ..grown(update, EvidenceType::NetworkGpsLocationLeaked, &key, tally)
            };
            Some(pair(evidence, update, *server, &key, ThreatLevel::High))
        });
        self.leaks.close(update);
        found
    }
}

/// `latitude, longitude` if the query of the URI has both.
fn location(uri: &str, min_digits: usize) -> Option<String> {
    let (_, query) = uri.split_once('?')?;
    let (mut latitude, mut longitude) = (None, None);
    for pair in query.split(['&', ';']) {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "lat" | "latitude" | "gpslat" | "gps_lat" => latitude = degrees(value, 90.0, min_digits),
            "lon" | "lng" | "long" | "longitude" | "gpslon" | "gps_lon" => {
                longitude = degrees(value, 180.0, min_digits);
            }
            "ll" | "latlng" | "latlon" | "location" | "coords" | "geo" | "position" => {
                let (first, second) = value
                    .split_once(',')
                    .or_else(|| value.split_once("%2C"))
                    .or_else(|| value.split_once("%2c"))
                    .unwrap_or_default();
                if let (Some(a), Some(b)) = (
                    degrees(first, 90.0, min_digits),
                    degrees(second, 180.0, min_digits),
                ) {
                    (latitude, longitude) = (Some(a), Some(b));
                }
            }
            _ => {}
        }
    }
    Some(shown(&format!("{}, {}", latitude?, longitude?)))
}

/// The number itself, if it is an angle in degrees with enough digits.
fn degrees(text: &str, limit: f64, min_digits: usize) -> Option<&str> {
    let digits = text.split_once('.')?.1;
    let number: f64 = text.parse().ok()?;
    let fine = digits.len() >= min_digits && digits.bytes().all(|byte| byte.is_ascii_digit());
    // 0, 0 is what programs send that do not know.
    (fine && number != 0.0 && number.abs() <= limit).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::location;

    #[test]
    fn coordinates() {
        for (uri, found) in [
            ("/w?lat=50.0755&lon=14.4378", Some("50.0755, 14.4378")),
            (
                "/w?a=1&LATITUDE=-33.8688&longitude=151.2093",
                Some("-33.8688, 151.2093"),
            ),
            ("/w?ll=50.0755%2C14.4378", Some("50.0755, 14.4378")),
            ("/w?lat=50&lon=14", None),
            ("/w?lat=50.0755", None),
            ("/w?lat=150.0755&lon=14.4378", None),
            ("/w?lat=0.0000&lon=0.0000", None),
            ("/lat=50.0755&lon=14.4378", None),
            ("/w?lat=1.23e5&lon=nan.000", None),
        ] {
            assert_eq!(location(uri, 3).as_deref(), found, "{uri}");
        }
    }
}
