//! The response object, read leniently (contract §4).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::lenient::{misfit_as_default, null_as_default};

/// A response. Output items of unknown types are kept out of the way.
#[derive(Debug, Clone, Deserialize)]
pub struct Response {
    /// `resp_…`
    pub id: String,
    /// Where it stands.
    pub status: ResponseStatus,
    /// What we sent along, `job_id` above all.
    #[serde(default, deserialize_with = "misfit_as_default")]
    pub metadata: BTreeMap<String, String>,
    /// The model that ran, with its date.
    #[serde(default, deserialize_with = "null_as_default")]
    pub model: String,
    /// Tokens used; missing until the end, and perhaps for ever when cancelled or failed.
    #[serde(default, deserialize_with = "usage")]
    pub usage: Option<Usage>,
    #[serde(default, deserialize_with = "misfit_as_default")]
    output: Vec<Value>,
    #[serde(default)]
    tool_usage: Value,
    #[serde(default)]
    error: Value,
    #[serde(default)]
    incomplete_details: Value,
}

/// Where a response stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseStatus {
    /// Waiting.
    Queued,
    /// Running.
    InProgress,
    /// Ended; the output is final.
    Completed,
    /// Ended by the error it names.
    Failed,
    /// Ended by the cancel call.
    Cancelled,
    /// Ended early; the output may hold partial text.
    Incomplete,
    /// A status that was unknown when this was written.
    #[serde(other)]
    Other,
}

/// Tokens used, as billed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// The part of the input that was read from the cache.
    pub cached_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: u64,
    /// Input and output.
    pub total_tokens: u64,
}

/// A source that the text names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citation {
    /// The page.
    pub url: String,
    /// Its title, may be empty.
    pub title: String,
    /// Byte offset in [`Response::text`] at which the cited passage starts.
    pub start: usize,
    /// Byte offset at which it ends; `text[start..end]` never panics. Equal to `start`, at the end
    /// of its part, when the service's offsets point nowhere.
    pub end: usize,
}

impl Response {
    /// Reads a response from the JSON text that was stored.
    pub fn from_json(raw: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(raw)
    }

    /// The answer: the parts of the phase `final_answer` if there are any, else all text, joined.
    pub fn text(&self) -> String {
        self.text_parts()
            .into_iter()
            .map(|part| str_of(part, "text"))
            .collect()
    }

    /// The `url_citation`s of [`text`](Self::text), in its order.
    pub fn citations(&self) -> Vec<Citation> {
        let mut offset = 0;
        let mut citations = Vec::new();
        for part in self.text_parts() {
            let text = str_of(part, "text");
            let annotations = part["annotations"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            citations.extend(annotations.iter().filter_map(|annotation| {
                let url = annotation["url"].as_str()?;
                (annotation["type"] == "url_citation").then(|| {
                    let (start, end) = passage(text, annotation, url);
                    Citation {
                        url: url.to_owned(),
                        title: str_of(annotation, "title").to_owned(),
                        start: offset + start,
                        end: offset + end,
                    }
                })
            }));
            offset += text.len();
        }
        citations
    }

    /// The words of a refusal, which can stand in place of text in a completed response.
    pub fn refusal(&self) -> Option<&str> {
        self.messages()
            .flat_map(contents)
            .find(|part| part["type"] == "refusal")
            .map(|part| str_of(part, "refusal"))
    }

    /// Web searches made, which are billed apart from tokens.
    pub fn web_search_requests(&self) -> Option<u64> {
        self.tool_usage["web_search"]["num_requests"].as_u64()
    }

    /// The code of the error that ended it.
    pub fn error_code(&self) -> Option<&str> {
        self.error["code"].as_str()
    }

    /// The message of the error that ended it.
    pub fn error_message(&self) -> Option<&str> {
        self.error["message"].as_str()
    }

    /// Whether the same request, sent as a new response, may succeed.
    pub fn may_succeed_when_repeated(&self) -> bool {
        matches!(
            self.error_code(),
            Some("server_error" | "rate_limit_exceeded" | "vector_store_timeout")
        )
    }

    /// Why it is incomplete, such as `max_output_tokens`.
    pub fn incomplete_reason(&self) -> Option<&str> {
        self.incomplete_details["reason"].as_str()
    }

    pub(super) fn error_text(&self) -> String {
        let code = self.error_code().unwrap_or("no code");
        let message = self.error_message().unwrap_or("no message");
        format!("the response failed: {message} ({code})")
    }

    fn messages(&self) -> impl Iterator<Item = &Value> {
        self.output.iter().filter(|item| item["type"] == "message")
    }

    fn text_parts(&self) -> Vec<&Value> {
        let has_final = self
            .messages()
            .any(|message| message["phase"] == "final_answer");
        self.messages()
            .filter(|message| !has_final || message["phase"] == "final_answer")
            .flat_map(contents)
            .filter(|part| part["type"] == "output_text")
            .collect()
    }
}

impl ResponseStatus {
    /// Whether the status will not change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled | Self::Incomplete => true,
            Self::Queued | Self::InProgress | Self::Other => false,
        }
    }
}

fn contents(message: &Value) -> impl Iterator<Item = &Value> {
    message["content"].as_array().into_iter().flatten()
}

fn str_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn usage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Usage>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let count = |count: &Value| count.as_u64().unwrap_or_default();
    Ok(value.is_object().then(|| Usage {
        input_tokens: count(&value["input_tokens"]),
        cached_tokens: count(&value["input_tokens_details"]["cached_tokens"]),
        output_tokens: count(&value["output_tokens"]),
        reasoning_tokens: count(&value["output_tokens_details"]["reasoning_tokens"]),
        total_tokens: count(&value["total_tokens"]),
    }))
}

/// The byte range that an annotation names.
///
/// Whether its offsets count code points or UTF-16 units is not documented. They differ only after
/// characters such as emoji; the citation's own address, mostly part of the passage, then decides.
fn passage(text: &str, annotation: &Value, url: &str) -> (usize, usize) {
    let bounds = |width: fn(char) -> usize| {
        let start = byte_offset(text, annotation["start_index"].as_u64()?, width)?;
        let end = byte_offset(text, annotation["end_index"].as_u64()?, width)?;
        (start <= end).then_some((start, end))
    };
    let names_url = |(start, end): &(usize, usize)| text[*start..*end].contains(url);
    let code_points = bounds(|_| 1);
    code_points
        .filter(names_url)
        .or_else(|| bounds(char::len_utf16).filter(names_url))
        .or(code_points)
        .unwrap_or((text.len(), text.len()))
}

/// Where the character at `index` starts, characters counting `width` each.
fn byte_offset(text: &str, index: u64, width: fn(char) -> usize) -> Option<usize> {
    let mut position = 0;
    for (offset, character) in text.char_indices() {
        if position >= index {
            return (position == index).then_some(offset);
        }
        position += width(character) as u64;
    }
    (position == index).then_some(text.len())
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
