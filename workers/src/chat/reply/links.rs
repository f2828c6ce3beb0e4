//! The links in a reply, and whether they lead where the business allows.
//!
//! What a telephone or a chat window might turn into a link counts as one: an address with a scheme,
//! in Markdown and HTML too, and bare names such as `example.com/page`. E-mail addresses don't
//! count. In doubt it is a link: a word such as `Node.js` is one too.

use url::{Host, Url};

/// Schemes that run or carry content instead of leading somewhere.
const ACTIVE_SCHEMES: [&str; 5] = ["javascript:", "vbscript:", "data:", "file:", "blob:"];

/// Characters that end an address in running text, Markdown or HTML.
const DELIMITERS: &str = "<>()[]{}\"'`´‘’“”«»|*,;\\。、，；！？（）「」";

/// Characters at the end of a word that belong to the sentence.
const PUNCTUATION: &str = ".:!?…_~-/#";

/// What is wrong with a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has a user name in front of its host, which hides where it leads, or runs something.
    Disguised,
    /// It leads to a host that is not in the list.
    NotAllowed,
}

/// The first fault among the text's links. Without a list, only disguised links are faults.
///
/// A host in the list allows itself and all its subdomains: `example.com` allows
/// `shop.example.com`, but not `badexample.com`.
pub(super) fn fault(text: &str, allowed: Option<&[String]>) -> Option<Fault> {
    let text = without_invisible(text);
    let lower = text.to_lowercase();
    let is_active = ACTIVE_SCHEMES
        .iter()
        .any(|scheme| has_scheme(&lower, scheme));
    // Brackets end an address below; no business gives out links to IPv6 addresses.
    if is_active || lower.contains("://[") {
        return Some(Fault::Disguised);
    }
    words(&text).find_map(|word| match target(word)? {
        Target::Disguised => Some(Fault::Disguised),
        Target::Host(host) => {
            let is_allowed = allowed.is_none_or(|hosts| {
                hosts.iter().any(|allowed| {
                    host.strip_suffix(allowed.as_str())
                        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
                })
            });
            (!is_allowed).then_some(Fault::NotAllowed)
        }
    })
}

/// A host as `REPLY_ALLOWED_LINK_HOSTS` lists it, in the form in which hosts are compared; `None`
/// for what is not the name of a host.
pub(crate) fn listed_host(text: &str) -> Option<String> {
    match Url::parse(&format!("https://{text}/")).ok()?.host()? {
        Host::Domain(name) if !text.contains(['/', '@', ':', '?', '#', '*']) => {
            Some(name.trim_end_matches('.').to_owned())
        }
        _ => None,
    }
}

/// Where a word would lead as a link.
enum Target {
    Host(String),
    Disguised,
}

fn target(word: &str) -> Option<Target> {
    let lower = word.to_lowercase();
    if let Some((scheme, rest)) = lower.split_once("://") {
        // "see:https://example.com" has its scheme at the end of the word before.
        let scheme = scheme.rsplit(':').next().unwrap_or(scheme);
        return parsed(&format!("{scheme}://{rest}"));
    }
    let bare = lower.trim_start_matches(['/', '.', ':', '#', '@']);
    let end = bare.find(['/', '?', '#', '\\']).unwrap_or(bare.len());
    let authority = &bare[..end];
    if authority.contains('@') {
        // An e-mail address is no link; with a path behind it, it is one that hides its host.
        return (end < bare.len()).then_some(Target::Disguised);
    }
    let host = authority.split(':').next().unwrap_or(authority);
    looks_like_host(host)
        .then(|| parsed(&format!("https://{bare}")))
        .flatten()
}

fn parsed(address: &str) -> Option<Target> {
    let Ok(url) = Url::parse(address) else {
        // Somebody else's parser may be cleverer than ours: a link, but to no host in any list.
        return Some(Target::Host(String::new()));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Some(Target::Disguised);
    }
    let host = url.host_str().unwrap_or_default();
    Some(Target::Host(host.trim_end_matches('.').to_owned()))
}

