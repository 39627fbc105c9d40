//! What a closed store keeps for whoever looks at it next, in one file beside its tables: its list of profiles and its
//! sensors, as the query service answers them.
//!
//! ```text
//! magic "LYG1" | crc32c of the body u32 (little endian) | body: ListProfilesResponse, GetStatusResponse, each behind its length
//! ```

use lynceus_model::status::SensorStatus;
use prost::Message as _;

use crate::field::{Checked, Invalid, address, finite, list};
use crate::v1;

const MAGIC: [u8; 4] = *b"LYG1";
const HEAD_BYTES: usize = 8;
/// Bytes of a body: some 100 thousand profiles with a window or two each. Whoever has more waits for the engine.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// Bytes of a file.
pub const MAX_BYTES: usize = HEAD_BYTES + MAX_BODY_BYTES;

/// The list and the sensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Glance {
    pub profiles: v1::ListProfilesResponse,
    /// Only the sensors are filled in.
    pub status: v1::GetStatusResponse,
}

/// Why a file is not taken. Offsets are from its begin.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("byte 0: this is no kept list of profiles")]
    Magic,
    #[error("it has more than {MAX_BYTES} bytes")]
    Long,
    #[error(
        "byte 4: the checksum says {stated:08x}, that of the {bytes} bytes from byte 8 is {computed:08x}"
    )]
    Checksum {
        stated: u32,
        computed: u32,
        bytes: usize,
    },
    #[error("byte {offset}: {reason}")]
    Decode { offset: usize, reason: String },
    #[error(transparent)]
    Field(#[from] Invalid),
}

impl Glance {
    /// The whole file; `None` where the body has more than [`MAX_BODY_BYTES`].
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut body = self.profiles.encode_length_delimited_to_vec();
        body.extend(self.status.encode_length_delimited_to_vec());
        if body.len() > MAX_BODY_BYTES {
            return None;
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.extend(MAGIC);
        bytes.extend(crc32c::crc32c(&body).to_le_bytes());
        bytes.extend(body);
        Some(bytes)
    }

    /// Of the whole file.
    ///
    /// # Errors
    /// When it is damaged, too long, or says what no collector does.
    pub fn read(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > MAX_BYTES {
            return Err(Refused::Long);
        }
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or(Refused::Magic)?;
        if *magic != MAGIC {
            return Err(Refused::Magic);
        }
        let (stated, body) = rest.split_first_chunk::<4>().ok_or_else(|| Refused::Decode {
            offset: bytes.len(),
            reason: "the file ends within its checksum".to_owned(),
        })?;
        let (stated, computed) = (u32::from_le_bytes(*stated), crc32c::crc32c(body));
        if stated != computed {
            return Err(Refused::Checksum {
                stated,
                computed,
                bytes: body.len(),
            });
        }
        Self::body(body)
    }

    /// What stands behind the checksum.
    ///
    /// # Errors
    /// As [`Glance::read`].
    pub fn body(body: &[u8]) -> Result<Self, Refused> {
        let mut rest = body;
        let profiles: v1::ListProfilesResponse = next(body, &mut rest)?;
        let status: v1::GetStatusResponse = next(body, &mut rest)?;
        if !rest.is_empty() {
            return Err(Refused::Decode {
                offset: HEAD_BYTES + body.len() - rest.len(),
                reason: format!("{} bytes too many", rest.len()),
            });
        }
        check(&profiles, &status)?;
        let status = v1::GetStatusResponse {
            sensors: status.sensors,
            ..v1::GetStatusResponse::default()
        };
        Ok(Self { profiles, status })
    }
}

fn next<M: prost::Message + Default>(body: &[u8], rest: &mut &[u8]) -> Result<M, Refused> {
    let offset = HEAD_BYTES + body.len() - rest.len();
    M::decode_length_delimited(rest).map_err(|error| Refused::Decode {
        offset,
        reason: error.to_string(),
    })
}

/// What a reader of the answers relies on.
fn check(profiles: &v1::ListProfilesResponse, status: &v1::GetStatusResponse) -> Checked<()> {
    let profiles: Vec<&v1::Profile> = profiles.profiles.iter().collect();
    list("profiles", profiles, MAX_BODY_BYTES, |profile| {
        address("ip", &profile.ip)?;
        list(
            "windows",
            profile.windows.iter().collect(),
            MAX_BODY_BYTES,
            |window| {
                finite("threat", window.threat)?;
                finite("threshold", window.threshold)
            },
        )
    })?;
    let statuses: Vec<_> = status
        .sensors
        .iter()
        .filter_map(|sensor| sensor.status.clone())
        .collect();
    list("sensors", statuses, MAX_BODY_BYTES, SensorStatus::try_from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glance(profiles: &[(Vec<u8>, f64)]) -> Glance {
        Glance {
            profiles: v1::ListProfilesResponse {
                profiles: profiles
                    .iter()
                    .map(|(ip, threat)| v1::Profile {
                        ip: ip.clone(),
                        windows: vec![v1::WindowSummary {
                            threat: *threat,
                            ..v1::WindowSummary::default()
                        }],
                        earlier_windows: 2,
                    })
                    .collect(),
                next_page: Vec::new(),
            },
            status: v1::GetStatusResponse {
                sensors: vec![v1::Sensor {
                    id: vec![1; 16],
                    status: Some(v1::SensorStatus::default()),
                    ..v1::Sensor::default()
                }],
                ..v1::GetStatusResponse::default()
            },
        }
    }

    fn why(bytes: &[u8]) -> String {
        Glance::read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn what_is_refused_says_where() {
        let whole = glance(&[(vec![10, 0, 0, 1], 3.5)]).to_bytes().unwrap();
        assert!(why(b"LY").contains("byte 0"));
        assert!(why(b"LYG2aaaaaaaa").contains("byte 0"));
        assert!(why(&whole[..6]).contains("byte 6"));
        assert!(why(&whole[..whole.len() - 1]).contains("byte 4: the checksum"));
        assert!(why(&vec![0; MAX_BYTES + 1]).contains("more than"));
        let of = |profile| why(&glance(&[profile]).to_bytes().unwrap());
        assert!(of((vec![1; 5], 0.0)).contains("profiles[0].ip: has 5 bytes"));
        assert!(of((vec![1; 4], f64::NAN)).contains("profiles[0].windows[0].threat"));
        let body = [&whole[8..], b"more"].concat();
        let error = Glance::body(&body).unwrap_err().to_string();
        assert_eq!(error, format!("byte {}: 4 bytes too many", whole.len()));
        let error = Glance::body(&[0xff; 3]).unwrap_err().to_string();
        assert!(error.starts_with("byte 8: "), "{error}");
    }

    #[test]
    fn too_much_is_not_written() {
        let long = (vec![1; MAX_BODY_BYTES], 0.0);
        assert_eq!(glance(&[long]).to_bytes(), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(profiles in prop::collection::vec(
            (prop_oneof![prop::collection::vec(any::<u8>(), 4), prop::collection::vec(any::<u8>(), 16)], 0.0..1e9), 0..20)) {
            let glance = glance(&profiles);
            prop_assert_eq!(Glance::read(&glance.to_bytes().unwrap()), Ok(glance));
        }

        #[test]
        fn damage_is_seen(at in any::<prop::sample::Index>(), bit in 0u32..8) {
            let mut bytes = glance(&[(vec![10, 0, 0, 1], 3.5)]).to_bytes().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(Glance::read(&bytes).is_err());
            bytes.truncate(at);
            prop_assert!(Glance::read(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Glance::body(&bytes);
        }
    }
}
