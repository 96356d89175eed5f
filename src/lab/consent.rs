//! When a user is asked whether a client may have what it asks for (RFC 6749 section 10.2, OpenID Connect Core section 3.1.2.4).

use super::directory::{AuthMethod, Client};
use super::server::Server;
use super::{Flaw, Habit};

/// When the user is asked for his consent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// Once for a client and a scope.
    Once,
    /// At each request: the client can be anybody (RFC 8252 section 8.6).
    Always,
    /// Not at all.
    Never,
}

impl Asks {
    /// Without a secret, a client at a loopback address can be any program; one that registered itself can be anybody's.
    pub(super) fn of(server: &Server, client: &Client, is_loopback: bool) -> Asks {
        let is_any_program = is_loopback && matches!(client.auth, AuthMethod::None) && !server.has(Flaw::ConsentRememberedForPublic);
        if client.skips_consent {
            return Asks::Never;
        }
        if server.keeps(Habit::ConsentEachTime) {
            return Asks::Always;
        }
        match client.is_anonymous {
            true if server.has(Flaw::ConsentSkipped) => Asks::Never,
            true => Asks::Always,
            false if is_any_program => Asks::Always,
            false => Asks::Once,
        }
    }
}
