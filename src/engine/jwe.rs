//! Encryption to a server's published key (JWE, RFC 7516): anybody can do it, so it says nothing of who wrote what is inside.

use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use rsa::{BigUint, Oaep, RsaPublicKey};
use serde_json::{Map, Value, json};

use super::forge::{decoded, encoded};

/// Makes a padding: each encryption uses one up.
type Padding = fn() -> Oaep;

/// How the key of the content is encrypted (RFC 7518 §4.3), the one to prefer first.
const ALGS: [(&str, Padding); 2] = [("RSA-OAEP-256", Oaep::new::<sha2::Sha256>), ("RSA-OAEP", Oaep::new::<sha1::Sha1>)];

/// How the content is (RFC 7518 §5.3), and how many bytes its key has.
const ENCS: [(&str, &aead::Algorithm, usize); 2] = [("A256GCM", &aead::AES_256_GCM, 32), ("A128GCM", &aead::AES_128_GCM, 16)];

/// The ways of encryption that are made here, for who asks why another one is not tried.
pub const MADE: &str = "RSA-OAEP-256 and RSA-OAEP with A256GCM and A128GCM";

/// A key to encrypt to, and how.
pub struct Recipient {
    alg: &'static str,
    padding: Padding,
    enc: &'static str,
    cipher: &'static aead::Algorithm,
    key_bytes: usize,
    key: RsaPublicKey,
    kid: Option<String>,
}

impl Recipient {
    /// The one for request objects (RFC 9101 §10.1, OpenID Connect Discovery §3): a way that the metadata lists, and a published key for it.
    /// None: the server lists none that is made here, or publishes no key that is meant for encryption.
    pub fn of_request_objects(metadata: &Map<String, Value>, jwks: &Value) -> Option<Recipient> {
        let listed = |name: &str, word: &str| {
            let words = metadata.get(name).and_then(Value::as_array);
            words.is_some_and(|words| words.iter().any(|listed| listed.as_str() == Some(word)))
        };
        let (enc, cipher, key_bytes) = ENCS.into_iter().find(|(enc, ..)| listed("request_object_encryption_enc_values_supported", enc))?;
        let algs = ALGS.into_iter().filter(|(alg, _)| listed("request_object_encryption_alg_values_supported", alg));
        let keys = jwks.get("keys")?.as_array()?;
        algs.filter_map(|(alg, padding)| {
            let jwk = keys.iter().find(|jwk| may_encrypt(jwk, alg))?;
            let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
            Some(Recipient { alg, padding, enc, cipher, key_bytes, key: rsa_key(jwk)?, kid })
        })
        .next()
    }

    /// Its `alg` and `enc`, with a space between them.
    pub fn way(&self) -> String {
        format!("{} {}", self.alg, self.enc)
    }

    /// Encrypts a text, in the compact form (RFC 7516 §7.1); `header` is what it says beside `alg`, `enc` and `kid`.
    ///
    /// # Errors
    /// The key is too short for the padding, or the system has no randomness.
    pub fn encrypt(&self, header: &[(&str, &str)], plaintext: &str) -> Result<String, String> {
        let mut protected = json!({ "alg": self.alg, "enc": self.enc });
        let named = header.iter().copied().chain(self.kid.as_deref().map(|kid| ("kid", kid)));
        named.for_each(|(name, value)| protected[name] = value.into());
        let protected = encoded(protected.to_string().as_bytes());
        let (mut key, mut iv) = (vec![0; self.key_bytes], [0; aead::NONCE_LEN]);
        let random = SystemRandom::new();
        random.fill(&mut key).and_then(|()| random.fill(&mut iv)).map_err(|_| "the system has no randomness")?;
        let encrypted_key = self
            .key
            .encrypt(&mut rand::rngs::OsRng, (self.padding)(), &key)
            .map_err(|e| format!("the published key cannot encrypt with {}: {e}", self.alg))?;
        let cipher =
            UnboundKey::new(self.cipher, &key).map(LessSafeKey::new).map_err(|_| format!("{} has keys of another size", self.enc))?;
        let mut content = plaintext.as_bytes().to_vec();
        // RFC 7516 §5.1, step 14: the header is what is authenticated beside the content.
        let tag = cipher
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(iv), Aad::from(protected.as_bytes()), &mut content)
            .map_err(|_| format!("the content is too long for {}", self.enc))?;
        Ok([protected, encoded(&encrypted_key), encoded(&iv), encoded(&content), encoded(tag.as_ref())].join("."))
    }
}

