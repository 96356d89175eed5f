//! Values of request parameters: text with `${ … }` from a small closed vocabulary, and forged tokens.
//!
//! There is no scripting. What cannot be said here needs a function or a step kind in Rust, where it has a type and a
//! test.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bend::JwtBend;

/// A value as the scenario writes it, with every reference resolved to what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Template),
    /// A JSON Web Token made from a genuine one, byte by byte.
    Forged(Box<Forgery>),
}

/// Literal text and expressions, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template(pub Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    Expression(Expression),
}

/// What may stand between `${` and `}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Text(String),
    Reference(Reference),
    Call(Function, Vec<Expression>),
}

/// What a name stands for. Step names are absolute: with their session, where they have one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A variable of the flow (drawn anew in each trial, per session) or of `for_each`.
    Variable(String),
    /// A fact of the client that the step runs as.
    Client(String),
    /// A fact of the target.
    Target(String),
    /// A fact of the user that the step's session logs in.
    User(String),
    /// What a step's answer carried.
    Field { step: String, field: String },
    /// What a step sent: one parameter.
    Sent { step: String, parameter: String },
    /// The same two, of the control that was granted before the attack (in `applies_when` only).
    ControlField { step: String, field: String },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Variable(name) => write!(f, "{name}"),
            Reference::Client(field) => write!(f, "client.{field}"),
            Reference::Target(field) => write!(f, "target.{field}"),
            Reference::User(field) => write!(f, "user.{field}"),
            Reference::Field { step, field } => write!(f, "{step}.{field}"),
            Reference::Sent { step, parameter } => write!(f, "{step}.sent.{parameter}"),
            Reference::ControlField { step, field } => write!(f, "control.{step}.{field}"),
        }
    }
}

/// A function of `${ … }`: name, how many arguments, and what it gives. One table, printed by the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    Random,
    S256,
    AppendQuery,
    Query,
    First,
    FlipFirst,
    FlipLast,
    Scheme,
    Authority,
    Host,
    Port,
    Path,
    FirstWord,
    WithoutWord,
    UpperPath,
    OtherPort,
    WildDot,
    AttackerJwk,
    AttackerKey,
    AttackerAssertion,
    OwnAssertion,
    PublicKey,
    ClientKey,
    GuessedSecret,
    Now,
    Basic,
    Base64,
    CutLast,
    FlipMiddle,
    SwapCase,
    Splice,
    WithMember,
    DpopThumbprint,
}

