//! What a login page may ask for that no program can give: CAPTCHAs and passkeys, known by the marks of the usual makers.

/// A riddle that tells people from programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Captcha {
    pub maker: &'static str,
    /// A person would see it. Otherwise its script is there, which may watch silently or not be used at all.
    pub shown: bool,
}

/// The maker of a CAPTCHA, by the address of a script or frame, or by a class.
pub fn captcha_maker(text: &str) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let makers = [
        ("recaptcha", "reCAPTCHA"),
        ("hcaptcha", "hCaptcha"),
        ("h-captcha", "hCaptcha"),
        ("challenges.cloudflare.com", "Turnstile"),
        ("cf-turnstile", "Turnstile"),
        ("turnstile", "Turnstile"),
        ("captcha", "CAPTCHA"),
    ];
    makers.iter().find(|(mark, _)| text.contains(mark)).map(|(_, maker)| *maker)
}

/// Whether a script, an address, an id or a class speaks of WebAuthn.
pub fn speaks_of_passkeys(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["navigator.credentials", "publickeycredential", "webauthn", "passkey"].iter().any(|mark| text.contains(mark))
}

/// What to say of a page with a CAPTCHA.
pub fn captcha_words(page: &str, captcha: Captcha) -> String {
    let maker = if captcha.maker == "CAPTCHA" { "a CAPTCHA".to_owned() } else { format!("a CAPTCHA ({})", captcha.maker) };
    format!(
        "the page{page} has {maker}, which only a person passes: switch it off for the test users, or use the login driver `session`, `manual` or `command`"
    )
}

/// What to say of a page that wants a passkey.
pub fn passkey_words(page: &str) -> String {
    format!(
        "the page{page} asks for a passkey (WebAuthn), which grantproof does not have: let the test users log in without one, or use the login driver `session`, `manual` or `command`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_are_known_by_their_marks() {
        assert_eq!(captcha_maker("https://www.google.com/recaptcha/api.js"), Some("reCAPTCHA"));
        assert_eq!(captcha_maker("https://js.hcaptcha.com/1/api.js"), Some("hCaptcha"));
        assert_eq!(captcha_maker("https://challenges.cloudflare.com/turnstile/v0/api.js"), Some("Turnstile"));
        assert_eq!(captcha_maker("https://app.example/main.js"), None);
        assert!(speaks_of_passkeys("navigator.credentials.get({publicKey})") && !speaks_of_passkeys("var credentials = 1"));
    }
}
