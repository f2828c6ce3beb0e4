//! Messages in our queues, where people and older builds put things too.

use messages::{
    BatchClosed, BudgetExceeded, ContactChanged, DealStageChanged, DocumentCreated, Envelope,
    EventData, FlushRequested, MessageReceived, ReplyFailed, ResearchFailed, ResearchRequested,
    ResearchSubmitted, ResponseEnded, TimersDue, WaitChanged,
};

/// A message body.
pub(crate) fn envelope(data: &[u8]) {
    let event = match Envelope::decode(data) {
        Ok(event) => event,
        Err(error) => return tells_no_content(&error.to_string()),
    };
    assert!(!event.id.contains('\0'));
    let again = Envelope::decode(&event.encode()).expect("what we write we can read");
    assert_eq!(
        (&again.id, &again.event_type, again.data.get()),
        (&event.id, &event.event_type, event.data.get())
    );
    read::<BatchClosed>(&event);
    read::<BudgetExceeded>(&event);
    read::<ContactChanged>(&event);
    read::<DealStageChanged>(&event);
    read::<DocumentCreated>(&event);
    read::<FlushRequested>(&event);
    read::<MessageReceived>(&event);
    read::<ReplyFailed>(&event);
    read::<ResearchFailed>(&event);
    read::<ResearchRequested>(&event);
    read::<ResearchSubmitted>(&event);
    read::<ResponseEnded>(&event);
    read::<TimersDue>(&event);
    read::<WaitChanged>(&event);
}

/// Reads the data as `T`; what could be read can be written and read again.
fn read<T: EventData>(event: &Envelope) {
    if let Ok(data) = event.data::<T>() {
        let text = serde_json::to_string(&data).expect("data is written");
        assert!(!text.contains("\\u0000"), "{text}");
        let _: T = serde_json::from_str(&text).expect("what we write we can read");
    }
}

/// Errors go into logs: nothing longer than a version stands in one.
fn tells_no_content(error: &str) {
    assert!(error.len() < 200 || error.contains("version"), "{error}");
}
