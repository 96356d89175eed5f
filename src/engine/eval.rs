//! Symbolic values → text, against what a trial has seen so far.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand::Rng as _;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::model::value::{Expression, Forgery, Function, Part, Reference, Template, Value};
use crate::wire;

use super::actor::Actor;
use super::forge::{self, Bend, Key};
use super::{attacker, authentication, clock, dpop, keys};

/// Why a value cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// It never came, or cannot be made of what came: why, as a sentence.
    Never(String),
    /// There is no such thing at this target, and no other run would bring it.
    NoSuchForm(String),
}

/// What a trial knows while it runs, with the secrets in it.
#[derive(Debug, Default)]
pub struct Known {
    /// Facts of the target: `issuer`, `scope`, …
    pub target: Arc<BTreeMap<String, String>>,
    pub variables: BTreeMap<String, String>,
    /// Fields of answers, by step.
    pub fields: BTreeMap<String, BTreeMap<String, String>>,
    /// Parameters as sent, by step.
    pub sent: BTreeMap<String, BTreeMap<String, String>>,
    /// The published keys.
    pub jwks: Option<std::sync::Arc<Json>>,
    /// The key of this run's DPoP proofs.
    pub dpop_key: Option<Arc<LazyLock<keys::SigningKey>>>,
}

impl Known {
    /// # Errors
    /// The first value that never came.
    pub fn value(&self, value: &Value, actor: &Actor<'_>) -> Result<String, Missing> {
        match value {
            Value::Text(template) => self.template(template, actor),
            Value::Forged(forgery) => self.forgery(forgery, actor),
        }
    }

