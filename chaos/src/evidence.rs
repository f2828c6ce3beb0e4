//! What everybody outside of Millrace saw, and where Millrace says that everything stands.

mod chat;
mod collect;
mod research;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

pub use collect::collect;

/// Everything that the account is made of.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What contacts wrote.
    pub messages: Vec<Message>,
    /// What forbids replies.
    pub silences: Vec<Silence>,
    /// The research that deals and clients wished for.
    pub wishes: Vec<Wish>,
    /// Events that nobody here reads.
    pub unknown: Vec<Kept>,
    /// Messages in work queues that are no event.
    pub unreadable: Vec<Kept>,
    /// Calls of operators: how many were made, and how many answered.
    pub calls: (usize, usize),
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
    /// How many notifications of failed research came for each job.
    pub failures: BTreeMap<String, usize>,
    /// What is parked.
    pub parked: Vec<ParkedMessage>,
    /// The batch of each stored question, by the question's number.
    pub batch_of: BTreeMap<u32, String>,
    /// All batches by their id.
    pub batches: BTreeMap<String, Batch>,
    /// All jobs by their id.
    pub jobs: BTreeMap<String, Job>,
}

/// A message that a contact wrote.
#[derive(Debug, Clone)]
pub struct Message {
    /// The number of its question.
    pub number: u32,
    /// Who wrote it.
    pub contact: String,
    /// Whether the gateway answered 2xx.
    pub accepted: bool,
}

/// Something after which a contact gets no reply.
#[derive(Debug, Clone)]
pub struct Silence {
    /// What it is.
    pub cause: Cause,
    /// The contact.
    pub contact: String,
    /// Whether the gateway answered 2xx.
    pub accepted: bool,
    /// When it was said, where that matters; what was said later may be answered.
    pub said_at: Option<DateTime<Utc>>,
    /// From when on no reply may be begun: it has been stored, and no fault delays those who were
    /// about to send. `None` when it has not been stored.
    pub in_force: Option<DateTime<Utc>>,
}

/// Why a contact gets no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The contact has opted out.
    OptOut,
    /// The contact is not to be disturbed.
    DoNotDisturb,
    /// A person has answered what the contact wrote before.
    AnswerByHand,
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
    /// Whether OpenAI was told to end it so that there may be no document.
    pub may_fail: bool,
}

/// Something that is kept for a person, and no more.
#[derive(Debug, Clone)]
pub struct Kept {
    /// For people.
    pub name: String,
    /// Whether it was taken.
    pub accepted: bool,
    /// Whether it is where it should be.
    pub is_there: bool,
}

/// A reply that the model was asked for.
#[derive(Debug, Clone)]
pub struct ReplyRequest {
    /// The batch.
    pub batch: String,
    /// The numbers of all questions that the model was shown.
    pub shown: Vec<u32>,
    /// Those in the last item that holds any: what the reply answers.
    pub answers: Vec<u32>,
}

/// A message that went out to a contact.
#[derive(Debug, Clone)]
pub struct Reply {
    /// To whom.
    pub contact: String,
    /// What it says.
    pub text: String,
    /// When it went out.
    pub at: DateTime<Utc>,
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
    /// Whether it ended without a result, so that another one is wanted.
    pub in_vain: bool,
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
    /// Its contact.
    pub contact: String,
    /// Its state.
    pub state: String,
    /// Why it ended so.
    pub reason: Option<String>,
    /// When its first message was said.
    pub begun_at: DateTime<Utc>,
    /// When somebody began to send its reply.
    pub claimed_at: Option<DateTime<Utc>>,
    /// The contact's next batch.
    pub next: Option<String>,
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
