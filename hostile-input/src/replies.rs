//! Replies that a model wrote.

use workers::readers;

/// A channel in the first line (as webhooks name it), then the reply.
pub(crate) fn reply(data: &[u8]) {
    let (channel, text) = crate::first_line(data);
    let channel = String::from_utf8_lossy(channel);
    let text = String::from_utf8_lossy(text);
    let allowed = ["good.example".to_owned()];
    for allowed in [None, Some(allowed.as_slice())] {
        let Some(Ok(sent)) = readers::check_reply(&channel, &text, allowed) else {
            continue;
        };
        assert!(!sent.trim().is_empty());
        assert!(
            sent.chars()
                .all(|character| character == '\n' || !character.is_control())
        );
        assert!(sent.encode_utf16().count() <= 10_000);
        let again = readers::check_reply(&channel, &sent, allowed);
        assert_eq!(
            again,
            Some(Ok(sent)),
            "a checked reply passes again as it is"
        );
    }
}
