//! Runs trials: drives the steps of a plan against the target and yields observations. It judges nothing.

mod actor;
pub mod answer;
pub mod attacker;
pub mod authentication;
pub mod bend;
pub mod browser;
pub mod button;
pub mod certificate;
pub mod chromium;
pub mod clock;
mod codes;
pub mod delivery;
pub mod discover;
pub mod dpop;
pub mod eval;
pub mod evidence;
pub mod forge;
pub mod guess;
pub mod html;
pub mod http;
pub mod jwe;
mod kept;
pub mod keys;
pub mod learned;
pub mod leavings;
pub mod listener;
pub mod login;
pub mod logins;
pub mod mcp;
pub mod obstacle;
pub mod outside;
pub mod page;
mod pool;
pub mod proof;
pub mod raw;
mod raw_step;
pub mod registration;
pub mod request_object;
pub mod step;
mod submission;
pub mod tls;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};
use std::time::Duration;

use crate::model::observation::{NegativeControl, Outcome, StepObservation, Trial};
use crate::model::scenario::Control;
use crate::model::step::{ClientRole, PlannedStep, UserRole};
use crate::model::value::{Template, Value};
use crate::redact::Redactor;
use crate::target::{Client, LoginDriver, Target, User};

use actor::Actor;
use browser::Browser;
use discover::Facts;
use eval::Known;
use http::Http;
pub use kept::{Sweeper, without_secrets};
use logins::Logins;
use proof::ProofEndpoint;
pub use raw_step::RawStep;

/// What the target's logs show of us.
pub const USER_AGENT: &str = concat!("grantproof/", env!("CARGO_PKG_VERSION"));

/// What the browser of somebody who attacks calls itself, where he begins with an empty one: it is another machine than his victim's, so
/// that a value which is bound to no more than the browser's name is of no use there.
const ATTACKERS_AGENT: &str = concat!("grantproof/", env!("CARGO_PKG_VERSION"), " (another machine)");

/// The session in which an attacker logs in.
const ATTACKER: &str = "attacker";

/// What predicates may name, by its name; one map for many trials.
type PublicFacts = Arc<BTreeMap<String, String>>;

/// Drives trials against one target.
#[derive(Debug)]
pub struct Engine {
    pub target: Target,
    pub http: Http,
    facts: RwLock<Arc<Facts>>,
    /// What scenarios may name of the target; keys that are fetched again change nothing of it.
    known_target: Arc<BTreeMap<String, String>>,
    /// What predicates may name of the target and of a client, by its id and whether its tokens are bound.
    public_facts: Mutex<BTreeMap<(Option<String>, bool), PublicFacts>>,
    /// Keys that a genuine token has been verified with: `kid` and `alg`.
    verified_keys: Mutex<BTreeSet<(String, String)>>,
    /// A browser in which each user is logged in, by user name.
    sessions: Mutex<HashMap<String, Browser>>,
    /// How the logins of each user went.
    pub(crate) logins: Logins,
    /// The newest one-time code of each user, by the number of its step: servers take each code once.
    codes: tokio::sync::Mutex<HashMap<String, u64>>,
    /// Where tokens are shown; looked for once per run, with the first token that a control is given.
    places: RwLock<Option<proof::Chosen>>,
    /// The key of every DPoP proof of this run (RFC 9449), made when the first one is. One for all clients: where an attack acts as another client, what
    /// is refused is that client, not its key.
    dpop_key: Arc<LazyLock<keys::SigningKey>>,
    learned: learned::Learned,
    /// Knows the secrets of the target file, and what was issued since.
    redactor: Redactor,
    /// What was issued and not taken back.
    leavings: Mutex<leavings::Leavings>,
    /// The browser of the login driver `browser`, once it was needed. One for all sessions: it takes the part of one at a
    /// time.
    chromium: tokio::sync::Mutex<Option<chromium::Chromium>>,
    /// Where pictures of logins that fail are kept, and how many were.
    evidence: Option<PathBuf>,
    pictures: AtomicU32,
    watcher: Option<Arc<dyn Watcher>>,
    /// Where the server's own requests come, where the target file names an address.
    listener: Option<listener::Listener>,
}

/// Somebody who looks on while trials run; sees what the judge will see, without secrets.
pub trait Watcher: std::fmt::Debug + Send + Sync {
    /// A step has ended.
    fn step(&self, _trial: &str, _step: &StepObservation) {}
    /// A trial has ended.
    fn trial(&self, _trial: &Trial) {}
}

