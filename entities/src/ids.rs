//! Typed ids, so that a batch can't be looked up with a job's id. Each is a column type too.

use std::{convert::Infallible, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of job ids. It must never change: a repeated request would then become a second
/// job, and be paid for twice.
const JOB_NAMESPACE: Uuid = Uuid::from_u128(0x25e1_518c_4002_49b7_9916_eec3_71df_09c2);

/// A research job. Derived from the request, so that a repeated request names the same job.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

/// A batch of messages from one contact.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(transparent)]
pub struct BatchId(pub Uuid);

/// A key of a client or operator; it says nothing about the key itself.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(transparent)]
pub struct ApiKeyId(pub Uuid);

/// One message, inbound or outbound.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    DeriveValueType,
)]
#[serde(transparent)]
pub struct MessageId(pub Uuid);

/// A contact, by HighLevel's id.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, DeriveValueType,
)]
#[serde(transparent)]
pub struct ContactId(pub String);

/// A response, by OpenAI's id (`resp_…`).
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, DeriveValueType,
)]
#[serde(transparent)]
pub struct ResponseId(pub String);

impl JobId {
    /// The id of the job that this key asks for: a UUIDv5 (RFC 9562, section 5.5) in a fixed
    /// namespace. The gateway computes it without a database.
    #[must_use]
    pub fn from_idempotency_key(key: &str) -> Self {
        Self(Uuid::new_v5(&JOB_NAMESPACE, key.as_bytes()))
    }
}

impl ApiKeyId {
    /// A new id.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl BatchId {
    /// A new id of this time: a UUIDv7, so that new rows stand together in the indexes on it.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(of_time(now))
    }
}

impl MessageId {
    /// A new id of this time: a UUIDv7, so that new rows stand together in the indexes on it.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(of_time(now))
    }
}

/// A random id that sorts by its time: a UUIDv7 (RFC 9562, section 5.7). New rows then stand together at the
/// end of the indexes on it, however large the table is; ids without a time would each go to another page.
fn of_time(now: DateTime<Utc>) -> Uuid {
    let milliseconds = now.timestamp_millis().try_into().unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(milliseconds, &rand::random()).into_uuid()
}

macro_rules! uuid_text {
    ($($id:ident),*) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $id {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

macro_rules! provider_text {
    ($($id:ident),*) => {$(
        impl $id {
            /// The id as its provider writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $id {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self(text.to_owned()))
            }
        }

        impl From<&str> for $id {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $id {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    )*};
}

// sea-orm asks this of every primary key; only keys that the database counts up can answer.
macro_rules! never_counted {
    ($($id:ident),*) => {$(
        impl TryFromU64 for $id {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($id)))
            }
        }
    )*};
}

uuid_text!(ApiKeyId, JobId, BatchId, MessageId);
provider_text!(ContactId, ResponseId);
never_counted!(ApiKeyId, JobId, BatchId, MessageId, ContactId, ResponseId);

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_same_key_gives_the_same_job_in_every_build() {
        let id = JobId::from_idempotency_key("company-7/2026-11-22T00:00:00Z");
        assert_eq!(id.to_string(), "fbfbce5d-09c0-5ea2-bdf3-c29b59d7d718");
        assert_ne!(
            id,
            JobId::from_idempotency_key("company-8/2026-11-22T00:00:00Z")
        );
    }

    #[test]
    fn ids_are_read_back_from_their_text_and_their_json() {
        let id = BatchId::new(DateTime::UNIX_EPOCH);
        assert_eq!(id.to_string().parse::<BatchId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<BatchId>(&json).unwrap(), id);
        assert!("not an id".parse::<JobId>().is_err());
    }

    #[test]
    fn a_later_row_has_a_greater_id_and_no_two_have_the_same() {
        let at = |milliseconds| {
            MessageId::new(DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds))
        };
        let (earlier, later) = (at(1_795_944_141_000), at(1_795_944_141_001));
        assert!(earlier < later && earlier.to_string() < later.to_string());
        assert_eq!(later.0.get_version_num(), 7);
        assert_ne!(later, at(1_795_944_141_001));
    }

    #[test]
    fn a_providers_id_is_kept_as_it_came() {
        let id: ContactId = "cI08i1Bls3iTB9bKgF01".parse().unwrap();
        assert_eq!(id.to_string(), "cI08i1Bls3iTB9bKgF01");
        assert_eq!(
            serde_json::to_string(&id).unwrap(),
            "\"cI08i1Bls3iTB9bKgF01\""
        );
    }
}
