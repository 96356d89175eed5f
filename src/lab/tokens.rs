//! Access tokens (RFC 9068) and ID tokens (OpenID Connect Core section 2):
//! how they are made and how an access token is verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Flaw;
use super::clock;
use super::details;
use super::habit::{self, Habit};
use super::jws::{self, Compact};
use super::keys;
use super::oauth_error::OAuthError;
use super::scope::Scope;
use super::secrets;
use super::server::Server;
use super::store::{FamilyId, Grant, Store};

const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The SHA-256 thumbprint of a certificate (RFC 8705 section 3.1).
const X5T: &str = "x5t#S256";
const ID_TOKEN_LIFETIME: u64 = 600;

/// Tokens that are registered but not yet written and signed. Registering
/// happens under the lock of the store, signing after it.
pub(super) struct Issue {
    pub(super) grant: Grant,
    /// The scope of the access token, which may be narrower than the grant.
    pub(super) scope: Scope,
    pub(super) jti: String,
    /// What the access token is for: one API, unless a flaw says otherwise.
    pub(super) audience: Vec<String>,
    /// The details of the access token, which may be fewer than those of the grant (RFC 9396 section 6).
    pub(super) details: Vec<Value>,
    pub(super) refresh_token: Option<String>,
}

impl Issue {
    /// Registers an access token, and a refresh token if wanted.
    pub(super) fn register(
        server: &Server,
        store: &mut Store,
        family: FamilyId,
        grant: Grant,
        scope: Scope,
        with_refresh_token: bool,
    ) -> Self {
        let with_refresh_token = with_refresh_token && !server.keeps(Habit::NoRefreshTokens);
        let refresh_token = with_refresh_token.then(|| store.add_refresh_token(server, family, grant.clone()));
        Self {
            jti: store.add_access_token(family, server.config.access_token_lifetime),
            audience: grant.resources.first().cloned().into_iter().collect(),
            details: grant.details.clone(),
            refresh_token,
            grant,
            scope,
        }
    }

    fn scope_text(&self) -> String {
        format!("{} {}", self.scope, self.grant.unknown_scope).trim_end().to_owned()
    }

    /// The signed access token.
    pub(super) fn access_token(&self, server: &Server) -> Result<String, OAuthError> {
        let now = now();
        let untyped = server.has(Flaw::JwtAtTypMissing);
        let mut audience = self.audience.clone();
        audience.extend(untyped.then(|| self.grant.client_id.clone()));
        let audience = if let [one] = audience.as_slice() { json!(one) } else { json!(audience) };
        let mut claims = json!({
            "iss": server.issuer,
            "sub": self.grant.sub,
            "aud": audience,
            "client_id": self.grant.client_id,
            "scope": self.scope_text(),
            "iat": now,
            "exp": now.saturating_add(server.config.access_token_lifetime.as_secs()),
            "jti": self.jti,
        });
        if let Some(cnf) = confirmation(self.grant.jkt.as_deref(), self.grant.x5t.as_deref()) {
            claims["cnf"] = cnf;
        }
        if !self.details.is_empty() {
            claims[details::NAME] = json!(self.details);
        }
        let signed = if server.second.is_sole(&self.audience) {
            jws::sign_for_second(server, ACCESS_TOKEN_TYPE, &claims)
        } else {
            jws::sign(server.key, if untyped { "JWT" } else { ACCESS_TOKEN_TYPE }, &claims)
        };
        signed.map(|token| habit::given(server, token)).ok_or_else(OAuthError::server_error)
    }

    /// The signed ID token that goes with `access_token`.
    pub(super) fn id_token(&self, server: &Server, access_token: &str) -> Result<String, OAuthError> {
        // Core section 3.1.3.6: the left half of the hash of the token.
        let hashed = if server.has(Flaw::AtHashWrong) { "another token" } else { access_token };
        id_token(server, &self.grant, "at_hash", hashed)
    }

    /// The successful token response (RFC 6749 section 5.1).
    pub(super) fn response(&self, server: &Server) -> Result<Value, OAuthError> {
        let access_token = self.access_token(server)?;
        let mut body = json!({
            "access_token": access_token,
            "token_type": if self.grant.jkt.is_some() { "DPoP" } else { "Bearer" },
            "expires_in": stated_lifetime(server),
            "scope": self.scope_text(),
        });
        // RFC 9396 section 7.
        if !self.details.is_empty() {
            body[details::NAME] = json!(self.details);
        }
        if let Some(token) = &self.refresh_token {
            body["refresh_token"] = json!(token);
        }
        if self.scope.has("openid") && server.user_of(&self.grant.sub).is_some() {
            body["id_token"] = json!(self.id_token(server, &access_token)?);
        }
        Ok(body)
    }
}

