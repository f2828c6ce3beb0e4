//! Waiting for conditions instead of sleeping.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// Asks again and again until `ask` returns `Ok`, for at most `deadline`.
///
/// # Panics
/// When the deadline passes, with what was seen last.
pub async fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(last) if started.elapsed() > deadline => {
                panic!("{what} did not happen within {deadline:?}; last seen: {last:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
