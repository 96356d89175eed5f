//! Which TLS certificate a step shows (RFC 8705), and what the handshake said of it.

use std::collections::BTreeMap;

use crate::model::authentication::ShownCertificate;
use crate::model::observation::Outcome;
use crate::model::step::PlannedStep;
use crate::target::Client;

use super::eval::Missing;
use super::forge;
use super::http::{Failure, Shows};
use super::{Engine, RawStep, RunningTrial};

/// In the place of an error code, where the server refused the certificate in the handshake.
const ALERT: &str = "tls_alert";

impl Shows {
    /// The client's own certificate, where it has one.
    pub fn own(client: &Client) -> Shows {
        client.certificate.as_ref().map_or(Shows::Nothing, |_| Shows::CertificateOf(client.id.clone()))
    }
}

impl Engine {
    /// What the connection shows in the place of a client's own certificate. `own`: the address where the client shows that.
    ///
    /// # Errors
    /// The client shows none there, so that leaving it out or showing another would change nothing; there is no such certificate.
    pub fn shows(&self, certificate: ShownCertificate, client: &Client, own: &str) -> Result<Shows, Missing> {
        if client.certificate.is_none() {
            return Err(Missing::NoSuchForm(format!("client `{}` has no TLS certificate in the target file", client.id)));
        }
        if !own.starts_with("https:") {
            return Err(Missing::NoSuchForm(format!("{own} is not https, so no certificate is shown there")));
        }
        match certificate {
            ShownCertificate::None | ShownCertificate::NoneAtUsualAddress => Ok(Shows::Nothing),
            ShownCertificate::SameSubject => Ok(Shows::LikenessOf(client.id.clone())),
            ShownCertificate::OtherClient => match self.target.other_with_certificate(client) {
                Some(other) => Ok(Shows::own(other)),
                None => Err(Missing::NoSuchForm("no other client of the target file has a TLS certificate".into())),
            },
        }
    }
}

/// What the claims of a token, or an introspection response, say of the certificate that it is bound to (`cnf` with `x5t#S256`, RFC 8705 §3): `own` is that of the
/// client in the target file. None: it does not say that it is bound to one.
pub fn binding(claims: &serde_json::Map<String, serde_json::Value>, client: &Client) -> Option<&'static str> {
    let named = claims.get("cnf")?.get("x5t#S256")?.as_str()?;
    let own = client.certificate.as_ref().map(crate::target::Certificate::thumbprint);
    Some(if own.as_deref() == Some(named) { "own" } else { "other" })
}

impl<'e> RunningTrial<'e> {
    /// The client that was given an access token in this trial.
    pub fn holder(&self, token: &str) -> Option<&'e Client> {
        self.client(self.given(token)?.0)
    }

    /// The certificate that a token may be bound to, where it was given to somebody who showed another than the client's own. A token that
    /// came without any is bound to none, and the client's own does no harm.
    pub fn certificate_of(&self, token: &str) -> Option<ShownCertificate> {
        self.given(token)?.1.filter(|shown| matches!(shown, ShownCertificate::SameSubject | ShownCertificate::OtherClient))
    }

    /// Who was given an access token.
    fn given(&self, token: &str) -> Option<super::Sender> {
        let given = |fields: &BTreeMap<String, String>| fields.get("access_token").is_some_and(|t| t == token);
        let (step, _) = self.known.fields.iter().find(|(_, fields)| given(fields))?;
        self.senders.get(step).copied()
    }

    /// What is known of the certificate that an access token is bound to: by itself, where it is a JWT, else by what introspection has said
    /// of it in this trial.
    pub fn certificate_in(&self, token: &str, client: &Client) -> Option<String> {
        let claims = forge::split(token).and_then(|parts| forge::object(parts.payload));
        let said = claims.and_then(|claims| binding(&claims, client)).map(ToOwned::to_owned);
        let introspected = || {
            let about = |sent: &BTreeMap<String, String>| sent.get("token").is_some_and(|t| t == token);
            let steps = self.known.sent.iter().filter(|(_, sent)| about(sent)).map(|(step, _)| step);
            steps.filter_map(|step| self.known.fields.get(step)?.get("certificate").cloned()).next()
        };
        said.or_else(introspected)
    }

    /// What the handshake says of a step that showed another certificate than the client's own: an alert is a refusal, since the control
    /// gets through with the right one at the same address; and who never asked for a certificate refused for another reason.
    pub(super) fn look_at_handshake(&self, planned: &PlannedStep, raw: &mut RawStep) {
        let Some(certificate) = planned.certificate else { return };
        let Some((request, answer)) = raw.exchanges.last() else { return };
        let asked = request.shows == Shows::Nothing || self.engine.http.was_asked(request);
        // No control is sent to the address of the others.
        let compared = certificate != ShownCertificate::NoneAtUsualAddress;
        if matches!(answer, Err(Failure::Alert(_))) && compared {
            raw.outcome = Some(Outcome::Refused);
            raw.field("error", Some(ALERT));
        } else if !asked && !raw.outcome.is_some_and(|outcome| outcome.granted()) {
            raw.undelivered = Some("the server asked for no certificate, so that of the attack was not shown".into());
        }
    }
}
