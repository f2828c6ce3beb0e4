//! What holds for every route, whatever its handler does.

use utoipa::Modify;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::problems::responses;
use crate::problem::Problem;

/// Adds the answers to requests that hyper can't read, where the handler has none of that status, and
/// that a body which is described has to be there.
pub(super) struct EveryRoute;

impl Modify for EveryRoute {
    fn modify(&self, document: &mut OpenApi) {
        let unreadable = responses(&[Problem::unreadable_request(), Problem::headers_too_large()]);
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.required = Some(Required::True);
            }
            for (status, response) in &unreadable {
                let documented = &mut operation.responses.responses;
                documented
                    .entry(status.clone())
                    .or_insert_with(|| response.clone());
            }
        }
    }
}

/// The operations of a path. No route has another method.
pub(super) fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.post].into_iter().flatten()
}
