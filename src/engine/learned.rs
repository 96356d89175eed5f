//! What a run learns about the server on its way, beside tokens: it stays true until the run ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::target::Secret;

use super::keys::SigningKey;
use super::login::What;

#[derive(Debug, Default)]
pub struct Learned(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Clients whose audience is settled; true: the token endpoint, where the issuer was refused.
    audiences: BTreeMap<String, bool>,
    /// The newest DPoP nonce of each origin (RFC 9449 §8).
    nonces: BTreeMap<String, String>,
    /// Clients with proofs whose tokens come unbound all the same.
    unbound: BTreeSet<String>,
    /// Places that have taken a token of a client: name of the place, client.
    taken: BTreeSet<(String, String)>,
    /// Clients whose request objects are taken where more than `client_id` stands beside them only.
    repeating: BTreeSet<String>,
    /// What was pushed is taken where more than `client_id` stands beside its `request_uri` only.
    repeats_pushed: bool,
    /// The shapes of the pages that were filled in on the way to the client, and what for.
    walked: BTreeSet<(What, String)>,
    /// Clients, by the name in their pair, whose `Authorization: Basic` was tried; true: the pair is taken as it stands, not form-encoded.
    bare_pairs: BTreeMap<String, bool>,
    /// Whether `client_id` stands in the body as well where a pair is in the Basic header; None: nothing was tried yet.
    named_beside_pair: Option<bool>,
    /// Clients whose refresh tokens are taken with the `code_verifier` of their grant only.
    verifying: BTreeSet<String>,
    /// How the token endpoint refuses without an OAuth error: the grant type, and the shape of the answer to a code or token that never
    /// existed.
    odd_refusals: BTreeSet<(String, String)>,
    /// The client of the target file with which a registration was answered.
    overwritten: Option<String>,
    /// The private keys of clients, read.
    keys: BTreeMap<String, SigningKey>,
    /// For the reader, not yet told.
    warnings: Vec<String>,
}

impl Learned {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The private key of a client, which is read once.
    ///
    /// # Errors
    /// The key cannot be read.
    pub fn key(&self, client: &str, key: &Secret) -> Result<SigningKey, String> {
        if let Some(known) = self.state().keys.get(client) {
            return Ok(known.clone());
        }
        let read = SigningKey::read(key.reveal())?;
        self.state().keys.insert(client.to_owned(), read.clone());
        Ok(read)
    }

    /// Whether the assertions of a client go to the token endpoint; None: nothing was tried yet.
    pub fn token_endpoint_audience(&self, client: &str) -> Option<bool> {
        self.state().audiences.get(client).copied()
    }

    /// The next assertion of a client goes to the token endpoint.
    pub fn try_token_endpoint(&self, client: &str) {
        self.state().audiences.insert(client.to_owned(), true);
    }

    /// What a client's first assertions showed; `taken`: the last one was. It stays with the one that was tried last, and
    /// with the issuer where neither was taken.
    pub fn settle_audience(&self, client: &str, taken: bool) {
        let mut state = self.state();
        let tried = state.audiences.get(client).copied().unwrap_or(false);
        state.audiences.insert(client.to_owned(), tried && taken);
        if tried && taken {
            state.warnings.push(format!(
                "client `{client}`: its assertion is refused with the issuer as `aud`, and taken with the token endpoint; write `audience: token_endpoint` (RFC 7523 §3)"
            ));
        }
    }

    /// What was tried of a client's assertions says nothing.
    pub fn forget_audience(&self, client: &str) {
        self.state().audiences.remove(client);
    }

    /// A place took a token of this client.
    pub fn took(&self, place: &str, client: &str) {
        self.state().taken.insert((place.to_owned(), client.to_owned()));
    }

    /// Whether a place has taken a token of this client: only then does its refusal of another one mean that this one is dead.
    pub fn takes(&self, place: &str, client: &str) -> bool {
        self.state().taken.contains(&(place.to_owned(), client.to_owned()))
    }

    /// Whether parameters of this client's request objects stand beside them once more.
    pub fn repeats(&self, client: &str) -> bool {
        self.state().repeating.contains(client)
    }

    /// A request object of this client was refused by itself, and carried out with [`REPEATED`](super::request_object::REPEATED) beside it.
    pub fn repeat(&self, client: &str) {
        let mut state = self.state();
        if state.repeating.insert(client.to_owned()) {
            state.warnings.push(format!(
                "client `{client}`: its request object is refused by itself (RFC 9101 §5), and carried out with `response_type`, `scope`, `redirect_uri` and its `prompt` beside it (OpenID Connect Core §6.1); all of its request objects are sent so"
            ));
        }
    }

    /// Whether parameters of what was pushed stand beside its `request_uri` once more.
    pub fn repeats_pushed(&self) -> bool {
        self.state().repeats_pushed
    }

