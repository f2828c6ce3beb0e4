//! How often a key may call, how often an address may call the routes of clients, and how often it
//! may fail to prove who it is.
//!
//! Fixed windows of a minute in memory: each pod counts for itself. Verified webhooks are never
//! counted. Every answer to a counted request tells where its caller stands, in the headers of
//! draft-ietf-httpapi-ratelimit-headers-10.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use entities::api_key::KeyHash;

use crate::client_address;
use crate::problem::Problem;
use crate::state::State;

/// The length of a window.
const WINDOW: Duration = Duration::from_secs(60);

/// How many test events an address may ask for in a window: each of them is a message.
const TEST_EVENTS: u32 = 60;

/// In how many places addresses are counted. Two addresses that share one are counted together,
/// which is rare, and bounds the memory whatever arrives: no address is ever turned away because
/// too many others call.
const PLACES: usize = 1 << 16;

pub(crate) static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Calls in one minute.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// With one API key.
    pub per_key: u32,
    /// From one address: to the routes of clients and operators, and, counted apart, requests that
    /// fail verification. A provider whose secret was changed by mistake fails often, and each of
    /// its requests should learn the true reason.
    pub per_address: u32,
}

/// Who is counted, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// A client or operator, by its key.
    Key(KeyHash),
    /// An address that calls a route of clients.
    Visitor,
    /// An address whose request fails verification.
    Stranger,
    /// An address that asks for a test event.
    Tester,
}

/// Where a caller stands after a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    policy: &'static str,
    quota: u32,
    /// How many calls are left in this window; `None` when this one was too many.
    remaining: Option<u32>,
    /// When the window ends.
    reset_seconds: u64,
}

/// The counters. Shared by all requests.
pub struct RateLimiter {
    limits: Limits,
    windows: Mutex<Windows>,
    /// Seeded anew in each process, so that nobody can aim at the place of another address.
    places: RandomState,
}

struct Windows {
    /// Only keys that open something are counted, so there are few.
    keys: HashMap<KeyHash, Window>,
    addresses: Box<[Window]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    started: Option<Instant>,
    calls: u32,
}

impl RateLimiter {
    /// Counts to these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            windows: Mutex::new(Windows {
                keys: HashMap::new(),
                addresses: vec![Window::default(); PLACES].into(),
            }),
            places: RandomState::new(),
        }
    }

    /// Counts one call of `caller`, who is at `address`.
    fn count(&self, caller: Caller, address: IpAddr, now: Instant) -> Standing {
        let (policy, quota) = match caller {
            Caller::Key(_) => ("key", self.limits.per_key),
            Caller::Visitor => ("address", self.limits.per_address),
            Caller::Stranger => ("unverified", self.limits.per_address),
            Caller::Tester => ("test", TEST_EVENTS),
        };
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = match caller {
            Caller::Key(key) => windows.keys.entry(key).or_default(),
            by_address => {
                let network = client_address::network(address);
                let hash = self.places.hash_one((by_address, network));
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "any part of a hash will do"
                )]
                &mut windows.addresses[hash as usize % PLACES]
            }
        };
        window.count(policy, quota, now)
    }
}

impl Window {
    fn count(&mut self, policy: &'static str, quota: u32, now: Instant) -> Standing {
        let started = match self.started {
            Some(started) if now.duration_since(started) < WINDOW => started,
            _ => {
                self.calls = 0;
                *self.started.insert(now)
            }
        };
        self.calls = self.calls.saturating_add(1);
        let left = WINDOW.saturating_sub(now.duration_since(started));
        Standing {
            policy,
            quota,
            remaining: quota.checked_sub(self.calls),
            // Rounded up: who waits that long finds a new window.
            reset_seconds: left.as_secs() + u64::from(left.subsec_nanos() > 0),
        }
    }
}

/// Where the caller of a request stands, by each policy that it was counted by.
#[derive(Clone, Default)]
pub(crate) struct Standings(Arc<Mutex<Vec<Standing>>>);

/// Counts a request.
///
/// # Errors
/// 429 when there were too many.
pub(crate) fn count(state: &State, parts: &Parts, caller: Caller) -> Result<(), Problem> {
    let address = client_address::of(parts, state.config.trusted_proxy_hops);
    let standing = state.limiter.count(caller, address, Instant::now());
    if let Some(Standings(standings)) = parts.extensions.get() {
        let mut standings = standings.lock().unwrap_or_else(PoisonError::into_inner);
        standings.push(standing);
    }
    match standing.remaining {
        Some(_) => Ok(()),
        None => Err(Problem::too_many_requests(standing.reset_seconds.max(1))),
    }
}

