//! The shape of a target file, `grantproof.yaml`. The JSON Schema for editors is generated from it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::step::ClientRole;
use crate::place::{At, Names};

/// One deployment under test: where it is, which clients and users may be used, and who permitted the test.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// A name for reports.
    pub name: At<String>,
    /// The issuer identifier, exactly as the server spells it.
    pub issuer: At<String>,
    /// Where the metadata document is, when it is not at one of the well-known places; `none`: there is none.
    pub metadata: Option<At<String>>,
    /// Endpoints that the metadata does not name, or names wrongly.
    #[serde(default)]
    pub endpoints: EndpointsFile,
    /// Further origins that a run may contact, such as a login application (`https://login.example`).
    #[serde(default)]
    pub hosts: Vec<At<String>>,
    /// The scope of the control flow.
    #[serde(default = "openid")]
    pub scope: String,
    /// One more scope that every client may ask for; escalation attacks try to get it.
    pub extra_scope: Option<String>,
    /// An API that takes the access tokens: GET with the token answers 2xx.
    pub resource: Option<At<String>>,
    /// Parameters that a client of this server adds to each authorization request; `random` is a fresh text each time.
    #[serde(default)]
    pub authorization_parameters: Names<At<String>>,
    /// The `resource` parameter of authorization and token requests (RFC 8707).
    pub resource_indicator: Option<At<String>>,
    /// Another API, which takes tokens of its own: attacks show it the tokens of the first one, and ask for its tokens.
    pub second_resource: Option<SecondResourceFile>,
    /// What a client of this server asks for in detail (RFC 9396).
    pub authorization_details: Option<AuthorizationDetailsFile>,
    /// The page on which a user answers backchannel authentication requests (CIBA); it is opened with the query parameter
    /// `binding_message`. Without it, attacks that need such an answer are skipped.
    pub ciba_approval: Option<At<String>>,
    /// The initial access token with which clients may be registered (RFC 7591 §3): `env:NAME` or `file:PATH`.
    pub initial_access_token: Option<At<String>>,
    /// Whether authorization requests are pushed first (PAR, RFC 9126); `auto`: where the metadata requires it.
    #[serde(default)]
    pub pushed_authorization: Use,
    /// Whether authorization requests are signed (JAR, RFC 9101); `auto`: where the metadata requires it.
    #[serde(default)]
    pub request_objects: Use,
    /// How long a used refresh token is forgiven on purpose (`30s`); not given: at most 65s is assumed.
    pub refresh_grace: Option<At<String>>,
    /// How long a used code is forgiven on purpose; not given: at most 31s is assumed.
    pub code_grace: Option<At<String>>,
    /// How long a code lives (`60s`); not given: the ten minutes of RFC 6749 are waited out (`run --slow`).
    pub code_lifetime: Option<At<String>>,
    /// How long a refresh token lives that is not used (`15m`, `8h`, `30d`); not given: its expiry is not tried.
    pub refresh_lifetime: Option<At<String>>,
    pub clients: ClientsFile,
    pub users: UsersFile,
    #[serde(default)]
    pub login: LoginFile,
    /// Who permitted the test; required unless the target is on loopback.
    pub permission: Option<PermissionFile>,
    #[serde(default)]
    pub limits: LimitsFile,
    #[serde(default)]
    pub tls: TlsFile,
    /// Where a run listens for requests of the server; without it, attacks that make the server call out are skipped.
    pub listener: Option<ListenerFile>,
    /// Known risks that somebody accepted for a while.
    #[serde(default)]
    pub waivers: Vec<super::waivers::WaiverFile>,
}

/// An API that takes other tokens than `resource` does (RFC 8707).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondResourceFile {
    /// GET with a token for it answers 2xx.
    pub url: At<String>,
    /// The `resource` that its tokens are asked for with; not given: its URL.
    pub indicator: Option<At<String>>,
}

/// `authorization_details` that the server knows (RFC 9396 §2), each the JSON text of an array.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationDetailsFile {
    /// What the users of the test may approve: `'[{"type":"payment","amount":"1.00"}]'`.
    pub example: At<String>,
    /// The same type with more in it (a larger amount), which the server would grant as well: attacks try to get it in place of the example.
    pub other: Option<At<String>>,
}

/// Whether a part of the protocol is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// Where the server's metadata requires it.
    #[default]
    Auto,
    Always,
    Never,
}

