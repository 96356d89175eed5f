//! What all endpoints of one lab share.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, Method, header};

use super::asked::Asked;
use super::directory::{self, AuthMethod, Client, USERS, User};
use super::jwe::EncryptionKey;
use super::keys::SigningKey;
use super::oauth_error::OAuthError;
use super::params::Params;
use super::registration::Registry;
use super::scope::Scope;
use super::store::{Session, Store};
use super::target::SecondApi;
use super::{Flaw, Habit, LabConfig, cookie, secrets};

/// One authorization server.
pub(super) struct Server {
    pub(super) config: LabConfig,
    pub(super) asked: Arc<Asked>,
    /// The issuer identifier (RFC 8414 section 2).
    pub(super) issuer: String,
    /// What the addresses for clients with a certificate begin with (RFC 8705 section 5).
    pub(super) mtls: String,
    /// The identifier of the protected API, the audience of access tokens.
    pub(super) resource: String,
    pub(super) second: SecondApi,
    pub(super) clients: Vec<Client>,
    /// Those that registered themselves.
    pub(super) registered: Registry,
    /// Verifies the assertions of the issuer that says who users are.
    pub(super) trusted_issuer: p256::ecdsa::VerifyingKey,
    pub(super) initial_access_token: String,
    /// Without it nobody can tell whose a pairwise subject identifier is.
    pub(super) pairwise_salt: String,
    pub(super) key: &'static SigningKey,
    /// What request objects may be encrypted to.
    pub(super) encryption_key: &'static EncryptionKey,
    pub(super) store: Mutex<Store>,
}

impl Server {
    /// Whether a flaw is on.
    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.asked.note(flaw);
        self.is_on(flaw)
    }

    /// Whether it has a habit.
    pub(super) fn keeps(&self, habit: Habit) -> bool {
        self.config.habits.contains(&habit)
    }

    /// Whether a flaw is on, without a note that it was looked for: where that changes nothing yet. As soon as it does,
    /// [`Server::has`] is asked, or [`Server::note`] told.
    pub(super) fn is_on(&self, flaw: Flaw) -> bool {
        self.config.flaws.contains(&flaw)
    }

    /// Notes that flaws make a difference from here on, whose [`Server::is_on`] was asked before.
    pub(super) fn note(&self, flaws: &[Flaw]) {
        flaws.iter().for_each(|flaw| self.asked.note(*flaw));
    }

    /// All flaws that are on.
    pub(super) fn flaws(&self) -> &BTreeSet<Flaw> {
        self.asked.note_all();
        &self.config.flaws
    }

    /// The state, locked. It must not be held across an await.
    pub(super) fn store(&self) -> MutexGuard<'_, Store> {
        // The state is consistent between statements, so that a panic of
        // another request is no reason to fail this one.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client with this id.
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        let own = || self.registered.find(id).map(|registered| &registered.client);
        self.clients.iter().find(|client| client.id == id).or_else(own)
    }

    /// Whether a client may use a grant. A public one has nothing to prove that it is the one that may.
    pub(super) fn may_use(&self, client: &Client, grant: &str) -> bool {
        let is_authenticated = !matches!(client.auth, AuthMethod::None);
        client.may_use(grant) || is_authenticated && self.has(Flaw::ClientGrantTypeUnchecked)
    }

    /// Whether a client may ask for these scopes.
    pub(super) fn may_ask(&self, client: &Client, scope: Scope) -> bool {
        scope.is_within(client.scope) || self.has(Flaw::ClientScopeUnchecked)
    }

    /// The session of a request and its id.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<(String, Session)> {
        let id = cookie::session(headers)?;
        let session = self.store().session(id)?;
        Some((id.to_owned(), session))
    }

    /// The subject identifier of a user for a client (OpenID Connect Core section 8): the public one, or one for its sector alone.
    pub(super) fn subject_for(&self, client: &Client, sub: &str) -> String {
        let sector = client.sector.as_deref().filter(|_| !self.has(Flaw::PairwiseSubjectCorrelatable));
        sector.map_or_else(|| sub.to_owned(), |sector| self.pairwise(sector, sub))
    }

    fn pairwise(&self, sector: &str, sub: &str) -> String {
        secrets::s256(&format!("{sector} {sub} {}", self.pairwise_salt))
    }

    /// The user with this subject identifier, public or pairwise.
    pub(super) fn user_of(&self, sub: &str) -> Option<&'static User> {
        let sectors = || self.registered.all().filter_map(|registered| registered.client.sector.as_deref());
        let is_of = |user: &User| sectors().any(|sector| self.pairwise(sector, user.sub) == sub);
        directory::user_by_sub(sub).or_else(|| USERS.iter().find(|user| is_of(user)))
    }

    /// The subject of the user whose data a careless resource gives away.
    pub(super) fn default_sub(&self) -> &'static str {
        USERS[0].sub
    }
}

/// Whether the body is `application/x-www-form-urlencoded`, said once.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    kinds.next().is_none() && kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// The parameters of a request by the browser: of the query, or of the form that was posted; None: its body is no form.
pub(super) fn of_browser(method: &Method, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Option<Params> {
    match *method {
        Method::POST => is_form(headers).then(|| parse(body)),
        _ => Some(parse(query.unwrap_or_default().as_bytes())),
    }
}

/// The parameters of a request of the protocol, of which `resource` may stand more than once (RFC 8707 section 2).
fn parse(text: &[u8]) -> Params {
    let mut params = Params::parse(text);
    params.allow_repeated(|name| name == "resource");
    params
}

/// The parameters of a form that one of the lab's own pages can have sent.
pub(super) fn own_form(headers: &HeaderMap, body: &[u8]) -> Option<Params> {
    let params = is_form(headers).then(|| Params::parse(body))?;
    params.fault().is_none().then_some(params)
}

/// What is said where a body is no form.
pub(super) const NO_FORM: &str = "The body must be application/x-www-form-urlencoded.";

/// The parameters of a request to an endpoint that takes a form.
pub(super) fn form(headers: &HeaderMap, body: &[u8]) -> Result<Params, OAuthError> {
    if !is_form(headers) {
        return Err(OAuthError::invalid_request("the body must be application/x-www-form-urlencoded"));
    }
    let params = parse(body);
    match params.fault() {
        Some(fault) => Err(OAuthError::invalid_request(fault.to_string())),
        None => Ok(params),
    }
}
