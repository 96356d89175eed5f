//! The lab as its clients see it: over HTTP.

mod callout_attacks;
mod client_attacks;
mod code_attacks;
mod endpoints;
mod forge;
mod front_attacks;
mod grant_attacks;
mod habits;
mod interaction_attacks;
mod matrix;
mod request_attacks;
mod strict;
mod target_attacks;
mod time_attacks;
mod tls_attacks;
mod token_attacks;
mod unasked_attacks;

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

use super::{DemoClient, DemoUser, Flaw, Lab, LabConfig, start};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;
type Pairs<'a> = &'a [(&'a str, &'a str)];

const CALLBACK: &str = "https://app.example/cb";
const ALL_SCOPES: &str = "openid profile email api:read api:write offline_access";
/// The pair of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A lab and a browser that talks to it.
struct Tester {
    lab: Lab,
    http: reqwest::Client,
    cookie: Mutex<Option<String>>,
    /// How many seconds later requests count as sent.
    later: AtomicU64,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    fn location(&self) -> &str {
        self.header("location")
    }

    /// A parameter of the redirect, in its query or its fragment.
    fn param(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.location()).ok()?;
        let fragment = url.fragment().unwrap_or_default().as_bytes();
        url.query_pairs().chain(url::form_urlencoded::parse(fragment)).find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A member of the JSON body, "" if it is absent.
    fn text(&self, name: &str) -> String {
        let body = self.json();
        body[name].as_str().unwrap_or_default().to_owned()
    }

    /// The value of a hidden field of a page.
    fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let after = self.body.split_once(&start).map_or("", |(_, after)| after);
        after.split('"').next().unwrap_or_default().to_owned()
    }
}

/// `base` with some parameters replaced, added or (value "") removed.
fn with<'a>(base: Pairs<'a>, changes: Pairs<'a>) -> Vec<(&'a str, &'a str)> {
    let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
    let kept = base.iter().filter(|(name, _)| !is_changed(name));
    let added = changes.iter().filter(|(_, value)| !value.is_empty());
    kept.chain(added).copied().collect()
}

