//! `${ … }`: text → template, with every name resolved against what the scenario has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::diagnostic::suggestion;
use crate::model::step::StepKind;
use crate::model::value::{Expression, Function, Part, Reference, Template};

/// Facts of the client that a step runs as.
pub const CLIENT_FACTS: &[&str] = &[
    "id",
    "secret",
    "redirect_uri",
    "other_redirect_uri",
    "auth",
    "assertion_alg",
    "sender_constrained",
    "redirect_is_loopback",
    "certificate",
    "certificate_pem",
];

/// Facts of the target.
pub const TARGET_FACTS: &[&str] = &[
    "issuer",
    "scope",
    "extra_scope",
    "resource",
    "resource_indicator",
    "resource_metadata",
    "second_resource",
    "second_resource_indicator",
    "authorization_details",
    "other_authorization_details",
    "authorization_details_types",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
    "response_types",
    "claims_parameter",
    "jwks_uri",
    "openid_configuration",
    "oauth_metadata",
    "refresh_grace",
    "code_grace",
    "stated_code_grace",
    "code_lifetime",
    "refresh_lifetime",
    "iss_parameter_supported",
    "metadata",
    "code_challenge_methods",
    "login",
    "second_user",
    "pushed_authorization_endpoint",
    "pushed_authorization_required",
    "dpop_algs",
    "authorization_signing_algs",
    "backchannel_authentication_endpoint",
    "ciba_approval",
    "ciba_modes",
    "ciba_request_algs",
    "signed_requests_required",
    "request_encryption_algs",
    "request_encryption",
    "device_authorization_endpoint",
    "registration_endpoint",
    "grant_types",
    "assertion_algs",
    "subject_types",
    "backchannel_logout",
    "client_id_documents",
];

/// Facts of the user that a session logs in.
pub const USER_FACTS: &[&str] = &["name", "password"];

/// A mistake in an expression: what is wrong, and what to write.
pub type Mistake = (String, Option<String>);

/// A step and its kind, or a session (no kind).
type Owner = (String, Option<StepKind>);

/// The names that an expression may use. Copies share what they have in common: each attack has one of its control's.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Absolute step names and their kinds, in the order they run.
    pub steps: Arc<Vec<(String, StepKind)>>,
    /// Sessions other than the default one.
    pub sessions: BTreeSet<String>,
    /// Variables of the flow.
    pub variables: Arc<BTreeSet<String>>,
    /// The variable of `for_each`.
    pub each: Option<String>,
    /// Names without a session mean this one ("" is the default session). Flows are written for any session;
    /// scenarios name sessions in full.
    pub own_session: String,
    /// What each step sends, by absolute name.
    pub sent: Arc<BTreeMap<String, BTreeSet<String>>>,
    /// `control.` may be used (in `applies_when`).
    pub control: bool,
}

impl Scope {
    fn absolute(&self, name: &str) -> String {
        if self.own_session.is_empty() { name.to_owned() } else { format!("{}.{name}", self.own_session) }
    }

    fn kind_of(&self, step: &str) -> Option<StepKind> {
        self.steps.iter().find(|(name, _)| name == step).map(|(_, kind)| *kind)
    }

    /// Resolves a dotted path.
    pub fn resolve(&self, path: &str) -> Result<Reference, Mistake> {
        let parts: Vec<&str> = path.split('.').collect();
        if parts.iter().any(|p| p.is_empty()) {
            return Err((format!("`{path}` is no name"), None));
        }
        if let ["control", rest @ ..] = parts.as_slice() {
            if !self.control {
                return Err((
                    format!("`{path}`: `control.` may stand in applies_when only"),
                    Some("name the step itself; the attack drives it anew".into()),
                ));
            }
            let inner = Scope { control: false, ..self.clone() };
            return match inner.resolve(&rest.join("."))? {
                Reference::Field { step, field } => Ok(Reference::ControlField { step, field }),
                other => Err((format!("`{path}`: `control.{other}` is no field of a step"), None)),
            };
        }
        let facts = match parts.as_slice() {
            ["client", field] => Some((CLIENT_FACTS, field, Reference::Client(field.to_string()))),
            ["target", field] => Some((TARGET_FACTS, field, Reference::Target(field.to_string()))),
            ["user", field] => Some((USER_FACTS, field, Reference::User(field.to_string()))),
            _ => None,
        };
        if let Some((known, field, reference)) = facts {
            return if known.contains(field) {
                Ok(reference)
            } else {
                Err((format!("`{path}`: there is no such fact"), suggestion(field, known.iter().copied())))
            };
        }
        if let [name] = parts.as_slice() {
            if self.each.as_deref() == Some(*name) {
                return Ok(Reference::Variable((*name).to_owned()));
            }
            if self.variables.contains(*name) {
                return Ok(Reference::Variable(self.absolute(name)));
            }
            let known: Vec<&str> = self.variables.iter().map(String::as_str).chain(self.each.as_deref()).collect();
            return Err((format!("no variable `{name}`"), suggestion(name, known)));
        }
        let (step, rest) = self.split_step(&parts)?;
        match rest {
            [variable] if step.1.is_none() => {
                if self.variables.contains(*variable) {
                    Ok(Reference::Variable(format!("{}.{variable}", step.0)))
                } else {
                    Err((format!("no variable or step `{variable}` in the session `{}`", step.0), None))
                }
            }
            ["sent", parameter] => match self.sent.get(&step.0) {
                Some(sent) if !sent.contains(*parameter) && !is_credential(step.1, parameter) => Err((
                    format!("`{path}`: the step `{}` sends no `{parameter}`", step.0),
                    suggestion(parameter, sent.iter().map(String::as_str)),
                )),
                _ => Ok(Reference::Sent { step: step.0, parameter: (*parameter).to_owned() }),
            },
            [field] => {
                let Some(kind) = step.1 else {
                    return Err((format!("`{path}`: no such step"), None));
                };
                if kind.fields().any(|(name, _)| name == *field) {
                    Ok(Reference::Field { step: step.0, field: (*field).to_owned() })
                } else {
                    Err((
                        format!("`{path}`: the answer to a {} has no field `{field}`", kind.name()),
                        suggestion(field, kind.fields().map(|(name, _)| name)),
                    ))
                }
            }
            _ => Err((
                format!("`{path}` names neither a field nor something sent"),
                Some("write `step.field` or `step.sent.parameter`".into()),
            )),
        }
    }

