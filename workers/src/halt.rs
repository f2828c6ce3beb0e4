//! Leaving a handler early with `?`: what each kind of error means for the message.

use std::time::Duration;

use broker::{Failure, Unavailable, Verdict};
use chrono::{DateTime, TimeDelta, Utc};
use clients::{ClientError, ErrorKind, Provider};
use entities::{effect, is_transient, pause, pause::Pauses};
use messages::DecodeError;
use sea_orm::{DatabaseConnection, DbErr};
use tracing::warn;

/// How long work waits for a person when a provider refuses our key. It is not burned into the
/// parking lot: the key is the fault, not the message.
const UNAUTHORIZED_WAIT: Duration = Duration::from_secs(120);

/// The pause after a 429 that names no time.
const USUAL_PAUSE: Duration = Duration::from_secs(5);

/// A provider may ask for a day; we look again after an hour.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// A verdict reached early.
#[derive(Debug)]
pub(crate) struct Halt {
    verdict: Verdict,
    /// The provider that asked for a pause, and for how long.
    pause: Option<(Provider, Duration)>,
}

/// What a handler's steps return.
pub(crate) type Handled = Result<Verdict, Halt>;

/// The verdict, by whichever way it was reached. A pause that a provider asked for is noted for the
/// workers of all pods.
pub(crate) async fn settled(db: &DatabaseConnection, handled: Handled) -> Verdict {
    let Halt { verdict, pause } = match handled {
        Ok(verdict) => return verdict,
        Err(halt) => halt,
    };
    if let Some((provider, wait)) = pause {
        let until = crate::time::now() + wait.min(LONGEST_PAUSE);
        warn!(%provider, %until, "The provider asks for a pause; all its workers wait.");
        if let Err(error) = pause::extend(db, name(provider), until).await {
            warn!(%error, "The pause could not be noted; the other pods will meet the limit too.");
        }
    }
    verdict
}

/// The client, where its key is configured and its provider takes calls: not while it has asked for
/// a pause, whichever pod it asked.
pub(crate) async fn ready<'a, T>(
    db: &DatabaseConnection,
    provider: Provider,
    client: Option<&'a T>,
) -> Result<&'a T, Halt> {
    let client = configured(provider, client)?;
    unless_paused(db, provider).await?;
    Ok(client)
}

/// The client, where its key is configured.
pub(crate) fn configured<T>(provider: Provider, client: Option<&T>) -> Result<&T, Halt> {
    client.ok_or_else(|| {
        let (reason, variable) = match provider {
            Provider::OpenAi => ("openai_not_configured", "OPENAI_API_KEY"),
            Provider::HubSpot => ("hubspot_not_configured", "HUBSPOT_ACCESS_TOKEN"),
            Provider::HighLevel => ("highlevel_not_configured", "GHL_API_KEY"),
            Provider::Google => ("google_not_configured", "GOOGLE_APPLICATION_CREDENTIALS"),
            Provider::Notify => ("notify_not_configured", "NOTIFY_WEBHOOK_URL"),
        };
        let detail =
            format!("{variable} is not set: set it, restart this worker, replay this message");
        Halt::from(give_up(reason, detail))
    })
}

/// Stops here while the provider has asked for a pause, whichever pod it asked.
pub(crate) async fn unless_paused(db: &DatabaseConnection, provider: Provider) -> Result<(), Halt> {
    match pause::until(db, name(provider), crate::time::now()).await? {
        None => Ok(()),
        Some(until) => Err(paused(until)),
    }
}

/// [`unless_paused`] where the pauses have been read already.
pub(crate) fn unless_paused_in(pauses: &Pauses, provider: Provider) -> Result<(), Halt> {
    match paused_until(pauses, provider) {
        None => Ok(()),
        Some(until) => Err(paused(until)),
    }
}

/// Until when the provider wants no calls.
pub(crate) fn paused_until(pauses: &Pauses, provider: Provider) -> Option<DateTime<Utc>> {
    pauses.get(name(provider)).copied()
}

/// What comes back when the pause is over.
pub(crate) fn paused(until: DateTime<Utc>) -> Halt {
    let left = (until - crate::time::now()).to_std().unwrap_or_default();
    // Not all at the same moment, or the limit is met again.
    let spread = Duration::from_secs(rand::random_range(0..=left.as_secs() / 4 + 2));
    Halt::from(Verdict::Snooze {
        reason: "provider_paused",
        delay: left + spread,
    })
}

