//! The `batchUpdate` requests that put blocks in the place of a placeholder.
//!
//! All indexes count UTF-16 units. Within one place, too, the work goes backwards: the last piece
//! is inserted first, each at the same index, so its own indexes are known without knowing the
//! length of what follows.

use serde_json::{Map, Value, json};

use super::{
    super::markdown::{Block, Run},
    Section,
    document::Place,
};

/// The requests for all places, which come last first.
pub(super) fn replace_all(places: &[Place<'_>], sections: &[Section]) -> Vec<Value> {
    let mut editor = Editor::default();
    for place in places {
        let section = sections
            .iter()
            .find(|section| section.placeholder == place.placeholder);
        let content = section
            .map(|section| section.content.as_slice())
            .unwrap_or_default();
        editor.replace(place, content);
    }
    editor.requests
}

#[derive(Default)]
struct Editor {
    requests: Vec<Value>,
}

/// Consecutive lines of text, or one table.
enum Piece<'a> {
    Lines(Vec<Line<'a>>),
    Table(&'a [Vec<Vec<Run>>]),
}

/// A text block as it is inserted.
struct Line<'a> {
    kind: LineKind,
    runs: &'a [Run],
    /// With the leading tabs that tell Docs the depth of a list item.
    text: String,
}

#[derive(Clone, Copy)]
enum LineKind {
    Paragraph,
    Heading(u8),
    ListItem { ordered: bool, depth: usize },
}

impl Editor {
    fn replace(&mut self, place: &Place<'_>, content: &[Block]) {
        if let [Block::Paragraph(runs)] = content {
            // Inserted right behind the placeholder, the text takes over its style.
            self.insert_text(place, place.end, &text_of(runs));
            self.style_runs(place, place.end, runs);
            self.delete(place);
            return;
        }
        self.delete(place);
        let mut list_below = false;
        for piece in pieces(content).iter().rev() {
            match piece {
                Piece::Lines(lines) => {
                    self.insert_lines(place, lines, list_below);
                    list_below = list_below || lines.iter().any(Line::is_list_item);
                }
                Piece::Table(rows) => self.insert_table(place, rows),
            }
        }
    }

    /// Inserts the lines as paragraphs. The last one takes the paragraph that is there, be it the
    /// placeholder's own or the empty one that Docs puts before a table. Either can carry the style
    /// of what was inserted before, so every style is stated.
    fn insert_lines(&mut self, place: &Place<'_>, lines: &[Line<'_>], list_below: bool) {
        let start = place.start;
        let text = lines
            .iter()
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n");
        let end = start + utf16(&text);
        self.insert_text(place, start, &text);
        let whole = range(place, start, end);
        if list_below && !place.in_list {
            self.requests
                .push(json!({"deleteParagraphBullets": {"range": whole}}));
        }
        self.named_style(place, start, end, place.named_style);
        self.text_style(place, start, end, place.text_style, &BASE_FIELDS);

        let mut lists: Vec<(bool, u64, u64)> = Vec::new();
        let mut at = start;
        for line in lines {
            let line_end = at + utf16(&line.text);
            let mut text_start = at;
            match line.kind {
                LineKind::Paragraph => {}
                LineKind::Heading(level) => self.heading_style(place, at, line_end, level),
                LineKind::ListItem { ordered, depth } => {
                    text_start += depth as u64;
                    match lists.last_mut() {
                        // A nested item belongs to the list around it, whatever its kind.
                        Some((kind, _, end))
                            if *end + 1 == at && (*kind == ordered || depth > 0) =>
                        {
                            *end = line_end;
                        }
                        _ => lists.push((ordered, at, line_end)),
                    }
                }
            }
            self.style_runs(place, text_start, line.runs);
            at = line_end + 1;
        }
        // Making bullets removes the tabs that give the depth, which moves all that follows.
        for (ordered, from, to) in lists.into_iter().rev() {
            let preset = if ordered {
                "NUMBERED_DECIMAL_ALPHA_ROMAN"
            } else {
                "BULLET_DISC_CIRCLE_SQUARE"
            };
            self.requests.push(json!({"createParagraphBullets": {
                "range": range(place, from, to), "bulletPreset": preset,
            }}));
        }
    }

    /// Inserts a table, which Docs puts behind a new line feed, and fills its cells from the last
    /// to the first. Empty, a table takes one index, each row one, each cell two.
    fn insert_table(&mut self, place: &Place<'_>, rows: &[Vec<Vec<Run>>]) {
        let columns = rows.first().map_or(0, Vec::len);
        if columns == 0 {
            return;
        }
        self.requests.push(json!({"insertTable": {
            "rows": rows.len(), "columns": columns, "location": location(place, place.start),
        }}));
        let table = place.start + 1;
        let bold = Map::from_iter([("bold".to_owned(), json!(true))]);
        for (row, cells) in rows.iter().enumerate().rev() {
            for (column, runs) in cells.iter().enumerate().rev() {
                let text = text_of(runs);
                if column >= columns || text.is_empty() {
                    continue;
                }
                let at = table + 3 + (row * (2 * columns + 1) + column * 2) as u64;
                self.insert_text(place, at, &text);
                if row == 0 {
                    let end = at + utf16(&text);
                    self.text_style(place, at, end, &bold, &[]);
                }
                self.style_runs(place, at, runs);
            }
        }
    }

    fn style_runs(&mut self, place: &Place<'_>, start: u64, runs: &[Run]) {
        let mut at = start;
        for run in runs {
            let end = at + utf16(&run.text);
            let mut style = Map::new();
            if run.bold {
                style.insert("bold".to_owned(), json!(true));
            }
            if run.italic {
                style.insert("italic".to_owned(), json!(true));
            }
            if let Some(url) = &run.link {
                style.insert("link".to_owned(), json!({ "url": url }));
            }
            self.text_style(place, at, end, &style, &[]);
            at = end;
        }
    }

    /// Sets the fields of `style`, and `reset` to their defaults where `style` does not name them.
    fn text_style(
        &mut self,
        place: &Place<'_>,
        start: u64,
        end: u64,
        style: &Map<String, Value>,
        reset: &[&str],
    ) {
        let mut fields: Vec<&str> = style.keys().map(String::as_str).collect();
        fields.extend(reset.iter().filter(|field| !style.contains_key(**field)));
        if start == end || fields.is_empty() {
            return;
        }
        let fields = fields.join(",");
        self.requests.push(json!({"updateTextStyle": {
            "range": range(place, start, end), "textStyle": style, "fields": fields,
        }}));
    }

    /// A heading looks as its named style says, not as the placeholder did.
    fn heading_style(&mut self, place: &Place<'_>, start: u64, end: u64, level: u8) {
        self.named_style(place, start, end, &format!("HEADING_{level}"));
        self.requests.push(json!({"updateTextStyle": {
            "range": range(place, start, end), "textStyle": {}, "fields": "*",
        }}));
    }

    fn named_style(&mut self, place: &Place<'_>, start: u64, end: u64, name: &str) {
        self.requests.push(json!({"updateParagraphStyle": {
            "range": range(place, start, end),
            "paragraphStyle": {"namedStyleType": name},
            "fields": "namedStyleType",
        }}));
    }

    fn insert_text(&mut self, place: &Place<'_>, at: u64, text: &str) {
        self.requests
            .push(json!({"insertText": {"location": location(place, at), "text": text}}));
    }

    fn delete(&mut self, place: &Place<'_>) {
        let range = range(place, place.start, place.end);
        self.requests
            .push(json!({"deleteContentRange": {"range": range}}));
    }
}

