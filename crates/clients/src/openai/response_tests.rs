//! Reading text, citations and figures out of a response.

use serde_json::json;

use super::*;

fn response(output: &Value) -> Response {
    let raw = json!({"id": "resp_1", "status": "completed", "output": output});
    Response::from_json(&raw.to_string()).unwrap()
}

fn message(text: &str) -> Value {
    json!({"type": "message", "content": [{"type": "output_text", "text": text}]})
}

fn cited(text: &str, start: i64, end: i64) -> Response {
    response(&json!([
        message("one "),
        {"type": "message", "content": [{"type": "output_text", "text": text, "annotations": [
            {"type": "file_citation", "file_id": "f", "index": 0},
            {"type": "url_citation", "start_index": start, "end_index": end,
             "title": "T", "url": "https://a.example"}
        ]}]}
    ]))
}

fn cited_passage(response: &Response) -> String {
    let citations = response.citations();
    let [citation] = citations.as_slice() else {
        panic!("one citation, not {citations:?}")
    };
    assert_eq!(
        (citation.url.as_str(), citation.title.as_str()),
        ("https://a.example", "T")
    );
    response.text()[citation.start..citation.end].to_owned()
}

#[test]
fn text_joins_all_messages_and_passes_over_other_items() {
    let response = response(&json!([
        {"type": "reasoning", "content": {"strange": true}},
        message("one "),
        {"type": "web_search_call", "action": {"type": "search"}},
        message("two"),
        {"type": "made_up_tomorrow"},
    ]));
    assert_eq!(response.text(), "one two");
}

#[test]
fn commentary_gives_way_to_the_final_answer() {
    let mut commentary = message("let me look");
    commentary["phase"] = json!("commentary");
    let mut answer = message("here it is");
    answer["phase"] = json!("final_answer");
    assert_eq!(
        response(&json!([commentary.clone(), answer])).text(),
        "here it is"
    );
    assert_eq!(response(&json!([commentary])).text(), "let me look");
}

#[test]
fn citations_are_placed_in_the_joined_text() {
    assert_eq!(
        cited_passage(&cited("see (https://a.example)", 4, 23)),
        "(https://a.example)"
    );
    assert_eq!(cited_passage(&cited("äöü cited", 4, 9)), "cited");
}

#[test]
fn citations_after_an_emoji_are_found_in_either_counting() {
    let text = "🦀 https://a.example";
    assert_eq!(cited_passage(&cited(text, 2, 19)), "https://a.example");
    assert_eq!(cited_passage(&cited(text, 3, 20)), "https://a.example");
}

#[test]
fn offsets_that_point_nowhere_keep_the_source() {
    for (start, end) in [(4, 99), (5, 2), (-1, 3)] {
        assert_eq!(cited_passage(&cited("short text", start, end)), "");
    }
}

#[test]
fn refusal_in_place_of_text() {
    let refused = response(&json!([
        {"type": "message", "content": [{"type": "refusal", "refusal": "I can't help."}]}
    ]));
    assert_eq!(
        (refused.refusal(), refused.text().as_str()),
        (Some("I can't help."), "")
    );
    assert_eq!(response(&json!([message("hi")])).refusal(), None);
}

#[test]
fn figures_of_a_whole_response() {
    let raw = json!({
        "id": "resp_1", "status": "incomplete", "model": "gpt-5.5-2026-04-23",
        "created_at": 1795262400.5, "metadata": {"job_id": "j"},
        "usage": {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 1},
            "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 12},
        "tool_usage": {"web_search": {"num_requests": 24}},
        "incomplete_details": {"reason": "max_output_tokens"}, "error": null, "output": []
    });
    let response = Response::from_json(&raw.to_string()).unwrap();
    assert_eq!(
        response.usage,
        Some(Usage {
            input_tokens: 5,
            cached_tokens: 1,
            output_tokens: 7,
            reasoning_tokens: 2,
            total_tokens: 12
        })
    );
    assert_eq!(response.metadata["job_id"], "j");
    assert_eq!(response.web_search_requests(), Some(24));
    assert_eq!(response.incomplete_reason(), Some("max_output_tokens"));
    assert_eq!(response.error_code(), None);
    assert!(response.status.is_final());
}

#[test]
fn nulls_and_unknown_statuses_are_read() {
    let raw = json!({"id": "r", "status": "pondering", "usage": null, "metadata": null,
        "output": null, "model": null});
    let response = Response::from_json(&raw.to_string()).unwrap();
    assert_eq!(response.status, ResponseStatus::Other);
    assert_eq!(
        (response.usage, response.web_search_requests()),
        (None, None)
    );
    assert!(!response.status.is_final());
}