impl Standings {
    /// What the handlers of a request will write down, and where to read it.
    pub(crate) fn of(request: &mut Request) -> Self {
        let standings = Self::default();
        request.extensions_mut().insert(standings.clone());
        standings
    }

    /// Tells a caller whose request was counted where it stands.
    pub(crate) fn report(&self, response: &mut Response) {
        let standings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !standings.is_empty() {
            let [limit, policy] = fields(&standings);
            let headers = response.headers_mut();
            headers.insert(RATE_LIMIT.clone(), limit);
            headers.insert(RATE_LIMIT_POLICY.clone(), policy);
        }
    }
}

/// `RateLimit` and `RateLimit-Policy`: lists of structured fields (RFC 9651).
fn fields(standings: &[Standing]) -> [HeaderValue; 2] {
    let (mut limit, mut policy) = (String::new(), String::new());
    for standing in standings {
        let comma = if limit.is_empty() { "" } else { ", " };
        let (name, quota) = (standing.policy, standing.quota);
        let (remaining, reset) = (standing.remaining.unwrap_or(0), standing.reset_seconds);
        let window = WINDOW.as_secs();
        // Writing to a String does not fail.
        let _ = write!(limit, r#"{comma}"{name}";r={remaining};t={reset}"#);
        let _ = write!(policy, r#"{comma}"{name}";q={quota};w={window}"#);
    }
    [limit, policy].map(|text| {
        HeaderValue::try_from(text).expect("names and numbers are visible ASCII characters")
    })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use entities::api_key::KeyHash;

    use super::{Caller, Limits, RateLimiter, fields};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn limiter() -> RateLimiter {
        RateLimiter::new(Limits {
            per_key: 3,
            per_address: 2,
        })
    }

    fn key(text: &str) -> Caller {
        Caller::Key(KeyHash::of(text))
    }

    #[test]
    fn a_caller_over_its_limit_waits_for_the_end_of_the_minute_and_others_do_not() {
        let (limiter, start) = (limiter(), Instant::now());
        let remaining: Vec<_> = (0..4)
            .map(|_| limiter.count(key("a"), ADDRESS, start).remaining)
            .collect();
        assert_eq!(remaining, [Some(2), Some(1), Some(0), None]);
        let later = start + Duration::from_millis(20_500);
        let standing = limiter.count(key("a"), ADDRESS, later);
        assert_eq!((standing.remaining, standing.reset_seconds), (None, 40));
        assert!(limiter.count(key("b"), ADDRESS, later).remaining.is_some());
        let next_minute = start + Duration::from_secs(60);
        let standing = limiter.count(key("a"), ADDRESS, next_minute);
        assert_eq!((standing.remaining, standing.reset_seconds), (Some(2), 60));
    }

    #[test]
    fn an_address_is_counted_apart_for_each_thing_that_it_does() {
        let (limiter, now) = (limiter(), Instant::now());
        for caller in [Caller::Visitor, Caller::Stranger] {
            let count = || limiter.count(caller.clone(), ADDRESS, now).remaining;
            assert_eq!([count(), count(), count()], [Some(1), Some(0), None]);
        }
        let test = limiter.count(Caller::Tester, ADDRESS, now);
        assert_eq!((test.quota, test.remaining), (60, Some(59)));
    }

    #[test]
    fn a_hundred_thousand_addresses_turn_nobody_else_away() {
        let (per_key, per_address) = (1, 1000);
        let limiter = RateLimiter::new(Limits {
            per_key,
            per_address,
        });
        let now = Instant::now();
        for number in 0..100_000 {
            let address = IpAddr::V4(Ipv4Addr::from(number));
            limiter.count(Caller::Stranger, address, now);
        }
        // Its place may be shared with a few of them.
        let standing = limiter.count(Caller::Stranger, ADDRESS, now);
        assert!(standing.remaining > Some(900), "{standing:?}");
    }

    #[test]
    fn answers_tell_where_the_caller_stands_in_structured_fields() {
        let (limiter, now) = (limiter(), Instant::now());
        let standings = [
            limiter.count(Caller::Visitor, ADDRESS, now),
            limiter.count(key("a"), ADDRESS, now),
        ];
        let [limit, policy] = fields(&standings);
        assert_eq!(limit, r#""address";r=1;t=60, "key";r=2;t=60"#);
        assert_eq!(policy, r#""address";q=2;w=60, "key";q=3;w=60"#);
    }
}