/// What a token is bound to, as it says it itself and as introspection does (RFC 9449 section 6, RFC 8705 section 3).
pub(super) fn confirmation(jkt: Option<&str>, x5t: Option<&str>) -> Option<Value> {
    let members = [("jkt", jkt), (X5T, x5t)].into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
    Some(Value::Object(members.collect())).filter(|cnf| cnf.as_object().is_some_and(|members| !members.is_empty()))
}

/// What the client is told of how long an access token lives (RFC 6749 section 5.1).
fn stated_lifetime(server: &Server) -> u64 {
    let seconds = server.config.access_token_lifetime.as_secs();
    if server.has(Flaw::AccessTokenLifetimeUnderstated) { seconds / 6 } else { seconds }
}

/// The ID token that comes with a code from the authorization endpoint (Core section 3.3.2.11).
pub(super) fn id_token_for_code(server: &Server, grant: &Grant, code: &str) -> Result<String, OAuthError> {
    id_token(server, grant, "c_hash", code)
}

/// An ID token that names what it came with by the left half of its hash.
fn id_token(server: &Server, grant: &Grant, hash: &str, hashed: &str) -> Result<String, OAuthError> {
    let now = now();
    let issuer = if server.has(Flaw::IdTokenClaimsWrong) { "https://other.example" } else { &server.issuer };
    let mut claims = json!({
        "iss": issuer,
        "sub": grant.sub,
        "aud": grant.client_id,
        "iat": now,
        "exp": now + ID_TOKEN_LIFETIME,
    });
    claims[hash] = json!(URL_SAFE_NO_PAD.encode(&Sha256::digest(hashed)[..16]));
    if let Some(time) = grant.auth_time {
        claims["auth_time"] = json!(time);
    }
    if let Some(acr) = &grant.acr {
        claims["acr"] = json!(acr);
    }
    let newest = server.store().newest_nonce(&grant.sub).filter(|newest| Some(newest) != grant.nonce.as_ref());
    if let Some(nonce) = newest
        .filter(|_| server.has(Flaw::NonceFromSession))
        .as_ref()
        .or(grant.nonce.as_ref())
        .filter(|_| !server.has(Flaw::NonceNotEchoed))
    {
        claims["nonce"] = json!(nonce);
    }
    if server.has(Flaw::IdTokenUnsigned) {
        return Ok(jws::unsigned("JWT", &claims));
    }
    if server.has(Flaw::IdTokenKeyUnknown) {
        return jws::sign_for_second(server, "JWT", &claims).ok_or_else(OAuthError::server_error);
    }
    jws::sign(server.key, "JWT", &claims).ok_or_else(OAuthError::server_error)
}

/// What a valid access token says.
#[derive(Debug)]
pub(super) struct AccessClaims {
    pub(super) sub: String,
    pub(super) client_id: String,
    pub(super) scope: String,
    pub(super) jti: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) aud: Value,
    /// Its `authorization_details`.
    pub(super) details: Option<Value>,
    /// The thumbprint of the key that it is bound to.
    pub(super) jkt: Option<String>,
    /// The thumbprint of the certificate that it is bound to.
    pub(super) x5t: Option<String>,
}

impl AccessClaims {
    /// Whether the token has this scope.
    pub(super) fn has_scope(&self, name: &str) -> bool {
        self.scope.split(' ').any(|scope| scope == name)
    }
}

/// How a resource verifies an access token: type, signature, issuer,
/// audience, lifetime (RFC 9068 section 4), and that it was not revoked.
/// The flaws of the JWT verification apply.
pub(super) fn verify(server: &Server, token: &str) -> Option<AccessClaims> {
    let unsigned = format!("{token}.");
    let token = if token.matches('.').count() == 1 && server.has(Flaw::JwtEmptySignature) { &unsigned } else { token };
    let jwt = Compact::parse(token)?;
    if is_signed_for_second(server, &jwt) && server.has(Flaw::JwtAudienceUnchecked) {
        return verify_for_second(server, token);
    }
    if !is_signed(server, &jwt) {
        return None;
    }
    let claims = read_claims(server, &jwt).or_else(|| read_id_token(server, &jwt)).or_else(|| read_for_stranger(server, &jwt))?;
    let revoked = server.store().is_access_token_revoked(&claims.jti);
    (!revoked).then_some(claims)
}

/// How the second API verifies one: the same, with the secret that it shares with the server. A token of several audiences is signed with
/// the server's own key.
pub(super) fn verify_for_second(server: &Server, token: &str) -> Option<AccessClaims> {
    let jwt = Compact::parse(token)?;
    let is_signed = is_signed_for_second(server, &jwt) || is_signed_strictly(server, &jwt);
    let own = [server.second.identifier.as_str(), &server.resource];
    let audiences = if server.has(Flaw::JwtAudienceUnchecked) { &own[..] } else { &own[..1] };
    let claims = read_claims_for(server, &jwt, audiences).filter(|_| is_signed)?;
    let revoked = server.store().is_access_token_revoked(&claims.jti);
    (!revoked).then_some(claims)
}

