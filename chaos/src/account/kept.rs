//! What is kept for a person, and what operators asked for.

use super::{Account, Line};
use crate::evidence::{Evidence, Kept};

pub(super) fn count(evidence: &Evidence, account: &mut Account) {
    kept(account, "events that nobody reads", &evidence.unknown);
    kept(account, "unreadable messages", &evidence.unreadable);
    let (made, answered) = evidence.calls;
    account.lines.push(Line {
        what: "calls of operators",
        sent: Some(made),
        accepted: Some(answered),
        expected: answered,
        seen: answered,
        ..Line::default()
    });
}

/// Each of these must be where a person finds it.
fn kept(account: &mut Account, what: &'static str, all: &[Kept]) {
    let accepted: Vec<&Kept> = all.iter().filter(|kept| kept.accepted).collect();
    let mut line = Line {
        what,
        sent: Some(all.len()),
        accepted: Some(accepted.len()),
        expected: accepted.len(),
        ..Line::default()
    };
    for kept in accepted {
        if kept.is_there {
            line.seen += 1;
        } else {
            account.lose(&mut line, format!("{what}: {} is not kept", kept.name));
        }
    }
    account.lines.push(line);
}

#[cfg(test)]
mod tests {
    use crate::account::Account;
    use crate::evidence::{Evidence, Kept};

    #[test]
    fn what_was_accepted_must_be_where_it_is_kept() {
        let kept = |accepted, is_there| Kept {
            name: "one".to_owned(),
            accepted,
            is_there,
        };
        let lost = |kept| {
            let evidence = Evidence {
                unknown: vec![kept],
                ..Evidence::default()
            };
            Account::of(&evidence).lost.len()
        };
        assert_eq!(lost(kept(true, true)), 0);
        assert_eq!(lost(kept(false, false)), 0);
        assert_eq!(lost(kept(true, false)), 1);
    }
}
