//! Whether the secret of an HMAC is one that anybody would try: offline, against a genuine token (RFC 8725 §3.5).

use super::forge;

/// What stands in tutorials, in sample configurations and at the head of every word list. The empty secret is one of them.
const COMMON: &[&str] = &[
    "",
    "secret",
    "your-256-bit-secret",
    "your-384-bit-secret",
    "your-512-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "your_jwt_secret",
    "your-secret-key",
    "my-secret-key",
    "mysecretkey",
    "my_secret_key",
    "secretkey",
    "secret-key",
    "secret_key",
    "supersecret",
    "super-secret",
    "super_secret_key",
    "topsecret",
    "shhhhh",
    "shared-secret",
    "jwt",
    "jwt-secret",
    "jwt_secret",
    "jwtsecret",
    "JWT_SECRET",
    "token",
    "key",
    "private",
    "password",
    "Password1",
    "passw0rd",
    "qwerty",
    "123456",
    "12345678",
    "123456789",
    "1234567890",
    "abc123",
    "admin",
    "administrator",
    "root",
    "test",
    "testing",
    "changeme",
    "change-me",
    "changeit",
    "default",
    "example",
    "demo",
    "development",
    "dev",
    "hmac",
    "hmac-secret",
    "HS256",
    "oauth",
    "oauth2",
    "openid",
    "null",
    "undefined",
    "none",
];

/// A letter or digit again and again, as it stands in the examples of libraries that ask for so many characters.
fn repeated() -> impl Iterator<Item = String> {
    let letters = ('0'..='9').chain('a'..='z').chain('A'..='Z');
    letters.flat_map(|letter| [8, 16, 32, 64].map(|length| letter.to_string().repeat(length)))
}

/// The secret that a token is signed with, where it is a common one or one of `own` (what belongs to the client and the server); None: none
/// of these, or the token has no HMAC.
pub fn secret(token: &str, own: &[&str]) -> Option<String> {
    let (header, _) = forge::read(token)?;
    let alg = header.get("alg")?.as_str()?;
    let fits = |guess: &str| forge::is_keyed_with(token, alg, guess.as_bytes());
    let known = COMMON.iter().copied().chain(own.iter().copied()).find(|guess| fits(guess)).map(str::to_owned);
    known.or_else(|| repeated().find(|guess| fits(guess)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(alg: &str, secret: &str) -> String {
        let input = format!("{}.e30", forge::encoded(format!(r#"{{"alg":"{alg}"}}"#).as_bytes()));
        let tag = forge::hmac(alg, secret.as_bytes(), input.as_bytes()).unwrap_or_default();
        format!("{input}.{}", forge::encoded(&tag))
    }

    #[test]
    fn common_secrets_are_found_and_others_are_not() {
        for alg in ["HS256", "HS384", "HS512"] {
            assert_eq!(secret(&signed(alg, "secret"), &[]).as_deref(), Some("secret"));
            assert_eq!(secret(&signed(alg, ""), &[]).as_deref(), Some(""));
            for common in
                ["00000000", "aaaaaaaa", "ZZZZZZZZ"].map(str::to_owned).into_iter().chain(["0", "1", "a", "X"].map(|it| it.repeat(32)))
            {
                assert_eq!(secret(&signed(alg, &common), &[]), Some(common));
            }
            assert_eq!(secret(&signed(alg, "0000000000"), &[]), None);
            assert_eq!(secret(&signed(alg, "client-1"), &["client-1"]).as_deref(), Some("client-1"));
            assert_eq!(secret(&signed(alg, "client-1"), &[]), None);
            assert_eq!(secret(&signed(alg, "uG7Zk0vJ2yR8pXwQ4nT6bLs1"), &["client-1"]), None);
        }
        assert_eq!(secret("opaque", &[]), None);
        assert_eq!(secret("eyJhbGciOiJSUzI1NiJ9.e30.AA", &[]), None);
    }
}
