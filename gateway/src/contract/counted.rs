//! Which answers tell how much of its limit a caller has left (see `rate_limit`).

use utoipa::Modify;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, RefOr};

use super::every_route::operations;
use super::problems::describe;
use crate::rate_limit::{RATE_LIMIT, RATE_LIMIT_POLICY};

/// Adds the headers of counted requests. Comes before hyper's own answers are added: those requests
/// are not counted.
pub(super) struct Counted;

impl Modify for Counted {
    fn modify(&self, document: &mut OpenApi) {
        let operations = document.paths.paths.values_mut().flat_map(operations);
        for operation in operations.filter(|operation| counts(operation)) {
            let is_webhook = operation.tags.iter().flatten().any(|tag| tag == "webhooks");
            for (status, response) in &mut operation.responses.responses {
                let Some(is_always_there) = told(is_webhook, status) else {
                    continue;
                };
                let RefOr::T(response) = response else {
                    continue;
                };
                for name in [&RATE_LIMIT, &RATE_LIMIT_POLICY] {
                    let header = describe(name, is_always_there);
                    response.headers.insert(name.to_string(), header.into());
                }
            }
        }
    }
}

/// Whether requests of the route are counted at all: those of some can be too many.
fn counts(operation: &Operation) -> bool {
    operation.responses.responses.contains_key("429")
}

/// Whether answers of this status tell it: all of them, some of them (`Some(false)`), or none.
fn told(is_webhook: bool, status: &str) -> Option<bool> {
    match (is_webhook, status) {
        // Verified requests are not counted; refused ones are.
        (true, "401") => Some(true),
        // The broker may not have confirmed what was verified.
        (true, "429" | "503") => Some(false),
        (true, _) => None,
        // What hyper can't read has this status too, and is not counted.
        (false, "400") => Some(false),
        (false, _) => Some(true),
    }
}
