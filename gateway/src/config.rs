//! The gateway's configuration: `HOST PORT PUBLIC_BASE_URL AMQP_URL AMQP_CA_FILE DATABASE_URL API_KEYS
//! RATE_LIMIT_PER_KEY RATE_LIMIT_PER_ADDRESS TRUSTED_PROXY_HOPS CORS_ALLOWED_ORIGINS OPENAI_WEBHOOK_SECRET HUBSPOT_CLIENT_SECRET HUBSPOT_WORKFLOW_SIGNATURES GHL_WEBHOOK_PUBLIC_KEY
//! GHL_WEBHOOK_RSA_PUBLIC_KEY WEBHOOK_SECRET MAX_BODY_BYTES MESSAGE_BATCH_WAIT_TIME METRICS_PORT`.

use std::ops::RangeInclusive;

use axum::http::HeaderValue;
use config::{
    ConfigError, Environment, Secret, amqp_ca, amqp_url, database_url, host, metrics_port,
    wait_seconds,
};
use url::Url;

use crate::rate_limit::Limits;
use crate::verify::{Ed25519Key, HighLevelKeys, RsaKey, SigningSecret};

/// HighLevel's published Ed25519 key; one pair signs for all apps (contracts/highlevel.md §2.5).
const HIGHLEVEL_PUBLISHED_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAi2HR1srL4o18O8BRa7gVJY7G7bupbN3H9AwJrHCDiOg=\n\
    -----END PUBLIC KEY-----";

/// How many calls a minute a limit can allow.
const CALLS: RangeInclusive<u32> = 1..=1_000_000;

/// Everything the gateway was told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name or address of the interface to listen on.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
    /// Port for `/metrics`.
    pub metrics_port: u16,
    /// Where the world reaches us: scheme, host and, where a proxy adds one, a path; no slash at
    /// the end. HubSpot signs it.
    pub public_base_url: String,
    /// Whether `PUBLIC_BASE_URL` was left out and `public_base_url` is only a guess.
    pub public_base_url_is_guessed: bool,
    /// The broker.
    pub amqp_url: Secret,
    /// Certificates (PEM) of a private authority for the broker.
    pub amqp_ca: Option<String>,
    /// The database, for the status routes.
    pub database_url: Secret,
    /// Keys of clients and operators that open everything; others are in the database.
    pub api_keys: Vec<Secret>,
    /// How often keys and addresses may call.
    pub rate_limits: Limits,
    /// How many proxies in front of the gateway name the caller in `X-Forwarded-For`.
    pub trusted_proxy_hops: usize,
    /// The origins whose pages may call the routes of clients and operators.
    pub cors_allowed_origins: Vec<HeaderValue>,
    /// OpenAI's webhook secrets.
    pub openai_secrets: Vec<SigningSecret>,
    /// Client secrets of the HubSpot app.
    pub hubspot_secrets: Vec<Secret>,
    /// Whether `POST /webhook/hubspot/workflow` takes v2 signatures, which can be replayed.
    pub hubspot_workflow_signatures: bool,
    /// HighLevel's public keys.
    pub highlevel_keys: HighLevelKeys,
    /// Secrets of HighLevel's workflow actions.
    pub workflow_secrets: Vec<Secret>,
    /// The largest body that is read, in bytes.
    pub max_body_bytes: usize,
    /// The wait before a batch closes where no operator has set one, in seconds.
    pub batch_wait_seconds: u32,
}

impl Config {
    /// Reads the process's variables.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn load() -> Result<Self, ConfigError> {
        Self::read(Environment::load())
    }

    /// Reads the given variables.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn read(mut environment: Environment) -> Result<Self, ConfigError> {
        let host = host(&environment);
        let port = environment.number("PORT", 8080, 0..=65535);
        let given_base_url = base_url(&mut environment);
        let config = Self {
            public_base_url_is_guessed: given_base_url.is_none(),
            public_base_url: given_base_url.unwrap_or_else(|| format!("http://{host}:{port}")),
            host,
            port,
            metrics_port: metrics_port(&mut environment, 9090),
            amqp_url: amqp_url(&mut environment),
            amqp_ca: amqp_ca(&mut environment),
            database_url: database_url(&mut environment),
            api_keys: environment.secrets("API_KEYS"),
            rate_limits: Limits {
                per_key: environment.number("RATE_LIMIT_PER_KEY", 6000, CALLS),
                per_address: environment.number("RATE_LIMIT_PER_ADDRESS", 6000, CALLS),
            },
            trusted_proxy_hops: environment.number("TRUSTED_PROXY_HOPS", 0, 0..=10),
            cors_allowed_origins: origins(&mut environment),
            openai_secrets: signing_secrets(&mut environment),
            hubspot_secrets: environment.secrets("HUBSPOT_CLIENT_SECRET"),
            hubspot_workflow_signatures: environment.flag("HUBSPOT_WORKFLOW_SIGNATURES", false),
            highlevel_keys: highlevel_keys(&mut environment),
            workflow_secrets: environment.secrets("WEBHOOK_SECRET"),
            max_body_bytes: environment.number("MAX_BODY_BYTES", 1 << 20, 1024..=64 << 20),
            batch_wait_seconds: wait_seconds(&mut environment),
        };
        environment.finish()?;
        Ok(config)
    }

    /// The routes that refuse everything because their secret is missing, each with the variable
    /// that opens it.
    #[must_use]
    pub fn closed_routes(&self) -> Vec<(&'static str, &'static str)> {
        [
            (
                self.openai_secrets.is_empty(),
                "POST /webhook/openai",
                "OPENAI_WEBHOOK_SECRET",
            ),
            (
                self.hubspot_secrets.is_empty(),
                "POST /webhook/hubspot",
                "HUBSPOT_CLIENT_SECRET",
            ),
            (
                self.workflow_secrets.is_empty(),
                "POST /webhook for workflow actions",
                "WEBHOOK_SECRET",
            ),
        ]
        .into_iter()
        .filter_map(|(closed, routes, variable)| closed.then_some((routes, variable)))
        .collect()
    }
}

