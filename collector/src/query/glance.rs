//! The list of profiles and the sensors as a store keeps them for whoever opens it next.

use std::path::Path;

use lynceus_proto::v1;
use prost::Message;
use tonic::Status;

use super::QueryService;
use crate::store::glance::{self, MAX_BYTES};

/// What a reader sees of a store before it is open.
pub struct Glance {
    /// With `next_page` where the list was cut.
    pub profiles: v1::ListProfilesResponse,
    /// Only the sensors are filled in.
    pub status: v1::GetStatusResponse,
}

impl Glance {
    /// Of a store that is closed and was closed in order; `None` where none is kept.
    #[must_use]
    pub fn read(store: &Path) -> Option<Self> {
        let bytes = glance::read(store)?;
        let mut rest = bytes.as_slice();
        let profiles = v1::ListProfilesResponse::decode_length_delimited(&mut rest).ok()?;
        let status = v1::GetStatusResponse::decode_length_delimited(&mut rest).ok()?;
        Some(Self { profiles, status })
    }
}

impl QueryService {
    /// The answers as bytes for [`Glance::read`]; `None` where they are too long to be kept. Blocks.
    pub(crate) fn glance(&self) -> Result<Option<Vec<u8>>, Status> {
        let mut all = v1::ListProfilesResponse::default();
        let mut bytes = 0;
        loop {
            let answer = self.profiles(&v1::ListProfilesRequest {
                page_size: super::PAGE.1,
                page: std::mem::take(&mut all.next_page),
                with_evidence: false,
            })?;
            bytes += answer.encoded_len();
            if bytes > MAX_BYTES {
                return Ok(None);
            }
            all.profiles.extend(answer.profiles);
            all.next_page = answer.next_page;
            if all.next_page.is_empty() {
                break;
            }
        }
        let status = v1::GetStatusResponse {
            sensors: self.status()?.sensors,
            ..v1::GetStatusResponse::default()
        };
        let mut body = all.encode_length_delimited_to_vec();
        body.extend(status.encode_length_delimited_to_vec());
        Ok(Some(body))
    }
}