impl Engine {
    pub fn new(target: Target, http: Http, facts: Facts) -> Engine {
        let mut known_target = facts.for_scenarios(&target);
        known_target.retain(|_, value| !value.is_empty());
        Engine {
            known_target: Arc::new(known_target),
            public_facts: Mutex::default(),
            redactor: kept::redactor(&target),
            leavings: Mutex::default(),
            target,
            http,
            facts: RwLock::new(Arc::new(facts)),
            verified_keys: Mutex::default(),
            sessions: Mutex::default(),
            logins: Logins::default(),
            codes: tokio::sync::Mutex::default(),
            places: RwLock::new(None),
            dpop_key: Arc::new(LazyLock::new(keys::SigningKey::p256)),
            learned: learned::Learned::default(),
            chromium: tokio::sync::Mutex::default(),
            evidence: None,
            pictures: AtomicU32::new(0),
            watcher: None,
            listener: None,
        }
    }

    /// Keeps pictures and pages of logins that fail in a folder, which is made when there is one.
    #[must_use]
    pub fn with_evidence(mut self, folder: Option<PathBuf>) -> Engine {
        self.evidence = folder;
        self
    }

    /// Lets somebody look on.
    #[must_use]
    pub fn with_watcher(mut self, watcher: Option<Arc<dyn Watcher>>) -> Engine {
        self.watcher = watcher;
        self
    }

    /// The facts of the target that scenarios may name, those that are there.
    fn known_target(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.known_target)
    }

    /// What predicates may name of the target, and of the client of a trial's first step: the one that they mean by
    /// `client.`. Nothing of it is secret, and all trials of a client share it.
    fn public_facts(&self, actor: Actor<'_>) -> PublicFacts {
        let key = (actor.client.map(|client| client.id.clone()), actor.constrained);
        let mut made = self.public_facts.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = made.entry(key).or_insert_with(|| {
            let client = Actor::PUBLIC.iter().filter_map(|name| Some((format!("client.{name}"), actor.client(name)?.into_owned())));
            let target = self.known_target.iter().map(|(name, value)| (format!("target.{name}"), self.redactor.text(value).into_owned()));
            Arc::new(target.chain(client).collect())
        });
        Arc::clone(facts)
    }

    /// Whether a page of this shape is none of those that lead to the client, as far as they were seen.
    pub fn leads_nowhere(&self, shape: &str) -> bool {
        self.learned.leads_nowhere(shape)
    }

    /// Learns how the token endpoint refuses a code or token that never existed, where that is no OAuth error.
    pub fn learn_refusal(&self, answer: &StepObservation) {
        let is_odd = matches!(answer.outcome, Outcome::Crashed | Outcome::Unclear) && !answer.shape.is_empty();
        if let Some(grant_type) = answer.sent.get("grant_type").filter(|_| is_odd) {
            self.learned.refuses_oddly(grant_type, &answer.shape);
        }
    }

    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn proof(&self) -> Option<ProofEndpoint> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.proof.clone()
    }

    /// The API that the target file names, where tokens that are no genuine ones are to be shown as well.
    pub fn named_api(&self) -> Option<ProofEndpoint> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.named.clone()
    }

    /// The API that the target file names, whatever it takes.
    pub fn resource(&self) -> Option<ProofEndpoint> {
        let is_mcp = self.places.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|places| places.is_mcp);
        self.target.resource.clone().map(|url| ProofEndpoint { is_mcp, ..ProofEndpoint::new("resource", url) })
    }

    pub fn api(&self) -> Option<ProofEndpoint> {
        self.places.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.api.clone()
    }

    /// Whether a genuine token was signed with this published key. One token of a key is verified; the others only bear
    /// its name, which is all that forging needs to know.
    pub fn verified(&self, token: &str, kid: &str, alg: &str, jwk: &serde_json::Value) -> bool {
        let name = (kid.to_owned(), alg.to_owned());
        let mut verified = self.verified_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verified.contains(&name);
        if !known && keys::verifies(token, alg, jwk) {
            verified.insert(name);
            return true;
        }
        known
    }

    /// A browser as this user left it; where he has not been here, with the session that was handed in for him.
    fn session_of(&self, user: &User) -> Browser {
        let left = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&user.name).cloned();
        left.unwrap_or_else(|| {
            let mut browser = Browser::default();
            if let (LoginDriver::Session, Some(cookie)) = (self.target.login.driver, &user.cookie) {
                browser.hand_in(cookie.reveal(), self.target.origins.iter());
            }
            browser
        })
    }

    fn keep_session(&self, user: &str, browser: &Browser) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(user.to_owned(), browser.clone());
    }

    /// What was issued in this run and not taken back.
    pub fn leavings(&self) -> std::sync::MutexGuard<'_, leavings::Leavings> {
        self.leavings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The users who have a session on the server, made by this run or handed in.
    fn logged_in(&self) -> Vec<String> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut users: Vec<String> = sessions.iter().filter(|(_, browser)| !browser.is_empty()).map(|(user, _)| user.clone()).collect();
        users.sort();
        users
    }

    fn browser_of(&self, user: &str) -> Option<Browser> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }

    /// Forgets every session: the next request logs in anew. False where nobody was logged in.
    pub fn forget_sessions(&self) -> bool {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::take(&mut *sessions).is_empty()
    }

    /// The client that a login is for, as refusals are counted: those that no target file names are one.
    fn counted<'c>(&self, client_id: &'c str) -> &'c str {
        if self.target.clients.values().any(|client| client.id == client_id) { client_id } else { "" }
    }

    /// Begins a trial; its steps are driven by who waits before them.
    pub fn begin(&self, name: &str, variables: &[(String, Template)]) -> RunningTrial<'_> {
        let mut trial = RunningTrial::new(self, name);
        trial.draw(variables);
        trial
    }

    /// Runs the steps of a trial in order, as far as their values come.
    pub async fn run(&self, name: &str, variables: &[(String, Template)], steps: &[Arc<PlannedStep>]) -> RunningTrial<'_> {
        let mut trial = self.begin(name, variables);
        for planned in steps {
            trial.step(planned).await;
        }
        trial
    }

    /// Whether a wait takes time: in the embedded lab the clock of the trial is moved.
    pub fn waits_cost_time(&self) -> bool {
        self.target.clock_header.is_none()
    }

    /// Runs a control: what comes in the same browser after a step that is not granted (probes apart) is left out, where no other control that
    /// this one stands for needs it. The first
    /// access token that a control is given chooses the proof endpoint; what that endpoint refused comes back as negative controls, and
    /// warnings: that there is no such endpoint, and what else was found out.
    pub async fn run_control(&self, name: &str, control: &Control) -> (Trial, Vec<NegativeControl>, Vec<String>) {
        let mut trial = RunningTrial::new(self, name);
        trial.is_control = true;
        trial.draw(&control.variables);
        let (mut negatives, mut warnings) = (Vec::new(), Vec::new());
        let mut failed = BTreeSet::new();
        for planned in &control.steps {
            if control.is_in_vain(planned, |name| failed.contains(name)) {
                failed.insert(planned.name.as_str());
                continue;
            }
            let outcome = trial.step(planned).await;
            if !planned.probe && !outcome.granted() {
                failed.insert(planned.name.as_str());
            }
            if self.places.read().unwrap_or_else(PoisonError::into_inner).is_none()
                && let Some(token) = trial.known.fields.get(&planned.name).and_then(|f| f.get("access_token")).cloned()
            {
                let chosen = proof::choose(&mut trial, &token).await;
                negatives.clone_from(&chosen.negatives);
                if chosen.proof.is_none() {
                    let seen = if chosen.refused.is_empty() { "none is known".to_owned() } else { chosen.refused.join("; ") };
                    warnings.push(format!(
                        "no place takes the genuine access token, so what rests on showing one is not judged ({seen}): add `openid` to `scope`, or name an API as `resource`"
                    ));
                }
                *self.places.write().unwrap_or_else(PoisonError::into_inner) = Some(chosen);
            }
        }
        warnings.extend(self.learned.warnings());
        (trial.finish(), negatives, warnings)
    }
}

