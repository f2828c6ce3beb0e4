//! The responses that OpenAI's stand-in holds, and how each of them is going to end.

use std::collections::{HashMap, VecDeque};

use serde::Deserialize;
use serde_json::Value;

/// All stored responses, the endings scripted for the next ones, and the next replies.
#[derive(Debug, Default)]
pub(crate) struct OpenAiStore {
    pub(crate) responses: HashMap<String, Value>,
    pub(crate) endings: VecDeque<Ending>,
    pub(crate) replies: VecDeque<String>,
}

/// How the next background responses end, scripted through the control interface.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ending {
    /// `completed`, `failed`, `incomplete` or `cancelled`.
    pub(crate) status: FinalStatus,
    /// `error.code` of a failed response, `incomplete_details.reason` of an incomplete one.
    #[serde(default)]
    pub(crate) code: Option<String>,
    /// The text of the message in place of the usual one.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// How long it takes, in place of the usual time.
    #[serde(default)]
    pub(crate) after_ms: Option<u64>,
    /// Whether OpenAI deletes the response at its end, so that nobody can fetch it.
    #[serde(default)]
    pub(crate) deleted: bool,
    /// The company whose research ends like this; that of any company when left out.
    #[serde(default)]
    pub(crate) company: Option<String>,
    /// How many responses end like this (default 1).
    #[serde(default = "once")]
    pub(crate) times: u32,
}

/// The states that a response does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FinalStatus {
    Completed,
    Failed,
    Incomplete,
    Cancelled,
}

impl FinalStatus {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
        }
    }
}

impl OpenAiStore {
    /// How the response on this company that is being created ends.
    pub(crate) fn next_ending(&mut self, company: &str) -> Ending {
        let fits = |ending: &Ending| ending.company.as_deref().is_none_or(|name| name == company);
        let Some(place) = self.endings.iter().position(fits) else {
            return Ending::default();
        };
        let ending = &mut self.endings[place];
        let taken = ending.clone();
        if ending.times > 1 {
            ending.times -= 1;
        } else {
            self.endings.remove(place);
        }
        taken
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            status: FinalStatus::Completed,
            code: None,
            text: None,
            after_ms: None,
            deleted: false,
            company: None,
            times: 1,
        }
    }
}

fn once() -> u32 {
    1
}