fn openid() -> String {
    "openid".into()
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointsFile {
    pub authorization: Option<At<String>>,
    pub token: Option<At<String>>,
    pub userinfo: Option<At<String>>,
    pub introspection: Option<At<String>>,
    pub revocation: Option<At<String>>,
    pub jwks: Option<At<String>>,
    /// The pushed authorization request endpoint (RFC 9126).
    pub pushed_authorization: Option<At<String>>,
    /// The device authorization endpoint (RFC 8628).
    pub device_authorization: Option<At<String>>,
    /// The backchannel authentication endpoint (OpenID Connect CIBA).
    pub backchannel_authentication: Option<At<String>>,
    /// The client registration endpoint (RFC 7591).
    pub registration: Option<At<String>>,
}

/// The clients that scenarios act as. A scenario whose client is missing is skipped, and the report names what to add.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientsFile {
    /// A public client (no client authentication).
    pub public: Option<ClientFile>,
    /// Another client, of any kind.
    pub second: Option<ClientFile>,
    /// A client that authenticates: with a secret, or however `auth` says.
    pub confidential: Option<ClientFile>,
    /// A client with private_key_jwt.
    pub assertion: Option<ClientFile>,
    /// A client that authenticates with its TLS certificate, or whose tokens are bound to it (RFC 8705).
    pub mtls: Option<ClientFile>,
    /// A public client whose tokens are bound to its TLS certificate (RFC 8705 §4).
    pub mtls_public: Option<ClientFile>,
}

