//! The kinds of steps that a flow may have, what each sends to, and what can be read from its answer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::authentication::{Authentication, ShownCertificate};
use super::bend::{Carried, Proof};
use super::conduct::Conduct;
use super::value::{Reference, Template, Value};

/// A request that knows OAuth. Adding a kind touches this file, its driver in `engine::step`, and one arm there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Through the front channel, login and consent, to the redirection endpoint (RFC 6749 §4.1.1).
    AuthorizationRequest,
    /// POST to the endpoint for pushed authorization requests (RFC 9126 §2).
    PushedAuthorizationRequest,
    /// POST to the token endpoint (RFC 6749 §3.2); client authentication is added as the client is registered.
    TokenRequest,
    /// A bearer token shown at the proof endpoint: userinfo, introspection or the configured resource.
    ResourceRequest,
    /// POST to the introspection endpoint (RFC 7662 §2.1).
    IntrospectionRequest,
    /// POST to the revocation endpoint (RFC 7009 §2.1).
    RevocationRequest,
    /// Through the front channel to the logout endpoint (OpenID Connect RP-Initiated Logout 1.0 §2).
    LogoutRequest,
    /// GET of a document that the server publishes: metadata (RFC 8414 §3), keys (RFC 7517 §5).
    DocumentRequest,
    /// A request to any other endpoint of the back channel, named by its address: device authorization (RFC 8628 §3.1), backchannel
    /// authentication (CIBA §7), client registration (RFC 7591 §3) and its management (RFC 7592 §2).
    EndpointRequest,
    /// A page that a user opens in his browser: the verification page of the device flow (RFC 8628 §3.3), or where he answers a
    /// backchannel request.
    PageRequest,
    /// A new address of our listener, with what it answers: nothing is sent.
    ListenerAddress,
    /// A request of the server's own to such an address is waited for: nothing is sent either.
    ListenerRequest,
}

