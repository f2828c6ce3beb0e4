//! The token service: a service account's signed assertion becomes an access token
//! (contracts/google.md section 2, RFC 7523).

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::app::{App, lock, new_id};
use crate::keys;

/// An access token that was given out.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) scopes: Vec<String>,
    /// The user acted for; a user has storage of their own.
    pub(crate) acting_user: Option<String>,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

const GOOGLE_AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const LIFETIME: i64 = 3599;
/// How far the two clocks may be apart, in seconds.
const CLOCK_TOLERANCE: i64 = 300;

/// `POST /token`.
pub(crate) async fn issue(
    State(app): State<Arc<App>>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    if form.get("grant_type").map(String::as_str) != Some(GRANT_TYPE) {
        return refuse("unsupported_grant_type", "Invalid grant_type");
    }
    let assertion = form.get("assertion").map_or("", String::as_str);
    match check(&app.base_url, assertion, Utc::now().timestamp()) {
        Err(problem) => refuse("invalid_grant", problem),
        Ok(token) => {
            let access_token = new_id("ya29.worthless-sandbox-");
            lock(&app.google).tokens.insert(access_token.clone(), token);
            let body = json!({"access_token": access_token, "expires_in": LIFETIME,
                              "token_type": "Bearer"});
            Json(body).into_response()
        }
    }
}

fn check(base_url: &str, assertion: &str, now: i64) -> Result<Token, &'static str> {
    let (signed, signature) = assertion
        .rsplit_once('.')
        .ok_or("Invalid JWT: three parts needed")?;
    let (header, claims) = signed
        .split_once('.')
        .ok_or("Invalid JWT: three parts needed")?;
    let header = decode(header).ok_or("Invalid JWT: header")?;
    let claims = decode(claims).ok_or("Invalid JWT: claims")?;
    if header["alg"] != "RS256" {
        return Err("Invalid JWT: alg must be RS256");
    }
    if header
        .get("kid")
        .is_some_and(|kid| kid != keys::SERVICE_ACCOUNT_KEY_ID)
    {
        return Err("Invalid JWT: unknown kid");
    }
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| "Invalid JWT Signature.")?;
    let key = keys::service_account_public_key();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| "Invalid JWT Signature.")?;

    if claims["iss"] != keys::SERVICE_ACCOUNT_EMAIL {
        return Err("Invalid grant: account not found");
    }
    let own_audience = format!("{base_url}/google/token");
    if claims["aud"] != GOOGLE_AUDIENCE && claims["aud"] != own_audience {
        return Err("Invalid JWT: aud must be the token address");
    }
    let issued = claims["iat"]
        .as_i64()
        .ok_or("Invalid JWT: iat must be Unix seconds")?;
    let expires = claims["exp"]
        .as_i64()
        .ok_or("Invalid JWT: exp must be Unix seconds")?;
    if issued > now + CLOCK_TOLERANCE || expires < now - CLOCK_TOLERANCE || expires > issued + 3600
    {
        return Err(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a \
                    reasonable timeframe. Check your iat and exp values in the JWT claim.",
        );
    }
    let scopes: Vec<String> = claims["scope"]
        .as_str()
        .unwrap_or_default()
        .split(' ')
        .map(str::to_owned)
        .collect();
    if !scopes
        .iter()
        .all(|scope| scope.starts_with("https://www.googleapis.com/auth/"))
    {
        return Err("Invalid OAuth scope or ID token audience provided.");
    }
    let acting_user = claims["sub"].as_str().map(str::to_owned);
    Ok(Token {
        scopes,
        acting_user,
        expires_at: now + LIFETIME,
    })
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn refuse(error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
