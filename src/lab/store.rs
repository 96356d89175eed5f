//! Everything the server remembers, behind one lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::authorization_request::{AuthorizationRequest, Challenge};
use super::code_grant::OVERTIME;
use super::consent::Asks;
use super::device::{Asked, Decision, Device};
use super::directory::{Client, User};
use super::par::Pushed;
use super::redirect_uri;
use super::scope::Scope;
use super::secrets;
use super::server::Server;
use super::{Flaw, MAX_LIFETIME, clock};

/// How long a user may take to log in and to consent.
const TRANSACTION_LIFETIME: Duration = Duration::from_secs(1800);
const SESSION_LIFETIME: Duration = Duration::from_secs(8 * 3600);
/// How many new records pass between two searches for expired ones.
const TIDY_EVERY: u32 = 4096;

/// An authorization request whose user is logging in or consenting.
pub(super) struct Transaction {
    pub(super) request: AuthorizationRequest,
    /// Proves that a form came from the lab's own page.
    pub(super) csrf: String,
    /// Wrong passwords so far.
    pub(super) tries: u8,
    /// Who has given the password, and is to be asked for the second factor.
    pub(super) knows_password_of: Option<&'static User>,
    /// The session that has logged in for it.
    pub(super) session: Option<String>,
    /// The browser that began it.
    pub(super) browser: String,
    /// Nobody was logged in when it began.
    pub(super) began_logged_out: bool,
    expires: Instant,
}

/// A question whether the user wants to log out.
pub(super) struct Leaving {
    pub(super) session: String,
    pub(super) csrf: String,
    /// Where the browser goes then.
    pub(super) redirect: Option<String>,
    pub(super) expires: Instant,
}

impl Transaction {
    /// Whether the user still has time to finish.
    pub(super) fn is_alive(&self) -> bool {
        self.expires > clock::instant()
    }
}

/// A user who is logged in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) sub: &'static str,
    /// When the password was given, in seconds since the epoch.
    pub(super) auth_time: u64,
    /// What tells it from other sessions of the user, and opens nothing.
    pub(super) sid: String,
    expires: Instant,
}

/// What a token request proves to hold, which its tokens are bound to.
#[derive(Clone, Default)]
pub(super) struct Held {
    /// The thumbprint of the key of its proof (RFC 9449).
    pub(super) jkt: Option<String>,
    /// The thumbprint of the certificate of its connection (RFC 8705).
    pub(super) x5t: Option<String>,
}

/// What a user granted to a client.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) sub: String,
    pub(super) scope: Scope,
    pub(super) nonce: Option<String>,
    pub(super) auth_time: Option<u64>,
    /// Words of the scope that the server does not know, and grants nevertheless.
    pub(super) unknown_scope: String,
    /// A level of authentication that was not reached, and is said to have been.
    pub(super) acr: Option<String>,
    /// The thumbprint of the key that it is bound to (RFC 9449).
    pub(super) jkt: Option<String>,
    /// The thumbprint of the certificate that it is bound to (RFC 8705).
    pub(super) x5t: Option<String>,
    /// The APIs that it is for (RFC 8707); access tokens are for one of them.
    pub(super) resources: Vec<String>,
    /// What exactly it is for (RFC 9396).
    pub(super) details: Vec<Value>,
    /// What its refreshes must show, where the lab has the habit to ask for it.
    pub(super) verifier: Option<String>,
    /// The session that its refresh tokens end with; those of the scope `offline_access` outlive it (OpenID Connect Core section 11).
    pub(super) session: Option<String>,
}

impl Grant {
    /// What needs no authorization request: for the API of the lab, without a nonce, details or a session.
    pub(super) fn plain(server: &Server, client: &Client, sub: String, scope: Scope, held: Held) -> Grant {
        Grant {
            client_id: client.id.clone(),
            sub,
            scope,
            nonce: None,
            auth_time: None,
            unknown_scope: String::new(),
            acr: None,
            jkt: held.jkt,
            x5t: held.x5t,
            resources: vec![server.resource.clone()],
            details: Vec::new(),
            verifier: None,
            session: None,
        }
    }
}

