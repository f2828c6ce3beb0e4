//! Ids in paths.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::contract::CanFail;
use crate::problem::Problem;
use crate::state::State;

/// The longest id, in characters.
const LONGEST: usize = 255;

/// The one id in the path: 1 to 255 visible ASCII characters. Every id of ours and of the providers is
/// one, and a database can be asked for it.
pub(crate) struct PathId(pub(crate) String);

impl FromRequestParts<State> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path
            .map(|Path(id)| id)
            .ok()
            .filter(|id| id.len() <= LONGEST && id.bytes().all(|byte| byte.is_ascii_graphic()));
        id.map(Self).ok_or_else(impossible)
    }
}

impl CanFail for PathId {
    fn problems() -> Vec<Problem> {
        vec![impossible()]
    }
}

fn impossible() -> Problem {
    Problem::not_found(format!(
        "Nothing has this id: ids have 1 to {LONGEST} visible ASCII characters."
    ))
}