impl StepKind {
    pub const ALL: &'static [StepKind] = &[
        StepKind::AuthorizationRequest,
        StepKind::PushedAuthorizationRequest,
        StepKind::TokenRequest,
        StepKind::ResourceRequest,
        StepKind::IntrospectionRequest,
        StepKind::RevocationRequest,
        StepKind::LogoutRequest,
        StepKind::DocumentRequest,
        StepKind::EndpointRequest,
        StepKind::PageRequest,
        StepKind::ListenerAddress,
        StepKind::ListenerRequest,
    ];

    /// The name in flow files.
    pub fn name(self) -> &'static str {
        match self {
            StepKind::AuthorizationRequest => "authorization_request",
            StepKind::PushedAuthorizationRequest => "pushed_authorization_request",
            StepKind::TokenRequest => "token_request",
            StepKind::ResourceRequest => "resource_request",
            StepKind::IntrospectionRequest => "introspection_request",
            StepKind::RevocationRequest => "revocation_request",
            StepKind::LogoutRequest => "logout_request",
            StepKind::DocumentRequest => "document_request",
            StepKind::EndpointRequest => "endpoint_request",
            StepKind::PageRequest => "page_request",
            StepKind::ListenerAddress => "listener_address",
            StepKind::ListenerRequest => "listener_request",
        }
    }

    /// The words for this kind's success in predicates.
    pub fn success_word(self) -> &'static str {
        match self {
            StepKind::AuthorizationRequest | StepKind::TokenRequest => "issued",
            _ => "accepted",
        }
    }

    /// The fields that its answer may have, each with its meaning.
    pub fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            StepKind::AuthorizationRequest => &[
                ("code", "the authorization code"),
                ("state", "the state that came back, decoded once"),
                ("iss", "the issuer of the response (RFC 9207)"),
                ("access_token", "an access token in the front channel"),
                ("id_token", "an ID token in the front channel"),
                ("error", "the error code, at the redirection endpoint or on the page"),
                ("error_description", "its description"),
                ("location", "the whole callback URL, as a browser resolved it"),
                ("lands_on", "`registered`, whatever userinfo stands before its host, or `elsewhere`: where a browser takes the answer"),
                ("delivered_to", "`registered`, `asked` (the changed redirect_uri) or `elsewhere`"),
                ("scheme", "the scheme of the callback URL"),
                ("status", "the HTTP status of the last answer"),
                ("post_status", "the HTTP status of the answer to a form that carried credentials"),
                (
                    "password_forwarded",
                    "where a password was sent: `true` if a 307 or 308 made the browser send it on to the client, else `false`",
                ),
                ("form_pages", "how many HTML pages with a form were passed"),
                (
                    "pages",
                    "what was done with each of them, for people: the fields that were filled in, with what kind of value, and the button",
                ),
                ("planted_markup", "the path of a page in which `<grantproof-planted>` was an element, absent: none"),
                ("planted_header", "`true` where an answer had a header `grantproof-planted`, absent: none"),
                ("evaluated", "the path of an answer with 48313819 in it, the product of 7919 and 6101; absent: none"),
                ("unframed_pages", "those of them without protection against framing, by path"),
                ("stopped_at", "the page at which the browser stopped as it was told: `login`, `code`, `consent` or `page`"),
                ("denied", "`true` where the button that refuses consent was pressed"),
                ("tampered", "the parameters whose values a form carried and the attack changed"),
                (
                    "exposed_parameters",
                    "parameters that a step before had pushed and that came back to the browser in an address of the server's own or in a cookie, encoded or not (values of 16 characters at least; state and what the browser brings itself apart); absent: none",
                ),
                ("answer_in", "how the answer came: `query`, `fragment` or `form_post`"),
                ("code_caching", "whether the answer with the code may be kept: `forbidden`, `unsaid` or `allowed`"),
                ("cacheable_pages", "those of the pages with a form that say they may be kept, by path"),
                ("leaking_pages", "those that send their whole address to other hosts, and name one, by path"),
                ("unguarded_pages", "those that name another host and have no Referrer-Policy, by path"),
                ("allow_origin", "the Access-Control-Allow-Origin header of an answer"),
                ("allow_credentials", "the Access-Control-Allow-Credentials header of an answer"),
                ("response", "the JWT that the answer came in (JARM)"),
                ("response_beside", "those of `code`, `access_token` and `id_token` that stand in the clear beside it; absent: none"),
                ("response_key", "as `access_token_key`, of this JWT"),
                ("response_alg", "its alg"),
                ("response_typ", "its typ, in small letters"),
                ("response_claims", "the names of its claims"),
                ("response_iss", "its issuer"),
                ("response_sub", "its subject"),
                ("response_aud", "its audiences, separated by spaces"),
                ("response_lifetime", "the seconds until its exp when it came; absent: it has none"),
            ],
            StepKind::PushedAuthorizationRequest => &[
                ("request_uri", "the reference to the pushed request"),
                ("expires_in", "its lifetime in seconds"),
                ("error", "the error code"),
                ("error_description", "its description"),
                ("status", "the HTTP status"),
            ],
            StepKind::TokenRequest => &[
                ("access_token", "the access token"),
                ("access_token_format", "`jwt` or `opaque`"),
                ("access_token_alg", "the alg of a JWT access token"),
                ("access_token_key", "`public`: it verifies with a published key; else `unverified`, `unpublished`, `secret` or `none`"),
                (
                    "access_token_secret",
                    "of a JWT access token with an HMAC: `guessed`, its secret is a common one, the client's own, its id or the issuer; else `unknown`",
                ),
                ("access_token_scope", "the scope claim of a JWT access token"),
                (
                    "access_token_binding",
                    "of a JWT access token: `own` (its cnf.jkt is the key of the run's DPoP proofs), `other` or `none`",
                ),
                ("dpop_nonce", "the nonce that the server has handed out for DPoP proofs (RFC 9449 §8)"),
                ("refresh_token", "the refresh token"),
                ("id_token", "the ID token"),
                ("token_type", "the token type"),
                ("expires_in", "the lifetime in seconds"),
                (
                    "scope",
                    "the granted scope, as the answer says; else the scope claim of the token; else the requested one (RFC 6749 §5.1)",
                ),
                (
                    "authorization_details",
                    "the details that were granted (RFC 9396 §7), as JSON: of the answer, else of a JWT access token",
                ),
                (
                    "details_granted",
                    "which details of the target file are among them: `example`, `other`; `neither`; absent where the answer names none",
                ),
                ("scope_assumed", "`true` where neither answer nor token says the scope"),
                ("access_token_typ", "the typ of a JWT access token, in small letters"),
                ("access_token_claims", "the names of the claims of a JWT access token"),
                ("access_token_aud", "its audiences, separated by spaces"),
                ("access_token_lifetime", "the seconds until its exp when it came"),
                ("refresh_expires_in", "the lifetime of the refresh token in seconds, as some servers say it"),
                ("id_token_alg", "the alg of the ID token"),
                ("id_token_key", "as `access_token_key`, of the ID token; absent where that cannot be told"),
                ("id_token_iss", "its issuer"),
                ("id_token_sub", "its subject"),
                ("id_token_aud", "its audiences, separated by spaces"),
                ("id_token_azp", "its authorized party"),
                ("id_token_acr", "its level of authentication (acr)"),
                ("id_token_nonce", "its nonce"),
                ("id_token_lifetime", "the seconds from its iat to its exp"),
                (
                    "id_token_current",
                    "`true` if iat is past and exp to come, a minute either way, else `false`; absent where one is missing",
                ),
                ("id_token_at_hash", "`right` or `wrong`; absent where there is none, or its alg names no hash"),
                ("error", "the error code"),
                ("error_description", "its description"),
                ("cache_control", "the Cache-Control header"),
                ("pragma", "the Pragma header"),
                ("allow_origin", "the Access-Control-Allow-Origin header"),
                ("allow_credentials", "the Access-Control-Allow-Credentials header"),
                ("status", "the HTTP status"),
                ("other_access_token", "of a burst: an access token of another answer than the one that `access_token` came with"),
                ("other_refresh_token", "of a burst: another refresh token than `refresh_token`"),
                ("winners", "of a burst: how many answers carried an access token of their own that works"),
                ("crashed_answers", "of a burst: how many answers were server errors (5xx) without a token; absent: none"),
            ],
            StepKind::ResourceRequest => &[
                ("sub", "the subject that the answer names"),
                ("scope", "the scope that the answer names"),
                ("claims", "the names of the members of the answer, separated by spaces"),
                ("error", "the error code of WWW-Authenticate or of the body"),
                ("status", "the HTTP status"),
                (
                    "token_certificate",
                    "the TLS certificate that the token is bound to, as a JWT says itself or as introspection has said before: `own` or `other`; absent: none, or nobody says",
                ),
                ("endpoint", "which endpoint was asked: userinfo, introspection or resource"),
                ("checked", "`maybe_offline`: a JWT at an API, which may verify it without asking the server; else `online`"),
            ],
            StepKind::IntrospectionRequest => &[
                ("active", "`true` or `false`"),
                ("sub", "the subject"),
                ("scope", "the scope"),
                ("client_id", "the client that the token was issued to"),
                ("token_type", "what kind of token it is said to be, as RFC 7662 has it"),
                ("token_use", "the same, as some servers have it: `access_token` or `refresh_token`"),
                ("typ", "the same, as others have it"),
                ("binding", "`own` (cnf.jkt is the key of the run's DPoP proofs), `other` or `none`"),
                (
                    "certificate",
                    "`own` (cnf.x5t#S256 is that of the TLS certificate of the client that was given the token) or `other`; absent: none",
                ),
                ("response_key", "of an answer that is a JWT (RFC 9701), as `access_token_key`"),
                ("response_alg", "its alg"),
                ("response_typ", "its typ, in small letters"),
                ("response_claims", "the names of its claims"),
                ("response_iss", "its issuer"),
                ("response_sub", "its subject"),
                ("response_aud", "its audiences, separated by spaces"),
                ("response_lifetime", "the seconds until its exp when it came; absent: it has none"),
                ("error", "the error code"),
                ("status", "the HTTP status"),
            ],
            StepKind::RevocationRequest => &[("error", "the error code"), ("status", "the HTTP status")],
            StepKind::LogoutRequest => &[
                ("stopped_at", "`page` where the browser stopped, as it was told, at a page that asks whether to log out"),
                ("confirmed", "`true` where such a page was answered"),
                ("location", "where the server sent the browser at the end"),
                ("delivered_to", "`asked` (the post_logout_redirect_uri) or `elsewhere`"),
                ("links_to_asked", "`true` where the last page has a link to the post_logout_redirect_uri"),
                ("status", "the HTTP status of the last answer"),
            ],
            StepKind::DocumentRequest => &[
                ("issuer", "the issuer that metadata names"),
                (
                    "resource_is",
                    "of the metadata of a resource (RFC 9728): `same`, it names the `resource` of the target file or its indicator; `parent`, one of which that is a part; `other`",
                ),
                (
                    "authorization_server_is",
                    "of the same: `same`, the issuer is among its authorization servers, `other`, others are; absent: it names none",
                ),
                ("hosts", "the hosts of all URLs in it, separated by spaces"),
                ("key_count", "how many keys a key set has"),
                ("private_members", "the names of private members of its keys; absent: there are none"),
                ("weak_keys", "what is weak about its keys (`RSA-1024`); absent: nothing"),
                ("doubled_kids", "the kids that two different keys have; absent: there are none"),
                ("status", "the HTTP status"),
            ],
            StepKind::EndpointRequest => ENDPOINT_FIELDS,
            StepKind::PageRequest => &[
                ("asked", "`true`: the user was asked to confirm and the step stopped before it (`decision: none`)"),
                ("form_action", "where the form goes that would have confirmed"),
                ("form_body", "what it would have sent"),
                ("status", "the HTTP status of the last answer"),
                ("pages", "what was done with each page, for people"),
            ],
            StepKind::ListenerAddress => &[("url", "the address, which nobody guesses")],
            StepKind::ListenerRequest => &[
                ("called", "`true`: the server came; `false`: it did not within the time, and it is known that it can"),
                ("calls", "how often it came"),
                ("method", "the HTTP method of its first request"),
                ("paths", "what stood behind the address, separated by spaces; absent: nothing"),
                ("logout_token", "the logout token that it brought"),
                ("logout_token_alg", "its alg"),
                ("logout_token_typ", "its typ, in small letters"),
                ("logout_token_key", "as `access_token_key`; absent where that cannot be told"),
                ("logout_token_claims", "the names of its claims"),
                ("logout_token_iss", "its issuer"),
                ("logout_token_sub", "its subject"),
                ("logout_token_aud", "its audiences, separated by spaces"),
                ("logout_token_lifetime", "the seconds until its exp when it came"),
                ("logout_token_event", "`true` where its events name a back-channel logout, else `false`"),
                ("logout_token_names_session", "`true` where it has sub or sid, else `false`"),
            ],
        }
    }
}

