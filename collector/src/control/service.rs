//! What operators ask, over gRPC.

use std::sync::Arc;
use std::time::Duration;

use lynceus_proto::block::prefix_of;
use lynceus_proto::{Invalid, v1};
use tonic::{Request, Response, Status};

use super::{Control, ControlError};

/// The service behind `lynceus block`, `unblock` and `blocked`.
#[derive(Clone)]
pub struct ControlService(pub Arc<Control>);

#[tonic::async_trait]
impl v1::control_server::Control for ControlService {
    async fn block(&self, request: Request<v1::BlockRequest>) -> Result<Response<v1::BlockResponse>, Status> {
        let request = request.into_inner();
        let network = prefix_of(&request.address, request.prefix).map_err(|error| invalid(&error))?;
        if request.for_nanos == 0 {
            return Err(Status::invalid_argument("for_nanos: must be above 0"));
        }
        let block = self.ask(move |control| {
            let time = Duration::from_nanos(request.for_nanos);
            control.block(network, time, request.dry_run, &request.reason, crate::now())
        });
        Ok(Response::new(v1::BlockResponse {
            block: Some(block.await?),
            sensors: self.0.sensors(),
        }))
    }

    async fn unblock(
        &self,
        request: Request<v1::UnblockRequest>,
    ) -> Result<Response<v1::UnblockResponse>, Status> {
        let request = request.into_inner();
        let network = prefix_of(&request.address, request.prefix).map_err(|error| invalid(&error))?;
        let block = self.ask(move |control| control.unblock(network, &request.reason, crate::now()));
        Ok(Response::new(v1::UnblockResponse {
            block: Some(block.await?),
        }))
    }

    async fn list_blocks(
        &self,
        request: Request<v1::ListBlocksRequest>,
    ) -> Result<Response<v1::ListBlocksResponse>, Status> {
        let request = request.into_inner();
        let answer = self.ask(move |control| {
            Ok(v1::ListBlocksResponse {
                blocks: control.list(request.ended)?,
                log: if request.log { control.log()? } else { Vec::new() },
                enabled: control.options().enabled,
                dry_run: control.options().dry_run,
                sensors: control.sensors(),
            })
        });
        Ok(Response::new(answer.await?))
    }
}

impl ControlService {
    /// Runs a question where it may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, Status> {
        let control = Arc::clone(&self.0);
        let answer = tokio::task::spawn_blocking(move || question(&control)).await;
        let answer = answer.map_err(|_| Status::internal("the request was not handled"))?;
        answer.map_err(|error| match error {
            ControlError::Off | ControlError::Refused(..) => Status::failed_precondition(error.to_string()),
            ControlError::NotBlocked(_) => Status::not_found(error.to_string()),
            ControlError::Store(_) => Status::unavailable(error.to_string()),
        })
    }
}

fn invalid(error: &Invalid) -> Status {
    Status::invalid_argument(error.to_string())
}