    /// A `request_uri` was refused with `client_id` alone, and carried out with [`REPEATED`](super::request_object::REPEATED) beside it.
    pub fn repeat_pushed(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.repeats_pushed, true) {
            state.warnings.push(
                "the `request_uri` of a pushed request is refused with `client_id` alone (RFC 9126 §4), and carried out with `response_type`, `scope`, \
                 `redirect_uri` and its `prompt` beside it; all of them are sent so"
                    .to_owned(),
            );
        }
    }

    /// Whether this client shows the `code_verifier` of the grant once more when it refreshes.
    pub fn verifies_refresh(&self, client: &str) -> bool {
        self.state().verifying.contains(client)
    }

    /// A refresh of this client was refused for want of the `code_verifier`, and granted with it.
    pub fn verify_refresh(&self, client: &str) {
        let mut state = self.state();
        if state.verifying.insert(client.to_owned()) {
            state.warnings.push(format!(
                "client `{client}`: a refresh is refused without the `code_verifier` of its grant, which RFC 6749 §6 does not ask for, and granted with it; all of its refreshes are sent so"
            ));
        }
    }

    /// An answer of this shape, which is no OAuth error, is how the token endpoint refuses what never existed.
    pub fn refuses_oddly(&self, grant_type: &str, shape: &str) {
        self.state().odd_refusals.insert((grant_type.to_owned(), shape.to_owned()));
    }

    /// Whether an answer that is no OAuth error is how the token endpoint refuses.
    pub fn is_odd_refusal(&self, grant_type: &str, shape: &str) -> bool {
        !shape.is_empty() && self.state().odd_refusals.contains(&(grant_type.to_owned(), shape.to_owned()))
    }

    /// The client of the target file with which the server answered a registration.
    pub fn overwritten(&self) -> Option<String> {
        self.state().overwritten.clone()
    }

    /// A registration was answered with a client of the target file.
    pub fn overwrite(&self, client: &str) {
        let mut state = self.state();
        if state.overwritten.replace(client.to_owned()).is_none() {
            state.warnings.push(format!(
                "the server answered a registration with client `{client}` of the target file, perhaps because it has the same redirect_uri: that client may be changed now (compare its registration), and whoever may register can do the same to any client"
            ));
        }
    }

    /// A page was filled in.
    pub fn walked(&self, what: What, shape: &str) {
        self.state().walked.insert((what, shape.to_owned()));
    }

    /// Whether a page of this shape is none of those on the way to the client: both login and consent were seen, as forms without which
    /// nobody gets there, and look otherwise.
    pub fn leads_nowhere(&self, shape: &str) -> bool {
        let state = self.state();
        let seen = |what: What| state.walked.iter().any(|(known, _)| *known == what);
        seen(What::Password) && seen(What::Consent) && !state.walked.iter().any(|(_, known)| known == shape)
    }

    /// Whether this pair of a name and a secret goes into a Basic header as it stands. What was learned of one client is a guess for the others.
    pub fn is_bare_pair(&self, name: &str) -> bool {
        let pairs = &self.state().bare_pairs;
        pairs.get(name).copied().unwrap_or_else(|| pairs.values().any(|bare| *bare))
    }

    /// Whether nothing is known yet of how a client's pair is written.
    pub fn is_new_pair(&self, name: &str) -> bool {
        !self.state().bare_pairs.contains_key(name)
    }

    /// The pair of a client is written so from now on.
    pub fn write_pair(&self, name: &str, bare: bool) {
        self.state().bare_pairs.insert(name.to_owned(), bare);
    }

    /// How a client's pair is written stays so. `first`: how it was written at first.
    pub fn settle_pair(&self, name: &str, bare: bool, first: bool) {
        self.write_pair(name, bare);
        if bare && !first {
            self.state().warnings.push(format!(
                "client `{name}`: its id and secret are refused form-encoded in the Basic header (RFC 6749 §2.3.1), and taken as they stand; they are sent so"
            ));
        }
    }

    /// Whether `client_id` stands in the body beside a pair in the Basic header; None: nothing was tried yet.
    pub fn names_beside_pair(&self) -> Option<bool> {
        self.state().named_beside_pair
    }

    /// `client_id` stands in the body beside a pair from now on, or never.
    pub fn name_beside_pair(&self, named: bool) {
        self.state().named_beside_pair = Some(named);
    }

    /// A client was refused with its pair in the Basic header alone, and taken with its `client_id` in the body as well.
    pub fn settle_name_beside_pair(&self) {
        self.name_beside_pair(true);
        self.state().warnings.push(
            "the server takes a pair in the Basic header only where `client_id` stands in the body as well, which RFC 6749 §2.3.1 asks of no client; it is \
             sent so"
                .to_owned(),
        );
    }

    pub fn nonce(&self, origin: &str) -> Option<String> {
        self.state().nonces.get(origin).cloned()
    }

    pub fn keep_nonce(&self, origin: &str, nonce: &str) {
        self.state().nonces.insert(origin.to_owned(), nonce.to_owned());
    }

    /// Whether a client's tokens are known to come unbound in spite of its proofs.
    pub fn unbound(&self, client: &str) -> bool {
        self.state().unbound.contains(client)
    }

    /// A token came for a client that sent a proof.
    pub fn bound(&self, client: &str, token_type: &str) {
        let mut state = self.state();
        if super::dpop::binds(token_type) {
            state.unbound.remove(client);
        } else if state.unbound.insert(client.to_owned()) {
            state.warnings.push(format!(
                "client `{client}`: it sends DPoP proofs, and its tokens are of type `{token_type}`: they are not bound to its key (RFC 9449 §5)"
            ));
        }
    }

    /// The warnings since the last call.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.state().warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_leads_nowhere_once_login_and_consent_are_known_to_look_otherwise() {
        let learned = Learned::default();
        assert!(!learned.leads_nowhere("200 text/html a script"));
        learned.walked(What::Password, "200 text/html b");
        assert!(!learned.leads_nowhere("200 text/html a script"), "consent may look like this");
        learned.walked(What::Consent, "200 text/html c script");
        assert!(learned.leads_nowhere("200 text/html a script"));
        assert!(!learned.leads_nowhere("200 text/html c script"));
    }

    #[test]
    fn what_is_learned_of_one_pair_is_a_guess_for_the_others() {
        let learned = Learned::default();
        assert!(!learned.is_bare_pair("a") && learned.is_new_pair("a"));
        learned.write_pair("a", true);
        learned.write_pair("b", false);
        assert!(learned.is_bare_pair("a") && !learned.is_bare_pair("b") && learned.is_bare_pair("c"));
        assert!(!learned.is_new_pair("a") && learned.is_new_pair("c"));
    }
}
