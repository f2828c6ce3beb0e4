//! Markdown on its way into a document.

use clients::google::markdown::{Block, Run, leads_somewhere, parse};
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};
use workers::readers;

/// The Markdown of one section.
pub(crate) fn markdown(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let harmless = readers::harmless(&text);
    assert_eq!(
        readers::harmless(&harmless),
        harmless,
        "harmless stays harmless"
    );
    for event in Parser::new_ext(&harmless, Options::ENABLE_TABLES) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => {
                assert!(html.to_ascii_lowercase().starts_with("<br"), "{html}");
            }
            Event::Start(Tag::Image { dest_url, .. }) => panic!("a picture: {dest_url}"),
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                ..
            }) => assert!(
                link_type == LinkType::Email || leads_somewhere(&dest_url),
                "{dest_url}"
            ),
            _ => {}
        }
    }
    for markdown in [&*text, &harmless] {
        for block in parse(markdown) {
            match &block {
                Block::Paragraph(runs)
                | Block::Heading { runs, .. }
                | Block::ListItem { runs, .. } => in_a_document(runs),
                Block::Table(rows) => {
                    let columns = rows.first().map_or(0, Vec::len);
                    assert!(rows.iter().all(|row| row.len() == columns), "{rows:?}");
                    rows.iter().flatten().for_each(|cell| in_a_document(cell));
                }
            }
        }
    }
}

fn in_a_document(runs: &[Run]) {
    let text: String = runs.iter().map(|run| run.text.as_str()).collect();
    assert!(!text.contains("{{"), "a placeholder: {text:?}");
    let is_kept = |character: char| character == '\u{b}' || character >= ' ';
    assert!(text.chars().all(is_kept), "{text:?}");
    for link in runs.iter().filter_map(|run| run.link.as_ref()) {
        assert!(leads_somewhere(link), "{link}");
    }
}
