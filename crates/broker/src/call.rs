//! Calls into a worker's handler: each in a task of its own and with a deadline, so that a panic or
//! a hang costs one message and never its place.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, Span};

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the handler was not done after {} s", .0.as_secs_f64())]
    Deadline(Duration),
    #[error("the handler panicked: {0}")]
    Panic(tokio::task::JoinError),
}

impl CallError {
    /// The failure's reason, as a metric label.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Deadline(_) => "handler_deadline",
            Self::Panic(_) => "handler_panic",
        }
    }
}

/// Makes the call in the current span. It ends with whoever waits for it, so that nothing goes on
/// after the grace.
pub(crate) async fn guarded<T: Send + 'static>(
    deadline: Duration,
    call: impl Future<Output = T> + Send + 'static,
) -> Result<T, CallError> {
    let call = async move { timeout(deadline, call).await };
    let task = AbortOnDropHandle::new(tokio::spawn(call.instrument(Span::current())));
    match task.await {
        Ok(answer) => answer.map_err(|_| CallError::Deadline(deadline)),
        Err(error) => Err(CallError::Panic(error)),
    }
}
