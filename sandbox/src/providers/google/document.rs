//! A document's body as Google Docs counts it: one sequence of UTF-16 code units from index 1, in
//! which a table's structure takes units of its own. Every edit is checked before it counts.

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub(super) const TABLE_START: u16 = 0x10;
pub(super) const TABLE_END: u16 = 0x11;
pub(super) const ROW_START: u16 = 0x12;
pub(super) const CELL_START: u16 = 0x1c;
pub(super) const NEWLINE: u16 = 0x0a;

/// A document's body.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The unit at index `i` stands at `i - 1`; the last one is always a line feed.
    pub(super) units: Vec<Unit>,
}

/// One UTF-16 code unit, or one unit of a table's structure.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) code: u16,
    pub(super) text_style: Arc<Map<String, Value>>,
    /// Of the whole paragraph; only the one at its line feed counts.
    pub(super) paragraph: Paragraph,
}

/// What belongs to a whole paragraph.
#[derive(Debug, Clone, Default)]
pub(super) struct Paragraph {
    pub(super) style: Arc<Map<String, Value>>,
    pub(super) bullet: bool,
}

/// A range of indexes, the end not included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Why an edit is refused, in Google's words where they are known.
pub(super) type Edit<T> = Result<T, String>;

impl Document {
    pub(crate) fn empty() -> Self {
        Self {
            units: vec![Unit::plain(NEWLINE)],
        }
    }

    /// The index before the last line feed: where text is appended.
    pub(super) fn end(&self) -> usize {
        self.units.len()
    }

    pub(super) fn insert_text(&mut self, index: usize, text: &str) -> Edit<()> {
        self.check_insertion(index)?;
        let paragraph = self.paragraph_at(index);
        let style = Arc::default();
        let units = text_units(text, &style, &paragraph);
        self.units.splice(index - 1..index - 1, units);
        Ok(())
    }

    /// Inserts a line feed and an empty table behind it.
    pub(super) fn insert_table(&mut self, index: usize, rows: usize, columns: usize) -> Edit<()> {
        self.check_insertion(index)?;
        if rows == 0 || columns == 0 {
            return Err("The number of rows and columns must be positive.".to_owned());
        }
        let mut codes = vec![NEWLINE, TABLE_START];
        for _ in 0..rows {
            codes.push(ROW_START);
            codes.extend([CELL_START, NEWLINE].repeat(columns));
        }
        codes.push(TABLE_END);
        self.units
            .splice(index - 1..index - 1, codes.into_iter().map(Unit::plain));
        Ok(())
    }

    pub(super) fn delete(&mut self, span: Span) -> Edit<()> {
        self.check_span(span)?;
        if span.end > self.end() {
            let message =
                "The range cannot include the newline character at the end of the segment.";
            return Err(message.to_owned());
        }
        let mut units = self.units.clone();
        units.drain(span.start - 1..span.end - 1);
        if !is_well_formed(&units) {
            return Err("Invalid deletion range. Cannot delete the requested range.".to_owned());
        }
        self.units = units;
        Ok(())
    }

    /// Replaces every occurrence and says how many there were.
    pub(super) fn replace_all(&mut self, find: &str, match_case: bool, with: &str) -> Edit<usize> {
        let wanted: Vec<u16> = find
            .encode_utf16()
            .map(|code| fold(code, match_case))
            .collect();
        if wanted.is_empty() {
            return Err("The text to find must not be empty.".to_owned());
        }
        let (mut units, mut index, mut count) = (Vec::new(), 0, 0);
        while index < self.units.len() {
            let window = self
                .units
                .get(index..index + wanted.len())
                .unwrap_or_default();
            let found = window.len() == wanted.len()
                && window
                    .iter()
                    .zip(&wanted)
                    .all(|(unit, code)| fold(unit.code, match_case) == *code);
            if found {
                let paragraph = self.paragraph_at(index + 1);
                units.extend(text_units(with, &self.units[index].text_style, &paragraph));
                index += wanted.len();
                count += 1;
            } else {
                units.push(self.units[index].clone());
                index += 1;
            }
        }
        if !is_well_formed(&units) {
            return Err("The text to find must not cross a paragraph.".to_owned());
        }
        self.units = units;
        Ok(count)
    }

    pub(super) fn style_text(&mut self, span: Span, style: &Map<String, Value>) -> Edit<()> {
        self.check_span(span)?;
        for unit in &mut self.units[span.start - 1..span.end - 1] {
            merge(&mut unit.text_style, style);
        }
        Ok(())
    }

