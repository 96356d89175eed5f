//! Every attack against the strict lab and against each flaw alone.

use std::future::Future;
use std::pin::Pin;

use super::callout_attacks as on_callouts;
use super::client_attacks as on_clients;
use super::code_attacks as on_codes;
use super::front_attacks as on_front;
use super::grant_attacks as on_grants;
use super::interaction_attacks as on_interactions;
use super::request_attacks as on_requests;
use super::target_attacks as on_targets;
use super::time_attacks as on_times;
use super::tls_attacks as on_tls;
use super::token_attacks as on_tokens;
use super::unasked_attacks as on_unasked;
use super::{Outcome, Tester};
use crate::lab::Flaw;
use crate::lab::Flaw::*;

type Attack = for<'t> fn(&'t Tester) -> Pin<Box<dyn Future<Output = Outcome<bool>> + 't>>;

macro_rules! attacks {
    ($($module:ident { $($name:ident: $flaws:expr;)+ })+) => {
        /// Each attack with the flaws that enable it.
        const ATTACKS: &[(&str, Attack, &[Flaw])] = &[
            $($((stringify!($name), |tester| Box::pin($module::$name(tester)), &$flaws),)+)+
        ];
    };
}

attacks! {
    on_tls {
        without_certificate: [MtlsCertNotRequired, ClientAuthOptional];
        with_certificate_of_another: [MtlsCertUnchecked];
        with_certificate_in_header: [MtlsForwardedHeaderTrusted, MtlsCertNotRequired, ClientAuthOptional];
        with_certificate_beside_header: [MtlsCertUnchecked];
        bound_token_elsewhere: [MtlsBindingUnchecked];
        refresh_with_another: [MtlsRefreshBindingUnchecked];
    }
    on_times {
        code_late: [CodeLifetimeTooLong];
        code_again_late: [CodeReusable, CodeReusableAfterGrace];
        pushed_late: [ParRequestUriLifetime];
        token_late: [JwtExpiryUnchecked];
        token_after_expires_in: [JwtExpiryUnchecked, AccessTokenLifetimeUnderstated];
        refresh_late: [RefreshNeverExpires];
        device_late: [DeviceCodeNeverExpires];
    }
    on_codes {
        plain: [PkcePlainAccepted];
        plain_unstated: [PkcePlainAccepted];
        unknown_method: [PkceUnknownMethodAccepted];
        confidential_without_challenge: [PkceNotRequired, PkceNotRequiredConfidential];
        short_verifier: [PkceVerifierIgnored, PkceShortVerifierAccepted];
        no_challenge_no_verifier: [PkceNotRequired];
        no_challenge_any_verifier: [PkceDowngrade];
        no_challenge_any_secret: [PkceNotAskedWithSecret];
        wrong_verifier: [PkceVerifierIgnored];
        missing_verifier: [PkceVerifierIgnored, PkceMissingVerifierAccepted];
        challenge_as_verifier: [PkceVerifierIgnored, PkceChallengeComparedRaw];
        verifier_at_authorization:
            [PkceVerifierIgnored, PkceMissingVerifierAccepted, VerifierKeptFromAuthorization];
        parameters_in_query: [TokenParametersFromQuery];
        echo: [UnknownParametersEchoed];
        bare_request: [StateNotRequired];
        state_changed: [StateMangled];
        state_cut: [StateTruncated];
        state_from_nowhere: [StateInvented];
        state_lost_on_error: [StateMissingOnError];
        replay: [CodeReusable];
        replay_keeps_tokens: [CodeReusable, CodeReplayKeepsAccessToken];
        replay_keeps_refresh_token: [CodeReusable, CodeReplayKeepsRefreshToken];
        replay_keeps_renewed_refresh_token: [CodeReusable, CodeReplayKeepsRefreshToken, CodeReplayKeepsRenewedRefreshToken];
        replay_without_verifier: [CodeReplayWithoutVerifier];
        other_redirect_uri: [CodeRedirectUriUnchecked];
        no_redirect_uri: [CodeRedirectUriOptional];
        empty_redirect_uri: [CodeRedirectUriOptional, CodeRedirectUriEmptyAccepted];
        code_without_client: [TokenEndpointNoClientId];
        code_of_secret_client_without_client: [CodeOwnerTrusted];
        doubled_redirect_uri: [DuplicateParameterAccepted];
        doubled_redirect_uri_before: [DuplicateRedirectUriLastChecked];
        doubled_method: [DuplicateParameterAccepted];
        hybrid: [HybridTokenEnabled];
        token_by_get: [TokenEndpointGet];
        race: [CodeReusable, CodeRace];
        race_for_refresh_tokens: [CodeReusable, CodeRace, CodeRaceRevocation];
        code_of_other_client: [CodeNotBoundToClient];
        code_by_authenticated_client: [CodeNotBoundToClient, CodeNotBoundToAuthenticatedClient, CodeRedirectUriOfClient];
        code_of_newest_user: [CodeUserNewest];
        wider_scope_at_redemption: [CodeScopeEscalation];
        code_by_query: [TokenInQuery];
        code_of_other_client_by_own_uri: [CodeRedirectUriOfClient];
        evil_redirect: [RedirectUriUnchecked];
        early_error: [RedirectUriUnchecked, ErrorRedirectToUnregistered];
        early_error_of_nobody: [ErrorRedirectToUnregistered];
        unknown_client: [UnknownClientRedirected];
        implicit: [ImplicitEnabled];
        no_iss: [IssParameterMissing];
        framing: [Clickjacking];
        password: [PasswordGrantEnabled];
        cacheable: [TokenResponseCacheable];
    }
    on_front {
        downgrade_confidential: [PkceDowngrade, PkceDowngradeConfidential];
        empty_challenge: [PkceDowngrade, PkceEmptyChallengeAccepted];
        confidential_without_method: [PkceMethodlessIgnoredConfidential];
        method_at_token: [PkceVerifierIgnored, PkceChallengeComparedRaw, PkceMethodFromTokenRequest];
        challenge_at_token: [PkceVerifierIgnored, PkceMethodFromTokenRequest];
        longer_verifier: [PkceVerifierIgnored, PkcePartialCompare];
        verifier_of_other_code: [PkceVerifierIgnored, PkceNotBoundToCode];
        no_methods_in_metadata: [PkceNotAdvertised];
        second_challenge: [DuplicateChallengeLastUsed];
        state_in_pages: [StateReflectedUnescaped];
        state_in_header: [HeaderInjection];
        http_address: [RedirectUriUnchecked, RedirectUriSchemeIgnored];
        dot_in_host: [RedirectUriUnchecked, RedirectUriRegex];
        shorter_address: [RedirectUriUnchecked, RedirectUriBeginningMatch];
        line_before_address: [RedirectUriUnchecked, RedirectUriLineMatch];
        localhost_address: [RedirectUriUnchecked, RedirectUriLocalhost];
        relative_address: [RedirectUriUnchecked, RedirectUriRelativeAccepted];
        address_of_other_client: [RedirectUriUnchecked, RedirectUriGlobalList];
        no_address: [RedirectUriOptional];
        by_post: [RedirectUriUnchecked, AuthorizePostUnchecked];
        words_in_other_order: [ResponseTypeConfusion];
        no_response_type: [ResponseTypeDefaulted];
        unknown_scope: [ScopeUnvalidated];
        nobody_logged_in: [PromptNoneWithoutSession];
        login_not_asked: [PromptLoginIgnored];
        forged_hint: [IdTokenHintUnverified];
        markup_in_error: [ErrorPageUnescaped];
        expression_in_error: [ExpressionsEvaluated];
        session_stays: [SessionFixation];
    }
    on_interactions {
        code_without_second_factor: [HalfLoginAuthorizes];
        consent_without_second_factor: [HalfLoginAuthorizes];
        login_of_other_browser: [LoginCsrf, LoginCsrfAtHome];
        login_of_other_browser_without_value: [LoginCsrfValueOptional];
        consent_of_other_question: [ConsentCsrf, ConsentInteractionNotBound, ConsentInteractionOfTheFirst];
        consent_by_link: [ConsentByLink];
        consent_page_elsewhere: [ConsentInteractionNotBound];
        consent_of_who_was_asked_first: [ConsentInteractionOfTheFirst];
        consent_form_changed: [ConsentParametersTrusted];
        code_of_unasked_client: [ConsentForAnyClient];
        code_after_refusal: [ConsentDenialIgnored];
        redirect_of_second_request: [RedirectUriFromSession];
        consent_of_newest_request: [ConsentForNewest];
        challenge_of_second_request: [PkceVerifierIgnored, PkceNotBoundToCode, PkceChallengeFromSession];
        cookie_for_scripts: [SessionCookieFlags];
        page_tells_address: [ReferrerLeak];
        page_is_kept: [LoginPageCacheable];
        read_by_scripts: [AuthorizeCors];
        unknown_mode: [ResponseModeUnchecked];
        posted_elsewhere: [RedirectUriUnchecked, RedirectUriResponseModeBypass];
        hybrid_without_nonce: [NonceNotRequired];
        id_token_in_query: [ResponseModeQueryToken];
        other_sub: [ClaimsSubIgnored];
        essential_acr: [AcrEssentialIgnored];
        logout_unasked: [LogoutCsrf];
        logout_by_forged_hint: [LogoutHintUnverified];
        logout_leads_elsewhere: [LogoutRedirectUnchecked];
        session_outlives_logout: [LogoutIneffective, PromptNoneWithoutSession, IdTokenUnsigned, IdTokenKeyUnknown, IdTokenClaimsWrong];
    }
    on_tokens {
        client_as_user: [ClientSubCollision];
        wrong_secret: [ClientSecretUnchecked, ClientCredentialsSecretUnchecked];
        secret_in_other_case: [ClientSecretUnchecked, ClientSecretCaseInsensitive, ClientCredentialsSecretUnchecked];
        empty_secret: [ClientSecretEmptyAccepted, ClientCredentialsSecretUnchecked];
        secret_in_body: [ClientAuthMethodUnchecked, ClientCredentialsSecretUnchecked];
        no_secret: [ClientAuthOptional, ClientCredentialsSecretUnchecked];
        assertion_of_other_key: [AssertionSignatureUnchecked];
        unsigned_assertion: [AssertionAlgNone];
        assertion_for_other_server: [AssertionAudienceUnchecked];
        expired_assertion: [AssertionExpiryUnchecked];
        assertion_without_end: [AssertionExpiryUnchecked];
        early_assertion: [AssertionNbfUnchecked];
        early_short_assertion: [AssertionNbfUnchecked, AssertionNbfUncheckedAndShort];
        assertion_without_subject: [AssertionTypeUnchecked];
        id_token_as_assertion: [AssertionIdTokenAccepted];
        assertion_of_other_issuer: [AssertionSubjectUnchecked];
        assertion_twice: [AssertionJtiUnchecked];
        credentials_of_public_client: [ClientCredentialsForPublic];
        credentials_of_public_client_with_secret: [ClientCredentialsForPublicWithSecret];
        credentials_give_refresh_token: [ClientCredentialsRefreshToken];
        refresh_token_opens: [TokenTypeConfusion, UserinfoOpen, ApiOpen];
        part_of_refresh_token: [OpaqueTokenPartialMatch];
        id_token_opens: [TokenCrossJwtConfusion];
        claims_beyond_scope: [ScopeUnenforced];
        access_token_survives: [RevocationIneffective, RevocationAccessTokenIneffective, RevocationPublicIgnored];
        revocation_by_get: [RevocationGet];
        active_after_revocation: [RevocationIneffective, RevocationAccessTokenIneffective, RevocationPublicIgnored, RevocationPublicRefused, IntrospectionStale, RevocationHintRequired];
        tampered_is_active: [JwtSignatureUnchecked, JwtEmptySignature, IntrospectionJwtUnverified];
        reuse_refresh_token: [RefreshReuseAccepted, RefreshNotRotated, RefreshReuseTakesOver];
        reuse_renewed_refresh_token: [RefreshReuseAccepted, RefreshNotRotated, RefreshReuseTakesOver, RefreshRenewedReuseAccepted];
        reuse_takes_over: [RefreshReuseTakesOver];
        refresh_race: [RefreshReuseAccepted, RefreshRace, RefreshRaceCapped];
        refresh_token_stays: [RefreshNotRotated];
        refresh_without_client: [RefreshWithoutClient];
        refresh_of_secret_client_without_client: [RefreshOwnerTrusted];
        refresh_with_wrong_secret: [ClientSecretUnchecked, RefreshClientUnchecked];
        refresh_with_empty_secret: [ClientSecretEmptyAccepted, RefreshClientUnchecked];
        refresh_of_unknown_client: [RefreshClientUnchecked];
        token_in_query: [BearerInQuery, UserinfoOpen];
        reuse_leaves_family: [RefreshReuseAccepted, RefreshNotRotated, RefreshFamilySurvives];
        reuse_of_grandparent_leaves_family:
            [RefreshReuseAccepted, RefreshNotRotated, RefreshFamilySurvives, RefreshGrandparentReuseUnnoticed];
        refresh_by_other_client: [RefreshNotBoundToClient];
        renewed_by_other_client: [RefreshNotBoundToClient, RefreshRenewedNotBoundToClient];
        refresh_by_authenticated_client: [RefreshNotBoundToClient, RefreshNotBoundToAuthenticatedClient];
        wider_scope: [RefreshScopeEscalation];
        wider_scope_unasked: [RefreshScopeOfClient];
        token_by_query: [UserinfoOpen, TokenInQuery, ApiOpen];
        anonymous_introspection: [IntrospectionOpen];
        introspection_by_id_only: [IntrospectionOpen];
        introspection_by_empty_secret: [IntrospectionOpen, IntrospectionEmptySecret];
        survives_revocation: [RevocationIneffective, RevocationNoCascade, RevocationPublicIgnored, RevocationHintTrusted];
        revocation_refused_for_hint: [RevocationHintRefused, RevocationPublicRefused];
        revocation_refused_without_hint: [RevocationHintRequired, RevocationPublicRefused];
        revocation_by_other: [RevocationCrossClient];
        alg_confusion: [JwtAlgConfusion];
        hs256_with_guessed_secret: [];
        alg_none: [JwtAlgNone];
        alg_none_at_api: [JwtAlgNone, ApiJwtAlgNone];
        tampered: [JwtSignatureUnchecked, JwtEmptySignature];
        no_token: [UserinfoOpen];
        no_token_at_the_api: [UserinfoOpen, ApiOpen];
    }
    on_requests {
        pushed_by_other_client: [ParRequestUriNotBound];
        pushed_used_twice: [ParRequestUriReusable];
        pushed_guessed: [ParRequestUriUnchecked];
        pushed_without_secret: [ParOpen, ClientAuthOptional];
        pushed_and_overridden: [ParParametersOverridden];
        pushed_reference: [ParNestedRequestUri];
        pushed_in_cookie: [ParParametersInBrowser];
        pushed_foreign_redirect_uri: [ParRedirectUriUnchecked, RedirectUriUnchecked];
        pushed_without_challenge: [ParPkceNotRequired, PkceNotRequired];
        pushed_plain: [ParPkcePlain, PkcePlainAccepted];
        proof_of_other_type: [DpopTypUnchecked];
        proof_for_other_method: [DpopHtmUnchecked];
        proof_for_other_address: [DpopHtuUnchecked];
        proof_of_yesterday: [DpopIatUnchecked];
        proof_signed_by_other: [DpopSignatureUnchecked];
        proof_ignored: [DpopInvalidProofIgnored];
        proof_twice: [DpopJtiUnchecked];
        two_proofs: [DpopMultipleHeaders];
        code_of_other_key: [DpopJktUnchecked];
        refresh_with_other_key: [RefreshDpopBindingUnchecked];
        bound_token_as_bearer: [DpopDowngradeToBearer];
        bound_token_of_other_key: [DpopKeyUnchecked];
        bound_token_without_ath: [DpopAthUnchecked];
        object_of_other_key: [JarSignatureUnchecked];
        object_unsigned: [JarAlgNone];
        object_by_public_key: [JarAlgConfusion];
        object_for_other_server: [JarAudienceUnchecked];
        object_of_yesterday: [JarExpiryUnchecked];
        object_of_other_type: [JarTypeConfusion];
        object_encrypted_unsigned: [JarAlgNone, JarJweSkipsSignature];
        object_encrypted_of_other_key: [JarSignatureUnchecked, JarJweSkipsSignature];
        object_encrypted_claims: [JarJweSkipsSignature];
        object_overridden: [JarParametersMerged, ScopeUnvalidated];
    }
    on_grants {
        device_of_other_client: [DeviceCodeNotBound];
        device_not_asked: [DeviceApprovalUnchecked];
        device_refused: [DeviceApprovalUnchecked];
        device_twice: [DeviceCodeReusable];
        device_race: [DeviceCodeReusable, SingleUseRace];
        device_short_code: [DeviceUserCodeGuessable];
        device_opened: [DeviceNoConfirmation];
        device_polled_at_once: [DevicePollingUnlimited];
        device_form_of_other_session: [DeviceApprovalCsrf];
        device_without_secret: [DeviceClientUnauthenticated, ClientAuthOptional];
        device_with_wrong_secret: [DeviceSecretUnchecked, ClientSecretUnchecked];
        exchange_for_more: [TokenExchangeEscalation];
        exchange_by_public_client: [TokenExchangeUnauthenticated];
        exchange_of_tampered: [TokenExchangeSubjectUnverified];
        exchange_of_revoked: [
            TokenExchangeRevokedSubject,
            RevocationIneffective,
            RevocationAccessTokenIneffective,
            RevocationPublicIgnored,
            RevocationPublicRefused,
            RevocationHintRequired,
        ];
        exchange_of_id_token: [TokenExchangeTypeConfusion];
        exchange_for_refresh_token: [TokenExchangeRefreshTokenGiven];
        exchange_for_other_user: [TokenExchangeImpersonationOpen];
        registered_by_stranger: [DcrOpen];
        registered_script: [DcrRedirectUriUnvalidated];
        registration_read_by_other: [DcrManagementTokenUnchecked];
        registered_id_of_other: [DcrMassAssignment];
        registered_statement: [DcrSoftwareStatementUnverified];
        registered_markup: [DcrMetadataXss];
    }
    on_unasked {
        answer_malformed: [JarmMalformed];
        introspection_lax: [IntrospectionJwtLax];
        assertion_of_anybody: [JwtBearerGrantLax];
        asked_without_authentication: [CibaOpen];
        asked_by_two_hints: [CibaOpen];
        asked_by_forged_hint: [CibaOpen];
        polled_by_other: [CibaNotBound];
        polled_twice: [CibaNotBound];
        polled_unasked: [CibaApprovalUnchecked];
        asked_by_unsigned_request: [CibaRequestObjectLax];
    }
    on_targets {
        token_for_both: [ResourceIgnored];
        token_for_unauthorized: [ResourceWidening];
        refreshed_for_unauthorized: [RefreshResourceEscalation];
        token_for_anything: [ResourceUnvalidated, ResourceUnchecked];
        token_of_a_stranger: [ResourceUnchecked];
        mcp_without_token: [UserinfoOpen, McpResourceOpen];
        metadata_of_another_resource: [PrmMismatch];
        details_of_no_type: [RarUnvalidated];
        details_in_token_request: [RarTampered];
        token_at_other_api: [JwtAudienceUnchecked];
        token_by_guessed_secret: [JwtWeakSecret];
    }
    on_clients {
        answer_of_other_type: [ClientResponseTypeUnchecked];
        scope_of_others: [ClientScopeUnchecked];
        grant_of_others: [ClientGrantTypeUnchecked];
        assertion_of_other_alg: [AssertionAlgUnregistered];
        redirected_to_stranger: [ErrorRedirectAutomatic, ErrorRedirectToUnregistered];
        code_of_stranger: [ConsentSkipped];
        more_without_question: [ConsentNotIncremental];
        introspected_by_other: [IntrospectionCrossClient, IntrospectionOpen];
        refreshed_after_logout: [RefreshSurvivesLogout, IdTokenUnsigned, IdTokenKeyUnknown, IdTokenClaimsWrong];
    }
    on_callouts {
        request_uri_of_stranger: [SsrfRequestUri];
        keys_named_by_jwt: [SsrfJwtHeaders];
        logo_fetched: [SsrfRegistration];
        logo_by_way_of_the_server: [ClientLogoFetched, SsrfRegistration];
        redirect_followed: [SsrfRegistration];
        joined_foreign_sector: [DcrSectorUnverified];
        same_subject_in_two_sectors: [PairwiseSubjectCorrelatable];
        logout_token_with_nonce: [LogoutTokenMalformed];
    }
}

