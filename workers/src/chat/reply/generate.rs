//! Generating the reply, once.

use std::collections::BTreeMap;

use clients::Provider;
use clients::highlevel::Channel;
use clients::openai::{InputItem, ReplyRequest, Role, Usage};
use crash_points::crash_point;
use entities::reply::{self, NewReply};
use entities::{BatchId, Transaction, batch, message};
use sea_orm::DbErr;
use tracing::{debug, warn};

use super::Reply;
use super::briefing::Briefing;
use super::check::{Rules, longest};
use super::conversation::conversation;
use crate::group_commit::nothing;
use crate::halt::{Halt, configured, give_up, unless_paused_in};

impl Reply {
    /// Asks the model and stores what it said, if it may be sent. Two workers that ask at the same
    /// time get the same reply: the first one stored.
    ///
    /// An answer that may not be sent is asked for once more. Nothing of it is kept, so a crash in
    /// between only means that the model is asked again.
    pub(super) async fn generate(
        &self,
        briefing: &Briefing,
        channel: Channel,
    ) -> Result<reply::Model, Halt> {
        let batch = &briefing.batch;
        let openai = configured(Provider::OpenAi, self.openai.as_ref())?;
        unless_paused_in(&briefing.pauses, Provider::OpenAi)?;
        let mut request = self.request(briefing, channel).await?;
        let rules = Rules {
            channel,
            instructions: &self.settings.instructions,
            allowed_hosts: self.settings.allowed_link_hosts.as_deref(),
        };
        let mut answer = openai.generate_reply(&request).await?;
        crash_point!("chat.reply.generated");
        let mut checked = rules.check(&answer.text);
        if let (true, Err(refusal)) = (answer.send, &checked) {
            warn!(batch.id = %batch.id, "The model's reply is not sent: {refusal}. Asking once more.");
            debug!(text = answer.text, "The reply that is not sent.");
            request.input.push(InputItem {
                role: Role::Developer,
                content: refusal.advice(),
            });
            let first = answer.usage;
            answer = openai.generate_reply(&request).await?;
            answer.usage = sum(first, answer.usage);
            checked = rules.check_shortened(&answer.text);
        }
        let text = match checked {
            Ok(text) => text,
            Err(_) if !answer.send => String::new(),
            Err(refusal) => {
                debug!(text = answer.text, "The reply that is not sent.");
                let detail = format!("the model's reply was refused twice: {refusal}");
                return Err(Halt::from(give_up("reply_refused", detail)));
            }
        };
        let usage = answer.usage.unwrap_or_default();
        let tokens = |count: u64| {
            answer
                .usage
                .map(|_| i64::try_from(count).unwrap_or(i64::MAX))
        };
        let reply = NewReply {
            batch_id: batch.id,
            text,
            send: answer.send,
            input_tokens: tokens(usage.input_tokens),
            cached_tokens: tokens(usage.cached_tokens),
            output_tokens: tokens(usage.output_tokens),
            reasoning_tokens: tokens(usage.reasoning_tokens),
            cost_usd: answer
                .usage
                .and_then(|usage| self.prices.cost(&answer.model, &usage, 0)),
            model: answer.model,
            generated_at: crate::time::now(),
        };
        let begin = || entities::begin(&self.db);
        let stored = self.groups.storing.join(reply, begin, store).await?;
        crash_point!("chat.reply.reply_stored");
        Ok(stored)
    }

    async fn request(&self, briefing: &Briefing, channel: Channel) -> Result<ReplyRequest, Halt> {
        let batch = &briefing.batch;
        // What superseded batches asked has not been answered yet: it belongs to this one.
        let unanswered = match briefing.has_earlier_batch() {
            true => batch::unanswered_before(&self.db, batch).await?,
            false => Vec::new(),
        };
        let oldest = unanswered.first().unwrap_or(batch);
        let limit = self.settings.history_messages;
        let read = |(), group: Vec<batch::Model>| async move {
            message::histories(&self.db, &group, limit).await
        };
        let histories = &self.groups.histories;
        let history = histories.join(oldest.clone(), nothing, read).await?;
        let ids = unanswered.iter().map(|batch| batch.id);
        let messages = match unanswered.is_empty() {
            true => briefing.messages.clone(),
            false => {
                let ids: Vec<BatchId> = ids.chain([batch.id]).collect();
                message::of_batches(&self.db, &ids).await?
            }
        };
        let mut input = vec![length_item(channel)];
        input.extend(conversation(
            briefing.contact.as_ref(),
            &history,
            &messages,
            self.settings.history_tokens,
        ));
        Ok(ReplyRequest {
            model: self.settings.model.clone(),
            instructions: self.settings.instructions.clone(),
            input,
            effort: self.settings.effort.clone(),
            max_output_tokens: Some(self.settings.max_output_tokens),
            metadata: BTreeMap::from([("batch_id".to_owned(), batch.id.to_string())]),
        })
    }
}

/// Stores the replies, in one transaction, and returns those that are stored.
async fn store(tx: Transaction, group: Vec<NewReply>) -> Result<Vec<reply::Model>, DbErr> {
    let stored = reply::store_all(&tx, group).await?;
    tx.commit().await?;
    Ok(stored)
}

fn length_item(channel: Channel) -> InputItem {
    let (channel, limit) = (channel.as_api(), longest(channel));
    InputItem {
        role: Role::Developer,
        content: format!("The answer goes out by {channel}: at most {limit} characters."),
    }
}

/// What two answers have used together.
fn sum(first: Option<Usage>, second: Option<Usage>) -> Option<Usage> {
    let (Some(first), Some(second)) = (first, second) else {
        return first.or(second);
    };
    Some(Usage {
        input_tokens: first.input_tokens + second.input_tokens,
        cached_tokens: first.cached_tokens + second.cached_tokens,
        output_tokens: first.output_tokens + second.output_tokens,
        reasoning_tokens: first.reasoning_tokens + second.reasoning_tokens,
        total_tokens: first.total_tokens + second.total_tokens,
    })
}