fn is_signed_for_second(server: &Server, jwt: &Compact<'_>) -> bool {
    jwt.header("alg") == Some("HS256") && jwt.signature().is_some_and(|tag| server.second.verify(server, jwt.message(), &tag))
}

/// The claims of an access token that need not be signed.
pub(super) fn read_unverified(server: &Server, token: &str) -> Option<AccessClaims> {
    let claims = read_claims(server, &Compact::parse(token)?)?;
    let revoked = server.store().is_access_token_revoked(&claims.jti);
    (!revoked).then_some(claims)
}

/// An access token that says that it is not signed, where the flaw takes it for one.
pub(super) fn read_unsigned(server: &Server, token: &str) -> Option<AccessClaims> {
    let is_unsigned = Compact::parse(token)?.header("alg").is_some_and(|alg| alg.eq_ignore_ascii_case("none"));
    read_unverified(server, token).filter(|_| is_unsigned && server.has(Flaw::ApiJwtAlgNone))
}

/// An ID token as an access token, where the flaw takes it for one.
fn read_id_token(server: &Server, jwt: &Compact<'_>) -> Option<AccessClaims> {
    claims_of_id_token(server, jwt).filter(|_| server.has(Flaw::TokenCrossJwtConfusion))
}

/// An access token for a resource that nobody here knows, where the flaw takes it.
fn read_for_stranger(server: &Server, jwt: &Compact<'_>) -> Option<AccessClaims> {
    let audience = jwt.text("aud").filter(|audience| *audience != server.second.identifier)?;
    read_claims_for(server, jwt, &[audience]).filter(|_| server.has(Flaw::ResourceUnchecked))
}

/// A signed ID token of this server, read as if it were an access token; only a flaw does that.
pub(super) fn read_own_id_token(server: &Server, token: &str) -> Option<AccessClaims> {
    let jwt = Compact::parse(token).filter(|jwt| is_signed_strictly(server, jwt))?;
    claims_of_id_token(server, &jwt)
}

fn claims_of_id_token(server: &Server, jwt: &Compact<'_>) -> Option<AccessClaims> {
    let is_taken = jwt.text("iss") == Some(&server.issuer) && jwt.has_claim("at_hash");
    let (iat, exp) = (jwt.time("iat")?, jwt.time("exp")?);
    (is_taken && exp > now_signed()).then_some(AccessClaims {
        sub: jwt.text("sub")?.to_owned(),
        client_id: jwt.text("aud")?.to_owned(),
        scope: "openid".to_owned(),
        jti: String::new(),
        iat,
        exp,
        aud: Value::Null,
        details: None,
        jkt: None,
        x5t: None,
    })
}

/// As [`verify`], whatever flaws are on and even if the token was revoked.
pub(super) fn verify_strictly(server: &Server, token: &str) -> Option<AccessClaims> {
    let jwt = Compact::parse(token)?;
    if is_signed_for_second(server, &jwt) {
        return read_claims_for(server, &jwt, &[&server.second.identifier]);
    }
    if !is_signed_strictly(server, &jwt) {
        return None;
    }
    read_claims(server, &jwt)
}

fn is_signed_strictly(server: &Server, jwt: &Compact<'_>) -> bool {
    jwt.header("alg") == Some("RS256")
        && jwt.header("kid") == Some(&server.key.kid)
        && jwt.signature().is_some_and(|signature| server.key.verify(jwt.message(), &signature))
}

/// The user whom an ID token of this server names (OpenID Connect Core
/// section 3.1.2.2), even if the token has expired.
pub(super) fn subject_of_id_token(server: &Server, token: &str) -> Option<String> {
    subject_of_hint(server, token, server.has(Flaw::IdTokenHintUnverified))
}

/// The same of a hint, whose signature a flaw may believe.
pub(super) fn subject_of_hint(server: &Server, token: &str, unverified: bool) -> Option<String> {
    let jwt = Compact::parse(token)?;
    let is_id_token = jwt.header("typ") == Some("JWT") && jwt.text("iss") == Some(&server.issuer);
    let is_signed = unverified || is_signed_strictly(server, &jwt);
    jwt.text("sub").filter(|_| is_id_token && is_signed).map(ToOwned::to_owned)
}

/// What an ID token says that comes back as a hint of a logout.
pub(super) struct Hint {
    pub(super) sub: String,
    pub(super) aud: String,
}

