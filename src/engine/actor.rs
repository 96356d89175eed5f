//! Who a step acts as: the facts of its client and its user, as scenarios may name them.

use std::borrow::Cow;

use crate::target::{Client, User};

/// The client and the user of a step; none of them: of a value that names neither.
#[derive(Debug, Clone, Copy, Default)]
pub struct Actor<'a> {
    pub client: Option<&'a Client>,
    pub user: Option<&'a User>,
    /// The client's tokens are bound to a key of its own, as far as it is known (RFC 9449, RFC 8705).
    pub constrained: bool,
}

impl<'a> Actor<'a> {
    /// The facts of a client that are no secrets.
    pub const PUBLIC: &'static [&'static str] =
        &["id", "redirect_uri", "other_redirect_uri", "redirect_is_loopback", "auth", "assertion_alg", "sender_constrained"];

    /// A fact of the client: `client.…` of a scenario.
    pub fn client(&self, fact: &str) -> Option<Cow<'a, str>> {
        let client = self.client?;
        Some(match fact {
            "id" => client.id.as_str().into(),
            "redirect_uri" => client.redirect_uri.as_str().into(),
            "other_redirect_uri" => client.other_redirect_uri.as_deref()?.into(),
            "redirect_is_loopback" => is_loopback(&client.redirect_uri).to_string().into(),
            "auth" => client.authentication.method().into(),
            "assertion_alg" => super::authentication::assertion_alg(client)?.into(),
            "sender_constrained" => self.constrained.to_string().into(),
            "certificate" => client.certificate.as_ref()?.base64().into(),
            "certificate_pem" => client.certificate.as_ref()?.escaped_pem().into(),
            "secret" => client.authentication.secret()?.reveal().into(),
            _ => return None,
        })
    }

    /// A fact of the user: `user.…` of a scenario.
    pub fn user(&self, fact: &str) -> Option<&'a str> {
        let user = self.user?;
        match fact {
            "name" => Some(&user.name),
            "password" => user.password.as_ref().map(|password| password.reveal()),
            _ => None,
        }
    }
}

/// Whether a redirect URI leads to the user's own machine, where any port is right (RFC 8252 §7.3).
fn is_loopback(url: &str) -> bool {
    match url::Url::parse(url).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
