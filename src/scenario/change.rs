//! A change applied to the steps of a control: the attack is the control with this difference and no other.

use std::sync::Arc;

use crate::diagnostic::suggestion;
use crate::model::bend::{Carried, Proof};
use crate::model::predicate::{Condition, Predicate};
use crate::model::scenario::{Attack, Control, Operation};
use crate::model::step::{ID_TOKEN_KEY, Origin, Parameter, PlannedStep, StepKind};
use crate::model::value::{Expression, Part, Reference, Template, Value};

use super::expression::Mistake;

/// Applies one line of a change.
///
/// # Errors
/// `set` of a parameter that the control sends; `replace`, `remove`, `duplicate` or `move` of one that it does not send;
/// an unknown step. Each says what to write.
pub fn apply(steps: &mut Vec<Arc<PlannedStep>>, step: &str, operation: &Operation) -> Result<(), Mistake> {
    let Some(index) = steps.iter().position(|s| s.name == step) else {
        return Err((format!("the control has no step `{step}`"), suggestion(step, steps.iter().map(|s| s.name.as_str()))));
    };
    let sends = |steps: &[Arc<PlannedStep>], name: &str| steps[index].parameters.iter().any(|p| p.name == name);
    let not_sent = |steps: &[Arc<PlannedStep>], name: &str| -> Mistake {
        let known: Vec<&str> = steps[index].parameters.iter().map(|p| p.name.as_str()).collect();
        (format!("the step `{step}` sends no `{name}`"), suggestion(name, known))
    };
    belongs(operation, &steps[index])?;
    match operation {
        Operation::Set(name, value) => {
            if sends(steps, name) {
                return Err((format!("the step `{step}` sends `{name}` already"), Some("write `replace:` to change it".into())));
            }
            // What a bent control leaves out may be what an attack on it sends.
            let step = changed(steps, index);
            step.removed.retain(|removed| removed != name);
            step.parameters_mut().push(Parameter { name: name.clone(), value: value.clone(), place: None, origin: Origin::Set });
        }
        Operation::Replace(name, value) => {
            if !sends(steps, name) {
                let (message, help) = not_sent(steps, name);
                return Err((message, help.or(Some("write `set:` to add it".into()))));
            }
            for parameter in changed(steps, index).parameters_mut().iter_mut().filter(|p| p.name == *name) {
                parameter.value = value.clone();
                parameter.origin = Origin::Replaced;
            }
        }
        Operation::Remove(name) => {
            if !sends(steps, name) {
                return Err(not_sent(steps, name));
            }
            changed(steps, index).parameters_mut().retain(|p| p.name != *name);
            changed(steps, index).removed.push(name.clone());
        }
        Operation::Omit(name) => {
            if sends(steps, name) {
                return Err((format!("the step `{step}` sends `{name}`"), Some("write `remove:` to leave it out".into())));
            }
            changed(steps, index).removed.push(name.clone());
        }
        Operation::Duplicate(name, value) | Operation::DuplicateBefore(name, value) => {
            let Some(at) = steps[index].parameters.iter().position(|p| p.name == *name) else {
                return Err(not_sent(steps, name));
            };
            let place = steps[index].parameters[at].place;
            let twin = Parameter { name: name.clone(), value: value.clone(), place, origin: Origin::Duplicated };
            let at = if matches!(operation, Operation::Duplicate(..)) { at + 1 } else { at };
            changed(steps, index).parameters_mut().insert(at, twin);
        }
        Operation::Move(name, place) => {
            if !sends(steps, name) {
                return Err(not_sent(steps, name));
            }
            for parameter in changed(steps, index).parameters_mut().iter_mut().filter(|p| p.name == *name) {
                parameter.place = Some(*place);
                if parameter.origin == Origin::Kept {
                    parameter.origin = Origin::Moved;
                }
            }
        }
        Operation::Method(method) => Arc::make_mut(&mut changed(steps, index).transport).method = Some(method.clone()),
        Operation::ContentType(media) => Arc::make_mut(&mut changed(steps, index).transport).content_type = Some(media.clone()),
        Operation::PathSuffix(suffix) => Arc::make_mut(&mut changed(steps, index).transport).path_suffix = Some(suffix.clone()),
        Operation::Unencoded(name) => {
            if !sends(steps, name) {
                return Err(not_sent(steps, name));
            }
            Arc::make_mut(&mut changed(steps, index).transport).unencoded.push(name.clone());
        }
        Operation::Authenticate(authentication) => changed(steps, index).authentication = Some(authentication.clone()),
        Operation::Certificate(certificate) => changed(steps, index).certificate = Some(*certificate),
        Operation::Proof(proof) => changed(steps, index).proof = Some(proof.clone()),
        Operation::Carried(carried) => changed(steps, index).carried = Some(carried.clone()),
        Operation::As(client) => changed(steps, index).client = *client,
        Operation::User(user) => changed(steps, index).user = *user,
        Operation::LoggedOut => changed(steps, index).logged_out = true,
        Operation::BeforeLogin => changed(steps, index).before_login = true,
        Operation::Browser(conduct) => {
            for needed in conduct.needs() {
                let earlier = &steps[..index];
                if !earlier.iter().any(|s| s.name == needed && matches!(s.kind, StepKind::AuthorizationRequest | StepKind::LogoutRequest)) {
                    let known = earlier.iter().map(|s| s.name.as_str());
                    return Err((format!("no authorization request `{needed}` is sent before `{step}`"), suggestion(needed, known)));
                }
            }
            changed(steps, index).conduct = Some(conduct.clone());
        }
        Operation::CookiesOf(session) => changed(steps, index).cookies_of = Some(session.clone()),
        Operation::Repeat(name) => {
            let session = PlannedStep::session_of(step);
            let name = if session.is_empty() { name.clone() } else { format!("{session}.{name}") };
            if steps.iter().any(|s| s.name == name) {
                return Err((format!("there is a step `{name}` already"), Some("give the repetition a name of its own".into())));
            }
            let mut again = PlannedStep::clone(&steps[index]);
            again.name = name;
            again.added = true;
            // In the browser that the first one has left.
            again.logged_out = false;
            // The very same request: what the first one sent, not values drawn anew.
            for parameter in again.parameters_mut() {
                let sent = Reference::Sent { step: step.to_owned(), parameter: parameter.name.clone() };
                parameter.value = Value::Text(Template(vec![Part::Expression(Expression::Reference(sent))]));
                parameter.origin = Origin::Kept;
            }
            steps.insert(index + 1, Arc::new(again));
        }
        Operation::Skip => {
            steps.remove(index);
        }
        Operation::Wait(duration) => changed(steps, index).wait = Some(duration.clone()),
        Operation::Burst(count) => changed(steps, index).burst = Some(*count),
        Operation::Each(name) => {
            if !sends(steps, name) {
                return Err(not_sent(steps, name));
            }
            if steps[index].burst.is_some() {
                return Err(("`each` sends one after the other, and `burst` all at once".into(), Some("write one of the two".into())));
            }
            changed(steps, index).each = Some(name.clone());
        }
    }
    Ok(())
}

