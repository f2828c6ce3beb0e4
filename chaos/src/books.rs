//! Millrace's own books: what each consumer says became of what it accepted.

use anyhow::Context as _;
use serde::Deserialize;

use crate::account::Account;
use crate::world::World;

/// What `millrace-worker conservation --json` prints.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Books {
    /// One line for each consumer.
    pub consumers: Vec<Figures>,
}

/// What one consumer accepted, and what became of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Figures {
    /// The work queue.
    pub consumer: String,
    /// What it took.
    pub accepted: i64,
    /// Worked off.
    pub done: i64,
    /// Told before.
    pub duplicate: i64,
    /// Ended without an effect, for a reason.
    pub suppressed: i64,
    /// In the parking lot.
    pub parked: i64,
    /// Half-way.
    pub open: i64,
    /// In neither of its books; 0 when all is well.
    pub unaccounted: i64,
}

impl Books {
    /// Asks Millrace. To be called when all is quiet: then no row may stand still for a while.
    ///
    /// # Errors
    /// When the program does not say.
    pub async fn read(world: &World) -> anyhow::Result<Self> {
        let arguments = ["conservation", "--json", "--margin", "0", "--wait", "30"];
        // Its status says whether all is well, which the figures say too.
        let output = world.run_worker(&arguments).await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let error = String::from_utf8_lossy(&output.stderr);
            format!("millrace-worker conservation: {error}")
        })
    }

    /// Whether nothing is unaccounted for, and as much is parked as the account has found.
    #[must_use]
    pub fn agree_with(&self, account: &Account) -> bool {
        self.consumers.iter().all(|line| {
            let lot = format!("{}.dead", line.consumer);
            let of_lot = account
                .parked
                .iter()
                .filter(|((queue, _), _)| *queue == lot);
            let parked: usize = of_lot.map(|(_, count)| count).sum();
            line.unaccounted == 0 && i64::try_from(parked).is_ok_and(|parked| parked == line.parked)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Books, Figures};
    use crate::account::Account;

    fn books(parked: i64, unaccounted: i64) -> Books {
        Books {
            consumers: vec![Figures {
                consumer: "chat.reply".to_owned(),
                accepted: 3,
                done: 3 - parked - unaccounted,
                duplicate: 0,
                suppressed: 0,
                parked,
                open: 0,
                unaccounted,
            }],
        }
    }

    #[test]
    fn the_books_must_be_balanced_and_agree_with_the_account() {
        let mut account = Account::default();
        assert!(books(0, 0).agree_with(&account));
        assert!(!books(0, 1).agree_with(&account));
        assert!(!books(1, 0).agree_with(&account));
        let lot = ("chat.reply.dead".to_owned(), "highlevel_refused".to_owned());
        account.parked.insert(lot, 1);
        assert!(books(1, 0).agree_with(&account));
        assert!(!books(0, 0).agree_with(&account));
    }
}
