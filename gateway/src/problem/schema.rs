//! A problem as the description shows it.

use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::{Problem, kind};

impl ToSchema for Problem {}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let types = kind::ALL.map(|kind| json!(kind.uri()));
        let field_error = ObjectBuilder::new()
            .property("pointer", text("JSON pointer (RFC 6901) into the body."))
            .property("detail", text("What the field must be."))
            .required("pointer")
            .required("detail");
        let errors = ArrayBuilder::new()
            .items(field_error)
            .description(Some("The fields at fault."));
        let status = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(400))
            .maximum(Some(599))
            .description(Some("The status of the answer."));
        ObjectBuilder::new()
            .description(Some("An error (RFC 9457)."))
            .property(
                "type",
                ObjectBuilder::from(text("What to decide by. GET it for what to do."))
                    .format(Some(SchemaFormat::Custom("uri-reference".to_owned())))
                    .enum_values(Some(types)),
            )
            .property("title", text("The type in a few words."))
            .property("status", status)
            .property("detail", text("What happened this time, for people."))
            .property(
                "instance",
                text("Names this occurrence; the gateway's log line has it too."),
            )
            .property("errors", errors)
            .required("type")
            .required("title")
            .required("status")
            .required("detail")
            .into()
    }
}

fn text(description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .build()
}
