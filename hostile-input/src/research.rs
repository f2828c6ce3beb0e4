//! What OpenAI answers, and the research that a model wrote.

use clients::openai::Response;
use workers::readers;

/// The JSON of a response.
pub(crate) fn openai_response(data: &[u8]) {
    let raw = String::from_utf8_lossy(data);
    let Ok(response) = Response::from_json(&raw) else {
        return;
    };
    let text = response.text();
    let citations = response.citations();
    for citation in &citations {
        assert!(
            text.get(citation.start..citation.end).is_some(),
            "{citation:?}"
        );
    }
    let _ = (response.refusal(), response.error_code(), response.usage);
    let sections = readers::research(&text, &citations);
    assert_eq!(sections.is_empty(), text.trim().is_empty());
}

/// The text of a response.
pub(crate) fn research_result(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let sections = readers::research(&text, &[]);
    assert_eq!(
        sections.is_empty(),
        text.trim().is_empty(),
        "nothing that was paid for is lost"
    );
    for section in sections.values() {
        assert!(
            !section.contains("<script") && !section.contains('\0'),
            "{section}"
        );
    }
}
