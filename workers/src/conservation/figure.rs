//! One consumer's figure.

use std::collections::BTreeMap;

use entities::conservation::Tally;
use serde::Serialize;

/// The reason of units that were given up and whose message has been taken out of the parking lot
/// since: purged, or removed when its time was over.
const GIVEN_UP: &str = "given_up";

/// The reason of parked messages that no worker has given up: the broker parked them after too many
/// deliveries, or they could not be read.
const UNREAD: &str = "unread";

/// What a consumer accepted and what became of it. `unaccounted` is accepted − (done + duplicate +
/// suppressed + parked + open).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// The consumer: its work queue.
    pub consumer: String,
    /// What it was handed.
    pub accepted: u64,
    /// Work that is done.
    pub done: u64,
    /// What had been done before.
    pub duplicate: u64,
    /// What ended without being done, on purpose.
    pub suppressed: u64,
    /// What lies in the parking lot, as the broker counts it.
    pub parked: u64,
    /// What is on its way.
    pub open: u64,
    /// What is none of these: 0 when all is well.
    pub unaccounted: i64,
    /// `suppressed` by reason.
    pub suppressed_by_reason: BTreeMap<String, u64>,
    /// What was given up, by reason, as the database has recorded it.
    pub parked_by_reason: BTreeMap<String, u64>,
}

impl Figure {
    /// Compares the rows with the messages: `parked` in the parking lot; `queued` in the queue, which
    /// may be replayed ones; `delayed` in the lanes, which may, as those in the queue, drive a row on.
    pub(crate) fn of(consumer: &str, tally: Tally, parked: u64, queued: u64, delayed: u64) -> Self {
        let given_up: u64 = tally.given_up.values().sum();
        let unread = parked.saturating_sub(given_up);
        let not_in_the_lot = given_up.saturating_sub(parked);
        let lost =
            tally.overdue.saturating_sub(queued + delayed) + not_in_the_lot.saturating_sub(queued);
        // Messages that were given up and stand for a failed unit; the others are units by themselves.
        let failed_units = given_up.min(tally.failed);

        let mut suppressed_by_reason = tally.suppressed;
        if tally.failed > failed_units {
            suppressed_by_reason.insert(GIVEN_UP.to_owned(), tally.failed - failed_units);
        }
        let mut parked_by_reason = tally.given_up;
        if unread > 0 {
            parked_by_reason.insert(UNREAD.to_owned(), unread);
        }
        let accepted = tally.accepted + (given_up - failed_units) + unread;
        let suppressed = suppressed_by_reason.values().sum();
        let open = (tally.waiting + not_in_the_lot).saturating_sub(lost);
        let ended = tally.done + tally.duplicate + suppressed + parked;
        Self {
            consumer: consumer.to_owned(),
            accepted,
            done: tally.done,
            duplicate: tally.duplicate,
            suppressed,
            parked,
            open,
            unaccounted: accepted as i64 - (ended + open) as i64,
            suppressed_by_reason,
            parked_by_reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use entities::conservation::Tally;

    use super::Figure;

    fn of(tally: Tally, parked: u64, queued: u64) -> Figure {
        Figure::of("chat.reply", tally, parked, queued, 0)
    }

    fn given_up(count: u64) -> Tally {
        Tally {
            accepted: 10,
            done: 10 - count,
            failed: count,
            given_up: [("openai_refused".to_owned(), count)].into(),
            ..Tally::default()
        }
    }

    #[test]
    fn what_is_half_way_is_open_as_long_as_a_message_may_drive_it_on() {
        let waiting = |overdue| Tally {
            accepted: 10,
            done: 7,
            waiting: 3,
            overdue,
            ..Tally::default()
        };
        let young = of(waiting(0), 0, 0);
        assert_eq!((young.open, young.unaccounted), (3, 0));
        let carried = of(waiting(2), 0, 2);
        assert_eq!((carried.open, carried.unaccounted), (3, 0));
        let delayed = Figure::of("chat.reply", waiting(2), 0, 1, 1);
        assert_eq!((delayed.open, delayed.unaccounted), (3, 0));
        let lost = of(waiting(2), 0, 1);
        assert_eq!((lost.open, lost.unaccounted), (2, 1));
    }

    #[test]
    fn what_was_given_up_must_lie_in_the_parking_lot_or_be_on_its_way_back() {
        let parked = of(given_up(2), 2, 0);
        assert_eq!((parked.parked, parked.unaccounted), (2, 0));
        let replayed = of(given_up(2), 1, 1);
        assert_eq!((replayed.open, replayed.unaccounted), (1, 0));
        let lost = Figure::of("chat.reply", given_up(2), 1, 0, 7);
        assert_eq!((lost.parked, lost.unaccounted), (1, 1));
    }

    #[test]
    fn what_was_purged_has_ended_for_a_named_reason() {
        let purged = Tally {
            given_up: [].into(),
            ..given_up(2)
        };
        let figure = of(purged, 0, 0);
        assert_eq!(figure.suppressed_by_reason["given_up"], 2);
        assert_eq!(figure.unaccounted, 0);
    }

    #[test]
    fn a_message_that_nobody_could_read_was_accepted_and_is_parked() {
        let figure = of(given_up(1), 2, 0);
        assert_eq!((figure.accepted, figure.parked), (11, 2));
        assert_eq!(figure.parked_by_reason["unread"], 1);
        assert_eq!(figure.unaccounted, 0);
    }

    #[test]
    fn a_unit_in_no_known_state_is_unaccounted_for() {
        let unknown = Tally {
            accepted: 3,
            done: 2,
            ..Tally::default()
        };
        assert_eq!(of(unknown, 0, 5).unaccounted, 1);
    }
}
