//! What is tested: one deployment, with the clients and users that the test may use.

pub mod certificate;
pub mod client;
pub mod details;
pub mod file;
pub mod listener;
pub mod load;
mod login;
pub mod registrations;
pub mod secret;
pub mod waivers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::model::step::{ClientRole, UserRole};
use crate::selector::Selector;

pub use certificate::Certificate;
pub use client::{Audience, Client, ClientAuthentication};
pub use details::Details;
pub use file::{LoginDriver, PermissionFile as Permission, Use};
pub use listener::Listener;
pub use secret::Secret;

/// A deployment, ready to be driven.
#[derive(Debug, Clone)]
pub struct Target {
    pub name: String,
    /// The file it was read from, or `the embedded lab`.
    pub source: String,
    /// SHA-256 of the target file, in hexadecimal.
    pub digest: String,
    pub issuer: String,
    /// Where the issuer stands in the target file.
    pub place: Option<crate::model::report::Place>,
    /// None: look at the well-known places. Some(None): there is no metadata document.
    pub metadata: Option<Option<String>>,
    pub endpoints: Endpoints,
    /// Origins (`https://host:port`) that may be contacted: of the issuer, of what the target file names, and `hosts`.
    pub origins: BTreeSet<String>,
    pub scope: String,
    pub extra_scope: Option<String>,
    pub resource: Option<String>,
    pub second_resource: Option<SecondResource>,
    pub details: Option<Details>,
    /// Where a user answers backchannel authentication requests (CIBA).
    pub ciba_approval: Option<String>,
    pub extras: Extras,
    pub refresh_grace: Option<Duration>,
    pub code_grace: Option<Duration>,
    /// How long a code lives.
    pub code_lifetime: Option<Duration>,
    /// How long a refresh token lives that nobody uses.
    pub refresh_lifetime: Option<Duration>,
    /// The request header by which the embedded lab is told what time it is: there a wait takes no time. No target file has it.
    pub clock_header: Option<&'static str>,
    pub clients: BTreeMap<ClientRole, Client>,
    pub user: User,
    pub other_user: Option<User>,
    /// A user with an authenticator, for what is tried on his login alone.
    pub second_factor: Option<User>,
    pub login: Login,
    pub permission: Option<Permission>,
    pub limits: Limits,
    /// PEM of a private certificate authority.
    pub ca: Option<Vec<u8>>,
    /// Any server certificate is accepted.
    pub insecure_tls: bool,
    /// Where a run listens for requests of the server.
    pub listener: Option<Listener>,
    pub waivers: waivers::Waivers,
}

/// Where the endpoints are; what is given in the target file wins over the metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Endpoints {
    pub authorization: Option<String>,
    pub token: Option<String>,
    pub userinfo: Option<String>,
    pub introspection: Option<String>,
    pub revocation: Option<String>,
    pub jwks: Option<String>,
    pub pushed_authorization: Option<String>,
    pub device_authorization: Option<String>,
    pub backchannel_authentication: Option<String>,
    pub registration: Option<String>,
}

/// Another API, and the `resource` that its tokens are asked for with (RFC 8707).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondResource {
    pub url: String,
    pub indicator: String,
}

/// What this server's clients put into requests beside what the flow says.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Parameters of each authorization request.
    pub parameters: Vec<(String, ExtraValue)>,
    /// The `resource` of authorization and token requests (RFC 8707).
    pub resource_indicator: Option<String>,
    /// The initial access token of a client registration (RFC 7591 §3).
    pub initial_access_token: Option<Secret>,
    /// Whether authorization requests are pushed first (RFC 9126).
    pub pushed: Use,
    /// Whether authorization requests are signed (RFC 9101).
    pub request_objects: Use,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtraValue {
    /// A fresh text in each request.
    Random,
    Text(String),
}

#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    /// None: the login driver needs none.
    pub password: Option<Secret>,
    /// The secret of an authenticator, known to be one.
    pub totp: Option<Secret>,
    /// A Cookie header of a session in which the user is logged in.
    pub cookie: Option<Secret>,
}

impl User {
    /// A user who logs in with a name and a password.
    pub fn new(name: impl Into<String>, password: Secret) -> User {
        User { name: name.into(), password: Some(password), totp: None, cookie: None }
    }
}

