//! Submitting background research.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ResponseStatus, SOURCES};

/// A research to start. Model, tools and effort come from configuration: models live for months.
#[derive(Debug, Clone, PartialEq)]
pub struct ResearchRequest {
    /// Model name.
    pub model: String,
    /// System-level text.
    pub instructions: String,
    /// The question.
    pub input: String,
    /// A JSON array of tools, such as `[{"type": "web_search"}]`.
    pub tools: Value,
    /// Reasoning effort; when set, a summary of the reasoning is asked for too.
    pub effort: Option<String>,
    /// Bound on built-in tool calls.
    pub max_tool_calls: Option<u32>,
    /// Bound on output tokens, reasoning included.
    pub max_output_tokens: Option<u32>,
    /// At most 16 pairs; `job_id` is how a lost response is recognised.
    pub metadata: BTreeMap<String, String>,
}

/// A response that has been created.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Submitted {
    /// The id that the webhook will name.
    #[serde(rename = "id")]
    pub response_id: String,
    /// `Queued` or `InProgress` as a rule.
    pub status: ResponseStatus,
}

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    background: bool,
    /// Explicit: without it some projects delete a background response after minutes.
    store: bool,
    instructions: &'a str,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    tools: &'a Value,
    include: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tool_calls: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    metadata: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    effort: &'a str,
    summary: &'static str,
}

impl ResearchRequest {
    pub(super) fn body(&self) -> Body<'_> {
        Body {
            model: &self.model,
            background: true,
            store: true,
            instructions: &self.instructions,
            input: &self.input,
            reasoning: self.effort.as_deref().map(|effort| Reasoning {
                effort,
                summary: "auto",
            }),
            tools: &self.tools,
            include: [SOURCES],
            max_tool_calls: self.max_tool_calls,
            max_output_tokens: self.max_output_tokens,
            metadata: &self.metadata,
        }
    }
}
