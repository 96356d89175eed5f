//! What the metadata suggests for the target file: name, scopes, client authentication.

use super::look::Found;

/// A name for reports: the host and the last segments of the path, which tell realms and tenants apart.
pub fn name(issuer: &str) -> String {
    let Ok(url) = url::Url::parse(issuer) else { return "target".into() };
    let host = url.host_str().unwrap_or("target");
    let segments: Vec<&str> = url.path_segments().map(|s| s.filter(|s| !s.is_empty()).collect()).unwrap_or_default();
    let last = segments.len().saturating_sub(2);
    std::iter::once(host).chain(segments.into_iter().skip(last)).collect::<Vec<_>>().join("/")
}

/// The scope of the control flow.
pub fn scope(found: &Found) -> String {
    let supported = found.list("scopes_supported");
    // Without a list nothing is known; `openid` is what OpenID Connect Discovery promises.
    let offered = |scope: &str| supported.as_ref().is_none_or(|list| list.contains(&scope));
    let listed = |scope: &str| supported.as_ref().is_some_and(|list| list.contains(&scope));
    let mut words: Vec<String> = ["openid", "profile"].into_iter().filter(|s| offered(s)).map(str::to_owned).collect();
    if let Some(resource) = found.resource.as_ref().filter(|r| !r.scopes.is_empty()) {
        words.retain(|word| listed(word) && word == "openid");
        words.extend(resource.scopes.iter().filter(|s| is_scope(s)).cloned());
    }
    // What makes many servers give refresh tokens (OpenID Connect Core §11).
    if listed("offline_access") {
        words.push("offline_access".into());
    }
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words.join(" ")
}

/// One more scope that the clients may get: a listed one that the control flow does not ask for. Not `email` where there is
/// another: some servers grant it unasked, and then a refresh cannot add it.
pub fn extra_scope(found: &Found, scope: &str) -> Option<String> {
    let supported = found.list("scopes_supported")?;
    let asked: Vec<&str> = scope.split_whitespace().collect();
    ["phone", "address", "email"].into_iter().find(|s| supported.contains(s) && !asked.contains(s)).map(str::to_owned)
}

/// RFC 6749 §3.3: no spaces, quotes or control characters. The server chose the words.
fn is_scope(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// How clients may authenticate (RFC 8414 §2: client_secret_basic where there is no list).
pub struct Methods {
    /// The method for `clients.confidential`.
    pub secret: Option<&'static str>,
    /// private_key_jwt with ES256 is offered.
    pub private_key_jwt: bool,
    /// private_key_jwt is offered, and ES256 is not among its algorithms.
    pub other_keys: bool,
    /// Offered methods that `init` proposes no client for.
    pub others: Vec<String>,
}

pub fn methods(found: &Found) -> Methods {
    let listed = found.list("token_endpoint_auth_methods_supported").unwrap_or_else(|| vec!["client_secret_basic"]);
    let secret = ["client_secret_basic", "client_secret_post"].into_iter().find(|m| listed.contains(m));
    let es256 = found.list("token_endpoint_auth_signing_alg_values_supported").is_none_or(|list| list.contains(&"ES256"));
    let jwt = listed.contains(&"private_key_jwt");
    Methods {
        secret,
        private_key_jwt: jwt && es256,
        other_keys: jwt && !es256,
        others: ["client_secret_jwt", "tls_client_auth", "self_signed_tls_client_auth"]
            .into_iter()
            .filter(|m| listed.contains(m))
            .map(str::to_owned)
            .collect(),
    }
}

/// Whether the refresh grant is offered, as far as the metadata says.
pub fn refreshes(found: &Found) -> bool {
    found.list("grant_types_supported").is_none_or(|list| list.contains(&"refresh_token"))
}

#[cfg(test)]
mod tests {
    use super::super::look::Resource;
    use super::*;

    fn found(metadata: &serde_json::Value) -> Found {
        Found { metadata: metadata.as_object().expect("an object").clone(), ..Found::default() }
    }

    #[test]
    fn names_tell_realms_apart() {
        assert_eq!(name("https://login.example/auth/realms/staging/"), "login.example/realms/staging");
        assert_eq!(name("http://127.0.0.1:8080"), "127.0.0.1");
    }

    #[test]
    fn scopes_are_proposed_from_what_is_listed() {
        let keycloak = found(&serde_json::json!({ "scopes_supported": ["openid", "email", "phone", "offline_access", "profile"] }));
        assert_eq!(scope(&keycloak), "openid profile offline_access");
        assert_eq!(extra_scope(&keycloak, &scope(&keycloak)).as_deref(), Some("phone"));
        let silent = found(&serde_json::json!({}));
        assert_eq!((scope(&silent).as_str(), extra_scope(&silent, "openid")), ("openid profile", None));
        let mut mcp = found(&serde_json::json!({ "scopes_supported": ["openid", "offline_access", "files:read"] }));
        mcp.resource = Some(Resource { scopes: vec!["files:read".into(), "bad scope".into()], ..Resource::default() });
        assert_eq!(scope(&mcp), "openid files:read offline_access");
        assert_eq!(extra_scope(&mcp, &scope(&mcp)), None);
    }

    #[test]
    fn client_authentication_is_proposed_from_what_is_listed() {
        let of = |list: &[&str]| methods(&found(&serde_json::json!({ "token_endpoint_auth_methods_supported": list })));
        assert_eq!(of(&["client_secret_post", "tls_client_auth"]).secret, Some("client_secret_post"));
        assert_eq!(of(&["private_key_jwt"]).secret, None);
        assert!(of(&["private_key_jwt"]).private_key_jwt);
        assert_eq!(of(&["none", "client_secret_jwt"]).others, ["client_secret_jwt"]);
        assert_eq!(methods(&found(&serde_json::json!({}))).secret, Some("client_secret_basic"));
    }
}
