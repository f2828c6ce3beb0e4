//! `GET /openapi.json`, `/docs` and `/problems/{name}`: what the interface promises, for programs
//! and for people.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::IntoResponse;
use serde_json::Value;

use crate::contract::{CanFail, DOCUMENT, Problems, page};
use crate::problem::Problem;
use crate::problem::kind::Kind;

/// This description
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
)]
pub(crate) async fn openapi() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// This description as a page
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "docs",
    tag = "operation",
    responses((status = 200, description = "HTML.", body = String, content_type = "text/html")),
)]
pub(crate) async fn page() -> impl IntoResponse {
    page::answer(page::PAGE.clone())
}

/// A type of problem, which is in the catalogue or not.
struct ProblemType;

/// What a type of problem means, and what to do about it
#[utoipa::path(
    get,
    path = "/problems/{name}",
    operation_id = "problemType",
    tag = "operation",
    params((
        "name" = String, Path,
        description = "The last part of the type",
        example = "not-found",
    )),
    responses(
        (status = 200, description = "HTML.", body = String, content_type = "text/html"),
        Problems::<ProblemType>,
    ),
)]
pub(crate) async fn problem_type(
    name: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let kind = name.ok().and_then(|Path(name)| Kind::named(&name));
    let kind = kind.ok_or_else(unknown)?;
    Ok(page::answer(page::problem_type(kind)))
}

impl CanFail for ProblemType {
    fn problems() -> Vec<Problem> {
        vec![unknown()]
    }
}

fn unknown() -> Problem {
    Problem::not_found("There is no such type of problem; /docs lists them.")
}