/// Labels with dots between them, of which the last is a word: not `3.50`, not `e.g`.
fn looks_like_host(word: &str) -> bool {
    let labels: Vec<&str> = word.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label
                .chars()
                .all(|character| character.is_alphanumeric() || "-_".contains(character))
    };
    let Some(last) = labels.last() else {
        return false;
    };
    let is_number = |label: &&str| label.parse::<u8>().is_ok();
    labels.len() > 1
        && labels.iter().all(is_label)
        && ((labels.len() == 4 && labels.iter().all(is_number))
            || last.starts_with("xn--")
            || (last.chars().count() > 1 && last.chars().all(char::is_alphabetic)))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character.is_whitespace() || DELIMITERS.contains(character))
        .map(|word| word.trim_end_matches(|character| PUNCTUATION.contains(character)))
        .filter(|word| word.contains('.') || word.contains("://"))
}

/// Whether the scheme stands there as one: at the start of a word, with something behind it.
fn has_scheme(text: &str, scheme: &str) -> bool {
    text.match_indices(scheme).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + scheme.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric)
            && after.is_some_and(|character| !character.is_whitespace())
    })
}

/// Without characters that no reader sees and no address needs, and with the dots that count as
/// dots in addresses (UTS #46) written as such.
fn without_invisible(text: &str) -> String {
    text.chars()
        .filter_map(|character| match character {
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => None,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
            '\u{ff0e}' | '\u{ff61}' => Some('.'),
            '\u{ff0f}' => Some('/'),
            '\u{ff20}' => Some('@'),
            '\u{ff1a}' => Some(':'),
            other => Some(other),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Fault, fault, listed_host};

    fn in_list(text: &str) -> Option<Fault> {
        fault(text, Some(&["good.example".to_owned()]))
    }

    #[test]
    fn a_host_in_the_list_allows_itself_and_its_subdomains() {
        for text in [
            "See https://good.example.",
            "See good.example/prices?a=1#b, or call.",
            "(http://shop.good.example:8443/cart)",
            "[our shop](https://good.example/shop)",
            "HTTPS://GOOD.EXAMPLE./x",
            "<a href=\"https://good.example\">shop</a>",
        ] {
            assert_eq!(in_list(text), None, "{text}");
        }
    }

    #[test]
    fn every_other_host_is_a_fault_however_it_is_written() {
        for text in [
            "https://evil.example/good.example",
            "https://badgood.example",
            "https://good.example.evil.example",
            "evil.example",
            "www.evil.example/x.",
            "Go to evil.example!",
            "[good.example](https://evil.example)",
            "[good.example]: //evil.example/x",
            "![x](https://evil.example/p.png)",
            "<a href='https://evil.example'>good.example</a>",
            "https://g\u{43e}\u{43e}d.example", // Cyrillic letters
            "g\u{43e}\u{43e}d.example",
            "xn--gd-emcc.example",
            "https://xn--gd-emcc.example",
            "evil\u{200b}.example",
            "evil\u{ff0e}example",
            "http://192.0.2.7/x",
            "192.0.2.7",
            "http://[2001:db8::1]/",
            "http://3221225991/",
            "ftp://evil.example",
            "myapp://evil",
            "see:https://evil.example",
            "https:\\\\evil.example",
            "https://evil.example\\@good.example/",
        ] {
            assert!(in_list(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_disguised_link_is_a_fault_without_a_list_too() {
        for text in [
            "https://good.example@evil.example",
            "https://good.example:80@evil.example/x",
            "good.example@evil.example/login",
            "[x](javascript:alert(1))",
            "JavaScript:alert(1)",
            "data:text/html;base64,PHNjcmlwdD4=",
        ] {
            assert_eq!(fault(text, None), Some(Fault::Disguised), "{text}");
        }
        for text in ["https://evil.example", "The data: 5", "metadata:x"] {
            assert_eq!(fault(text, None), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_link_is_no_fault() {
        for text in [
            "It costs 3.50 or 1.200,00 EUR.",
            "Come at 10 a.m. on 3.12.2026, e.g. with Ada.",
            "Thanks...we will call back",
            "Write to ada@evil.example.",
            "你好。谢谢。",
            "and/or 24/7",
        ] {
            assert_eq!(in_list(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_holds_names_of_hosts() {
        assert_eq!(listed_host("Good.Example"), Some("good.example".into()));
        assert_eq!(
            listed_host("bücher.example"),
            Some("xn--bcher-kva.example".into())
        );
        for text in [
            "https://good.example",
            "good.example/x",
            "*.good.example",
            "",
            "10.0.0.1",
        ] {
            assert_eq!(listed_host(text), None, "{text}");
        }
    }
}