/// Reads the hint of a logout (OpenID Connect RP-Initiated Logout section 4), even if the token has expired.
pub(super) fn hint(server: &Server, token: &str) -> Option<Hint> {
    let jwt = Compact::parse(token)?;
    let is_id_token = jwt.header("typ") == Some("JWT") && jwt.text("iss") == Some(&server.issuer);
    let is_signed = is_signed_strictly(server, &jwt) || server.has(Flaw::LogoutHintUnverified);
    let hint = || Some(Hint { sub: jwt.text("sub")?.to_owned(), aud: jwt.text("aud")?.to_owned() });
    (is_id_token && is_signed).then(hint).flatten()
}

fn is_signed(server: &Server, jwt: &Compact<'_>) -> bool {
    if is_signed_strictly(server, jwt) {
        return true;
    }
    if server.has(Flaw::JwtKidInjection) && is_signed_with_injected_key(jwt) {
        return true;
    }
    // A forger may leave the key id out; one of another key is no match.
    if jwt.has_header("kid") && jwt.header("kid") != Some(&server.key.kid) {
        return false;
    }
    match jwt.header("alg") {
        Some("RS256") => {
            let bytes = jwt.signature();
            let is_nothing = bytes.as_ref().is_some_and(|bytes| bytes.len() < 2 || bytes.iter().all(|byte| *byte == 0));
            let is_own = || jwt.jwk().zip(bytes.as_ref()).is_some_and(|(jwk, bytes)| keys::verify_with_jwk(jwk, jwt.message(), bytes));
            server.has(Flaw::JwtSignatureUnchecked)
                || is_nothing && server.has(Flaw::JwtEmptySignature)
                || server.has(Flaw::JwtHeaderKeyTrusted) && is_own()
        }
        Some("HS256") if server.has(Flaw::JwtAlgConfusion) => {
            jwt.signature().is_some_and(|tag| server.key.is_tagged_with_public_key(jwt.message(), &tag))
        }
        Some(alg) if alg.eq_ignore_ascii_case("none") => server.has(Flaw::JwtAlgNone),
        _ => false,
    }
}

/// Signed with what the file, or the query, that the kid names gives.
fn is_signed_with_injected_key(jwt: &Compact<'_>) -> bool {
    let kid = jwt.header("kid").unwrap_or_default();
    let secret = if kid.ends_with("/dev/null") {
        ""
    } else if let Some((_, rest)) = kid.split_once("UNION SELECT '") {
        rest.split('\'').next().unwrap_or_default()
    } else {
        return false;
    };
    jwt.header("alg") == Some("HS256") && jwt.signature().is_some_and(|tag| keys::verify_hs256(secret.as_bytes(), jwt.message(), &tag))
}

fn read_claims(server: &Server, jwt: &Compact<'_>) -> Option<AccessClaims> {
    read_claims_for(server, jwt, &[&server.resource])
}

fn read_claims_for(server: &Server, jwt: &Compact<'_>, audiences: &[&str]) -> Option<AccessClaims> {
    let typ = jwt.header("typ")?.to_ascii_lowercase();
    let is_access_token =
        typ.strip_prefix("application/").unwrap_or(&typ) == ACCESS_TOKEN_TYPE || typ == "jwt" && server.has(Flaw::JwtAtTypMissing);
    let now = now_signed();
    let exp = jwt.time("exp")?;
    let is_current = (exp > now || server.has(Flaw::JwtExpiryUnchecked)) && jwt.time("nbf").is_none_or(|nbf| nbf <= now);
    let is_ours = jwt.text("iss") == Some(&server.issuer) && jwt.is_for(audiences);
    // No extension is understood, so none may be critical (RFC 7515
    // section 4.1.11).
    if !is_access_token || !is_current || !is_ours || jwt.has_header("crit") {
        return None;
    }
    Some(AccessClaims {
        sub: jwt.text("sub")?.to_owned(),
        client_id: jwt.text("client_id")?.to_owned(),
        scope: jwt.text("scope").unwrap_or_default().to_owned(),
        jti: jwt.text("jti")?.to_owned(),
        iat: jwt.time("iat")?,
        exp,
        aud: jwt.claim("aud").cloned().unwrap_or_default(),
        details: jwt.claim(details::NAME).cloned(),
        jkt: jwt.confirmation("jkt").map(ToOwned::to_owned),
        x5t: jwt.confirmation(X5T).map(ToOwned::to_owned),
    })
}

/// Seconds since the epoch.
pub(super) fn now() -> u64 {
    clock::seconds()
}

/// Seconds since the epoch, for comparison with claims.
pub(super) fn now_signed() -> i64 {
    i64::try_from(now()).unwrap_or(i64::MAX)
}

/// Whether `verifier` is the one `challenge` was made from with S256.
pub(super) fn matches_s256(verifier: &str, challenge: &str) -> bool {
    secrets::equal(secrets::s256(verifier).as_bytes(), challenge.as_bytes())
}
