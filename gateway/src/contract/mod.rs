//! The contract: what the HTTP interface promises, generated from the code that keeps it.
//!
//! Each handler is annotated with its method, path, bodies and statuses; its problems follow from
//! the extractors that it uses (see `problems::CanFail`). `tests/it/contract.rs` drives each
//! documented status, and every answer that a test gets is checked against this.

mod aliases;
mod counted;
mod every_route;
pub(crate) mod page;
pub(crate) mod problems;
mod security;

use std::sync::LazyLock;

use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::problem::Problem;
use crate::routes;
use aliases::Aliases;
use counted::Counted;
use every_route::EveryRoute;
use security::Schemes;

pub(crate) use problems::{AsksDatabase, CanFail, Problems, Publishes};

/// What providers send, as JSON Schemas. The routes read it more tolerantly than types could.
const PAYLOADS: &str = include_str!("payloads.json");

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = json!(Document::openapi());
    let payloads: Value = serde_json::from_str(PAYLOADS).expect("the tests have read it");
    if let (Some(schemas), Value::Object(payloads)) =
        (document["components"]["schemas"].as_object_mut(), payloads)
    {
        schemas.extend(payloads);
    }
    document
});

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Millrace gateway",
        description = include_str!("description.md"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This gateway")),
    tags(
        (name = "research", description = "Research on companies: asking for it, and how far it is."),
        (name = "chat", description = "The batches in which contacts' messages are answered."),
        (name = "webhooks", description = "What OpenAI, HubSpot and HighLevel call."),
        (name = "operation", description = "Health, and this description."),
    ),
    paths(
        routes::research::generate,
        routes::research_status::job_status,
        routes::batch_config::wait,
        routes::batch_config::set_wait,
        routes::batches::queue,
        routes::batches::status,
        routes::batches::force,
        routes::openai::webhook,
        routes::hubspot::webhook,
        routes::hubspot_workflow::webhook,
        routes::highlevel::webhook,
        routes::health::alive,
        routes::health::ready,
        routes::test_webhook::ping,
        routes::description::openapi,
        routes::description::page,
        routes::description::problem_type,
    ),
    components(schemas(Problem)),
    modifiers(&Schemes, &Counted, &EveryRoute, &Aliases),
)]
struct Document;
