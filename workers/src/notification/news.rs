//! The words of the news. Every one carries `text`, a sentence for people that chat tools show
//! (Slack's incoming webhooks read just that), beside the facts for programs. Names and reasons come
//! from outside: in the sentence they are text, neither links nor calls such as `<!channel>`.

use entities::{document, job};
use messages::{BudgetExceeded, ReplyFailed, ResearchFailed};
use serde_json::{Value, json};

use crate::text::one_line;

pub(super) fn document_created(job: &job::Model, document: &document::Model) -> Value {
    let company = company(job);
    json!({
        "event": "document.created",
        "text": format!("The go-to-market research on {} is ready: {}", plain(&company), document.url),
        "job_id": job.id.to_string(),
        "company_id": job.company_id,
        "company_name": job.company_name,
        "deal_id": job.deal_id,
        "document_url": document.url,
        "title": document.title,
        "missing_sections": document.missing_sections.0,
        "cost_usd": job.cost_usd,
    })
}

pub(super) fn research_failed(data: &ResearchFailed, job: Option<&job::Model>) -> Value {
    let company = job.map_or_else(|| data.job_id.to_string(), company);
    json!({
        "event": "research.failed",
        "text": format!(
            "The go-to-market research on {} failed: {}",
            plain(&company),
            plain(&data.reason)
        ),
        "job_id": data.job_id,
        "deal_id": job.and_then(|job| job.deal_id.clone()),
        "reason": data.reason,
    })
}

pub(super) fn reply_failed(data: &ReplyFailed) -> Value {
    json!({
        "event": "chat.reply_failed",
        "text": format!(
            "Contact {} waits for an answer that could not be given: {}",
            plain(&data.contact_id),
            plain(&data.reason)
        ),
        "batch_id": data.batch_id,
        "contact_id": data.contact_id,
        "reason": data.reason,
    })
}

pub(super) fn budget_exceeded(data: &BudgetExceeded) -> Value {
    json!({
        "event": "budget.exceeded",
        "text": format!(
            "Research job {} waits: {:.2} of today's {:.2} US dollars are spent, and it needs about {:.2}.",
            data.job_id, data.spent_usd, data.daily_budget_usd, data.estimated_cost_usd
        ),
        "job_id": data.job_id,
        "estimated_cost_usd": data.estimated_cost_usd,
        "spent_usd": data.spent_usd,
        "daily_budget_usd": data.daily_budget_usd,
    })
}

/// The note on the deal. Carries the job id, by which it is found again.
pub(super) fn note(job: &job::Model, document: &document::Model) -> String {
    let missing = &document.missing_sections.0;
    let missing = if missing.is_empty() {
        String::new()
    } else {
        format!("<p>Not delivered: {}</p>", escaped(&missing.join(", ")))
    };
    format!(
        "<p>Go-to-market research: <a href=\"{url}\">{title}</a></p>{missing}<p>Millrace job {job}</p>",
        url = escaped(&document.url),
        title = escaped(&document.title),
        job = job.id,
    )
}

fn company(job: &job::Model) -> String {
    job.company_name
        .clone()
        .unwrap_or_else(|| job.company_id.clone())
}

/// Text in which no chat tool finds a command: Slack's stand in angle brackets.
fn plain(text: &str) -> String {
    one_line(text, 1000).replace('<', "‹").replace('>', "›")
}

/// Titles come out of a model that has read web pages.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use messages::ReplyFailed;
    use uuid::Uuid;

    use super::{escaped, reply_failed};

    #[test]
    fn a_note_shows_a_title_and_does_not_run_it() {
        assert_eq!(
            escaped("<img src=x onerror='a(\"1\")'> & more"),
            "&lt;img src=x onerror=&#39;a(&quot;1&quot;)&#39;&gt; &amp; more"
        );
    }

    #[test]
    fn the_sentence_calls_nobody() {
        let news = reply_failed(&ReplyFailed {
            batch_id: Uuid::nil(),
            contact_id: "ada".to_owned(),
            reason: "<!channel> see <https://evil.example|this>\nnow".to_owned(),
        });
        assert_eq!(
            news["text"],
            "Contact ada waits for an answer that could not be given: ‹!channel› see \
             ‹https://evil.example|this› now"
        );
    }
}
