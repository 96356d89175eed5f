//! The attacker's own keys.

use std::sync::LazyLock;

use super::keys::SigningKey;

/// The primes of the attacker's RSA key, in hexadecimal. They stand here because a new pair takes a fifth of a second of processor time in each run, and
/// are known to everybody: the key signs forgeries and is registered nowhere, and whoever takes a key from an attacker takes any.
const PRIMES: [&[u8]; 2] = [
    b"f9b02f902dacea7f2c8e6d75ff4bcb1f0f9c266d9b7a9b1e27b765fe5df58fa5d0192e04519ab3e1dc6f1691768a6717cbade297f3af1223a92c5b4b0729bb54\
      4ce2e7e688c5197e8943806d5a3a009b4bedb52c32c007e93b9d8c0a04c5b224622c6744cc0891d1bd5c22b2f82c42bd3a6f6f2096d69177d1129c892d54374b",
    b"e8cad50c798f1d27df50c06c34960b5c48e9db9c028b9726dbf08ce0ae9aae2882e0516056a3a4ef17661b71ecf3de19daefd96008eb3a3eeed733a67dcea31c\
      5b70ecc84a0cbb215c764bec1fd723bc2b090737a811367841f3f67e715d89f18bdee219873849ecb959f1a1a3ffd5ed517998fa03c64d8be6bc62b460c047a7",
];

/// The attacker's own key pair for an algorithm, the same for the life of the process.
///
/// # Errors
/// Another algorithm than ES256 and RS256.
pub fn key(alg: &str) -> Result<&'static SigningKey, String> {
    static EC: LazyLock<SigningKey> = LazyLock::new(SigningKey::p256);
    static RSA: LazyLock<Result<SigningKey, String>> = LazyLock::new(rsa_key);
    match alg {
        "ES256" => Ok(&EC),
        "RS256" => RSA.as_ref().map_err(Clone::clone),
        other => Err(format!("the attacker has keys for ES256 and RS256, not for {other}")),
    }
}

fn rsa_key() -> Result<SigningKey, String> {
    let number = |digits: &[u8]| rsa::BigUint::parse_bytes(digits, 16).ok_or("the attacker's primes are no numbers");
    let primes = PRIMES.into_iter().map(number).collect::<Result<Vec<_>, _>>()?;
    let key = rsa::RsaPrivateKey::from_primes(primes, rsa::BigUint::from(65_537_u32)).map_err(|e| e.to_string())?;
    Ok(SigningKey::Rs256(Box::new(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rsa_key_is_one_and_has_2048_bits() {
        let Ok(SigningKey::Rs256(key)) = rsa_key() else { panic!("no RSA key") };
        assert_eq!(rsa::traits::PublicKeyParts::size(&*key), 256);
        key.validate().expect("a valid key");
    }

    #[test]
    fn there_is_no_key_for_another_algorithm() {
        assert!(key("HS256").unwrap_err().contains("HS256"));
    }
}
