//! From a request to [`Verified`]: the only place where one is made.

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use crash_points::crash_point;
use tracing::warn;

use super::highlevel::Signature;
use super::hubspot::SignedRequest;
use super::{Rejection, Verified, hubspot, standard_webhooks, workflow_secret};
use crate::body;
use crate::client_address;
use crate::problem::Problem;
use crate::publish::Sender;
use crate::rate_limit::{Caller, count};
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

async fn read(request: Request, state: &State) -> Result<(Parts, Bytes), Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, state).await?;
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
    verdict.map_err(|rejection| {
        let problem = match rejection {
            Rejection::Closed => Problem::no_secret(),
            _ => Problem::invalid_signature(),
        };
        refuse::<S>(rejection, parts, state, problem)
    })
}

/// Logs and counts a request that was not believed. The answer is `problem`, or 429 for an address
/// that fails all the time.
pub(super) fn refuse<S: Sender>(
    rejection: Rejection,
    parts: &Parts,
    state: &State,
    problem: Problem,
) -> Problem {
    state.metrics.refused(S::PROVIDER, rejection.class());
    if let Err(too_many) = count(state, parts, Caller::Stranger) {
        // A flood of forgeries must not become a flood of log lines.
        return too_many;
    }
    warn!(
        provider = S::PROVIDER,
        class = rejection.class(),
        client.address = %client_address::of(parts, state.config.trusted_proxy_hops),
        "Refused a request: {rejection}."
    );
    problem
}
