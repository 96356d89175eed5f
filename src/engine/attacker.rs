//! The attacker's own keys.

use std::sync::LazyLock;

use super::keys::SigningKey;

/// The attacker's own key pair for an algorithm, made once for the life of the process. Nobody else may know it: attacks that register a client give the
/// server its public half, and such a client may stay behind.
///
/// # Errors
/// Another algorithm than ES256 and RS256.
pub fn key(alg: &str) -> Result<&'static SigningKey, String> {
    static EC: LazyLock<SigningKey> = LazyLock::new(SigningKey::p256);
    static RSA: LazyLock<Result<SigningKey, String>> = LazyLock::new(|| SigningKey::rsa(2048));
    match alg {
        "ES256" => Ok(&EC),
        "RS256" => RSA.as_ref().map_err(Clone::clone),
        other => Err(format!("the attacker has keys for ES256 and RS256, not for {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_has_one_key_and_others_have_none() {
        for alg in ["ES256", "RS256"] {
            let made = key(alg).expect("a key");
            assert!(made.alg() == alg && std::ptr::eq(made, key(alg).expect("a key")), "{alg}");
        }
        assert!(key("HS256").unwrap_err().contains("HS256"));
    }
}