/// A step, to be changed for this attack alone.
fn changed(steps: &mut [Arc<PlannedStep>], index: usize) -> &mut PlannedStep {
    Arc::make_mut(&mut steps[index])
}

/// What would silently do nothing is a mistake.
fn belongs(operation: &Operation, step: &PlannedStep) -> Result<(), Mistake> {
    let (what, kinds): (&str, &[StepKind]) = match operation {
        Operation::Burst(_) => ("burst", &[StepKind::TokenRequest]),
        Operation::Each(_) => ("each", &[StepKind::TokenRequest]),
        Operation::Authenticate(_) => (
            "authenticate",
            &[
                StepKind::PushedAuthorizationRequest,
                StepKind::TokenRequest,
                StepKind::IntrospectionRequest,
                StepKind::RevocationRequest,
                StepKind::EndpointRequest,
            ],
        ),
        Operation::Certificate(_) => ("certificate", &[StepKind::TokenRequest, StepKind::ResourceRequest]),
        Operation::Proof(Proof::Missing) => ("proof: missing", &[StepKind::ResourceRequest]),
        // Where the target wants its requests pushed, a proof may go with them.
        Operation::Proof(Proof::Withheld) => (
            "proof",
            &[StepKind::AuthorizationRequest, StepKind::PushedAuthorizationRequest, StepKind::TokenRequest, StepKind::ResourceRequest],
        ),
        Operation::Proof(_) => ("proof", &[StepKind::PushedAuthorizationRequest, StepKind::TokenRequest, StepKind::ResourceRequest]),
        Operation::Carried(Carried::Plain) => ("plain", &[StepKind::AuthorizationRequest]),
        Operation::Carried(_) => {
            ("request_object", &[StepKind::AuthorizationRequest, StepKind::PushedAuthorizationRequest, StepKind::EndpointRequest])
        }
        Operation::LoggedOut => ("logged_out", &[StepKind::AuthorizationRequest, StepKind::PageRequest]),
        Operation::BeforeLogin => ("before_login", &[StepKind::AuthorizationRequest]),
        Operation::Omit(_) => ("omit", &[StepKind::AuthorizationRequest, StepKind::EndpointRequest]),
        Operation::Browser(_) => ("browser", &[StepKind::AuthorizationRequest, StepKind::LogoutRequest]),
        Operation::CookiesOf(_) => ("cookies_of", &[StepKind::TokenRequest]),
        _ => return Ok(()),
    };
    if kinds.contains(&step.kind) {
        return Ok(());
    }
    let names: Vec<&str> = kinds.iter().map(|k| k.name()).collect();
    Err((format!("`{what}` does nothing in a {}", step.kind.name()), Some(format!("it belongs to a {}", names.join(" or a ")))))
}

