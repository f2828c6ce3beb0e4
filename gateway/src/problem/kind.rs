//! The catalogue of problem types. Clients decide by a type what to do, so a name never changes its
//! meaning and never goes away.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// One problem type (RFC 9457, section 3.1.1).
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last part of its URI.
    pub name: &'static str,
    /// What happened, in a few words.
    pub title: &'static str,
    /// The statuses that an answer of this type can have.
    pub statuses: &'static [u16],
    /// What it means and what to do about it.
    pub meaning: &'static str,
}

impl Kind {
    /// The URI, relative to the gateway. `GET` it for the meaning.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("/problems/{}", self.name)
    }

    /// The type with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|kind| kind.name == name)
    }
}

/// As the first two members of a problem.
impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry("type", &self.uri())?;
        members.serialize_entry("title", self.title)?;
        members.end()
    }
}

/// The request or its body can't be read.
pub static MALFORMED_REQUEST: Kind = Kind {
    name: "malformed-request",
    title: "Malformed request",
    statuses: &[400],
    meaning: "The request or its body can't be read: it breaks HTTP, is not UTF-8, not JSON, or not \
              JSON of the kind that the route takes. Mend it before you send it again.",
};

/// A value is outside of its range.
pub static OUT_OF_RANGE: Kind = Kind {
    name: "out-of-range",
    title: "Value out of range",
    statuses: &[400],
    meaning: "A number is of the right kind but too small or too large. The detail names the range.",
};

/// A webhook does not prove where it comes from.
pub static INVALID_SIGNATURE: Kind = Kind {
    name: "invalid-signature",
    title: "Invalid signature",
    statuses: &[401],
    meaning: "A webhook does not prove that it comes from its sender: a signature, timestamp or \
              secret is missing, wrong or too old. The answer does not say which; the gateway's \
              log does.",
};

/// A client or operator shows no valid key.
pub static UNAUTHORIZED: Kind = Kind {
    name: "unauthorized",
    title: "Unauthorized",
    statuses: &[401],
    meaning: "The request shows no API key, or one that is not known, has expired or was revoked. \
              Send a key as Authorization: Bearer <key> or as X-API-Key: <key>.",
};

/// The key opens other routes.
pub static MISSING_SCOPE: Kind = Kind {
    name: "missing-scope",
    title: "Missing scope",
    statuses: &[403],
    meaning: "The API key is valid, but not for this route. The detail and the header \
              WWW-Authenticate name the scope that a key needs here: submit, read or operate.",
};

/// There is no such route or thing.
pub static NOT_FOUND: Kind = Kind {
    name: "not-found",
    title: "Not found",
    statuses: &[404],
    meaning: "There is no such route, or nothing has this id. A job that was accepted a moment ago \
              may not have been picked up yet.",
};

/// The route doesn't have this method.
pub static METHOD_NOT_ALLOWED: Kind = Kind {
    name: "method-not-allowed",
    title: "Method not allowed",
    statuses: &[405],
    meaning: "The route does not have this method. The header Allow lists those that it has.",
};

/// The body came too slowly.
pub static TOO_SLOW: Kind = Kind {
    name: "too-slow",
    title: "Request timeout",
    statuses: &[408],
    meaning: "The body did not arrive in time. Nothing was published; send the request again.",
};

/// The body is too large.
pub static TOO_LARGE: Kind = Kind {
    name: "too-large",
    title: "Body too large",
    statuses: &[413],
    meaning: "The body is larger than the gateway reads (MAX_BODY_BYTES). Send less.",
};

/// The body is of a media type that the route doesn't read.
pub static UNSUPPORTED_MEDIA_TYPE: Kind = Kind {
    name: "unsupported-media-type",
    title: "Unsupported media type",
    statuses: &[415],
    meaning: "The header Content-Type names a media type that the route does not read. Send JSON as \
              application/json.",
};

/// The body is compressed.
pub static COMPRESSED: Kind = Kind {
    name: "compressed",
    title: "Compressed body",
    statuses: &[415],
    meaning: "The header Content-Encoding names a compression. The gateway reads plain bodies only: \
              send it without.",
};

/// A field is missing or has the wrong kind of value.
pub static INVALID_FIELD: Kind = Kind {
    name: "invalid-field",
    title: "Invalid field",
    statuses: &[422],
    meaning: "The body can be read, but a field is missing or has the wrong kind of value. The list \
              errors names each with a JSON pointer (RFC 6901) and says what it must be.",
};

/// Called too often.
pub static TOO_MANY_REQUESTS: Kind = Kind {
    name: "too-many-requests",
    title: "Too many requests",
    statuses: &[429],
    meaning: "The key or the address has called too often. Wait for the seconds in Retry-After. The \
              headers RateLimit and RateLimit-Policy say what is counted and how much is left.",
};

/// The head of the request is too large.
pub static HEADERS_TOO_LARGE: Kind = Kind {
    name: "headers-too-large",
    title: "Headers too large",
    statuses: &[431],
    meaning: "The headers of the request are larger, or more, than the gateway reads.",
};

/// A mistake in the gateway.
pub static INTERNAL_ERROR: Kind = Kind {
    name: "internal-error",
    title: "Internal error",
    statuses: &[500],
    meaning: "The gateway made a mistake. Nothing is promised; send the request again. The log line \
              of the mistake carries the same instance as the answer.",
};

/// Too many large bodies arrive at once.
pub static OVERLOADED: Kind = Kind {
    name: "overloaded",
    title: "Overloaded",
    statuses: &[503],
    meaning: "Too many large bodies arrive at once, and there is no memory left for this one. Nothing \
              was published; send the request again after the seconds in Retry-After.",
};

/// The route is closed.
pub static ROUTE_CLOSED: Kind = Kind {
    name: "route-closed",
    title: "Route closed",
    statuses: &[503],
    meaning: "Nothing is configured to check the requests of this route with, so it accepts none. \
              The gateway's log names the variable that opens it.",
};

/// The broker has not confirmed the message.
pub static NOT_CONFIRMED: Kind = Kind {
    name: "not-confirmed",
    title: "Not confirmed",
    statuses: &[429, 503],
    meaning: "The broker did not confirm the message in time, so nothing is promised. Send the \
              request again after the seconds in Retry-After; a repeat does no harm. The status is \
              429 for HighLevel, which tries again on no other, and 503 for everybody else.",
};

/// The database can't be asked.
pub static DATABASE_UNAVAILABLE: Kind = Kind {
    name: "database-unavailable",
    title: "Database unavailable",
    statuses: &[503],
    meaning: "The database can't be asked. Webhooks and research requests are still accepted. Ask \
              again after the seconds in Retry-After.",
};

/// All of them, in the order of their statuses.
pub static ALL: [&Kind; 19] = [
    &MALFORMED_REQUEST,
    &OUT_OF_RANGE,
    &INVALID_SIGNATURE,
    &UNAUTHORIZED,
    &MISSING_SCOPE,
    &NOT_FOUND,
    &METHOD_NOT_ALLOWED,
    &TOO_SLOW,
    &TOO_LARGE,
    &UNSUPPORTED_MEDIA_TYPE,
    &COMPRESSED,
    &INVALID_FIELD,
    &TOO_MANY_REQUESTS,
    &HEADERS_TOO_LARGE,
    &INTERNAL_ERROR,
    &OVERLOADED,
    &ROUTE_CLOSED,
    &NOT_CONFIRMED,
    &DATABASE_UNAVAILABLE,
];