impl ClientsFile {
    /// The clients that are there, with their roles.
    pub fn roles(&self) -> impl Iterator<Item = (ClientRole, &ClientFile)> {
        [
            (ClientRole::Public, &self.public),
            (ClientRole::Second, &self.second),
            (ClientRole::Confidential, &self.confidential),
            (ClientRole::Assertion, &self.assertion),
            (ClientRole::Mtls, &self.mtls),
            (ClientRole::MtlsPublic, &self.mtls_public),
        ]
        .into_iter()
        .filter_map(|(role, client)| client.as_ref().map(|client| (role, client)))
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientFile {
    pub id: At<String>,
    /// Registered with the server; nothing needs to listen there, and grantproof never contacts it.
    pub redirect_uri: At<String>,
    #[serde(default)]
    pub auth: AuthFile,
    /// `env:NAME`, `file:PATH`, `file:PATH#NAME`, or `plain:TEXT` for a throw-away test secret.
    pub secret: Option<At<String>>,
    /// The private key of private_key_jwt, as PEM (PKCS#8) or JWK: `file:PATH` or `env:NAME`.
    pub key: Option<At<String>>,
    /// The kid in the header of its assertions.
    pub kid: Option<String>,
    /// The `aud` of its assertions: `issuer`, `token_endpoint` or a URL (RFC 7523 §3).
    pub audience: Option<At<String>>,
    /// It sends DPoP proofs with a key that is made for the run (RFC 9449).
    #[serde(default)]
    pub dpop: bool,
    /// Its TLS certificate, PEM, with the chain behind it: `file:PATH` or `env:NAME` (RFC 8705).
    pub certificate: Option<At<String>>,
    /// The private key of the certificate, PEM: `file:PATH` or `env:NAME`.
    pub certificate_key: Option<At<String>>,
    /// Its tokens are bound to a key (DPoP or mTLS): rotation of refresh tokens is then not asked for (RFC 9700 §4.14.2).
    /// Follows from `dpop`.
    #[serde(default)]
    pub sender_constrained: bool,
    /// Another redirect URI that is registered for this client: an attack tries to redeem the code of one as that of the other.
    pub other_redirect_uri: Option<At<String>>,
    /// Where the client was registered by `grantproof init --register`, so that `grantproof unregister` can remove it.
    pub registration: Option<RegistrationFile>,
}

/// The client configuration endpoint of a client that was registered dynamically (RFC 7592).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistrationFile {
    /// The `registration_client_uri` that the server gave.
    pub uri: At<String>,
    /// The registration access token: `file:PATH#NAME` or `env:NAME`.
    pub token: At<String>,
}

/// How the client authenticates at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthFile {
    #[default]
    None,
    ClientSecretBasic,
    ClientSecretPost,
    ClientSecretJwt,
    PrivateKeyJwt,
    /// A certificate that an authority signed (RFC 8705 §2.1).
    TlsClientAuth,
    /// A certificate that is registered itself (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersFile {
    pub default: UserFile,
    /// A second user: forged tokens name him, and injection attacks show whose account was reached.
    pub other: Option<UserFile>,
    /// A user whose login takes a password and then a one-time code: `totp` is required. Scenarios about a login that stops
    /// between the two use him, and nothing else does. Without it they use the first of the others that has `totp`.
    pub second_factor: Option<UserFile>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFile {
    pub name: At<String>,
    /// `env:NAME`, `file:PATH`, or `plain:TEXT` for a throw-away test account. Needed by the login drivers `form` and `browser`.
    pub password: Option<At<String>>,
    /// The secret of the user's authenticator, base32 or an `otpauth://` address: `env:NAME` or `file:PATH`.
    pub totp: Option<At<String>>,
    /// A session in which the user is logged in, as a Cookie header has it (`a=1; b=2`): `env:NAME` or `file:PATH`. For the
    /// login driver `session`.
    pub cookie: Option<At<String>>,
}

/// How users log in. A hint is a name, or a CSS selector: anything with one of `#`, `.`, `[`, `>`, `:` or a space in it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginFile {
    #[serde(default)]
    pub driver: LoginDriver,
    /// The form that logs in, by id, name or selector, where a page has several.
    pub form: Option<At<String>>,
    /// The form field that takes the user name, by name or selector, when guessing is not enough.
    pub user_field: Option<At<String>>,
    /// The form field that takes the password, by name or selector.
    pub password_field: Option<At<String>>,
    /// The form field that takes a one-time code, by name or selector.
    pub otp_field: Option<At<String>>,
    /// The button that consents, by name, value, id, text or selector.
    pub consent_button: Option<At<String>>,
    /// For the driver `command`: a program and its arguments. It is given the authorization request as its last argument,
    /// and prints the callback URL, or `Cookie: a=1; b=2` for a session in which the user is logged in. User name, password
    /// and one-time code stand in its environment: GRANTPROOF_USER, GRANTPROOF_PASSWORD, GRANTPROOF_TOTP.
    pub command: Option<At<Vec<String>>>,
    /// Where the programs of the driver `browser` are.
    #[serde(default)]
    pub browser: LoginBrowserFile,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBrowserFile {
    /// Chromium or Chrome; default: `chromium`, `chromium-browser` or `google-chrome` on the path.
    pub binary: Option<At<String>>,
    /// ChromeDriver, of the same version; default: `chromedriver` on the path.
    pub driver: Option<At<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoginDriver {
    /// Reads HTML forms as a browser would.
    #[default]
    Form,
    /// As `form`; pages with scripts are passed in a headless Chromium.
    Browser,
    /// Uses a cookie that was handed in (`users.….cookie`).
    Session,
    /// Asks the person at the terminal to log in with a browser, once for each user, and to hand the cookie over.
    Manual,
    /// Runs a program of the user's (`login.command`).
    Command,
}

impl LoginDriver {
    /// The name in target files.
    pub fn name(self) -> &'static str {
        match self {
            LoginDriver::Form => "form",
            LoginDriver::Browser => "browser",
            LoginDriver::Session => "session",
            LoginDriver::Manual => "manual",
            LoginDriver::Command => "command",
        }
    }
}

/// Who permitted the test, until when, and what of it.
#[derive(Debug, Clone, PartialEq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionFile {
    /// A person or a ticket.
    pub by: String,
    /// The last day, `2027-03-01`.
    pub until: String,
    /// What may be tested.
    pub what: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsFile {
    /// Trials at the same moment (1 to 32); 1 unless the server keeps them apart. Ignored where logins need pages each time.
    pub in_flight: Option<At<u32>>,
    /// Requests in a second (0.01 to 1000); on loopback there is no limit unless one is given.
    pub per_second: Option<At<f64>>,
    /// Seconds for one request (1 to 300).
    pub timeout: Option<At<u32>>,
    /// The longest pause, in seconds, that is made when the server answers "too many requests" (0 to 3600).
    pub longest_pause: Option<At<u32>>,
}

/// An address of ours that the server can reach: it is sent where a server may fetch something, and records who comes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerFile {
    /// The local address to listen on, `127.0.0.1:0`; the port 0 takes a free one.
    pub listen: At<String>,
    /// How the server reaches it, with `{port}` where the port stands: `https://callbacks.example:{port}`. Not given: the local
    /// address itself, which must be on loopback then.
    pub url: Option<At<String>>,
    /// How long a request of the server is waited for (`10s`, the default).
    pub wait: Option<At<String>>,
    /// You have seen the server itself fetch something from this address. Then a request that does not come counts as refused, also
    /// where the run sees no fetch that the server is meant to make.
    #[serde(default)]
    pub proven: bool,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsFile {
    /// A PEM file with the certificate authority of the target, beside this file.
    pub ca: Option<At<String>>,
    /// Accept any server certificate; every report warns of it.
    #[serde(default)]
    pub insecure: bool,
}
