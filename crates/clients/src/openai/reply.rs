//! Generating one reply, with the form of the answer enforced by a schema.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::response::{Response, ResponseStatus, Usage};
use crate::{
    error::{ClientError, ErrorKind, Reason},
    http::Answer,
};

/// A conversation to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyRequest {
    /// Model name.
    pub model: String,
    /// System-level text.
    pub instructions: String,
    /// The conversation, oldest first.
    pub input: Vec<InputItem>,
    /// Reasoning effort.
    pub effort: Option<String>,
    /// Bound on output tokens; reasoning counts, so a small bound can leave no text at all.
    pub max_output_tokens: Option<u32>,
    /// At most 16 pairs.
    pub metadata: BTreeMap<String, String>,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputItem {
    /// Who wrote it.
    pub role: Role,
    /// Its text.
    pub content: String,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The contact.
    User,
    /// The business.
    Assistant,
    /// The operator, for facts that the contact has not said.
    Developer,
}

/// What the model decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Whether an answer should be sent at all.
    pub send: bool,
    /// The answer.
    pub text: String,
    /// Tokens used, if reported.
    pub usage: Option<Usage>,
    /// The model that answered, with its date (`gpt-5.5-2026-04-23`).
    pub model: String,
}

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    store: bool,
    instructions: &'a str,
    input: &'a [InputItem],
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    text: Value,
    metadata: &'a BTreeMap<String, String>,
}

/// What the schema makes the model write.
#[derive(Deserialize)]
struct Decision {
    send: bool,
    text: String,
}

impl ReplyRequest {
    pub(super) fn body(&self) -> Body<'_> {
        Body {
            model: &self.model,
            store: false,
            instructions: &self.instructions,
            input: &self.input,
            reasoning: self
                .effort
                .as_ref()
                .map(|effort| json!({ "effort": effort })),
            max_output_tokens: self.max_output_tokens,
            text: json!({"format": {
                "type": "json_schema",
                "name": "reply",
                "strict": true,
                "schema": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["send", "text"],
                    "properties": {"send": {"type": "boolean"}, "text": {"type": "string"}},
                },
            }}),
            metadata: &self.metadata,
        }
    }
}

impl Reply {
    /// HTTP 200 is not yet success: the response has a status of its own.
    pub(super) fn from_answer(answer: &Answer) -> Result<Self, ClientError> {
        let response: Response = answer.parse()?;
        let permanent =
            |reason, message: String| answer.failure(ErrorKind::Permanent { reason }, message);
        match response.status {
            ResponseStatus::Completed => {}
            ResponseStatus::Incomplete => {
                let reason = response.incomplete_reason().unwrap_or("no reason given");
                return Err(permanent(
                    Some(Reason::Incomplete),
                    format!("the reply was cut short: {reason}"),
                ));
            }
            ResponseStatus::Failed if response.may_succeed_when_repeated() => {
                let kind = ErrorKind::NotDone {
                    retry_after: answer.retry_after(),
                };
                return Err(answer.failure(kind, response.error_text()));
            }
            ResponseStatus::Failed => return Err(permanent(None, response.error_text())),
            ResponseStatus::Queued
            | ResponseStatus::InProgress
            | ResponseStatus::Cancelled
            | ResponseStatus::Other => {
                return Err(answer.unreadable("the response did not run to its end"));
            }
        }
        if response.refusal().is_some() {
            // Its words are about the contact's.
            let message = "the model refused to answer".to_owned();
            return Err(permanent(Some(Reason::Refused), message));
        }
        let text = response.text();
        let decision = match serde_json::from_str::<Decision>(&text) {
            Ok(decision) => decision,
            // A server that speaks OpenAI's protocol without its schemas answers in plain words.
            Err(_) if !text.trim().is_empty() && !text.trim_start().starts_with(['{', '`']) => {
                Decision { send: true, text }
            }
            Err(_) => return Err(answer.unreadable("the reply is not the JSON object asked for")),
        };
        Ok(Self {
            send: decision.send,
            text: decision.text,
            usage: response.usage,
            model: response.model,
        })
    }
}
