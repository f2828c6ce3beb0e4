//! The part of the demo that watches: one research submission, one document, one reply.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::calls::Calls;
use super::play::{DEAL, MESSAGES};
use super::{DemoOptions, Failure, Step, Story, Teller};

const POLL: Duration = Duration::from_millis(250);
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// How long after the end a second reply or submission would still be noticed.
const AFTERMATH: Duration = Duration::from_secs(1);

/// What is known so far.
#[derive(Debug, Default)]
struct Seen {
    job: Option<String>,
    job_status: Option<String>,
    document: Option<String>,
    reply: Option<String>,
}

/// Waits until both flows have ended, then makes sure that nothing happened twice.
pub(crate) async fn until_done(
    calls: &Calls,
    options: &DemoOptions,
    teller: &Teller,
    story: &mut Story,
    baseline: u64,
    contact: &str,
) -> Step<()> {
    let mut seen = Seen::default();
    let mut last_sign = Instant::now();
    while seen.document.is_none() || seen.reply.is_none() {
        let effects = effects(calls, baseline).await?;
        research_progress(calls, teller, story, &mut seen, &effects).await?;
        chat_progress(teller, story, &mut seen, &effects, contact)?;
        if last_sign.elapsed() >= SIGN_OF_LIFE {
            last_sign = Instant::now();
            teller.say(&seen.waiting_for(options));
        }
        if teller.start.elapsed() + AFTERMATH * 2 >= options.timeout {
            let step = if seen.document.is_none() {
                "the research flow"
            } else {
                "the chat flow"
            };
            let expected = format!("to end within {} s", options.timeout.as_secs());
            return Err(Failure::new(step, &expected, &seen.waiting_for(options)));
        }
        tokio::time::sleep(POLL).await;
    }
    teller.say("watching a moment longer for anything that happens twice");
    tokio::time::sleep(AFTERMATH).await;
    let effects = effects(calls, baseline).await?;
    once(
        &effects,
        "messages_sent",
        "one reply to the contact",
        Some(contact),
    )?;
    if seen.job.is_some() {
        once(
            &effects,
            "research_submissions",
            "one research submission",
            None,
        )?;
    }
    let updates = of_kind(&effects, "deal_updates").filter(|effect| effect["subject"] == DEAL);
    story.add(
        "deal updates",
        format!("{} for deal {DEAL}", updates.count()),
    );
    let notifications = of_kind(&effects, "notifications").count();
    story.add("notifications", notifications.to_string());
    check_order(calls, baseline).await?;
    story.add(
        "reply model read",
        "all three messages, in order, the doubled one once",
    );
    Ok(())
}

async fn effects(calls: &Calls, baseline: u64) -> Step<Vec<Value>> {
    let mut effects = calls
        .ask(&format!("/sandbox/effects?since={baseline}"))
        .await?;
    Ok(effects["log"]
        .as_array_mut()
        .map(std::mem::take)
        .unwrap_or_default())
}

async fn research_progress(
    calls: &Calls,
    teller: &Teller,
    story: &mut Story,
    seen: &mut Seen,
    effects: &[Value],
) -> Step<()> {
    if seen.document.is_some() {
        return Ok(());
    }
    let Some(submission) = of_kind(effects, "research_submissions").next() else {
        return reused(teller, story, seen, effects);
    };
    once(
        effects,
        "research_submissions",
        "one research submission",
        None,
    )?;
    let job = submission["subject"].as_str().unwrap_or_default();
    if seen.job.is_none() {
        teller.say(&format!("OpenAI: received the research for job {job}"));
        story.add("research submitted", format!("{}, job {job}", teller.now()));
        seen.job = Some(job.to_owned());
    }
    let Some(status) = calls.job_status(job).await? else {
        return Ok(());
    };
    let name = status["status"].as_str().unwrap_or_default();
    if seen.job_status.as_deref() != Some(name) {
        teller.say(&format!("gateway: job {job} is {name}"));
        seen.job_status = Some(name.to_owned());
    }
    if matches!(name, "failed" | "cancelled" | "awaiting_budget") {
        let saw = format!("{name}: {}", status["error"]);
        return Err(Failure::new("the research job", "a document", &saw));
    }
    if let Some(document) = status["document_url"]
        .as_str()
        .filter(|url| !url.is_empty())
    {
        found_document(teller, story, seen, document);
    }
    Ok(())
}

