//! What a run leaves on the server: tokens, sessions, consents. It is taken back where the protocol can (RFC 7009, OpenID
//! Connect RP-Initiated Logout 1.0), and what remains is said.

use std::collections::BTreeMap;

use crate::model::step::{ClientRole, Transport};
use crate::target::LoginDriver;

use super::actor::Actor;
use super::authentication::credentials;
use super::bend::Prove;
use super::delivery::{self, Sent};
use super::eval::Known;
use super::http::Request;
use super::{Engine, answer, dpop, html};
use crate::model::observation::Outcome;
use crate::wire;

/// A token that was issued in the run and that nobody has used up since.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub client: ClientRole,
    /// `refresh_token`, or `access_token` where no refresh token came with it.
    pub kind: &'static str,
    pub value: String,
}

/// A client that was registered in the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    pub client_id: String,
    /// Where the registration is managed, and the token for it (RFC 7592 §3); None: it cannot be removed.
    pub managed: Option<(String, String)>,
}

/// What a run made and has not taken back.
#[derive(Debug, Default)]
pub struct Leavings {
    tokens: Vec<Token>,
    registered: Vec<Registered>,
    /// An ID token for each user name: the hint with which his session can be ended.
    id_tokens: BTreeMap<String, String>,
}

impl Leavings {
    /// Notes the tokens of a token response; a refresh token that was used for it is used up.
    pub fn note(&mut self, client: ClientRole, user: &str, used: Option<&str>, fields: &BTreeMap<String, String>) {
        self.tokens.retain(|t| Some(t.value.as_str()) != used || fields.get("refresh_token") == Some(&t.value));
        let kinds = ["refresh_token", "access_token"];
        if let Some((kind, value)) = kinds.into_iter().find_map(|kind| Some((kind, fields.get(kind)?)))
            && !self.tokens.iter().any(|t| t.value == *value)
        {
            self.tokens.push(Token { client, kind, value: value.clone() });
        }
        if let Some(token) = fields.get("id_token") {
            self.id_tokens.insert(user.to_owned(), token.clone());
        }
    }

    /// Notes a client that was registered.
    pub fn registered(&mut self, fields: &BTreeMap<String, String>) {
        let Some(client_id) = fields.get("client_id").cloned() else { return };
        let managed = fields.get("registration_client_uri").cloned().zip(fields.get("registration_access_token").cloned());
        self.registered.push(Registered { client_id, managed });
    }

    /// The registration at this address is gone.
    pub fn unregistered(&mut self, address: &str) {
        self.registered.retain(|it| it.managed.as_ref().is_none_or(|(uri, _)| uri != address));
    }
}

/// What became of it, in words.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Outcomes {
    pub cleaned_up: Vec<String>,
    pub remains: Vec<String>,
}

