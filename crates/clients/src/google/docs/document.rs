//! A document as Docs gives it, and the places of placeholders in it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// The parts of a document that can hold placeholders.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Document {
    pub(super) revision_id: String,
    body: Segment,
    headers: BTreeMap<String, Segment>,
    footers: BTreeMap<String, Segment>,
}

/// Where a placeholder stands, in UTF-16 units of its segment, and how it looks there.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) placeholder: &'a str,
    /// The header or footer; `None` for the body.
    pub(super) segment: Option<&'a str>,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) text_style: &'a Map<String, Value>,
    pub(super) named_style: &'a str,
    pub(super) in_list: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Segment {
    content: Vec<Element>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Element {
    paragraph: Option<Paragraph>,
    table: Option<Table>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Table {
    table_rows: Vec<Row>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Row {
    table_cells: Vec<Segment>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Paragraph {
    elements: Vec<ParagraphElement>,
    paragraph_style: ParagraphStyle,
    bullet: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParagraphStyle {
    named_style_type: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ParagraphElement {
    /// Left out for zero, the start of a header.
    start_index: u64,
    text_run: Option<TextRun>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TextRun {
    content: String,
    text_style: Map<String, Value>,
}

impl Default for ParagraphStyle {
    fn default() -> Self {
        Self {
            named_style_type: "NORMAL_TEXT".to_owned(),
        }
    }
}

impl Document {
    /// All places of the placeholders; within a segment the last comes first.
    pub(super) fn places<'a>(&'a self, placeholders: &[&'a str]) -> Vec<Place<'a>> {
        let mut places = Vec::new();
        let parts = [(None, &self.body)].into_iter().chain(
            self.headers
                .iter()
                .chain(&self.footers)
                .map(|(id, part)| (Some(id.as_str()), part)),
        );
        for (segment, part) in parts {
            let first = places.len();
            part.visit(&mut |paragraph| {
                for placeholder in placeholders {
                    paragraph.find(placeholder, segment, &mut places);
                }
            });
            places[first..].sort_by_key(|place| std::cmp::Reverse(place.start));
        }
        places
    }
}

impl Segment {
    fn visit<'a>(&'a self, take: &mut dyn FnMut(&'a Paragraph)) {
        for element in &self.content {
            if let Some(paragraph) = &element.paragraph {
                take(paragraph);
            }
            let rows = element.table.iter().flat_map(|table| &table.table_rows);
            for cell in rows.flat_map(|row| &row.table_cells) {
                cell.visit(take);
            }
        }
    }
}

impl Paragraph {
    /// A placeholder can be spread over several runs, when a part of it was retyped or restyled.
    fn find<'a>(
        &'a self,
        placeholder: &'a str,
        segment: Option<&'a str>,
        places: &mut Vec<Place<'a>>,
    ) {
        let units: Vec<(u16, u64, &TextRun)> = self
            .elements
            .iter()
            .filter_map(|element| Some((element.start_index, element.text_run.as_ref()?)))
            .flat_map(|(start, run)| {
                run.content
                    .encode_utf16()
                    .zip(start..)
                    .map(move |(unit, index)| (unit, index, run))
            })
            .collect();
        let wanted: Vec<u16> = placeholder.encode_utf16().collect();
        if wanted.is_empty() {
            return;
        }
        places.extend(
            units
                .windows(wanted.len())
                .filter(|window| window.iter().map(|(unit, ..)| unit).eq(&wanted))
                .map(|window| {
                    let (_, start, run) = window[0];
                    Place {
                        placeholder,
                        segment,
                        start,
                        end: start + wanted.len() as u64,
                        text_style: &run.text_style,
                        named_style: &self.paragraph_style.named_style_type,
                        in_list: self.bullet.is_some(),
                    }
                }),
        );
    }
}
