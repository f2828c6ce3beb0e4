//! The problems that a route can answer, as they stand in the description: made from the very
//! problems that the code answers with.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use axum::http::HeaderName;
use serde_json::Value;
use utoipa::IntoResponses;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{ContentBuilder, Header, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::{MEDIA_TYPE, Problem};
use crate::publish::Sender;

/// Something that a route does or asks for, and that can end in a problem.
pub(crate) trait CanFail {
    /// One sample of each problem.
    fn problems() -> Vec<Problem>;
}

/// Publishing what `S` sent.
pub(crate) struct Publishes<S>(PhantomData<S>);

impl<S: Sender> CanFail for Publishes<S> {
    fn problems() -> Vec<Problem> {
        vec![Problem::not_confirmed(S::RETRY_STATUS)]
    }
}

/// Asking the database.
pub(crate) struct AsksDatabase;

impl CanFail for AsksDatabase {
    fn problems() -> Vec<Problem> {
        vec![Problem::database_unavailable()]
    }
}

/// The responses of a route that does all of `T`.
pub(crate) struct Problems<T>(PhantomData<T>);

impl<T: CanFail> IntoResponses for Problems<T> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&T::problems())
    }
}

macro_rules! can_fail_together {
    ($($part:ident),+) => {
        impl<$($part: CanFail),+> CanFail for ($($part,)+) {
            fn problems() -> Vec<Problem> {
                [$($part::problems()),+].concat()
            }
        }
    };
}

can_fail_together!(A);
can_fail_together!(A, B);
can_fail_together!(A, B, C);
can_fail_together!(A, B, C, D);

/// One response for each status, with an example for each problem.
pub(super) fn responses(problems: &[Problem]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<String, Vec<&Problem>> = BTreeMap::new();
    for problem in problems {
        let status = problem.status().as_u16().to_string();
        by_status.entry(status).or_default().push(problem);
    }
    by_status
        .into_iter()
        .map(|(status, problems)| (status, response(&problems).into()))
        .collect()
}

fn response(problems: &[&Problem]) -> Response {
    let mut titles: Vec<_> = problems
        .iter()
        .map(|problem| problem.kind().title)
        .collect();
    titles.dedup();
    let examples = problems.iter().map(|problem| {
        let example = ExampleBuilder::new()
            .summary(problem.kind().title)
            .value(value(problem));
        (name(problem, problems), example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    let response = ResponseBuilder::new()
        .description(format!("{}.", titles.join(", or ")))
        .content(MEDIA_TYPE, content);
    // All problems of one status have the same headers.
    let headers = problems.iter().flat_map(|problem| problem.headers());
    headers
        .fold(response, |response, (name, _)| {
            response.header(name.as_str(), describe(name, true))
        })
        .build()
}

/// The example's name: the type's, with a number where there are several of one type.
fn name(problem: &Problem, problems: &[&Problem]) -> String {
    let kind = problem.kind();
    let before = problems
        .iter()
        .take_while(|other| !std::ptr::eq(**other, problem));
    match before.filter(|other| other.kind() == kind).count() {
        0 => kind.name.to_owned(),
        count => format!("{}-{}", kind.name, count + 1),
    }
}

fn value(problem: &Problem) -> Option<Value> {
    serde_json::to_value(problem).ok()
}

/// A header of answers, and whether it is on all of them.
pub(super) fn describe(name: &HeaderName, is_always_there: bool) -> Header {
    let (schema_type, description) = match name.as_str() {
        "retry-after" => (Type::Integer, "Seconds to wait before the next attempt."),
        "www-authenticate" => (Type::String, "How to prove who you are."),
        "ratelimit" => (
            Type::String,
            "What is left of each limit that this request counts to: r requests, and t seconds \
             until there are all again.",
        ),
        "ratelimit-policy" => (Type::String, "These limits: q requests in w seconds."),
        _ => (Type::String, ""),
    };
    HeaderBuilder::new()
        .schema(Some(Object::with_type(schema_type)))
        .description(Some(description))
        // utoipa has no field for it.
        .extensions(Some(Extensions::from_iter([("required", is_always_there)])))
        .build()
}
