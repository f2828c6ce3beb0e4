//! All routes, as one table.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};

use crate::headers;
use crate::problem::Problem;
use crate::routes::{
    batch_config, batches, description, health, highlevel, hubspot, hubspot_workflow, openai,
    research, research_status, test_webhook,
};
use crate::state::State;
use crate::trace;

type Table = Vec<(&'static str, MethodRouter<State>)>;

/// Routes that providers call, and the open ones.
fn providers() -> Table {
    vec![
        ("/webhook/openai", post(openai::webhook)),
        ("/webhook/hubspot", post(hubspot::webhook)),
        ("/webhook/hubspot/workflow", post(hubspot_workflow::webhook)),
        ("/webhook", post(highlevel::webhook)),
        ("/webhook/highlevel", post(highlevel::webhook)),
        ("/webhook/t/{secret}", post(highlevel::webhook)),
        ("/health", get(health::alive)),
        ("/health/ready", get(health::ready)),
        ("/test-webhook", get(test_webhook::ping)),
        ("/openapi.json", get(description::openapi)),
        ("/docs", get(description::page)),
        ("/problems/{name}", get(description::problem_type)),
    ]
}

/// Routes of clients and operators: an API key is asked for, and their traces are continued.
fn clients() -> Table {
    vec![
        ("/generate", post(research::generate)),
        ("/submit-job", post(research::generate)),
        ("/job-status/{id}", get(research_status::job_status)),
        (
            "/batch-config",
            get(batch_config::wait).post(batch_config::set_wait),
        ),
        ("/queue-status", get(batches::queue)),
        ("/batch-status/{contact_id}", get(batches::status)),
        ("/force-process-batch/{contact_id}", post(batches::force)),
    ]
}

/// The whole gateway as a service.
pub fn router(state: State) -> Router {
    let build = |table: Table| {
        table
            .into_iter()
            .fold(Router::new(), |router, (path, route)| {
                router.route(path, route)
            })
    };
    let mut clients =
        build(clients()).method_not_allowed_fallback(async || Problem::method_not_allowed());
    let origins = &state.config.cors_allowed_origins;
    if !origins.is_empty() {
        clients = clients.layer(headers::cors(origins));
    }
    let clients = clients.layer(from_fn_with_state(state.clone(), trace::client_request));
    let providers = build(providers())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .fallback(async || Problem::not_found("There is no such route; see /docs."))
        .layer(from_fn_with_state(state.clone(), trace::request));
    providers.merge(clients).with_state(state)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use config::Environment;
    use tower::ServiceExt as _;

    use super::{clients, providers, router};
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::contract::DOCUMENT;
    use crate::state::State;

    /// The description says which methods each route has; the router is asked whether that is so.
    #[tokio::test]
    async fn the_description_and_the_router_have_the_same_routes() {
        let environment = Environment::from_pairs([
            ("AMQP_URL", "amqp://127.0.0.1:1"),
            ("DATABASE_URL", "sqlite::memory:"),
        ]);
        let config = Config::read(environment).unwrap();
        let router = router(State::new(config, Clock::system()).unwrap());

        let described = DOCUMENT["paths"].as_object().unwrap();
        let paths: BTreeSet<_> = providers()
            .into_iter()
            .chain(clients())
            .map(|(path, _)| path)
            .collect();
        let described_paths: BTreeSet<_> = described.keys().map(String::as_str).collect();
        assert_eq!(described_paths, paths);

        for path in paths {
            for method in ["get", "post", "put", "patch", "delete"] {
                let request = Request::builder()
                    .method(method.to_uppercase().as_str())
                    .uri(path.replace(['{', '}'], ""))
                    .body(Body::empty())
                    .unwrap();
                let status = router.clone().oneshot(request).await.unwrap().status();
                let exists = status != StatusCode::METHOD_NOT_ALLOWED;
                assert_eq!(
                    exists,
                    described[path].get(method).is_some(),
                    "{method} {path}"
                );
            }
        }
    }
}
