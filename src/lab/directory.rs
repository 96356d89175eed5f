//! Who the lab knows: its demo clients and its demo users.

use std::io;

use p256::ecdsa::VerifyingKey;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::Value;

use super::scope::Scope;
use super::second_factor::{self, Authenticator};
use super::{certificates, ciba, device, exchange, jwt_grant};

/// Every scope the lab knows; each client may ask for all of them.
pub(super) const SCOPES: [&str; 6] = ["openid", "profile", "email", "api:read", "api:write", "offline_access"];

/// What a tester needs to know to use the lab: the registered clients with
/// their credentials, the users with their passwords, the protected API.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The registered clients.
    pub clients: Vec<DemoClient>,
    /// The users that can log in.
    pub users: Vec<DemoUser>,
    /// Absolute URL of the protected API; the audience of access tokens.
    pub resource: String,
    /// Where users answer backchannel authentication requests (OpenID Connect CIBA).
    pub approval_page: String,
    /// Absolute URL of another API, which takes tokens of its own (RFC 8707).
    pub second_resource: String,
    /// `authorization_details` that a user may be asked to approve, and a larger payment (RFC 9396).
    pub authorization_details: [&'static str; 2],
    /// The authority that signed the certificate of the TLS address, PEM.
    pub authority: &'static str,
    /// Who says in assertions who users are (RFC 7523 section 2.1).
    pub trusted_issuer: DemoIssuer,
    /// With it clients may be registered (RFC 7591 section 3).
    pub initial_access_token: String,
}

/// A registered client (RFC 6749 section 2).
#[derive(Clone, Debug)]
pub struct DemoClient {
    /// What the client is for: "public", "second", "confidential", "assertion", "mtls" or "mtls_public".
    pub role: &'static str,
    /// The `client_id`.
    pub id: String,
    /// The `client_secret` of a client that authenticates with one.
    pub secret: Option<String>,
    /// The PKCS#8 ES256 key of the client that authenticates with a signed
    /// assertion (RFC 7523).
    pub private_key_pem: Option<String>,
    /// The TLS certificate of the client that has one (RFC 8705), and its key, both PEM.
    pub certificate_pem: Option<(&'static str, &'static str)>,
    /// The registered `token_endpoint_auth_method`: `none`, `client_secret_basic`, `private_key_jwt` or `tls_client_auth`.
    pub auth_method: &'static str,
    /// The registered redirect URI that the client uses.
    pub redirect_uri: String,
    /// Another one, registered as well.
    pub other_redirect_uri: String,
    /// Every scope the client may ask for, separated by spaces.
    pub scope: String,
}

/// An issuer of assertions that the lab trusts.
#[derive(Clone, Debug)]
pub struct DemoIssuer {
    /// The `iss` of its assertions.
    pub issuer: String,
    /// The PKCS#8 ES256 key that signs them.
    pub private_key_pem: String,
}

/// A user of the lab.
#[derive(Clone, Debug)]
pub struct DemoUser {
    /// "default", "second" or "second_factor".
    pub role: &'static str,
    /// The name to log in with.
    pub name: String,
    /// The password to log in with.
    pub password: String,
    /// The secret of the user's authenticator, base32, where the login asks for a one-time code as well (RFC 6238).
    pub totp: Option<&'static str>,
}

/// How a client proves who it is at the token endpoint.
pub(super) enum AuthMethod {
    None,
    Secret(String),
    Assertion(Box<ClientKeys>),
    /// The subject of its certificate (`tls_client_auth_subject_dn`, RFC 8705 section 2.1.2).
    Tls(&'static str),
}

/// What the assertions of a client are verified with.
pub(super) struct ClientKeys {
    pub(super) ec: p256::ecdsa::VerifyingKey,
    /// An RSA key, as the JWK that was registered.
    pub(super) rsa: Option<Value>,
    /// The registered `token_endpoint_auth_signing_alg` (OpenID Connect Dynamic Client Registration section 2).
    pub(super) alg: &'static str,
}

/// Which tokens a client may introspect (RFC 7662 section 2.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Introspects {
    Nothing,
    /// Those that were issued to it.
    Own,
    /// Those of everybody: it is a resource server as well.
    All,
}

