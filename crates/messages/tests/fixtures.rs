//! Every event type and version has a fixture that must decode for ever.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see that helpers of a test are one"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use messages::{
    BatchClosed, BudgetExceeded, ContactChanged, DealStageChanged, DecodeError, DocumentCreated,
    Envelope, EventData, FlushRequested, MessageReceived, ReplyFailed, ResearchFailed,
    ResearchRequested, ResearchSubmitted, ResponseEnded, ResubmissionDue, TimersDue, WaitChanged,
};

/// Decodes the fixture's data as `T` and writes it again.
type Reader = fn(&Envelope) -> Result<serde_json::Value, DecodeError>;

fn reader<T: EventData>() -> (&'static [&'static str], Reader) {
    (T::TYPES, |envelope| {
        Ok(serde_json::to_value(envelope.data::<T>()?).unwrap())
    })
}

fn readers() -> Vec<(&'static [&'static str], Reader)> {
    vec![
        reader::<BatchClosed>(),
        reader::<BudgetExceeded>(),
        reader::<ContactChanged>(),
        reader::<DealStageChanged>(),
        reader::<DocumentCreated>(),
        reader::<FlushRequested>(),
        reader::<MessageReceived>(),
        reader::<ReplyFailed>(),
        reader::<ResearchFailed>(),
        reader::<ResearchRequested>(),
        reader::<ResearchSubmitted>(),
        reader::<ResponseEnded>(),
        reader::<ResubmissionDue>(),
        reader::<TimersDue>(),
        reader::<WaitChanged>(),
    ]
}

fn fixtures() -> Vec<(String, PathBuf)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            found.push((
                folder.file_name().into_string().unwrap(),
                file.unwrap().path(),
            ));
        }
    }
    found
}

#[test]
fn every_fixture_decodes_and_keeps_every_field_that_it_holds() {
    for (event_type, path) in fixtures() {
        let body = std::fs::read(&path).unwrap();
        let envelope = Envelope::decode(&body).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(
            envelope.event_type, event_type,
            "{path:?} lies in the folder of its type"
        );
        let (_, read) = readers()
            .into_iter()
            .find(|(types, _)| types.contains(&event_type.as_str()))
            .unwrap_or_else(|| panic!("{event_type} has a fixture and no data type"));
        let decoded = read(&envelope).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        let written: serde_json::Value = serde_json::from_str(envelope.data.get()).unwrap();
        for (field, value) in written.as_object().unwrap() {
            assert_eq!(decoded.get(field), Some(value), "{path:?}: field {field}");
        }
        let again: serde_json::Value = serde_json::from_slice(&envelope.encode()).unwrap();
        assert_eq!(
            again,
            serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
            "{path:?}"
        );
    }
}

#[test]
fn every_type_has_a_fixture() {
    let with_fixture: BTreeSet<String> = fixtures().into_iter().map(|(name, _)| name).collect();
    let with_data: BTreeSet<String> = readers()
        .iter()
        .flat_map(|(types, _)| types.iter().map(ToString::to_string))
        .collect();
    assert_eq!(with_fixture, with_data);
}

#[test]
fn a_body_that_is_not_ours_says_what_is_wrong() {
    let error = |body: &str| Envelope::decode(body.as_bytes()).unwrap_err().to_string();
    assert!(error("").contains("not a CloudEvents"));
    assert!(error("{}").contains("not a CloudEvents"));
    let body = r#"{"specversion":"2.0","id":"1","source":"s","type":"t","time":"2026-11-22T12:00:00Z","data":1}"#;
    assert!(error(body).contains("version \"2.0\""));
}

#[test]
fn data_of_another_type_or_shape_is_refused() {
    let time = "2026-11-22T12:00:00Z".parse().unwrap();
    let envelope = Envelope::new(
        "document.created",
        "1",
        "/test",
        time,
        &serde_json::json!({}),
    );
    assert!(matches!(
        envelope.data::<BatchClosed>(),
        Err(DecodeError::Type { .. })
    ));
    assert!(matches!(
        envelope.data::<DocumentCreated>(),
        Err(DecodeError::Data { .. })
    ));
}