fn base_url(environment: &mut Environment) -> Option<String> {
    let text = environment.optional("PUBLIC_BASE_URL")?;
    let url = Url::parse(&text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if url.is_none() {
        environment.problem(
            "PUBLIC_BASE_URL",
            "must be an http(s) address without query, for example https://hooks.example.com",
        );
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// Origins as browsers send them: scheme, host and port, nothing else.
fn origins(environment: &mut Environment) -> Vec<HeaderValue> {
    let name = "CORS_ALLOWED_ORIGINS";
    let text = environment.optional(name).unwrap_or_default();
    let mut origins = Vec::new();
    for origin in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let is_origin =
            Url::parse(origin).is_ok_and(|url| url.origin().ascii_serialization() == origin);
        match HeaderValue::from_str(origin) {
            Ok(value) if is_origin => origins.push(value),
            _ => environment.problem(
                name,
                format!("must list origins such as https://console.example.com, not {origin:?}"),
            ),
        }
    }
    origins
}

fn signing_secrets(environment: &mut Environment) -> Vec<SigningSecret> {
    let name = "OPENAI_WEBHOOK_SECRET";
    let mut parsed = Vec::new();
    for secret in environment.secrets(name) {
        match SigningSecret::parse(secret.expose()) {
            Ok(secret) => parsed.push(secret),
            Err(error) => environment.problem(name, error),
        }
    }
    parsed
}

fn highlevel_keys(environment: &mut Environment) -> HighLevelKeys {
    let current = environment
        .secret("GHL_WEBHOOK_PUBLIC_KEY")
        .unwrap_or_else(|| Secret::new(HIGHLEVEL_PUBLISHED_KEY));
    let legacy = environment.secret("GHL_WEBHOOK_RSA_PUBLIC_KEY");
    let ed25519 = Ed25519Key::parse_all(current.expose()).unwrap_or_else(|error| {
        environment.problem("GHL_WEBHOOK_PUBLIC_KEY", error);
        Vec::new()
    });
    let rsa = legacy
        .map(|text| RsaKey::parse_all(text.expose()))
        .transpose()
        .unwrap_or_else(|error| {
            environment.problem("GHL_WEBHOOK_RSA_PUBLIC_KEY", error);
            None
        });
    HighLevelKeys {
        ed25519,
        rsa: rsa.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use config::Environment;

    use super::Config;

    #[test]
    fn without_any_variable_only_highlevels_signed_webhooks_are_open() {
        let config = Config::read(Environment::from_pairs::<&str, &str>([])).unwrap();
        assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 8080));
        assert_eq!(config.public_base_url, "http://127.0.0.1:8080");
        assert_eq!(config.highlevel_keys.ed25519.len(), 1);
        assert!(config.highlevel_keys.rsa.is_empty());
        let variables: Vec<_> = config
            .closed_routes()
            .into_iter()
            .map(|(_, variable)| variable)
            .collect();
        let expected = [
            "OPENAI_WEBHOOK_SECRET",
            "HUBSPOT_CLIENT_SECRET",
            "WEBHOOK_SECRET",
        ];
        assert_eq!(variables, expected);
    }

    #[test]
    fn secrets_that_would_let_anybody_in_stop_the_start_and_are_told_together() {
        let environment = Environment::from_pairs([
            ("OPENAI_WEBHOOK_SECRET", "whsec_"),
            ("HUBSPOT_CLIENT_SECRET", ","),
            ("GHL_WEBHOOK_PUBLIC_KEY", "not a key"),
            ("PUBLIC_BASE_URL", "hooks.example.com"),
            ("CORS_ALLOWED_ORIGINS", "https://a.example, *"),
        ]);
        let message = Config::read(environment).unwrap_err().to_string();
        for name in [
            "OPENAI_WEBHOOK_SECRET must hold a key",
            "HUBSPOT_CLIENT_SECRET is set but holds no secret",
            "GHL_WEBHOOK_PUBLIC_KEY must be",
            "PUBLIC_BASE_URL must be",
            "CORS_ALLOWED_ORIGINS must list origins such as https://console.example.com, not \"*\"",
        ] {
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn secrets_may_be_several_and_never_show_in_debug_output() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let environment = Environment::from_pairs([
            ("OPENAI_WEBHOOK_SECRET", format!("{secret}, {secret}")),
            ("API_KEYS", "first-key,second-key".to_owned()),
            (
                "PUBLIC_BASE_URL",
                "https://hooks.example.com/millrace/".to_owned(),
            ),
        ]);
        let config = Config::read(environment).unwrap();
        assert_eq!(config.openai_secrets.len(), 2);
        assert_eq!(config.api_keys.len(), 2);
        assert_eq!(config.public_base_url, "https://hooks.example.com/millrace");
        let debug = format!("{config:?}");
        assert!(
            !debug.contains("MfKQ") && !debug.contains("first-key"),
            "{debug}"
        );
    }
}
