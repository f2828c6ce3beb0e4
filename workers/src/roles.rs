//! The roles that a worker process can take.

use std::str::FromStr;

/// What a worker process does. Several processes can have the same role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Submits research to OpenAI.
    Research,
    /// Fetches finished research and makes documents.
    Completion,
    /// Stores messages and closes batches.
    Batching,
    /// Answers closed batches.
    Reply,
    /// Tells people and the CRM.
    Notification,
    /// Finds what was forgotten.
    Sweeper,
}

/// A word that names no role.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no role {0:?}; the roles are all, research, completion, batching, reply, notification, sweeper"
)]
pub struct UnknownRole(String);

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::Research,
        Self::Completion,
        Self::Batching,
        Self::Reply,
        Self::Notification,
        Self::Sweeper,
    ];
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        match name {
            "research" => Ok(Self::Research),
            "completion" => Ok(Self::Completion),
            "batching" => Ok(Self::Batching),
            "reply" => Ok(Self::Reply),
            "notification" => Ok(Self::Notification),
            "sweeper" => Ok(Self::Sweeper),
            other => Err(UnknownRole(other.to_owned())),
        }
    }
}

/// Reads a comma-separated list of roles; `all` means every one.
///
/// # Errors
/// [`UnknownRole`] with the word that is none.
pub fn parse_roles(list: &str) -> Result<Vec<Role>, UnknownRole> {
    let mut roles = Vec::new();
    for name in list.split(',').map(str::trim) {
        let named = if name == "all" {
            Role::ALL.to_vec()
        } else {
            vec![name.parse()?]
        };
        roles.extend(
            named
                .into_iter()
                .filter(|role| !roles.contains(role))
                .collect::<Vec<_>>(),
        );
    }
    Ok(roles)
}

#[cfg(test)]
mod tests {
    use super::{Role, parse_roles};

    #[test]
    fn roles_are_listed_once_and_all_means_all() {
        assert_eq!(
            parse_roles("reply, batching,reply").unwrap(),
            [Role::Reply, Role::Batching]
        );
        assert_eq!(parse_roles("reply,all").unwrap().len(), Role::ALL.len());
        let message = parse_roles("replies").unwrap_err().to_string();
        assert!(
            message.contains("\"replies\"") && message.contains("batching"),
            "{message}"
        );
    }
}