/// Whether a published key is for encryption with this algorithm, by its `use` or its `alg` (RFC 7517 §4.2, §4.4). One that says neither may be the one
/// that signs, and is left alone.
fn may_encrypt(jwk: &Value, alg: &str) -> bool {
    let says = |name: &str| jwk.get(name).and_then(Value::as_str);
    let meant = match (says("use"), says("alg")) {
        (Some("enc"), named) => named.is_none_or(|named| named == alg),
        (None, named) => named == Some(alg),
        _ => false,
    };
    meant && says("kty") == Some("RSA")
}

fn rsa_key(jwk: &Value) -> Option<RsaPublicKey> {
    let number = |name: &str| jwk.get(name)?.as_str().map(|text| BigUint::from_bytes_be(&decoded(text)));
    RsaPublicKey::new(number("n")?, number("e")?).ok()
}

/// Whether a text is encrypted: five parts, where a signed one has three (RFC 7516 §9).
pub fn is_encrypted(token: &str) -> bool {
    token.split('.').count() == 5
}

#[cfg(test)]
mod tests {
    use rsa::RsaPrivateKey;
    use rsa::traits::PublicKeyParts as _;

    use super::*;

    fn metadata(algs: &[&str], encs: &[&str]) -> Map<String, Value> {
        let all = json!({ "request_object_encryption_alg_values_supported": algs, "request_object_encryption_enc_values_supported": encs });
        all.as_object().cloned().unwrap_or_default()
    }

    fn jwk(key: &RsaPublicKey, more: &[(&str, &str)]) -> Value {
        let mut jwk = json!({ "kty": "RSA", "n": encoded(&key.n().to_bytes_be()), "e": encoded(&key.e().to_bytes_be()) });
        more.iter().for_each(|(name, value)| jwk[name] = (*value).into());
        jwk
    }

    /// The key of RFC 7516 appendix A.1.4.
    fn of_rfc_7516() -> RsaPrivateKey {
        const N: &str = "oahUIoWw0K0usKNuOR6H4wkf4oBUXHTxRvgb48E-BVvxkeDNjbC4he8rUWcJoZmds2h7M70imEVhRU5djINXtqllXI4DFqcI1DgjT9LewND8MW2Krf3Spsk_ZkoFnilakGygTwpZ3uesH-PFABNIUYpOiN15dsQRkgr0vEhxN92i2asbOenSZeyaxziK72UwxrrKoExv6kc5twXTq4h-QChLOln0_mtUZwfsRaMStPs6mS6XrgxnxbWhojf663tuEQueGC-FCMfra36C9knDFGzKsNa7LZK2djYgyD3JR_MB_4NUJW_TqOQtwHYbxevoJArm-L5StowjzGy-_bq6Gw";
        const D: &str = "kLdtIj6GbDks_ApCSTYQtelcNttlKiOyPzMrXHeI-yk1F7-kpDxY4-WY5NWV5KntaEeXS1j82E375xxhWMHXyvjYecPT9fpwR_M9gV8n9Hrh2anTpTD93Dt62ypW3yDsJzBnTnrYu1iwWRgBKrEYY46qAZIrA2xAwnm2X7uGR1hghkqDp0Vqj3kbSCz1XyfCs6_LehBwtxHIyh8Ripy40p24moOAbgxVw3rxT_vlt3UVe4WO3JkJOzlpUf-KTVI2Ptgm-dARxTEtE-id-4OJr0h-K-VFs3VSndVTIznSxfyrj8ILL6MG_Uv8YAu7VILSB3lOW085-4qE3DzgrTjgyQ";
        let number = |text: &str| BigUint::from_bytes_be(&decoded(text));
        RsaPrivateKey::from_components(number(N), BigUint::from(65537_u32), number(D), Vec::new()).expect("the key of the vector")
    }

    /// RFC 7516 appendix A.1, read as ours are written: the same algorithms give the plaintext of the vector.
    const RFC7516_A1: &str = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ";

