//! The stand-ins, one folder each. Nothing here knows another one.

pub(crate) mod google;
pub(crate) mod highlevel;
pub(crate) mod hubspot;
pub(crate) mod openai;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// Whom a request came to, or who sends a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// OpenAI's Responses API.
    OpenAi,
    /// HubSpot's CRM.
    HubSpot,
    /// HighLevel's conversations and contacts.
    HighLevel,
    /// Google's token service, Drive and Docs.
    Google,
    /// The receiver of notifications, for `NOTIFY_WEBHOOK_URL`.
    Notify,
}

impl Provider {
    /// An error in this provider's own shape.
    pub(crate) fn error(self, status: StatusCode, message: &str) -> Response {
        match self {
            Self::OpenAi => openai::error::for_status(status, message).into_response(),
            Self::HubSpot => hubspot::error::for_status(status, message).into_response(),
            Self::HighLevel => highlevel::error::for_status(status, message).into_response(),
            Self::Google => google::error::for_status(status, message).into_response(),
            Self::Notify => (status, message.to_owned()).into_response(),
        }
    }
}

/// The token of `Authorization: Bearer <token>`.
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}