/// A pause: durations, those that the target file states, and seconds that an answer says, with ` + ` between them.
///
/// # Errors
/// What is wrong with it.
pub fn pause(template: &Template) -> Result<(), Mistake> {
    const STATED: [&str; 5] = ["refresh_grace", "code_grace", "stated_code_grace", "code_lifetime", "refresh_lifetime"];
    const SECONDS: [&str; 4] = ["expires_in", "interval", "refresh_expires_in", "access_token_lifetime"];
    // As it may read once the values are known.
    let text: Option<String> = template
        .0
        .iter()
        .map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Expression(Expression::Reference(Reference::Target(fact))) if STATED.contains(&fact.as_str()) => Some("1s"),
            Part::Expression(Expression::Reference(Reference::Field { field, .. })) if SECONDS.contains(&field.as_str()) => Some("1"),
            // The variable of `for_each`.
            Part::Expression(Expression::Reference(Reference::Variable(_)) | Expression::Text(_)) => Some("1"),
            Part::Expression(_) => None,
        })
        .collect();
    if text.is_some_and(|text| crate::duration::parse(&text).is_some()) {
        return Ok(());
    }
    let help = "write `30s`, `500ms`, `2m`, `1h`, a value of the target (${target.code_grace}), seconds that came (${push.expires_in}s), or a sum: `${target.code_lifetime} + 5s`";
    Err((format!("`{template}` is no pause"), Some(help.into())))
}

/// The steps of one case of an attack: the control with its change, the `for_each` word in place of its variable.
///
/// # Errors
/// The first operation that does not fit the control; a loaded scenario has none.
pub fn attack_steps(control: &Control, attack: &Attack, word: Option<&str>) -> Result<Vec<Arc<PlannedStep>>, Mistake> {
    let mut steps = control.as_client(attack.client).steps;
    for (step, operations) in &attack.change {
        for operation in operations {
            apply(&mut steps, step, operation)?;
        }
    }
    if let (Some((variable, _)), Some(word)) = (&attack.for_each, word) {
        for step in &mut steps {
            let mut with_word = PlannedStep::clone(step);
            if step.parameters.iter().any(|p| p.value.names(variable)) {
                with_word.parameters_mut().iter_mut().for_each(|p| p.value.substitute(variable, word));
            }
            with_word.wait.iter_mut().for_each(|wait| wait.substitute(variable, word));
            with_word.authentication.iter_mut().for_each(|authentication| authentication.substitute(variable, word));
            with_word.proof.iter_mut().for_each(|proof| proof.substitute(variable, word));
            with_word.carried.iter_mut().for_each(|carried| carried.substitute(variable, word));
            with_word.conduct.iter_mut().for_each(|conduct| conduct.substitute(variable, word));
            if with_word != **step {
                *step = Arc::new(with_word);
            }
        }
    }
    let conditions = [&attack.holds, &attack.broken].into_iter().chain(&attack.moot);
    verify_where_asked(&mut steps, conditions.flat_map(Condition::predicates));
    Ok(steps)
}

/// Has the signature verified of each ID token about which a predicate, or a step after it, asks that.
pub fn verify_where_asked<'p>(steps: &mut [Arc<PlannedStep>], predicates: impl IntoIterator<Item = &'p Predicate>) {
    let mut read: Vec<&Reference> = steps.iter().flat_map(|step| step.references()).collect();
    predicates.into_iter().for_each(|predicate| predicate.references(&mut read));
    let asked = read.into_iter().filter_map(|reference| match reference {
        Reference::Field { step, field } | Reference::ControlField { step, field } if field == ID_TOKEN_KEY => Some(step.clone()),
        _ => None,
    });
    for name in asked.collect::<Vec<_>>() {
        steps.iter_mut().filter(|step| step.name == name && !step.verified).for_each(|step| Arc::make_mut(step).verified = true);
    }
}

#[cfg(test)]
mod tests {
    use crate::model::predicate::Test;

    use super::*;

    /// To verify every ID token of a run would be a tenth of what it costs.
    #[test]
    fn an_id_token_is_verified_where_somebody_asks_for_it() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let verified = |id: &str| {
            let scenario = &catalogue.scenarios[id];
            let steps = attack_steps(&scenario.control, &scenario.attacks[0], None).expect("steps");
            let names = |steps: &[Arc<PlannedStep>]| steps.iter().filter(|s| s.verified).map(|s| s.name.clone()).collect::<Vec<_>>();
            (names(&scenario.control.steps), names(&steps))
        };
        assert_eq!(verified("id-token/signature"), (vec![], vec!["redeem".to_owned()]), "its control is anybody's");
        assert_eq!(verified("id-token/nonce-echo"), (vec![], vec![]));
        let mut steps = catalogue.scenarios["id-token/signature"].control.steps.clone();
        let subject = Reference::ControlField { step: "redeem".into(), field: ID_TOKEN_KEY.into() };
        verify_where_asked(&mut steps, &[Predicate::Field { subject, test: Test::Present }]);
        assert!(steps.iter().all(|step| step.verified == (step.name == "redeem")));
    }
}
