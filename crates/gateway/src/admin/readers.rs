//! How many questions are put to the ledger at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::fault::AdminFault;

/// Questions at a time. Each holds a thread, a connection to the database and, while it adds up, a processor; so many
/// leave the rest to the gateway's own work.
const READERS: usize = 8;
/// How long one more waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns of those who ask the ledger.
pub(super) struct Readers {
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Readers {
    fn default() -> Self {
        Self::new(READERS, PATIENCE)
    }
}

impl Readers {
    fn new(readers: usize, patience: Duration) -> Self {
        Self { turns: Arc::new(Semaphore::new(readers)), patience }
    }

    /// A turn, which ends when it is dropped. Whoever came first has theirs first.
    ///
    /// # Errors
    /// [`AdminFault::Busy`] when none came in time.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, AdminFault> {
        match timeout(self.patience, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(turn) => turn.map_err(|closed| AdminFault::Internal(closed.to_string())),
            Err(_) => Err(AdminFault::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;
    use axum::http::{StatusCode, header};
    use axum::response::IntoResponse;

    #[tokio::test]
    async fn one_question_too_many_waits_for_its_turn_and_then_is_told_to_come_again() {
        let readers = Readers::new(2, Duration::from_millis(50));
        let held = [readers.turn().await.unwrap(), readers.turn().await.unwrap()];
        let refused = readers.turn().await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[header::RETRY_AFTER], "5");
        let body = to_bytes(refused.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["type"], &body["error"]["type"]), (&"error".into(), &"api_error".into()));

        // Who waits is next.
        let readers = Readers { patience: Duration::from_secs(60), ..readers };
        let (turn, ()) = tokio::join!(readers.turn(), async { drop(held) });
        assert!(turn.is_ok());
    }
}
