//! RIPE Atlas anchors as landmarks: the JSON of the anchors list of its API, one page or many, and bare arrays of
//! anchors. The list is not shipped; whoever wants it downloads it.

use serde::Deserialize;

use super::landmark::{Landmark, MAX_LANDMARKS};
use super::sphere::LatLon;

/// Largest document, in bytes: some fifty times the list of all anchors.
pub const MAX_BYTES: usize = 64 << 20;

/// What a list of anchors gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    pub landmarks: Vec<Landmark>,
    /// Switched off by its owner or by RIPE.
    pub disabled: usize,
    /// Without coordinates, or with such that are no place.
    pub without_place: usize,
    /// Listed before, as on two pages.
    pub twice: usize,
    /// Beyond the bound of landmarks.
    pub too_many: usize,
}

/// A document that is no list of anchors.
#[derive(Debug, thiserror::Error)]
pub enum AtlasError {
    #[error("{0} bytes; at most {MAX_BYTES}")]
    TooLarge(usize),
    /// The text names line, column and field.
    #[error("not a list of RIPE Atlas anchors: {0}")]
    Json(#[from] serde_json::Error),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Page { results: Vec<Anchor> },
    List(Vec<Anchor>),
}

#[derive(Deserialize)]
struct Anchor {
    id: u64,
    #[serde(default)]
    fqdn: Option<String>,
    #[serde(default)]
    ip_v4: Option<String>,
    #[serde(default)]
    ip_v6: Option<String>,
    #[serde(default)]
    city: Option<String>,
    #[serde(default)]
    country: Option<String>,
    #[serde(default)]
    geometry: Option<Geometry>,
    #[serde(default)]
    is_disabled: Option<bool>,
    #[serde(default)]
    date_decommissioned: Option<String>,
}

/// GeoJSON: longitude first.
#[derive(Deserialize)]
struct Geometry {
    coordinates: Vec<f64>,
}

/// Reads pages of anchors, one behind the other. `error_km` is how far an anchor may be from its coordinates, which
/// RIPE gives without an error.
///
/// # Errors
/// The document is too large or no list of anchors.
pub fn import(text: &[u8], error_km: f64) -> Result<Imported, AtlasError> {
    if text.len() > MAX_BYTES {
        return Err(AtlasError::TooLarge(text.len()));
    }
    let mut imported = Imported::default();
    let mut known = std::collections::HashSet::new();
    for document in serde_json::Deserializer::from_slice(text).into_iter() {
        let (Document::Page { results: anchors } | Document::List(anchors)) = document?;
        for anchor in anchors {
            if !known.insert(anchor.id) {
                imported.twice += 1;
            } else if anchor.is_disabled == Some(true) || anchor.date_decommissioned.is_some() {
                imported.disabled += 1;
            } else if imported.landmarks.len() == MAX_LANDMARKS {
                imported.too_many += 1;
            } else if let Some(landmark) = landmark(anchor, error_km) {
                imported.landmarks.push(landmark);
            } else {
                imported.without_place += 1;
            }
        }
    }
    Ok(imported)
}

fn landmark(anchor: Anchor, error_km: f64) -> Option<Landmark> {
    let [lon, lat] = anchor.geometry?.coordinates[..] else {
        return None;
    };
    let clean = |text: Option<String>| -> String {
        let text = text.unwrap_or_default();
        let kept = text.chars().filter(|c| !c.is_control()).take(60);
        kept.collect::<String>().trim().to_owned()
    };
    // Empty strings stand where an anchor has no address of that family.
    let address = |text: Option<String>| text.and_then(|text| text.trim().parse().ok());
    let address6 = |text: Option<String>| text.and_then(|text| text.trim().parse().ok());
    let mut landmark = Landmark::new(format!("atlas-{}", anchor.id), LatLon::new(lat, lon)?);
    landmark.error_km = error_km;
    landmark.address = address(anchor.ip_v4);
    landmark.address6 = address6(anchor.ip_v6);
    landmark.city = clean(anchor.city);
    landmark.country = clean(anchor.country);
    let name = clean(anchor.fqdn);
    landmark.source = if name.is_empty() {
        "RIPE Atlas".to_owned()
    } else {
        format!("RIPE Atlas {name}")
    };
    Some(landmark)
}
