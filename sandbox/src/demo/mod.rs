//! Plays both flows against a running gateway, only over HTTP, and tells what happens where.

mod calls;
mod play;
mod watch;

use std::fmt;
use std::time::{Duration, Instant};

use self::calls::Calls;

/// What the demo needs to know.
#[derive(Clone)]
pub struct DemoOptions {
    /// The gateway's address, without a slash at the end.
    pub gateway: String,
    /// A key of the gateway's `API_KEYS`.
    pub api_key: String,
    /// The sandbox's address, without a slash at the end.
    pub sandbox: String,
    /// The stage that starts research.
    pub stage: String,
    /// The gateway's wait for further messages.
    pub wait: Duration,
    /// When to give up.
    pub timeout: Duration,
}

/// Why a step failed.
#[derive(Debug)]
pub(crate) struct Failure {
    step: String,
    expected: String,
    saw: String,
}

pub(crate) type Step<T> = Result<T, Failure>;

/// What the demo has seen, for the table at its end.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Vec<(String, String)>,
}

/// Prints with the time since the start.
pub(crate) struct Teller {
    start: Instant,
}

/// Plays the demo. True when everything happened as it must.
pub async fn run(options: &DemoOptions) -> bool {
    let teller = Teller {
        start: Instant::now(),
    };
    let mut story = Story::default();
    let within = tokio::time::timeout(options.timeout, play(options, &teller, &mut story)).await;
    let outcome = within.unwrap_or_else(|_| {
        let expected = format!("to end within {} s", options.timeout.as_secs());
        Err(Failure::new(
            "the demo",
            &expected,
            "no end; the last line above says what it waited for",
        ))
    });
    match outcome {
        Ok(()) => {
            teller.say("done: one document, one reply, everything forged or repeated kept out");
            print!("\n{story}");
            true
        }
        Err(failure) => {
            teller.say(&format!("FAILED at: {}", failure.step));
            eprintln!(
                "  expected: {}\n  saw:      {}",
                failure.expected, failure.saw
            );
            eprintln!("  what the stand-ins received: {}/sandbox", options.sandbox);
            false
        }
    }
}

async fn play(options: &DemoOptions, teller: &Teller, story: &mut Story) -> Step<()> {
    let calls = Calls::new(options);
    let baseline = calls.newest_effect().await?;
    play::research(&calls, options, teller, story).await?;
    let contact = play::chat(&calls, options, teller, story).await?;
    watch::until_done(&calls, options, teller, story, baseline, &contact).await
}

impl Teller {
    pub(crate) fn say(&self, line: &str) {
        println!("{:>6.1} s  {line}", self.start.elapsed().as_secs_f64());
    }

    pub(crate) fn now(&self) -> String {
        format!("{:.1} s", self.start.elapsed().as_secs_f64())
    }
}

impl Failure {
    pub(crate) fn new(step: &str, expected: &str, saw: &str) -> Self {
        Self {
            step: step.to_owned(),
            expected: expected.to_owned(),
            saw: saw.to_owned(),
        }
    }
}

impl Story {
    pub(crate) fn add(&mut self, what: &str, found: impl Into<String>) {
        self.lines.push((what.to_owned(), found.into()));
    }
}

impl fmt::Display for Story {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .lines
            .iter()
            .map(|(what, _)| what.len())
            .max()
            .unwrap_or_default();
        for (what, found) in &self.lines {
            writeln!(formatter, "  {what:<width$}  {found}")?;
        }
        Ok(())
    }
}
