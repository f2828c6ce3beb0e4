//! Reading the research: a JSON object with twelve sections, which models wrap in prose or code
//! fences, or cut short. What is there is taken; what is missing is named.

use std::collections::BTreeMap;

use clients::openai::Citation;
use serde_json::Value;

use super::markdown::harmless;
use crate::text::one_line;

/// Titles become names of files in Drive.
const LONGEST_TITLE: usize = 200;

/// The twelve sections in the order of the document: key and heading.
pub(crate) const SECTIONS: [(&str, &str); 12] = [
    ("DOC_TITLE", "Title"),
    ("INTRO", "Introduction"),
    ("PRICING_PACKAGING", "Pricing and packaging"),
    ("GTM_MOTION", "Go-to-market motion"),
    ("TOUCH_MODEL", "Touch model"),
    ("ICP", "Ideal customer profiles"),
    ("METRICS", "Metrics"),
    ("FINANCIALS", "Financials"),
    ("FINANCING", "Financing"),
    ("MARKET_MATURITY", "Market maturity"),
    ("STAKEHOLDERS", "Stakeholders"),
    ("SUMMARY_TABLE", "Summary"),
];

/// What was found in a response's text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Research {
    /// Markdown by section key.
    pub(crate) sections: BTreeMap<&'static str, String>,
}

impl Research {
    /// Reads the sections out of the text, with citations made links, and makes them harmless. Without a single section the
    /// whole text becomes the introduction, so that nothing that was paid for is thrown away.
    pub(crate) fn read(text: &str, citations: &[Citation]) -> Self {
        let linked = repaired(&with_links(text, citations));
        let mut sections = whole_object(&linked).unwrap_or_else(|| cut_object(&linked));
        if sections.is_empty() && !text.trim().is_empty() {
            sections.insert("INTRO", linked.trim().to_owned());
        }
        for (key, section) in &mut sections {
            // The title is no Markdown, but one line of text.
            *section = match *key {
                "DOC_TITLE" => title(section),
                _ => harmless(section),
            };
        }
        Self { sections }
    }

    /// The keys of the sections that are not there or empty.
    pub(crate) fn missing(&self) -> Vec<String> {
        SECTIONS
            .iter()
            .map(|(key, _)| *key)
            .filter(|key| self.section(key).is_none())
            .map(str::to_owned)
            .collect()
    }

    /// A section's Markdown, if it is there.
    pub(crate) fn section(&self, key: &str) -> Option<&str> {
        self.sections
            .get(key)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    }
}

fn title(section: &str) -> String {
    let first = section.trim().lines().next().unwrap_or_default();
    one_line(first.trim_start_matches('#'), LONGEST_TITLE)
}

/// The first complete JSON object that holds one of the sections.
fn whole_object(text: &str) -> Option<BTreeMap<&'static str, String>> {
    text.match_indices('{').find_map(|(start, _)| {
        let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        let object = values.next()?.ok()?;
        let sections: BTreeMap<&'static str, String> = SECTIONS
            .iter()
            .filter_map(|(key, _)| Some((*key, markdown(object.get(*key)?))))
            .collect();
        (!sections.is_empty()).then_some(sections)
    })
}

/// The sections of an object that was cut short: each key is looked for by itself, and a string
/// without an end is taken as far as it goes.
fn cut_object(text: &str) -> BTreeMap<&'static str, String> {
    SECTIONS
        .iter()
        .filter_map(|(key, _)| {
            let name = format!("\"{key}\"");
            let after_name = &text[text.find(&name)? + name.len()..];
            let value = after_name.trim_start().strip_prefix(':')?.trim_start();
            let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
            if let Some(Ok(value)) = values.next() {
                return Some((*key, markdown(&value)));
            }
            let cut = value.strip_prefix('"')?;
            Some((*key, unescaped(cut)))
        })
        .collect()
}

/// A JSON string's content up to its closing quote, or as far as it goes. An escape that was cut in
/// two is dropped.
fn unescaped(content: &str) -> String {
    let inside = inside_strings(content, true);
    let end = content
        .char_indices()
        .find(|(at, character)| *character == '"' && inside[*at]);
    let mut cut = &content[..end.map_or(content.len(), |(at, _)| at)];
    // The longest escape that can be cut in two is a pair of surrogates (`\\uD83D\\uDE0`).
    for _ in 0..12 {
        if let Ok(text) = serde_json::from_str::<String>(&format!("\"{cut}\"")) {
            return text;
        }
        let Some((last, _)) = cut.char_indices().next_back() else {
            break;
        };
        cut = &cut[..last];
    }
    String::new()
}

