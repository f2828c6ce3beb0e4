//! Headers that say who sends a webhook. Nobody here knows a secret, so nobody may be believed.

use config::Secret;
use gateway::verify::{
    Ed25519Key, HighLevelKeys, SigningSecret, highlevel, hubspot, standard_webhooks,
    workflow_secret,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{first_line, now};

/// A secret that stands in no corpus.
const SECRET: &str = "bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0IG9mIG91cnM=";

/// Lines of headers, an empty line, the body.
pub(crate) fn signature_headers(data: &[u8]) {
    let (headers, body) = parts(data);
    let signing = SigningSecret::parse(&format!("whsec_{SECRET}"));
    let signing = [signing.expect("this is a signing secret")];
    assert!(standard_webhooks::verify(&signing, &headers, body, now()).is_err());

    let secrets = [Secret::new(SECRET)];
    let uri = String::from_utf8_lossy(body);
    let request = hubspot::SignedRequest {
        method: "POST",
        uri: &uri,
        headers: &headers,
        body,
    };
    assert!(hubspot::verify_v3(&secrets, request, now()).is_err());
    assert!(hubspot::verify_workflow(&secrets, request, now()).is_err());

    let keys = HighLevelKeys {
        ed25519: Ed25519Key::parse_all(SECRET).expect("any 32 bytes are an Ed25519 key"),
        rsa: Vec::new(),
    };
    assert!(highlevel::verify(&keys, &headers, body).is_err());
    assert!(workflow_secret::verify(&secrets, &headers, body, Some(&uri)).is_err());
}

fn parts(mut data: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    loop {
        let (line, rest) = first_line(data);
        data = rest;
        if line.is_empty() {
            return (headers, data);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii_start();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
}
