//! The workers' variables, read once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use clients::google::{GoogleConfig, ServiceAccountKey};
use clients::highlevel::HighlevelConfig;
use clients::hubspot::HubspotConfig;
use clients::openai::OpenaiConfig;
use config::{ConfigError, Environment, Secret};

use crate::chat::reply::{ReplySettings, links};
use crate::chat::timers::BatchWaits;
use crate::prices::Prices;
use crate::research::submission::ResearchSettings;
use crate::retention::Times;

const RESEARCH_PROMPT: &str = include_str!("../prompts/research.md");
pub(crate) const REPLY_PROMPT: &str = include_str!("../prompts/reply.md");

/// Tools that every current reasoning model takes. `user_location` without a place keeps the
/// search from being localised to the United States (contracts/openai.md §3).
const RESEARCH_TOOLS: &str = r#"[
    {"type": "web_search", "search_context_size": "medium", "user_location": {"type": "approximate"}},
    {"type": "code_interpreter", "container": {"type": "auto"}}
]"#;

/// Everything that the workers need to know.
pub struct Config {
    pub(crate) amqp_url: Secret,
    pub(crate) amqp_ca: Option<String>,
    pub(crate) database_url: Secret,
    pub(crate) host: String,
    pub(crate) metrics_port: u16,
    pub(crate) openai: Option<OpenaiConfig>,
    pub(crate) hubspot: Option<HubspotConfig>,
    pub(crate) highlevel: Option<HighlevelConfig>,
    pub(crate) google: Option<GoogleSettings>,
    pub(crate) research: ResearchSettings,
    pub(crate) reply: ReplySettings,
    pub(crate) prices: Arc<Prices>,
    pub(crate) batch_waits: BatchWaits,
    pub(crate) documents_dir: PathBuf,
    pub(crate) retention: Times,
    pub(crate) cost_alert_usd: Option<f64>,
    pub(crate) notify_url: Option<Secret>,
    pub(crate) deal_property: String,
}

/// Where Google Docs are made.
pub(crate) struct GoogleSettings {
    pub(crate) client: GoogleConfig,
    pub(crate) folder_id: String,
    pub(crate) template_id: Option<String>,
}

impl Config {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong with them.
    pub fn read(mut environment: Environment) -> Result<Self, ConfigError> {
        let environment_ref = &mut environment;
        let prices = read_prices(environment_ref);
        let research = read_research(environment_ref);
        let config = Self {
            amqp_url: config::amqp_url(environment_ref),
            amqp_ca: config::amqp_ca(environment_ref),
            database_url: config::database_url(environment_ref),
            host: config::host(environment_ref),
            metrics_port: config::metrics_port(environment_ref, 9091),
            openai: client_secret(environment_ref, "OPENAI_API_KEY").map(|api_key| OpenaiConfig {
                base_url: environment_ref.text("OPENAI_BASE_URL", "https://api.openai.com/v1"),
                api_key,
            }),
            hubspot: client_secret(environment_ref, "HUBSPOT_ACCESS_TOKEN").map(|access_token| {
                HubspotConfig {
                    base_url: environment_ref.text("HUBSPOT_BASE_URL", "https://api.hubapi.com"),
                    access_token,
                }
            }),
            highlevel: client_secret(environment_ref, "GHL_API_KEY").map(|token| HighlevelConfig {
                base_url: environment_ref
                    .text("GHL_BASE_URL", "https://services.leadconnectorhq.com"),
                token,
                location_id: environment_ref.text("GHL_LOCATION_ID", ""),
            }),
            google: read_google(environment_ref),
            retention: Times::read(environment_ref, research.cache),
            research,
            reply: read_reply(environment_ref),
            batch_waits: BatchWaits {
                default_seconds: config::wait_seconds(environment_ref),
                longest_seconds: environment_ref.number("MESSAGE_BATCH_MAX_WAIT", 300, 5..=3600),
            },
            documents_dir: environment_ref.text("DOCUMENTS_DIR", "documents").into(),
            cost_alert_usd: environment_ref.optional_number("JOB_COST_ALERT_USD", 0.0..=1e6),
            notify_url: environment_ref.secret("NOTIFY_WEBHOOK_URL"),
            deal_property: environment_ref.text("HUBSPOT_DOCUMENT_PROPERTY", "research_doc_url"),
            prices,
        };
        environment.finish()?;
        Ok(config)
    }

    /// Address and port where this process serves `/metrics` and `/health`.
    #[must_use]
    pub fn operations(&self) -> (String, u16) {
        (self.host.clone(), self.metrics_port)
    }
}

/// The first of several comma-separated keys: the one to call with; the others are for rotation.
fn client_secret(environment: &mut Environment, name: &str) -> Option<clients::Secret> {
    environment
        .secrets(name)
        .first()
        .map(|secret| clients::Secret::new(secret.expose()))
}

fn read_prices(environment: &mut Environment) -> Arc<Prices> {
    let name = "OPENAI_PRICES_FILE";
    let own = environment
        .optional(name)
        .and_then(|path| match std::fs::read_to_string(&path) {
            Ok(json) => Some(json),
            Err(error) => {
                environment.problem(name, format!("can't be read: {path}: {error}"));
                None
            }
        });
    Arc::new(Prices::read(own.as_deref()).unwrap_or_else(|error| {
        environment.problem(
            name,
            format!("is not a price list like workers/prices.json: {error}"),
        );
        Prices::read(None).expect("the price list that ships with Millrace can be read")
    }))
}

