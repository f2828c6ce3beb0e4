//! What everybody outside of Millrace saw, and where Millrace says that everything stands.

mod collect;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

pub use collect::collect;

/// Everything that the account is made of.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What contacts wrote.
    pub messages: Vec<Message>,
    /// The research that deals and clients wished for.
    pub wishes: Vec<Wish>,
    /// Replies that the model was asked for.
    pub reply_requests: Vec<ReplyRequest>,
    /// Messages that went out to contacts, in their order.
    pub replies: Vec<Reply>,
    /// Research that was submitted, in its order.
    pub submissions: Vec<Submission>,
    /// How many documents were created for each job.
    pub documents: BTreeMap<String, usize>,
    /// How many notes each deal got.
    pub notes: BTreeMap<String, usize>,
    /// How many notifications of a finished document came for each job.
    pub notifications: BTreeMap<String, usize>,
    /// What is parked.
    pub parked: Vec<ParkedMessage>,
    /// Where the batch of each stored message stands, by the message's text.
    pub batches: BTreeMap<String, Batch>,
    /// All jobs by their id.
    pub jobs: BTreeMap<String, Job>,
}

/// A message that a contact wrote.
#[derive(Debug, Clone)]
pub struct Message {
    /// What it says; no other message says the same, or has it as a part.
    pub text: String,
    /// Who wrote it.
    pub contact: String,
    /// Whether the gateway answered 2xx.
    pub accepted: bool,
}

/// Research that somebody wished for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// For people.
    pub name: String,
    /// The deal, where one asked for it.
    pub deal: Option<String>,
    /// The job that the gateway named, where a client asked for it.
    pub job: Option<String>,
    /// Whether the gateway answered 2xx.
    pub accepted: bool,
}

/// A reply that the model was asked for.
#[derive(Debug, Clone)]
pub struct ReplyRequest {
    /// The batch.
    pub batch: String,
    /// Everything that the model was shown.
    pub shown: String,
    /// The last item that it was shown: what the reply answers.
    pub answers: String,
}

/// A message that went out to a contact.
#[derive(Debug, Clone)]
pub struct Reply {
    /// To whom.
    pub contact: String,
    /// What it says.
    pub text: String,
    /// The batches for which the model had made this text.
    pub batches: Vec<String>,
}

/// Research that was submitted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The job.
    pub job: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether a fault came between it and the worker that made it, so that nobody inside could
    /// know its outcome.
    pub outcome_unknown: bool,
    /// When the gateway accepted the webhook of its end.
    pub told_at: Option<DateTime<Utc>>,
}

/// A message in a parking lot.
#[derive(Debug, Clone)]
pub struct ParkedMessage {
    /// The parking lot.
    pub queue: String,
    /// Why.
    pub reason: String,
    /// What happened.
    pub detail: String,
    /// The event.
    pub body: String,
}

/// Where a batch stands.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// Why it ended so.
    pub reason: Option<String>,
}

/// Where a job stands.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its state.
    pub state: String,
    /// The deal it is for.
    pub deal: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
}
