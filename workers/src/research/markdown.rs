//! The model's Markdown, made harmless.
//!
//! The model has read web pages, and what a page wanted to have written may stand in its text. The
//! document is opened by people in Google Docs, in editors, in whatever shows Markdown. So its text
//! holds no HTML, no picture (which tells its server who reads it, and can carry data away) and no
//! link but to a page or a mailbox.

use clients::google::markdown::leads_somewhere;
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

/// The same text, in which HTML and pictures are no more than text and links.
///
/// What is taken away is written as a character reference: whatever stood before it, a backslash
/// too, it can't become markup again.
#[must_use]
pub fn harmless(markdown: &str) -> String {
    let text: String = markdown
        .chars()
        .filter(|character| !character.is_control() || matches!(character, '\n' | '\t'))
        .collect();
    let text = without_html(&text).replace("![", "&#33;[");
    without_bad_links(text)
}

/// Every `<` that could begin an element becomes `&lt;`, but those of line breaks (in tables there
/// is no other way) and of plain addresses.
fn without_html(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        kept.push_str(&rest[..start]);
        let inside = &rest[start + 1..];
        let opens =
            inside.starts_with(|next: char| next.is_ascii_alphabetic() || "/!?".contains(next));
        let is_allowed = inside
            .split_once('>')
            .is_some_and(|(element, _)| is_line_break(element) || is_address(element));
        kept.push_str(if opens && !is_allowed { "&lt;" } else { "<" });
        rest = inside;
    }
    kept.push_str(rest);
    kept
}

fn is_line_break(element: &str) -> bool {
    ["br", "br/", "br /"].contains(&element.to_ascii_lowercase().as_str())
}

fn is_address(element: &str) -> bool {
    let is_plain = element
        .chars()
        .all(|character| character.is_ascii_graphic() && !"<>\"'`".contains(character));
    is_plain && element.contains("://") && leads_somewhere(element)
}

/// Links that lead nowhere good lose their bracket. Taking one away can make another one of what
/// stood around it; each round leaves fewer brackets, so this ends.
fn without_bad_links(mut text: String) -> String {
    loop {
        let bad: Vec<usize> = Parser::new_ext(&text, Options::ENABLE_TABLES)
            .into_offset_iter()
            .filter_map(|(event, range)| match event {
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }) if !is_fine(link_type, &dest_url) => Some(range.start),
                _ => None,
            })
            .collect();
        if bad.is_empty() {
            return text;
        }
        for start in bad.into_iter().rev() {
            let reference = if text[start..].starts_with('<') {
                "&lt;"
            } else {
                "&#91;"
            };
            text.replace_range(start..=start, reference);
        }
    }
}

fn is_fine(link_type: LinkType, address: &str) -> bool {
    // `<ada@mail.example>` is given without its scheme.
    link_type == LinkType::Email || leads_somewhere(address)
}

#[cfg(test)]
mod tests {
    use clients::google::markdown::leads_somewhere;
    use pulldown_cmark::{Event, LinkType, Options, Parser, Tag};

    use super::harmless;

    /// What a program that shows the Markdown would do with it.
    fn assert_is_harmless(markdown: &str) {
        for event in Parser::new_ext(markdown, Options::all()) {
            match event {
                Event::Html(html) | Event::InlineHtml(html) => {
                    assert!(
                        html.to_lowercase().starts_with("<br"),
                        "{html} in {markdown}"
                    );
                }
                Event::Start(Tag::Image { .. }) => panic!("a picture in {markdown}"),
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    ..
                }) => assert!(
                    matches!(link_type, LinkType::Email | LinkType::WikiLink { .. })
                        || leads_somewhere(&dest_url),
                    "{dest_url} in {markdown}"
                ),
                _ => {}
            }
        }
    }

    #[test]
    fn honest_markdown_stays_as_it_is() {
        let text = "**Bold** and [a page](https://a.example/x?y=1).\n\n- 5 < 6, a <-> b\n\
             - <https://a.example>, [mail](mailto:ada@a.example)\n\n\
             | a | b |\n| --- | --- |\n| one<br>two | `x[0]` |\n\nWhat a day!\n";
        assert_eq!(harmless(text), text);
    }

    #[test]
    fn html_is_shown_as_text() {
        assert_eq!(
            harmless("<script>alert(1)</script>"),
            "&lt;script>alert(1)&lt;/script>"
        );
        for hostile in [
            "<img src=x onerror=alert(1)>",
            "a <iframe src=\"https://evil.example\"></iframe>",
            "<br onload=alert(1)>",
            "<!-- a --><svg/onload=alert(1)>",
            "<?php x ?>",
            "\\<script>x</script>",
            "<https://a.example onload=x>",
            "<https://a.example\"onmouseover=\"x>",
            "<div>\n![x](https://evil.example/p.png)\n</div>",
            "`<script>`",
            "<<script>script>alert(1)<</script>/script>",
        ] {
            assert_is_harmless(&harmless(hostile));
            assert!(!harmless(hostile).contains("<s"), "{hostile}");
        }
    }

    #[test]
    fn pictures_become_links() {
        assert_eq!(
            harmless("![chart](https://evil.example/p.png?secret=1)"),
            "&#33;[chart](https://evil.example/p.png?secret=1)"
        );
        for hostile in [
            "!![x](https://evil.example)",
            "\\![x](https://evil.example)",
            "\\\\![x](https://evil.example)",
            "[![x](https://evil.example/p.png)](https://evil.example)",
            "![x][y]\n\n[y]: https://evil.example/p.png",
            "!\0[x](https://evil.example)",
        ] {
            assert_is_harmless(&harmless(hostile));
        }
    }

    #[test]
    fn links_that_run_something_become_text() {
        assert_eq!(
            harmless("[click](javascript:alert(1))"),
            "&#91;click](javascript:alert(1))"
        );
        for hostile in [
            "[x](JavaScript:alert(1))",
            "[x](javascript&#58;alert(1))",
            "[x](java&#115;cript:alert(1))",
            "[x](<javascript:alert(1)>)",
            "[x](data:text/html;base64,AAAA)",
            "[x](vbscript:x)",
            "[x](file:///etc/passwd)",
            "[x](../../etc/passwd)",
            "[x][y]\n\n[y]: javascript:alert(1)",
            "[x]\n\n[x]: javascript:alert(1)",
            "[a [b](javascript:1)](javascript:2)",
            "<javascript:alert(1)>",
            "[x](\\javascript:alert(1))",
        ] {
            assert_is_harmless(&harmless(hostile));
        }
    }
}
