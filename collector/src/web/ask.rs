//! Questions to the store block; they get threads of their own, a few at a time.

use super::Web;
use super::error::Refusal;

impl Web {
    /// Runs a question where it may block.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        // The semaphore lives as long as the page: it is never closed.
        let _slot = self.0.slots.acquire().await.map_err(|_| Refusal::internal())?;
        let web = self.clone();
        tokio::task::spawn_blocking(move || question(&web))
            .await
            .map_err(|_| Refusal::internal())?
    }
}