    /// # Errors
    /// The first value that never came.
    pub fn template(&self, template: &Template, actor: &Actor<'_>) -> Result<String, Missing> {
        // Most values are one expression, whose text it is.
        if let [Part::Expression(expression)] = template.0.as_slice() {
            return self.expression(expression, actor);
        }
        let mut text = String::new();
        for part in &template.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expression(expression) => text.push_str(&self.expression(expression, actor)?),
            }
        }
        Ok(text)
    }

    /// # Errors
    /// The first value that never came.
    pub fn expression(&self, expression: &Expression, actor: &Actor<'_>) -> Result<String, Missing> {
        match expression {
            Expression::Text(text) => Ok(text.clone()),
            Expression::Reference(reference) => self.reference(reference, actor),
            Expression::Call(function, arguments) => self.call(*function, arguments, actor),
        }
    }

    fn reference(&self, reference: &Reference, actor: &Actor<'_>) -> Result<String, Missing> {
        let never = || Missing::Never(format!("{reference} never came"));
        let found = match reference {
            Reference::Client(fact) => return actor.client(fact).map(Cow::into_owned).ok_or_else(never),
            Reference::User(fact) => return actor.user(fact).map(str::to_owned).ok_or_else(never),
            Reference::Variable(name) => self.variables.get(name),
            Reference::Target(fact) => self.target.get(fact),
            Reference::Field { step, field } => self.fields.get(step).and_then(|f| f.get(field)),
            Reference::Sent { step, parameter } => self.sent.get(step).and_then(|s| s.get(parameter)),
            Reference::ControlField { .. } => None,
        };
        found.cloned().ok_or_else(never)
    }

    fn call(&self, function: Function, arguments: &[Expression], actor: &Actor<'_>) -> Result<String, Missing> {
        let argument = |index: usize| match arguments.get(index) {
            Some(expression) => self.expression(expression, actor),
            None => Err(Missing::Never(format!("{} lacks its argument {}", function.name(), index + 1))),
        };
        match function {
            Function::Random => Ok(random(argument(0)?.parse().unwrap_or(22))),
            Function::S256 => Ok(s256(&argument(0)?)),
            Function::AppendQuery => {
                Ok(wire::with_query(&argument(0)?, &wire::form([(argument(1)?.as_str(), argument(2)?.as_str(), false)])))
            }
            Function::Query => {
                let (url, name) = (argument(0)?, argument(1)?);
                let pairs = wire::parse_form(wire::query_of(&url));
                pairs
                    .into_iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, v)| v)
                    .ok_or_else(|| Missing::Never(format!("there is no `{name}` in the URL")))
            }
            Function::First => arguments
                .iter()
                .find_map(|a| self.expression(a, actor).ok())
                .ok_or_else(|| Missing::Never(format!("none of {} ever came", Expression::Call(function, arguments.to_vec())))),
            Function::FlipFirst => Ok(forge::flip_first(&argument(0)?)),
            Function::FlipLast => Ok(forge::flip_last(&argument(0)?)),
            Function::Scheme => Ok(argument(0)?.split(':').next().unwrap_or_default().to_owned()),
            Function::Authority => Ok(authority(&argument(0)?).to_owned()),
            Function::Host => Ok(host_and_port(authority(&argument(0)?)).0.to_owned()),
            Function::Port => Ok(host_and_port(authority(&argument(0)?)).1.to_owned()),
            Function::Path => {
                let url = argument(0)?;
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let path = rest.find('/').map_or("", |at| &rest[at..]);
                Ok(path.split(['?', '#']).next().unwrap_or_default().to_owned())
            }
            Function::WithoutWord => without_word(&argument(0)?, &argument(1)?),
            Function::FirstWord => Ok(argument(0)?.split(' ').next().unwrap_or_default().to_owned()),
            Function::UpperPath => upper_path(&argument(0)?),
            Function::OtherPort => Ok(other_port(&argument(0)?)),
            Function::WildDot => wild_dot(&argument(0)?),
            Function::AttackerJwk => {
                attacker::key(&argument(0)?).and_then(|key| key.public_jwk()).map(|jwk| jwk.to_string()).map_err(Missing::Never)
            }
            Function::AttackerAssertion => {
                let issuer = self.target.get("issuer").map(String::as_str).unwrap_or_default();
                let key = attacker::key("ES256").map_err(Missing::Never)?;
                authentication::assertion_of(&argument(0)?, key, None, issuer).map_err(Missing::Never)
            }
            Function::OwnAssertion => {
                let issuer = self.target.get("issuer").map(String::as_str).unwrap_or_default();
                let client = actor.client.ok_or_else(|| Missing::Never("there is no client here".into()))?;
                authentication::assertion_about(client, &argument(0)?, issuer)
            }
            Function::Now => {
                let shift: i64 = arguments.first().map(|a| self.expression(a, actor)).transpose()?.map_or(0, |t| t.parse().unwrap_or(0));
                Ok(clock::now().saturating_add(shift).to_string())
            }
            Function::GuessedSecret => Ok(self.guessed(&argument(0)?, actor).unwrap_or_else(|| "secret".to_owned())),
            Function::Basic => Ok(basic(&argument(0)?, &argument(1)?)),
            Function::Base64 => Ok(STANDARD.encode(argument(0)?)),
            Function::CutLast => Ok(cut_last(&argument(0)?, &argument(1)?)),
            Function::FlipMiddle => Ok(flip_middle(&argument(0)?)),
            Function::SwapCase => swap_case(&argument(0)?),
            Function::Splice => splice(&argument(0)?, &argument(1)?),
            Function::WithMember => with_member(&argument(0)?, &argument(1)?, &argument(2)?),
            Function::DpopThumbprint => {
                let key = self.dpop_key.as_ref().ok_or_else(|| Missing::Never("there are no DPoP proofs here".into()))?;
                dpop::thumbprint(key).map_err(Missing::Never)
            }
            Function::PublicKey | Function::ClientKey | Function::AttackerKey => {
                Err(Missing::Never(format!("{} stands outside of a forgery's key", function.name())))
            }
        }
    }

    /// The HMAC secret of a token, where anybody would find it: in a list of common ones, or because it is what belongs to the client or the
    /// server.
    pub fn guessed(&self, token: &str, actor: &Actor<'_>) -> Option<String> {
        let own: Vec<Cow<'_, str>> = ["id", "secret"].into_iter().filter_map(|fact| actor.client(fact)).collect();
        let issuer = self.target.get("issuer").map(String::as_str);
        super::guess::secret(token, &own.iter().map(|text| &**text).chain(issuer).collect::<Vec<_>>())
    }

    fn forgery(&self, forgery: &Forgery, actor: &Actor<'_>) -> Result<String, Missing> {
        let (token, bend) = (self.expression(&forgery.from, actor)?, &forgery.bend);
        let alg = bend.alg.as_ref().map(|a| self.template(a, actor)).transpose()?;
        let key = bend.key.as_ref().map(|k| self.key(k, actor)).transpose()?;
        let (header, claims) = (self.members(&bend.header, actor)?, self.members(&bend.claims, actor)?);
        let bend = Bend { alg: alg.as_deref(), key: key.as_ref(), header: &header, claims: &claims, signature: bend.signature };
        forge::forge(&token, &bend).map_err(Missing::Never)
    }

    /// Names with their values.
    ///
    /// # Errors
    /// The first value that never came.
    pub fn members(&self, list: &[(String, Template)], actor: &Actor<'_>) -> Result<Vec<(String, String)>, Missing> {
        list.iter().map(|(name, template)| Ok((name.clone(), self.template(template, actor)?))).collect()
    }

    /// A forgery's key: the attacker's own, a published key in an encoding, or any text.
    pub fn key(&self, expression: &Expression, actor: &Actor<'_>) -> Result<Key, Missing> {
        if matches!(expression, Expression::Call(Function::AttackerKey, _)) {
            return Ok(Key::Attacker);
        }
        self.hmac_key(expression, actor).map(Key::Hmac)
    }

    fn hmac_key(&self, expression: &Expression, actor: &Actor<'_>) -> Result<Vec<u8>, Missing> {
        let Expression::Call(Function::PublicKey, arguments) = expression else {
            return Ok(self.expression(expression, actor)?.into_bytes());
        };
        let [token, encoding] = arguments.as_slice() else {
            return Err(Missing::Never("public_key takes a token and an encoding".into()));
        };
        let (token, encoding) = (self.expression(token, actor)?, self.expression(encoding, actor)?);
        let jwk =
            self.jwk_of(&token).ok_or_else(|| Missing::Never("the key that signed the token is not among the published ones".into()))?;
        keys::encode_public(jwk, &encoding).ok_or_else(|| {
            let kind = jwk.get("kty").and_then(Json::as_str).unwrap_or("unknown");
            Missing::NoSuchForm(format!("the published key is of type {kind} and cannot be written as {encoding}"))
        })
    }

    /// The published key with the token's kid; the only one where the token names none.
    pub fn jwk_of(&self, token: &str) -> Option<&Json> {
        self.jwk_named(&forge::read(token)?.0)
    }

    /// The published key that the header of a token names.
    pub fn jwk_named(&self, header: &Map<String, Json>) -> Option<&Json> {
        let keys = self.jwks.as_ref()?.get("keys")?.as_array()?;
        match header.get("kid") {
            Some(kid) => keys.iter().find(|key| key.get("kid") == Some(kid)),
            // A key for encryption signs nothing (RFC 7517 §4.2).
            None => {
                let mut signing = keys.iter().filter(|key| key.get("use").and_then(Json::as_str) != Some("enc"));
                signing.next().filter(|_| signing.next().is_none())
            }
        }
    }
}