/// Takes back what can be taken back; `false`: says what remains, and sends nothing.
pub async fn settle(engine: &Engine, clean_up: bool) -> Outcomes {
    let left = std::mem::take(&mut *engine.leavings());
    let mut outcomes = Outcomes::default();
    let mut counts: BTreeMap<(String, &'static str), (usize, usize, String)> = BTreeMap::new();
    let endpoint = engine.facts().endpoints.revocation.clone();
    for token in &left.tokens {
        let id = engine.target.client(token.client).map_or_else(String::new, |c| c.id.clone());
        let count = counts.entry((id, token.kind)).or_default();
        let why = match (&endpoint, clean_up) {
            (_, false) => Some("nothing was taken back".to_owned()),
            (None, _) => Some("the server has no revocation endpoint".to_owned()),
            (Some(endpoint), true) => revoke(engine, endpoint, token).await.err(),
        };
        match why {
            None => count.0 += 1,
            Some(why) => {
                count.1 += 1;
                count.2 = why;
            }
        }
    }
    for ((client, kind), (revoked, kept, why)) in counts {
        let kind = kind.replace('_', " ");
        if revoked > 0 {
            outcomes.cleaned_up.push(format!("{revoked} {kind}(s) of client `{client}` revoked"));
        }
        if kept > 0 {
            outcomes.remains.push(format!("{kept} {kind}(s) of client `{client}`, until they expire ({why})"));
        }
    }
    let (removed, kept) = unregister(engine, &left.registered).await;
    if removed > 0 && clean_up {
        outcomes.cleaned_up.push(format!("{removed} client(s) removed that a trial had registered and not come to remove"));
    }
    if !kept.is_empty() {
        outcomes.remains.push(format!("{} client(s) that were registered and cannot be removed: {}", kept.len(), kept.join(", ")));
    }
    for user in engine.logged_in() {
        let ended = match (clean_up && engine.target.login.driver == LoginDriver::Form, left.id_tokens.get(&user)) {
            (true, Some(hint)) => log_out(engine, &user, hint).await,
            _ => false,
        };
        let list = if ended { &mut outcomes.cleaned_up } else { &mut outcomes.remains };
        list.push(if ended { format!("the session of `{user}` ended") } else { format!("a session of `{user}`, until it expires") });
    }
    if !left.tokens.is_empty() {
        outcomes.remains.push("consents that the users gave to the clients".into());
    }
    outcomes
}

/// RFC 7592 §2.3. How many clients were removed, and the ids of the others. A flow that registers promises to remove, so this is done whatever
/// else is to be taken back.
async fn unregister(engine: &Engine, registered: &[Registered]) -> (usize, Vec<String>) {
    let (mut removed, mut kept) = (0, Vec::new());
    for client in registered {
        let gone = match &client.managed {
            Some((uri, token)) => {
                let headers =
                    vec![("authorization".to_owned(), format!("Bearer {token}")), ("user-agent".to_owned(), super::USER_AGENT.to_owned())];
                let request = Request { method: "DELETE".into(), url: uri.clone(), headers, ..Request::default() };
                engine.http.send(&request).await.is_ok_and(|response| (200..300).contains(&response.status))
            }
            None => false,
        };
        if gone {
            removed += 1;
        } else {
            kept.push(client.client_id.clone());
        }
    }
    (removed, kept)
}

/// RFC 7009 §2.1, as the client that the token was issued to.
async fn revoke(engine: &Engine, endpoint: &str, token: &Token) -> Result<(), String> {
    let client = engine.target.client(token.client).ok_or("the client is gone")?;
    let known = Known { target: engine.known_target(), ..Known::default() };
    let added =
        credentials(client, None, &known, &Actor::default(), &engine.learned).map_err(|_| "its credentials cannot be had".to_owned())?;
    let endpoint = engine.facts().endpoints_of(client).revocation.clone().unwrap_or_else(|| endpoint.to_owned());
    let parameters = [Sent::plain("token", token.value.clone()), Sent::plain("token_type_hint", token.kind.to_owned())];
    let mut request = delivery::post(&endpoint, &Transport::default(), &parameters, &added);
    if client.dpop {
        let proofs = engine.proofs_for(&Prove::Genuine, &request.method, &request.url, None);
        let proofs = proofs.map_err(|_| "no proof can be made".to_owned())?;
        request.headers.extend(proofs.into_iter().map(|proof| (dpop::HEADER.to_owned(), proof)));
    }
    let response = engine.http.send(&request).await.map_err(|failure| failure.to_string())?;
    match answer::revocation(&response) {
        (Outcome::Accepted, _) => Ok(()),
        (_, why) => Err(why),
    }
}

/// OpenID Connect RP-Initiated Logout 1.0 §2, in the browser of the user. A page that asks whether he is sure ends nothing.
async fn log_out(engine: &Engine, user: &str, hint: &str) -> bool {
    let Some(endpoint) = engine.facts().metadata.as_ref().and_then(|m| answer::text(m, "end_session_endpoint")) else {
        return false;
    };
    let Some(mut browser) = engine.browser_of(user) else { return false };
    let url = wire::with_query(&endpoint, &wire::form([("id_token_hint", hint, false)]));
    match browser.navigate(&engine.http, Request { method: "GET".into(), url, ..Request::default() }, false).await {
        Ok((_, response)) => (200..400).contains(&response.status) && html::read(&response.body).forms.is_empty(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_stays_until_its_registration_is_gone() {
        let fields = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut left = Leavings::default();
        left.registered(&fields(&[("client_id", "a"), ("registration_client_uri", "https://as/a"), ("registration_access_token", "t")]));
        left.registered(&fields(&[("client_id", "b")]));
        left.registered(&fields(&[("error", "access_denied")]));
        left.unregistered("https://as/other");
        assert_eq!(left.registered.len(), 2);
        left.unregistered("https://as/a");
        assert_eq!(left.registered, [Registered { client_id: "b".into(), managed: None }]);
    }

    fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_newest_of_a_family_is_what_is_left() {
        let mut left = Leavings::default();
        let mut note = |used, pairs: &[(&str, &str)]| left.note(ClientRole::Public, "alice", used, &fields(pairs));
        note(None, &[("access_token", "a1"), ("refresh_token", "r1"), ("id_token", "i1")]);
        note(Some("r1"), &[("access_token", "a2"), ("refresh_token", "r2")]);
        // No rotation: the token stays.
        note(Some("r2"), &[("access_token", "a3"), ("refresh_token", "r2")]);
        note(None, &[("access_token", "alone")]);
        let values: Vec<&str> = left.tokens.iter().map(|t| t.value.as_str()).collect();
        assert_eq!(values, ["r2", "alone"]);
        assert_eq!(left.id_tokens.get("alice").map(String::as_str), Some("i1"));
    }
}
