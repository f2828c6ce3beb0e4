//! The tables, as Markdown that reads well in a terminal too.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::account::{Account, Line};
use crate::books::Books;
use crate::log::Kind;
use crate::recovery::{Recovery, longest};
use crate::schedule::Plan;

/// Everything that is printed at the end.
#[derive(Debug)]
pub struct Report {
    /// What was played.
    pub plan: Plan,
    /// What was lost and repeated.
    pub account: Account,
    /// What Millrace says itself.
    pub books: Books,
    /// How many faults struck, by kind.
    pub faults: BTreeMap<Kind, usize>,
    /// How often the gateways answered with each status; `None` where there was no answer.
    pub answers: BTreeMap<Option<u16>, usize>,
    /// How long it took until all was well again.
    pub recoveries: Vec<Recovery>,
    /// How long it took until all was quiet, or what still moved.
    pub quiet: Result<Duration, String>,
    /// Parts that ended by themselves.
    pub ended: Vec<String>,
    /// Whether a target for the time to recover that was missed counts as a failure.
    pub strict_times: bool,
}

/// How many lines of a list are shown.
const LONGEST_LIST: usize = 40;

impl Report {
    /// Whether nothing was lost, nothing done twice, and all was quiet in the end.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.account.is_clean()
            && self.books.agree_with(&self.account)
            && self.quiet.is_ok()
            && self.ended.is_empty()
            && !(self.strict_times && self.misses_a_target())
    }

    fn misses_a_target(&self) -> bool {
        let mut recoveries = self.recoveries.iter();
        recoveries.any(|recovery| is_missed(recovery.way.target, recovery.time))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            seed,
            length,
            events,
            ..
        } = self.plan;
        let minutes = length.as_secs_f64() / 60.0;
        let database = self.plan.database;
        let faults: usize = self.faults.values().sum();
        let workers = self.plan.workers;
        writeln!(
            out,
            "seed {seed}, {minutes} minutes, {events} events, {faults} faults, {database:?}, gateways: {}, workers: {workers}, nodes of the broker: {}\n",
            self.plan.gateways, self.plan.nodes
        )?;
        counts(out, &self.account.lines)?;
        books(out, &self.books)?;
        if !self.books.agree_with(&self.account) {
            writeln!(
                out,
                "\nMillrace's books are NOT BALANCED, or do not agree with the account."
            )?;
        }
        match &self.quiet {
            Ok(time) => writeln!(
                out,
                "\nQuiet {} s after the last event and fault.",
                time.as_secs()
            )?,
            Err(moving) => writeln!(out, "\nNOT QUIET in time: {moving}")?,
        }
        for ended in &self.ended {
            writeln!(out, "ENDED by itself: {ended}")?;
        }

        writeln!(
            out,
            "\n| longest time to recover | seconds | target | times measured |\n| --- | ---: | ---: | ---: |"
        )?;
        for (way, (longest, times)) in longest(&self.recoveries) {
            let target = way.target.map(|target| target.as_secs().to_string());
            let missed = if is_missed(way.target, longest) {
                ", missed"
            } else {
                ""
            };
            writeln!(
                out,
                "| {} | {:.2}{missed} | {} | {times} |",
                way.name,
                longest.as_secs_f64(),
                target.unwrap_or_default()
            )?;
        }

        writeln!(out, "\n| the gateways answered | times |\n| --- | ---: |")?;
        for (status, times) in &self.answers {
            let status = status.map_or_else(|| "not".to_owned(), |status| status.to_string());
            writeln!(out, "| {status} | {times} |")?;
        }

        writeln!(out, "\n| fault | times |\n| --- | ---: |")?;
        for (kind, count) in &self.faults {
            writeln!(out, "| {kind} | {count} |")?;
        }

        if !self.account.parked.is_empty() {
            writeln!(
                out,
                "\n| parked in | reason | messages |\n| --- | --- | ---: |"
            )?;
            for ((queue, reason), count) in &self.account.parked {
                writeln!(out, "| {queue} | {reason} | {count} |")?;
            }
        }
        if !self.account.suppressed.is_empty() {
            writeln!(out, "\n| suppressed because | messages |\n| --- | ---: |")?;
            for (reason, count) in &self.account.suppressed {
                writeln!(out, "| {reason} | {count} |")?;
            }
        }
        list(out, "Lost", &self.account.lost)?;
        list(out, "Repeated", &self.account.repeated)?;
        list(
            out,
            "Repeated as the design permits",
            &self.account.permitted,
        )?;
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        writeln!(out, "\nResult: {verdict}")
    }
}

fn counts(out: &mut fmt::Formatter<'_>, lines: &[Line]) -> fmt::Result {
    writeln!(
        out,
        "| | sent | accepted | expected | seen | suppressed | failed | parked | lost | repeated | permitted repeats |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )?;
    let number = |number: Option<usize>| number.map(|number| number.to_string());
    for line in lines {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            line.what,
            number(line.sent).unwrap_or_default(),
            number(line.accepted).unwrap_or_default(),
            line.expected,
            line.seen,
            line.suppressed,
            line.failed,
            line.parked,
            line.lost,
            line.repeated,
            line.permitted,
        )?;
    }
    Ok(())
}

fn books(out: &mut fmt::Formatter<'_>, books: &Books) -> fmt::Result {
    writeln!(
        out,
        "\n| Millrace's own books | accepted | done | duplicate | suppressed | parked | open | unaccounted |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )?;
    for line in &books.consumers {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            line.consumer,
            line.accepted,
            line.done,
            line.duplicate,
            line.suppressed,
            line.parked,
            line.open,
            line.unaccounted
        )?;
    }
    Ok(())
}

fn list(out: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}:\n")?;
    for line in lines.iter().take(LONGEST_LIST) {
        writeln!(out, "- {line}")?;
    }
    if let Some(more @ 1..) = lines.len().checked_sub(LONGEST_LIST) {
        writeln!(out, "- and {more} more")?;
    }
    Ok(())
}

fn is_missed(target: Option<Duration>, time: Duration) -> bool {
    target.is_some_and(|target| time > target)
}