/// The text with what models get wrong inside JSON strings put right: raw line breaks and tabs, and
/// escapes that JSON doesn't know (`\\$`).
fn repaired(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut inside = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => inside = !inside,
            '\n' if inside => repaired.push_str("\\n"),
            '\r' if inside => repaired.push_str("\\r"),
            '\t' if inside => repaired.push_str("\\t"),
            '\\' if inside => match characters.next_if(|next| "\"\\/bfnrtu".contains(*next)) {
                Some(known) => repaired.extend(['\\', known]),
                None => continue,
            },
            _ => {}
        }
        let written = inside && matches!(character, '\n' | '\r' | '\t' | '\\');
        if !written {
            repaired.push(character);
        }
    }
    repaired
}

/// A section's value as Markdown: models give lists and objects where text was asked for.
fn markdown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) if is_table(items) => table(items),
        Value::Array(items) => items
            .iter()
            .map(|item| format!("- {}", inline(item)))
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("- **{name}**: {}", inline(value)))
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name}: {}", inline(value)))
            .collect::<Vec<_>>()
            .join("; "),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Objects with the same keys are rows.
fn is_table(items: &[Value]) -> bool {
    let keys = |item: &Value| {
        item.as_object()
            .map(|row| row.keys().cloned().collect::<Vec<_>>())
    };
    items.len() > 1
        && items
            .iter()
            .all(|item| keys(item).is_some_and(|row| Some(row) == keys(&items[0])))
}

fn table(rows: &[Value]) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let Some(first) = rows.first().and_then(Value::as_object) else {
        return String::new();
    };
    let header: Vec<String> = first.keys().map(|name| cell(name)).collect();
    let mut lines = vec![
        format!("| {} |", header.join(" | ")),
        format!("|{}", " --- |".repeat(header.len())),
    ];
    for row in rows.iter().filter_map(Value::as_object) {
        let cells: Vec<String> = row.values().map(|value| cell(&inline(value))).collect();
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n")
}

/// Puts a Markdown link behind each cited passage that does not name its source already. Only
/// inside JSON strings, where text is; anywhere else it would break the object.
fn with_links(text: &str, citations: &[Citation]) -> String {
    let inside = inside_strings(text, false);
    let is_object = text.contains("\"INTRO\"") || text.contains("\"DOC_TITLE\"");
    let mut ordered: Vec<&Citation> = citations.iter().collect();
    ordered.sort_by_key(|citation| citation.end);
    let mut linked = String::with_capacity(text.len());
    let mut done = 0;
    for citation in ordered {
        let (start, end) = (citation.start, citation.end);
        let Some(passage) = text.get(start..end) else {
            continue;
        };
        let nearby = text
            .get(start..)
            .map(|rest| prefix(rest, passage.len() + 300))
            .unwrap_or_default();
        let already = nearby.contains(&citation.url);
        if end < done || already || (is_object && !inside.get(end).copied().unwrap_or(false)) {
            continue;
        }
        let title = if citation.title.is_empty() {
            &citation.url
        } else {
            &citation.title
        };
        let title: String = title
            .chars()
            .filter(|character| !"[]\\\"".contains(*character) && !character.is_control())
            .collect();
        let url: String = citation
            .url
            .chars()
            .filter(|character| !"()\\\" ".contains(*character) && !character.is_control())
            .collect();
        linked.push_str(&text[done..end]);
        linked.push_str(&format!(" ([{title}]({url}))"));
        done = end;
    }
    linked.push_str(&text[done..]);
    linked
}

