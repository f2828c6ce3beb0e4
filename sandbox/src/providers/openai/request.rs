//! Checks the body of `POST /v1/responses` (contracts/openai.md sections 3 and 5.1) and reads
//! from it what the answer needs.

use serde_json::{Map, Value};

use super::error::{ApiError, invalid, model_not_found};
use super::models;

/// Top-level fields that the API knows; it refuses others.
const KNOWN_FIELDS: &[&str] = &[
    "background",
    "background_options",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];
const KNOWN_TOOLS: &[&str] = &[
    "code_interpreter",
    "file_search",
    "function",
    "mcp",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
];
const KNOWN_EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// A request that passed the checks.
#[derive(Debug)]
pub(crate) struct CreateResponse {
    pub(crate) model: String,
    pub(crate) background: bool,
    pub(crate) store: bool,
    pub(crate) instructions: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    /// The input as a list of turns.
    pub(crate) turns: Vec<Turn>,
    /// The JSON schema that the answer's text must satisfy.
    pub(crate) schema: Option<Value>,
}

/// One item of the input.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) role: String,
    pub(crate) text: String,
}

impl CreateResponse {
    pub(crate) fn parse(body: &Value) -> Result<Self, ApiError> {
        let fields = body
            .as_object()
            .ok_or_else(|| invalid("body", "invalid_type", "The body must be a JSON object."))?;
        if let Some(unknown) = fields
            .keys()
            .find(|key| !KNOWN_FIELDS.contains(&key.as_str()))
        {
            let message = format!("Unknown parameter: '{unknown}'.");
            return Err(invalid(unknown, "unknown_parameter", message));
        }
        let model = text_field(fields, "model")?.ok_or_else(|| missing("model"))?;
        if !models::is_served(&model) {
            return Err(model_not_found(&model));
        }
        let background = bool_field(fields, "background")?.unwrap_or(false);
        let store = bool_field(fields, "store")?;
        if background && store != Some(true) {
            let message = "Background mode requires 'store' to be true.";
            return Err(invalid("store", "invalid_value", message));
        }
        check_tools(fields)?;
        check_effort(fields)?;
        Ok(Self {
            model,
            background,
            store: store.unwrap_or(true),
            instructions: text_field(fields, "instructions")?,
            metadata: metadata(fields)?,
            turns: turns(fields.get("input").ok_or_else(|| missing("input"))?)?,
            schema: schema(fields)?,
        })
    }

    /// Everything the model is told, for looking something up in it.
    pub(crate) fn whole_text(&self) -> String {
        self.turns
            .iter()
            .map(|turn| turn.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn missing(param: &str) -> ApiError {
    let message = format!("Missing required parameter: '{param}'.");
    invalid(param, "missing_required_parameter", message)
}

fn wrong_type(param: &str, expected: &str) -> ApiError {
    let message = format!("Invalid type for '{param}': expected {expected}.");
    invalid(param, "invalid_type", message)
}

fn text_field(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong_type(name, "a string")),
    }
}

fn bool_field(fields: &Map<String, Value>, name: &str) -> Result<Option<bool>, ApiError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(_) => Err(wrong_type(name, "a boolean")),
    }
}

/// At most 16 pairs, keys up to 64 characters, string values up to 512.
fn metadata(fields: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let metadata = match fields.get("metadata") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::Object(metadata)) => metadata,
        Some(_) => return Err(wrong_type("metadata", "an object")),
    };
    if metadata.len() > 16 {
        let message = "Invalid 'metadata': too many properties. Expected at most 16.";
        return Err(invalid("metadata", "object_above_max_properties", message));
    }
    for (key, value) in metadata {
        let param = format!("metadata.{key}");
        let text = value
            .as_str()
            .ok_or_else(|| wrong_type(&param, "a string"))?;
        if key.chars().count() > 64 || text.chars().count() > 512 {
            return Err(invalid(
                &param,
                "string_above_max_length",
                "A key or value is too long.",
            ));
        }
    }
    Ok(metadata.clone())
}

