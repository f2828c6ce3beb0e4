//! How long a service asks its callers to wait.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The wait for allowances that come back in hours, when the service names no time: HubSpot's and
/// Google's daily limits, OpenAI's `insufficient_quota` (a person must pay first).
pub(crate) const LATER: Duration = Duration::from_secs(3600);

/// Reads `retry-after-ms` (OpenAI), else `Retry-After` in seconds or as an HTTP date
/// (RFC 9110 §10.2.3). A date that has passed means zero.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if let Some(wait) = number(headers, "retry-after-ms") {
        return Duration::try_from_secs_f64(wait / 1000.0).ok();
    }
    let value = text(headers, RETRY_AFTER.as_str())?;
    match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(now).unwrap_or_default())
        }
    }
}

/// A header in milliseconds, such as HighLevel's `X-RateLimit-Interval-Milliseconds`.
pub(crate) fn milliseconds(headers: &HeaderMap, name: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(number(headers, name)? / 1000.0).ok()
}

/// A header that holds a number.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    text(headers, name)?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn wait(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        // Sun, 06 Nov 1994 08:49:37 GMT
        retry_after(
            &headers,
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
        )
    }

    #[test]
    fn seconds_and_milliseconds() {
        assert_eq!(
            wait(&[("retry-after", "120")]),
            Some(Duration::from_secs(120))
        );
        assert_eq!(
            wait(&[("retry-after", "1.5")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            wait(&[("retry-after", "120"), ("retry-after-ms", "250")]),
            Some(Duration::from_millis(250))
        );
    }

    #[test]
    fn an_http_date_counts_from_now_and_never_backwards() {
        assert_eq!(
            wait(&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")]),
            Some(Duration::from_secs(60))
        );
        assert_eq!(
            wait(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn nonsense_is_no_answer() {
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "-5")]), None);
        assert_eq!(wait(&[("retry-after", "inf")]), None);
    }
}
