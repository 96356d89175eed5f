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
}

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

impl UserRole {
    /// As target files name him.
    pub fn name(self) -> &'static str {
        match self {
            UserRole::Default => "default",
            UserRole::Other => "other",
            UserRole::SecondFactor => "second_factor",
        }
    }
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub transport: Arc<Transport>,
    /// A pause before the step, as text of a duration (`65s`).
    pub wait: Option<Template>,
    /// How many identical requests are released at once.
    pub burst: Option<u32>,
    /// The request goes out once for each line of this parameter's value, one after the other.
    pub each: Option<String>,
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
    /// Somebody asks for [`ID_TOKEN_KEY`] of its answer: to verify a signature takes longer than everything else about an answer.
    pub verified: bool,
}

/// The field that says whether an ID token's signature verifies.
pub const ID_TOKEN_KEY: &str = "id_token_key";

impl PlannedStep {
    /// The parameters, to be changed for this step alone.
    pub fn parameters_mut(&mut self) -> &mut Vec<Parameter> {
        Arc::make_mut(&mut self.parameters)
    }

    /// Every reference in what the step sends, in the order in which it is sent.
    pub fn references(&self) -> Vec<&Reference> {
        let mut found = Vec::with_capacity(self.parameters.len());
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
