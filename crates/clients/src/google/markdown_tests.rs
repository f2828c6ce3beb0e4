//! What Markdown becomes.

use super::*;

fn plain(text: &str) -> Vec<Run> {
    vec![Run {
        text: text.into(),
        ..Run::default()
    }]
}

fn item(ordered: bool, depth: usize, text: &str) -> Block {
    Block::ListItem {
        ordered,
        depth,
        runs: plain(text),
    }
}

#[test]
fn paragraphs_keep_bold_italic_and_links() {
    let blocks = parse("Acme **grew**\nby *half* ([source](https://a.example/x)).\n\nNext.");
    let run = |text: &str| Run {
        text: text.into(),
        ..Run::default()
    };
    assert_eq!(
        blocks,
        [
            Block::Paragraph(vec![
                run("Acme "),
                Run {
                    bold: true,
                    ..run("grew")
                },
                run(" by "),
                Run {
                    italic: true,
                    ..run("half")
                },
                run(" ("),
                Run {
                    link: Some("https://a.example/x".into()),
                    ..run("source")
                },
                run(")."),
            ]),
            Block::Paragraph(plain("Next.")),
        ]
    );
}

#[test]
fn headings_have_their_level() {
    assert_eq!(
        parse("# One\n### Three\ntext"),
        [
            Block::Heading {
                level: 1,
                runs: plain("One")
            },
            Block::Heading {
                level: 3,
                runs: plain("Three")
            },
            Block::Paragraph(plain("text")),
        ]
    );
}

#[test]
fn lists_nest_and_go_on() {
    assert_eq!(
        parse("- a\n  1. b\n  2. c\n- d\n\n  more of d\n"),
        [
            item(false, 0, "a"),
            item(true, 1, "b"),
            item(true, 1, "c"),
            item(false, 0, "d"),
            Block::Paragraph(plain("more of d")),
        ]
    );
}

#[test]
fn tables_keep_rows_cells_and_line_breaks() {
    assert_eq!(
        parse("| A | B |\n|---|---|\n| 1<br/>2 | |\n"),
        [Block::Table(vec![
            vec![plain("A"), plain("B")],
            vec![plain("1\u{b}2"), vec![]],
        ])]
    );
}

#[test]
fn code_keeps_its_lines_in_one_paragraph() {
    assert_eq!(
        parse("```\na\n\tb\n```"),
        [Block::Paragraph(plain("a\u{b} b"))]
    );
}

#[test]
fn what_docs_would_drop_or_misread_is_gone_before_counting() {
    assert_eq!(
        parse("a\u{2}b\u{e123}c {{SUMMARY}}"),
        [Block::Paragraph(plain("abc { {SUMMARY}}"))]
    );
}

#[test]
fn no_placeholder_is_made_of_the_text_however_it_is_put_together() {
    for markdown in [
        "{{SUMMARY}}",
        "{{{SUMMARY}}}",
        "{{{{SUMMARY}}}}",
        "\\{\\{SUMMARY}}",
        "{**{SUMMARY}}**",
        "*{*{SUMMARY}}",
        "{`{SUMMARY}}`",
        "{\u{e000}{SUMMARY}}",
        "{\0{SUMMARY}}",
        "{&#123;SUMMARY}}",
        "[{](https://a.example){SUMMARY}}",
        "{<b>{SUMMARY}}",
    ] {
        let text: String = parse(markdown)
            .iter()
            .map(|block| match block {
                Block::Paragraph(runs) => runs.iter().map(|run| run.text.as_str()).collect(),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<String>>()
            .join("\n");
        assert!(!text.contains("{{"), "{markdown} became {text}");
    }
}

#[test]
fn only_pages_and_mailboxes_are_led_to() {
    for address in [
        "https://a.example/x",
        "HTTP://a.example",
        "mailto:ada@a.example",
    ] {
        assert!(leads_somewhere(address), "{address}");
    }
    for address in [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//a.example",
        "/etc/passwd",
        "",
    ] {
        assert!(!leads_somewhere(address), "{address}");
    }
}

#[test]
fn a_link_that_docs_would_refuse_becomes_text() {
    assert_eq!(parse("[x](turn0search1)"), [Block::Paragraph(plain("x"))]);
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(parse(" \n\n---\n"), []);
}