/// The members of an answer that scenarios may name; a list is its words.
const ENDPOINT_FIELDS: &[(&str, &str)] = &[
    ("device_code", "the device verification code"),
    ("user_code", "the code that the user types"),
    ("user_code_bits", "how many bits it has at most, by its length and its kinds of characters"),
    ("verification_uri", "the page where he types it"),
    ("verification_uri_complete", "the same with the code in it"),
    ("auth_req_id", "the identifier of a backchannel authentication request"),
    ("interval", "the seconds between two polls"),
    ("expires_in", "the lifetime in seconds"),
    ("client_id", "the id of the registered client"),
    ("client_secret", "its secret"),
    ("client_name", "its name"),
    ("redirect_uris", "its redirect URIs, separated by spaces"),
    ("grant_types", "its grants, separated by spaces"),
    ("response_types", "its response types, separated by spaces"),
    ("token_endpoint_auth_method", "how it authenticates"),
    ("token_endpoint_auth_signing_alg", "the algorithm of its assertions"),
    ("scope", "its scope"),
    ("subject_type", "the kind of its subject identifiers"),
    ("registration_access_token", "the token for its registration"),
    ("registration_client_uri", "the address of its registration"),
    ("skip_consent", "a member that only an administrator may set"),
    ("trusted", "another one"),
    ("resource_metadata", "the address of the metadata of a resource, as its challenge says (RFC 9728 §5.1)"),
    ("mcp_result", "what an MCP server answers: the names of the members of the result, separated by spaces"),
    ("mcp_version", "the version of the protocol that it has agreed to"),
    ("mcp_session", "the session that an MCP server has opened (Mcp-Session-Id)"),
    ("error", "the error code"),
    ("error_description", "its description"),
    ("status", "the HTTP status"),
];

