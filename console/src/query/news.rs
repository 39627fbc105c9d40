//! The collector's stream of changes, read by a task of its own so that nobody waits for it.

use std::net::IpAddr;

use lynceus_proto::v1;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::convert;
use crate::view::WindowView;

/// Messages between two looks; when they are full the collector waits, then leaves out and says so.
const WAITING: usize = 1024;

/// Changes since the last look.
#[derive(Debug)]
pub(super) struct News {
    inbox: mpsc::Receiver<v1::WatchResponse>,
}

impl News {
    pub(super) fn start(runtime: &Runtime, mut stream: tonic::Streaming<v1::WatchResponse>) -> Self {
        let (messages, inbox) = mpsc::channel(WAITING);
        runtime.spawn(async move {
            while let Ok(Some(message)) = stream.message().await {
                if messages.send(message).await.is_err() {
                    return;
                }
            }
        });
        Self { inbox }
    }

    /// Hands out changed windows. False: the stream ended or left something out, so everything must be read anew.
    pub(super) fn take(&mut self, change: &mut dyn FnMut(IpAddr, WindowView)) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(message) => match message.change {
                    Some(v1::watch_response::Change::Windows(windows)) => {
                        for changed in windows.windows {
                            let (Ok(profile), Some(summary)) =
                                (convert::address(&changed.profile), changed.summary)
                            else {
                                return false;
                            };
                            change(profile, convert::window(&summary));
                        }
                    }
                    Some(v1::watch_response::Change::Missed(_)) => return false,
                    Some(
                        v1::watch_response::Change::Evidence(_)
                        | v1::watch_response::Change::Alert(_)
                        | v1::watch_response::Change::Watching(_),
                    )
                    | None => {}
                },
                Err(mpsc::error::TryRecvError::Empty) => return true,
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
            }
        }
    }
}
