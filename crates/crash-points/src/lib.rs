//! Named places at which a program can be made to die, to prove that nothing is lost and nothing
//! done twice when it dies just there (docs/adr/0013-crash-points.md).
//!
//! `CRASH_AT=chat.reply.sent` ends the process when it comes by that point, `CRASH_AT=chat.reply.sent:3`
//! when it comes by for the third time: at once, as SIGKILL would, with no destructor run. Release
//! builds hold neither the points nor the variable.

/// Every point, with the program that passes it. `./dev chaos --crash-points` walks this table, and
/// fails for a name that is never reached; a debug build refuses to pass a point that isn't in it.
pub const POINTS: &[(Program, &str)] = &[
    (Program::Gateway, "gateway.body_read"),
    (Program::Gateway, "gateway.verified"),
    (Program::Gateway, "publisher.sent"),
    (Program::Gateway, "gateway.confirmed"),
    // Between a publish and its confirm: the first one of a worker is the first follow-up of its life.
    (Program::Worker, "publisher.sent"),
    // Inside the handlers: around each commit and each outward call that `handled` doesn't cover.
    // First those that others have to wait for afterwards.
    (Program::Worker, "chat.intake.stored"),
    (Program::Worker, "chat.reply.generated"),
    (Program::Worker, "chat.reply.reply_stored"),
    (Program::Worker, "chat.reply.claimed"),
    (Program::Worker, "chat.reply.sent"),
    (Program::Worker, "research.submission.job_stored"),
    (Program::Worker, "research.submission.started"),
    (Program::Worker, "research.submission.submitted"),
    (Program::Worker, "research.completion.fetched"),
    (Program::Worker, "research.completion.response_stored"),
    (Program::Worker, "research.completion.document_started"),
    (Program::Worker, "research.completion.document_made"),
    (Program::Worker, "research.completion.document_filled"),
    (Program::Worker, "notification.delivery.post_started"),
    (Program::Worker, "notification.delivery.posted"),
    (Program::Worker, "notification.delivery.deal_updated"),
    (Program::Worker, "notification.delivery.note_started"),
    (Program::Worker, "notification.delivery.note_written"),
    (Program::Worker, "sweeper.noted"),
    (Program::Worker, "sweeper.published"),
    // Each work queue: before the handler, after its commit, between the confirm of its follow-ups
    // and the ack, after the ack.
    (Program::Worker, "chat.intake.delivered"),
    (Program::Worker, "chat.intake.handled"),
    (Program::Worker, "chat.intake.followed_up"),
    (Program::Worker, "chat.intake.acked"),
    (Program::Worker, "chat.flush.delivered"),
    (Program::Worker, "chat.flush.handled"),
    (Program::Worker, "chat.flush.followed_up"),
    (Program::Worker, "chat.flush.acked"),
    (Program::Worker, "chat.reply.delivered"),
    (Program::Worker, "chat.reply.handled"),
    (Program::Worker, "chat.reply.followed_up"),
    (Program::Worker, "chat.reply.acked"),
    (Program::Worker, "research.submission.delivered"),
    (Program::Worker, "research.submission.handled"),
    (Program::Worker, "research.submission.followed_up"),
    (Program::Worker, "research.submission.acked"),
    (Program::Worker, "research.completion.delivered"),
    (Program::Worker, "research.completion.handled"),
    (Program::Worker, "research.completion.followed_up"),
    (Program::Worker, "research.completion.acked"),
    (Program::Worker, "notification.delivery.delivered"),
    (Program::Worker, "notification.delivery.handled"),
    (Program::Worker, "notification.delivery.followed_up"),
    (Program::Worker, "notification.delivery.acked"),
];

/// Which program passes a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// `millrace-gateway`.
    Gateway,
    /// `millrace-worker`.
    Worker,
}

/// Passes a point: nothing happens, unless `CRASH_AT` names it. Takes what [`format!`] takes.
#[macro_export]
macro_rules! crash_point {
    ($($name:tt)+) => {
        #[cfg(debug_assertions)]
        $crate::pass(&format!($($name)+));
    };
}

/// What [`crash_point!`] does in a debug build.
///
/// # Panics
/// When the point isn't in [`POINTS`], or `CRASH_AT` names none that is.
#[cfg(debug_assertions)]
pub fn pass(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WISH: LazyLock<Option<Wish>> =
        LazyLock::new(|| Some(Wish::read(&std::env::var("CRASH_AT").ok()?)));
    static PASSED: AtomicU32 = AtomicU32::new(0);

    assert!(exists(name), "the crash point {name} is missing in POINTS");
    let Some(wish) = WISH.as_ref().filter(|wish| wish.name == name) else {
        return;
    };
    let times = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if times == wish.times {
        eprintln!("crash point {name} passed {times} times: the process ends here");
        std::process::abort();
    }
}

#[cfg(debug_assertions)]
fn exists(name: &str) -> bool {
    POINTS.iter().any(|(_, point)| *point == name)
}

/// What `CRASH_AT` asks for.
#[cfg(debug_assertions)]
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    name: String,
    times: u32,
}

#[cfg(debug_assertions)]
impl Wish {
    fn read(value: &str) -> Self {
        let (name, times) = value.split_once(':').unwrap_or((value, "1"));
        let times = times.parse().ok().filter(|times| *times > 0);
        assert!(
            exists(name) && times.is_some(),
            "CRASH_AT={value}: it takes the name of a crash point, or name:n"
        );
        Self {
            name: name.to_owned(),
            times: times.unwrap_or(1),
        }
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::collections::BTreeSet;

    use super::{POINTS, Wish};

    #[test]
    fn no_point_is_listed_twice() {
        let points: BTreeSet<String> = POINTS.iter().map(|point| format!("{point:?}")).collect();
        assert_eq!(points.len(), POINTS.len());
    }

    #[test]
    fn a_wish_names_a_point_and_a_passage() {
        let wish = |name: &str, times| Wish {
            name: name.to_owned(),
            times,
        };
        assert_eq!(Wish::read("chat.reply.sent"), wish("chat.reply.sent", 1));
        assert_eq!(Wish::read("chat.reply.sent:3"), wish("chat.reply.sent", 3));
    }

    #[test]
    #[should_panic(expected = "it takes the name of a crash point")]
    fn a_wish_for_no_point_is_refused() {
        Wish::read("chat.reply.imagined");
    }
}