fn encode(pairs: Pairs<'_>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Tester {
    async fn strict() -> Outcome<Self> {
        Self::flawed(&[]).await
    }

    async fn flawed(flaws: &[Flaw]) -> Outcome<Self> {
        let flaws: BTreeSet<Flaw> = flaws.iter().copied().collect();
        Self::configured(LabConfig { flaws, movable_clock: true, ..LabConfig::default() }).await
    }

    async fn configured(config: LabConfig) -> Outcome<Self> {
        // The second test to get here finds the provider installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            lab: start(config).await?,
            http: reqwest::Client::builder().redirect(Policy::none()).no_proxy().build()?,
            cookie: Mutex::default(),
            later: AtomicU64::new(0),
        })
    }

    fn client(&self, role: &str) -> Outcome<&DemoClient> {
        let clients = &self.lab.directory().clients;
        let found = clients.iter().find(|client| client.role == role);
        Ok(found.ok_or("no such client")?)
    }

    fn cookie(&self) -> String {
        let cookie = self.cookie.lock().unwrap_or_else(PoisonError::into_inner);
        cookie.clone().unwrap_or_default()
    }

    fn set_cookie(&self, value: Option<String>) {
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// A request with these headers; with a form it is a POST.
    async fn send(&self, path: &str, form: Option<Pairs<'_>>, headers: Pairs<'_>) -> Outcome<Answer> {
        let url = format!("{}{path}", self.lab.issuer());
        let mut request = match form {
            None => self.http.get(url),
            Some(pairs) => self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(encode(pairs)),
        };
        let later = self.later.load(Ordering::Relaxed);
        if later > 0 {
            request = request.header(super::clock::HEADER, later);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), body: response.text().await? })
    }

    /// A request of the browser, with the session cookie.
    async fn browse(&self, path: &str, form: Option<Pairs<'_>>) -> Outcome<Answer> {
        let cookie = self.cookie();
        let answer = self.send(path, form, &[("cookie", &cookie)]).await?;
        let set = answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()?.split(';').next());
        let known = self.cookie();
        let mut jar: Vec<&str> = known.split("; ").filter(|pair| !pair.is_empty()).collect();
        for pair in set {
            let name = pair.split('=').next().unwrap_or_default();
            jar.retain(|known| known.split('=').next() != Some(name));
            jar.push(pair);
        }
        self.set_cookie(Some(jar.join("; ")));
        Ok(answer)
    }

    /// An authorization request, with login and consent if asked for them.
    async fn authorize(&self, params: Pairs<'_>) -> Outcome<Answer> {
        self.authorize_as(&self.lab.directory().users[0], params).await
    }

    async fn authorize_as(&self, user: &DemoUser, params: Pairs<'_>) -> Outcome<Answer> {
        let mut answer = self.browse(&format!("/authorize?{}", encode(params)), None).await?;
        while answer.location().starts_with('/') {
            let path = answer.location().to_owned();
            let page = self.browse(&path, None).await?;
            let (tx, csrf) = (page.field("tx"), page.field("csrf"));
            let mut form = vec![("tx", tx.as_str()), ("csrf", csrf.as_str())];
            if path.starts_with("/login") {
                form.extend([("username", user.name.as_str()), ("password", user.password.as_str())]);
                answer = self.browse("/login", Some(&form)).await?;
            } else {
                form.push(("decision", "allow"));
                answer = self.browse("/consent", Some(&form)).await?;
            }
        }
        Ok(answer)
    }

    /// An authorization request of the public client with changes.
    async fn ask(&self, changes: Pairs<'_>) -> Outcome<Answer> {
        let base = [
            ("response_type", "code"),
            ("client_id", "lab-public"),
            ("redirect_uri", CALLBACK),
            ("scope", ALL_SCOPES),
            ("state", "a b+c%2Bd"),
            ("nonce", "n-1"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        self.authorize(&with(&base, changes)).await
    }

    /// The code of such a request, "" if it was refused.
    async fn code(&self, changes: Pairs<'_>) -> Outcome<String> {
        let answer = self.ask(changes).await?;
        Ok(answer.param("code").unwrap_or_default())
    }

    /// A token request of the public client with this code.
    async fn redeem(&self, code: &str, changes: Pairs<'_>) -> Outcome<Answer> {
        let base = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "lab-public"),
        ];
        self.send("/token", Some(&with(&base, changes)), &[]).await
    }

    /// Fresh tokens of the public client.
    async fn tokens(&self) -> Outcome<Answer> {
        let code = self.code(&[]).await?;
        self.redeem(&code, &[]).await
    }

    async fn refresh(&self, token: &str, changes: Pairs<'_>) -> Outcome<Answer> {
        let base = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "lab-public")];
        self.send("/token", Some(&with(&base, changes)), &[]).await
    }

    /// Whether the API takes this access token.
    async fn opens(&self, path: &str, token: &str) -> Outcome<bool> {
        let bearer = format!("Bearer {token}");
        let answer = self.send(path, None, &[("authorization", &bearer)]).await?;
        Ok(answer.status == 200)
    }

    fn basic(&self) -> Outcome<String> {
        let client = self.client("confidential")?;
        let secret = client.secret.as_deref().unwrap_or_default();
        Ok(basic_header(&client.id, secret))
    }

    /// What introspection says to the confidential client.
    async fn is_active(&self, token: &str) -> Outcome<bool> {
        let headers = [("authorization", self.basic()?)];
        let headers = [(headers[0].0, headers[0].1.as_str())];
        let answer = self.send("/introspect", Some(&[("token", token)]), &headers).await?;
        Ok(answer.json()["active"] == true)
    }
}

fn encode_part(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn basic_header(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{id}:{secret}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    format!("Basic {encoded}")
}
