//! The requests that fill a document, and what a small model of Docs makes of them.

use serde_json::{Value, json};

use super::{document::Document, edits, *};

/// A document with these paragraphs, one run each, the first starting at index 1.
fn document(paragraphs: &[&str]) -> Document {
    let mut index = 1;
    let content: Vec<Value> = paragraphs
        .iter()
        .map(|text| {
            let start = index;
            index += text.encode_utf16().count() + 1;
            json!({"paragraph": {
                "elements": [{"startIndex": start, "textRun": {"content": format!("{text}\n")}}],
                "paragraphStyle": {"namedStyleType": "NORMAL_TEXT"},
            }})
        })
        .collect();
    serde_json::from_value(json!({"revisionId": "r1", "body": {"content": content}})).unwrap()
}

fn requests(document: &Document, sections: &[Section]) -> Vec<Value> {
    let placeholders: Vec<&str> = sections
        .iter()
        .map(|section| section.placeholder.as_str())
        .collect();
    let places = document.places(&placeholders);
    edits::replace_all(&places, sections)
}

/// Carries out insertions and deletions as Docs does, structure marks included: `T` table, `R` row,
/// `C` cell. Gives the final text and the texts that were styled, as they stood at that moment.
fn carry_out(paragraphs: &[&str], requests: &[Value]) -> (String, Vec<(String, Value)>) {
    let text = format!("\0{}\n", paragraphs.join("\n"));
    let mut units: Vec<u16> = text.encode_utf16().collect();
    let mut styled = Vec::new();
    let index = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    for request in requests {
        let (kind, body) = request.as_object().unwrap().iter().next().unwrap();
        let range = || index(&body["range"]["startIndex"])..index(&body["range"]["endIndex"]);
        match kind.as_str() {
            "insertText" => {
                let at = index(&body["location"]["index"]);
                units.splice(at..at, body["text"].as_str().unwrap().encode_utf16());
            }
            "insertTable" => {
                let at = index(&body["location"]["index"]);
                let row = format!("R{}", "C\n".repeat(index(&body["columns"])));
                let table = format!("\nT{}", row.repeat(index(&body["rows"])));
                units.splice(at..at, table.encode_utf16());
            }
            "deleteContentRange" => {
                units.drain(range());
            }
            "updateTextStyle" => {
                let text = String::from_utf16(&units[range()]).unwrap();
                styled.push((text, body["textStyle"].clone()));
            }
            "createParagraphBullets" => {
                // The tabs go away: everything behind them moves.
                let tabs: Vec<usize> = range()
                    .filter(|&at| units[at] == u16::from(b'\t'))
                    .collect();
                tabs.into_iter().rev().for_each(|at| {
                    units.remove(at);
                });
            }
            "updateParagraphStyle" | "deleteParagraphBullets" => {}
            other => panic!("unexpected {other}"),
        }
    }
    (String::from_utf16(&units[1..]).unwrap(), styled)
}

fn filled(paragraphs: &[&str], sections: &[(&str, &str)]) -> (String, Vec<(String, Value)>) {
    let sections: Vec<Section> = sections
        .iter()
        .map(|(placeholder, markdown)| Section::from_markdown(*placeholder, markdown))
        .collect();
    carry_out(paragraphs, &requests(&document(paragraphs), &sections))
}

#[test]
fn one_paragraph_takes_over_the_placeholders_style() {
    let document = document(&["Title: {{TITLE}}!"]);
    assert_eq!(
        requests(
            &document,
            &[Section::from_markdown(
                "{{TITLE}}",
                "Acme [site](https://a.example)"
            )]
        ),
        [
            json!({"insertText": {"location": {"index": 17}, "text": "Acme site"}}),
            json!({"updateTextStyle": {
                "range": {"startIndex": 22, "endIndex": 26},
                "textStyle": {"link": {"url": "https://a.example"}}, "fields": "link"}}),
            json!({"deleteContentRange": {"range": {"startIndex": 8, "endIndex": 17}}}),
        ]
    );
}

#[test]
fn several_placeholders_do_not_disturb_each_other() {
    let (text, _) = filled(
        &["{{A}} and {{B}}", "then 🦀 {{A}}"],
        &[("{{A}}", "a longer text"), ("{{B}}", "b")],
    );
    assert_eq!(text, "a longer text and b\nthen 🦀 a longer text\n");
}

#[test]
fn blocks_become_paragraphs_with_links_in_the_right_place() {
    let markdown =
        "# Head\n\nSee 🦀 [one](https://1.example).\n\n- a\n  - b [two](https://2.example)";
    let (text, styled) = filled(&["before", "{{X}}", "after"], &[("{{X}}", markdown)]);
    assert_eq!(text, "before\nHead\nSee 🦀 one.\na\nb two\nafter\n");
    let linked: Vec<_> = styled
        .iter()
        .filter(|(_, style)| style["link"].is_object())
        .map(|(text, _)| text)
        .collect();
    assert_eq!(linked, ["one", "two"]);
}