/// How users log in, with hints where guessing is not enough.
#[derive(Debug, Clone, Default)]
pub struct Login {
    pub driver: LoginDriver,
    /// Program and arguments of the driver `command`.
    pub command: Vec<String>,
    /// Where relative paths of the command begin: the folder of the target file.
    pub folder: PathBuf,
    pub form: Option<Hint>,
    pub user_field: Option<Hint>,
    pub password_field: Option<Hint>,
    pub otp_field: Option<Hint>,
    pub consent_button: Option<Hint>,
    pub browser: BrowserPrograms,
}

/// Which element of a page is meant: by its name, or by a CSS selector. What may be both is both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    pub text: String,
    pub selector: Option<Selector>,
}

/// The programs of the login driver `browser`, where they are not looked for on the path.
#[derive(Debug, Clone, Default)]
pub struct BrowserPrograms {
    pub binary: Option<PathBuf>,
    pub driver: Option<PathBuf>,
}

/// What a run may ask of the target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Trials at the same moment. More than one only where they cannot disturb each other's session: a second login page
    /// under way in one session makes some servers refuse the first, and such a refusal would look like a defense.
    pub in_flight: usize,
    /// Requests in a second; None: as fast as answers come (loopback only).
    pub per_second: Option<f64>,
    /// For one request, connection included.
    pub timeout: Duration,
    /// The longest pause that is made because the server asks for it.
    pub longest_pause: Duration,
    /// Bytes of a response body.
    pub max_body: usize,
    /// Redirects and pages of one authorization request.
    pub max_hops: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            in_flight: 1,
            per_second: None,
            timeout: Duration::from_secs(20),
            longest_pause: Duration::from_secs(120),
            max_body: 1 << 20,
            max_hops: 24,
        }
    }
}

/// Who plays the default client: the first of them that a target has.
const DEFAULT_CLIENTS: [ClientRole; 3] = [ClientRole::Public, ClientRole::Confidential, ClientRole::Assertion];

impl Target {
    /// A target of which only the issuer is known: enough to read its metadata.
    pub fn bare(issuer: &str) -> Target {
        Target {
            name: issuer.to_owned(),
            source: String::new(),
            digest: String::new(),
            issuer: issuer.to_owned(),
            place: None,
            metadata: None,
            endpoints: Endpoints::default(),
            origins: origin(issuer).into_iter().collect(),
            scope: String::new(),
            extra_scope: None,
            resource: None,
            second_resource: None,
            details: None,
            ciba_approval: None,
            refresh_grace: None,
            code_grace: None,
            code_lifetime: None,
            refresh_lifetime: None,
            clock_header: None,
            clients: BTreeMap::new(),
            user: User::new("", Secret::new("")),
            other_user: None,
            second_factor: None,
            login: Login::default(),
            permission: None,
            limits: Limits::default(),
            extras: Extras::default(),
            ca: None,
            insecure_tls: false,
            listener: None,
            waivers: waivers::Waivers::default(),
        }
    }

    /// The client of a role, where the target has one.
    pub fn client(&self, role: ClientRole) -> Option<&Client> {
        self.clients.get(&self.role(role)?)
    }

    /// Another client that has a TLS certificate of its own.
    pub fn other_with_certificate(&self, client: &Client) -> Option<&Client> {
        let own = client.certificate.as_ref().map(Certificate::thumbprint);
        self.clients
            .values()
            .find(|other| other.id != client.id && other.certificate.as_ref().is_some_and(|theirs| Some(theirs.thumbprint()) != own))
    }

    /// The role under which the target file has the client that plays a role.
    pub fn role(&self, role: ClientRole) -> Option<ClientRole> {
        if role == ClientRole::Mtls && !self.clients.contains_key(&role) {
            // Where another client has a certificate, it will do.
            let certified = |client: &Client| client.certificate.is_some() && !matches!(client.authentication, ClientAuthentication::None);
            let order = [ClientRole::Confidential, ClientRole::Assertion, ClientRole::Second];
            return order.into_iter().find(|role| self.clients.get(role).is_some_and(certified));
        }
        let order: &[ClientRole] = match role {
            ClientRole::Default => &DEFAULT_CLIENTS,
            ClientRole::Introspection => &[ClientRole::Confidential, ClientRole::Assertion, ClientRole::Mtls],
            ref one => std::slice::from_ref(one),
        };
        order.iter().copied().find(|role| self.clients.contains_key(role))
    }