fn name(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenAi => "openai",
        Provider::HubSpot => "hubspot",
        Provider::HighLevel => "highlevel",
        Provider::Google => "google",
        Provider::Notify => "notify",
    }
}

impl Halt {
    /// Whether something of our own is away, for all messages alike.
    pub(crate) fn is_hold(&self) -> bool {
        matches!(self.verdict, Verdict::Hold(_))
    }

    /// Whether no later attempt can help.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.verdict, Verdict::GiveUp(_) | Verdict::Poison(_))
    }
}

impl From<Verdict> for Halt {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            pause: None,
        }
    }
}

impl From<DbErr> for Halt {
    fn from(error: DbErr) -> Self {
        Self::from(&error)
    }
}

impl From<&DbErr> for Halt {
    fn from(error: &DbErr) -> Self {
        Self::from(if is_transient(error) {
            Verdict::Hold(unavailable(error))
        } else {
            retry_later("database_error", error.to_string())
        })
    }
}

impl From<DecodeError> for Halt {
    fn from(error: DecodeError) -> Self {
        Self::from(Verdict::Poison(Failure::new(
            "unreadable",
            error.to_string(),
        )))
    }
}

/// For calls that change nothing there: repeating one is always safe.
impl From<ClientError> for Halt {
    fn from(error: ClientError) -> Self {
        let reason = reason(&error);
        let limited = error.status() == Some(429) || error.retry_after().is_some();
        let pause = limited.then(|| (error.provider(), error.retry_after().unwrap_or(USUAL_PAUSE)));
        let verdict = match error.kind() {
            ErrorKind::NotDone { .. } | ErrorKind::Unknown => Verdict::RetryLater {
                delay: error.retry_after(),
                failure: Failure::new(reason, error.to_string()),
            },
            ErrorKind::Unauthorized => unauthorized(&error),
            ErrorKind::Permanent { .. } | ErrorKind::NotFound => give_up(reason, error.to_string()),
        };
        Self { verdict, pause }
    }
}

/// The database is away; the message stays where it is.
pub(crate) fn unavailable(error: &DbErr) -> Unavailable {
    Unavailable(format!("the database does not answer: {error}"))
}

/// A failed attempt that a later one may not repeat.
pub(crate) fn retry_later(reason: &'static str, detail: impl Into<String>) -> Verdict {
    Verdict::RetryLater {
        failure: Failure::new(reason, detail),
        delay: None,
    }
}

/// The end of the attempts, whatever their number.
pub(crate) fn give_up(reason: &'static str, detail: impl Into<String>) -> Verdict {
    Verdict::GiveUp(Failure::new(reason, detail))
}

/// How long after an effect's start its call may begin, so that it has ended when the call is no longer
/// taken to be under way.
const LATEST_START: TimeDelta = TimeDelta::seconds(5);

/// Comes right before the call of an effect that was started at `since`: a process that stood still in
/// between must not do what another may have done by now.
pub(crate) async fn unless_grown_old(
    db: &DatabaseConnection,
    key: &str,
    since: DateTime<Utc>,
) -> Result<(), Halt> {
    if crate::time::now() - since <= LATEST_START {
        return Ok(());
    }
    effect::forget(db, key, since).await?;
    Err(Halt::from(Verdict::Snooze {
        reason: "start_grew_old",
        delay: Duration::from_secs(1),
    }))
}