/// Which client of the target a session acts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientRole {
    /// The target's first client: public where there is one, else confidential, else with assertions.
    #[default]
    Default,
    Public,
    /// Another client, whatever its kind.
    Second,
    Confidential,
    /// A client that authenticates with private_key_jwt (RFC 7523).
    Assertion,
    /// A client that authenticates, and has a TLS certificate: to authenticate with, or that its tokens are bound to (RFC 8705).
    Mtls,
    /// A public client with a TLS certificate that its tokens are bound to (RFC 8705 §4).
    MtlsPublic,
    /// A client that may introspect: confidential, else assertion.
    Introspection,
}

impl ClientRole {
    pub fn name(self) -> &'static str {
        match self {
            ClientRole::Default => "default",
            ClientRole::Public => "public",
            ClientRole::Second => "second",
            ClientRole::Confidential => "confidential",
            ClientRole::Assertion => "assertion",
            ClientRole::Mtls => "mtls",
            ClientRole::MtlsPublic => "mtls_public",
            ClientRole::Introspection => "introspection",
        }
    }
}

/// Which user of the target a session logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    #[default]
    Default,
    /// The second user where the target has one, else the first.
    Other,
    /// The user with an authenticator: `users.second_factor`, else the first of the two others that has one.
    SecondFactor,
}

