//! How often a client may call, and how often an address may fail to prove who it is.
//!
//! Fixed windows of a minute in memory: each pod counts for itself. Verified webhooks are never
//! counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);

/// How many callers are remembered; more at once than this are refused until a window ends.
const MOST_CALLERS: usize = 10_000;

/// Who is counted, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A client or operator, by the position of its key in `API_KEYS`.
    Key(usize),
    /// An address whose requests fail verification.
    Stranger(IpAddr),
    /// An address that asks for test events.
    Tester(IpAddr),
}

impl Caller {
    /// Somebody who could not prove who they are.
    #[must_use]
    pub fn stranger(address: IpAddr) -> Self {
        Self::Stranger(network(address))
    }

    /// Somebody who asks for a test event.
    #[must_use]
    pub fn tester(address: IpAddr) -> Self {
        Self::Tester(network(address))
    }

    /// Calls in one minute. A provider whose key was changed by mistake fails thousands of times
    /// and must learn the true reason, so strangers are stopped only where they cost us something.
    fn limit(self) -> u32 {
        match self {
            Self::Key(_) => 6000,
            Self::Stranger(_) => 1200,
            Self::Tester(_) => 60,
        }
    }
}

/// The counters. Shared by all requests.
#[derive(Debug, Default)]
pub struct RateLimiter {
    windows: Mutex<HashMap<Caller, Window>>,
}

#[derive(Debug)]
struct Window {
    started: Instant,
    calls: u32,
}

impl RateLimiter {
    /// Counts one call.
    ///
    /// # Errors
    /// The seconds until the caller may try again, when it has called too often.
    pub fn count(&self, caller: Caller, now: Instant) -> Result<(), u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= MOST_CALLERS && !windows.contains_key(&caller) {
            windows.retain(|_, window| now.duration_since(window.started) < WINDOW);
            if windows.len() >= MOST_CALLERS {
                return Err(WINDOW.as_secs());
            }
        }
        let window = windows.entry(caller).or_insert(Window {
            started: now,
            calls: 0,
        });
        if now.duration_since(window.started) >= WINDOW {
            *window = Window {
                started: now,
                calls: 0,
            };
        }
        window.calls = window.calls.saturating_add(1);
        if window.calls <= caller.limit() {
            return Ok(());
        }
        let remaining = WINDOW.saturating_sub(now.duration_since(window.started));
        Err(remaining.as_secs().max(1))
    }
}

/// An IPv6 customer holds a whole /64, so that is what is counted.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::{Caller, MOST_CALLERS, RateLimiter};

    fn stranger(address: &str) -> Caller {
        Caller::stranger(address.parse().unwrap())
    }

    #[test]
    fn a_caller_over_its_limit_waits_for_the_end_of_the_minute_and_others_do_not() {
        let (limiter, start) = (RateLimiter::default(), Instant::now());
        for _ in 0..1200 {
            assert_eq!(limiter.count(stranger("192.0.2.1"), start), Ok(()));
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(limiter.count(stranger("192.0.2.1"), later), Err(40));
        assert_eq!(limiter.count(stranger("192.0.2.2"), later), Ok(()));
        let next_minute = start + Duration::from_secs(60);
        assert_eq!(limiter.count(stranger("192.0.2.1"), next_minute), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        assert_eq!(stranger("2001:db8::1"), stranger("2001:db8::ffff"));
        assert_ne!(stranger("2001:db8::1"), stranger("2001:db8:0:1::1"));
        assert_eq!(stranger("::ffff:192.0.2.1"), stranger("192.0.2.1"));
    }

    #[test]
    fn memory_is_bounded_and_freed_when_the_windows_end() {
        let (limiter, start) = (RateLimiter::default(), Instant::now());
        let address = |number: usize| {
            let number = u32::try_from(number).unwrap();
            Caller::stranger(IpAddr::V4(Ipv4Addr::from(number)))
        };
        for number in 0..MOST_CALLERS {
            assert_eq!(limiter.count(address(number), start), Ok(()));
        }
        assert!(limiter.count(address(MOST_CALLERS), start).is_err());
        let next_minute = start + Duration::from_secs(60);
        assert_eq!(limiter.count(address(MOST_CALLERS), next_minute), Ok(()));
    }
}
