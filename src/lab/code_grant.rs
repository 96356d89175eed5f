//! Redemption of authorization codes (RFC 6749 section 4.1.3, RFC 7636
//! section 4.6).

use std::time::{Duration, Instant};

use serde_json::Value;

use super::authorization_request::{Challenge, ChallengeMethod, is_verifier};
use super::clock;
use super::details;
use super::directory::{AuthMethod, Client};
use super::oauth_error::OAuthError;
use super::params::Params;
use super::query;
use super::redirect_uri::without_query;
use super::scope::Scope;
use super::secrets;
use super::server::Server;
use super::store::{Code, Ends, Held, Store};
use super::target;
use super::tokens::{Issue, matches_s256};
use super::{Flaw, Habit};

/// Those that leave time between the check of a code and its mark.
const RACES: [Flaw; 2] = [Flaw::CodeRace, Flaw::CodeRaceRevocation];

/// How long `code-race` and `code-race-revocation` leave between the check and the mark.
const RACE_WINDOW: Duration = Duration::from_millis(25);

/// How long after its end `code-lifetime-too-long` takes a code.
pub(super) const OVERTIME: Duration = Duration::from_secs(24 * 3600);

/// How long `code-reusable-after-grace` remembers that a code was used.
const REMEMBERED: Duration = Duration::from_secs(30);

/// What flaws read a `code_verifier` as that is no text, or is repeated.
pub(super) const ANY_VERIFIER: &str = "\u{0}";

/// Trades a code for tokens.
pub(super) async fn redeem(server: &Server, client: &Client, params: &Params, held: Held) -> Result<Value, OAuthError> {
    let id = params.get("code").ok_or_else(|| OAuthError::invalid_request("code is missing"))?;
    let found = query::finds(server, server.store().codes.keys(), id);
    let id = found.as_deref().unwrap_or(id);
    // Asked for where a code is used twice.
    let issue = if RACES.iter().any(|race| server.is_on(*race)) {
        check(server, &mut server.store(), client, params, id)?;
        check_key(server, &server.store(), id, held.jkt.as_deref())?;
        tokio::time::sleep(RACE_WINDOW).await;
        take(server, &mut server.store(), client, params, id, held)?
    } else {
        // One lock for both: of simultaneous requests only one succeeds.
        let mut store = server.store();
        check(server, &mut store, client, params, id)?;
        check_key(server, &store, id, held.jkt.as_deref())?;
        take(server, &mut store, client, params, id, held)?
    };
    issue.response(server)
}

/// Whether a code without a challenge needs no verifier because a secret comes with it, whatever it is; only a flaw spares it.
pub(super) fn spares_verifier(server: &Server, params: &Params) -> bool {
    let mut store = server.store();
    let code = params.get("code").and_then(|id| store.codes.get_mut(id)).filter(|code| code.challenge.is_none());
    let Some(code) = code else { return false };
    let is_spared = params.get("code_verifier").is_none() && server.has(Flaw::PkceNotAskedWithSecret);
    code.verifier_optional |= is_spared;
    is_spared
}

fn unknown_code() -> OAuthError {
    OAuthError::invalid_grant("the code is unknown, expired or used")
}