fn prefix(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// For each byte offset, whether text inserted there would stand inside a JSON string. `inside` says
/// whether the text starts in one.
fn inside_strings(text: &str, mut inside: bool) -> Vec<bool> {
    let mut escaped = false;
    let mut map = Vec::with_capacity(text.len() + 1);
    for byte in text.bytes() {
        map.push(inside && !escaped);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    map.push(inside && !escaped);
    map
}

#[cfg(test)]
mod tests {
    use clients::openai::Citation;

    use super::{Research, SECTIONS};

    fn citation(text: &str, passage: &str, url: &str) -> Citation {
        let start = text.find(passage).unwrap();
        Citation {
            url: url.into(),
            title: "A source".into(),
            start,
            end: start + passage.len(),
        }
    }

    #[test]
    fn a_bare_object_is_read_whole() {
        let text = r##"{"DOC_TITLE": "Acme", "INTRO": "Robots.\nMany.", "SUMMARY_TABLE": "| a |\n| --- |\n| b |"}"##;
        let research = Research::read(text, &[]);
        assert_eq!(research.section("DOC_TITLE"), Some("Acme"));
        assert_eq!(research.section("INTRO"), Some("Robots.\nMany."));
        assert_eq!(research.missing().len(), SECTIONS.len() - 3);
    }

    #[test]
    fn prose_and_fences_around_it_are_ignored() {
        let text = "Here {as asked} is it:\n```json\n{\"INTRO\": \"Robots {fast} ones\"}\n```\nAnything else?";
        assert_eq!(
            Research::read(text, &[]).section("INTRO"),
            Some("Robots {fast} ones")
        );
    }

    #[test]
    fn a_cut_object_gives_what_is_there() {
        let text = r#"{"DOC_TITLE": "Acme", "INTRO": "Robots \"for all\"", "ICP": "Warehouses with \u00e9"#;
        let whole = Research::read(text, &[]);
        assert_eq!(whole.section("INTRO"), Some("Robots \"for all\""));
        assert_eq!(whole.section("ICP"), Some("Warehouses with é"));
        for cut in 1..=6 {
            let shorter = Research::read(&text[..text.len() - cut], &[]);
            assert!(
                shorter
                    .section("ICP")
                    .unwrap()
                    .starts_with("Warehouses with"),
                "cut {cut}"
            );
        }
        assert!(whole.missing().contains(&"METRICS".to_owned()));
    }

    #[test]
    fn line_breaks_and_unknown_escapes_in_strings_are_put_right() {
        let text =
            "{\"INTRO\": \"one\ntwo\tthree \\$5\", \"ICP\": \"all\", \"METRICS\": \"cut \\$1";
        let research = Research::read(text, &[]);
        assert_eq!(research.section("INTRO"), Some("one\ntwo\tthree $5"));
        assert_eq!(research.section("ICP"), Some("all"));
        assert_eq!(research.section("METRICS"), Some("cut $1"));
    }

    #[test]
    fn text_without_sections_is_kept_as_the_introduction() {
        assert_eq!(
            Research::read("Just prose.", &[]).section("INTRO"),
            Some("Just prose.")
        );
        assert!(Research::read("  ", &[]).sections.is_empty());
    }

    #[test]
    fn what_a_page_has_smuggled_in_does_nothing_in_the_document() {
        let text = r##"{"DOC_TITLE": "# Acme <b>\nsecond line",
            "INTRO": "<script>x</script> ![p](https://evil.example/p) [c](javascript:x)"}"##;
        let research = Research::read(text, &[]);
        assert_eq!(research.section("DOC_TITLE"), Some("Acme <b>"));
        assert_eq!(
            research.section("INTRO"),
            Some("&lt;script>x&lt;/script> &#33;[p](https://evil.example/p) &#91;c](javascript:x)")
        );
    }

    #[test]
    fn lists_objects_and_rows_become_markdown() {
        let text = r#"{"ICP": ["one", "two"], "METRICS": {"ARR": "1 M"},
            "SUMMARY_TABLE": [{"a": 1, "b": "x|y"}, {"a": 2, "b": null}]}"#;
        let research = Research::read(text, &[]);
        assert_eq!(research.section("ICP"), Some("- one\n- two"));
        assert_eq!(research.section("METRICS"), Some("- **ARR**: 1 M"));
        assert_eq!(
            research.section("SUMMARY_TABLE"),
            Some("| a | b |\n| --- | --- |\n| 1 | x\\|y |\n| 2 |  |")
        );
    }

    #[test]
    fn a_citation_becomes_a_link_behind_its_passage_unless_it_is_one() {
        let text = r#"{"INTRO": "Acme sells \"robots\". See [site](https://b.example)."}"#;
        let citations = [
            citation(text, "Acme sells", "https://a.example/(1)"),
            citation(text, "[site](https://b.example)", "https://b.example"),
            citation(text, "\"INTRO\"", "https://c.example"),
        ];
        assert_eq!(
            Research::read(text, &citations).section("INTRO"),
            Some(
                "Acme sells ([A source](https://a.example/1)) \"robots\". See [site](https://b.example)."
            )
        );
    }
}
