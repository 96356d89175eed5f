//! Rich authorization requests (RFC 9396): the one type of details that the lab knows.
//!
//! A payment has an amount, a currency and a creditor, and nothing else. What is asked for is shown to the user each time, and the tokens of
//! the grant say it: the answer, the access token and its introspection.

use serde_json::{Map, Value};

use super::Flaw;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::server::Server;

/// The parameter, and the member of answers and tokens.
pub(super) const NAME: &str = "authorization_details";
/// The types of section 10's `authorization_details_types_supported`.
pub(super) const TYPES: [&str; 1] = ["payment"];
/// The longest name of a creditor, in characters, as bank transfers have it.
const LONGEST_NAME: usize = 70;

/// The details that a request names, none where it names none.
///
/// # Errors
/// `invalid_authorization_details`, where one of them is not what section 5 asks for.
pub(super) fn asked(server: &Server, params: &Params) -> Result<Vec<Value>, OAuthError> {
    let Some(text) = params.get(NAME) else { return Ok(Vec::new()) };
    let read: Option<Vec<Value>> = serde_json::from_str(text).ok();
    if server.has(Flaw::RarUnvalidated) {
        return Ok(read.unwrap_or_else(|| vec![Value::from(text)]));
    }
    let details = read.ok_or_else(|| invalid("authorization_details is no JSON array"))?;
    if !details.iter().all(|detail| detail.as_object().is_some_and(is_payment)) {
        return Err(invalid("authorization_details has something that is no payment, or no whole one"));
    }
    Ok(details)
}

/// The details of a token of a grant: what the token request names of them, or all (section 6).
///
/// # Errors
/// `invalid_authorization_details`, where it names others.
pub(super) fn of_token(server: &Server, granted: &[Value], params: &Params) -> Result<Vec<Value>, OAuthError> {
    let named = asked(server, params)?;
    if named.is_empty() {
        return Ok(granted.to_vec());
    }
    // Each payment is its own: one that is not the same was not approved (section 6.1).
    if !named.iter().all(|detail| granted.contains(detail)) && !server.has(Flaw::RarTampered) {
        return Err(invalid("the user has not approved these authorization_details"));
    }
    Ok(named)
}

/// Refuses details where nobody can be asked for them.
///
/// # Errors
/// `invalid_authorization_details`, where the request names some.
pub(super) fn none(params: &Params) -> Result<(), OAuthError> {
    match params.get(NAME) {
        None => Ok(()),
        Some(_) => Err(invalid("authorization_details cannot be had here")),
    }
}

fn is_payment(detail: &Map<String, Value>) -> bool {
    let has = |name: &str, is_right: &dyn Fn(&str) -> bool| detail.get(name).and_then(Value::as_str).is_some_and(is_right);
    detail.len() == 4
        && has("type", &|text| TYPES.contains(&text))
        && has("amount", &is_amount)
        && has("currency", &|text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()))
        && has("creditor", &|text| !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME)
}

/// `12.50`: digits, and two of them behind a dot.
fn is_amount(text: &str) -> bool {
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(whole, part)| are_digits(whole) && whole.len() <= 9 && are_digits(part) && part.len() == 2)
}

/// The details as a user reads them, one line each.
pub(super) fn lines(details: &[Value]) -> Vec<String> {
    let member = |detail: &Value, name: &str| detail[name].as_str().unwrap_or_default().to_owned();
    let line = |detail: &Value| match detail.as_object().is_some_and(is_payment) {
        true => format!("pay {} {} to {}", member(detail, "amount"), member(detail, "currency"), member(detail, "creditor")),
        false => detail.to_string(),
    };
    details.iter().map(line).collect()
}

fn invalid(why: &str) -> OAuthError {
    OAuthError::new("invalid_authorization_details", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_whole_and_has_nothing_else() {
        let detail = |json: &str| serde_json::from_str::<Value>(json).ok().and_then(|value| value.as_object().map(is_payment));
        assert_eq!(detail(r#"{"type":"payment","amount":"12.50","currency":"EUR","creditor":"Books"}"#), Some(true));
        for wrong in [
            r#"{"type":"payment","amount":"12.50","currency":"EUR"}"#,
            r#"{"type":"payment","amount":12.50,"currency":"EUR","creditor":"Books"}"#,
            r#"{"type":"payment","amount":"12.5","currency":"EUR","creditor":"Books"}"#,
            r#"{"type":"payment","amount":"12.50","currency":"eur","creditor":"Books"}"#,
            r#"{"type":"payment","amount":"12.50","currency":"EUR","creditor":" "}"#,
            r#"{"type":"loan","amount":"12.50","currency":"EUR","creditor":"Books"}"#,
            r#"{"type":"payment","amount":"12.50","currency":"EUR","creditor":"Books","more":"x"}"#,
        ] {
            assert_eq!(detail(wrong), Some(false), "{wrong}");
        }
    }
}