/// A gateway that still has a fresh document for the company links that one, without new research.
fn reused(teller: &Teller, story: &mut Story, seen: &mut Seen, effects: &[Value]) -> Step<()> {
    let link = of_kind(effects, "deal_updates")
        .filter(|effect| effect["subject"] == DEAL)
        .find_map(|effect| effect["detail"]["research_doc_url"].as_str());
    if let Some(link) = link {
        teller.say("gateway: a fresh document from an earlier run is reused; no new research");
        story.add(
            "research",
            "reused from an earlier run (RESEARCH_CACHE_DAYS)",
        );
        found_document(teller, story, seen, link);
    }
    Ok(())
}

fn found_document(teller: &Teller, story: &mut Story, seen: &mut Seen, link: &str) {
    teller.say(&format!("the document is there: {link}"));
    story.add("document", format!("{}, {link}", teller.now()));
    seen.document = Some(link.to_owned());
}

fn chat_progress(
    teller: &Teller,
    story: &mut Story,
    seen: &mut Seen,
    effects: &[Value],
    contact: &str,
) -> Step<()> {
    let sent = of_kind(effects, "messages_sent").find(|effect| effect["subject"] == contact);
    let (Some(sent), None) = (sent, &seen.reply) else {
        return Ok(());
    };
    let text = sent["detail"]["text"].as_str().unwrap_or_default();
    teller.say(&format!("HighLevel: the reply reached the contact: {text}"));
    story.add("reply", format!("{}, {text}", teller.now()));
    seen.reply = Some(text.to_owned());
    Ok(())
}

/// The three texts stand in one request for a reply, in order, each of them once.
async fn check_order(calls: &Calls, baseline: u64) -> Step<()> {
    let received = calls.ask("/sandbox/received?provider=openai").await?;
    let requests = received.as_array().map(Vec::as_slice).unwrap_or_default();
    let bodies: Vec<String> = requests
        .iter()
        .filter(|request| request["number"].as_u64() > Some(baseline))
        .filter(|request| request["method"] == "POST" && request["path"] == "/v1/responses")
        .filter(|request| request["body"]["background"] != true)
        .map(|request| request["body"]["input"].to_string())
        .collect();
    let holds_all = |body: &&String| {
        let places: Vec<Option<usize>> = MESSAGES.iter().map(|text| body.find(text)).collect();
        let all = places.iter().all(Option::is_some) && places.is_sorted();
        all && MESSAGES.iter().all(|text| body.matches(text).count() == 1)
    };
    if bodies.iter().any(|body| holds_all(&body)) {
        return Ok(());
    }
    let expected = "one request with the three messages in order, each of them once";
    Err(Failure::new(
        "the reply model's input",
        expected,
        &bodies.join(" | "),
    ))
}

fn of_kind<'a>(effects: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    effects.iter().filter(move |effect| effect["kind"] == kind)
}

fn once(effects: &[Value], kind: &str, expected: &str, subject: Option<&str>) -> Step<()> {
    let of_subject = |effect: &&Value| subject.is_none_or(|subject| effect["subject"] == subject);
    match of_kind(effects, kind).filter(of_subject).count() {
        1 => Ok(()),
        count => Err(Failure::new(kind, expected, &format!("{count}"))),
    }
}

impl Seen {
    fn waiting_for(&self, options: &DemoOptions) -> String {
        let research = match (&self.document, &self.job_status, &self.job) {
            (Some(_), _, _) => "research: done".to_owned(),
            (None, Some(status), _) => format!("research: job is {status}"),
            (None, None, Some(_)) => "research: submitted".to_owned(),
            (None, None, None) => "research: not submitted yet".to_owned(),
        };
        let chat = match self.reply {
            Some(_) => "chat: done".to_owned(),
            None => format!(
                "chat: the batch waits for {} s of quiet",
                options.wait.as_secs()
            ),
        };
        format!("waiting ... {research}; {chat}")
    }
}
