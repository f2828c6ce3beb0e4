//! Clients and operators, who show an API key.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use entities::api_key::{KeyHash, Scope};

use super::extract::refuse;
use super::shared_secret::{bearer, text};
use super::{Rejection, Verified};
use crate::api_keys::Refusal;
use crate::problem::Problem;
use crate::publish::Sender;
use crate::rate_limit::{Caller, count};
use crate::state::State;

/// Somebody whose API key opens what `A` names.
#[derive(Debug)]
pub struct Client<A> {
    /// How long its key was looked up: nothing, but where the database was asked.
    pub(crate) waited: Duration,
    access: PhantomData<A>,
}

/// What a route lets its callers do: the scope that it asks of a key.
pub trait Access: Send + Sync {
    /// The scope.
    const SCOPE: Scope;
}

/// Asking for research.
#[derive(Debug)]
pub enum Submit {}

/// Reading jobs, batches and settings.
#[derive(Debug)]
pub enum Read {}

/// Changing settings, and closing batches.
#[derive(Debug)]
pub enum Operate {}

impl Access for Submit {
    const SCOPE: Scope = Scope::Submit;
}

impl Access for Read {
    const SCOPE: Scope = Scope::Read;
}

impl Access for Operate {
    const SCOPE: Scope = Scope::Operate;
}

impl<A> Sender for Client<A> {
    const PROVIDER: &'static str = "client";
}

impl<A: Access> FromRequestParts<State> for Verified<Client<A>> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        count(state, parts, Caller::Visitor)?;
        let Some(key) = presented(&parts.headers) else {
            let (missing, problem) = (Rejection::MissingHeader, Problem::unauthorized());
            return Err(refuse::<Client<A>>(missing, parts, state, problem));
        };
        let key = KeyHash::of(key);
        let (now, started) = (state.clock.now(), Instant::now());
        let checked = state.api_keys.check(&key, A::SCOPE, &state.database, now);
        if let Err(refusal) = checked.await {
            return Err(match told(refusal, A::SCOPE) {
                (Some(rejection), problem) => refuse::<Client<A>>(rejection, parts, state, problem),
                (None, problem) => problem,
            });
        }
        let waited = started.elapsed();
        count(state, parts, Caller::Key(key))?;
        Ok(Self::new(Client {
            waited,
            access: PhantomData,
        }))
    }
}

/// The key that the caller shows.
fn presented(headers: &HeaderMap) -> Option<&str> {
    bearer(headers).or_else(|| text(headers, "x-api-key"))
}

/// What is counted and logged of a refusal, where the caller is at fault, and what is answered.
fn told(refusal: Refusal, scope: Scope) -> (Option<Rejection>, Problem) {
    match refusal {
        Refusal::Unknown => (
            Some(Rejection::UnknownKey),
            Problem::invalid_key("This API key is not known here."),
        ),
        Refusal::Revoked => (
            Some(Rejection::RevokedKey),
            Problem::invalid_key("This API key was revoked."),
        ),
        Refusal::Expired => (
            Some(Rejection::ExpiredKey),
            Problem::invalid_key("This API key has expired."),
        ),
        Refusal::OutOfScope => (Some(Rejection::OutOfScope), Problem::missing_scope(scope)),
        Refusal::NoKeys => (Some(Rejection::Closed), Problem::no_keys()),
        Refusal::ListUnavailable => (None, Problem::database_unavailable()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::presented;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    #[test]
    fn a_key_is_shown_in_either_header() {
        for shown in [
            [("authorization", "Bearer the-key")],
            [("authorization", "bearer  the-key")],
            [("x-api-key", "the-key")],
        ] {
            assert_eq!(presented(&headers(&shown)), Some("the-key"), "{shown:?}");
        }
    }

    #[test]
    fn anything_else_shows_no_key() {
        for shown in [
            &[("authorization", "Basic dXNlcjprZXk=")][..],
            &[("authorization", "Bearer ")],
            &[("authorization", "the-key")],
            &[("x-api-key", " ")],
            &[("x-api-key", "one"), ("x-api-key", "two")],
        ] {
            assert_eq!(presented(&headers(shown)), None, "{shown:?}");
        }
    }
}