/// Where a resource request shows its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourcePlace {
    /// The place that takes the genuine token and was seen to refuse a made-up one: userinfo, introspection or the API.
    #[default]
    Proof,
    /// Userinfo or the API, the first that takes the genuine token, whatever else it takes.
    Api,
    /// The API that the target file names as `resource`.
    Resource,
    /// Its `second_resource`.
    SecondResource,
}

/// Where a parameter travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Query,
    Body,
    /// The Authorization header.
    Header,
}

/// How a parameter of the attack relates to the control: the `+` and `-` of `explain --requests`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Kept,
    Set,
    Replaced,
    Duplicated,
    Moved,
}

/// One parameter of a planned request.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub value: Value,
    /// None: where this kind of request carries its parameters.
    pub place: Option<Place>,
    pub origin: Origin,
}

/// How the request is written where that differs from what a correct client library sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport {
    pub method: Option<String>,
    pub content_type: Option<String>,
    /// Appended to the path of the endpoint, byte for byte.
    pub path_suffix: Option<String>,
    /// Parameters whose value is not percent-encoded.
    pub unencoded: Vec<String>,
}

/// One step of a plan, ready to be driven: values are still symbolic, names are absolute.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStep {
    /// `authorize`, or `attacker.authorize` with its session.
    pub name: String,
    /// The browser that it runs in; the default session is "".
    pub session: String,
    pub kind: StepKind,
    pub client: ClientRole,
    pub user: UserRole,
    /// Shared by the many steps that are copies of one: controls, and attacks that change another step.
    pub parameters: Arc<Vec<Parameter>>,
    /// Names that the control sends and the attack does not.
    pub removed: Vec<String>,
    pub authentication: Option<Authentication>,
    /// The TLS certificate, where it is not the client's own.
    pub certificate: Option<ShownCertificate>,
    /// The DPoP proof, where it is not what the target file says of the client.
    pub proof: Option<Proof>,
    /// The way of an authorization request, where it is not what the target asks for.
    pub carried: Option<Carried>,
    pub transport: Transport,
    /// A pause before the step, as text of a duration (`65s`).
    pub wait: Option<Template>,
    /// How many identical requests are released at once.
    pub burst: Option<u32>,
    /// A probe's failure does not fail the control.
    pub probe: bool,
    /// It runs in a browser in which nobody is logged in.
    pub logged_out: bool,
    /// It runs in a browser with the cookies that this session's browser had before its last login.
    pub before_login: bool,
    /// How its browser is led, where a step of the front channel differs in that.
    pub conduct: Option<Box<Conduct>>,
    /// The session whose cookies go out with a token request.
    pub cookies_of: Option<String>,
    /// Which place a resource request asks.
    pub at: ResourcePlace,
    /// The attack added this step (a repetition).
    pub added: bool,
}

impl PlannedStep {
    /// The parameters, to be changed for this step alone.
    pub fn parameters_mut(&mut self) -> &mut Vec<Parameter> {
        Arc::make_mut(&mut self.parameters)
    }

    /// Every reference in what the step sends, in the order in which it is sent.
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::new();
        self.parameters.iter().for_each(|p| p.value.references(&mut found));
        self.authentication.iter().for_each(|authentication| authentication.references(&mut found));
        self.proof.iter().for_each(|proof| proof.references(&mut found));
        self.carried.iter().for_each(|carried| carried.references(&mut found));
        self.conduct.iter().for_each(|conduct| conduct.references(&mut found));
        found
    }

    /// The session part of a step's name ("" for the default session).
    pub fn session_of(name: &str) -> &str {
        name.split_once('.').map_or("", |(session, _)| session)
    }
}
