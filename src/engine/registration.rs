//! Dynamic client registration (RFC 7591) and the removal of a registered client (RFC 7592 §2.3).

use serde_json::{Map, Value, json};

use crate::target::{Secret, origin};

use super::answer;
use super::http::{Http, Request, Response};

/// A client as it is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// For the people who look after the server.
    pub name: String,
    pub redirect_uri: String,
    /// The registered name of its authentication method.
    pub method: &'static str,
    /// The scope that it may ask for; None: whatever the server gives.
    pub scope: Option<String>,
    /// Whether the metadata offers the refresh grant.
    pub refreshes: bool,
    /// The public key of private_key_jwt, as a JWK.
    pub key: Option<Value>,
}

/// A client as it was registered, which may differ from what was asked for (RFC 7591 §3.2.1).
#[derive(Debug)]
pub struct Registered {
    pub client_id: String,
    pub method: String,
    pub secret: Option<Secret>,
    /// The client configuration endpoint and its token (RFC 7592 §3); None: it cannot be removed this way.
    pub management: Option<(String, Secret)>,
    /// What the server changed, in words.
    pub changes: Vec<String>,
}

/// Why there is no client.
#[derive(Debug)]
pub struct Refused {
    /// The server's words.
    pub words: String,
    /// What to do.
    pub advice: &'static str,
}

/// Registers a client. Where the server objects to the scope, it is asked for the client without one.
///
/// # Errors
/// What the server said instead, and what to do.
pub async fn register(http: &Http, endpoint: &str, wish: &Wish, initial: Option<&Secret>) -> Result<Registered, Refused> {
    let response = post(http, endpoint, wish, initial).await?;
    if wish.scope.is_none() || registered(&response) || !objects_to_scope(&response) {
        return read(http, endpoint, wish, &response, initial.is_some());
    }
    let without = Wish { scope: None, ..wish.clone() };
    let response = post(http, endpoint, &without, initial).await?;
    let mut client = read(http, endpoint, &without, &response, initial.is_some())?;
    client.changes.push("it refuses a scope in a registration: see that the client may ask for what `scope` and `extra_scope` say".into());
    Ok(client)
}

async fn post(http: &Http, endpoint: &str, wish: &Wish, initial: Option<&Secret>) -> Result<Response, Refused> {
    let mut grants = vec!["authorization_code"];
    if wish.refreshes {
        grants.push("refresh_token");
    }
    let mut body = json!({
        "client_name": wish.name,
        "redirect_uris": [wish.redirect_uri],
        "token_endpoint_auth_method": wish.method,
        "grant_types": grants,
        "response_types": ["code"],
    });
    if let Some(scope) = &wish.scope {
        body["scope"] = json!(scope);
    }
    if let Some(key) = &wish.key {
        body["jwks"] = json!({ "keys": [key] });
        body["token_endpoint_auth_signing_alg"] = json!("ES256");
    }
    let mut headers = headers(initial);
    headers.push(("content-type".into(), "application/json".into()));
    let request = Request {
        method: "POST".into(),
        url: endpoint.to_owned(),
        headers,
        body: Some(body.to_string().into_bytes()),
        ..Request::default()
    };
    http.send(&request)
        .await
        .map_err(|failure| Refused { words: failure.to_string(), advice: "look at `registration_endpoint` in the metadata" })
}

fn headers(token: Option<&Secret>) -> Vec<(String, String)> {
    let mut headers = vec![("accept".to_owned(), "application/json".to_owned()), ("user-agent".to_owned(), super::USER_AGENT.to_owned())];
    if let Some(token) = token {
        headers.push(("authorization".into(), format!("Bearer {}", token.reveal())));
    }
    headers
}

fn client_id(members: &Map<String, Value>) -> Option<String> {
    answer::text(members, "client_id").filter(|id| !id.is_empty())
}

fn registered(response: &Response) -> bool {
    (200..300).contains(&response.status) && response.object().and_then(client_id).is_some()
}

/// Whether the refusal is about the scope that was asked for: the description says so, or there is none.
fn objects_to_scope(response: &Response) -> bool {
    let says = answer::member(response, "error_description").or_else(|| answer::member(response, "error")).unwrap_or_default();
    (400..500).contains(&response.status) && says.to_ascii_lowercase().contains("scope")
}