/// Everything that must hold before a code is used. A failed attempt does
/// not use it up, or whoever sees a code could keep its owner from it.
fn check(server: &Server, store: &mut Store, client: &Client, params: &Params, id: &str) -> Result<(), OAuthError> {
    let code = store.codes.get(id).ok_or_else(unknown_code)?;
    let is_foreign = code.grant.client_id != client.id;
    let is_trusted = || !matches!(client.auth, AuthMethod::None) && server.has(Flaw::CodeNotBoundToAuthenticatedClient);
    let brings_own_uri = is_foreign && params.get("redirect_uri") == client.redirect_uris.first().map(String::as_str);
    let by_own_uri = brings_own_uri && server.has(Flaw::CodeRedirectUriOfClient);
    if is_foreign && !by_own_uri && !server.has(Flaw::CodeNotBoundToClient) && !is_trusted() {
        let why = "the code was issued to another client";
        return Err(OAuthError::invalid_grant(why));
    }
    let is_used = code.used && !server.has(Flaw::CodeReusable);
    if code.used {
        // They could have checked it before.
        server.note(&RACES);
    }
    let forgotten = || params.get("code_verifier").is_none() && server.has(Flaw::CodeReplayWithoutVerifier);
    let outlived = || code.used_at.is_some_and(|at| clock::instant() >= at + REMEMBERED) && server.has(Flaw::CodeReusableAfterGrace);
    if is_used && !forgotten() && !outlived() {
        // Two redemptions: one of them was not by the client, and it cannot
        // be told which one (RFC 6749 section 4.1.2).
        let ends = Ends {
            refresh_tokens: !server.has(Flaw::CodeReplayKeepsRefreshToken),
            access_tokens: !server.has(Flaw::CodeReplayKeepsAccessToken),
        };
        let sub = code.grant.sub.clone();
        for family in code.families.clone() {
            let is_spared = store.number_of_newest(family) > 1 && server.has(Flaw::CodeReplayKeepsRenewedRefreshToken);
            store.revoke_family(family, Ends { refresh_tokens: ends.refresh_tokens && !is_spared, ..ends });
        }
        if server.keeps(Habit::ReplayEndsSession) {
            store.log_out_user(&sub);
        }
        return Err(unknown_code());
    }
    let late = clock::instant().checked_duration_since(code.expires);
    if late.is_some_and(|late| late >= OVERTIME || !server.has(Flaw::CodeLifetimeTooLong)) {
        return Err(unknown_code());
    }
    let is_expected = match params.get("redirect_uri") {
        Some(uri) => {
            let is_but_for_query = without_query(uri) == without_query(&code.redirect_uri);
            uri == code.redirect_uri
                || (is_but_for_query && server.has(Flaw::RedirectUriQueryIgnored))
                || server.has(Flaw::CodeRedirectUriUnchecked)
        }
        None if params.is_empty("redirect_uri") && server.has(Flaw::CodeRedirectUriEmptyAccepted) => true,
        None => server.has(Flaw::CodeRedirectUriOptional),
    };
    if !is_expected && !by_own_uri {
        let why = "redirect_uri is not that of the authorization request";
        return Err(OAuthError::invalid_grant(why));
    }
    if is_used {
        return Ok(());
    }
    let checked = check_verifier(server, store, client, code, params);
    if checked.is_err() && server.has(Flaw::PkceVerifierIgnored) {
        return Ok(());
    }
    if checked.is_err()
        && server.has(Flaw::PkceChallengeSpentByGuess)
        && let Some(code) = store.codes.get_mut(id)
    {
        code.challenge = None;
        code.verifier_optional = true;
    }
    checked
}

fn check_verifier(server: &Server, store: &Store, client: &Client, code: &Code, params: &Params) -> Result<(), OAuthError> {
    let given = params.get("code_verifier");
    let refuse = |why: &str| Err(OAuthError::invalid_grant(why));
    let Some(challenge) = &code.challenge else {
        return match given {
            None if code.verifier_optional => Ok(()),
            None => refuse("code_verifier is missing"),
            Some(_) if server.has(Flaw::PkceDowngrade) => Ok(()),
            Some(_) if server.has(Flaw::PkceDowngradeConfidential) && !matches!(client.auth, AuthMethod::None) => Ok(()),
            // RFC 9700 section 4.8.2: a verifier where there was no
            // challenge means that someone took the challenge out.
            Some(_) => refuse("the authorization request had no code_challenge"),
        };
    };
    if challenge.method == ChallengeMethod::Unknown {
        return Ok(());
    }
    let Some(verifier) = given.or(code.kept_verifier.as_deref()) else {
        if server.has(Flaw::PkceMissingVerifierAccepted) {
            return Ok(());
        }
        return refuse("code_verifier is missing");
    };
    let is_careless = || server.has(Flaw::TokenEndpointJsonBody) || server.has(Flaw::TokenDuplicateParameterAccepted);
    if verifier == ANY_VERIFIER && is_careless() {
        return Ok(());
    }
    let beginning = verifier.get(..43).filter(|beginning| *beginning != verifier);
    let verifier = beginning.filter(|_| server.has(Flaw::PkcePartialCompare)).unwrap_or(verifier);
    if !is_verifier(verifier) && !server.has(Flaw::PkceShortVerifierAccepted) {
        return Err(OAuthError::invalid_request("code_verifier is malformed"));
    }
    // What the token request says of the challenge has no business here.
    let restated = |name: &str| params.get(name).filter(|_| server.has(Flaw::PkceMethodFromTokenRequest));
    let value = restated("code_challenge").unwrap_or(&challenge.value);
    let method = if restated("code_challenge_method") == Some("plain") { ChallengeMethod::Plain } else { challenge.method };
    let challenge = Challenge { value: value.to_owned(), method };
    let is_raw_equal = || secrets::equal(verifier.as_bytes(), challenge.value.as_bytes());
    let matches = match challenge.method {
        ChallengeMethod::S256 => matches_s256(verifier, &challenge.value) || (server.has(Flaw::PkceChallengeComparedRaw) && is_raw_equal()),
        ChallengeMethod::Plain | ChallengeMethod::Unknown => is_raw_equal(),
    };
    let fits_another = || {
        let same_owner = store.codes.values().filter(|it| it.grant.sub == code.grant.sub && it.grant.client_id == code.grant.client_id);
        let mut others = same_owner.filter_map(|it| it.challenge.as_ref());
        others.any(|other| matches_s256(verifier, &other.value)) && server.has(Flaw::PkceNotBoundToCode)
    };
    if matches || fits_another() { Ok(()) } else { refuse("code_verifier does not fit the code_challenge") }
}