/// An authorization code.
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) challenge: Option<Challenge>,
    /// Redeemable without a verifier although there is no challenge.
    pub(super) verifier_optional: bool,
    /// The verifier that came with the authorization request.
    pub(super) kept_verifier: Option<String>,
    pub(super) expires: Instant,
    pub(super) used: bool,
    /// When that was.
    pub(super) used_at: Option<Instant>,
    /// The families of the tokens it was redeemed for.
    pub(super) families: Vec<FamilyId>,
}

/// A refresh token.
#[derive(Clone)]
pub(super) struct RefreshToken {
    pub(super) grant: Grant,
    pub(super) family: FamilyId,
    /// Its place among the refresh tokens of its family, the first of which came with the grant.
    pub(super) number: u32,
    /// Exchanged for a newer one.
    pub(super) rotated: bool,
    /// The end of its lifetime.
    pub(super) expires: Instant,
    /// How long it is remembered.
    kept_until: Instant,
}

/// All tokens that descend from one grant.
pub(super) type FamilyId = u64;

/// Which tokens of a family a revocation ends.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) refresh_tokens: bool,
    pub(super) access_tokens: bool,
}

impl Ends {
    pub(super) const ALL: Ends = Ends { refresh_tokens: true, access_tokens: true };
}

#[derive(Default)]
struct Family {
    refresh_revoked: bool,
    access_revoked: bool,
    /// How many refresh tokens it has had.
    refresh_tokens: u32,
    expires: Option<Instant>,
}

struct AccessToken {
    family: FamilyId,
    revoked: bool,
    expires: Instant,
}