    pub(super) fn style_paragraphs(&mut self, span: Span, style: &Map<String, Value>) -> Edit<()> {
        self.change_paragraphs(span, |paragraph| merge(&mut paragraph.style, style))
    }

    pub(super) fn bullet_paragraphs(&mut self, span: Span) -> Edit<()> {
        self.change_paragraphs(span, |paragraph| paragraph.bullet = true)
    }

    /// Changes every paragraph that the range touches.
    fn change_paragraphs(&mut self, span: Span, change: impl Fn(&mut Paragraph)) -> Edit<()> {
        self.check_span(span)?;
        let mut index = span.start - 1;
        while index < self.units.len() {
            let unit = &mut self.units[index];
            if unit.code == NEWLINE {
                change(&mut unit.paragraph);
                if index + 1 >= span.end - 1 {
                    break;
                }
            }
            index += 1;
        }
        Ok(())
    }

    fn paragraph_at(&self, index: usize) -> Paragraph {
        let newline = self.units[index - 1..]
            .iter()
            .find(|unit| unit.code == NEWLINE);
        newline
            .map(|unit| unit.paragraph.clone())
            .unwrap_or_default()
    }

    fn check_insertion(&self, index: usize) -> Edit<()> {
        let end = self.units.len() + 1;
        if index == 0 || index >= end {
            return Err(format!(
                "Index {index} must be less than the end index of the referenced segment, {end}."
            ));
        }
        match self.units[index - 1].code {
            TABLE_START | TABLE_END | ROW_START | CELL_START => Err("The insertion index must be \
                inside the bounds of an existing paragraph. You can still create new paragraphs by \
                inserting newlines."
                .to_owned()),
            0xdc00..=0xdfff => Err(format!("Index {index} lies inside a surrogate pair.")),
            _ => Ok(()),
        }
    }

    fn check_span(&self, span: Span) -> Edit<()> {
        let end = self.units.len() + 1;
        if span.start == 0 || span.start >= span.end {
            return Err("The range should not be empty.".to_owned());
        }
        if span.end > end {
            let index = span.end;
            return Err(format!(
                "Index {index} must be less than or equal to the end index of the referenced \
                 segment, {end}."
            ));
        }
        Ok(())
    }
}

impl Unit {
    fn plain(code: u16) -> Self {
        Self {
            code,
            text_style: Arc::default(),
            paragraph: Paragraph::default(),
        }
    }
}

impl Paragraph {
    pub(super) fn named_style(&self) -> Value {
        self.style
            .get("namedStyleType")
            .cloned()
            .unwrap_or_else(|| json!("NORMAL_TEXT"))
    }
}

/// Control characters and private-use code points are left out of inserted text.
fn text_units(text: &str, style: &Arc<Map<String, Value>>, paragraph: &Paragraph) -> Vec<Unit> {
    let is_kept = |code: &u16| !matches!(code, 0..=0x08 | 0x0c..=0x1f | 0xe000..=0xf8ff);
    text.encode_utf16()
        .filter(is_kept)
        .map(|code| Unit {
            code,
            text_style: style.clone(),
            paragraph: paragraph.clone(),
        })
        .collect()
}

fn merge(style: &mut Arc<Map<String, Value>>, changes: &Map<String, Value>) {
    let style = Arc::make_mut(style);
    for (name, value) in changes {
        if value.is_null() {
            style.remove(name);
        } else {
            style.insert(name.clone(), value.clone());
        }
    }
}

fn fold(code: u16, match_case: bool) -> u16 {
    let character = char::from_u32(u32::from(code)).filter(|_| !match_case);
    let lower = character.and_then(|character| character.to_lowercase().next());
    lower
        .and_then(|lower| u16::try_from(u32::from(lower)).ok())
        .unwrap_or(code)
}

/// Tables are whole, every cell and the body end with a line feed, and one stands before a table.
fn is_well_formed(units: &[Unit]) -> bool {
    let mut depth = 0_usize;
    let mut before = NEWLINE;
    for unit in units {
        let fits = match unit.code {
            TABLE_START => {
                depth += 1;
                before == NEWLINE
            }
            ROW_START => depth > 0 && (before == TABLE_START || before == NEWLINE),
            CELL_START => depth > 0 && (before == ROW_START || before == NEWLINE),
            TABLE_END if depth > 0 => {
                depth -= 1;
                before == NEWLINE
            }
            TABLE_END => false,
            _ => before != TABLE_START && before != ROW_START,
        };
        if !fits {
            return false;
        }
        before = unit.code;
    }
    depth == 0 && before == NEWLINE
}
