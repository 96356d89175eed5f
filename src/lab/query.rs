//! The mistake of `token-in-query`: what a query finds that is made of the text of a request.
//!
//! ```text
//! select * from codes where code like '…'
//! ```

use super::Flaw;
use super::server::Server;

/// The one record that such a query finds for a text that is the key of none.
pub(super) fn finds<'k>(server: &Server, keys: impl Iterator<Item = &'k String>, text: &str) -> Option<String> {
    let pattern = Pattern::read(text)?;
    server.has(Flaw::TokenInQuery).then(|| keys.into_iter().find(|key| pattern.matches(key)).cloned()).flatten()
}

/// A text with a wildcard, or with a condition behind a quote.
enum Pattern<'t> {
    /// `beginning%`
    Beginning(&'t str),
    /// `text'and'1'='1`; false where the two differ.
    With(&'t str, bool),
}

impl<'t> Pattern<'t> {
    fn read(text: &'t str) -> Option<Self> {
        if let Some(beginning) = text.strip_suffix('%') {
            return Some(Self::Beginning(beginning));
        }
        let (before, condition) = text.split_once("'and'")?;
        let (left, right) = condition.split_once("'='")?;
        Some(Self::With(before, left == right))
    }

    fn matches(&self, key: &str) -> bool {
        match self {
            Self::Beginning(beginning) => key.starts_with(beginning),
            Self::With(text, is_true) => key == *text && *is_true,
        }
    }
}
