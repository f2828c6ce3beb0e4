//! The headers of a message, which a person can write in the management UI.

use broker::readers;

use crate::now;

/// Lines of `name: value`.
pub(crate) fn broker_headers(data: &[u8]) {
    let headers = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..colon]).ok()?;
        Some((name, line[colon + 1..].trim_ascii_start()))
    });
    let attempt = readers::attempt(headers, 6, now());
    assert!((1..=7).contains(&attempt.number), "{attempt:?}");
    assert_eq!(attempt.limit, 6);
}
