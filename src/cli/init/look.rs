//! From an address that a person types to a server's metadata. The address is an issuer, a metadata document, or a resource
//! (an API, an MCP server) whose own metadata names its authorization server.

use serde_json::{Map, Value};

use crate::engine::USER_AGENT;
use crate::engine::answer::challenge_parameter;
use crate::engine::discover::{get, well_known};
use crate::engine::http::{Http, Request};
use crate::target::{self, Target};

use super::Notice;

/// Where metadata documents are (OpenID Connect Discovery 1.0 §4, RFC 8414 §3, RFC 9728 §3).
const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// A server's metadata, and how it was come by.
#[derive(Debug, Default)]
pub struct Found {
    /// The issuer that was asked for: the address itself, or what the resource names.
    pub asked: String,
    pub metadata: Map<String, Value>,
    /// Where the document was.
    pub place: String,
    /// Only `place` leads to the document: it is at no well-known place of the issuer.
    pub only_there: bool,
    pub resource: Option<Resource>,
    pub notices: Vec<Notice>,
}

/// A resource by way of which the server was found (RFC 9728).
#[derive(Debug, Default, PartialEq)]
pub struct Resource {
    /// The address that was given.
    pub address: String,
    /// The resource identifier that its metadata names.
    pub identifier: String,
    /// What its challenge asks for, else what its metadata lists.
    pub scopes: Vec<String>,
}

impl Found {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).and_then(Value::as_str)
    }

    /// A list of texts; None where the metadata has none.
    pub fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.metadata.get(name).and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect())
    }
}

/// Finds the metadata behind an address. Asks for documents only, at the address's own host and at the authorization
/// server that a resource names.
///
/// # Errors
/// Everything that was tried, and what came instead.
pub async fn look(address: &str, ca: Option<&[u8]>) -> Result<Found, String> {
    let http = client(address, ca)?;
    let mut tried = Tried::default();
    if address.contains(RESOURCE) {
        let document = tried.document(&http, address).await.ok_or_else(|| tried.words("there is no document"))?;
        return by_resource(address, &document, Vec::new(), ca).await;
    }
    let named = [OPENID, OAUTH].iter().find(|known| address.contains(*known));
    let issuer = named.map_or_else(|| address.to_owned(), |known| address.replacen(known, "", 1));
    let mut places = well_known(&issuer);
    if named.is_some() {
        places.retain(|place| place != address);
        places.insert(0, address.to_owned());
    }
    for place in &places {
        if let Some(metadata) = tried.document(&http, place).await.filter(is_server) {
            return Ok(Found { asked: issuer, metadata, place: place.clone(), ..Found::default() });
        }
    }
    if tried.silent == places.len() {
        return Err(tried.words(&format!("{address} cannot be reached")) + "\n  is the server up, and the address right?");
    }
    as_document_or_resource(&http, address, tried, ca).await
}

/// The address is no issuer: perhaps it is a document at a place of its own, or a resource.
async fn as_document_or_resource(http: &Http, address: &str, mut tried: Tried, ca: Option<&[u8]>) -> Result<Found, String> {
    let headers = vec![("accept".to_owned(), "application/json, */*;q=0.5".to_owned()), ("user-agent".to_owned(), USER_AGENT.to_owned())];
    let request = Request { method: "GET".into(), url: address.to_owned(), headers, ..Request::default() };
    let mut scopes = Vec::new();
    let mut places = Vec::new();
    let mut notices = Vec::new();
    match http.send(&request).await {
        Err(failure) => tried.add(address, &failure.to_string()),
        Ok(response) => {
            let document = response.object().filter(|_| response.status == 200).cloned();
            if let Some(metadata) = document.filter(is_server) {
                let asked = metadata.get("issuer").and_then(Value::as_str).unwrap_or(address).to_owned();
                let only_there = !well_known(&asked).iter().any(|place| place == address);
                return Ok(Found { asked, metadata, place: address.to_owned(), only_there, ..Found::default() });
            }
            tried.add(address, &seen(&response));
            for challenge in response.all("www-authenticate") {
                scopes.extend(challenge_parameter(challenge, "scope").iter().flat_map(|s| s.split_whitespace()).map(str::to_owned));
                match challenge_parameter(challenge, "resource_metadata") {
                    Some(place) if http.allows(&place) => places.push(place),
                    Some(place) => notices.push(Notice::new(
                        format!("the resource says that its metadata is at {place}, on another host; it was not contacted"),
                        "if that is right, give that address to `grantproof init`",
                    )),
                    None => {}
                }
            }
        }
    }
    // RFC 9728 §3.1: inserted before the path; then that of the whole host.
    if let Some((host, path)) = split(address) {
        places.push(format!("{host}{RESOURCE}{path}"));
        places.push(format!("{host}{RESOURCE}"));
    }
    for place in &places {
        if let Some(document) = tried.document(http, place).await.filter(|d| d.contains_key("authorization_servers")) {
            let mut found = by_resource(address, &document, scopes, ca).await?;
            found.notices.splice(0..0, notices);
            return Ok(found);
        }
    }
    // Resources older than RFC 9728 have their authorization server on the same host.
    if let Some((host, path)) = split(address).filter(|(_, path)| !path.is_empty()) {
        for place in well_known(host) {
            if let Some(metadata) = tried.document(http, &place).await.filter(is_server) {
                let resource = Resource { address: address.to_owned(), identifier: address.to_owned(), scopes };
                notices.push(Notice::new(
                    format!("{path} names no authorization server; that of its host {host} is taken"),
                    "if the resource has another one, give its issuer to `grantproof init`",
                ));
                return Ok(Found { asked: host.to_owned(), metadata, place, resource: Some(resource), notices, ..Found::default() });
            }
        }
    }
    Err(tried.words("no metadata document was found")
        + "\n  give the issuer, the metadata document, or a resource that names its authorization server (RFC 9728)")
}

