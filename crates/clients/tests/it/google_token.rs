//! How an access token is bought, kept and renewed.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clients::ErrorKind;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    google::{PRIVATE_KEY, client, client_for, files, token},
    stand_in::{Answer, Request, StandIn},
};

/// The claims of the assertion in a token request, after checking its signature.
fn verified_claims(request: &Request) -> (Value, Value) {
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(request.body.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(
        form["grant_type"],
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    let (signed, signature) = form["assertion"].rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let der = PrivatePkcs8KeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref())
        .verify(signed.as_bytes(), &decode(signature))
        .expect("signed with the account's key");
    let json = |part| serde_json::from_slice(&decode(part)).unwrap();
    (json(header), json(claims))
}

#[tokio::test]
async fn a_signed_claim_buys_a_token_that_is_used_again() {
    let server = StandIn::start([token("t1"), files(&[]), files(&[])]).await;
    let client = client_for(&server, Some("ann@corp.example"));
    client.find_file_by_job("j1").await.unwrap();
    client.clone().find_file_by_job("j1").await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 3, "one token for both calls");
    assert_eq!(requests[0].line(), "POST /token");
    let (header, claims) = verified_claims(&requests[0]);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "kid1"}));
    assert_eq!(claims["iss"], "robot@p.example");
    assert_eq!(claims["sub"], "ann@corp.example");
    assert_eq!(claims["aud"], "https://oauth2.googleapis.com/token");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/drive");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        3600
    );
    assert_eq!(requests[2].header("authorization"), "Bearer t1");
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_renewed() {
    let short = Answer::json(200, json!({"access_token": "t1", "expires_in": 200}));
    let server = StandIn::start([short, files(&[]), token("t2"), files(&[])]).await;
    let client = client(&server);
    client.find_file_by_job("j1").await.unwrap();
    client.find_file_by_job("j1").await.unwrap();
    assert_eq!(server.requests()[3].header("authorization"), "Bearer t2");
}

#[tokio::test]
async fn a_401_is_answered_with_one_new_token() {
    let refused = || Answer::json(401, json!({"error": {"code": 401, "message": "expired"}}));
    let server = StandIn::start([token("t1"), refused(), token("t2"), files(&["d1"])]).await;
    assert!(
        client(&server)
            .find_file_by_job("j1")
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(server.requests()[3].header("authorization"), "Bearer t2");

    let server = StandIn::start([token("t1"), refused(), token("t2"), refused()]).await;
    let error = client(&server).find_file_by_job("j1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn without_a_token_the_call_was_certainly_not_made() {
    for (answer, kind, hint) in [
        (
            Answer::text(503, ""),
            ErrorKind::NotDone { retry_after: None },
            "",
        ),
        (
            Answer::text(200, "{"),
            ErrorKind::NotDone { retry_after: None },
            "",
        ),
        (
            Answer::json(
                400,
                json!({"error": "invalid_grant", "error_description": "bad"}),
            ),
            ErrorKind::Unauthorized,
            "clock",
        ),
        (
            Answer::json(401, json!({"error": "unauthorized_client"})),
            ErrorKind::Unauthorized,
            "delegation",
        ),
    ] {
        let server = StandIn::start([answer]).await;
        let error = client(&server)
            .copy_template("t", "n", "f", "j")
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains(hint), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}
