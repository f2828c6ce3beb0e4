//! Every signature vector of contracts/vectors, under the clock that it names.

use std::collections::BTreeMap;

use ::gateway::verify::hubspot::{SignedRequest, verify_v3, verify_workflow};
use ::gateway::verify::{
    Ed25519Key, HighLevelKeys, Rejection, RsaKey, SigningSecret, highlevel, standard_webhooks,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use config::Secret;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
    divergences: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    headers: BTreeMap<String, String>,
    body_base64: String,
    expect: Option<String>,
    #[serde(default)]
    reasons: Vec<String>,
    now: Option<i64>,
    now_ms: Option<i64>,
    #[serde(default)]
    secrets: Vec<String>,
    client_secret: Option<String>,
    version: Option<String>,
    method: Option<String>,
    uri: Option<String>,
    scheme: Option<String>,
    public_key_pem: Option<String>,
    rsa_public_key_pem: Option<String>,
}

impl Vector {
    fn headers(&self) -> HeaderMap {
        let pairs = self.headers.iter().map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            // A server hands over header values without the white space around them.
            (
                name,
                HeaderValue::from_str(value.trim_matches([' ', '\t'])).unwrap(),
            )
        });
        HeaderMap::from_iter(pairs)
    }

    fn body(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.body_base64).unwrap()
    }

    /// What is wrong with the verdict, if anything.
    fn judge(&self, verdict: Result<(), Rejection>) -> Option<String> {
        let right = match (self.expect.as_deref().unwrap(), verdict) {
            ("accept", Ok(())) => true,
            ("reject", Err(rejection)) => self
                .reasons
                .iter()
                .any(|reason| reason == rejection.class()),
            _ => false,
        };
        (!right).then(|| format!("{}: {verdict:?}, expected {:?}", self.name, self.reasons))
    }
}

fn file(text: &str) -> File {
    serde_json::from_str(text).unwrap()
}

/// Runs every vector and reports all that fail, by name.
fn run<'a>(
    vectors: impl IntoIterator<Item = &'a Vector>,
    verify: impl Fn(&Vector) -> Result<(), Rejection>,
) -> usize {
    let mut count = 0;
    let failures: Vec<String> = vectors
        .into_iter()
        .inspect(|_| count += 1)
        .filter_map(|vector| vector.judge(verify(vector)))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    count
}

/// Our own decisions where libraries disagree: all names of the file, and those that we accept.
fn decide(file: &File, accepted: &[&str], verify: impl Fn(&Vector) -> Result<(), Rejection>) {
    let found: Vec<&str> = file
        .divergences
        .iter()
        .filter(|vector| verify(vector).is_ok())
        .map(|vector| vector.name.as_str())
        .collect();
    assert_eq!(found, accepted);
}

fn standard(vector: &Vector) -> Result<(), Rejection> {
    // A secret that can't be parsed stops the process at its start; no request is ever judged.
    let secrets: Vec<SigningSecret> = vector
        .secrets
        .iter()
        .filter_map(|secret| SigningSecret::parse(secret).ok())
        .collect();
    let now = DateTime::from_timestamp(vector.now.unwrap(), 0).unwrap();
    let id = standard_webhooks::verify(&secrets, &vector.headers(), &vector.body(), now)?;
    assert_eq!(
        id,
        vector.headers()["webhook-id"].to_str().unwrap(),
        "{}",
        vector.name
    );
    Ok(())
}

/// What we accept where libraries disagree: a listed signature counts, whatever stands beside it.
const ACCEPTED_STANDARD: [&str; 3] = [
    "malformed_entry_then_valid",
    "two_spaces_between_entries",
    "body_invalid_utf8",
];

#[test]
fn openai() {
    let file = file(include_str!("../vectors/openai.json"));
    assert_eq!(run(&file.vectors, standard), 61);
    decide(&file, &ACCEPTED_STANDARD, standard);
}

