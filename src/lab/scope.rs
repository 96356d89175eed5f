//! Sets of scopes (RFC 6749 section 3.3).

use std::fmt;

use super::directory::SCOPES;

/// A set of the scopes the lab knows, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Scope(u8);

impl Scope {
    /// Every scope that there is.
    pub(super) const ALL: Scope = Scope((1 << SCOPES.len()) - 1);

    /// What a request that names no scope gets.
    pub(super) const DEFAULT: Scope = Scope(1 << 3);

    /// What a client may have on its own account, without a user.
    pub(super) const WITHOUT_USER: Scope = Scope(1 << 3 | 1 << 4);

    /// Reads a space-separated list; `None` when it names an unknown scope.
    pub(super) fn parse(text: &str) -> Option<Scope> {
        let mut bits = 0;
        for name in text.split(' ').filter(|name| !name.is_empty()) {
            bits |= 1 << SCOPES.iter().position(|known| *known == name)?;
        }
        (bits != 0).then_some(Scope(bits))
    }

    /// Whether the set has this scope.
    pub(super) fn has(self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Whether all of these scopes are in `other` as well.
    pub(super) fn is_within(self, other: Scope) -> bool {
        self.0 & !other.0 == 0
    }

    /// The scopes that are in both; `None` when there is none.
    pub(super) fn common(self, other: Scope) -> Option<Scope> {
        let bits = self.0 & other.0;
        (bits != 0).then_some(Scope(bits))
    }

    /// The names of the scopes, in the order of the directory.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        SCOPES.into_iter().enumerate().filter_map(move |(bit, name)| (self.0 >> bit & 1 == 1).then_some(name))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_lists() {
        let all = Scope::parse(&SCOPES.join(" "));
        assert_eq!(all.map(|scope| scope.to_string()), Some(SCOPES.join(" ")));
        assert_eq!(Scope::parse("api:read  api:read"), Some(Scope::DEFAULT));
        assert_eq!(Scope::WITHOUT_USER.to_string(), "api:read api:write");
        for unknown in ["", " ", "admin", "openid admin", "openid\temail"] {
            assert_eq!(Scope::parse(unknown), None, "{unknown:?}");
        }
        assert!(Scope::DEFAULT.is_within(Scope::WITHOUT_USER));
        assert!(!Scope::WITHOUT_USER.is_within(Scope::DEFAULT));
    }
}
