//! Metadata and published keys → the facts of a target (RFC 8414, OpenID Connect Discovery 1.0).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use crate::model::authentication::ShownCertificate;
use crate::model::finding::CLAIMS;
use crate::model::step::ClientRole;
use crate::target::{Client, Endpoints, LoginDriver, Target, Use, origin};

use super::http::{Http, Request, Response};
use super::jwe::Recipient;
use super::{RunningTrial, answer};

/// What is known of the server before anything is tried.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub endpoints: Endpoints,
    /// What a client with a certificate uses in their place (`mtls_endpoint_aliases`, RFC 8705 §5).
    pub mtls: Endpoints,
    /// Authorization requests are pushed (RFC 9126).
    pub pushes: bool,
    /// Authorization requests are signed (RFC 9101), by the clients that can.
    pub signs: bool,
    /// The metadata document, as served.
    pub metadata: Option<Map<String, Value>>,
    pub jwks: Option<Arc<Value>>,
    /// What looked wrong, for the reader.
    pub warnings: Vec<String>,
}

impl Facts {
    /// The endpoints as a client uses them.
    pub fn endpoints_of(&self, client: &Client) -> Cow<'_, Endpoints> {
        if client.certificate.is_none() {
            return Cow::Borrowed(&self.endpoints);
        }
        let (own, mtls) = (&self.endpoints, &self.mtls);
        let either = |alias: &Option<String>, usual: &Option<String>| alias.clone().or_else(|| usual.clone());
        Cow::Owned(Endpoints {
            token: either(&mtls.token, &own.token),
            userinfo: either(&mtls.userinfo, &own.userinfo),
            introspection: either(&mtls.introspection, &own.introspection),
            revocation: either(&mtls.revocation, &own.revocation),
            pushed_authorization: either(&mtls.pushed_authorization, &own.pushed_authorization),
            device_authorization: either(&mtls.device_authorization, &own.device_authorization),
            ..own.clone()
        })
    }

    /// The same for a request that shows this certificate in the place of the client's own.
    pub fn endpoints_with(&self, client: &Client, certificate: Option<ShownCertificate>) -> Cow<'_, Endpoints> {
        match certificate {
            Some(ShownCertificate::NoneAtUsualAddress) => Cow::Borrowed(&self.endpoints),
            _ => self.endpoints_of(client),
        }
    }

    /// A list of the metadata as one text; empty where there is none.
    fn words(&self, name: &str, between: &str) -> String {
        let list = self.metadata.as_ref().and_then(|m| m.get(name)).and_then(Value::as_array);
        list.map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(between)).unwrap_or_default()
    }

    /// How request objects would be encrypted, `RSA-OAEP-256 A256GCM`; empty where they cannot be.
    fn request_encryption(&self) -> String {
        let recipient = self.metadata.as_ref().zip(self.jwks.as_ref()).and_then(|(m, keys)| Recipient::of_request_objects(m, keys));
        recipient.map(|recipient| recipient.way()).unwrap_or_default()
    }

    /// The defenses that the metadata claims: its members and what they say, lists with a space between their words.
    pub fn claims(&self) -> BTreeMap<String, String> {
        let says = |member: &str| match self.metadata.as_ref()?.get(member)? {
            Value::Array(_) => Some(self.words(member, " ")),
            Value::Bool(yes) => Some(yes.to_string()),
            _ => None,
        };
        CLAIMS.iter().filter_map(|member| Some(((*member).to_owned(), says(member)?))).collect()
    }

    /// Why no client of this server can be of a kind, where its metadata says so.
    pub fn knows_no(&self, role: ClientRole) -> Option<&'static str> {
        let metadata = self.metadata.as_ref()?;
        match role {
            // RFC 8414 §2: without a list, clients authenticate with client_secret_basic.
            ClientRole::Mtls if !self.words("token_endpoint_auth_methods_supported", " ").contains("tls_client_auth") => {
                Some("by its metadata the server knows no client authentication with a TLS certificate")
            }
            // RFC 8705 §3.3: left out, it is false.
            ClientRole::MtlsPublic if metadata.get("tls_client_certificate_bound_access_tokens") != Some(&Value::Bool(true)) => {
                Some("by its metadata the server binds no tokens to TLS certificates")
            }
            _ => None,
        }
    }

    /// The facts that scenarios may name as `target.…`.
    pub fn for_scenarios(&self, target: &Target) -> BTreeMap<String, String> {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let list = |name: &str, between: &str| self.words(name, between);
        // Their names are words with spaces between them.
        let words = |name: &str| list(name, ", ");
        let says = |name: &str| self.metadata.as_ref().and_then(|m| answer::text(m, name)).unwrap_or_default();
        let millis = |duration: std::time::Duration| format!("{}ms", duration.as_millis());
        // Where the target file says where the metadata is, or that there is none, the well-known places say nothing.
        let mut places = if target.metadata.is_none() { well_known(&target.issuer) } else { Vec::new() }.into_iter();
        [
            ("openid_configuration", places.next().unwrap_or_default()),
            ("oauth_metadata", places.next().unwrap_or_default()),
            ("issuer", target.issuer.clone()),
            ("scope", target.scope.clone()),
            ("extra_scope", optional(&target.extra_scope)),
            ("resource", optional(&target.resource)),
            ("resource_indicator", target.extras.resource_indicator.clone().or_else(|| target.resource.clone()).unwrap_or_default()),
            ("resource_metadata", resource_metadata(target)),
            ("second_resource", target.second_resource.as_ref().map(|second| second.url.clone()).unwrap_or_default()),
            ("second_resource_indicator", target.second_resource.as_ref().map(|second| second.indicator.clone()).unwrap_or_default()),
            ("authorization_details", target.details.as_ref().map(|details| details.example.clone()).unwrap_or_default()),
            ("other_authorization_details", target.details.as_ref().and_then(|details| details.other.clone()).unwrap_or_default()),
            // RFC 9396 §10.
            ("authorization_details_types", list("authorization_details_types_supported", " ")),
            ("authorization_endpoint", optional(&self.endpoints.authorization)),
            ("token_endpoint", optional(&self.endpoints.token)),
            ("userinfo_endpoint", optional(&self.endpoints.userinfo)),
            ("introspection_endpoint", optional(&self.endpoints.introspection)),
            ("revocation_endpoint", optional(&self.endpoints.revocation)),
            ("end_session_endpoint", says("end_session_endpoint")),
            ("response_types", words("response_types_supported")),
            ("claims_parameter", says("claims_parameter_supported")),
            ("jwks_uri", optional(&self.endpoints.jwks)),
            ("refresh_grace", millis(target.refresh_grace_or_assumed())),
            ("code_grace", millis(target.code_grace_or_assumed())),
            ("stated_code_grace", millis(target.code_grace.unwrap_or_default())),
            ("code_lifetime", millis(target.code_lifetime_or_assumed())),
            ("refresh_lifetime", target.refresh_lifetime.map(millis).unwrap_or_default()),
            ("iss_parameter_supported", says("authorization_response_iss_parameter_supported")),
            ("metadata", if self.metadata.is_some() { "read".to_owned() } else { String::new() }),
            ("code_challenge_methods", list("code_challenge_methods_supported", " ")),
            ("login", own_login(target).name().to_owned()),
            ("second_user", target.other_user.as_ref().map(|_| "true".to_owned()).unwrap_or_default()),
            ("pushed_authorization_endpoint", optional(&self.endpoints.pushed_authorization)),
            ("pushed_authorization_required", if self.pushes { "true".to_owned() } else { String::new() }),
            ("signed_requests_required", if self.signs { "true".to_owned() } else { String::new() }),
            ("request_encryption_algs", list("request_object_encryption_alg_values_supported", " ")),
            ("request_encryption", self.request_encryption()),
            ("device_authorization_endpoint", optional(&self.endpoints.device_authorization)),
            ("registration_endpoint", optional(&self.endpoints.registration)),
            ("backchannel_authentication_endpoint", optional(&self.endpoints.backchannel_authentication)),
            ("ciba_approval", optional(&target.ciba_approval)),
            ("ciba_modes", list("backchannel_token_delivery_modes_supported", " ")),
            ("ciba_request_algs", list("backchannel_authentication_request_signing_alg_values_supported", " ")),
            ("grant_types", list("grant_types_supported", " ")),
            ("assertion_algs", list("token_endpoint_auth_signing_alg_values_supported", " ")),
            ("subject_types", list("subject_types_supported", " ")),
            ("client_id_documents", says("client_id_metadata_document_supported")),
            ("backchannel_logout", says("backchannel_logout_supported")),
            // RFC 9449 §5.1.
            ("dpop_algs", list("dpop_signing_alg_values_supported", " ")),
            // JARM, section 4.
            ("authorization_signing_algs", list("authorization_signing_alg_values_supported", " ")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

/// Where the metadata of the target's resource are (RFC 9728 §3.1): at its identifier, with the well-known path before its own. Empty without a
/// resource.
fn resource_metadata(target: &Target) -> String {
    let known = [&target.extras.resource_indicator, &target.resource].into_iter().filter_map(Option::as_deref);
    let Some(mut url) = known.filter_map(|url| url::Url::parse(url).ok()).find(|url| matches!(url.scheme(), "http" | "https")) else {
        return String::new();
    };
    let path = format!("/.well-known/oauth-protected-resource{}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_fragment(None);
    url.into()
}

impl RunningTrial<'_> {
    /// Fetches the published keys again.
    pub async fn refresh_keys(&mut self) {
        if let Some(keys) = keys(&self.engine.http, &self.engine.facts().endpoints).await {
            let keys = Arc::new(keys);
            let mut facts = self.engine.facts.write().unwrap_or_else(PoisonError::into_inner);
            *facts = Arc::new(Facts { jwks: Some(Arc::clone(&keys)), ..(**facts).clone() });
            self.known.jwks = Some(keys);
        }
    }
}

/// Reads the metadata and the keys of a target.
///
/// # Errors
/// Why the target cannot be tested at all: no connection, or endpoints that nobody names.
pub async fn discover(http: &Http, target: &Target) -> Result<Facts, String> {
    let mut facts = Facts::default();
    let mut tried = String::new();
    match metadata(http, target).await {
        Ok(metadata) => facts.metadata = Some(metadata),
        Err(why) if why.contains(UNREACHABLE) && (target.endpoints.authorization.is_none() || target.endpoints.token.is_none()) => {
            return Err(why);
        }
        Err(why) => tried = why,
    }
    if let Some(metadata) = &facts.metadata {
        facts.warnings = check(metadata, target);
        // RFC 8414 §3.3: they must be identical. Verdicts on `iss` and the audience of client assertions rest on it.
        if let (None, Some(named)) = (&target.metadata, answer::text(metadata, "issuer").filter(|i| *i != target.issuer)) {
            return Err(format!(
                "the target file says `issuer: {}`, and its metadata says that its issuer is `{named}`\n  write `issuer: {named}`; if the server really publishes another issuer than its own, name the document with `metadata: URL`",
                target.issuer
            ));
        }
    }
    let named = |given: &Option<String>, name: &str| {
        given.clone().or_else(|| facts.metadata.as_ref().and_then(|m| answer::text(m, name)).filter(|url| origin(url).is_some()))
    };
    let endpoints = Endpoints {
        authorization: named(&target.endpoints.authorization, "authorization_endpoint"),
        token: named(&target.endpoints.token, "token_endpoint"),
        userinfo: named(&target.endpoints.userinfo, "userinfo_endpoint"),
        introspection: named(&target.endpoints.introspection, "introspection_endpoint"),
        revocation: named(&target.endpoints.revocation, "revocation_endpoint"),
        jwks: named(&target.endpoints.jwks, "jwks_uri"),
        pushed_authorization: named(&target.endpoints.pushed_authorization, "pushed_authorization_request_endpoint"),
        device_authorization: named(&target.endpoints.device_authorization, "device_authorization_endpoint"),
        backchannel_authentication: named(&target.endpoints.backchannel_authentication, "backchannel_authentication_endpoint"),
        registration: named(&target.endpoints.registration, "registration_endpoint"),
    };
    let required = |name: &str| facts.metadata.as_ref().and_then(|m| m.get(name)).and_then(Value::as_bool).unwrap_or(false);
    let used = |wanted: Use, name: &str| wanted == Use::Always || wanted == Use::Auto && required(name);
    let pushes = used(target.extras.pushed, "require_pushed_authorization_requests");
    let signs = used(target.extras.request_objects, "require_signed_request_object");
    let mtls = aliases(target, facts.metadata.as_ref());
    (facts.pushes, facts.signs, facts.mtls) = (pushes, signs, mtls);
    facts.endpoints = endpoints;
    for (what, endpoint) in [("authorization", &facts.endpoints.authorization), ("token", &facts.endpoints.token)] {
        if endpoint.is_none() {
            let tried = if tried.is_empty() { String::new() } else { format!("\n  {tried}") };
            return Err(format!(
                "no {what} endpoint is known: the metadata does not name it{tried}\n  write `endpoints: {{{what}: https://…}}` into the target file, or correct `issuer`"
            ));
        }
    }
    if facts.pushes && facts.endpoints.pushed_authorization.is_none() {
        return Err("authorization requests are to be pushed (RFC 9126), and the metadata names no endpoint for it\n  write `endpoints: {pushed_authorization: https://…}` or `pushed_authorization: never` into the target file".into());
    }
    let named: Vec<(&str, &mut Option<String>)> = vec![
        ("authorization", &mut facts.endpoints.authorization),
        ("token", &mut facts.endpoints.token),
        ("userinfo", &mut facts.endpoints.userinfo),
        ("introspection", &mut facts.endpoints.introspection),
        ("revocation", &mut facts.endpoints.revocation),
        ("jwks", &mut facts.endpoints.jwks),
        ("pushed_authorization", &mut facts.endpoints.pushed_authorization),
        ("device_authorization", &mut facts.endpoints.device_authorization),
        ("backchannel_authentication", &mut facts.endpoints.backchannel_authentication),
        ("registration", &mut facts.endpoints.registration),
        ("token (mTLS)", &mut facts.mtls.token),
        ("userinfo (mTLS)", &mut facts.mtls.userinfo),
        ("introspection (mTLS)", &mut facts.mtls.introspection),
        ("revocation (mTLS)", &mut facts.mtls.revocation),
        ("pushed_authorization (mTLS)", &mut facts.mtls.pushed_authorization),
        ("device_authorization (mTLS)", &mut facts.mtls.device_authorization),
    ];
    for (what, endpoint) in named {
        let Some(url) = endpoint.clone() else {
            continue;
        };
        if !http.allows(&url) {
            let message = format!(
                "the metadata places the {what} endpoint at {url}, outside the target's hosts; add `hosts: [{}]` if that is right",
                origin(&url).unwrap_or_default()
            );
            let pushing = what.starts_with("pushed_authorization");
            if pushing && !facts.pushes {
                *endpoint = None;
                continue;
            }
            if pushing || matches!(what, "authorization" | "token" | "token (mTLS)") {
                return Err(message);
            }
            facts.warnings.push(message);
            *endpoint = None;
        }
    }
    // Some servers make their signing key at first use: an unknown kid asks again later.
    facts.jwks = keys(http, &facts.endpoints).await.map(Arc::new);
    let introspects = target.client(ClientRole::Introspection).is_some();
    if facts.endpoints.introspection.is_some() && !introspects {
        facts
            .warnings
            .push("there is an introspection endpoint, and no client with a secret or key to ask it: add `clients.confidential`".into());
    }
    Ok(facts)
}

/// The endpoints for clients with a certificate, where the target has one (RFC 8705 §5); what the target file names wins.
fn aliases(target: &Target, metadata: Option<&Map<String, Value>>) -> Endpoints {
    let aliases = metadata.and_then(|m| m.get("mtls_endpoint_aliases")).and_then(Value::as_object);
    let Some(aliases) = aliases.filter(|_| target.clients.values().any(|c| c.certificate.is_some())) else {
        return Endpoints::default();
    };
    let named = |given: &Option<String>, name: &str| match given {
        Some(_) => None,
        None => answer::text(aliases, name).filter(|url| origin(url).is_some()),
    };
    Endpoints {
        token: named(&target.endpoints.token, "token_endpoint"),
        userinfo: named(&target.endpoints.userinfo, "userinfo_endpoint"),
        introspection: named(&target.endpoints.introspection, "introspection_endpoint"),
        revocation: named(&target.endpoints.revocation, "revocation_endpoint"),
        pushed_authorization: named(&target.endpoints.pushed_authorization, "pushed_authorization_request_endpoint"),
        device_authorization: named(&target.endpoints.device_authorization, "device_authorization_endpoint"),
        ..Endpoints::default()
    }
}

/// In the message about a server that nobody answers for.
const UNREACHABLE: &str = "cannot be reached";

/// Reads the metadata document, from the place that the target file names or from the well-known ones.
///
/// # Errors
/// What was tried, and what came instead.
///
/// A server may have two documents, of OpenID Connect and of RFC 8414, and name in one what it leaves out in the other.
pub async fn metadata(http: &Http, target: &Target) -> Result<Map<String, Value>, String> {
    let places = match &target.metadata {
        Some(None) => return Err("the target file says that there is no metadata document".into()),
        Some(Some(url)) => vec![url.clone()],
        None => well_known(&target.issuer),
    };
    let mut found: Option<Map<String, Value>> = None;
    let mut tried = Vec::new();
    let mut unreachable = 0;
    for place in &places {
        match get(http, place).await {
            Ok(response) => match response.object().filter(|_| response.status == 200) {
                Some(metadata) => {
                    found = Some(found.map_or_else(|| metadata.clone(), |first| joined(first, metadata)));
                    if found.as_ref().is_some_and(names_everything) {
                        break;
                    }
                }
                None => tried.push(format!("{place}: {} {}", response.status, response.media())),
            },
            Err(why) => {
                unreachable += usize::from(why.starts_with("no connection") || why.starts_with("no answer"));
                tried.push(format!("{place}: {why}"));
            }
        }
    }
    if let Some(metadata) = found {
        return Ok(metadata);
    }
    let tried = format!("tried {}", tried.join("\n  tried "));
    if unreachable == places.len() {
        return Err(format!("{} {UNREACHABLE}\n  {tried}\n  is the server up, and `issuer` right?", target.issuer));
    }
    Err(format!("no metadata document was found\n  {tried}"))
}

/// What the attacks may need of the metadata; where it is all there, no second document is looked for.
const WANTED: &[&str] =
    &["authorization_endpoint", "token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint", "registration_endpoint"];

fn names_everything(metadata: &Map<String, Value>) -> bool {
    WANTED.iter().all(|name| metadata.contains_key(*name))
}

/// The first document, and what only the second one of the same issuer says.
fn joined(mut first: Map<String, Value>, second: &Map<String, Value>) -> Map<String, Value> {
    if first.get("issuer") == second.get("issuer") {
        for (name, value) in second {
            first.entry(name).or_insert_with(|| value.clone());
        }
    }
    first
}

/// With the driver `browser` it is grantproof too that fills the pages in, and sees what becomes of it.
fn own_login(target: &Target) -> LoginDriver {
    match target.login.driver {
        LoginDriver::Browser => LoginDriver::Form,
        other => other,
    }
}

/// Fetches the published keys.
pub async fn keys(http: &Http, endpoints: &Endpoints) -> Option<Value> {
    let response = get(http, endpoints.jwks.as_ref()?).await.ok()?;
    response.object().cloned().map(Value::Object)
}

/// Where metadata may be: OpenID Connect Discovery appends, RFC 8414 inserts before the path, and some do the other thing.
pub fn well_known(issuer: &str) -> Vec<String> {
    let issuer = issuer.trim_end_matches('/');
    let origin_end =
        issuer.find("://").map(|i| i + 3).and_then(|start| issuer[start..].find('/').map(|i| start + i)).unwrap_or(issuer.len());
    let (host, path) = issuer.split_at(origin_end);
    let mut places =
        vec![format!("{issuer}/.well-known/openid-configuration"), format!("{host}/.well-known/oauth-authorization-server{path}")];
    if !path.is_empty() {
        places.push(format!("{host}/.well-known/openid-configuration{path}"));
        places.push(format!("{issuer}/.well-known/oauth-authorization-server"));
    }
    places
}

/// Asks for a JSON document.
///
/// # Errors
/// Why no answer came.
pub async fn get(http: &Http, url: &str) -> Result<Response, String> {
    let headers = vec![("accept".to_owned(), "application/json".to_owned()), ("user-agent".to_owned(), super::USER_AGENT.to_owned())];
    let request = Request { method: "GET".into(), url: url.to_owned(), headers, ..Request::default() };
    http.send(&request).await.map_err(|failure| failure.to_string())
}

/// What a careful reader of the metadata would notice.
fn check(metadata: &Map<String, Value>, target: &Target) -> Vec<String> {
    let mut warnings = Vec::new();
    match answer::text(metadata, "issuer") {
        Some(issuer) if issuer == target.issuer => {}
        Some(issuer) => warnings
            .push(format!("the metadata says that its issuer is `{issuer}`, the target file says `{}` (RFC 8414 §3.3)", target.issuer)),
        None => warnings.push("the metadata names no issuer (RFC 8414 §2)".into()),
    }
    if target.issuer.starts_with("https:") {
        for (name, value) in metadata {
            if name.ends_with("_endpoint") && value.as_str().is_some_and(|v| v.starts_with("http:")) {
                warnings.push(format!("`{name}` is an http address in the metadata of an https issuer"));
            }
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_document_adds_and_changes_nothing() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let first = object(serde_json::json!({"issuer": "https://a", "token_endpoint": "https://a/t"}));
        let second =
            object(serde_json::json!({"issuer": "https://a", "token_endpoint": "https://evil", "revocation_endpoint": "https://a/r"}));
        let both = joined(first.clone(), &second);
        assert_eq!((both["token_endpoint"].as_str(), both["revocation_endpoint"].as_str()), (Some("https://a/t"), Some("https://a/r")));
        let foreign = object(serde_json::json!({"issuer": "https://b", "revocation_endpoint": "https://b/r"}));
        assert_eq!(joined(first.clone(), &foreign), first);
    }

    #[test]
    fn metadata_is_looked_for_where_both_specifications_put_it() {
        assert_eq!(
            well_known("https://a.example/realms/x/"),
            [
                "https://a.example/realms/x/.well-known/openid-configuration",
                "https://a.example/.well-known/oauth-authorization-server/realms/x",
                "https://a.example/.well-known/openid-configuration/realms/x",
                "https://a.example/realms/x/.well-known/oauth-authorization-server",
            ]
        );
        assert_eq!(well_known("http://127.0.0.1:4200").len(), 2);
    }
}