    /// Splits `[session.]step` off the front of a path.
    fn split_step<'p>(&self, parts: &'p [&'p str]) -> Result<(Owner, &'p [&'p str]), Mistake> {
        let first = parts[0];
        if self.own_session.is_empty() && self.sessions.contains(first) && parts.len() > 1 {
            let name = format!("{first}.{}", parts[1]);
            if let Some(kind) = self.kind_of(&name) {
                return Ok(((name, Some(kind)), &parts[2..]));
            }
            return Ok(((first.to_owned(), None), &parts[1..]));
        }
        let name = self.absolute(first);
        match self.kind_of(&name) {
            Some(kind) => Ok(((name, Some(kind)), &parts[1..])),
            None => {
                let known = self.steps.iter().map(|(n, _)| n.as_str()).chain(self.sessions.iter().map(String::as_str));
                Err((format!("no step `{name}` here"), suggestion(&name, known.collect::<Vec<_>>())))
            }
        }
    }
}

/// What client authentication adds to a request, beside what the scenario sends.
fn is_credential(kind: Option<StepKind>, parameter: &str) -> bool {
    let authenticates = matches!(kind, Some(StepKind::TokenRequest | StepKind::IntrospectionRequest | StepKind::RevocationRequest));
    authenticates && matches!(parameter, "client_id" | "client_assertion" | "client_assertion_type")
}

/// Reads text with `${ … }`. `$${` stands for a literal `${`.
pub fn template(text: &str, scope: &Scope) -> Result<Template, Mistake> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(index) = rest.find("${") {
        let before = &rest[..index];
        if let Some(kept) = before.strip_suffix('$') {
            literal.push_str(kept);
            literal.push_str("${");
            rest = &rest[index + 2..];
            continue;
        }
        literal.push_str(before);
        let after = &rest[index + 2..];
        let mut reader = Reader { text: after, at: 0, scope };
        let expression = reader.expression()?;
        reader.spaces();
        if !reader.eat('}') {
            return Err((format!("`${{{}` is not closed", after.chars().take(30).collect::<String>()), Some("close it with `}`".into())));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(Part::Expression(expression));
        rest = &after[reader.at..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    // A catalogue has ten thousands of them, and most have one part.
    parts.shrink_to_fit();
    Ok(Template(parts))
}

/// Reads text that must be one expression, `${ … }` and nothing around it.
pub fn single(text: &str, scope: &Scope) -> Result<Expression, Mistake> {
    match template(text, scope)?.0.as_slice() {
        [Part::Expression(expression)] => Ok(expression.clone()),
        _ => Err((format!("`{text}` must be one expression"), Some("write `${ … }` and nothing around it".into()))),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    scope: &'a Scope,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += self.peek().map_or(0, char::len_utf8);
        }
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.spaces();
        if self.peek() == Some(wanted) {
            self.at += wanted.len_utf8();
            true
        } else {
            false
        }
    }

    fn expression(&mut self) -> Result<Expression, Mistake> {
        self.spaces();
        if self.eat('"') {
            let Some(end) = self.text[self.at..].find('"') else {
                return Err(("a quotation mark is not closed".into(), None));
            };
            let text = self.text[self.at..self.at + end].to_owned();
            self.at += end + 1;
            return Ok(Expression::Text(text));
        }
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '-') {
            self.at += 1;
        }
        let word = &self.text[start..self.at];
        if word.is_empty() {
            return Err((
                "a name, a function or a quoted text must stand here".into(),
                Some("for example ${client.id} or ${random(43)}".into()),
            ));
        }
        if word.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Expression::Text(word.to_owned()));
        }
        if !self.eat('(') {
            return self.scope.resolve(word).map(Expression::Reference);
        }
        let Some(function) = Function::by_name(word) else {
            return Err((format!("no function `{word}`"), suggestion(word, Function::TABLE.iter().map(|row| row.1))));
        };
        let mut arguments = Vec::new();
        let mut count = 0;
        if !self.eat(')') {
            loop {
                count += 1;
                match self.expression() {
                    Ok(argument) => arguments.push(argument),
                    // `first` takes what there is: a step that this plan leaves out is passed over.
                    Err(mistake) if function == Function::First && mistake.0.starts_with("no step") => {}
                    Err(mistake) => return Err(mistake),
                }
                if self.eat(')') {
                    break;
                }
                if !self.eat(',') {
                    return Err((format!("`,` or `)` must follow in `{word}(…`"), None));
                }
            }
        }
        let (least, most) = function.arity();
        if count < least || count > most {
            return Err((format!("`{word}` takes {least} argument(s), not {count}"), None));
        }
        arguments.shrink_to_fit();
        Ok(Expression::Call(function, arguments))
    }
}
