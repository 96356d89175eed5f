//! Unguessable values and comparisons that do not tell how far they got.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};

/// 256 random bits as base64url: codes, tokens, session ids, form secrets.
pub(super) fn random() -> String {
    let mut bytes = [0_u8; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Eight random bits.
pub(super) fn byte() -> u8 {
    let mut bytes = [0_u8; 1];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    bytes[0]
}

/// Base64url without padding of the SHA-256 digest of `text`: the S256
/// transformation of RFC 7636 section 4.2.
pub(super) fn s256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// Whether two secrets are equal. The digests are compared, and all of them,
/// so that the time taken depends neither on the first difference nor on
/// the length of the stored secret.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    let difference = left.iter().zip(right.iter()).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s256_of_rfc_7636_appendix_b() {
        assert_eq!(s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn equality_of_secrets() {
        assert!(equal(b"one", b"one"));
        assert!(!equal(b"one", b"two"));
        assert!(!equal(b"one", b"one "));
        assert_ne!(random(), random());
        assert_eq!(random().len(), 43);
    }
}
