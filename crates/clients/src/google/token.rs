//! Access tokens for a service account: a signed claim is exchanged for a token (RFC 7523).

use std::time::{Duration, Instant, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, Url};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;

use super::ServiceAccountKey;
use crate::{
    Secret,
    error::{ClientError, ErrorKind, Provider},
    http::{Answer, Http},
    lenient::null_as_default,
};

const OPERATION: &str = "give out an access token";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Copying a template that a person made needs more than `drive.file`.
const SCOPE: &str = "https://www.googleapis.com/auth/drive";
/// Fixed, also where `token_uri` is another.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google admits.
const CLAIM_LIFETIME: u64 = 3600;
/// As google-auth does it: a token in use must not expire under way.
const RENEW_BEFORE: Duration = Duration::from_secs(225);

/// Gives out the current token and renews it in time. The lock is held while a new one is fetched,
/// so that one task asks and the others wait.
pub(super) struct TokenSource {
    http: Http,
    account: String,
    key_id: String,
    key: RsaKeyPair,
    token_uri: Url,
    impersonate: Option<String>,
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    token: Secret,
    renew_at: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    expires_in: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenError {
    #[serde(deserialize_with = "null_as_default")]
    error: String,
    #[serde(deserialize_with = "null_as_default")]
    error_description: String,
}

impl TokenSource {
    pub(super) fn new(
        http: Http,
        credentials: &ServiceAccountKey,
        impersonate: Option<String>,
    ) -> Result<Self, ClientError> {
        let fault = |what: String| {
            ClientError::set_up(Provider::Google, "use the service account's key", what)
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(credentials.private_key.expose().as_bytes())
            .map_err(|_| fault("private_key is not a PKCS #8 key in PEM form".into()))?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|error| fault(format!("private_key is not a usable RSA key: {error}")))?;
        let token_uri = credentials
            .token_uri
            .parse()
            .map_err(|error| fault(format!("token_uri {}: {error}", credentials.token_uri)))?;
        Ok(Self {
            http,
            account: credentials.client_email.clone(),
            key_id: credentials.private_key_id.clone(),
            key,
            token_uri,
            impersonate,
            cached: Mutex::new(None),
        })
    }

    /// Whom people have to share a drive with.
    pub(super) fn account(&self) -> &str {
        self.impersonate.as_deref().unwrap_or(&self.account)
    }

    pub(super) async fn current(&self) -> Result<Secret, ClientError> {
        self.unless(|_| false).await
    }

    /// A token other than `refused`, unless another task has renewed it already.
    pub(super) async fn replace(&self, refused: &Secret) -> Result<Secret, ClientError> {
        self.unless(|cached| cached == refused).await
    }

    async fn unless(&self, useless: impl Fn(&Secret) -> bool) -> Result<Secret, ClientError> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = &*cached
            && Instant::now() < cached.renew_at
            && !useless(&cached.token)
        {
            return Ok(cached.token.clone());
        }
        let asked_at = Instant::now();
        let answer = self.fetch().await?;
        let lifetime = Duration::from_secs(answer.expires_in).saturating_sub(RENEW_BEFORE);
        let token = answer.access_token;
        *cached = Some(Cached {
            token: token.clone(),
            renew_at: asked_at + lifetime,
        });
        Ok(token)
    }

    async fn fetch(&self) -> Result<TokenAnswer, ClientError> {
        let request = self
            .http
            .request(Method::POST, self.token_uri.clone())
            .form(&[
                ("grant_type", GRANT_TYPE),
                ("assertion", &self.assertion()?),
            ]);
        self.http
            .send(OPERATION, TIMEOUT, request)
            .await
            .and_then(|answer| answer.success_or(failure))
            .and_then(|answer| answer.parse())
            .map_err(without_effect)
    }

    fn assertion(&self) -> Result<String, ClientError> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let mut claims = json!({
            "iss": self.account,
            "scope": SCOPE,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + CLAIM_LIFETIME,
        });
        if let Some(user) = &self.impersonate {
            claims["sub"] = json!(user);
        }
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| {
                ClientError::set_up(Provider::Google, OPERATION, "the claim could not be signed")
            })?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TokenSource")
            .field("account", &self.account)
            .field("impersonate", &self.impersonate)
            .finish_non_exhaustive()
    }
}

fn failure(answer: &Answer) -> ClientError {
    let error: TokenError = answer.parse_leniently();
    let temporary = matches!(answer.status(), 408 | 429 | 500..)
        || [
            "internal_failure",
            "server_error",
            "temporarily_unavailable",
        ]
        .contains(&error.error.as_str());
    let kind = if temporary {
        ErrorKind::NotDone {
            retry_after: answer.retry_after(),
        }
    } else {
        ErrorKind::Unauthorized
    };
    let hint = match error.error.as_str() {
        "invalid_grant" => "check the key file and the clock of this machine",
        "unauthorized_client" => {
            "grant the account domain-wide delegation for the scope \
             https://www.googleapis.com/auth/drive"
        }
        _ => "",
    };
    let parts = [error.error.as_str(), error.error_description.as_str(), hint];
    let message = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    answer.failure(
        kind,
        if message.is_empty() {
            answer.usual_message()
        } else {
            message
        },
    )
}

/// Whatever became of the token, the call it was for has not been made.
fn without_effect(error: ClientError) -> ClientError {
    match error.kind() {
        ErrorKind::Unknown => {
            let retry_after = error.retry_after();
            error.with_kind(ErrorKind::NotDone { retry_after })
        }
        ErrorKind::NotDone { .. }
        | ErrorKind::Permanent { .. }
        | ErrorKind::NotFound
        | ErrorKind::Unauthorized => error,
    }
}
