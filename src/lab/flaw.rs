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
    Redirect307 "redirect-307"
        "The redirect after the login form is a 307, so the browser sends the password on to the client."
    IssParameterMissing "iss-parameter-missing"
        "Authorization responses lack the iss parameter that the metadata promises."
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

    // client authentication
    ClientSecretUnchecked "client-secret-unchecked"
        "Any non-empty client secret is accepted."
    ClientAuthOptional "client-auth-optional"
        "A client that has credentials may leave them out and send its client_id alone."
    AssertionSignatureUnchecked "assertion-signature-unchecked"
        "The signature of a client assertion is not verified."
    AssertionAlgNone "assertion-alg-none"
        "A client assertion without signature is accepted."

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