    /// What a recipient reads, by RFC 7516 §5.2.
    fn decrypted(token: &str, key: &RsaPrivateKey, padding: Oaep, cipher: &'static aead::Algorithm) -> Option<String> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, encrypted_key, iv, content, tag] = parts.as_slice() else { return None };
        let cek = key.decrypt(padding, &decoded(encrypted_key)).ok()?;
        let mut sealed = [decoded(content), decoded(tag)].concat();
        let opener = LessSafeKey::new(UnboundKey::new(cipher, &cek).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(&decoded(iv)).ok()?;
        let opened = opener.open_in_place(nonce, Aad::from(header.as_bytes()), &mut sealed).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }

    #[test]
    fn what_is_encrypted_here_is_read_as_the_vector_of_rfc_7516_is() {
        let key = of_rfc_7516();
        let read = |token: &str| decrypted(token, &key, Oaep::new::<sha1::Sha1>(), &aead::AES_256_GCM);
        assert_eq!(read(RFC7516_A1).as_deref(), Some("The true sign of intelligence is not knowledge but imagination."));

        let keys = json!({ "keys": [jwk(&key.to_public_key(), &[("use", "enc"), ("kid", "k")])] });
        let to = |algs: &[&str], encs: &[&str]| Recipient::of_request_objects(&metadata(algs, encs), &keys).expect("a recipient");
        let made = to(&["RSA-OAEP"], &["A256GCM"]).encrypt(&[("cty", "JWT")], "a.b.c").expect("a JWE");
        assert!(is_encrypted(&made) && !is_encrypted("a.b.c"));
        assert_eq!(read(&made).as_deref(), Some("a.b.c"));
        let header = super::super::forge::object(made.split('.').next().unwrap_or_default());
        assert_eq!(header.map(Value::Object), Some(json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT", "kid": "k" })));
        // Another header than the one that was authenticated.
        assert_eq!(read(&made.replacen("eyJ", "eyK", 1)), None);

        let preferred = to(&["RSA1_5", "RSA-OAEP", "RSA-OAEP-256"], &["A128CBC-HS256", "A128GCM"]);
        assert_eq!(preferred.way(), "RSA-OAEP-256 A128GCM");
        let made = preferred.encrypt(&[], "{}").expect("a JWE");
        assert_eq!(decrypted(&made, &key, Oaep::new::<sha2::Sha256>(), &aead::AES_128_GCM).as_deref(), Some("{}"));
        assert_eq!(read(&made), None);
    }

    #[test]
    fn a_key_that_is_meant_for_it_and_a_way_that_is_listed() {
        let public = of_rfc_7516().to_public_key();
        let way = |algs: &[&str], encs: &[&str], keys: &[&[(&str, &str)]]| {
            let keys: Vec<Value> = keys.iter().map(|more| jwk(&public, more)).collect();
            Recipient::of_request_objects(&metadata(algs, encs), &json!({ "keys": keys })).map(|found| found.way())
        };
        let both = ["RSA-OAEP-256", "RSA-OAEP"];
        assert_eq!(way(&both, &["A256GCM"], &[&[("use", "sig")], &[("use", "enc")]]).as_deref(), Some("RSA-OAEP-256 A256GCM"));
        // The key says which algorithm it is for.
        assert_eq!(way(&both, &["A256GCM"], &[&[("use", "enc"), ("alg", "RSA-OAEP")]]).as_deref(), Some("RSA-OAEP A256GCM"));
        assert_eq!(way(&["RSA-OAEP-256"], &["A256GCM"], &[&[("use", "enc"), ("alg", "RSA-OAEP")]]), None);
        assert_eq!(way(&both, &["A256GCM"], &[&[("alg", "RSA-OAEP")]]).as_deref(), Some("RSA-OAEP A256GCM"));
        assert_eq!(way(&both, &["A256GCM"], &[&[("use", "sig"), ("alg", "RSA-OAEP")], &[], &[("alg", "RS256")]]), None);
        assert_eq!(way(&both, &["A256CBC-HS512"], &[&[("use", "enc")]]), None);
        assert_eq!(way(&["ECDH-ES"], &["A256GCM"], &[&[("use", "enc")]]), None);
        assert_eq!(way(&both, &["A256GCM"], &[]), None);
    }
}
