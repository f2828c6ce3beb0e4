//! The referee: what happened in the outside world because somebody called a stand-in. An effect
//! is counted when it happens, also when the answer never reaches the caller.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;
use serde_json::Value;

use crate::app::lock;

/// The kinds of outward effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// A background response was created; the subject is its `metadata.job_id`.
    ResearchSubmissions,
    /// A synchronous response was created; the subject is its `metadata.batch_id`.
    RepliesGenerated,
    /// A message went out to a contact; the subject is the contact's id.
    MessagesSent,
    /// A Google document was made; the subject is its `appProperties.job_id`.
    DocumentsCreated,
    /// A Google document was changed; the subject is its id.
    DocumentUpdates,
    /// A note was made; the subject is the deal's id.
    NotesCreated,
    /// A deal was changed through the API; the subject is its id.
    DealUpdates,
    /// A notification arrived; the subject is its `job_id`.
    Notifications,
}

/// One outward effect.
#[derive(Debug, Clone, Serialize)]
pub struct Effect {
    /// Its place in the order of everything that happened in this sandbox.
    pub number: u64,
    /// When it happened, RFC 3339.
    pub at: String,
    /// What happened.
    pub kind: EffectKind,
    /// To whom or what; `-` when the request named nothing.
    pub subject: String,
    /// What a person wants to see of it: the text sent, the properties set, the new id.
    pub detail: Value,
}

/// How often each kind of effect happened to each subject.
pub type EffectCounts = BTreeMap<EffectKind, BTreeMap<String, u64>>;

/// All effects so far.
#[derive(Debug, Default)]
pub struct Effects(Mutex<Vec<Effect>>);

impl Effects {
    pub(crate) fn push(&self, effect: Effect) {
        lock(&self.0).push(effect);
    }

    /// Effects with a higher number than `since`, oldest first.
    pub fn list(&self, since: u64) -> Vec<Effect> {
        lock(&self.0)
            .iter()
            .filter(|effect| effect.number > since)
            .cloned()
            .collect()
    }

    /// How often each kind of effect happened to each subject; every kind is present.
    pub fn counts(&self, since: u64) -> EffectCounts {
        let mut counts: EffectCounts = EffectKind::ALL
            .into_iter()
            .map(|kind| (kind, BTreeMap::new()))
            .collect();
        for effect in self.list(since) {
            *counts
                .entry(effect.kind)
                .or_default()
                .entry(effect.subject)
                .or_default() += 1;
        }
        counts
    }

    /// How often one effect happened to one subject.
    pub fn count(&self, kind: EffectKind, subject: &str) -> usize {
        let log = lock(&self.0);
        log.iter()
            .filter(|effect| effect.kind == kind && effect.subject == subject)
            .count()
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

impl EffectKind {
    const ALL: [Self; 8] = [
        Self::ResearchSubmissions,
        Self::RepliesGenerated,
        Self::MessagesSent,
        Self::DocumentsCreated,
        Self::DocumentUpdates,
        Self::NotesCreated,
        Self::DealUpdates,
        Self::Notifications,
    ];
}
