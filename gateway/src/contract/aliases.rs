//! Routes that are the same as another, under an older name or in another form.

use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{PathItem, Required};

use super::every_route::operations;

/// Adds the aliases.
pub(super) struct Aliases;

impl Modify for Aliases {
    fn modify(&self, document: &mut OpenApi) {
        alias(document, "/submit-job", "/generate", "submitJob");
        alias(
            document,
            "/webhook/highlevel",
            "/webhook",
            "highLevelWebhookNamed",
        );
        let path = "/webhook/t/{secret}";
        let with_secret = alias(document, path, "/webhook", "highLevelWebhookWithSecret");
        for operation in with_secret.into_iter().flat_map(operations) {
            operation.summary = Some(
                "The same as POST /webhook, for a workflow action that can't set headers"
                    .to_owned(),
            );
            operation.security = None;
            let secret = ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some("^[!-~]+$"));
            let parameter = ParameterBuilder::new()
                .name("secret")
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some("WEBHOOK_SECRET. Logs show the route without it."))
                .schema(Some(secret))
                .build();
            operation
                .parameters
                .get_or_insert_default()
                .push(parameter.into());
        }
    }
}

/// Describes `path` as `original` is described.
fn alias<'document>(
    document: &'document mut OpenApi,
    path: &str,
    original: &str,
    operation_id: &str,
) -> Option<&'document mut PathItem> {
    let mut item = document.paths.paths.get(original)?.clone();
    for operation in operations(&mut item) {
        operation.operation_id = Some(operation_id.to_owned());
        operation.summary = Some(format!("The same as POST {original}"));
    }
    document.paths.paths.insert(path.to_owned(), item);
    document.paths.paths.get_mut(path)
}
