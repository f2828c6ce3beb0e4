//! The settings that point Millrace at a sandbox (design.md section 9).

use std::path::Path;

use clap::ValueEnum;

use crate::keys;
use crate::providers::google::files::{FOLDER_ID, TEMPLATE_ID};

/// A service whose settings can be asked for alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// OpenAI.
    Openai,
    /// HubSpot.
    Hubspot,
    /// HighLevel.
    Highlevel,
    /// Google Drive and Docs.
    Google,
    /// The receiver of notifications.
    Notify,
}

/// The deal stage that the demo moves its deal to.
pub const TRIGGER_STAGE: &str = "presentationscheduled";

/// The name of the key file that [`write_service_account`] writes.
pub const SERVICE_ACCOUNT_FILE: &str = "service-account.json";

/// The address of a sandbox on this machine.
#[must_use]
pub fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The token address of a sandbox's Google stand-in.
#[must_use]
pub fn token_uri(base_url: &str) -> String {
    format!("{base_url}/google/token")
}

/// Names and values for one service. Every value is free of spaces and quotes, so that a shell
/// can read the lines as they are.
#[must_use]
pub fn settings(base_url: &str, service: Service) -> Vec<(&'static str, String)> {
    match service {
        Service::Openai => vec![
            ("OPENAI_API_KEY", keys::OPENAI_API_KEY.to_owned()),
            ("OPENAI_BASE_URL", format!("{base_url}/openai/v1")),
            (
                "OPENAI_WEBHOOK_SECRET",
                keys::OPENAI_WEBHOOK_SECRET.to_owned(),
            ),
        ],
        Service::Hubspot => vec![
            (
                "HUBSPOT_ACCESS_TOKEN",
                keys::HUBSPOT_ACCESS_TOKEN.to_owned(),
            ),
            (
                "HUBSPOT_CLIENT_SECRET",
                keys::HUBSPOT_CLIENT_SECRET.to_owned(),
            ),
            ("HUBSPOT_BASE_URL", format!("{base_url}/hubspot")),
            ("HUBSPOT_TRIGGER_STAGE", TRIGGER_STAGE.to_owned()),
        ],
        Service::Highlevel => vec![
            ("GHL_API_KEY", keys::HIGHLEVEL_API_KEY.to_owned()),
            ("GHL_LOCATION_ID", keys::HIGHLEVEL_LOCATION_ID.to_owned()),
            ("GHL_BASE_URL", format!("{base_url}/highlevel")),
            (
                "GHL_WEBHOOK_PUBLIC_KEY",
                keys::highlevel_webhook_public_key(),
            ),
            ("WEBHOOK_SECRET", keys::WORKFLOW_WEBHOOK_SECRET.to_owned()),
        ],
        Service::Google => vec![
            ("GOOGLE_DRIVE_BASE_URL", format!("{base_url}/google")),
            ("GOOGLE_DOCS_BASE_URL", format!("{base_url}/google")),
            ("GS_DRIVE_FOLDER_ID", FOLDER_ID.to_owned()),
            ("GS_TEMPLATE_DOC_ID", TEMPLATE_ID.to_owned()),
        ],
        Service::Notify => vec![("NOTIFY_WEBHOOK_URL", format!("{base_url}/sandbox/notify"))],
    }
}

/// Writes the service account's key file into a directory and gives its path.
///
/// # Errors
/// When the directory or file cannot be written.
pub fn write_service_account(base_url: &str, directory: &Path) -> std::io::Result<String> {
    std::fs::create_dir_all(directory)?;
    let path = std::path::absolute(directory.join(SERVICE_ACCOUNT_FILE))?;
    std::fs::write(&path, keys::service_account_file(&token_uri(base_url)))?;
    Ok(path.display().to_string())
}
