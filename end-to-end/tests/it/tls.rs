//! TLS to broker and database, with certificates of a private authority: the real servers behind a
//! port that speaks TLS.

use std::time::Duration;

use broker::{BrokerSettings, DeadLetters};
use end_to_end::{Engine, World};
use entities::batch;
use test_support::{Greeting, PrivateAuthority, TlsFront};
use url::Url;

/// A front of a server's address with a certificate for `name`, and the address that leads there.
async fn front(
    authority: &PrivateAuthority,
    name: &str,
    greeting: Greeting,
    server: &str,
) -> (TlsFront, Url) {
    let mut url: Url = server.parse().unwrap();
    let behind = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let front = TlsFront::start(authority, name, greeting, behind).await;
    url.set_host(Some("localhost")).unwrap();
    url.set_port(Some(front.port())).unwrap();
    (front, url)
}

/// The address with `amqps` in place of `amqp`.
fn secured(url: &Url) -> String {
    url.as_str().replacen("amqp://", "amqps://", 1)
}

fn file_of(world: &World, authority: &PrivateAuthority) -> String {
    let path = world.folder().join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Why no connection to the broker comes about.
async fn broker_refusal(url: String, authority: Option<&PrivateAuthority>) -> String {
    let settings = BrokerSettings {
        url,
        certificate_authority: authority.map(PrivateAuthority::pem),
        name: "test".to_owned(),
        publish_deadline: Duration::from_secs(10),
    };
    let Err(error) = DeadLetters::connect(&settings).await else {
        panic!("an untrusted broker was connected to");
    };
    format!("{error:?}")
}

/// Why no connection to the database comes about.
async fn database_refusal(url: &Url) -> String {
    let Err(error) = entities::connect(url.as_str(), 1).await else {
        panic!("an untrusted database was connected to");
    };
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_flows_can_run_over_tls_with_a_private_authority() {
    let mut world = World::new(Engine::Postgres).await;
    let authority = PrivateAuthority::new();
    let ca_file = file_of(&world, &authority);
    let amqp_url = world.setting("AMQP_URL").to_owned();
    let (_broker, amqp) = front(&authority, "localhost", Greeting::None, &amqp_url).await;
    let database_url = world.setting("DATABASE_URL").to_owned();
    let (_database, mut database) =
        front(&authority, "localhost", Greeting::Postgres, &database_url).await;
    database
        .query_pairs_mut()
        .append_pair("sslmode", "verify-full")
        .append_pair("sslrootcert", &ca_file);
    world.set("AMQP_URL", secured(&amqp));
    world.set("AMQP_CA_FILE", ca_file);
    world.set("DATABASE_URL", database);

    world.start().await;
    world.contact_writes("ada", "Hello?").await;
    world.until_batch("ada", batch::State::Replied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_cannot_prove_who_it_is_gets_no_password() {
    let world = World::new(Engine::Sqlite).await;
    let (authority, other) = (PrivateAuthority::new(), PrivateAuthority::new());
    let amqp_url = world.setting("AMQP_URL");
    let (_right, right) = front(&authority, "localhost", Greeting::None, amqp_url).await;
    for wrong_authority in [None, Some(&other)] {
        let refusal = broker_refusal(secured(&right), wrong_authority).await;
        assert!(refusal.contains("certificate"), "{refusal}");
    }
    let (_wrong, wrong) = front(&authority, "elsewhere.example", Greeting::None, amqp_url).await;
    let refusal = broker_refusal(secured(&wrong), Some(&authority)).await;
    assert!(refusal.contains("certificate"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_cannot_prove_who_it_is_gets_no_password() {
    let world = World::new(Engine::Postgres).await;
    let (authority, other) = (PrivateAuthority::new(), PrivateAuthority::new());
    let verified = |mut url: Url, ca_file: Option<&str>| {
        let mut query = url.query_pairs_mut();
        query.append_pair("sslmode", "verify-full");
        if let Some(ca_file) = ca_file {
            query.append_pair("sslrootcert", ca_file);
        }
        drop(query);
        url
    };
    let database_url = world.setting("DATABASE_URL");
    let front_for = async |name| front(&authority, name, Greeting::Postgres, database_url).await;
    let (_right, right) = front_for("localhost").await;
    let refusal = database_refusal(&verified(right.clone(), None)).await;
    assert!(refusal.contains("certificate"), "{refusal}");
    let refusal = database_refusal(&verified(right, Some(&file_of(&world, &other)))).await;
    assert!(refusal.contains("certificate"), "{refusal}");
    let (_wrong, wrong) = front_for("elsewhere.example").await;
    let ca_file = file_of(&world, &authority);
    let refusal = database_refusal(&verified(wrong, Some(&ca_file))).await;
    assert!(refusal.contains("certificate"), "{refusal}");
}