#[test]
fn headings_and_lists_are_asked_for_as_such() {
    let document = document(&["{{X}}"]);
    let requests = requests(
        &document,
        &[Section::from_markdown(
            "{{X}}",
            "## H\n- a\n  - b\n\n1. c\n",
        )],
    );
    assert!(requests.contains(&json!({"updateParagraphStyle": {
        "range": {"startIndex": 1, "endIndex": 2},
        "paragraphStyle": {"namedStyleType": "HEADING_2"}, "fields": "namedStyleType"}})));
    // The text is "H\na\n\tb\nc"; the later list comes first, because bullets remove tabs.
    let bullets: Vec<_> = requests
        .iter()
        .filter_map(|request| request.get("createParagraphBullets"))
        .collect();
    assert_eq!(
        bullets,
        [
            &json!({"range": {"startIndex": 8, "endIndex": 9},
                "bulletPreset": "NUMBERED_DECIMAL_ALPHA_ROMAN"}),
            &json!({"range": {"startIndex": 3, "endIndex": 7},
                "bulletPreset": "BULLET_DISC_CIRCLE_SQUARE"}),
        ]
    );
}

#[test]
fn tables_become_tables_between_their_texts() {
    let markdown =
        "Intro\n\n| Name | Price |\n|---|---|\n| [Acme](https://a.example) | |\n| B | 2 |\n\nOutro";
    let (text, styled) = filled(&["{{T}}"], &[("{{T}}", markdown)]);
    assert_eq!(text, "Intro\nTRCName\nCPrice\nRCAcme\nC\nRCB\nC2\nOutro\n");
    assert!(styled.contains(&("Acme".into(), json!({"link": {"url": "https://a.example"}}))));
    assert!(styled.contains(&("Name".into(), json!({"bold": true}))));
}

#[test]
fn text_above_a_table_does_not_become_part_of_the_list_below_it() {
    let document = document(&["{{X}}"]);
    let kinds = |markdown: &str| -> Vec<String> {
        requests(&document, &[Section::from_markdown("{{X}}", markdown)])
            .iter()
            .filter_map(|request| request.as_object()?.keys().next().cloned())
            .filter(|kind| kind.ends_with("Bullets"))
            .collect()
    };
    assert_eq!(
        kinds("Intro\n\n| A |\n|---|\n| 1 |\n\n- a"),
        ["createParagraphBullets", "deleteParagraphBullets"]
    );
    assert_eq!(kinds("Intro\n\n- a"), ["createParagraphBullets"]);
}

#[test]
fn empty_content_removes_the_placeholder() {
    assert_eq!(filled(&["a {{X}} b"], &[("{{X}}", " ")]).0, "a  b\n");
}

#[test]
fn placeholders_are_found_in_split_runs_tables_and_headers() {
    let run = |start: u64, text: &str, style: Value| json!({"startIndex": start, "textRun": {"content": text, "textStyle": style}});
    let document: Document = serde_json::from_value(json!({
        "revisionId": "r1",
        "body": {"content": [
            {"sectionBreak": {}},
            {"paragraph": {"elements": [
                {"startIndex": 1, "inlineObjectElement": {}},
                run(2, "{{", json!({"bold": true})),
                run(4, "X}}\n", json!({})),
            ]}},
            {"table": {"tableRows": [{"tableCells": [
                {"content": [{"paragraph": {"elements": [run(12, "{{X}}\n", json!({}))]}}]}
            ]}]}},
        ]},
        "headers": {"h1": {"content": [{"paragraph": {"elements": [
            {"textRun": {"content": "{{X}}\n"}}
        ]}}]}},
    }))
    .unwrap();
    let places = document.places(&["{{X}}"]);
    let found: Vec<_> = places
        .iter()
        .map(|place| (place.segment, place.start, place.end))
        .collect();
    assert_eq!(found, [(None, 12, 17), (None, 2, 7), (Some("h1"), 0, 5)]);
    assert_eq!(places[1].text_style["bold"], true);

    let requests = edits::replace_all(&places, &[Section::from_markdown("{{X}}", "x")]);
    assert_eq!(
        requests.last().unwrap(),
        &json!({"deleteContentRange": {
            "range": {"startIndex": 0, "endIndex": 5, "segmentId": "h1"}}})
    );
}

#[test]
fn a_filled_document_has_no_places() {
    assert!(
        requests(
            &document(&["all done"]),
            &[Section::from_markdown("{{X}}", "x")]
        )
        .is_empty()
    );
}