fn read(http: &Http, endpoint: &str, wish: &Wish, response: &Response, with_token: bool) -> Result<Registered, Refused> {
    let members = response.object().cloned().unwrap_or_default();
    let Some(client_id) = client_id(&members).filter(|_| registered(response)) else {
        return Err(refused(response, &members, with_token));
    };
    let list = |name: &str| -> Option<Vec<&str>> {
        members.get(name).and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect())
    };
    // They are kept in files of lines.
    if let Some(name) = ["client_secret", "registration_access_token"]
        .into_iter()
        .find(|name| answer::text(&members, name).is_some_and(|value| value.contains(char::is_control)))
    {
        let words = format!("it registered `{client_id}`, whose `{name}` has control characters");
        return Err(Refused { words, advice: "remove that client by hand, and tell who runs the server" });
    }
    let mut changes = Vec::new();
    let method = answer::text(&members, "token_endpoint_auth_method").unwrap_or_else(|| wish.method.to_owned());
    if method != wish.method {
        changes.push(format!("asked for {}, it registered {method}", wish.method));
    }
    if list("redirect_uris").is_some_and(|uris| !uris.contains(&wish.redirect_uri.as_str())) {
        changes.push(format!("it registered other redirect URIs than {}", wish.redirect_uri));
    }
    for grant in ["authorization_code", "refresh_token"] {
        if (grant != "refresh_token" || wish.refreshes) && list("grant_types").is_some_and(|grants| !grants.contains(&grant)) {
            changes.push(format!("it registered the client without the grant {grant}"));
        }
    }
    let management = match (answer::text(&members, "registration_client_uri"), answer::text(&members, "registration_access_token")) {
        // The token must not go to a host that only this answer names.
        (Some(uri), Some(_)) if origin(&uri) != origin(endpoint) && !http.allows(&uri) => {
            changes.push(format!(
                "it places the client's management at {uri}, on another host: no token is sent there, remove the client by hand"
            ));
            None
        }
        (Some(uri), Some(token)) => Some((uri, Secret::new(token))),
        _ => {
            changes.push("it gives no registration access token (RFC 7592): remove the client by hand".into());
            None
        }
    };
    let secret = answer::text(&members, "client_secret").filter(|s| !s.is_empty()).map(Secret::new);
    Ok(Registered { client_id, method, secret, management, changes })
}

fn refused(response: &Response, members: &Map<String, Value>, with_token: bool) -> Refused {
    let error = answer::text(members, "error").unwrap_or_default();
    let description = answer::text(members, "error_description").map(|d| format!(": {d}")).unwrap_or_default();
    let words = format!("{} {error}{description}", response.status).trim().to_owned();
    let advice = match (response.status, error.as_str()) {
        (_, "invalid_redirect_uri") => "give an address that its policy allows with --redirect-uri (https and not on loopback, often)",
        (_, "invalid_client_metadata") => {
            "the server does not register this kind of client by itself: register it by hand, or leave it out"
        }
        (401 | 403, _) if with_token => {
            "the initial access token is refused, used up or not enough for this client: ask the server's administrator, or register the client by hand"
        }
        (401 | 403, _) => {
            "the server registers nobody without permission: ask its administrator for an initial access token and give it with --initial-access-token env:NAME, or register the client by hand"
        }
        (404 | 405, _) => "there is no registration endpoint at that address: register the client by hand",
        (429, _) => "the server throttles registrations: try again later",
        (200..=299, _) => "the answer names no client_id: register the client by hand",
        _ => "register the client by hand",
    };
    Refused { words, advice }
}

/// What came of a removal.
#[derive(Debug, PartialEq, Eq)]
pub enum Removal {
    Removed,
    /// The server does not know the client or the token: gone already, or removed by somebody else. Its words.
    Gone(String),
    /// The client is still there. The server's words.
    Remains(String),
}

/// Removes a registered client.
pub async fn remove(http: &Http, uri: &str, token: &Secret) -> Removal {
    let request = Request { method: "DELETE".into(), url: uri.to_owned(), headers: headers(Some(token)), ..Request::default() };
    let response = match http.send(&request).await {
        Ok(response) => response,
        Err(failure) => return Removal::Remains(failure.to_string()),
    };
    let members = response.object().cloned().unwrap_or_default();
    let words = refused(&response, &members, true).words;
    match response.status {
        200..=299 => Removal::Removed,
        // RFC 7592 §2: 401 where the client does not exist, and its token is revoked.
        401 | 404 | 410 => Removal::Gone(words),
        _ => Removal::Remains(words),
    }
}
