//! Whatever holds a secret can be printed without it.

use std::fmt::Debug;

use broker::BrokerSettings;
use clients::{highlevel, hubspot, openai};
use config::Environment;
use gateway::verify::SigningSecret;

/// In every secret below.
const WORD: &str = "hunter2";

fn prints_no_secret(held: &dyn Debug) {
    for printed in [format!("{held:?}"), format!("{held:#?}")] {
        assert!(!printed.contains(WORD), "{printed}");
    }
}

#[test]
fn settings_and_clients_print_no_secret() {
    let (plain, theirs) = (config::Secret::new(WORD), clients::Secret::new(WORD));
    prints_no_secret(&plain);
    prints_no_secret(&Some(theirs.clone()));
    prints_no_secret(&SigningSecret::parse("whsec_aHVudGVyMg==").unwrap());
    prints_no_secret(&telemetry_settings());

    // An address can hold a password too.
    let address = format!("https://user:{WORD}@proxy.example/v1");
    let config = openai::OpenaiConfig {
        base_url: address.clone(),
        api_key: theirs.clone(),
    };
    prints_no_secret(&openai::Client::new(config).unwrap());
    let config = hubspot::HubspotConfig {
        base_url: address.clone(),
        access_token: theirs.clone(),
    };
    prints_no_secret(&hubspot::Client::new(config).unwrap());
    let config = highlevel::HighlevelConfig {
        base_url: address,
        token: theirs,
        location_id: "l".to_owned(),
    };
    prints_no_secret(&highlevel::Client::new(config).unwrap());
}

#[test]
fn an_address_that_can_not_be_used_is_not_repeated() {
    let config = openai::OpenaiConfig {
        base_url: format!("https://user:{WORD}@host:port"),
        api_key: clients::Secret::new(WORD),
    };
    let error = openai::Client::new(config).unwrap_err();
    prints_no_secret(&error);
    assert!(!error.to_string().contains(WORD), "{error}");
}

#[test]
fn the_programs_configuration_prints_no_secret() {
    let secrets = [
        ("AMQP_URL", format!("amqp://user:{WORD}@broker.example/%2f")),
        (
            "DATABASE_URL",
            format!("postgres://user:{WORD}@db.example/m"),
        ),
        ("API_KEYS", format!("{WORD}-1,{WORD}-2")),
        ("HUBSPOT_CLIENT_SECRET", WORD.to_owned()),
        ("WEBHOOK_SECRET", WORD.to_owned()),
        ("OPENAI_API_KEY", WORD.to_owned()),
    ];
    let environment = || Environment::from_pairs(secrets.clone());
    prints_no_secret(&environment());
    prints_no_secret(&gateway::Config::read(environment()).unwrap());
    // What is wrong with a variable is told without its value.
    let mut broken = secrets.clone();
    broken[0].1 = format!("http://user:{WORD}@broker.example");
    broken[1].1 = format!("mysql://user:{WORD}@db.example");
    let error = gateway::Config::read(Environment::from_pairs(broken)).unwrap_err();
    assert!(error.to_string().contains("AMQP_URL"), "{error}");
    assert!(!format!("{error} {error:?}").contains(WORD), "{error}");
}

fn telemetry_settings() -> telemetry::Settings {
    let endpoint = format!("https://user:{WORD}@collector.example");
    telemetry::Settings::read(&Environment::from_pairs([(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        endpoint,
    )]))
}

#[test]
fn the_brokers_settings_print_no_secret() {
    prints_no_secret(&BrokerSettings {
        url: format!("amqp://user:{WORD}@broker.example/%2f"),
        certificate_authority: None,
        name: "test".to_owned(),
        publish_deadline: std::time::Duration::from_secs(1),
    });
}
