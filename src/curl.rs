//! The request that made the difference, as a line for a shell.

use crate::model::observation::{CertificateSeen, Exchange, StepObservation, Trial};
use crate::model::scenario::Attack;
use crate::model::step::StepKind;

/// The last request of the last step that the attack changed.
pub fn decisive(attack: &Attack, trial: &Trial) -> Option<String> {
    let changed = |name: &str| attack.change.iter().any(|(step, _)| step == name);
    // What came to the listener was sent by the server.
    let ours = |step: &&StepObservation| step.kind != StepKind::ListenerRequest && !step.exchanges.is_empty();
    let step = trial.steps.iter().rev().find(|s| changed(&s.step) && ours(s)).or_else(|| trial.steps.iter().rev().find(ours))?;
    // Of a login's pages, the first request is the one that carried the change, unless a form did.
    let exchange = match step.kind {
        StepKind::AuthorizationRequest if step.fields.contains_key("tampered") => step.exchanges.iter().rfind(|e| e.method == "POST"),
        StepKind::AuthorizationRequest => step.exchanges.first(),
        _ => step.exchanges.last(),
    };
    exchange.map(line)
}

/// An exchange as a curl command. Secrets are the report's marks: put the real ones in their place.
pub fn line(exchange: &Exchange) -> String {
    let mut words = vec!["curl".to_owned(), "-sS".into(), "-i".into(), "--path-as-is".into()];
    if exchange.method != "GET" {
        words.push("-X".into());
        words.push(quote(&exchange.method));
    }
    // The files are the reader's: one like a client's is made with `openssl req -x509`.
    let files = match &exchange.certificate {
        Some(CertificateSeen::Of(client)) => Some(client.clone()),
        Some(CertificateSeen::Like(client)) => Some(format!("like-{client}")),
        None => None,
    };
    if let Some(name) = files {
        words.extend(["--cert".into(), quote(&format!("{name}.pem")), "--key".into(), quote(&format!("{name}-key.pem"))]);
    }
    for (name, value) in &exchange.request_headers {
        if !matches!(name.as_str(), "accept" | "user-agent" | "content-length" | "host") {
            words.push("-H".into());
            words.push(quote(&format!("{name}: {value}")));
        }
    }
    if !exchange.request_body.is_empty() {
        words.push("--data-raw".into());
        words.push(quote(&exchange.request_body));
    }
    words.push(quote(&exchange.url));
    words.join(" ")
}

/// One word for a POSIX shell, whatever the text holds.
pub fn quote(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_shell_reads_back_what_was_quoted(text in "[^\u{0}\r]{0,40}") {
            let output = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(&text))).output();
            if let Ok(output) = output {
                prop_assert_eq!(String::from_utf8_lossy(&output.stdout), text);
            }
        }
    }
}
