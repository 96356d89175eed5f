//! One-time codes of an authenticator (TOTP, RFC 6238), for logins with a second factor.

use hmac::{Hmac, Mac as _};
use sha1::Sha1;

/// The step of time that most authenticators use, in seconds.
const STEP: u64 = 30;
const DIGITS: u32 = 6;

/// An authenticator with the parameters that nearly all servers use: HMAC-SHA-1, six digits, steps of 30 seconds.
#[derive(Debug, Clone)]
pub struct Totp {
    key: Vec<u8>,
}

impl Totp {
    /// Reads a secret as servers show it: base32, spaces and hyphens apart, or an `otpauth://` address that holds one.
    ///
    /// # Errors
    /// What is wrong with it; the secret itself is not repeated.
    pub fn read(secret: &str) -> Result<Totp, String> {
        let secret = match url::Url::parse(secret).ok().filter(|url| url.scheme() == "otpauth") {
            Some(url) => {
                let value = |name: &str| url.query_pairs().find(|(n, _)| n == name).map(|(_, v)| v.into_owned());
                for (name, usual) in [("algorithm", "SHA1"), ("digits", "6"), ("period", "30")] {
                    if let Some(other) = value(name).filter(|v| !v.eq_ignore_ascii_case(usual)) {
                        return Err(format!("the authenticator has {name}={other}; only {usual} is known"));
                    }
                }
                value("secret").ok_or("the otpauth address holds no secret")?
            }
            None => secret.to_owned(),
        };
        let key = base32(&secret).ok_or("the TOTP secret is no base32 text (letters and the digits 2 to 7)")?;
        if key.is_empty() { Err("the TOTP secret is empty".into()) } else { Ok(Totp { key }) }
    }

    /// The ways in which people and servers write this secret, its bytes among them: what must not be shown.
    pub fn spellings(secret: &str) -> Vec<Vec<u8>> {
        let address = url::Url::parse(secret).ok().filter(|url| url.scheme() == "otpauth");
        let named = address.and_then(|url| url.query_pairs().find(|(name, _)| name == "secret").map(|(_, value)| value.into_owned()));
        let text = named.unwrap_or_else(|| secret.to_owned());
        let plain: String = text.chars().filter(|c| !matches!(c, '=' | ' ' | '-')).collect();
        let key = base32(&plain).unwrap_or_default();
        vec![plain.to_ascii_lowercase().into(), plain.to_ascii_uppercase().into(), text.into(), key]
    }

    /// The number of the step that a moment (seconds since 1970) lies in.
    pub fn step_at(seconds: u64) -> u64 {
        seconds / STEP
    }

    /// When a step begins, in seconds since 1970.
    pub fn begins(step: u64) -> u64 {
        step.saturating_mul(STEP)
    }

    /// The code of a step (RFC 4226 §5.3).
    pub fn code(&self, step: u64) -> String {
        let number = Hmac::<Sha1>::new_from_slice(&self.key).map_or(0, |mut mac| {
            mac.update(&step.to_be_bytes());
            let hash = mac.finalize().into_bytes();
            let at = usize::from(hash[19] & 0x0f);
            hash.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, |four| u32::from_be_bytes(four) & 0x7fff_ffff)
        });
        format!("{:0width$}", number % 10u32.pow(DIGITS), width = DIGITS as usize)
    }
}

/// RFC 4648 §6, in either case; padding, spaces and hyphens do not count.
fn base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held) = (0u32, 0u32);
    let mut bytes = Vec::new();
    for c in text.chars().filter(|c| !matches!(c, '=' | ' ' | '-')) {
        let value = match c.to_ascii_uppercase() {
            c @ 'A'..='Z' => u32::from(c) - u32::from('A'),
            c @ '2'..='7' => u32::from(c) - u32::from('2') + 26,
            _ => return None,
        };
        bits = (bits << 5 | value) & 0xffff;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the last six digits of the eight that stand there.
    #[test]
    fn the_codes_of_rfc_6238() {
        let totp = Totp::read("GEZD GNBV GY3T QOJQ GEZDGNBVGY3TQOJQ").expect("base32 of 12345678901234567890");
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(totp.code(Totp::step_at(seconds)), code, "{seconds}");
        }
    }

    #[test]
    fn secrets_as_servers_show_them() {
        let plain = Totp::read("gezdgnbvgy3tqojq").expect("base32").code(1);
        let address = "otpauth://totp/x:alice?secret=GEZDGNBVGY3TQOJQ&issuer=x&algorithm=SHA1&digits=6&period=30";
        assert_eq!(Totp::read(address).expect("an address").code(1), plain);
        for (wrong, words) in [("12!", "base32"), ("", "empty"), ("otpauth://totp/x?secret=GE&digits=8", "digits=8")] {
            let why = Totp::read(wrong).err().unwrap_or_default();
            assert!(why.contains(words), "{wrong}: {why}");
        }
    }
}
