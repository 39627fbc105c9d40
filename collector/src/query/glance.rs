//! The list of profiles and the sensors as a store keeps them for whoever opens it next.

use lynceus_proto::glance::{Glance, MAX_BODY_BYTES};
use lynceus_proto::v1;
use prost::Message as _;
use tonic::Status;

use super::QueryService;

impl QueryService {
    /// The answers as the file that [`Glance::read`] reads; `None` where they are too long to be kept. Blocks.
    pub(crate) fn glance(&self) -> Result<Option<Vec<u8>>, Status> {
        let mut profiles = v1::ListProfilesResponse::default();
        let mut bytes = 0;
        loop {
            let answer = self.profiles(&v1::ListProfilesRequest {
                page_size: super::PAGE.1,
                page: std::mem::take(&mut profiles.next_page),
                with_evidence: false,
            })?;
            bytes += answer.encoded_len();
            if bytes > MAX_BODY_BYTES {
                return Ok(None);
            }
            profiles.profiles.extend(answer.profiles);
            profiles.next_page = answer.next_page;
            if profiles.next_page.is_empty() {
                break;
            }
        }
        let status = v1::GetStatusResponse {
            sensors: self.status()?.sensors,
            ..v1::GetStatusResponse::default()
        };
        Ok(Glance { profiles, status }.to_bytes())
    }
}
