//! The list of profiles and the sensors as a store keeps them for whoever opens it next.

use lynceus_proto::glance::{Glance, MAX_BODY_BYTES};
use lynceus_proto::v1;
use prost::Message as _;
use tonic::Status;

use super::QueryService;

impl QueryService {
    /// The answers as the file that [`Glance::read`] reads; where they are too long to be kept, how many profiles there
    /// are. Blocks.
    pub(crate) fn glance(&self) -> Result<Result<Vec<u8>, u64>, Status> {
        let mut profiles = v1::ListProfilesResponse::default();
        let (mut count, mut bytes) = (0, 0);
        loop {
            let answer = self.profiles(&v1::ListProfilesRequest {
                page_size: super::PAGE.1,
                page: std::mem::take(&mut profiles.next_page),
                with_evidence: false,
            })?;
            bytes += answer.encoded_len();
            count += answer.profiles.len() as u64;
            if bytes > MAX_BODY_BYTES {
                // What is refused is counted to its end, and not kept.
                profiles.profiles.clear();
            } else {
                profiles.profiles.extend(answer.profiles);
            }
            profiles.next_page = answer.next_page;
            if profiles.next_page.is_empty() {
                break;
            }
        }
        if bytes > MAX_BODY_BYTES {
            return Ok(Err(count));
        }
        let status = v1::GetStatusResponse {
            sensors: self.status()?.sensors,
            ..v1::GetStatusResponse::default()
        };
        Ok(Glance { profiles, status }.to_bytes().ok_or(count))
    }
}
