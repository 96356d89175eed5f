//! Token exchange (RFC 8693): one client may trade the access token of a user for one of its own.

use serde_json::{Value, json};

use super::directory::{self, Client};
use super::oauth_error::OAuthError;
use super::params::Params;
use super::scope::Scope;
use super::server::Server;
use super::store::{Grant, Held};
use super::token::invalid_scope;
use super::tokens::{self, AccessClaims, Issue};
use super::{Flaw, client_auth};

/// The grant type of section 2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The only type that is taken and given (section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type that only a flawed server gives.
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";

/// How much client authentication the grant asks for.
pub(super) fn identify(server: &Server) -> client_auth::Identify {
    if server.has(Flaw::TokenExchangeUnauthenticated) { client_auth::Identify::AnyHow } else { client_auth::Identify::PublicToo }
}

/// Trades a subject token for an access token of this client.
pub(super) fn exchange(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    // Section 5: who may exchange is a matter of policy, and nobody may unless it says so.
    if !server.may_use(client, GRANT_TYPE) && !server.has(Flaw::TokenExchangeUnauthenticated) {
        return Err(OAuthError::new("unauthorized_client", "the client may not use this grant type"));
    }
    let refuse = |why: &'static str| OAuthError::invalid_request(why);
    let token = params.get("subject_token").ok_or_else(|| refuse("subject_token is missing"))?;
    if params.get("subject_token_type") != Some(ACCESS_TOKEN) {
        return Err(refuse("subject_token_type is missing or not supported"));
    }
    let gives_refresh_token = params.get("requested_token_type") == Some(REFRESH_TOKEN) && server.has(Flaw::TokenExchangeRefreshTokenGiven);
    if !gives_refresh_token && params.get("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN) {
        return Err(refuse("requested_token_type is not supported"));
    }
    // Nobody acts for somebody else here (section 4.1).
    if params.get("actor_token").is_some() || params.get("actor_token_type").is_some() {
        return Err(refuse("delegation is not supported"));
    }
    let targets = ["audience", "resource"].into_iter().filter_map(|name| params.get(name));
    if targets.into_iter().any(|wanted| wanted != server.resource) {
        return Err(OAuthError::new("invalid_target", "the client may ask for the API of this server only"));
    }
    let subject = subject(server, token).ok_or_else(|| refuse("the subject token is not a valid access token"))?;
    // A bound token is of no use to whoever has not its key (RFC 9449 section 5).
    if subject.jkt.is_some() && subject.jkt != held.jkt {
        return Err(refuse("the subject token is bound to another key"));
    }
    // The same of its certificate: the client that exchanges is not the one that it was given to (RFC 8705 section 3).
    if subject.x5t.is_some() && subject.x5t != held.x5t {
        return Err(refuse("the subject token is bound to another certificate"));
    }
    let granted = Scope::parse(&subject.scope).ok_or_else(|| invalid_scope("the subject token has no scope"))?;
    let scope = match params.get("scope") {
        None => granted,
        Some(text) => Scope::parse(text)
            .filter(|wanted| wanted.is_within(granted) || server.has(Flaw::TokenExchangeEscalation))
            .ok_or_else(|| invalid_scope("the scope is more than that of the subject token"))?,
    };
    let sub = match params.get("requested_subject") {
        None => subject.sub,
        // Not of the RFC, but of its drafts and of some servers.
        Some(wanted) if server.has(Flaw::TokenExchangeImpersonationOpen) && directory::user_by_sub(wanted).is_some() => wanted.to_owned(),
        Some(_) => return Err(refuse("requested_subject is not supported")),
    };
    let grant = Grant::plain(server, client, sub, scope, held);
    let issue = {
        let mut store = server.store();
        let family = store.new_family();
        Issue::register(server, &mut store, family, grant, scope, gives_refresh_token)
    };
    // Section 2.2.1: what is issued stands in access_token, also where it is none.
    if let Some(refresh_token) = &issue.refresh_token {
        return Ok(json!({ "access_token": refresh_token, "issued_token_type": REFRESH_TOKEN, "token_type": "N_A" }));
    }
    let mut body = issue.response(server)?;
    if let Some(members) = body.as_object_mut() {
        members.remove("id_token");
    }
    body["issued_token_type"] = json!(ACCESS_TOKEN);
    Ok(body)
}

/// What a subject token says, where it is believed.
fn subject(server: &Server, token: &str) -> Option<AccessClaims> {
    if server.has(Flaw::TokenExchangeSubjectUnverified) {
        return tokens::read_unverified(server, token);
    }
    let claims = tokens::verify_strictly(server, token);
    let claims = claims.or_else(|| tokens::read_own_id_token(server, token).filter(|_| server.has(Flaw::TokenExchangeTypeConfusion)))?;
    let is_revoked = server.store().is_access_token_revoked(&claims.jti) && !server.has(Flaw::TokenExchangeRevokedSubject);
    // The token of the second API is not traded for one of the first.
    (!is_revoked && claims.aud != server.second.identifier).then_some(claims)
}
