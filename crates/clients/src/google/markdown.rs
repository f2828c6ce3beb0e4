//! Markdown as the blocks that a Google document knows: paragraphs, headings, list items, tables.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use reqwest::Url;

/// A paragraph or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Ordinary text.
    Paragraph(Vec<Run>),
    /// A heading.
    Heading {
        /// 1 to 6.
        level: u8,
        /// Its text.
        runs: Vec<Run>,
    },
    /// A line of a list.
    ListItem {
        /// Numbered rather than bulleted.
        ordered: bool,
        /// 0 for the outermost list.
        depth: usize,
        /// Its text.
        runs: Vec<Run>,
    },
    /// A table, the header row first; all rows have the same number of cells.
    Table(Vec<Vec<Vec<Run>>>),
}

/// Text of one appearance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// Without line feeds; U+000B breaks a line within the paragraph.
    pub text: String,
    /// Bold.
    pub bold: bool,
    /// Italic.
    pub italic: bool,
    /// Where it leads: `http`, `https` or `mailto`.
    pub link: Option<String>,
}

/// Reads Markdown (CommonMark with tables). Pictures become links on their description, HTML stays
/// text except for `<br>`.
pub fn parse(markdown: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        reader.take(event);
    }
    reader.finish_paragraph();
    reader.blocks
}

#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    runs: Vec<Run>,
    bold: u32,
    italic: u32,
    links: Vec<Option<String>>,
    heading: Option<u8>,
    /// The open lists, outermost first: whether each is numbered.
    lists: Vec<bool>,
    in_item: bool,
    rows: Vec<Vec<Vec<Run>>>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) | Event::Html(text) => self.text(&text),
            Event::InlineHtml(html) if is_line_break(&html) => self.text("\u{b}"),
            Event::InlineHtml(html) => self.text(&html),
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.text("\u{b}"),
            Event::Rule => self.finish_paragraph(),
            // Not switched on in the parser's options.
            Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.finish_paragraph();
                self.heading = Some(number(level));
            }
            Tag::List(first) => {
                self.finish_paragraph();
                self.lists.push(first.is_some());
            }
            Tag::Item => {
                self.finish_paragraph();
                self.in_item = true;
            }
            Tag::Emphasis => self.italic += 1,
            Tag::Strong => self.bold += 1,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.links.push(usable(&dest_url));
            }
            Tag::Table(_) => self.finish_paragraph(),
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            Tag::Paragraph | Tag::BlockQuote(_) | Tag::CodeBlock(_) | Tag::HtmlBlock => {
                self.finish_paragraph();
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis => self.italic -= 1,
            TagEnd::Strong => self.bold -= 1,
            TagEnd::Link | TagEnd::Image => {
                self.links.pop();
            }
            TagEnd::List(_) => {
                self.finish_paragraph();
                self.lists.pop();
            }
            TagEnd::Item => {
                self.finish_paragraph();
                self.in_item = false;
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.runs);
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => self
                .blocks
                .push(Block::Table(std::mem::take(&mut self.rows))),
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::CodeBlock
            | TagEnd::HtmlBlock
            | TagEnd::BlockQuote(_) => self.finish_paragraph(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        // Two runs stand side by side in the document, whatever they look like.
        let after_brace = self.runs.last().is_some_and(|run| run.text.ends_with('{'));
        let run = Run {
            text: clean(text, after_brace),
            bold: self.bold > 0,
            italic: self.italic > 0,
            link: self.links.last().cloned().flatten(),
        };
        match self.runs.last_mut() {
            Some(last) if last.looks_like(&run) => last.text.push_str(&run.text),
            _ if run.text.is_empty() => {}
            _ => self.runs.push(run),
        }
    }

    fn finish_paragraph(&mut self) {
        let heading = self.heading.take();
        let mut runs = std::mem::take(&mut self.runs);
        // A block of code or HTML ends with a line feed of its own.
        if let Some(last) = runs.last_mut() {
            last.text.truncate(last.text.trim_end().len());
        }
        runs.retain(|run| !run.text.is_empty());
        if runs.is_empty() {
            return;
        }
        self.blocks.push(match (heading, self.lists.last()) {
            (Some(level), _) => Block::Heading { level, runs },
            (None, Some(&ordered)) if self.in_item => {
                // A second paragraph of the same item has no bullet.
                self.in_item = false;
                Block::ListItem {
                    ordered,
                    depth: self.lists.len() - 1,
                    runs,
                }
            }
            (None, _) => Block::Paragraph(runs),
        });
    }
}

impl Run {
    fn looks_like(&self, other: &Self) -> bool {
        (self.bold, self.italic, &self.link) == (other.bold, other.italic, &other.link)
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

fn is_line_break(html: &str) -> bool {
    let tag: String = html
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    tag.eq_ignore_ascii_case("<br>") || tag.eq_ignore_ascii_case("<br/>")
}

/// An address that Docs takes; one that it refuses would fail the whole document.
fn usable(address: &str) -> Option<String> {
    leads_somewhere(address).then(|| address.to_owned())
}

/// Whether a link in a document may have this address: a page or a mailbox, nothing that runs
/// (`javascript:`), carries content (`data:`) or lies on the reader's machine.
#[must_use]
pub fn leads_somewhere(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "mailto"))
}

/// Docs drops control characters and private-use code points when it inserts text, which would
/// shift every index that was counted with them. Line feeds would end the paragraph, tabs set the
/// depth of a list, and `{{` would look like a placeholder when the document is filled again.
fn clean(text: &str, mut after_brace: bool) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        let character = match character {
            '\n' | '\u{b}' => '\u{b}',
            '\t' => ' ',
            '\0'..='\u{1f}' | '\u{e000}'..='\u{f8ff}' => continue,
            other => other,
        };
        if after_brace && character == '{' {
            cleaned.push(' ');
        }
        after_brace = character == '{';
        cleaned.push(character);
    }
    cleaned
}

#[cfg(test)]
#[path = "markdown_tests.rs"]
mod tests;