#[test]
fn standard_webhooks_in_general() {
    let file = file(include_str!("../vectors/standard_webhooks.json"));
    assert_eq!(run(&file.vectors, standard), 56);
    decide(&file, &ACCEPTED_STANDARD, standard);
}

fn hubspot(vector: &Vector) -> Result<(), Rejection> {
    let secrets = [Secret::new(vector.client_secret.clone().unwrap())];
    let (headers, body) = (vector.headers(), vector.body());
    let request = SignedRequest {
        method: vector.method.as_deref().unwrap(),
        uri: vector.uri.as_deref().unwrap(),
        headers: &headers,
        body: &body,
    };
    let now = DateTime::from_timestamp_millis(vector.now_ms.unwrap()).unwrap();
    match vector.version.as_deref().unwrap() {
        "v3" => verify_v3(&secrets, request, now),
        "v2" => verify_workflow(&secrets, request, now),
        version => panic!("{}: version {version}", vector.name),
    }
}

#[test]
fn hubspot_v3_and_v2() {
    let file = file(include_str!("../vectors/hubspot.json"));
    // v1 signs without address and time; HubSpot sends v3 beside it, so v1 is accepted nowhere.
    let judged = file
        .vectors
        .iter()
        .filter(|vector| vector.version.as_deref() != Some("v1"));
    assert_eq!(run(judged, hubspot), 84);
    decide(
        &file,
        &["v3_timestamp_exactly_5m", "v3_timestamp_299999_ms"],
        hubspot,
    );
}

#[test]
fn hubspot_v1_alone_is_never_enough() {
    let file = file(include_str!("../vectors/hubspot.json"));
    for vector in &file.vectors {
        if vector.version.as_deref() == Some("v1") {
            let (headers, body) = (vector.headers(), vector.body());
            let secrets = [Secret::new(vector.client_secret.clone().unwrap())];
            let request = SignedRequest {
                method: "POST",
                uri: "",
                headers: &headers,
                body: &body,
            };
            let now = DateTime::from_timestamp_millis(vector.now_ms.unwrap()).unwrap();
            assert!(
                verify_v3(&secrets, request, now).is_err(),
                "{}",
                vector.name
            );
            assert!(
                verify_workflow(&secrets, request, now).is_err(),
                "{}",
                vector.name
            );
        }
    }
}

fn high_level(vector: &Vector) -> Result<(), Rejection> {
    let pem = vector.public_key_pem.as_deref().unwrap();
    let rsa = |pem| RsaKey::parse_all(pem).unwrap();
    let keys = match vector.scheme.as_deref().unwrap() {
        "ed25519" => HighLevelKeys {
            ed25519: Ed25519Key::parse_all(pem).unwrap(),
            rsa: vector
                .rsa_public_key_pem
                .as_deref()
                .map(rsa)
                .unwrap_or_default(),
        },
        "rsa-sha256" => HighLevelKeys {
            ed25519: Vec::new(),
            rsa: rsa(pem),
        },
        scheme => panic!("{}: scheme {scheme}", vector.name),
    };
    highlevel::verify(&keys, &vector.headers(), &vector.body())
}

#[test]
fn highlevel_ed25519_and_rsa() {
    let file = file(include_str!("../vectors/highlevel.json"));
    assert_eq!(run(&file.vectors, high_level), 45);
    decide(&file, &["ed25519_surrounding_spaces"], high_level);
}

#[test]
fn highlevels_published_keys_can_be_read() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/highlevel_public_keys.json")).unwrap();
    let pems: Vec<&str> = file["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|key| key["pem"].as_str())
        .collect();
    assert_eq!(pems.len(), 2);
    assert_eq!(
        pems.iter()
            .filter(|pem| Ed25519Key::parse_all(pem).is_ok())
            .count(),
        1
    );
    assert_eq!(
        pems.iter()
            .filter(|pem| RsaKey::parse_all(pem).is_ok())
            .count(),
        1
    );
}
