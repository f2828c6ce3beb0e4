//! Upload conversion (contracts/google.md section 3.2): Markdown with headings, lists, links and
//! tables becomes a document; other text stays as it is.

use serde_json::{Map, Value, json};

use super::document::{Document, Span};

/// The document that a source text of this type becomes.
pub(crate) fn to_document(source_type: &str, source: &str) -> Option<Document> {
    let mut document = Document::empty();
    match source_type.split(';').next().unwrap_or_default().trim() {
        "text/markdown" => {
            let mut lines = source.lines().peekable();
            while let Some(line) = lines.next() {
                if !is_table_line(line) {
                    append_line(&mut document, line)?;
                    continue;
                }
                let mut rows = vec![cells(line)];
                while let Some(next) = lines.next_if(|next| is_table_line(next)) {
                    rows.push(cells(next));
                }
                append_table(&mut document, &rows)?;
            }
        }
        "text/plain" => append(&mut document, source)?,
        "text/html" => append(&mut document, &without_tags(source))?,
        _ => return None,
    }
    Some(document)
}

fn append(document: &mut Document, text: &str) -> Option<()> {
    insert(document, document.end(), text)
}

fn insert(document: &mut Document, index: usize, text: &str) -> Option<()> {
    if text.is_empty() {
        Some(())
    } else {
        document.insert_text(index, text).ok()
    }
}

fn append_line(document: &mut Document, line: &str) -> Option<()> {
    let level = line
        .chars()
        .take_while(|character| *character == '#')
        .count();
    let is_heading = (1..=6).contains(&level) && line[level..].starts_with(' ');
    let bullet = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    let text = if is_heading {
        line[level..].trim()
    } else {
        bullet.unwrap_or(line)
    };
    let start = document.end();
    insert_linked(document, document.end(), text)?;
    append(document, "\n")?;
    let line = Span {
        start,
        end: document.end(),
    };
    if is_heading {
        let style = Map::from_iter([heading_style(level)]);
        document.style_paragraphs(line, &style).ok()?;
    }
    if bullet.is_some() {
        document.bullet_paragraphs(line).ok()?;
    }
    Some(())
}

fn heading_style(level: usize) -> (String, Value) {
    (
        "namedStyleType".to_owned(),
        json!(format!("HEADING_{level}")),
    )
}

/// Inserts text in which `[text](address)` becomes a link.
fn insert_linked(document: &mut Document, mut index: usize, mut text: &str) -> Option<()> {
    while let Some((before, label, address, after)) = next_link(text) {
        insert(document, index, before)?;
        let start = index + before.encode_utf16().count();
        insert(document, start, label)?;
        index = start + label.encode_utf16().count();
        let style = Map::from_iter([("link".to_owned(), json!({"url": address}))]);
        document
            .style_text(Span { start, end: index }, &style)
            .ok()?;
        text = after;
    }
    insert(document, index, text)
}

fn next_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let middle = text.find("](")?;
    let open = text[..middle].rfind('[')?;
    let close = middle + text[middle..].find(')')?;
    let label = &text[open + 1..middle];
    let link = (
        &text[..open],
        label,
        &text[middle + 2..close],
        &text[close + 1..],
    );
    (!label.is_empty() && close > middle + 2).then_some(link)
}

fn append_table(document: &mut Document, rows: &[Vec<&str>]) -> Option<()> {
    let is_rule = |row: &Vec<&str>| {
        row.iter()
            .all(|cell| cell.chars().all(|c| "-: ".contains(c)))
    };
    let rows: Vec<_> = rows.iter().filter(|row| !is_rule(row)).collect();
    let columns = rows.iter().map(|row| row.len()).max()?;
    let start = document.end();
    document.insert_table(start, rows.len(), columns).ok()?;
    // From the last cell to the first, so that the indexes of those to come stay right. Behind the
    // line feed and the three starts (table, row, cell) comes the first cell's content.
    for (row_number, row) in rows.iter().enumerate().rev() {
        for (column, cell) in row.iter().enumerate().rev() {
            let index = start + 4 + row_number * (2 * columns + 1) + 2 * column;
            insert_linked(document, index, cell)?;
        }
    }
    Some(())
}

fn is_table_line(line: &str) -> bool {
    line.trim_start().starts_with('|')
}

fn cells(line: &str) -> Vec<&str> {
    line.trim()
        .trim_matches('|')
        .split('|')
        .map(str::trim)
        .collect()
}

fn without_tags(html: &str) -> String {
    let mut inside = false;
    html.chars()
        .filter(|character| {
            inside = (inside || *character == '<') && *character != '>';
            !inside && *character != '>'
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_keeps_links_and_tables() {
        let source = "# Title\nSee [the page](https://a.example/b).\n\n| A | B |\n| --- | --- |\n| 1 | [2](https://c.example) x |\n\nEnd";
        let text = to_document("text/markdown; charset=UTF-8", source)
            .unwrap()
            .text();
        assert!(
            text.starts_with("Title\nSee [the page](https://a.example/b).\n"),
            "{text}"
        );
        assert!(
            text.contains("A\tB\n1\t[2](https://c.example) x\n"),
            "{text}"
        );
    }
}
