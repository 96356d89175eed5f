//! A small, real authorization server on loopback.
//!
//! The lab is strict: it follows RFC 6749, RFC 7636, RFC 9700 and the RFCs
//! named in its parts. Each [`Flaw`] switches on exactly one mistake. It is
//! the target of the demonstration and the proof that an attack works: the
//! strict lab refuses it, the lab with the matching flaw does not.

mod asked;
mod assertion;
mod authorization_request;
mod authorization_response;
mod authorize;
mod backchannel;
mod careless;
mod certificates;
mod ciba;
mod cimd;
mod client_auth;
mod client_uris;
pub mod clock;
mod code_grant;
mod consent;
mod cookie;
mod details;
mod device;
mod device_page;
mod directory;
mod dpop;
mod exchange;
mod fetch;
mod flaw;
mod habit;
mod introspection;
mod jar;
mod jarm;
mod jwe;
mod jws;
mod jwt_grant;
mod keys;
mod login;
mod logout;
mod loss;
mod mcp;
mod metadata;
mod mtls;
mod oauth_error;
mod pages;
mod par;
mod params;
mod query;
mod redirect_uri;
mod refresh;
mod registration;
mod resource;
mod resource_metadata;
mod revocation;
mod scope;
mod second_factor;
mod secrets;
mod server;
mod signed_introspection;
mod store;
mod switch;
mod target;
#[cfg(test)]
mod tests;
mod token;
mod tokens;

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use directory::{DemoClient, DemoIssuer, DemoUser, Directory};
pub use flaw::Flaw;
pub use habit::Habit;
pub use loss::Loss;
pub use switch::UnknownSwitch;

use asked::Asked;
use registration::Registry;
use server::Server;
use store::Store;
use target::SecondApi;

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The longest lifetime that is taken seriously, so that no point in time
/// is out of range.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How the lab is to behave.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// The mistakes to make; none for a strict server.
    pub flaws: BTreeSet<Flaw>,
    /// What it does otherwise than the strict server does, and may.
    pub habits: BTreeSet<Habit>,
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Token requests a client may make per minute before it is answered
    /// with 429 and `Retry-After` (RFC 6585 section 4).
    pub rate_limit: Option<u32>,
    /// How long an authorization code can be redeemed (RFC 6749 section
    /// 4.1.2 recommends at most ten minutes).
    pub code_lifetime: Duration,
    /// How long an access token is valid.
    pub access_token_lifetime: Duration,
    /// How long a request that was pushed can be used (RFC 9126 section 2.2).
    pub request_uri_lifetime: Duration,
    /// How long a device code can be polled with (RFC 8628 section 3.2).
    pub device_code_lifetime: Duration,
    /// How long a refresh token is valid.
    pub refresh_token_lifetime: Duration,
    /// Whether `response_type` and `scope`, as OpenID Connect Core section 6.1 has it, and the `redirect_uri` must stand beside a request object or a
    /// `request_uri` that the browser brings; RFC 9101 section 5 and RFC 9126 section 4 want `client_id` alone.
    pub request_beside: bool,
    /// Whether requests may say how much later they count as sent: for
    /// tests that would wait otherwise.
    pub movable_clock: bool,
    /// What is lost on the way, for tests.
    pub loss: Option<Loss>,
    /// The redirect URI that every client uses; the second one has another of its own.
    pub callback: String,
}

impl Default for LabConfig {
    fn default() -> Self {
        Self {
            flaws: BTreeSet::new(),
            habits: BTreeSet::new(),
            port: 0,
            rate_limit: None,
            code_lifetime: Duration::from_secs(60),
            access_token_lifetime: Duration::from_secs(3600),
            request_uri_lifetime: Duration::from_secs(60),
            device_code_lifetime: Duration::from_secs(600),
            refresh_token_lifetime: Duration::from_secs(30 * 24 * 3600),
            request_beside: false,
            movable_clock: false,
            loss: None,
            callback: "https://app.example/cb".to_owned(),
        }
    }
}

/// A running lab. Dropping it stops it.
#[derive(Debug)]
pub struct Lab {
    issuer: String,
    directory: Directory,
    /// Where clients with a certificate go.
    mtls: String,
    /// Each resolves on the other side as soon as it is dropped.
    running: [oneshot::Sender<()>; 2],
    servers: [JoinHandle<()>; 2],
    code_lifetime: Duration,
    refresh_token_lifetime: Duration,
    movable_clock: bool,
    asked: Arc<Asked>,
}

