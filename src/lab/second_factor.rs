//! The second factor of a login: a one-time code of the user's authenticator (TOTP, RFC 6238), asked for after the password. Nobody is
//! logged in before it came.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use super::authorization_response::see_other;
use super::directory::User;
use super::login::{self, GONE, MAX_TRIES};
use super::params::Params;
use super::server::{Server, own_form};
use super::tokens::now;
use super::{pages, secrets};

/// The time step, in seconds (section 4.1).
const STEP: u64 = 30;
/// Codes that are looked at in a minute for one user, in however many logins: a million are soon tried (RFC 4226 section 7.3).
const MAX_CODES: u32 = 20;

/// What an authenticator shares with the server: twenty bytes, and how a person types them (base32, RFC 4648 section 6).
pub(super) struct Authenticator {
    pub(super) key: &'static [u8; 20],
    pub(super) shown: &'static str,
}

impl Authenticator {
    /// The code of a time step: six digits of an HMAC-SHA-1 (RFC 4226 section 5.3).
    pub(super) fn code(&self, step: u64) -> Option<String> {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.key).ok()?;
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let offset = usize::from(hash.last()? & 0x0f);
        let four = hash.get(offset..offset + 4)?.try_into().ok()?;
        Some(format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000))
    }

    /// The time step that a code belongs to: this one, or the one before, for what is under way for some seconds (RFC 6238 section 5.2).
    fn step_of(&self, code: &str, seconds: u64) -> Option<u64> {
        let step = seconds / STEP;
        let is_of = |step: &u64| self.code(*step).is_some_and(|right| secrets::equal(right.as_bytes(), code.as_bytes()));
        [step, step.saturating_sub(1)].into_iter().find(is_of)
    }
}

/// Handles `GET /second-factor`: the field for the code, after the password.
pub(super) async fn show(State(server): State<Arc<Server>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes());
    let mut store = server.store();
    let found = login::find(&mut store, &params).filter(|(_, transaction)| login::is_begun_here(transaction, &headers));
    let Some((tx, transaction)) = found else {
        drop(store);
        return login::refuse(&server, GONE);
    };
    match transaction.knows_password_of {
        Some(_) => pages::second_factor(&server, tx, &transaction.csrf, None),
        None => see_other(&format!("/login?tx={tx}")),
    }
}

/// Handles `POST /second-factor`: the code.
pub(super) async fn confirm(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(params) = own_form(&headers, &body) else {
        return login::refuse(&server, "This is not the form of the page.");
    };
    let mut store = server.store();
    let found = login::find(&mut store, &params).filter(|(_, transaction)| login::is_begun_here(transaction, &headers));
    let Some((tx, transaction)) = found.filter(|(_, transaction)| login::comes_from(&params, transaction)) else {
        drop(store);
        return login::refuse(&server, "This form does not belong to this login.");
    };
    let Some((user, authenticator)) = transaction.knows_password_of.and_then(|user| Some((user, user.authenticator.as_ref()?))) else {
        return see_other(&format!("/login?tx={tx}"));
    };
    let is_flood = store.admit(&format!("one-time codes of {}", user.sub), MAX_CODES).is_err();
    let step = authenticator.step_of(params.get("code").unwrap_or_default().trim(), now());
    // Each code is taken once (RFC 6238 section 5.2).
    if !is_flood && step.is_some_and(|step| store.use_one_time_code(user.sub, step)) {
        return login::complete(&server, store, tx, user, &headers);
    }
    let Some(transaction) = store.transactions.get_mut(tx) else {
        drop(store);
        return login::refuse(&server, GONE);
    };
    transaction.tries += 1;
    if is_flood || transaction.tries >= MAX_TRIES {
        store.transactions.remove(tx);
        drop(store);
        return login::refuse(&server, "Too many wrong codes. Please wait a minute and start again.");
    }
    pages::second_factor(&server, tx, &transaction.csrf, Some("This code is wrong, or was used before."))
}

/// Whether the login of a user is over with the password.
pub(super) fn is_needed(user: &User) -> bool {
    user.authenticator.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the last six digits of the eight that stand there.
    #[test]
    fn the_codes_of_rfc_6238() {
        let authenticator = Authenticator { key: b"12345678901234567890", shown: "" };
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(authenticator.code(seconds / STEP).as_deref(), Some(code));
            assert_eq!(authenticator.step_of(code, seconds + STEP), Some(seconds / STEP), "a code that is late");
            assert_eq!(authenticator.step_of(code, seconds + 2 * STEP), None, "a code that is too late");
            assert_eq!(authenticator.step_of(code, seconds - STEP), None, "a code of the future");
        }
    }
}