/// The value of an Authorization header (RFC 6749 §2.3.1: both are form-encoded before they are joined).
pub fn basic(name: &str, secret: &str) -> String {
    bare_basic(&wire::encode(name), &wire::encode(secret))
}

/// The same of a pair that goes out as it stands, as RFC 7617 has it for people.
pub fn bare_basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

/// Name and secret in such a value; `bare`: they stand as they are.
pub fn read_basic(value: &str, bare: bool) -> Option<(String, String)> {
    let pair = String::from_utf8(STANDARD.decode(value.strip_prefix("Basic ")?).ok()?).ok()?;
    let (name, secret) = pair.split_once(':')?;
    let read = |text: &str| if bare { text.to_owned() } else { wire::decode(text).into_owned() };
    Some((read(name), read(secret)))
}

/// The text without its last characters, or without its second half.
fn cut_last(text: &str, count: &str) -> String {
    let length = text.chars().count();
    let count = count.parse().unwrap_or(length / 2);
    text.chars().take(length.saturating_sub(count)).collect()
}

/// The text with another character in its middle: not the last one, whose low bits base64url may not use.
fn flip_middle(text: &str) -> String {
    let middle = text.chars().count() / 2;
    text.chars()
        .enumerate()
        .map(|(at, c)| {
            if at != middle {
                c
            } else if c == 'A' {
                'B'
            } else {
                'A'
            }
        })
        .collect()
}

