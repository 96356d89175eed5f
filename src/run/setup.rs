//! A set-up that does not work: where in the target file to look.

use crate::judge;
use crate::model::observation::Outcome;

/// Where in the target file to look.
pub fn advice(failed: &judge::Failed) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|w| failed.what.contains(w));
    match failed.outcome {
        Outcome::Stuck => "\n    look at `users` and `login`",
        Outcome::Refused if says(&["invalid_scope"]) => "\n    look at `scope`",
        Outcome::Refused if says(&["invalid_client", "unauthorized_client", "401"]) => {
            "\n    look at the client's `id`, `auth`, `secret`, `key`, `kid` and `audience`, and at its registration"
        }
        Outcome::Refused if says(&["error page"]) => "\n    look at the client's `id` and `redirect_uri`, and at its registration",
        Outcome::Refused => "\n    look at the client's registration and at `endpoints`",
        Outcome::Strayed => "\n    look at `hosts` and at the client's `redirect_uri`",
        Outcome::NotSent => "\n    look at what the client is given in the target file",
        _ => "",
    }
}