impl Function {
    /// Every function with its name in `${ … }`, its least and greatest number of arguments, and its meaning.
    pub const TABLE: &'static [(Function, &'static str, usize, usize, &'static str)] = &[
        (Function::Random, "random", 1, 1, "`random(43)`: that many characters of the unreserved alphabet, fresh in each trial"),
        (Function::S256, "s256", 1, 1, "BASE64URL(SHA256(ASCII(x))), the S256 challenge of a verifier (RFC 7636 §4.2)"),
        (Function::AppendQuery, "append_query", 3, 3, "`append_query(url, name, value)`: the URL with one more query parameter"),
        (Function::Query, "query", 2, 2, "`query(url, name)`: the decoded query parameter of a URL"),
        (Function::First, "first", 1, 8, "the first of its arguments that has a value"),
        (Function::FlipFirst, "flip_first", 1, 1, "the text with another first character, of the same length"),
        (Function::FlipLast, "flip_last", 1, 1, "the text with another last character, of the same length"),
        (Function::Scheme, "scheme", 1, 1, "the scheme of a URL, without the colon"),
        (Function::Authority, "authority", 1, 1, "host and port of a URL, as written"),
        (Function::Host, "host", 1, 1, "the host of a URL, without the port"),
        (Function::Port, "port", 1, 1, "the port of a URL with its colon (`:8443`), or nothing where it has none"),
        (Function::Path, "path", 1, 1, "the path of a URL, without query and fragment"),
        (Function::FirstWord, "first_word", 1, 1, "the first word of a list separated by spaces"),
        (Function::WithoutWord, "without_word", 2, 2, "a list separated by spaces without one of its words"),
        (
            Function::UpperPath,
            "upper_path",
            1,
            1,
            "the URL with its path in capital letters; a path without small letters makes the attack `not_applicable`",
        ),
        (Function::OtherPort, "other_port", 1, 1, "the URL with another port"),
        (
            Function::WildDot,
            "wild_dot",
            1,
            1,
            "the URL with an x in place of the first dot of its host; a host without a dot, or an IP address, makes the attack `not_applicable`",
        ),
        (
            Function::AttackerJwk,
            "attacker_jwk",
            1,
            1,
            "`attacker_jwk(\"ES256\")`: the public JWK of a key that the attacker made, as JSON; ES256 or RS256",
        ),
        (
            Function::AttackerKey,
            "attacker_key",
            0,
            0,
            "the attacker's own private key; for `key:` of a forgery with alg ES256 or RS256 only",
        ),
        (
            Function::AttackerAssertion,
            "attacker_assertion",
            1,
            1,
            "`attacker_assertion(client_id)`: an assertion of this client (RFC 7523 §3) for the issuer, signed with the attacker's own ES256 key",
        ),
        (
            Function::OwnAssertion,
            "own_assertion",
            1,
            1,
            "`own_assertion(subject)`: an assertion about this subject (RFC 7523 §3) for the issuer, issued and signed by the client itself, with the key of its client assertions",
        ),
        (
            Function::PublicKey,
            "public_key",
            2,
            2,
            "`public_key(token, encoding)`: the published key that signed the token, in an encoding; for `key:` of a forgery only",
        ),
        (
            Function::ClientKey,
            "client_key",
            1,
            1,
            "`client_key(encoding)`: the public half of the key that signs the genuine assertion, proof or request object; for its `key:` only",
        ),
        (
            Function::GuessedSecret,
            "guessed_secret",
            1,
            1,
            "`guessed_secret(token)`: the HMAC secret of a token, where it is a common one, the client's own, its id or the issuer; else `secret`",
        ),
        (Function::Now, "now", 0, 1, "`now(\"-300\")`: the time in seconds since 1970, and so many seconds later or earlier"),
        (
            Function::Basic,
            "basic",
            2,
            2,
            "`basic(name, secret)`: the value of an Authorization header of the scheme Basic (RFC 6749 §2.3.1)",
        ),
        (Function::Base64, "base64", 1, 1, "the text in base64, with padding"),
        (
            Function::CutLast,
            "cut_last",
            2,
            2,
            "`cut_last(x, 8)`: the text without that many of its last characters; `half`: without its second half",
        ),
        (Function::FlipMiddle, "flip_middle", 1, 1, "the text with another character in its middle"),
        (Function::SwapCase, "swap_case", 1, 1, "the text with capital letters for small ones, and small ones for capital ones"),
        (
            Function::WithMember,
            "with_member",
            3,
            3,
            "`with_member(json, name, value)`: the JSON with one more member in each of its objects, inner ones apart",
        ),
        (
            Function::Splice,
            "splice",
            2,
            2,
            "`splice(x, y)`: x up to its last dot, and y from its last dot on; a text without a dot makes the attack `not_applicable`",
        ),
        (Function::DpopThumbprint, "dpop_thumbprint", 0, 0, "the JWK thumbprint of the key of this run's DPoP proofs (RFC 7638)"),
    ];

    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    pub fn by_name(name: &str) -> Option<Function> {
        Self::TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub fn arity(self) -> (usize, usize) {
        Self::TABLE.iter().find(|row| row.0 == self).map_or((0, 0), |row| (row.2, row.3))
    }
}

/// A genuine JWT that is bent. What the bend does not name stays byte for byte; without a key of its own there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgery {
    /// The genuine token.
    pub from: Expression,
    pub bend: JwtBend,
}

