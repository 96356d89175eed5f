//! JWTs of the client's own, bent as an attack says: DPoP proofs (RFC 9449), request objects (RFC 9101) and client assertions
//! (RFC 7523).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::bend::{JwtBend, Proof};
use crate::model::value::{Expression, Function, Signature};

use super::actor::Actor;
use super::eval::{Known, Missing};
use super::keys::{self, SigningKey};
use super::proof::Shown;
use super::{RunningTrial, dpop, forge};

/// How a JWT differs from the genuine one, its values known.
#[derive(Debug, Clone, Default)]
pub struct Bend {
    alg: Option<String>,
    key: Option<Key>,
    header: Vec<(String, String)>,
    claims: Vec<(String, String)>,
    without: Vec<String>,
    signature: Signature,
}

/// What signs it in place of the client's own key.
#[derive(Debug, Clone)]
enum Key {
    Made(forge::Key),
    /// The public half of the client's own key, in an encoding, taken for an HMAC secret.
    OwnPublic(String),
}

impl Bend {
    /// The JWT with this header and these claims, bent. `own` is the key that signs the genuine one.
    ///
    /// # Errors
    /// There is no such JWT with this key.
    pub fn jws(&self, header: &Value, claims: &Value, own: &SigningKey) -> Result<String, Missing> {
        let (mut bent_header, mut bent_claims) = (members(header), members(claims));
        bent_header.extend(self.alg.iter().map(|alg| ("alg".to_owned(), Value::String(alg.clone()))));
        bent_header.extend(self.header.iter().map(|(name, value)| (name.clone(), forge::json(value))));
        bent_claims.extend(self.claims.iter().map(|(name, value)| (name.clone(), forge::json(value))));
        for name in &self.without {
            bent_header.remove(name);
            bent_claims.remove(name);
        }
        let unsigned = forge::jws(&Value::Object(bent_header), &Value::Object(bent_claims), None).map_err(Missing::Never)?;
        // Signed only where the genuine signature is asked for.
        let genuine = || forge::jws(header, claims, Some(own)).map(|token| last_part(&token).to_owned()).map_err(Missing::Never);
        let signature = match self.signature {
            Signature::Empty => String::new(),
            Signature::Missing => return Ok(unsigned.trim_end_matches('.').to_owned()),
            Signature::Byte => forge::encoded(&[1]),
            Signature::Zeros => forge::encoded(&vec![0; forge::decoded(&genuine()?).len()]),
            Signature::Kept => genuine()?,
            Signature::Fresh => self.fresh(&unsigned, own)?,
            Signature::Flipped => forge::flip_first(&self.fresh(&unsigned, own)?),
        };
        Ok(format!("{unsigned}{signature}"))
    }

    /// The signature over what stands before the last dot.
    fn fresh(&self, unsigned: &str, own: &SigningKey) -> Result<String, Missing> {
        let input = unsigned.trim_end_matches('.').as_bytes();
        let made = |key: &forge::Key, alg: &str| forge::sign(self.alg.as_deref().unwrap_or(alg), key, input);
        let signature = match &self.key {
            None => own.sign(input).map_err(Missing::Never)?,
            // A key of the same type: a server that takes one algorithm alone would refuse another for that.
            Some(Key::Made(key @ forge::Key::Attacker)) => made(key, own.alg()).map_err(Missing::NoSuchForm)?,
            Some(Key::Made(key)) => made(key, "HS256").map_err(Missing::Never)?,
            Some(Key::OwnPublic(encoding)) => {
                let jwk = own.public_jwk().map_err(Missing::NoSuchForm)?;
                let secret = keys::encode_public(&jwk, encoding);
                let secret = secret.ok_or_else(|| Missing::NoSuchForm(format!("the client's key cannot be written as {encoding}")))?;
                made(&forge::Key::Hmac(secret), "HS256").map_err(Missing::Never)?
            }
        };
        Ok(forge::encoded(&signature))
    }
}

fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn last_part(token: &str) -> &str {
    token.rsplit('.').next().unwrap_or_default()
}

/// The DPoP proof of a request, its values known.
#[derive(Debug, Clone)]
pub enum Prove {
    Genuine,
    Withheld,
    Missing,
    Text(String),
    Bent(Bend),
    Beside(Bend),
    Behind(Bend),
}

