//! What one step came to, before redaction.

use std::collections::BTreeMap;

use crate::model::observation::Outcome;

use super::eval;
use super::http::{Failure, Request, Response};

/// What one step came to, before redaction.
#[derive(Debug, Default)]
pub struct RawStep {
    pub outcome: Option<Outcome>,
    pub fields: BTreeMap<String, String>,
    pub sent: BTreeMap<String, String>,
    pub note: String,
    pub shape: String,
    pub undelivered: Option<String>,
    /// Fields of forms that took a secret, and its kind: their values are masked whatever they are called.
    pub secret_names: Vec<(String, &'static str)>,
    pub exchanges: Vec<(Request, Result<Response, Failure>)>,
}

impl RawStep {
    /// A step that could not be sent.
    pub fn not_sent(why: impl Into<String>) -> RawStep {
        RawStep { outcome: Some(Outcome::NotSent), note: why.into(), ..RawStep::default() }
    }

    /// A step whose values cannot be had.
    pub fn missing(missing: &eval::Missing) -> RawStep {
        match missing {
            eval::Missing::Never(why) => RawStep::not_sent(why.clone()),
            eval::Missing::NoSuchForm(why) => RawStep { outcome: Some(Outcome::Impossible), note: why.clone(), ..RawStep::default() },
        }
    }

    /// Sets a field where there is a value.
    pub fn field(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.fields.insert(name.to_owned(), value.into());
        }
    }
}
