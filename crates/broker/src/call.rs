//! Calls into a worker's handler: each with a deadline and caught when it panics, so that a panic or
//! a hang costs one message and never its place.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the handler was not done after {} s", .0.as_secs_f64())]
    Deadline(Duration),
    #[error("the handler panicked: {0}")]
    Panic(String),
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

/// Makes the call. It ends with whoever waits for it, so that nothing goes on after the grace.
///
/// The call has a place of its own in memory: handlers keep kilobytes while they wait, and whoever
/// waits for one would be as large, and moved about with it.
pub(crate) fn guarded<T>(
    deadline: Duration,
    call: impl Future<Output = T> + Send,
) -> impl Future<Output = Result<T, CallError>> + Send {
    // What a call that panicked has left half done is its own; the next call begins anew.
    let call = Box::pin(AssertUnwindSafe(call).catch_unwind());
    async move {
        match timeout(deadline, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(panic)) => Err(CallError::Panic(said(panic))),
            Err(_) => Err(CallError::Deadline(deadline)),
        }
    }
}

/// What a panic said.
fn said(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast::<String>().map(|text| *text);
    text.or_else(|other| other.downcast::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|_| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CallError, guarded};

    const LONG: Duration = Duration::from_secs(60);

    async fn words(call: impl Future<Output = ()> + Send) -> String {
        match guarded(LONG, call).await {
            Err(CallError::Panic(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_panic_is_caught_with_its_words() {
        assert_eq!(words(async { panic!("a fault") }).await, "a fault");
        let late = async {
            tokio::task::yield_now().await;
            panic!("fault {}", 7)
        };
        assert_eq!(words(late).await, "fault 7");
        let silent = async { std::panic::panic_any(7) };
        assert_eq!(words(silent).await, "without a word");
    }

    #[tokio::test]
    async fn a_call_that_hangs_ends_at_its_deadline() {
        let hangs = guarded(Duration::from_millis(1), std::future::pending::<()>());
        assert!(matches!(hangs.await, Err(CallError::Deadline(_))));
        assert_eq!(guarded(LONG, async { 7 }).await.unwrap(), 7);
    }
}