impl Prove {
    /// Whether a token goes with the scheme DPoP.
    pub fn has_scheme(&self) -> bool {
        !matches!(self, Prove::Withheld)
    }
}

impl<'e> RunningTrial<'e> {
    /// A token and whoever was given it, with a proof where it came bound to the key of the proofs.
    pub fn shown<'t>(&self, token: &'t str) -> Shown<'t>
    where
        'e: 't,
    {
        Shown { bound: self.is_bound(token), certificate: self.certificate_of(token), ..Shown::new(token, self.holder(token)) }
    }

    /// Whether a token came as one that is bound to a key (RFC 9449 §5).
    pub fn is_bound(&self, token: &str) -> bool {
        let given = |fields: &&BTreeMap<String, String>| fields.get("access_token").is_some_and(|t| t == token);
        let fields = self.known.fields.values().find(given);
        fields.and_then(|fields| fields.get("token_type")).is_some_and(|kind| dpop::binds(kind))
    }

    /// # Errors
    /// The first value that never came.
    pub fn bend(&self, bend: &JwtBend, actor: &Actor<'_>) -> Result<Bend, Missing> {
        self.known.bend(bend, actor)
    }

    /// # Errors
    /// The first value that never came.
    pub fn prove_with(&self, proof: &Proof, actor: &Actor<'_>) -> Result<Prove, Missing> {
        Ok(match proof {
            Proof::Genuine => Prove::Genuine,
            Proof::Withheld => Prove::Withheld,
            Proof::Missing => Prove::Missing,
            Proof::Text(template) => Prove::Text(self.known.template(template, actor)?),
            Proof::Bent(bend) => Prove::Bent(self.bend(bend, actor)?),
            Proof::Beside(bend) => Prove::Beside(self.bend(bend, actor)?),
            Proof::Behind(bend) => Prove::Behind(self.bend(bend, actor)?),
        })
    }
}

impl Known {
    /// # Errors
    /// The first value that never came.
    pub fn bend(&self, bend: &JwtBend, actor: &Actor<'_>) -> Result<Bend, Missing> {
        let key = match &bend.key {
            None => None,
            Some(Expression::Call(Function::ClientKey, arguments)) => {
                let [encoding] = arguments.as_slice() else { return Err(Missing::Never("client_key takes an encoding".into())) };
                Some(Key::OwnPublic(self.expression(encoding, actor)?))
            }
            Some(other) => Some(Key::Made(self.key(other, actor)?)),
        };
        Ok(Bend {
            alg: bend.alg.as_ref().map(|alg| self.template(alg, actor)).transpose()?,
            key,
            header: self.members(&bend.header, actor)?,
            claims: self.members(&bend.claims, actor)?,
            without: bend.without.clone(),
            signature: bend.signature,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_named_stays_and_is_signed_by_its_own_key() {
        let own = SigningKey::p256();
        let jwk = own.public_jwk().expect("a public half");
        let (header, claims) = (json!({"alg": "ES256", "typ": "dpop+jwt"}), json!({"htm": "POST", "iat": 1}));
        let made = |bend: Bend| bend.jws(&header, &claims, &own).expect("a JWT");
        let part = |token: &str, index: usize| forge::object(token.split('.').nth(index).unwrap_or_default()).expect("an object");

        let plain = made(Bend::default());
        assert!(keys::verifies(&plain, "ES256", &jwk));
        let other = made(Bend { claims: vec![("htm".into(), "GET".into())], without: vec!["typ".into()], ..Bend::default() });
        assert!(keys::verifies(&other, "ES256", &jwk));
        assert_eq!((part(&other, 0).get("typ"), part(&other, 1)["htm"].as_str()), (None, Some("GET")));
        assert_eq!(part(&other, 1)["iat"], 1);

        let foreign = made(Bend { key: Some(Key::Made(forge::Key::Attacker)), ..Bend::default() });
        assert!(!keys::verifies(&foreign, "ES256", &jwk));
        assert!(made(Bend { signature: Signature::Empty, ..Bend::default() }).ends_with('.'));
        let flipped = made(Bend { signature: Signature::Flipped, ..Bend::default() });
        assert!(!keys::verifies(&flipped, "ES256", &jwk));
        let hmac = made(Bend { alg: Some("HS256".into()), key: Some(Key::OwnPublic("jwk-json".into())), ..Bend::default() });
        assert_eq!(part(&hmac, 0)["alg"], "HS256");
    }
}