fn check_tools(fields: &Map<String, Value>) -> Result<(), ApiError> {
    let tools = match fields.get("tools") {
        None | Some(Value::Null) => return Ok(()),
        Some(tools) => tools
            .as_array()
            .ok_or_else(|| wrong_type("tools", "an array"))?,
    };
    for (index, tool) in tools.iter().enumerate() {
        let kind = tool["type"].as_str().unwrap_or_default();
        if !KNOWN_TOOLS.contains(&kind) {
            let message = format!("Invalid value: '{kind}'.");
            return Err(invalid(
                &format!("tools[{index}].type"),
                "invalid_value",
                message,
            ));
        }
        if kind == "code_interpreter" && tool.get("container").is_none() {
            return Err(missing(&format!("tools[{index}].container")));
        }
    }
    Ok(())
}

fn check_effort(fields: &Map<String, Value>) -> Result<(), ApiError> {
    match fields
        .get("reasoning")
        .and_then(|reasoning| reasoning.get("effort"))
    {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(effort)) if KNOWN_EFFORTS.contains(&effort.as_str()) => Ok(()),
        Some(effort) => {
            let message = format!("Invalid value: {effort}.");
            Err(invalid("reasoning.effort", "invalid_value", message))
        }
    }
}

fn turns(input: &Value) -> Result<Vec<Turn>, ApiError> {
    match input {
        Value::String(text) => Ok(vec![Turn {
            role: "user".to_owned(),
            text: text.clone(),
        }]),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| turn(index, item))
            .collect(),
        _ => Err(wrong_type("input", "a string or an array")),
    }
}

fn turn(index: usize, item: &Value) -> Result<Turn, ApiError> {
    let param = format!("input[{index}]");
    let role = item["role"].as_str().unwrap_or_default();
    if !["user", "assistant", "system", "developer"].contains(&role) {
        let message = format!("Invalid value: '{role}'.");
        return Err(invalid(&format!("{param}.role"), "invalid_value", message));
    }
    let text = match &item["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Result<Vec<_>, _> = parts
                .iter()
                .map(|part| part_text(&param, role, part))
                .collect();
            texts?.join("\n")
        }
        _ => return Err(missing(&format!("{param}.content"))),
    };
    Ok(Turn {
        role: role.to_owned(),
        text,
    })
}

/// Assistant history is `output_text`, everybody else's text is `input_text`.
fn part_text(param: &str, role: &str, part: &Value) -> Result<String, ApiError> {
    let expected = if role == "assistant" {
        "output_text"
    } else {
        "input_text"
    };
    match (
        part["type"].as_str().unwrap_or_default(),
        part["text"].as_str(),
    ) {
        (kind, Some(text)) if kind == expected => Ok(text.to_owned()),
        ("input_image" | "input_file", None) if role != "assistant" => Ok(String::new()),
        (kind, _) => {
            let message = format!("Invalid value: '{kind}'. Supported value is: '{expected}'.");
            Err(invalid(
                &format!("{param}.content"),
                "invalid_value",
                message,
            ))
        }
    }
}

/// With `strict`, every property is required and no other is allowed.
fn schema(fields: &Map<String, Value>) -> Result<Option<Value>, ApiError> {
    let Some(format) = fields.get("text").and_then(|text| text.get("format")) else {
        return Ok(None);
    };
    if format["type"] != "json_schema" {
        return Ok(None);
    }
    if !format["name"].is_string() {
        return Err(missing("text.format.name"));
    }
    let schema = format
        .get("schema")
        .ok_or_else(|| missing("text.format.schema"))?;
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let required = schema["required"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let all_required = properties
        .keys()
        .all(|key| required.iter().any(|name| name == key));
    if format["strict"] == true && !(all_required && schema["additionalProperties"] == false) {
        let message = "Invalid schema for response_format: 'additionalProperties' is required to \
                       be false and 'required' to name every key in properties.";
        return Err(invalid(
            "text.format.schema",
            "invalid_json_schema",
            message,
        ));
    }
    Ok(Some(schema.clone()))
}
