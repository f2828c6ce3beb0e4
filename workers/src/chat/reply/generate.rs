//! Generating the reply, once.

use std::collections::BTreeMap;

use clients::Provider;
use clients::openai::ReplyRequest;
use crash_points::crash_point;
use entities::reply::{self, NewReply};
use entities::{BatchId, batch, contact, message};

use super::Reply;
use super::conversation::conversation;
use crate::halt::{Halt, ready};

impl Reply {
    /// Asks the model and stores what it said. Two workers that ask at the same time get the same
    /// reply: the first one stored.
    pub(super) async fn generate(&self, batch: &batch::Model) -> Result<reply::Model, Halt> {
        let openai = ready(&self.db, Provider::OpenAi, self.openai.as_ref()).await?;
        let contact = contact::find(&self.db, &batch.contact_id).await?;
        // What superseded batches asked has not been answered yet: it belongs to this one.
        let unanswered = batch::unanswered_before(&self.db, batch).await?;
        let oldest = unanswered.first().unwrap_or(batch);
        let limit = self.settings.history_messages;
        let history = message::history(&self.db, &batch.contact_id, oldest, limit).await?;
        let batches: Vec<BatchId> = unanswered
            .iter()
            .map(|batch| batch.id)
            .chain([batch.id])
            .collect();
        let messages = message::of_batches(&self.db, &batches).await?;
        let request = ReplyRequest {
            model: self.settings.model.clone(),
            instructions: self.settings.instructions.clone(),
            input: conversation(
                contact.as_ref(),
                &history,
                &messages,
                self.settings.history_tokens,
            ),
            effort: self.settings.effort.clone(),
            max_output_tokens: Some(self.settings.max_output_tokens),
            metadata: BTreeMap::from([("batch_id".to_owned(), batch.id.to_string())]),
        };
        let answer = openai.generate_reply(&request).await?;
        crash_point!("chat.reply.generated");
        let usage = answer.usage.unwrap_or_default();
        let tokens = |count: u64| {
            answer
                .usage
                .map(|_| i64::try_from(count).unwrap_or(i64::MAX))
        };
        let reply = NewReply {
            batch_id: batch.id,
            text: answer.text,
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
        let stored = reply::store(&self.db, reply).await?;
        crash_point!("chat.reply.reply_stored");
        Ok(stored)
    }
}
