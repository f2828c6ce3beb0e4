//! The program `millrace-sandbox`.

use std::collections::HashMap;

use sandbox::keys;
use serde_json::Value;
use tokio::process::Command;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_millrace-sandbox"))
}

async fn env(arguments: &[&str]) -> HashMap<String, String> {
    let output = program().arg("env").args(arguments).output().await.unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.split_once('=').unwrap());
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn env_points_at_a_sandbox() {
    let settings = env(&["--port", "9191"]).await;
    assert_eq!(
        settings["OPENAI_BASE_URL"],
        "http://127.0.0.1:9191/openai/v1"
    );
    assert_eq!(
        settings["NOTIFY_WEBHOOK_URL"],
        "http://127.0.0.1:9191/sandbox/notify"
    );
    assert_eq!(
        settings["GHL_WEBHOOK_PUBLIC_KEY"],
        keys::highlevel_webhook_public_key()
    );
    assert!(!settings.contains_key("GOOGLE_APPLICATION_CREDENTIALS"));
    let is_plain = |value: &String| !value.contains([' ', '\'', '"', '$', '`', '\\', ';', '&']);
    assert!(
        settings.values().all(is_plain),
        "a shell reads the lines as they are"
    );
}

#[tokio::test]
async fn env_can_be_asked_for_some_services_only() {
    let settings = env(&["--only", "hubspot,openai"]).await;
    assert_eq!(settings.len(), 7);
    assert!(
        settings
            .keys()
            .all(|name| name.starts_with("HUBSPOT") || name.starts_with("OPENAI"))
    );
}

#[tokio::test]
async fn env_writes_a_key_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let settings = env(&["--only", "google", "--google", "--directory", path]).await;
    let text = std::fs::read_to_string(&settings["GOOGLE_APPLICATION_CREDENTIALS"]).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["client_email"], keys::SERVICE_ACCOUNT_EMAIL);
    assert_eq!(file["token_uri"], "http://127.0.0.1:8090/google/token");
}
