//! Refresh tokens with rotation (RFC 6749 section 6, RFC 9700 section
//! 4.14.2).

use std::time::Duration;

use serde_json::Value;

use super::Flaw;
use super::details;
use super::directory::{AuthMethod, Client};
use super::oauth_error::OAuthError;
use super::params::Params;
use super::query;
use super::scope::Scope;
use super::server::Server;
use super::store::{Ends, Held};
use super::target;
use super::token::invalid_scope;
use super::tokens::Issue;

/// Trades a refresh token for a new one and a new access token.
pub(super) async fn exchange(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    let id = params.get("refresh_token").ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?;
    let whole = server.store().refresh_token_like(server, id).filter(|_| server.has(Flaw::OpaqueTokenPartialMatch));
    let whole = whole.or_else(|| query::finds(server, server.store().refresh_tokens.keys(), id));
    let id = whole.as_deref().unwrap_or(id);
    let fresh = server.store().refresh_tokens.get(id).is_some_and(|token| !token.rotated);
    // `refresh-race-capped` is asked for where a token is used twice.
    let races = fresh && (server.has(Flaw::RefreshRace) || server.is_on(Flaw::RefreshRaceCapped));
    if races {
        tokio::time::sleep(RACE_WINDOW).await;
    }
    register(server, client, id, params, races, held)?.response(server)
}

/// How long `refresh-race` and `refresh-race-capped` leave between the check and the mark.
const RACE_WINDOW: Duration = Duration::from_millis(25);

/// How many tokens `refresh-race-capped` keeps.
const KEPT: usize = 3;

/// All of it under one lock, so that of two simultaneous uses one is reuse.
fn register(server: &Server, client: &Client, id: &str, params: &Params, checked: bool, held: Held) -> Result<Issue, OAuthError> {
    let unknown = || OAuthError::invalid_grant("the refresh token is unknown, expired, used or revoked");
    let mut store = server.store();
    let token = store.refresh_tokens.get(id).cloned().ok_or_else(unknown)?;
    let is_bound = !server.has(Flaw::RefreshNotBoundToClient);
    let is_loose = || token.number > 1 && server.has(Flaw::RefreshRenewedNotBoundToClient);
    let is_trusted = || !matches!(client.auth, AuthMethod::None) && server.has(Flaw::RefreshNotBoundToAuthenticatedClient);
    if is_bound && token.grant.client_id != client.id && !is_loose() && !is_trusted() {
        let why = "the refresh token was issued to another client";
        return Err(OAuthError::invalid_grant(why));
    }
    if !store.is_refresh_token_alive(server, &token) {
        return Err(unknown());
    }
    if token.grant.verifier.as_deref().is_some_and(|verifier| params.get("code_verifier") != Some(verifier)) {
        return Err(OAuthError::invalid_request("a required parameter is missing or wrong: code_verifier"));
    }
    if token.rotated && !checked {
        server.note(&[Flaw::RefreshRaceCapped]);
    }
    let takes_over = || !store.is_younger_rotated(&token) && server.has(Flaw::RefreshReuseTakesOver);
    let is_taken_again = || server.has(Flaw::RefreshReuseAccepted) || token.number > 1 && server.has(Flaw::RefreshRenewedReuseAccepted);
    if token.rotated && !checked && takes_over() {
        store.keep_newest(token.family, 0);
    } else if token.rotated && !checked && !is_taken_again() {
        // Either the client or a thief uses the old token; the family ends
        // because it cannot be told who holds the new one.
        let is_grandparent = token.number + 1 < store.number_of_newest(token.family);
        let is_unnoticed = is_grandparent && server.has(Flaw::RefreshGrandparentReuseUnnoticed);
        if !is_unnoticed && !server.has(Flaw::RefreshFamilySurvives) {
            let ends = Ends { access_tokens: !server.has(Flaw::RefreshFamilyAccessTokenSurvives), ..Ends::ALL };
            store.revoke_family(token.family, ends);
        }
        return Err(unknown());
    }
    // The refresh token of a public client is bound to its key (RFC 9449 section 5); that of another one to the client, which may
    // change its key.
    let is_public = matches!(client.auth, AuthMethod::None);
    let Held { jkt, x5t } = held;
    let is_of_key = token.grant.jkt.is_none() || token.grant.jkt == jkt;
    if is_public && !is_of_key && !server.has(Flaw::RefreshDpopBindingUnchecked) {
        return Err(OAuthError::invalid_grant("the refresh token is bound to another key"));
    }
    // The same of its certificate (RFC 8705 section 4).
    let is_of_certificate = token.grant.x5t.is_none() || token.grant.x5t == x5t;
    if is_public && !is_of_certificate && !server.has(Flaw::MtlsRefreshBindingUnchecked) {
        return Err(OAuthError::invalid_grant("the refresh token is bound to another certificate"));
    }
    let keeps_key = !is_public && server.has(Flaw::RefreshDpopKeyKept);
    let jkt = if keeps_key { token.grant.jkt.clone().or(jkt) } else { jkt };
    let audience = target::of_token(server, &token.grant.resources, params, Flaw::RefreshResourceEscalation)?;
    let details = details::of_token(server, &token.grant.details, params)?;
    let scope = match params.get("scope") {
        None if client.scope != token.grant.scope && server.has(Flaw::RefreshScopeOfClient) => client.scope,
        None => token.grant.scope,
        Some(text) => Scope::parse(text)
            .filter(|scope| scope.is_within(token.grant.scope) || server.has(Flaw::RefreshScopeEscalation))
            .ok_or_else(|| invalid_scope("the scope is more than was granted"))?,
    };

    let is_rotated = !server.has(Flaw::RefreshNotRotated);
    if let Some(token) = store.refresh_tokens.get_mut(id) {
        token.rotated = is_rotated;
    }
    let mut grant = token.grant;
    grant.client_id.clone_from(&client.id);
    // The nonce belongs to the first ID token only (OpenID Connect Core
    // section 12.2).
    grant.nonce = None;
    (grant.jkt, grant.x5t) = (jkt, x5t);
    let issue = Issue::register(server, &mut store, token.family, grant, scope, is_rotated);
    if checked && server.is_on(Flaw::RefreshRaceCapped) {
        store.keep_newest(token.family, KEPT);
    }
    let issue = Issue { audience, details, ..issue };
    Ok(if is_rotated { issue } else { Issue { refresh_token: Some(id.to_owned()), ..issue } })
}