    /// The client that plays the default one where this one cannot.
    pub fn default_client_after(&self, role: ClientRole) -> Option<ClientRole> {
        let mut after = DEFAULT_CLIENTS.iter().copied().skip_while(|one| *one != role).skip(1);
        after.find(|role| self.clients.contains_key(role))
    }

    pub fn user(&self, role: UserRole) -> &User {
        match role {
            UserRole::Default => &self.user,
            UserRole::Other => self.other_user.as_ref().unwrap_or(&self.user),
            UserRole::SecondFactor => self.user_with_second_factor().unwrap_or(&self.user),
        }
    }

    /// The user whose login takes a password and a one-time code, where the target has one.
    pub fn user_with_second_factor(&self) -> Option<&User> {
        let others = [Some(&self.user), self.other_user.as_ref()].into_iter().flatten();
        self.second_factor.as_ref().or_else(|| others.into_iter().find(|user| user.totp.is_some()))
    }

    /// Every user that the target file names.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        std::iter::once(&self.user).chain(self.more_users().map(|(_, user)| user))
    }

    /// Those beside the first, each under the role that the file gives him.
    pub fn more_users(&self) -> impl Iterator<Item = (UserRole, &User)> {
        let named = [(UserRole::Other, &self.other_user), (UserRole::SecondFactor, &self.second_factor)];
        named.into_iter().filter_map(|(role, user)| Some((role, user.as_ref()?)))
    }

    /// Whether every origin is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.origins.iter().all(|origin| is_loopback(origin))
    }

    /// The pause after which a used refresh token must be dead.
    pub fn refresh_grace_or_assumed(&self) -> Duration {
        self.refresh_grace.unwrap_or(Duration::from_secs(65))
    }

    /// How long a code lives at most: as stated, or the ten minutes of RFC 6749 §4.1.2.
    pub fn code_lifetime_or_assumed(&self) -> Duration {
        self.code_lifetime.unwrap_or(Duration::from_secs(600))
    }

    /// The pause after which a used code must be dead.
    pub fn code_grace_or_assumed(&self) -> Duration {
        self.code_grace.unwrap_or(Duration::from_secs(31))
    }
}

/// `https://host:port` of a URL, the default port written out; None for what is no http URL.
pub fn origin(url: &str) -> Option<String> {
    origin_of(&url::Url::parse(url).ok()?)
}

/// The same of an address that has been read.
pub fn origin_of(url: &url::Url) -> Option<String> {
    let host = url.host_str()?;
    matches!(url.scheme(), "http" | "https").then(|| format!("{}://{}:{}", url.scheme(), host, url.port_or_known_default().unwrap_or(0)))
}

/// Whether an address is of an origin that [`origin`] wrote.
pub fn is_of(url: &url::Url, origin: &str) -> bool {
    let port = |scheme: &str| {
        let host = origin.strip_prefix(scheme)?.strip_prefix("://")?;
        host.strip_prefix(url.host_str()?)?.strip_prefix(':')
    };
    let known = matches!(url.scheme(), "http" | "https");
    known && port(url.scheme()).is_some_and(|port| port.parse() == Ok(url.port_or_known_default().unwrap_or(0)))
}

/// Whether an origin is on this machine.
pub fn is_loopback(origin: &str) -> bool {
    url::Url::parse(origin).is_ok_and(|url| is_on_loopback(&url))
}

/// The same of an address that has been read.
pub fn is_on_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_of_its_own_origin_alone() {
        let addresses =
            ["https://as.example/a", "http://as.example/", "https://as.example:8443/", "https://[::1]/", "https://as.example.evil/"];
        for one in addresses {
            let url = url::Url::parse(one).expect("a URL");
            for other in addresses {
                assert_eq!(is_of(&url, &origin(other).expect("an origin")), one == other, "{one} {other}");
            }
        }
        assert!(!is_of(&url::Url::parse("ftp://as.example/").expect("a URL"), "ftp://as.example:21"));
    }
}