/// A client as the server keeps it.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) auth: AuthMethod,
    pub(super) redirect_uris: Vec<String>,
    /// The registered `grant_types` (RFC 7591 section 2).
    pub(super) grants: Vec<String>,
    /// It is registered for more `response_types` than `code`.
    pub(super) has_hybrid: bool,
    /// What it may ask for.
    pub(super) scope: Scope,
    pub(super) introspects: Introspects,
    /// Anybody can have registered it (RFC 7591 section 5): nobody vouches for its name and its addresses.
    pub(super) is_anonymous: bool,
    /// Its registration says that nobody need be asked, and only a flaw goes by that.
    pub(super) skips_consent: bool,
    /// What pages call it; its id where it has no name.
    pub(super) name: Option<String>,
    /// What its subject identifiers are made for, where they are pairwise.
    pub(super) sector: Option<String>,
    /// Where it is told that its users have logged out.
    pub(super) logout_uri: Option<String>,
    /// Its picture, which only a flaw shows.
    pub(super) logo_uri: Option<String>,
    /// Its tokens are bound to its certificate (`tls_client_certificate_bound_access_tokens`, RFC 8705 section 3.4).
    pub(super) binds_certificate: bool,
}

impl Client {
    /// Whether it is registered for a grant.
    pub(super) fn may_use(&self, grant: &str) -> bool {
        self.grants.iter().any(|it| it == grant)
    }
}

/// A user as the server keeps it.
pub(super) struct User {
    pub(super) sub: &'static str,
    pub(super) name: &'static str,
    pub(super) password: &'static str,
    pub(super) display_name: &'static str,
    pub(super) email: &'static str,
    /// Without it the login is over with the password.
    pub(super) authenticator: Option<Authenticator>,
    role: &'static str,
}

pub(super) static USERS: [User; 3] = [
    User {
        sub: "u-7f3d09c2b1",
        name: "alice",
        password: "wonderland-demo-1",
        display_name: "Alice Example",
        email: "alice@users.example",
        authenticator: None,
        role: "default",
    },
    User {
        sub: "u-c4a8e65d90",
        name: "mallory",
        password: "listening-demo-2",
        display_name: "Mallory Example",
        email: "mallory@users.example",
        authenticator: None,
        role: "second",
    },
    User {
        sub: "u-91be27f40d",
        name: "carol",
        password: "two-steps-demo-3",
        display_name: "Carol Example",
        email: "carol@users.example",
        authenticator: Some(Authenticator { key: b"a-demo-authenticator", shown: "MEWWIZLNN4WWC5LUNBSW45DJMNQXI33S" }),
        role: "second_factor",
    },
];

/// The user with this subject identifier.
pub(super) fn user_by_sub(sub: &str) -> Option<&'static User> {
    USERS.iter().find(|user| user.sub == sub)
}

/// The user with this name and password, where that is the whole of a login.
pub(super) fn user_by_password_alone(name: &str, password: &str) -> Option<&'static User> {
    user_by_password(name, password).filter(|user| !second_factor::is_needed(user))
}

/// The user with this name and password, who may need a second factor.
pub(super) fn user_by_password(name: &str, password: &str) -> Option<&'static User> {
    USERS.iter().find(|user| user.name == name && super::secrets::equal(user.password.as_bytes(), password.as_bytes()))
}

/// The second redirect URI of every client.
const OTHER_CALLBACK: &str = "https://app.example/signed-in";

/// A payment and a larger one to the same creditor.
const PAYMENTS: [&str; 2] = [
    r#"[{"type":"payment","amount":"12.50","currency":"EUR","creditor":"Example Books"}]"#,
    r#"[{"type":"payment","amount":"9812.50","currency":"EUR","creditor":"Example Books"}]"#,
];

/// Where every client may have the browser sent after a logout.
pub(super) const POST_LOGOUT_REDIRECT_URI: &str = "https://app.example/signed-out";

/// The redirect URI that only the second client has: it is an application on
/// the user's own machine (RFC 8252).
const SECOND_CALLBACK: &str = "http://127.0.0.1/cb";

