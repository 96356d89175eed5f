//! How the logins of a run went: which passwords are known to be right, and what was refused how often.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// Refused logins after which a user's password is not sent again: most servers lock an account later than that.
pub const MOST_REFUSED: u32 = 2;

/// Counts refused logins, so that no account is locked. As long as no password of a user was taken, every refusal may be one of the password. Once one
/// was, a refusal speaks of what is logged in to: a server may let a user into one client and not into another.
#[derive(Debug, Default)]
pub struct Logins(Mutex<HashMap<String, Count>>);

#[derive(Debug, Default)]
struct Count {
    /// A password was taken.
    taken: bool,
    /// Refusals before that.
    refused: u32,
    /// Refusals after it, by client, since its last login.
    at: BTreeMap<String, u32>,
}

impl Logins {
    fn with<T>(&self, user: &str, look: impl FnOnce(&mut Count) -> T) -> T {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(counts.entry(user.to_owned()).or_default())
    }

    /// A password of the user was taken, at this client.
    pub fn took(&self, user: &str, client: &str) {
        self.with(user, |count| {
            count.taken = true;
            count.at.remove(client);
        });
    }

    /// A login of the user at this client was refused.
    pub fn refused(&self, user: &str, client: &str) {
        self.with(user, |count| {
            if count.taken {
                *count.at.entry(client.to_owned()).or_default() += 1;
            } else {
                count.refused += 1;
            }
        });
    }

    /// How often a login of the user at this client was refused, so far as it counts.
    pub fn refusals(&self, user: &str, client: &str) -> u32 {
        self.with(user, |count| if count.taken { count.at.get(client).copied().unwrap_or(0) } else { count.refused })
    }

    /// Whether the newest login of the user, at any client, was refused.
    pub fn was_refused(&self, user: &str) -> bool {
        self.with(user, |count| if count.taken { !count.at.is_empty() } else { count.refused > 0 })
    }

    /// Whether a password of this user has been taken in this run.
    pub fn is_known(&self, user: &str) -> bool {
        self.with(user, |count| count.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_was_taken_is_not_what_another_client_refuses() {
        let logins = Logins::default();
        logins.refused("alice", "app");
        logins.refused("alice", "other");
        assert_eq!(logins.refusals("alice", "third"), MOST_REFUSED, "it may be the password");
        logins.took("alice", "app");
        assert!(logins.is_known("alice") && !logins.is_known("bob"));
        assert_eq!((logins.refusals("alice", "app"), logins.refusals("alice", "third")), (0, 0));
        logins.refused("alice", "");
        logins.refused("alice", "");
        assert_eq!((logins.refusals("alice", "app"), logins.refusals("alice", "")), (0, 2));
    }
}