/// What stays of a list of words; nothing that could be asked for is no list.
fn without_word(list: &str, word: &str) -> Result<String, Missing> {
    let rest: Vec<&str> = list.split(' ').filter(|it| !it.is_empty() && *it != word).collect();
    if rest.is_empty() {
        return Err(Missing::NoSuchForm(format!("there is nothing in `{list}` but `{word}`")));
    }
    Ok(rest.join(" "))
}

/// Where all letters are of one case (hexadecimal digits, UUIDs, base32) the case says nothing, and who reads it so loses nothing.
fn swap_case(text: &str) -> Result<String, Missing> {
    if !text.contains(|c: char| c.is_ascii_lowercase()) || !text.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(Missing::NoSuchForm("the text has no letters of both cases, so that their case need not count".into()));
    }
    Ok(text.chars().map(swapped).collect())
}

fn swapped(c: char) -> char {
    if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }
}

fn splice(one: &str, other: &str) -> Result<String, Missing> {
    match (one.rsplit_once('.'), other.rsplit_once('.')) {
        (Some((start, _)), Some((_, end))) => Ok(format!("{start}.{end}")),
        _ => Err(Missing::NoSuchForm("the value has no dot, so there are no parts to exchange".into())),
    }
}

/// The JSON object, or each object of the list, with one more member.
fn with_member(json: &str, name: &str, value: &str) -> Result<String, Missing> {
    let mut all: Json = serde_json::from_str(json).map_err(|error| Missing::Never(format!("`{json}` is no JSON: {error}")))?;
    let objects = match &mut all {
        Json::Array(list) => list.iter_mut().collect(),
        one => vec![one],
    };
    objects.into_iter().filter_map(Json::as_object_mut).for_each(|object| {
        object.insert(name.to_owned(), value.into());
    });
    Ok(all.to_string())
}

/// The URL with its path in capital letters.
fn upper_path(url: &str) -> Result<String, Missing> {
    let start = url.find("://").map_or(0, |at| at + 3) + authority(url).len();
    let (before, rest) = url.split_at(start);
    let (path, after) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    let upper = path.to_ascii_uppercase();
    if upper == path {
        return Err(Missing::NoSuchForm(format!("the path of {url} has no small letters, so its case cannot be changed")));
    }
    Ok(format!("{before}{upper}{after}"))
}

/// The URL with another port.
fn other_port(url: &str) -> String {
    let start = url.find("://").map_or(0, |at| at + 3);
    let authority = authority(url);
    let (host, port) = host_and_port(authority);
    let other = if port == ":8443" { ":8444" } else { ":8443" };
    format!("{}{host}{other}{}", &url[..start], &url[start + authority.len()..])
}

