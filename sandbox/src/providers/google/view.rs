//! A document as the Docs API shows it, and as text for people and tests.

use serde_json::{Value, json};

use super::document::{CELL_START, Document, NEWLINE, ROW_START, TABLE_END, TABLE_START, Unit};

impl Document {
    /// `body` of `documents.get`.
    pub(crate) fn body(&self) -> Value {
        let mut content = vec![json!({"endIndex": 1, "sectionBreak": {"sectionStyle": {}}})];
        content.extend(
            Reader {
                units: &self.units,
                position: 0,
            }
            .elements(),
        );
        json!({"content": content})
    }

    /// The text: cells separated by tabs, links as `[text](address)`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut position = 0;
        while position < self.units.len() {
            let link = link_of(&self.units[position]);
            let end = position + run_length(&self.units[position..], |unit| link_of(unit) == link);
            let run = plain_text(&self.units, position, end);
            match link {
                Some(address) => text.push_str(&format!("[{run}]({address})")),
                None => text.push_str(&run),
            }
            position = end;
        }
        text
    }
}

/// Walks over the units and builds structural elements.
struct Reader<'a> {
    units: &'a [Unit],
    position: usize,
}

impl Reader<'_> {
    /// Paragraphs and tables up to the end of the body or of a cell.
    fn elements(&mut self) -> Vec<Value> {
        let mut elements = Vec::new();
        while let Some(unit) = self.units.get(self.position) {
            match unit.code {
                ROW_START | CELL_START | TABLE_END => break,
                TABLE_START => elements.push(self.table()),
                _ => elements.push(self.paragraph()),
            }
        }
        elements
    }

    fn table(&mut self) -> Value {
        let start = self.index();
        self.position += 1;
        let mut rows = Vec::new();
        while self.code() == Some(ROW_START) {
            let row_start = self.index();
            self.position += 1;
            let mut cells = Vec::new();
            while self.code() == Some(CELL_START) {
                let cell_start = self.index();
                self.position += 1;
                let content = self.elements();
                cells.push(json!({"startIndex": cell_start, "endIndex": self.index(),
                                  "content": content}));
            }
            rows.push(json!({"startIndex": row_start, "endIndex": self.index(),
                             "tableCells": cells}));
        }
        self.position += 1;
        let columns = rows[0]["tableCells"].as_array().map_or(0, Vec::len);
        json!({"startIndex": start, "endIndex": self.index(), "table":
               {"rows": rows.len(), "columns": columns, "tableRows": rows}})
    }

    fn paragraph(&mut self) -> Value {
        let start = self.index();
        let length = run_length(&self.units[self.position..], |unit| unit.code != NEWLINE) + 1;
        let end = self.position + length;
        let newline = &self.units[end - 1];
        let mut elements = Vec::new();
        while self.position < end {
            let from = self.index();
            let style = self.units[self.position].text_style.clone();
            let run = run_length(&self.units[self.position..end], |unit| {
                unit.text_style == style
            });
            let content = plain_text(self.units, self.position, self.position + run);
            self.position += run;
            elements.push(json!({"startIndex": from, "endIndex": self.index(),
                                 "textRun": {"content": content, "textStyle": *style}}));
        }
        let mut style = (*newline.paragraph.style).clone();
        style.insert("namedStyleType".to_owned(), newline.paragraph.named_style());
        let mut paragraph = json!({"elements": elements, "paragraphStyle": style});
        if newline.paragraph.bullet {
            paragraph["bullet"] = json!({"listId": "kix.sandbox"});
        }
        json!({"startIndex": start, "endIndex": self.index(), "paragraph": paragraph})
    }

    fn index(&self) -> usize {
        self.position + 1
    }

    fn code(&self) -> Option<u16> {
        self.units.get(self.position).map(|unit| unit.code)
    }
}

fn run_length(units: &[Unit], belongs: impl Fn(&Unit) -> bool) -> usize {
    units.iter().take_while(|unit| belongs(unit)).count()
}

fn link_of(unit: &Unit) -> Option<&str> {
    unit.text_style.get("link")?["url"].as_str()
}

/// The text of some units; a cell that is not its row's last ends with a tab.
fn plain_text(units: &[Unit], start: usize, end: usize) -> String {
    let codes = (start..end).filter_map(|position| {
        let next = units.get(position + 1).map(|unit| unit.code);
        match units[position].code {
            TABLE_START | TABLE_END | ROW_START | CELL_START => None,
            NEWLINE if next == Some(CELL_START) => Some(u16::from(b'\t')),
            code => Some(code),
        }
    });
    String::from_utf16_lossy(&codes.collect::<Vec<_>>())
}
