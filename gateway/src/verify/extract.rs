//! From a request to [`Verified`]: the only place where one is made.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, StatusCode};
use bytes::Bytes;
use crash_points::crash_point;
use tracing::warn;

use super::highlevel::Signature;
use super::hubspot::SignedRequest;
use super::problems::SHOW_A_KEY;
use super::{Rejection, Verified, api_key, hubspot, standard_webhooks, workflow_secret};
use crate::body;
use crate::problem::Problem;
use crate::publish::Sender;
use crate::rate_limit::Caller;
use crate::state::State;

/// A delivery of OpenAI's webhooks.
#[derive(Debug)]
pub struct OpenAiDelivery {
    /// The `webhook-id`: the same for every attempt.
    pub webhook_id: String,
    /// The raw body.
    pub body: Bytes,
}

impl Sender for OpenAiDelivery {
    const PROVIDER: &'static str = "openai";
}

/// A delivery of HubSpot's CRM webhooks.
#[derive(Debug)]
pub struct HubSpotDelivery {
    /// The raw body.
    pub body: Bytes,
}

impl Sender for HubSpotDelivery {
    const PROVIDER: &'static str = "hubspot";
}

/// A call of HubSpot's workflow action.
#[derive(Debug)]
pub struct HubSpotWorkflowDelivery {
    /// The raw body.
    pub body: Bytes,
}

impl Sender for HubSpotWorkflowDelivery {
    const PROVIDER: &'static str = "hubspot_workflow";
}

/// A delivery of HighLevel: signed, or a workflow action with the shared secret.
#[derive(Debug)]
pub struct HighLevelDelivery {
    /// The media type that the sender names, without parameters.
    pub content_type: Option<String>,
    /// The raw body.
    pub body: Bytes,
}

impl Sender for HighLevelDelivery {
    const PROVIDER: &'static str = "highlevel";
    // The only status on which HighLevel tried again until March 2026 (contracts §2.6).
    const RETRY_STATUS: StatusCode = StatusCode::TOO_MANY_REQUESTS;
}

/// A client or operator with an API key.
#[derive(Debug)]
pub struct Client {
    /// The position of the key in `API_KEYS`.
    pub key: usize,
}

impl Sender for Client {
    const PROVIDER: &'static str = "client";
}

impl FromRequest<State> for Verified<OpenAiDelivery> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, body) = read(request, state).await?;
        let secrets = &state.config.openai_secrets;
        let verdict = standard_webhooks::verify(secrets, &parts.headers, &body, state.clock.now());
        let webhook_id = believe::<OpenAiDelivery, _>(verdict, &parts, state)?;
        Ok(Self::new(OpenAiDelivery { webhook_id, body }))
    }
}

impl FromRequest<State> for Verified<HubSpotDelivery> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, body) = read(request, state).await?;
        let uri = public_uri(&parts, state);
        let request = SignedRequest {
            method: parts.method.as_str(),
            uri: &uri,
            headers: &parts.headers,
            body: &body,
        };
        let secrets = &state.config.hubspot_secrets;
        let verdict = hubspot::verify_v3(secrets, request, state.clock.now());
        believe::<HubSpotDelivery, _>(verdict, &parts, state)?;
        Ok(Self::new(HubSpotDelivery { body }))
    }
}

impl FromRequest<State> for Verified<HubSpotWorkflowDelivery> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (parts, body) = read(request, state).await?;
        let uri = public_uri(&parts, state);
        let request = SignedRequest {
            method: parts.method.as_str(),
            uri: &uri,
            headers: &parts.headers,
            body: &body,
        };
        let verdict = if state.config.hubspot_workflow_signatures {
            let secrets = &state.config.hubspot_secrets;
            hubspot::verify_workflow(secrets, request, state.clock.now())
        } else {
            Err(Rejection::Closed)
        };
        believe::<HubSpotWorkflowDelivery, _>(verdict, &parts, state)?;
        Ok(Self::new(HubSpotWorkflowDelivery { body }))
    }
}

impl FromRequest<State> for Verified<HighLevelDelivery> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &State) -> Result<Self, Problem> {
        let (mut parts, body) = read(request, state).await?;
        let path_token = Path::<String>::from_request_parts(&mut parts, state)
            .await
            .ok()
            .map(|Path(token)| token);
        let keys = &state.config.highlevel_keys;
        let verdict = match Signature::of(&parts.headers, keys) {
            Some(signature) => signature.verify(keys, &body),
            None => workflow_secret::verify(
                &state.config.workflow_secrets,
                &parts.headers,
                &body,
                path_token.as_deref(),
            ),
        };
        believe::<HighLevelDelivery, _>(verdict, &parts, state)?;
        let content_type = body::media_type(&parts.headers);
        Ok(Self::new(HighLevelDelivery { content_type, body }))
    }
}

impl FromRequestParts<State> for Verified<Client> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let verdict = api_key::verify(&state.config.api_keys, &parts.headers);
        let key = verdict.map_err(|rejection| {
            let detail = match rejection {
                Rejection::Closed => "This route is closed: API_KEYS is not set.",
                _ => SHOW_A_KEY,
            };
            refuse::<Client>(rejection, parts, state, Problem::unauthorized(detail))
        })?;
        let counted = state.limiter.count(Caller::Key(key), Instant::now());
        counted.map_err(Problem::too_many_requests)?;
        Ok(Self::new(Client { key }))
    }
}

/// The address that the request came from. Behind a proxy it is the proxy's.
pub(crate) fn remote_address(extensions: &Extensions) -> IpAddr {
    extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| {
            address.ip()
        })
}

async fn read(request: Request, state: &State) -> Result<(Parts, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, state.config.max_body_bytes).await?;
    crash_point!("gateway.body_read");
    Ok((parts, body))
}

/// The address that HubSpot called: ours as the world sees it, path and query as received.
fn public_uri(parts: &Parts, state: &State) -> String {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    format!("{}{path}", state.config.public_base_url)
}

fn believe<S: Sender, T>(
    verdict: Result<T, Rejection>,
    parts: &Parts,
    state: &State,
) -> Result<T, Problem> {
    verdict.map_err(|rejection| refuse::<S>(rejection, parts, state, Problem::invalid_signature()))
}

/// Logs and counts a request that was not believed. The answer is `problem`, or 429 for an address
/// that fails all the time.
fn refuse<S: Sender>(
    rejection: Rejection,
    parts: &Parts,
    state: &State,
    problem: Problem,
) -> Problem {
    let address = remote_address(&parts.extensions);
    state.metrics.refused(S::PROVIDER, rejection.class());
    let counted = state
        .limiter
        .count(Caller::stranger(address), Instant::now());
    // A flood of forgeries must not become a flood of log lines.
    if counted.is_ok() {
        warn!(
            provider = S::PROVIDER,
            class = rejection.class(),
            client.address = %address,
            "Refused a request: {rejection}."
        );
    }
    counted.err().map_or(problem, Problem::too_many_requests)
}