/// What stands in the third part of the forged token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// Made anew with `alg` and `key`.
    #[default]
    Fresh,
    /// The genuine one, stale now.
    Kept,
    /// The genuine one with its first character changed.
    Flipped,
    /// Nothing.
    Empty,
    /// Nothing, and no dot before it.
    Missing,
    /// A single byte.
    Byte,
    /// As many bytes as the genuine one has, all of them zero.
    Zeros,
}

impl Signature {
    /// It in words; none for one that is made anew.
    pub fn told(self) -> Option<&'static str> {
        Some(match self {
            Signature::Fresh => return None,
            Signature::Kept => "signature kept",
            Signature::Flipped => "signature changed in its first character",
            Signature::Empty => "signature empty",
            Signature::Missing => "without signature and the dot before it",
            Signature::Byte => "signature one byte",
            Signature::Zeros => "signature of zero bytes",
        })
    }
}

impl Expression {
    /// Every reference in the expression.
    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Expression::Text(_) => {}
            Expression::Reference(reference) => found.push(reference),
            Expression::Call(_, arguments) => arguments.iter().for_each(|a| a.references(found)),
        }
    }

    pub fn substitute(&mut self, variable: &str, text: &str) {
        match self {
            Expression::Reference(Reference::Variable(name)) if name == variable => *self = Expression::Text(text.to_owned()),
            Expression::Call(_, arguments) => arguments.iter_mut().for_each(|a| a.substitute(variable, text)),
            _ => {}
        }
    }
}

impl Template {
    /// Plain text, no expression.
    pub fn literal(text: &str) -> Template {
        Template(vec![Part::Literal(text.to_owned())])
    }

    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        for part in &self.0 {
            if let Part::Expression(expression) = part {
                expression.references(found);
            }
        }
    }

    pub fn substitute(&mut self, variable: &str, text: &str) {
        for part in &mut self.0 {
            if let Part::Expression(expression) = part {
                expression.substitute(variable, text);
            }
        }
    }

    /// The text, where all that it names is known to somebody; functions are known to nobody.
    pub fn text_with(&self, known: impl Fn(&Reference) -> Option<String>) -> Option<String> {
        let text = |part: &Part| match part {
            Part::Literal(text) | Part::Expression(Expression::Text(text)) => Some(text.clone()),
            Part::Expression(Expression::Reference(reference)) => known(reference),
            Part::Expression(_) => None,
        };
        self.0.iter().map(text).collect()
    }

    /// The text, where no expression stands in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

impl Value {
    pub fn references<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Value::Text(template) => template.references(found),
            Value::Forged(forgery) => {
                forgery.from.references(found);
                forgery.bend.references(found);
            }
        }
    }

    /// Whether it uses a variable.
    pub fn names(&self, variable: &str) -> bool {
        let mut found = Vec::new();
        self.references(&mut found);
        found.iter().any(|reference| matches!(reference, Reference::Variable(name) if name == variable))
    }

    /// Puts a `for_each` word in place of its variable.
    pub fn substitute(&mut self, variable: &str, text: &str) {
        match self {
            Value::Text(template) => template.substitute(variable, text),
            Value::Forged(forgery) => {
                forgery.from.substitute(variable, text);
                forgery.bend.substitute(variable, text);
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Text(text) => write!(f, "\"{text}\""),
            Expression::Reference(reference) => write!(f, "{reference}"),
            Expression::Call(function, arguments) => {
                write!(f, "{}(", function.name())?;
                for (index, argument) in arguments.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    match argument {
                        Expression::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) => write!(f, "{text}")?,
                        other => write!(f, "{other}")?,
                    }
                }
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Expression(Expression::Text(text)) => f.write_str(text),
            Part::Expression(expression) => write!(f, "${{{expression}}}"),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(template) => write!(f, "{template}"),
            Value::Forged(forgery) => {
                write!(f, "JWT forged from {}", forgery.from)?;
                forgery.bend.parts().iter().try_for_each(|part| write!(f, ", {part}"))
            }
        }
    }
}