/// The client of a step, and the certificate that it showed where that was not its own.
type Sender = (ClientRole, Option<crate::model::authentication::ShownCertificate>);

/// A trial while it runs, with its secrets.
pub struct RunningTrial<'e> {
    pub engine: &'e Engine,
    pub known: Known,
    browsers: HashMap<String, Browser>,
    /// The browser of each session as it was before its last login.
    before_login: HashMap<String, Browser>,
    /// The browser of each authorization request as it was when that began.
    before: HashMap<String, Browser>,
    /// Pages at which a step stopped, as it was told.
    paused: HashMap<String, step::Paused>,
    /// Steps whose address of the listener something has been sent with.
    told: BTreeSet<String>,
    /// Sessions whose browser is no longer that of their user.
    apart: BTreeSet<String>,
    redactor: Redactor,
    /// It is a control, in which what the server wants may be found out.
    is_control: bool,
    /// Who sent each step.
    senders: BTreeMap<String, Sender>,
    /// The trial as the judge sees it, without secrets.
    seen: Trial,
}

impl<'e> RunningTrial<'e> {
    fn new(engine: &'e Engine, name: &str) -> Self {
        let facts = engine.facts();
        let known = Known {
            target: engine.known_target(),
            jwks: facts.jwks.clone(),
            dpop_key: Some(Arc::clone(&engine.dpop_key)),
            ..Known::default()
        };
        RunningTrial {
            engine,
            known,
            browsers: HashMap::new(),
            before_login: HashMap::new(),
            before: HashMap::new(),
            paused: HashMap::new(),
            told: BTreeSet::new(),
            apart: BTreeSet::new(),
            redactor: engine.redactor.clone(),
            is_control: false,
            senders: BTreeMap::new(),
            seen: Trial { name: name.to_owned(), ..Trial::default() },
        }
    }

