//! The named mistakes the lab can be told to make, one line each.

use std::fmt;
use std::str::FromStr;

macro_rules! flaws {
    ($($variant:ident $name:literal $what:literal)+) => {
        /// One deliberate mistake of the authorization server.
        ///
        /// A flaw changes only what its description says; several flaws
        /// given together combine.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flaw {
            $(#[doc = $what] $variant,)+
        }

        impl Flaw {
            /// Every flaw, in the order in which they are documented.
            pub const ALL: &'static [Flaw] = &[$(Flaw::$variant,)+];

            /// The name used on the command line and in reports.
            pub fn name(self) -> &'static str {
                match self { $(Flaw::$variant => $name,)+ }
            }

            /// One sentence that says what the server does wrong.
            pub fn describes(self) -> &'static str {
                match self { $(Flaw::$variant => $what,)+ }
            }
        }
    };
}

flaws! {
    // PKCE (RFC 7636)
    PkcePlainAccepted "pkce-plain-accepted"
        "The code_challenge_method plain is accepted, stated or left out, so the challenge is the verifier."
    PkceUnknownMethodAccepted "pkce-unknown-method-accepted"
        "An unknown code_challenge_method is accepted, and the verifier of such a code is never checked."
    PkceNotRequired "pkce-not-required"
        "An authorization request without code_challenge is accepted and its code is redeemed without a verifier."
    PkceNotRequiredConfidential "pkce-not-required-confidential"
        "A confidential client may leave code_challenge out, and its code is redeemed without a verifier."
    PkceDowngrade "pkce-downgrade"
        "An authorization request without code_challenge is accepted and its code is redeemed with any verifier at all."
    PkceVerifierIgnored "pkce-verifier-ignored"
        "The token endpoint neither asks for the code_verifier nor compares it."
    PkceMissingVerifierAccepted "pkce-missing-verifier-accepted"
        "A token request without code_verifier is accepted although the code has a challenge; a wrong one is refused."
    PkceChallengeSpentByGuess "pkce-challenge-spent-by-guess"
        "A wrong code_verifier takes the challenge off the code, which is then redeemed without one."
    PkceShortVerifierAccepted "pkce-short-verifier-accepted"
        "The syntax of a code_verifier is not checked, so three characters are as good as 43."
    PkceChallengeComparedRaw "pkce-challenge-compared-raw"
        "A code_verifier equal to the code_challenge itself is accepted beside the right one."
    PkceDowngradeConfidential "pkce-downgrade-confidential"
        "A confidential client may leave code_challenge out, and its code is redeemed with any verifier at all, but not without one."
    PkceEmptyChallengeAccepted "pkce-empty-challenge-accepted"
        "A code_challenge without a value counts as one, and the verifier of such a code is never checked."
    PkceMethodFromTokenRequest "pkce-method-from-token-request"
        "The code_challenge and code_challenge_method of a token request are preferred to those that were stored with the code."
    PkcePartialCompare "pkce-partial-compare"
        "Of a code_verifier only the first 43 characters are looked at."
    PkceNotBoundToCode "pkce-not-bound-to-code"
        "A code_verifier that fits another challenge of the same user and client is accepted beside the right one."
    PkceNotAdvertised "pkce-not-advertised"
        "The metadata does not say which code_challenge methods are supported."
    DuplicateChallengeLastUsed "duplicate-challenge-last-used"
        "An authorization request may have code_challenge twice, and the last one is used."
    TokenParametersFromQuery "token-parameters-from-query"
        "The token endpoint reads its parameters from the URL query as well as from the body."
    VerifierKeptFromAuthorization "verifier-kept-from-authorization"
        "A code_verifier sent to the authorization endpoint is kept and used when the token request has none."
    UnknownParametersEchoed "unknown-parameters-echoed"
        "Unknown parameters of the authorization request are appended to the redirect to the client."

    // state
    StateNotRequired "state-not-required"
        "A request with neither state nor code_challenge nor nonce is answered with a code that needs no verifier."
    StateMangled "state-mangled"
        "The state is decoded once more before it is sent back, so the client does not get the value it sent."
    StateTruncated "state-truncated"
        "A state is cut at 64 characters."
    StateInvented "state-invented"
        "A state of \"undefined\" is sent back when the request had none."
    StateReflectedUnescaped "state-reflected-unescaped"
        "The login page and the form_post page repeat the state without escaping it."
    HeaderInjection "header-injection"
        "A line break in the state ends the Location header, and what follows it is a header of its own."
    StateMissingOnError "state-missing-on-error"
        "Error responses of the authorization endpoint leave the state out."

    // authorization code
    CodeReusable "code-reusable"
        "An authorization code is never marked as used: every redemption gives new tokens."
    CodeReplayWithoutVerifier "code-replay-without-verifier"
        "The challenge of a code is forgotten at its first use, and a request without verifier then redeems the code again."
    CodeReplayKeepsRefreshToken "code-replay-keeps-refresh-token"
        "A replayed code is refused and ends its access tokens, but its refresh tokens stay valid."
    CodeReplayKeepsAccessToken "code-replay-keeps-access-token"
        "A replayed code is refused and ends its refresh tokens, but its access tokens stay valid."
    CodeNotBoundToClient "code-not-bound-to-client"
        "An authorization code is redeemed by any client, not only by the one it was issued to."
    CodeRedirectUriUnchecked "code-redirect-uri-unchecked"
        "The redirect_uri of the token request must be there, but it may be any."
    CodeRedirectUriOptional "code-redirect-uri-optional"
        "A token request may leave out the redirect_uri that was in the authorization request; another one is refused."
    TokenEndpointNoClientId "token-endpoint-no-client-id"
        "A token request with a code that names no client is taken for one of the public client that the code belongs to."
    CodeUserConfusion "code-user-confusion"
        "A code that is redeemed with the session cookie of another user gives tokens for that user."
    CodeRace "code-race"
        "A code is checked and marked as used in two steps, so that simultaneous redemptions all succeed."

    // redirect_uri
    RedirectUriUnchecked "redirect-uri-unchecked"
        "Any redirect_uri is accepted."
    RedirectUriPrefixMatch "redirect-uri-prefix-match"
        "A redirect_uri that merely starts with the registered one is accepted."
    RedirectUriNormalisedAfterCheck "redirect-uri-normalised-after-check"
        "A redirect_uri is compared only up to its first dot segment, but the redirect uses all of it."
    RedirectUriAuthorityConfusion "redirect-uri-authority-confusion"
        "The registered host is found in the userinfo, or behind a confusing character, of a redirect_uri that leads elsewhere."
    RedirectUriHostSuffixMatch "redirect-uri-host-suffix-match"
        "The host of redirect_uri may have anything before the registered name, so evilapp.example is taken for app.example."
    RedirectUriHostPrefixMatch "redirect-uri-host-prefix-match"
        "A redirect_uri is accepted when its host merely begins with the registered host."
    RedirectUriQueryIgnored "redirect-uri-query-ignored"
        "The query part of the redirect_uri is not compared."
    RedirectUriCaseInsensitive "redirect-uri-case-insensitive"
        "The path of the redirect_uri is compared without regard to capital letters."
    RedirectUriFragmentAccepted "redirect-uri-fragment-accepted"
        "The fragment of the redirect_uri is not compared."
    RedirectUriPortIgnored "redirect-uri-port-ignored"
        "The port of the redirect_uri is not compared."
    RedirectUriSchemeIgnored "redirect-uri-scheme-ignored"
        "Of the schemes http and https of the redirect_uri it does not matter which one is registered."
    RedirectUriRegex "redirect-uri-regex"
        "The registered redirect_uri is taken for a pattern, in which a dot stands for any character."
    RedirectUriRelativeAccepted "redirect-uri-relative-accepted"
        "A redirect_uri that is no absolute URI is accepted, and a browser finds a host in it."
    RedirectUriGlobalList "redirect-uri-global-list"
        "A redirect_uri that is registered for any client is accepted from each of them."
    RedirectUriLoopbackLax "redirect-uri-loopback-lax"
        "Where a loopback address is registered, whatever begins like it is accepted: any port, any path, and more host."
    RedirectUriOptional "redirect-uri-optional"
        "A request without redirect_uri is answered at the first one that is registered, although there are several."
    AuthorizePostUnchecked "authorize-post-unchecked"
        "The redirect_uri of an authorization request that comes by POST is not compared."
    DuplicateParameterAccepted "duplicate-parameter-accepted"
        "An authorization request may have a parameter twice: the first is checked, and the last one of redirect_uri and code_challenge_method is used."
    DuplicateRedirectUriLastChecked "duplicate-redirect-uri-last-checked"
        "An authorization request may have redirect_uri twice: the last is checked, and the first is used."
    RedirectUriDangerousScheme "redirect-uri-dangerous-scheme"
        "A redirect_uri with the scheme javascript, data or vbscript is accepted."
    ErrorRedirectToUnregistered "error-redirect-to-unregistered"
        "Errors of the authorization request are redirected before the redirect_uri has been checked."
    UnknownClientRedirected "unknown-client-redirected"
        "A request of an unknown client is answered with a redirect to whatever redirect_uri it names."

    // authorization endpoint
    ImplicitEnabled "implicit-enabled"
        "The implicit grant is on: response_type=token puts an access token into the redirect."
    HybridTokenEnabled "hybrid-token-enabled"
        "The response types of OpenID Connect that put an access token beside an ID token or a code into the redirect are on."
    ResponseTypeConfusion "response-type-confusion"
        "A response_type is split into words in any order and any case, and a token among them is given out."
    ResponseTypeDefaulted "response-type-defaulted"
        "A request without response_type is taken for one for a code."
    ScopeUnvalidated "scope-unvalidated"
        "Words of the scope that the server does not know are granted like those that it knows."
    PromptNoneWithoutSession "prompt-none-without-session"
        "With prompt=none a request from a browser in which nobody is logged in is answered with a code for the first user."
    PromptLoginIgnored "prompt-login-ignored"
        "The values login and select_account of prompt are ignored."
    MaxAgeIgnored "max-age-ignored"
        "The parameter max_age is ignored."
    IdTokenHintIgnored "id-token-hint-ignored"
        "The user that id_token_hint names is not compared with the one who is logged in."
    IdTokenHintUnverified "id-token-hint-unverified"
        "The signature of id_token_hint is not verified."
    ErrorPageUnescaped "error-page-unescaped"
        "The error page of the authorization endpoint repeats what it refused without escaping it."
    ExpressionsEvaluated "expressions-evaluated"
        "The error page of the authorization endpoint evaluates an expression in what it repeats, as a template would."
    ConsentRememberedForPublic "consent-remembered-for-public"
        "A consent is remembered for a public client on a loopback address too, which any program on the machine can play."
    SessionFixation "session-fixation"
        "The session cookie that a browser gets with the login page stays the same after the login."
    Redirect307 "redirect-307"
        "The redirect after the login form is a 307, so the browser sends the password on to the client."
    IssParameterMissing "iss-parameter-missing"
        "Authorization responses lack the iss parameter that the metadata promises."
    IssMissingOnError "iss-missing-on-error"
        "Error responses of the authorization endpoint lack the iss parameter."
    IssInjected "iss-injected"
        "An iss parameter of the authorization request is put into the response in place of the issuer."
    LoginCsrf "login-csrf"
        "The login form is taken from any browser, which is then logged in and goes on with the login of another one."
    ConsentCsrf "consent-csrf"
        "An answer to the question for consent counts for the newest question of the same session, whatever its hidden fields say."
    ConsentInteractionNotBound "consent-interaction-not-bound"
        "Whoever opens the address of a question for consent answers it in the name of the user who was asked."
    ConsentParametersTrusted "consent-parameters-trusted"
        "The redirect_uri and the scope that the consent form carries are taken as they come back."
    ConsentDenialIgnored "consent-denial-ignored"
        "A user who refuses consent gives the client a code all the same."
    RedirectUriFromSession "redirect-uri-from-session"
        "A login goes on with the redirect_uri that its browser asked for last, although that request was refused."
    SessionCookieFlags "session-cookie-flags"
        "The session cookie lacks HttpOnly."
    ReferrerLeak "referrer-leak"
        "The login and consent pages lead to another host, and tell it their whole address."
    LoginPageCacheable "login-page-cacheable"
        "The pages and the redirects of the authorization endpoint may be kept by caches."
    AuthorizeCors "authorize-cors"
        "The authorization endpoint lets scripts of any origin read its answers, with the cookies of the browser."
    NonceNotRequired "nonce-not-required"
        "A request for an ID token from the authorization endpoint may leave the nonce out."
    ResponseModeQueryToken "response-mode-query-token"
        "With response_mode=query an ID token from the authorization endpoint travels in the query."
    ClaimsSubIgnored "claims-sub-ignored"
        "The sub that the claims parameter asks for is not compared with the user who logs in."
    AcrEssentialIgnored "acr-essential-ignored"
        "An acr that the claims parameter calls essential stands in the ID token although it was not reached."
    ResponseModeUnchecked "response-mode-unchecked"
        "A response_mode that the server does not know is ignored."
    RedirectUriResponseModeBypass "redirect-uri-response-mode-bypass"
        "With response_mode=form_post the redirect_uri is not compared."
    ClientIdConfusion "client-id-confusion"
        "A request object is carried out for the client that it names, which need not be the one beside it that signed it."
    Clickjacking "clickjacking"
        "The login and consent pages may be shown in a frame of another site."

    // pushed authorization requests (RFC 9126)
    ParRequestUriNotBound "par-request-uri-not-bound"
        "A request_uri is taken from any client, not only from the one that pushed the request."
    ParRequestUriReusable "par-request-uri-reusable"
        "A request_uri goes on working after a code was given for it."
    ParRequestUriUnchecked "par-request-uri-unchecked"
        "A request_uri that nobody was given is taken for the newest request that the client pushed."
    ParOpen "par-open"
        "The endpoint for pushed requests takes the client_id for the client, whatever its credentials are."
    ParParametersOverridden "par-parameters-overridden"
        "Parameters beside a request_uri win over those that were pushed."
    ParNestedRequestUri "par-nested-request-uri"
        "The endpoint for pushed requests takes a request_uri, and does not look at it."
    ParRedirectUriUnchecked "par-redirect-uri-unchecked"
        "The redirect_uri of a pushed request may be any."
    ParPkceNotRequired "par-pkce-not-required"
        "A pushed request may leave code_challenge out, and its code is redeemed without a verifier."
    ParPkcePlain "par-pkce-plain"
        "A pushed request may have the code_challenge_method plain."

    // signed authorization requests (JAR, RFC 9101)
    JarSignatureUnchecked "jar-signature-unchecked"
        "The signature of a request object is not verified."
    JarAlgNone "jar-alg-none"
        "A request object without signature is accepted."
    JarAlgConfusion "jar-alg-confusion"
        "A request object signed with HS256 is accepted, the client's public key being the HMAC secret."
    JarParametersMerged "jar-parameters-merged"
        "Parameters beside a request object win over those inside of it."
    JarAudienceUnchecked "jar-audience-unchecked"
        "A request object may be for another server, and be issued by another client."
    JarExpiryUnchecked "jar-expiry-unchecked"
        "A request object may have expired, be not yet valid, or say nothing about it."
    JarTypeConfusion "jar-type-confusion"
        "Any JWT that the client signed is taken for a request object, also one that refers to another request."

    // proofs of possession (DPoP, RFC 9449)
    DpopDowngradeToBearer "dpop-downgrade-to-bearer"
        "The protected resources take a token that is bound to a key without a proof of that key."
    DpopKeyUnchecked "dpop-key-unchecked"
        "The protected resources take a bound token with a proof of any key."
    DpopSignatureUnchecked "dpop-signature-unchecked"
        "The signature of a DPoP proof is not verified, and its alg may be any."
    DpopTypUnchecked "dpop-typ-unchecked"
        "The typ of a DPoP proof may be any, or missing."
    DpopHtmUnchecked "dpop-htm-unchecked"
        "The method that a DPoP proof is for is not compared with that of the request."
    DpopHtuUnchecked "dpop-htu-unchecked"
        "The address that a DPoP proof is for is not compared with that of the request."
    DpopIatUnchecked "dpop-iat-unchecked"
        "A DPoP proof may have been made at any time."
    DpopJtiUnchecked "dpop-jti-unchecked"
        "A DPoP proof works as often as it is shown."
    DpopAthUnchecked "dpop-ath-unchecked"
        "The protected resources do not compare the ath of a DPoP proof with the access token."
    DpopJktUnchecked "dpop-jkt-unchecked"
        "A code that was asked for with dpop_jkt is redeemed with any key, or without a proof."
    DpopMultipleHeaders "dpop-multiple-headers"
        "Of several DPoP headers the last is used, whatever the others are."
    DpopCnfMissing "dpop-cnf-missing"
        "Introspection does not say which key a token is bound to."
    RefreshDpopBindingUnchecked "refresh-dpop-binding-unchecked"
        "The refresh token of a public client is not bound to the key of its proofs."
    RefreshDpopKeyKept "refresh-dpop-key-kept"
        "A refresh by a confidential client with a new key gives a token that is bound to the old one."

    // token endpoint
    PasswordGrantEnabled "password-grant-enabled"
        "The password grant is on: a client may trade a user's name and password for tokens."
    TokenEndpointGet "token-endpoint-get"
        "The token endpoint answers GET, with its parameters in the URL."
    TokenResponseCacheable "token-response-cacheable"
        "Responses of the token endpoint do not forbid caching."
    TokenDuplicateParameterAccepted "token-duplicate-parameter-accepted"
        "A token request may have a parameter twice: the last one is used, and a code_verifier is not compared then."
    TokenEndpointJsonBody "token-endpoint-json-body"
        "The token endpoint reads JSON as well, and takes a code_verifier that is no text for the right one."
    ClientCredentialsForPublic "client-credentials-for-public"
        "A public client may use the client credentials grant, with its client_id alone."
    ClientCredentialsRefreshToken "client-credentials-refresh-token"
        "The client credentials grant gives a refresh token."
    PasswordGrantOracle "password-grant-oracle"
        "The password grant is refused, with another error for a right password than for a wrong one."
    TokenCorsCredentials "token-cors-credentials"
        "The token endpoint lets scripts of any origin send the credentials of the browser and read its answers."

    // client authentication
    ClientSecretUnchecked "client-secret-unchecked"
        "Any non-empty client secret is accepted."
    ClientAuthOptional "client-auth-optional"
        "A client that has credentials may leave them out and send its client_id alone."
    AssertionSignatureUnchecked "assertion-signature-unchecked"
        "The signature of a client assertion is not verified."
    AssertionAlgNone "assertion-alg-none"
        "A client assertion without signature is accepted."
    ClientSecretEmptyAccepted "client-secret-empty-accepted"
        "An empty client secret is accepted."
    ClientAuthMethodUnchecked "client-auth-method-unchecked"
        "A client may authenticate by another method with its secret than the one that it is registered for; a client that has none, with any."
    ClientAuthMultiple "client-auth-multiple"
        "Of a request that authenticates in two ways only the Authorization header is verified, and it acts as the client_id of the body."
    ClientSecretInQuery "client-secret-in-query"
        "The token endpoint takes client_id and client_secret from the URL."
    AssertionAlgConfusion "assertion-alg-confusion"
        "A client assertion signed with HS256 is accepted, the public key of the client being the HMAC secret."
    AssertionHeaderKeyTrusted "assertion-header-key-trusted"
        "A client assertion is verified with the key in its own header."
    AssertionAudienceUnchecked "assertion-audience-unchecked"
        "The audience of a client assertion is not looked at."
    AssertionExpiryUnchecked "assertion-expiry-unchecked"
        "A client assertion is accepted after its exp, and without one."
    AssertionNbfUnchecked "assertion-nbf-unchecked"
        "A client assertion is accepted before its nbf and its iat."
    AssertionJtiUnchecked "assertion-jti-unchecked"
        "A client assertion is accepted again and again."
    AssertionSubjectUnchecked "assertion-subject-unchecked"
        "Whoever signs an assertion with the key of any client acts as the client that the request or the assertion names."
    AssertionTypeUnchecked "assertion-type-unchecked"
        "A JWT of the client without sub, such as a request object, is taken for a client assertion."
    JwtCritIgnored "jwt-crit-ignored"
        "A critical header parameter of a client assertion that nobody understands is ignored."

    // refresh tokens
    RefreshReuseAccepted "refresh-reuse-accepted"
        "A refresh token that was already exchanged keeps working."
    RefreshNotRotated "refresh-not-rotated"
        "A refresh gives the same refresh token back, for public clients too, and it goes on working."
    RefreshWithoutClient "refresh-without-client"
        "A refresh request that names no client is taken for one of the public client that the token belongs to."
    RefreshFamilySurvives "refresh-family-survives"
        "Reuse of an exchanged refresh token is refused, but the tokens that came from it stay valid."
    RefreshNotBoundToClient "refresh-not-bound-to-client"
        "A refresh token is accepted from any client."
    RefreshScopeEscalation "refresh-scope-escalation"
        "A refresh request may ask for more scope than was granted."
    RefreshWithoutClientAuth "refresh-without-client-auth"
        "A client that has credentials may leave them out of a refresh request."
    RefreshFamilyAccessTokenSurvives "refresh-family-access-token-survives"
        "Reuse of a refresh token ends the refresh tokens of its family, and not the access tokens."
    RefreshRace "refresh-race"
        "A refresh token is checked and marked as used in two steps, so that simultaneous uses all succeed."
    TokenTypeConfusion "token-type-confusion"
        "A live refresh token is taken for an access token by the protected resources."
    OpaqueTokenPartialMatch "opaque-token-partial-match"
        "Only the first sixteen characters of a refresh token are compared."

    // resource and token services
    IntrospectionOpen "introspection-open"
        "The introspection endpoint answers without authentication."
    RevocationIneffective "revocation-ineffective"
        "The revocation endpoint answers 200 and revokes nothing."
    RevocationCrossClient "revocation-cross-client"
        "A client may revoke tokens of another client."
    JwtAlgConfusion "jwt-alg-confusion"
        "An access token signed with HS256 is accepted, the public RSA key being the HMAC secret."
    JwtAlgNone "jwt-alg-none"
        "An access token whose header says alg none is accepted."
    JwtSignatureUnchecked "jwt-signature-unchecked"
        "The signature of an RS256 access token is not verified."
    BearerInQuery "bearer-in-query"
        "The protected resources take an access token from the URL."
    UserinfoOpen "userinfo-open"
        "The protected resources answer with a user's data to a missing or made-up token."
    IntrospectionStale "introspection-stale"
        "Introspection calls an access token active that was revoked."
    IntrospectionJwtUnverified "introspection-jwt-unverified"
        "Introspection does not verify the signature of an access token."
    IntrospectionRefreshAsAccess "introspection-refresh-as-access"
        "Introspection describes a refresh token as a bearer token."
    RevocationAccessTokenIneffective "revocation-access-token-ineffective"
        "The revocation of an access token is answered with 200 and has no effect."
    RevocationNoCascade "revocation-no-cascade"
        "The revocation of a refresh token leaves the access tokens of its grant alive."
    RevocationOpen "revocation-open"
        "A client that has credentials may leave them out of a revocation request."
    RevocationPublicIgnored "revocation-public-ignored"
        "The revocation requests of public clients are answered with 200 and have no effect."
    RevocationHintTrusted "revocation-hint-trusted"
        "A token is looked for only among the kind that token_type_hint names; without a hint, among the access tokens."
    RevocationGet "revocation-get"
        "The revocation endpoint answers GET, with its parameters in the URL."
    JwtEmptySignature "jwt-empty-signature"
        "An access token whose signature is missing, is one byte or is all zeros is accepted."
    JwtHeaderKeyTrusted "jwt-header-key-trusted"
        "An access token is verified with the key in its own header."
    JwtKidInjection "jwt-kid-injection"
        "The kid of an access token is the path of a file, or part of a query, that holds the key."
    TokenCrossJwtConfusion "token-cross-jwt-confusion"
        "An ID token is taken for an access token by the protected resources."
    JwtAtTypMissing "jwt-at-typ-missing"
        "Access tokens have the typ JWT, and the client among their audiences."
    ScopeUnenforced "scope-unenforced"
        "Userinfo gives every claim to every access token, whatever its scope."

    // ID tokens (OpenID Connect)
    IdTokenUnsigned "id-token-unsigned"
        "ID tokens have the alg none and no signature."
    IdTokenClaimsWrong "id-token-claims-wrong"
        "ID tokens name another issuer than the metadata."
    NonceNotEchoed "nonce-not-echoed"
        "ID tokens lack the nonce of the authorization request."
    NonceFromSession "nonce-from-session"
        "An ID token has the nonce of the newest authorization request of its user."
    AtHashWrong "at-hash-wrong"
        "The at_hash of ID tokens is that of another access token."
    UserinfoSubMismatch "userinfo-sub-mismatch"
        "Userinfo names another subject than the ID token."

    // logout (OpenID Connect RP-Initiated Logout)
    LogoutCsrf "logout-csrf"
        "A request to log out without id_token_hint ends the session at once."
    LogoutRedirectUnchecked "logout-redirect-unchecked"
        "After a logout the browser is sent to any post_logout_redirect_uri."
    LogoutIneffective "logout-ineffective"
        "A logout takes the cookie from the browser, and leaves the session alive."
    LogoutHintUnverified "logout-hint-unverified"
        "The signature of the id_token_hint of a logout is not verified."

    // metadata and keys
    MetadataIssuerMismatch "metadata-issuer-mismatch"
        "The metadata of RFC 8414 names another issuer than that of OpenID Connect."
    MetadataHostHeaderInjection "metadata-host-header-injection"
        "The metadata names endpoints at the host that X-Forwarded-Host or Forwarded says."
    JwksPrivateMembers "jwks-private-members"
        "The published key set has the private exponent of the signing key."
    JwksDuplicateKid "jwks-duplicate-kid"
        "The published key set has a second key with the kid of the first."
    SigningKeyWeak "signing-key-weak"
        "The published key set has an RSA key of 1024 bits."
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not the name of a flaw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFlaw(pub String);

impl fmt::Display for UnknownFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no flaw named {:?}", self.0)
    }
}

impl std::error::Error for UnknownFlaw {}

impl FromStr for Flaw {
    type Err = UnknownFlaw;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Flaw::ALL.iter().copied().find(|flaw| flaw.name() == name).ok_or_else(|| UnknownFlaw(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for &flaw in Flaw::ALL {
            assert_eq!(flaw.name().parse(), Ok(flaw));
            assert!(flaw.describes().ends_with('.'));
            assert!(flaw.name().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        }
        assert!("pkce".parse::<Flaw>().is_err());
    }
}
