//! How a client authenticates in a step, where that is not as it is registered.

use serde::{Deserialize, Serialize};

use super::bend::JwtBend;
use super::value::{Reference, Template};

/// How a step's client authentication differs from the registered one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// client_id in the body, nothing else.
    ClientIdOnly,
    /// Neither client_id nor anything else.
    Nothing,
    /// The registered method with another secret.
    Secret(Template),
    /// private_key_jwt with the genuine claims, bent as given.
    Assertion(AssertionForgery),
}

/// Which TLS certificate the connection of a request shows, where that is not the client's own (RFC 8705).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShownCertificate {
    /// None, at the address where the client shows its own.
    None,
    /// None, at the address of clients that have no certificate, where the metadata names two (`mtls_endpoint_aliases`).
    NoneAtUsualAddress,
    /// One that the attacker made: self-signed, with the subject and the names of the client's own, and another key.
    SameSubject,
    /// That of another client of the target file, the first that has one.
    OtherClient,
}

/// A client assertion that differs from the genuine one in one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssertionForgery {
    /// Signed with a fresh key of the same type, kid kept.
    FreshKey,
    /// The given alg in the header and an empty signature.
    Unsigned { alg: Template },
    /// The genuine header with an empty signature.
    EmptySignature,
    /// Header and claims changed, signed with the client's own key or another one.
    Bent(Box<JwtBend>),
}

impl Authentication {
    /// Puts a `for_each` word in place of its variable.
    pub fn substitute(&mut self, variable: &str, text: &str) {
        match self {
            Authentication::Secret(template) | Authentication::Assertion(AssertionForgery::Unsigned { alg: template }) => {
                template.substitute(variable, text);
            }
            Authentication::Assertion(AssertionForgery::Bent(bend)) => bend.substitute(variable, text),
            _ => {}
        }
    }

    /// Every reference in it.
    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Authentication::Secret(template) | Authentication::Assertion(AssertionForgery::Unsigned { alg: template }) => {
                template.references(found);
            }
            Authentication::Assertion(AssertionForgery::Bent(bend)) => bend.references(found),
            _ => {}
        }
    }
}

impl std::fmt::Display for ShownCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ShownCertificate::None => f.write_str("no TLS certificate"),
            ShownCertificate::NoneAtUsualAddress => f.write_str("no TLS certificate, at the address of clients without one"),
            ShownCertificate::SameSubject => f.write_str("a self-signed TLS certificate with the same subject and another key"),
            ShownCertificate::OtherClient => f.write_str("the TLS certificate of another client"),
        }
    }
}

impl std::fmt::Display for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Authentication::ClientIdOnly => f.write_str("client_id only, no credential"),
            Authentication::Nothing => f.write_str("nothing at all"),
            Authentication::Secret(template) => write!(f, "the secret {template}"),
            Authentication::Assertion(AssertionForgery::FreshKey) => f.write_str("an assertion signed with a fresh key"),
            Authentication::Assertion(AssertionForgery::Unsigned { alg }) => {
                write!(f, "an assertion with alg {alg} and an empty signature")
            }
            Authentication::Assertion(AssertionForgery::EmptySignature) => f.write_str("the genuine assertion with an empty signature"),
            Authentication::Assertion(AssertionForgery::Bent(bend)) => write!(f, "an assertion, {bend}"),
        }
    }
}