/// Starts a lab on 127.0.0.1. It must be called within a tokio runtime.
///
/// # Errors
///
/// When the port cannot be bound.
pub async fn start(mut config: LabConfig) -> io::Result<Lab> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let resource = format!("{issuer}/api/me");
    let asked = Arc::new(Asked::new());
    let second = SecondApi::new(&issuer);
    let (directory, clients, trusted_issuer) = directory::register(&config.callback, &issuer, &second.identifier)?;
    for lifetime in [
        &mut config.code_lifetime,
        &mut config.access_token_lifetime,
        &mut config.request_uri_lifetime,
        &mut config.device_code_lifetime,
        &mut config.refresh_token_lifetime,
    ] {
        *lifetime = (*lifetime).min(MAX_LIFETIME);
    }
    let (code_lifetime, refresh_token_lifetime, movable_clock) =
        (config.code_lifetime, config.refresh_token_lifetime, config.movable_clock);
    let (tls, mtls) = mtls::listen().await?;
    let router = router(Server {
        asked: Arc::clone(&asked),
        second,
        config,
        issuer: issuer.clone(),
        mtls: mtls.clone(),
        resource,
        clients,
        registered: Registry::default(),
        trusted_issuer,
        pairwise_salt: secrets::random(),
        initial_access_token: directory.initial_access_token.clone(),
        key: keys::signing_key()?,
        encryption_key: jwe::encryption_key()?,
        store: Mutex::new(Store::default()),
    });

    let listener = listener.tap_io(|stream| {
        // Small answers must not wait for Nagle's algorithm; a socket that
        // does not know the option still works.
        let _ = stream.set_nodelay(true);
    });
    let (running, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(listener, router.clone()).with_graceful_shutdown(async move {
        let _ = stopped.await;
    });
    let server = tokio::spawn(async move {
        let _ = serve.await;
    });
    let (tls_running, stopped) = oneshot::channel::<()>();
    let serve = axum::serve(tls, router.into_make_service_with_connect_info::<mtls::Peer>()).with_graceful_shutdown(async move {
        let _ = stopped.await;
    });
    let tls_server = tokio::spawn(async move {
        let _ = serve.await;
    });
    let (running, servers) = ([running, tls_running], [server, tls_server]);
    Ok(Lab { issuer, directory, mtls, running, servers, code_lifetime, refresh_token_lifetime, movable_clock, asked })
}

fn router(server: Server) -> Router {
    let losing = Arc::new(loss::Losing::new(server.config.loss));
    let server = Arc::new(server);
    let known = axum::middleware::from_fn_with_state(Arc::clone(&server), cimd::look_up);
    let careless = axum::middleware::from_fn_with_state(Arc::clone(&server), careless::fetch_what_is_named);
    let metadata = get(metadata::document);
    Router::new()
        .route("/", get(metadata::home))
        .route("/.well-known/openid-configuration", metadata)
        .route("/.well-known/oauth-authorization-server", get(metadata::of_rfc_8414))
        .route("/jwks.json", get(metadata::jwks))
        .route("/authorize", get(authorize::endpoint).post(authorize::endpoint))
        .route("/login", get(login::show_login).post(login::log_in))
        .route("/second-factor", get(second_factor::show).post(second_factor::confirm))
        .route("/consent", get(login::show_consent).post(login::decide))
        .route("/logout", get(logout::endpoint).post(logout::endpoint))
        .route("/par", post(par::endpoint))
        .route("/token", post(token::endpoint).get(token::by_get))
        .route("/device_authorization", post(device::endpoint))
        .route("/backchannel_authentication", post(ciba::endpoint))
        .route("/approve", get(device_page::approve))
        .route("/device", get(device_page::show).post(device_page::enter))
        .route("/device/login", post(device_page::log_in))
        .route("/device/confirm", get(device_page::ask).post(device_page::confirm))
        .route("/register", post(registration::register))
        .route("/register/{id}", get(registration::read).delete(registration::remove))
        .route("/logo/{id}", get(client_uris::logo))
        .route("/userinfo", get(resource::userinfo).post(resource::userinfo))
        .route("/.well-known/oauth-protected-resource/{*path}", get(resource_metadata::document))
        .route("/api/me", get(resource::me).post(mcp::endpoint))
        .route("/api/orders", get(resource::orders))
        .route("/introspect", post(introspection::endpoint))
        .route("/revoke", post(revocation::endpoint).get(revocation::by_get))
        .fallback(|State(server): State<Arc<Server>>| async move { pages::error(&server, StatusCode::NOT_FOUND, "There is no such page.") })
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&server), cookie::note_elsewhere))
        .layer(known)
        .layer(careless)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&server), mtls::front))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&server), habit::dress))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&server), clock::at_its_time))
        .layer(axum::middleware::from_fn_with_state(losing, loss::lose))
        .with_state(server)
}

impl Lab {
    /// The issuer identifier, `http://127.0.0.1:PORT`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where clients with a certificate go: `https://127.0.0.1:PORT`, with a certificate of [`Directory::authority`].
    pub fn mtls(&self) -> &str {
        &self.mtls
    }

    /// How long a code lives, as the documentation of a server would say it.
    pub fn code_lifetime(&self) -> Duration {
        self.code_lifetime
    }

    /// The same of a refresh token.
    pub fn refresh_token_lifetime(&self) -> Duration {
        self.refresh_token_lifetime
    }

    /// The header that says how much later a request counts as sent, where this lab goes by it.
    pub fn clock_header(&self) -> Option<&'static str> {
        self.movable_clock.then_some(clock::HEADER)
    }

    /// The flaws that this lab has looked for so far. To what never made it look for a flaw, a lab with that flaw gives the same answers.
    pub fn asked(&self) -> impl Fn() -> BTreeSet<Flaw> + Send + Sync + 'static {
        let asked = Arc::clone(&self.asked);
        move || asked.flaws()
    }

    /// The demo clients and users.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Stops the lab: no new connections, open ones are closed once idle.
    pub async fn stop(self) {
        drop(self.running);
        for mut server in self.servers {
            if tokio::time::timeout(Duration::from_secs(1), &mut server).await.is_err() {
                server.abort();
            }
        }
    }
}