/// Registers the demo clients; the key of the assertion client is new each time.
pub(super) fn register(callback: &str, issuer: &str, second_resource: &str) -> io::Result<(Directory, Vec<Client>, VerifyingKey)> {
    let (trusted_issuer, trusted_key) = jwt_grant::issuer()?;
    let key = p256::ecdsa::SigningKey::random(&mut rand::rngs::OsRng);
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?.to_string();
    let secret = super::secrets::random();
    let entries = [
        ("public", "lab-public", AuthMethod::None),
        ("second", "lab-second", AuthMethod::None),
        ("confidential", "lab-confidential", AuthMethod::Secret(secret)),
        ("assertion", "lab-assertion", AuthMethod::Assertion(Box::new(ClientKeys { ec: *key.verifying_key(), rsa: None, alg: "ES256" }))),
        ("mtls", "lab-mtls", AuthMethod::Tls(certificates::CLIENT.subject)),
        ("mtls_public", "lab-mtls-public", AuthMethod::None),
    ];

    let own_callback = |role: &str| if role == "second" { SECOND_CALLBACK.to_owned() } else { callback.to_owned() };
    let mut demo = Vec::new();
    let mut clients = Vec::new();
    for (role, id, auth) in entries {
        let certificate = match role {
            "mtls" => Some(certificates::CLIENT),
            "mtls_public" => Some(certificates::PUBLIC_CLIENT),
            _ => None,
        };
        demo.push(DemoClient {
            role,
            id: id.to_owned(),
            secret: match &auth {
                AuthMethod::Secret(secret) => Some(secret.clone()),
                _ => None,
            },
            private_key_pem: match &auth {
                AuthMethod::Assertion(_) => Some(pem.clone()),
                _ => None,
            },
            auth_method: match &auth {
                AuthMethod::None => "none",
                AuthMethod::Secret(_) => "client_secret_basic",
                AuthMethod::Assertion(_) => "private_key_jwt",
                AuthMethod::Tls(_) => "tls_client_auth",
            },
            certificate_pem: certificate.map(|pair| (pair.certificate, pair.key)),
            redirect_uri: own_callback(role),
            other_redirect_uri: OTHER_CALLBACK.to_owned(),
            scope: SCOPES.join(" "),
        });
        // The second client may use the address of the others as well; no other client may use its own.
        let extra = if role == "second" { vec![callback.to_owned()] } else { Vec::new() };
        clients.push(Client {
            id: id.to_owned(),
            grants: grants_of(role),
            has_hybrid: true,
            scope: Scope::ALL,
            introspects: if matches!(auth, AuthMethod::None) { Introspects::Nothing } else { Introspects::All },
            is_anonymous: false,
            skips_consent: false,
            name: None,
            sector: None,
            logout_uri: None,
            logo_uri: None,
            binds_certificate: certificate.is_some(),
            auth,
            redirect_uris: [vec![own_callback(role), OTHER_CALLBACK.to_owned()], extra].concat(),
        });
    }
    let demo_user = |user: &User| DemoUser {
        role: user.role,
        name: user.name.to_owned(),
        password: user.password.to_owned(),
        totp: user.authenticator.as_ref().map(|it| it.shown),
    };
    let users = USERS.iter().map(demo_user).collect();
    let directory = Directory {
        clients: demo,
        users,
        resource: format!("{issuer}/api/me"),
        second_resource: second_resource.to_owned(),
        authority: certificates::AUTHORITY,
        authorization_details: PAYMENTS,
        approval_page: format!("{issuer}/approve"),
        trusted_issuer,
        initial_access_token: super::secrets::random(),
    };
    Ok((directory, clients, trusted_key))
}

/// Every client gets codes and devices. Those that authenticate ask for users behind their backs, and bring assertions; one of them acts on
/// its own account, and exchanges tokens, as well.
fn grants_of(role: &str) -> Vec<String> {
    let (is_secret, is_signed) = (role == "confidential", role == "assertion");
    let own = [
        ("client_credentials", is_secret),
        (exchange::GRANT_TYPE, is_secret),
        (ciba::GRANT_TYPE, is_secret || is_signed),
        (jwt_grant::GRANT_TYPE, is_secret || is_signed),
    ];
    let own = own.into_iter().filter_map(|(grant, is_its)| is_its.then_some(grant));
    ["authorization_code", "refresh_token", device::GRANT_TYPE].into_iter().chain(own).map(ToOwned::to_owned).collect()
}
