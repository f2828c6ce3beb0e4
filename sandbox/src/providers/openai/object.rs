//! The response object (contracts/openai.md section 4) in its states.

use chrono::Utc;
use serde_json::{Value, json};

use super::models;
use super::request::CreateResponse;
use super::research::Company;
use super::store::{Ending, FinalStatus};
use crate::app::new_id;

/// A response that waits.
pub(crate) fn queued(request: &CreateResponse) -> Value {
    json!({
        "id": new_id("resp_"), "object": "response", "created_at": Utc::now().timestamp(),
        "completed_at": null, "status": "queued", "background": request.background,
        "store": request.store, "model": models::snapshot(&request.model), "error": null,
        "incomplete_details": null, "instructions": request.instructions,
        "metadata": request.metadata, "output": [], "usage": null,
    })
}

/// Ends a research response.
pub(crate) fn finish(response: &mut Value, company: &Company, ending: &Ending) {
    close(response, ending.status);
    match ending.status {
        FinalStatus::Completed | FinalStatus::Incomplete => {
            let text = ending.text.clone().unwrap_or_else(|| company.strategy());
            response["output"] = research_output(company, &text, ending.status);
            response["usage"] = usage(51_234, 2_048, 18_321, 12_000);
            response["tool_usage"] = json!({"web_search": {"num_requests": 24}});
        }
        FinalStatus::Failed => {
            let code = ending.code.as_deref().unwrap_or("server_error");
            response["error"] = json!({"code": code, "message": "The sandbox was told to fail."});
        }
        FinalStatus::Cancelled => {}
    }
    if ending.status == FinalStatus::Incomplete {
        let reason = ending.code.as_deref().unwrap_or("max_output_tokens");
        response["incomplete_details"] = json!({"reason": reason});
    }
}

/// Marks a response as cancelled.
pub(crate) fn cancel(response: &mut Value) {
    close(response, FinalStatus::Cancelled);
}

/// Ends a synchronous response with its text.
pub(crate) fn answer(response: &mut Value, input: &str, text: &str) {
    close(response, FinalStatus::Completed);
    response["output"] = json!([
        {"type": "reasoning", "id": new_id("rs_"), "summary": []},
        message(text, Vec::new(), "completed"),
    ]);
    // About four characters of English make a token.
    let tokens = |text: &str| u64::try_from(text.chars().count()).unwrap_or_default() / 4 + 1;
    response["usage"] = usage(tokens(input), 0, tokens(text) + 64, 64);
}

/// Whether the response will not change any more.
pub(crate) fn is_final(response: &Value) -> bool {
    !matches!(response["status"].as_str(), Some("queued" | "in_progress"))
}

fn close(response: &mut Value, status: FinalStatus) {
    response["status"] = json!(status.name());
    response["completed_at"] = json!(Utc::now().timestamp());
}

fn research_output(company: &Company, text: &str, status: FinalStatus) -> Value {
    let sources: Vec<Value> = company
        .sources()
        .into_iter()
        .map(|(_, url)| json!({"type": "url", "url": url}))
        .collect();
    let query = format!("{} pricing and market", company.name);
    let summary = format!("Looking for what {} sells and to whom.", company.name);
    json!([
        {"type": "reasoning", "id": new_id("rs_"),
         "summary": [{"type": "summary_text", "text": summary}]},
        {"type": "web_search_call", "id": new_id("ws_"), "status": "completed",
         "action": {"type": "search", "query": query, "queries": [query], "sources": sources}},
        message(text, company.annotations(text), status.name()),
    ])
}

fn message(text: &str, annotations: Vec<Value>, status: &str) -> Value {
    let annotations = Value::Array(annotations);
    json!({"type": "message", "id": new_id("msg_"), "role": "assistant", "status": status,
           "phase": "final_answer",
           "content": [{"type": "output_text", "text": text, "annotations": annotations,
                        "logprobs": []}]})
}

fn usage(input: u64, cached: u64, output: u64, reasoning: u64) -> Value {
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": input + output,
    })
}