/// The URL with an x in place of the first dot of its host.
fn wild_dot(url: &str) -> Result<String, Missing> {
    let start = url.find("://").map_or(0, |at| at + 3);
    let host = host_and_port(authority(url)).0;
    let is_address = host.starts_with('[') || host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match host.split_once('.').filter(|_| !is_address) {
        Some((before, after)) => Ok(format!("{}{before}x{after}{}", &url[..start], &url[start + host.len()..])),
        None => Err(Missing::NoSuchForm(format!("the host of {url} is no name with a dot in it"))),
    }
}

/// Host and port of a URL, as written.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}

/// `app.example` and `:8443` (or nothing).
fn host_and_port(authority: &str) -> (&str, &str) {
    let at = authority.rfind(':').filter(|at| !authority[*at..].contains(']')).unwrap_or(authority.len());
    authority.split_at(at)
}

/// Fresh characters of the unreserved alphabet (RFC 7636 §4.1) without the four signs, which some servers mistreat.
pub fn random(length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::thread_rng();
    (0..length.min(4096)).map(|_| char::from(ALPHABET[rng.gen_range(0..ALPHABET.len())])).collect()
}

/// BASE64URL(SHA256(ASCII(verifier))), RFC 7636 §4.2.
pub fn s256(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_of_rfc_7636_appendix_b() {
        assert_eq!(s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn one_more_member() {
        assert_eq!(with_member(r#"[{"a":1},2]"#, "b", "x"), Ok(r#"[{"a":1,"b":"x"},2]"#.to_owned()));
        assert_eq!(with_member("{}", "b", "x"), Ok(r#"{"b":"x"}"#.to_owned()));
        assert!(matches!(with_member("[", "b", "x"), Err(Missing::Never(_))));
    }

    #[test]
    fn a_list_without_a_word() {
        assert_eq!(without_word("openid profile  openid2", "openid"), Ok("profile openid2".to_owned()));
        assert_eq!(without_word("profile", "openid"), Ok("profile".to_owned()));
        assert!(matches!(without_word("openid", "openid"), Err(Missing::NoSuchForm(_))));
    }

    #[test]
    fn a_text_in_the_other_case_differs() {
        assert_eq!(swap_case("aB-1"), Ok("Ab-1".to_owned()));
        for text in ["12-34", "0f1e2d3c-4b5a-4697-8877-665544332211", "DEADBEEF", ""] {
            assert!(matches!(swap_case(text), Err(Missing::NoSuchForm(_))), "{text}");
        }
    }

    #[test]
    fn authorities_as_written() {
        assert_eq!(authority("https://app.example:8443/cb?x=1"), "app.example:8443");
        assert_eq!(authority("https://[::1]:80/cb"), "[::1]:80");
    }

    #[test]
    fn addresses_that_are_almost_the_same() {
        assert_eq!(upper_path("https://app.example/cb/x?a=b"), Ok("https://app.example/CB/X?a=b".to_owned()));
        assert_eq!(upper_path("app:cb").unwrap_or_default(), "");
        for url in ["https://app.example/", "https://app.example/1?a=b"] {
            assert!(matches!(upper_path(url), Err(Missing::NoSuchForm(_))), "{url}");
        }
        assert_eq!(wild_dot("https://app.example:8443/c.b"), Ok("https://appxexample:8443/c.b".to_owned()));
        for url in ["https://localhost/a.b", "http://127.0.0.1:9123/cb", "http://[::1]/cb"] {
            assert!(matches!(wild_dot(url), Err(Missing::NoSuchForm(_))), "{url}");
        }
        assert_eq!(other_port("https://app.example/cb?x=1"), "https://app.example:8443/cb?x=1");
        assert_eq!(other_port("https://app.example:8443/cb"), "https://app.example:8444/cb");
        assert_eq!(other_port("https://[2001:db8::1]:80/cb"), "https://[2001:db8::1]:8443/cb");
    }
}