#[tokio::test]
async fn the_strict_lab_refuses_every_attack() -> Outcome {
    let tester = Tester::strict().await?;
    for (name, attack, _) in ATTACKS {
        let worked = attack(&tester).await;
        assert!(!worked.map_err(|error| format!("{name}: {error}"))?, "{name}");
    }
    assert!(on_tokens::honest_flow(&tester).await?);
    assert!(
        on_grants::honest_device(&tester).await? && on_grants::honest_exchange(&tester).await? && on_grants::honest_client(&tester).await?
    );
    assert!(on_callouts::honest_sector(&tester).await? && on_callouts::honest_logout(&tester).await?);
    assert!(on_requests::honest_proof(&tester).await? && on_requests::honest_object(&tester).await?);
    assert!(on_requests::honest_encrypted_object(&tester).await?);
    assert!(on_unasked::honest_answers(&tester).await? && on_unasked::honest_assertion(&tester).await?);
    assert!(on_unasked::honest_backchannel(&tester).await?);
    assert!(on_clients::honest_offline(&tester).await? && on_targets::honest_targets(&tester).await?);
    assert!(on_targets::honest_details(&tester).await?);
    Ok(())
}

#[tokio::test]
async fn each_flaw_enables_its_own_attacks_and_nothing_else() -> Outcome {
    let mut wrong = Vec::new();
    for &flaw in Flaw::ALL {
        let tester = Tester::flawed(&[flaw]).await?;
        for (name, attack, enabling) in ATTACKS {
            let worked = attack(&tester).await.map_err(|error| format!("{name}: {error}"))?;
            if worked != enabling.contains(&flaw) {
                wrong.push(format!("{flaw}, {name}: {worked}"));
            }
        }
        if !on_tokens::honest_flow(&tester).await? {
            wrong.push(format!("{flaw}: the honest flow fails"));
        }
        tester.lab.stop().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[tokio::test]
async fn all_flaws_combine() -> Outcome {
    let tester = Tester::flawed(Flaw::ALL).await?;
    for (name, attack, _) in ATTACKS {
        attack(&tester).await.map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

#[test]
fn names_of_flaws_are_unique_and_read_back() {
    for &flaw in Flaw::ALL {
        assert_eq!(flaw.name().parse(), Ok(flaw));
        assert!(flaw.describes().ends_with('.'));
        assert!(flaw.name().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    }
    assert!("pkce".parse::<Flaw>().is_err());
}