/// Goes on from a resource's metadata to its authorization server.
async fn by_resource(address: &str, document: &Map<String, Value>, challenged: Vec<String>, ca: Option<&[u8]>) -> Result<Found, String> {
    let list = |name: &str| -> Vec<String> {
        document
            .get(name)
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default()
    };
    let servers = list("authorization_servers");
    let Some(issuer) = servers.first() else {
        return Err(format!("the resource metadata of {address} names no authorization server (`authorization_servers`, RFC 9728 §2)"));
    };
    let Some(origin) = target::origin(issuer) else {
        return Err(format!("the resource names `{issuer}` as its authorization server, which is no http or https URL"));
    };
    // A server on the net must not choose what is asked of this machine.
    if target::is_loopback(&origin) && !target::origin(address).is_some_and(|own| target::is_loopback(&own)) {
        return Err(format!("{address} names {issuer} as its authorization server, which would be on this machine: it was not contacted"));
    }
    let mut notices = Vec::new();
    let identifier = document.get("resource").and_then(Value::as_str).unwrap_or_default().to_owned();
    let from_document = address.contains(RESOURCE);
    let own = if from_document { address.replacen(RESOURCE, "", 1) } else { address.to_owned() };
    if target::origin(&identifier) != target::origin(&own) {
        notices.push(Notice::new(
            format!("the metadata of {own} says that its resource is `{identifier}` (RFC 9728 §3.3: they must be the same)"),
            "a client must not use such metadata; see that the address is right, and tell who runs the resource",
        ));
    }
    if servers.len() > 1 {
        notices.push(Notice::new(
            format!("the resource names {} authorization servers; the first one, {issuer}, is taken", servers.len()),
            "give the issuer of another one to `grantproof init` to test that",
        ));
    }
    let scopes = if challenged.is_empty() { list("scopes_supported") } else { challenged };
    let http = client(issuer, ca)?;
    let mut tried = Tried::default();
    for place in well_known(issuer) {
        if let Some(metadata) = tried.document(&http, &place).await.filter(is_server) {
            let resource = Resource { address: own, identifier, scopes };
            return Ok(Found { asked: issuer.clone(), metadata, place, resource: Some(resource), notices, only_there: false });
        }
    }
    Err(tried.words(&format!("{address} names {issuer} as its authorization server, and no metadata document was found there")))
}

fn client(address: &str, ca: Option<&[u8]>) -> Result<Http, String> {
    Http::new(&Target { ca: ca.map(<[u8]>::to_vec), ..Target::bare(address) })
}

/// What came instead of a document.
#[derive(Default)]
struct Tried {
    lines: Vec<String>,
    /// How often nobody answered.
    silent: usize,
}

impl Tried {
    fn add(&mut self, place: &str, what: &str) {
        self.lines.push(format!("tried {place}: {what}"));
    }

    async fn document(&mut self, http: &Http, place: &str) -> Option<Map<String, Value>> {
        match get(http, place).await {
            Ok(response) => {
                let document = response.object().filter(|_| response.status == 200).cloned();
                if document.is_none() {
                    self.add(place, &seen(&response));
                }
                document
            }
            Err(why) => {
                self.silent += 1;
                self.add(place, &why);
                None
            }
        }
    }

    fn words(&self, what: &str) -> String {
        std::iter::once(what.to_owned()).chain(self.lines.iter().cloned()).collect::<Vec<_>>().join("\n  ")
    }
}

fn seen(response: &crate::engine::http::Response) -> String {
    let to = response.header("location").map(|to| format!(" to {to}: give that address, if it is right")).unwrap_or_default();
    format!("{} {}{to}", response.status, response.media())
}

/// Whether a document is an authorization server's.
fn is_server(document: &Map<String, Value>) -> bool {
    ["issuer", "authorization_endpoint", "token_endpoint"].iter().any(|name| document.contains_key(*name))
        && !document.contains_key("authorization_servers")
}

/// Host and path of an address, without query.
fn split(address: &str) -> Option<(&str, &str)> {
    let address = address.split(['?', '#']).next()?.trim_end_matches('/');
    let start = address.find("://")? + 3;
    let end = address.get(start..)?.find('/').map_or(address.len(), |at| start + at);
    Some(address.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_before_their_path() {
        assert_eq!(split("https://a.example/mcp/x/?y=1"), Some(("https://a.example", "/mcp/x")));
        assert_eq!(split("http://127.0.0.1:8080"), Some(("http://127.0.0.1:8080", "")));
        assert_eq!(split("nonsense"), None);
    }
}