    fn draw(&mut self, variables: &[(String, Template)]) {
        for (name, template) in variables {
            if let Ok(value) = self.known.template(template, &Actor::default()) {
                self.redactor.learn("code_verifier", &value);
                self.seen.variables.insert(name.clone(), self.redactor.text(&value).into_owned());
                self.known.variables.insert(name.clone(), value);
            }
        }
    }

    /// Whom a step acts as.
    pub fn actor(&self, client: Option<&'e Client>, user: UserRole) -> Actor<'e> {
        // A server that takes proofs and binds nothing constrains nobody.
        let constrained = client.is_some_and(|client| client.sender_constrained && !self.engine.learned.unbound(&client.id));
        Actor { client, user: Some(self.engine.target.user(user)), constrained }
    }

    pub fn client(&self, role: ClientRole) -> Option<&'e Client> {
        self.engine.target.client(role)
    }

    /// The browser of a session, logged in where its user has been before.
    fn browser(&mut self, session: &str, user: &User) -> &mut Browser {
        let engine = self.engine;
        self.browsers.entry(session.to_owned()).or_insert_with(|| engine.session_of(user))
    }

    /// The browser of a session, where it has been anywhere.
    pub fn browser_of(&self, session: &str) -> Option<&Browser> {
        self.browsers.get(session)
    }

    /// How long is waited before a step.
    ///
    /// # Errors
    /// It is a value that never came, or no time: then the step means nothing, and is not sent.
    pub fn pause_before(&self, planned: &PlannedStep) -> Result<Duration, eval::Missing> {
        let Some(wait) = &planned.wait else { return Ok(Duration::ZERO) };
        let text = self.known.template(wait, &Actor::default())?;
        crate::duration::parse(&text).ok_or_else(|| eval::Missing::Never(format!("a time to wait: `{wait}` is `{text}`")))
    }

    /// Drives one step, after its pause.
    pub async fn step(&mut self, planned: &PlannedStep) -> Outcome {
        let pause = self.pause_before(planned);
        if let Ok(pause) = &pause
            && !pause.is_zero()
        {
            if self.engine.waits_cost_time() { tokio::time::sleep(*pause).await } else { clock::pass(*pause) }
        }
        self.step_after(planned, pause).await
    }

    /// Drives one step and keeps what it came to. `waited`: how long has been waited before it, or why that could not be told.
    pub async fn step_after(&mut self, planned: &PlannedStep, waited: Result<Duration, eval::Missing>) -> Outcome {
        if self.seen.facts.is_empty() {
            self.seen.facts = self.engine.public_facts(self.actor(self.client(planned.client), UserRole::Default));
        }
        let mut raw = match &waited {
            Ok(_) => step::drive(self, planned).await,
            Err(missing) => RawStep::missing(missing),
        };
        self.look_at_handshake(planned, &mut raw);
        let outcome = raw.outcome.unwrap_or(Outcome::Unclear);
        self.known.fields.insert(planned.name.clone(), raw.fields.clone());
        self.known.sent.insert(planned.name.clone(), raw.sent.clone());
        self.senders.insert(planned.name.clone(), (planned.client, planned.certificate));
        self.tell(planned, outcome);
        let mut observation = self.redacted(&planned.name, planned.kind, raw);
        observation.waited_millis = waited.map_or(0, |pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        observation.clock_moved = observation.waited_millis > 0 && !self.engine.waits_cost_time();
        self.show(&observation);
        self.seen.steps.push(observation);
        outcome
    }

    /// Shows the token that the attacker walked away with at the proof endpoint.
    pub async fn prove(&mut self, step: &str, field: &str) {
        let Some(token) = self.known.fields.get(step).and_then(|f| f.get(field)).cloned() else {
            return;
        };
        let Some(proof) = self.engine.proof() else {
            return;
        };
        let raw = proof::show(self.engine, &proof, self.shown(&token)).await;
        let observation = self.redacted("proof", crate::model::step::StepKind::ResourceRequest, raw);
        self.show(&observation);
        self.seen.proof = Some(Box::new(observation));
    }

    /// The trial so far, as the judge sees it.
    pub fn so_far(&self) -> &Trial {
        &self.seen
    }

    /// Ends the trial: what is left has no secret in it.
    pub fn finish(self) -> Trial {
        if let Some(watcher) = &self.engine.watcher {
            watcher.trial(&self.seen);
        }
        self.seen
    }

    fn show(&self, step: &StepObservation) {
        if let Some(watcher) = &self.engine.watcher {
            watcher.step(&self.seen.name, step);
        }
    }

    /// The value of a parameter for a step.
    ///
    /// # Errors
    /// The value that never came.
    pub fn evaluate(&self, value: &Value, actor: &Actor<'_>) -> Result<String, eval::Missing> {
        self.known.value(value, actor)
    }
}