/// What a run can set, and so what must not leak from a neighbour.
const BASE_FIELDS: [&str; 3] = ["bold", "italic", "link"];

fn pieces(content: &[Block]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for block in content {
        let line = match block {
            Block::Table(rows) => {
                pieces.push(Piece::Table(rows));
                continue;
            }
            Block::Paragraph(runs) => Line::new(LineKind::Paragraph, runs),
            Block::Heading { level, runs } => Line::new(LineKind::Heading(*level), runs),
            Block::ListItem {
                ordered,
                depth,
                runs,
            } => Line::new(
                LineKind::ListItem {
                    ordered: *ordered,
                    depth: *depth,
                },
                runs,
            ),
        };
        match pieces.last_mut() {
            Some(Piece::Lines(lines)) => lines.push(line),
            _ => pieces.push(Piece::Lines(vec![line])),
        }
    }
    pieces
}

impl<'a> Line<'a> {
    fn new(kind: LineKind, runs: &'a [Run]) -> Self {
        let depth = match kind {
            LineKind::ListItem { depth, .. } => depth,
            LineKind::Paragraph | LineKind::Heading(_) => 0,
        };
        Self {
            kind,
            runs,
            text: "\t".repeat(depth) + &text_of(runs),
        }
    }

    fn is_list_item(&self) -> bool {
        matches!(self.kind, LineKind::ListItem { .. })
    }
}

fn text_of(runs: &[Run]) -> String {
    runs.iter().map(|run| run.text.as_str()).collect()
}

fn utf16(text: &str) -> u64 {
    text.encode_utf16().count() as u64
}

fn location(place: &Place<'_>, index: u64) -> Value {
    in_segment(place, json!({ "index": index }))
}

fn range(place: &Place<'_>, start: u64, end: u64) -> Value {
    in_segment(place, json!({"startIndex": start, "endIndex": end}))
}

fn in_segment(place: &Place<'_>, mut position: Value) -> Value {
    if let Some(segment) = place.segment {
        position["segmentId"] = json!(segment);
    }
    position
}