/// A code that was asked for with the thumbprint of a key is redeemed with a proof of that key (RFC 9449 section 10).
fn check_key(server: &Server, store: &Store, id: &str, jkt: Option<&str>) -> Result<(), OAuthError> {
    let bound_to = store.codes.get(id).and_then(|code| code.grant.jkt.as_deref());
    if bound_to.is_some() && bound_to != jkt && !server.has(Flaw::DpopJktUnchecked) {
        return Err(OAuthError::invalid_grant("the code is bound to another key"));
    }
    Ok(())
}

/// Marks the code as used and registers tokens for it.
fn take(server: &Server, store: &mut Store, client: &Client, params: &Params, id: &str, held: Held) -> Result<Issue, OAuthError> {
    let granted = store.codes.get(id).map(|code| code.grant.clone()).ok_or_else(unknown_code)?;
    let audience = target::of_token(server, &granted.resources, params, Flaw::ResourceWidening)?;
    let details = details::of_token(server, &granted.details, params)?;
    let family = store.new_family();
    let code = store.codes.get_mut(id).ok_or_else(unknown_code)?;
    let raced = code.used && server.has(Flaw::CodeRaceRevocation);
    code.used = true;
    code.used_at.get_or_insert_with(clock::instant);
    code.families.push(family);
    let raced = if raced { code.families.clone() } else { Vec::new() };
    let mut grant = code.grant.clone();
    let expires = code.expires;
    grant.client_id.clone_from(&client.id);
    (grant.jkt, grant.x5t) = (held.jkt, held.x5t);
    grant.verifier = params.get("code_verifier").filter(|_| server.keeps(Habit::RefreshAsksVerifier)).map(str::to_owned);
    if let Some(session) = &grant.session {
        store.bind(session, family);
    }
    let is_later = |at: Instant| expires.checked_sub(server.config.code_lifetime).is_some_and(|issued| at > issued);
    let is_other = |sub: &str| server.user_of(&grant.sub).is_some_and(|user| user.sub != sub);
    if let Some((sub, at)) = store.newest_user
        && is_later(at)
        && is_other(sub)
        && server.has(Flaw::CodeUserNewest)
    {
        grant.sub = sub.to_owned();
    }
    let named = params.get("scope").and_then(Scope::parse);
    let wider = named.filter(|named| !named.is_within(grant.scope) && server.has(Flaw::CodeScopeEscalation));
    let scope = wider.unwrap_or(grant.scope);
    if server.keeps(Habit::OneTokenPerUser) {
        let before = store.newest_family.insert((grant.sub.clone(), grant.client_id.clone()), family);
        before.into_iter().for_each(|family| store.revoke_family(family, Ends { refresh_tokens: true, access_tokens: true }));
    }
    let issue = Issue::register(server, store, family, grant, scope, server.may_use(client, "refresh_token"));
    for family in raced {
        store.revoke_family(family, Ends { refresh_tokens: false, access_tokens: true });
    }
    Ok(Issue { audience, details, ..issue })
}
