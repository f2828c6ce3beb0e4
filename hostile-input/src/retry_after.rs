//! How long a service asks to wait.

use std::time::{Duration, SystemTime};

use clients::readers;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The values of `Retry-After` and, in the second line, of `retry-after-ms`.
pub(crate) fn retry_after(data: &[u8]) {
    let (seconds, milliseconds) = crate::first_line(data);
    let mut headers = HeaderMap::new();
    for (name, value) in [("retry-after", seconds), ("retry-after-ms", milliseconds)] {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_350_000);
    if let Some(wait) = readers::retry_after(&headers, now) {
        // What comes out is added to times.
        assert!(
            wait.checked_add(Duration::from_secs(1)).is_some(),
            "{wait:?}"
        );
    }
}
