//! Which kind an error answer of Drive or Docs is (contract §6).

use serde::Deserialize;

use crate::{
    error::{ClientError, ErrorKind, Reason},
    http::Answer,
    lenient::{misfit_as_default, null_as_default},
    retry_after::LATER,
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    #[serde(deserialize_with = "null_as_default")]
    message: String,
    #[serde(deserialize_with = "null_as_default")]
    status: String,
    #[serde(deserialize_with = "misfit_as_default")]
    errors: Vec<Cause>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cause {
    #[serde(deserialize_with = "null_as_default")]
    reason: String,
}

/// `account` is whom a person has to share files with.
pub(super) fn read(answer: &Answer, account: &str) -> ClientError {
    let ErrorBody { error } = answer.parse_leniently();
    // Docs answers often have no list of causes.
    let reason = error
        .errors
        .first()
        .map_or(error.status.as_str(), |cause| &cause.reason);
    let kind = kind(answer, reason, &error);
    let message = if error.message.is_empty() {
        answer.usual_message()
    } else {
        error.message.clone()
    };
    let failure = answer.failure(kind, message);
    match advice(kind, reason, account) {
        Some(advice) => failure.with_advice(&advice),
        None => failure,
    }
}

fn kind(answer: &Answer, reason: &str, error: &ErrorDetail) -> ErrorKind {
    let named = answer.retry_after();
    match (answer.status(), reason) {
        (403, "rateLimitExceeded" | "userRateLimitExceeded" | "RESOURCE_EXHAUSTED") => {
            ErrorKind::NotDone { retry_after: named }
        }
        (403 | 429, "sharingRateLimitExceeded" | "dailyLimitExceeded") => ErrorKind::NotDone {
            retry_after: named.max(Some(LATER)),
        },
        (403, "storageQuotaExceeded") => ErrorKind::Permanent {
            reason: Some(Reason::StorageQuotaExceeded),
        },
        (
            403,
            "teamDriveFileLimitExceeded"
            | "insufficientFilePermissions"
            | "insufficientPermissions"
            | "appNotAuthorizedToFile"
            | "domainPolicy"
            | "cannotCopyFile",
        ) => ErrorKind::Permanent {
            reason: Some(Reason::SetUp),
        },
        // Somebody edited the document between our reading and our writing: read it again.
        (400, _)
            if error.status == "FAILED_PRECONDITION"
                || error.message.contains("required revision") =>
        {
            ErrorKind::NotDone { retry_after: named }
        }
        _ => answer.usual_kind(),
    }
}

fn advice(kind: ErrorKind, reason: &str, account: &str) -> Option<String> {
    match (kind, reason) {
        (_, "storageQuotaExceeded") => Some(format!(
            "a service account owns no storage: put the folder into a shared drive with {account} \
             as content manager, or let the account impersonate a user"
        )),
        (_, "teamDriveFileLimitExceeded") => Some("the shared drive is full".to_owned()),
        (
            ErrorKind::Permanent {
                reason: Some(Reason::SetUp),
            }
            | ErrorKind::Unauthorized,
            _,
        ) => Some(format!(
            "give {account} edit access to the template and the folder"
        )),
        (ErrorKind::NotFound, _) => Some(format!(
            "it does not exist, or it is not shared with {account}"
        )),
        _ => None,
    }
}