fn read_google(environment: &mut Environment) -> Option<GoogleSettings> {
    let path = environment.optional("GOOGLE_APPLICATION_CREDENTIALS")?;
    let folder_id = environment
        .optional("GS_DRIVE_FOLDER_ID")
        .unwrap_or_else(|| {
            environment.problem(
                "GS_DRIVE_FOLDER_ID",
                "is missing: with GOOGLE_APPLICATION_CREDENTIALS it names the folder for documents",
            );
            String::new()
        });
    let credentials = match ServiceAccountKey::from_file(&path) {
        Ok(credentials) => credentials,
        Err(error) => {
            environment.problem("GOOGLE_APPLICATION_CREDENTIALS", error);
            return None;
        }
    };
    Some(GoogleSettings {
        client: GoogleConfig {
            credentials,
            impersonate: environment.optional("GOOGLE_IMPERSONATE_USER"),
            drive_base_url: environment.text("GOOGLE_DRIVE_BASE_URL", "https://www.googleapis.com"),
            docs_base_url: environment.text("GOOGLE_DOCS_BASE_URL", "https://docs.googleapis.com"),
        },
        folder_id,
        template_id: environment.optional("GS_TEMPLATE_DOC_ID"),
    })
}

fn read_research(environment: &mut Environment) -> ResearchSettings {
    let tools = environment.text("OPENAI_RESEARCH_TOOLS", RESEARCH_TOOLS);
    let tools = serde_json::from_str::<serde_json::Value>(&tools)
        .ok()
        .filter(serde_json::Value::is_array)
        .unwrap_or_else(|| {
            environment.problem("OPENAI_RESEARCH_TOOLS", "must be a JSON array of tools");
            serde_json::Value::Null
        });
    let effort = environment.text("OPENAI_RESEARCH_EFFORT", "high");
    ResearchSettings {
        model: environment.text("OPENAI_RESEARCH_MODEL", "gpt-5.5"),
        effort: (effort != "none").then_some(effort),
        tools,
        max_tool_calls: Some(environment.number("OPENAI_RESEARCH_MAX_TOOL_CALLS", 60, 1..=1000)),
        max_output_tokens: Some(environment.number(
            "OPENAI_RESEARCH_MAX_OUTPUT_TOKENS",
            60_000,
            1000..=1_000_000,
        )),
        instructions: read_prompt(environment, "research.md", RESEARCH_PROMPT),
        trigger_stage: environment.optional("HUBSPOT_TRIGGER_STAGE"),
        daily_budget_usd: environment.optional_number("DAILY_BUDGET_USD", 0.0..=1e9),
        cache: TimeDelta::days(environment.number("RESEARCH_CACHE_DAYS", 7, 0..=3650)),
        watch: seconds(environment, "RESEARCH_WATCH_SECONDS", 600, 1..=3600),
        resubmit: seconds(environment, "RESEARCH_RESUBMIT_SECONDS", 3600, 1..=86_400),
    }
}

fn read_reply(environment: &mut Environment) -> ReplySettings {
    let effort = environment.text("OPENAI_REPLY_EFFORT", "low");
    ReplySettings {
        model: environment.text("OPENAI_REPLY_MODEL", "gpt-5.4-mini"),
        effort: (effort != "none").then_some(effort),
        max_output_tokens: environment.number(
            "OPENAI_REPLY_MAX_OUTPUT_TOKENS",
            2000,
            100..=100_000,
        ),
        history_messages: environment.number("REPLY_HISTORY_MESSAGES", 20, 0..=1000),
        history_tokens: environment.number("REPLY_HISTORY_TOKENS", 4000, 0..=1_000_000),
        instructions: read_prompt(environment, "reply.md", REPLY_PROMPT),
        allowed_link_hosts: read_hosts(environment, "REPLY_ALLOWED_LINK_HOSTS"),
    }
}

/// Names of hosts, comma-separated; `None` where the variable is missing.
fn read_hosts(environment: &mut Environment, name: &str) -> Option<Vec<String>> {
    let listed = environment.optional(name)?;
    let mut hosts = Vec::new();
    for entry in listed.split(',').map(str::trim) {
        match links::listed_host(entry) {
            Some(host) => hosts.push(host),
            None => environment.problem(
                name,
                format!("must list names of hosts, such as example.com, not {entry:?}"),
            ),
        }
    }
    Some(hosts)
}

/// A prompt from `PROMPTS_DIR`, where it lies there; else the one that ships with Millrace.
fn read_prompt(environment: &mut Environment, file: &str, default: &str) -> String {
    let Some(folder) = environment.optional("PROMPTS_DIR") else {
        return default.to_owned();
    };
    let path = PathBuf::from(&folder).join(file);
    match std::fs::read_to_string(&path) {
        Ok(prompt) => prompt,
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound
                && path.parent().is_some_and(std::path::Path::is_dir) =>
        {
            default.to_owned()
        }
        Err(error) => {
            environment.problem("PROMPTS_DIR", format!("{}: {error}", path.display()));
            default.to_owned()
        }
    }
}

fn seconds(
    environment: &mut Environment,
    name: &str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Duration {
    Duration::from_secs(environment.number(name, default, range))
}
