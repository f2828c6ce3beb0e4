//! contracts/google.md section 2: a signed assertion becomes an access token.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use serde_json::{Value, json};

use crate::support::{World, status_and_json};

const DRIVE_SCOPE: &str = "https://www.googleapis.com/auth/drive";

/// An assertion as a service account signs it (RFC 7523), after a change of its claims.
pub(crate) fn assertion(world: &World, change: impl FnOnce(&mut Value)) -> String {
    let file: Value = serde_json::from_str(&world.sandbox.service_account_file()).unwrap();
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({"iss": file["client_email"], "scope": DRIVE_SCOPE,
        "aud": "https://oauth2.googleapis.com/token", "iat": now, "exp": now + 3600});
    change(&mut claims);
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": file["private_key_id"]});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let pem = file["private_key"].as_str().unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = KeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) async fn exchange(world: &World, assertion: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion),
    ];
    let url = format!("{}/token", world.sandbox.google_base_url());
    status_and_json(world.http.post(url).form(&form).send().await.unwrap()).await
}

#[tokio::test]
async fn a_token_needs_a_right_assertion() {
    let world = World::start().await;
    let now = chrono::Utc::now().timestamp();
    type Change = Box<dyn FnOnce(&mut Value)>;
    let set = |name: &'static str, value: Value| -> Change {
        Box::new(move |claims| claims[name] = value)
    };
    let wrong = [
        set("iss", json!("somebody@else.example")),
        set("aud", json!("https://elsewhere.example")),
        set("scope", json!("everything")),
        set("exp", json!(now + 7200)),
        set("iat", json!(now + 3600)),
        set("exp", json!(now - 3600)),
    ];
    for change in wrong {
        let (status, body) = exchange(&world, &assertion(&world, change)).await;
        assert_eq!(
            (status, &body["error"]),
            (400, &json!("invalid_grant")),
            "{body}"
        );
    }
    let (signed, _) = assertion(&world, |_| {})
        .rsplit_once('.')
        .map(|(s, g)| (s.to_owned(), g.to_owned()))
        .unwrap();
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 256]));
    assert_eq!(
        exchange(&world, &forged).await.1["error_description"],
        "Invalid JWT Signature."
    );
    let own = format!("{}/token", world.sandbox.google_base_url());
    assert_eq!(
        exchange(&world, &assertion(&world, set("aud", json!(own))))
            .await
            .0,
        200
    );
}
