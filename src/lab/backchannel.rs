//! Clients are told that a user has logged out (OpenID Connect Back-Channel Logout 1.0).

use serde_json::json;
use url::form_urlencoded::Serializer;

use super::server::Server;
use super::store::Session;
use super::tokens::now;
use super::{Flaw, fetch, jws, secrets};

/// How long a logout token may be taken, in seconds (section 2.4 recommends at most two minutes).
const LIFETIME: u64 = 120;
/// What makes a JWT a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A client that is to be told.
pub(super) struct Notice {
    address: String,
    token: String,
}

/// The notices about the end of a session: one for each client that was given something in it and wants to know.
pub(super) fn notices(server: &Server, session: &Session) -> Vec<Notice> {
    let visited = server.store().visited_in(&session.sid);
    let clients = visited.iter().filter_map(|id| server.client(id));
    clients
        .filter_map(|client| {
            let address = client.logout_uri.clone()?;
            let token = logout_token(server, &client.id, &server.subject_for(client, session.sub))?;
            Some(Notice { address, token })
        })
        .collect()
}

/// Section 2.4.
fn logout_token(server: &Server, client_id: &str, sub: &str) -> Option<String> {
    let now = now();
    let mut claims = json!({
        "iss": server.issuer,
        "sub": sub,
        "aud": client_id,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": secrets::random(),
        "events": { EVENT: {} },
    });
    if server.has(Flaw::LogoutTokenMalformed) {
        claims["nonce"] = json!(secrets::random());
        return jws::sign(server.key, "JWT", &claims);
    }
    jws::sign(server.key, "logout+jwt", &claims)
}

/// Section 2.5: one after the other, before the browser is answered.
pub(super) async fn tell(notices: Vec<Notice>) {
    for notice in notices {
        let form = Serializer::new(String::new()).append_pair("logout_token", &notice.token).finish();
        fetch::post(&notice.address, &form).await;
    }
}