/// The provider was asked at `asked_at` about an effect that was started at `since`, and had nothing of
/// it: not yet, if the call may have been under way then (`in_flight`), else never, so that it may be
/// started again. `reasons` name the two.
///
/// The time of the question counts, not that of its answer: whoever stood still in between may have
/// asked too early.
pub(crate) async fn not_there(
    db: &DatabaseConnection,
    key: &str,
    since: DateTime<Utc>,
    asked_at: DateTime<Utc>,
    in_flight: TimeDelta,
    reasons: [&'static str; 2],
) -> Result<Verdict, DbErr> {
    let [not_yet, never] = reasons;
    let (reason, delay) = if asked_at - since < in_flight {
        (not_yet, 5)
    } else {
        effect::forget(db, key, since).await?;
        (never, 1)
    };
    let delay = Duration::from_secs(delay);
    Ok(Verdict::Snooze { reason, delay })
}

/// Work that waits until a person has given us a key that works.
pub(crate) fn unauthorized(error: &ClientError) -> Verdict {
    tracing::error!(
        error = %error,
        "The key was refused; the work waits. Check the key and its rights."
    );
    Verdict::Snooze {
        reason: reason(error),
        delay: UNAUTHORIZED_WAIT,
    }
}

/// A closed set of words for what went wrong at which provider: a metric label, and a filter for
/// parked messages.
pub(crate) fn reason(error: &ClientError) -> &'static str {
    use ErrorKind::{NotDone, NotFound, Permanent, Unauthorized, Unknown};
    match (error.provider(), error.kind()) {
        (Provider::OpenAi, NotDone { .. } | Unknown) => "openai_unavailable",
        (Provider::OpenAi, Permanent { .. }) => "openai_refused",
        (Provider::OpenAi, NotFound) => "openai_not_found",
        (Provider::OpenAi, Unauthorized) => "openai_unauthorized",
        (Provider::HubSpot, NotDone { .. } | Unknown) => "hubspot_unavailable",
        (Provider::HubSpot, Permanent { .. }) => "hubspot_refused",
        (Provider::HubSpot, NotFound) => "hubspot_not_found",
        (Provider::HubSpot, Unauthorized) => "hubspot_unauthorized",
        (Provider::HighLevel, NotDone { .. } | Unknown) => "highlevel_unavailable",
        (Provider::HighLevel, Permanent { .. }) => "highlevel_refused",
        (Provider::HighLevel, NotFound) => "highlevel_not_found",
        (Provider::HighLevel, Unauthorized) => "highlevel_unauthorized",
        (Provider::Google, NotDone { .. } | Unknown) => "google_unavailable",
        (Provider::Google, Permanent { .. }) => "google_refused",
        (Provider::Google, NotFound) => "google_not_found",
        (Provider::Google, Unauthorized) => "google_unauthorized",
        (Provider::Notify, NotDone { .. } | Unknown) => "notify_unavailable",
        (Provider::Notify, Permanent { .. }) => "notify_refused",
        (Provider::Notify, NotFound) => "notify_not_found",
        (Provider::Notify, Unauthorized) => "notify_unauthorized",
    }
}

#[cfg(test)]
mod tests {
    use broker::Verdict;
    use chrono::TimeDelta;
    use entities::effect::{self, Start};
    use test_support::Database;

    use super::{not_there, unless_grown_old};
    use crate::time::{moved, now};

    const IN_FLIGHT: TimeDelta = TimeDelta::seconds(45);
    const REASONS: [&str; 2] = ["not_yet", "never"];

    #[tokio::test]
    async fn a_question_that_was_asked_too_early_settles_nothing_however_late_its_answer_is_read() {
        let database = Database::sqlite().await;
        let db = database.connect().await;
        let since = now();
        effect::start(&db, "note", since).await.unwrap();
        let asked_at = now();
        moved::on(TimeDelta::minutes(2));

        let not_there_at = async |asked_at| {
            let answer = not_there(&db, "note", since, asked_at, IN_FLIGHT, REASONS);
            match answer.await.unwrap() {
                Verdict::Snooze { reason, .. } => reason,
                verdict => panic!("it comes again: {verdict:?}"),
            }
        };
        assert_eq!(not_there_at(asked_at).await, "not_yet");
        let start = effect::start(&db, "note", now()).await.unwrap();
        assert_eq!(start, Start::Started { since });

        assert_eq!(not_there_at(now()).await, "never");
        let start = effect::start(&db, "note", now()).await.unwrap();
        assert_eq!(start, Start::Fresh);
    }

    #[tokio::test]
    async fn who_stood_still_before_the_call_does_not_make_it() {
        let database = Database::sqlite().await;
        let db = database.connect().await;
        let since = now();
        effect::start(&db, "note", since).await.unwrap();
        assert!(unless_grown_old(&db, "note", since).await.is_ok());

        moved::on(TimeDelta::seconds(6));

        assert!(unless_grown_old(&db, "note", since).await.is_err());
        let start = effect::start(&db, "note", now()).await.unwrap();
        assert_eq!(start, Start::Fresh);
    }
}
