//! JWTs that the client itself makes for a request, and how an attack bends them: DPoP proofs (RFC 9449), request objects (RFC
//! 9101) and client assertions (RFC 7523).

use serde::{Deserialize, Serialize};

use super::value::{Expression, Reference, Signature, Template};

/// How such a JWT differs from the genuine one. What is not named is as the client makes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JwtBend {
    /// The `alg` of the header.
    pub alg: Option<Template>,
    /// None: the client's own key.
    pub key: Option<Expression>,
    pub header: Vec<(String, Template)>,
    pub claims: Vec<(String, Template)>,
    /// Members of header and claims that are left out.
    pub without: Vec<String>,
    pub signature: Signature,
}

/// The DPoP proof of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    Genuine,
    /// None, and a token is shown as a bearer token.
    Withheld,
    /// None, and a token is shown with the scheme DPoP.
    Missing,
    /// Any text, such as the proof of an earlier step.
    Text(Template),
    Bent(Box<JwtBend>),
    /// The genuine one, and before it a bent one in a header of its own.
    Beside(Box<JwtBend>),
    /// The same in the other order.
    Behind(Box<JwtBend>),
}

/// How the parameters of an authorization request travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// In the front channel as they are, whatever the target asks for.
    Plain,
    /// In a request object.
    Signed(Box<RequestObject>),
}

/// A request object of the client's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestObject {
    pub bend: JwtBend,
    /// Parameters that stand beside it.
    pub beside: Vec<(String, Template)>,
    /// What is encrypted to the server; None: it goes as it was signed.
    pub encrypted: Option<Encrypted>,
}

/// What of a request object is encrypted to the server's key (RFC 9101 §4, RFC 7516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encrypted {
    /// The signed object, whole.
    Signed,
    /// Its claims alone, as JSON: nothing is signed.
    Claims,
}

impl JwtBend {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.alg.iter().chain(self.header.iter().chain(&self.claims).map(|(_, value)| value))
    }

    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        self.templates().for_each(|template| template.references(found));
        self.key.iter().for_each(|key| key.references(found));
    }

    /// Puts a `for_each` word in place of its variable.
    pub fn substitute(&mut self, variable: &str, text: &str) {
        self.alg.iter_mut().chain(self.header.iter_mut().chain(&mut self.claims).map(|(_, value)| value)).for_each(|template| {
            template.substitute(variable, text);
        });
        self.key.iter_mut().for_each(|key| key.substitute(variable, text));
    }
}

impl Proof {
    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Proof::Text(template) => template.references(found),
            Proof::Bent(bend) | Proof::Beside(bend) | Proof::Behind(bend) => bend.references(found),
            Proof::Genuine | Proof::Withheld | Proof::Missing => {}
        }
    }

    /// Puts a `for_each` word in place of its variable.
    pub fn substitute(&mut self, variable: &str, text: &str) {
        match self {
            Proof::Text(template) => template.substitute(variable, text),
            Proof::Bent(bend) | Proof::Beside(bend) | Proof::Behind(bend) => bend.substitute(variable, text),
            Proof::Genuine | Proof::Withheld | Proof::Missing => {}
        }
    }
}

impl Carried {
    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        if let Carried::Signed(object) = self {
            object.bend.references(found);
            object.beside.iter().for_each(|(_, value)| value.references(found));
        }
    }

    /// Puts a `for_each` word in place of its variable.
    pub fn substitute(&mut self, variable: &str, text: &str) {
        if let Carried::Signed(object) = self {
            object.bend.substitute(variable, text);
            object.beside.iter_mut().for_each(|(_, value)| value.substitute(variable, text));
        }
    }
}

impl JwtBend {
    /// What is different, in words, one after the other.
    pub fn parts(&self) -> Vec<String> {
        let mut parts = Vec::new();
        parts.extend(self.alg.iter().map(|alg| format!("alg {alg}")));
        parts.extend(self.key.iter().map(|key| format!("key {key}")));
        parts.extend(self.header.iter().map(|(name, value)| format!("header {name}={value}")));
        parts.extend(self.claims.iter().map(|(name, value)| format!("claim {name}={value}")));
        parts.extend(self.without.iter().map(|name| format!("without {name}")));
        parts.extend(self.signature.told().map(str::to_owned));
        parts
    }
}

impl std::fmt::Display for JwtBend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = self.parts();
        if parts.is_empty() { f.write_str("as the client makes it") } else { f.write_str(&parts.join(", ")) }
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Proof::Genuine => f.write_str("a DPoP proof"),
            Proof::Withheld => f.write_str("no DPoP proof"),
            Proof::Missing => f.write_str("the scheme DPoP without a proof"),
            Proof::Text(template) => write!(f, "the DPoP proof {template}"),
            Proof::Bent(bend) => write!(f, "a DPoP proof, {bend}"),
            Proof::Beside(bend) => write!(f, "two DPoP headers: a proof, {bend}; then a right one"),
            Proof::Behind(bend) => write!(f, "two DPoP headers: a right proof; then one, {bend}"),
        }
    }
}

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Carried::Plain => f.write_str("the parameters themselves, neither pushed nor signed"),
            Carried::Signed(object) => {
                write!(f, "a request object, {}", object.bend)?;
                f.write_str(match object.encrypted {
                    None => "",
                    Some(Encrypted::Signed) => "; encrypted to the server",
                    Some(Encrypted::Claims) => "; its claims alone, encrypted to the server",
                })?;
                object.beside.iter().try_for_each(|(name, value)| write!(f, "; beside it {name}={value}"))
            }
        }
    }
}