/// The state of one lab.
#[derive(Default)]
pub(super) struct Store {
    pub(super) transactions: HashMap<String, Transaction>,
    consents: HashSet<(&'static str, String, Scope)>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) refresh_tokens: HashMap<String, RefreshToken>,
    sessions: HashMap<String, Session>,
    /// The families whose refresh tokens end with a session.
    bound: HashMap<String, Vec<FamilyId>>,
    pub(super) leaving: HashMap<String, Leaving>,
    /// The redirect_uri that each browser with a login asked for last: `redirect-uri-from-session` goes by it.
    pub(super) last_asked: HashMap<String, String>,
    /// The challenge that each browser with a login sent last: `pkce-challenge-from-session` goes by it.
    pub(super) last_challenge: HashMap<String, Challenge>,
    access_tokens: HashMap<String, AccessToken>,
    families: HashMap<FamilyId, Family>,
    /// The clients that were given something in a session, by its sid.
    visits: HashMap<String, HashSet<String>>,
    /// The clients that were consented to in a session.
    consented_in: HashMap<String, HashSet<String>>,
    /// The nonce of the newest request of each user.
    nonces: HashMap<String, String>,
    /// Requests that were pushed, by their `request_uri`.
    pub(super) pushed: HashMap<String, Pushed>,
    /// Devices that wait for their users, by their device codes.
    pub(super) devices: HashMap<String, Device>,
    assertions: HashMap<(String, String), Instant>,
    requests: HashMap<String, VecDeque<Instant>>,
    /// The time step of the newest one-time code of each user.
    one_time_codes: HashMap<&'static str, u64>,
    /// Who has logged in last, and when.
    pub(super) newest_user: Option<(&'static str, Instant)>,
    /// The tokens behind opaque ones.
    pub(super) opaque: HashMap<String, String>,
    /// The family of the newest code that a client has redeemed for a user.
    pub(super) newest_family: HashMap<(String, String), FamilyId>,
    next_family: FamilyId,
    added: u32,
}

impl Store {
    /// Starts the interaction with a user; returns its id.
    pub(super) fn begin(&mut self, request: AuthorizationRequest, session: Option<String>, browser: &str) -> String {
        let id = secrets::random();
        let transaction = Transaction {
            request,
            csrf: secrets::random(),
            tries: 0,
            knows_password_of: None,
            began_logged_out: session.is_none(),
            session,
            browser: browser.to_owned(),
            expires: clock::instant() + TRANSACTION_LIFETIME,
        };
        self.transactions.insert(id.clone(), transaction);
        self.tidy();
        id
    }

    /// Starts a session under a fresh id, in place of an older one. `kept`:
    /// an id that stays, as it must not.
    pub(super) fn log_in(&mut self, sub: &'static str, auth_time: u64, old: Option<&str>, kept: Option<&str>) -> (String, Session) {
        if let Some(old) = old {
            self.sessions.remove(old);
        }
        let id = kept.map_or_else(secrets::random, ToOwned::to_owned);
        // It is the session of the same browser, under another id.
        if let Some(bound) = old.and_then(|old| self.bound.remove(old)) {
            self.bound.entry(id.clone()).or_default().extend(bound);
        }
        self.newest_user = Some((sub, clock::instant()));
        let session = Session { id: id.clone(), sub, auth_time, sid: secrets::random(), expires: clock::instant() + SESSION_LIFETIME };
        self.sessions.insert(id.clone(), session.clone());
        (id, session)
    }

    /// Notes that a client was given something in a session.
    pub(super) fn visit(&mut self, sid: &str, client_id: &str) {
        self.visits.entry(sid.to_owned()).or_default().insert(client_id.to_owned());
    }

    /// The clients that were given something in a session.
    pub(super) fn visited_in(&self, sid: &str) -> HashSet<String> {
        self.visits.get(sid).cloned().unwrap_or_default()
    }

    /// The session with this id, if it is alive.
    pub(super) fn session(&self, id: &str) -> Option<Session> {
        let session = self.sessions.get(id)?;
        (session.expires > clock::instant()).then(|| session.clone())
    }

    /// The newest question that a session was asked.
    pub(super) fn newest_of(&self, session_id: &str) -> Option<String> {
        let own = self.transactions.iter().filter(|(_, it)| it.session.as_deref() == Some(session_id) && it.is_alive());
        own.max_by_key(|(_, it)| it.expires).map(|(tx, _)| tx.clone())
    }

    /// Asks whether the user wants to log out; returns the id of the question and its csrf.
    pub(super) fn ask_to_leave(&mut self, session: &str, redirect: Option<String>) -> (String, String) {
        let (id, csrf) = (secrets::random(), secrets::random());
        let leaving =
            Leaving { session: session.to_owned(), csrf: csrf.clone(), redirect, expires: clock::instant() + TRANSACTION_LIFETIME };
        self.leaving.insert(id.clone(), leaving);
        self.tidy();
        (id, csrf)
    }

    /// Ends every session of a user.
    pub(super) fn log_out_user(&mut self, sub: &str) {
        self.sessions.retain(|_, session| session.sub != sub);
    }

    /// Ends a session.
    pub(super) fn log_out(&mut self, session: &str) {
        self.sessions.remove(session);
    }

    /// Lets the refresh tokens of a family end with a session.
    pub(super) fn bind(&mut self, session: &str, family: FamilyId) {
        self.bound.entry(session.to_owned()).or_default().push(family);
    }

    /// Ends the refresh tokens that end with a session.
    pub(super) fn end_bound(&mut self, session: &str) {
        for family in self.bound.remove(session).unwrap_or_default() {
            self.revoke_family(family, Ends { refresh_tokens: true, access_tokens: false });
        }
    }

    /// Goes on after a login: takes the transaction out when the user has
    /// consented before, and binds it to the session otherwise.
    pub(super) fn after_login(&mut self, server: &Server, tx: &str, session_id: &str, session: &Session) -> Option<Transaction> {
        let request = &self.transactions.get(tx)?.request;
        if self.has_consent(server, request, session) && !request.prompt.consent {
            return self.transactions.remove(tx);
        }
        let transaction = self.transactions.get_mut(tx)?;
        if transaction.session.is_none() || !server.has(Flaw::ConsentInteractionOfTheFirst) {
            transaction.session = Some(session_id.to_owned());
        }
        None
    }

    /// Whether the user has consented to this client and these scopes.
    pub(super) fn has_consent(&self, server: &Server, request: &AuthorizationRequest, session: &Session) -> bool {
        let to_all = || self.consents.contains(&(session.sub, request.client_id.clone(), request.scope));
        let to_anything = || self.consents.iter().any(|(sub, client, _)| *sub == session.sub && *client == request.client_id);
        match request.asks {
            // A payment is approved each time (RFC 9396 section 2).
            Asks::Once if !request.details.is_empty() => false,
            Asks::Once => to_all() || to_anything() && server.has(Flaw::ConsentNotIncremental),
            Asks::Always => false,
            Asks::Never => true,
        }
    }

    /// Whether the consent to another client in this session is taken for one to this client, as only a flaw does. It stands in sessions that
    /// many requests share, so it does no more than it must.
    pub(super) fn takes_consent_for_another(&self, server: &Server, request: &AuthorizationRequest, session: &Session) -> bool {
        let given = self.consented_in.get(&session.sid);
        let is_for_another = given.is_some_and(|clients| !clients.contains(&request.client_id));
        let comes_anew = request.prompt.consent && redirect_uri::is_loopback(&request.reply.redirect_uri);
        is_for_another && comes_anew && server.has(Flaw::ConsentForAnyClient)
    }

    /// Remembers a consent.
    pub(super) fn remember_consent(&mut self, request: &AuthorizationRequest, session: &Session) {
        self.consented_in.entry(session.sid.clone()).or_default().insert(request.client_id.clone());
        let consent = (session.sub, request.client_id.clone(), request.scope);
        self.consents.insert(consent);
    }

    /// Notes the nonce of the newest authorization request of a user.
    pub(super) fn note_nonce(&mut self, sub: &str, nonce: &str) {
        self.nonces.insert(sub.to_owned(), nonce.to_owned());
    }

    /// That nonce.
    pub(super) fn newest_nonce(&self, sub: &str) -> Option<String> {
        self.nonces.get(sub).cloned()
    }

    /// A family without tokens.
    pub(super) fn new_family(&mut self) -> FamilyId {
        self.next_family += 1;
        self.families.insert(self.next_family, Family::default());
        self.next_family
    }

    /// Registers an access token; returns its `jti`.
    pub(super) fn add_access_token(&mut self, family: FamilyId, lifetime: Duration) -> String {
        let jti = secrets::random();
        let token = AccessToken { family, revoked: false, expires: clock::instant() + lifetime };
        self.keep_family(family, token.expires);
        self.access_tokens.insert(jti.clone(), token);
        self.tidy();
        jti
    }

    /// Registers a refresh token; returns it.
    pub(super) fn add_refresh_token(&mut self, server: &Server, family: FamilyId, grant: Grant) -> String {
        let id = secrets::random();
        let (now, lifetime) = (clock::instant(), server.config.refresh_token_lifetime);
        let kept = if server.is_on(Flaw::RefreshNeverExpires) { MAX_LIFETIME } else { lifetime };
        let number = self.number_of_newest(family) + 1;
        let token = RefreshToken { grant, family, number, rotated: false, expires: now + lifetime, kept_until: now + kept };
        self.keep_family(family, token.kept_until);
        self.families.entry(family).or_default().refresh_tokens = number;
        self.refresh_tokens.insert(id.clone(), token);
        id
    }

    /// The number of the newest refresh token of a family; 0: it has had none.
    pub(super) fn number_of_newest(&self, family: FamilyId) -> u32 {
        self.families.get(&family).map_or(0, |family| family.refresh_tokens)
    }

    /// Whether a refresh token of the family that is younger than this one was exchanged.
    pub(super) fn is_younger_rotated(&self, token: &RefreshToken) -> bool {
        self.refresh_tokens.values().any(|it| it.family == token.family && it.number > token.number && it.rotated)
    }

    /// Forgets the refresh tokens of a family that nobody has used, but for so many of the newest.
    pub(super) fn keep_newest(&mut self, family: FamilyId, count: usize) {
        let is_own = |it: &RefreshToken| it.family == family && !it.rotated;
        let mut numbers: Vec<u32> = self.refresh_tokens.values().filter(|it| is_own(it)).map(|it| it.number).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.truncate(count);
        self.refresh_tokens.retain(|_, it| !is_own(it) || numbers.contains(&it.number));
    }

    fn keep_family(&mut self, family: FamilyId, until: Instant) {
        let family = self.families.entry(family).or_default();
        family.expires = family.expires.max(Some(until));
    }

    /// The live refresh token that begins as this text does, where that is
    /// long enough to tell.
    pub(super) fn refresh_token_like(&self, server: &Server, text: &str) -> Option<String> {
        const COMPARED: usize = 16;
        let start = text.get(..COMPARED)?;
        let is_live = |token: &RefreshToken| !token.rotated && self.is_refresh_token_alive(server, token);
        let like = |id: &str| id.get(..COMPARED).is_some_and(|other| other.eq_ignore_ascii_case(start));
        self.refresh_tokens.iter().find(|(id, token)| like(id) && is_live(token)).map(|(id, _)| id.clone())
    }

    /// Ends tokens of a family.
    pub(super) fn revoke_family(&mut self, family: FamilyId, ends: Ends) {
        let family = self.families.entry(family).or_default();
        family.refresh_revoked |= ends.refresh_tokens;
        family.access_revoked |= ends.access_tokens;
    }

    /// Ends one access token.
    pub(super) fn revoke_access_token(&mut self, jti: &str) {
        if let Some(token) = self.access_tokens.get_mut(jti) {
            token.revoked = true;
        }
    }

    /// Whether this access token was revoked, alone or with its family.
    pub(super) fn is_access_token_revoked(&self, jti: &str) -> bool {
        self.access_tokens.get(jti).is_some_and(|token| {
            let family = self.families.get(&token.family);
            token.revoked || family.is_some_and(|family| family.access_revoked)
        })
    }

    /// Whether a refresh token has neither expired nor lost its family.
    pub(super) fn is_refresh_token_alive(&self, server: &Server, token: &RefreshToken) -> bool {
        let family = self.families.get(&token.family);
        let is_in_time = token.expires > clock::instant() || server.has(Flaw::RefreshNeverExpires);
        is_in_time && family.is_some_and(|family| !family.refresh_revoked)
    }

    /// Keeps a pushed request.
    pub(super) fn push(&mut self, request_uri: String, pushed: Pushed) {
        self.pushed.insert(request_uri, pushed);
        self.tidy();
    }

    /// Keeps a device that waits for its user.
    pub(super) fn add_device(&mut self, device_code: String, device: Device) {
        self.devices.insert(device_code, device);
        self.tidy();
    }

    /// The device with this user code, while it waits.
    pub(super) fn device_of(&mut self, user_code: &str) -> Option<&mut Device> {
        let now = clock::instant();
        self.devices.values_mut().find(|device| device.user_code == user_code && device.expires > now)
    }

    /// The code by which the pages know the backchannel request with this message, while it waits.
    pub(super) fn code_of_message(&self, wanted: &str) -> Option<String> {
        let now = clock::instant();
        let is_it = |it: &&Device| matches!(&it.asked, Asked::Backchannel { message, .. } if message == wanted && !message.is_empty());
        self.devices.values().find(|it| is_it(it) && it.decision == Decision::None && it.expires > now).map(|it| it.user_code.clone())
    }

    /// Notes the use of a client assertion; false when it was used before.
    pub(super) fn use_assertion(&mut self, client_id: &str, jti: &str, lifetime: Duration) -> bool {
        let key = (client_id.to_owned(), jti.to_owned());
        let expires = clock::instant() + lifetime;
        self.tidy();
        self.assertions.insert(key, expires).is_none()
    }

    /// Notes the use of a one-time code; false when it, or a later one, was used before.
    pub(super) fn use_one_time_code(&mut self, sub: &'static str, step: u64) -> bool {
        let is_new = self.one_time_codes.get(sub).is_none_or(|used| step > *used);
        if is_new {
            self.one_time_codes.insert(sub, step);
        }
        is_new
    }

    /// Counts a token request; `Err` has the seconds to wait when the limit
    /// of requests in the last minute is reached.
    pub(super) fn admit(&mut self, client_id: &str, limit: u32) -> Result<(), u64> {
        const WINDOW: Duration = Duration::from_secs(60);
        let now = Instant::now();
        let times = self.requests.entry(client_id.to_owned()).or_default();
        while times.front().is_some_and(|time| now - *time >= WINDOW) {
            times.pop_front();
        }
        if times.len() < limit as usize {
            times.push_back(now);
            return Ok(());
        }
        let oldest = times.front().copied().unwrap_or(now);
        Err((WINDOW - (now - oldest)).as_secs_f64().ceil() as u64)
    }

    /// Forgets what has expired, now and then. A used code is kept until it
    /// expires, because until then its replay must be recognised.
    fn tidy(&mut self) {
        self.added += 1;
        if self.added < TIDY_EVERY {
            return;
        }
        self.added = 0;
        // By the real clock: what is late is one request, not the lab.
        let now = Instant::now();
        self.transactions.retain(|_, it| it.expires > now);
        let busy: HashSet<&String> = self.transactions.values().map(|it| &it.browser).collect();
        self.last_asked.retain(|browser, _| busy.contains(browser));
        self.last_challenge.retain(|browser, _| busy.contains(browser));
        self.sessions.retain(|_, it| it.expires > now);
        self.bound.retain(|session, _| self.sessions.contains_key(session));
        let alive: HashSet<&String> = self.sessions.values().map(|session| &session.sid).collect();
        self.visits.retain(|sid, _| alive.contains(sid));
        self.consented_in.retain(|sid, _| alive.contains(sid));
        self.leaving.retain(|_, it| it.expires > now);
        self.codes.retain(|_, it| it.expires + OVERTIME > now);
        self.refresh_tokens.retain(|_, it| it.kept_until > now);
        self.access_tokens.retain(|_, it| it.expires > now);
        self.families.retain(|_, it| it.expires.is_none_or(|expires| expires > now));
        self.pushed.retain(|_, it| it.expires > now);
        self.devices.retain(|_, it| it.expires > now);
        self.assertions.retain(|_, expires| *expires > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_limited_per_client() {
        let mut store = Store::default();
        assert_eq!(store.admit("a", 2), Ok(()));
        assert_eq!(store.admit("a", 2), Ok(()));
        assert!(store.admit("a", 2).is_err_and(|wait| (1..=60).contains(&wait)));
        assert_eq!(store.admit("b", 2), Ok(()));
        assert!(store.admit("c", 0).is_err());
    }

    #[test]
    fn an_assertion_is_used_once_per_client() {
        let mut store = Store::default();
        let minute = Duration::from_secs(60);
        assert!(store.use_assertion("a", "1", minute));
        assert!(!store.use_assertion("a", "1", minute));
        assert!(store.use_assertion("b", "1", minute));
    }
}
