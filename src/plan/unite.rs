//! Several controls as one: a flow that holds every one of them, so that one run of it stands for all.
//!
//! A longer flow may stand for a control where what it has besides cannot have made the control's steps succeed, nor
//! spoil them: requests that change nothing, what comes after the control's last step, and what other clients or users do in
//! sessions of their own.

use std::sync::Arc;

use crate::model::scenario::Control;
use crate::model::step::{PlannedStep, StepKind};
use crate::model::value::Reference;

/// Places where two flows differ, each of which may be put together in two orders.
const MOST_CHOICES: u32 = 6;

/// Adds a control to a flow that stands for `members`; None where no order of the steps stands for all of them.
pub fn unite(members: &[Arc<Control>], united: &Control, more: &Control) -> Option<Control> {
    if united.flow != more.flow {
        return None;
    }
    let mut variables = united.variables.clone();
    for (name, template) in &more.variables {
        match variables.iter().find(|(n, _)| n == name) {
            Some((_, own)) if own == template => {}
            Some(_) => return None,
            None => variables.push((name.clone(), template.clone())),
        }
    }
    let mut bent = united.bent.clone();
    bent.extend(more.bent.iter().filter(|b| !united.bent.contains(b)).cloned());
    let pieces = pieces(&united.steps, &more.steps)?;
    let open = pieces.iter().filter(|p| !p.one.is_empty() && !p.other.is_empty()).count();
    let choices = 1u32 << u32::try_from(open).ok().filter(|n| *n <= MOST_CHOICES)?;
    (0..choices).find_map(|choice| {
        let steps = in_order(&pieces, choice);
        let fits = members.iter().map(Arc::as_ref).chain([more]).all(|member| stands_for(&steps, &member.steps));
        fits.then(|| Control { flow: united.flow.clone(), variables: variables.clone(), steps, bent: bent.clone() })
    })
}

/// What stands in either flow before a step that both have, and that step (None at the end).
struct Piece<'a> {
    one: &'a [PlannedStep],
    other: &'a [PlannedStep],
    both: Option<&'a PlannedStep>,
}

/// The flows side by side. None where they have different steps of one name, or the same steps in another order.
fn pieces<'a>(mut one: &'a [PlannedStep], mut other: &'a [PlannedStep]) -> Option<Vec<Piece<'a>>> {
    let mut pieces = Vec::new();
    while let Some((at, there)) = one.iter().enumerate().find_map(|(i, s)| Some((i, other.iter().position(|o| o.name == s.name)?))) {
        if one[at] != other[there] {
            return None;
        }
        pieces.push(Piece { one: &one[..at], other: &other[..there], both: Some(&one[at]) });
        (one, other) = (&one[at + 1..], &other[there + 1..]);
        let behind = |steps: &[PlannedStep], piece: &[PlannedStep]| piece.iter().any(|p| steps.iter().any(|s| s.name == p.name));
        let last = pieces.last()?;
        if behind(other, last.one) || behind(one, last.other) {
            return None;
        }
    }
    pieces.push(Piece { one, other, both: None });
    Some(pieces)
}

/// The steps of all pieces; each bit of `choice` says which flow goes first where both have something.
fn in_order(pieces: &[Piece<'_>], mut choice: u32) -> Vec<PlannedStep> {
    let mut steps = Vec::new();
    for piece in pieces {
        let (mut first, mut second) = (piece.one, piece.other);
        if !first.is_empty() && !second.is_empty() {
            if choice & 1 == 1 {
                std::mem::swap(&mut first, &mut second);
            }
            choice >>= 1;
        }
        steps.extend(first.iter().chain(second).chain(piece.both).cloned());
    }
    steps
}

/// Whether a run of `steps` shows that `member` is granted.
fn stands_for(steps: &[PlannedStep], member: &[PlannedStep]) -> bool {
    let mut wanted = member.iter().peekable();
    for step in steps {
        match wanted.peek() {
            None => return true,
            Some(next) if *next == step => {
                wanted.next();
            }
            Some(next) => {
                let begun = member.first().is_some_and(|first| first != *next);
                if !changes_nothing(step) && !is_bystander(step, member, begun) {
                    return false;
                }
            }
        }
    }
    wanted.peek().is_none()
}

/// A request that reads, or that names nothing of what the flow was given.
fn changes_nothing(step: &PlannedStep) -> bool {
    match step.kind {
        StepKind::ResourceRequest | StepKind::IntrospectionRequest | StepKind::DocumentRequest => true,
        StepKind::ListenerAddress | StepKind::ListenerRequest => true,
        StepKind::RevocationRequest => references(step).is_empty(),
        StepKind::AuthorizationRequest
        | StepKind::PushedAuthorizationRequest
        | StepKind::TokenRequest
        | StepKind::LogoutRequest
        | StepKind::EndpointRequest
        | StepKind::PageRequest => false,
    }
}

/// A step of a session that the member has not, that uses nothing of another session. Once the member has begun, it is
/// another client or user as well: some servers keep one grant for each pair of them.
fn is_bystander(step: &PlannedStep, member: &[PlannedStep], begun: bool) -> bool {
    let alone = references(step).iter().all(|name| PlannedStep::session_of(name) == step.session);
    let apart = member.iter().all(|m| m.session != step.session && (!begun || m.client != step.client || m.user != step.user));
    alone && apart
}

/// Steps whose answers or parameters a step uses.
fn references(step: &PlannedStep) -> Vec<String> {
    let of = |reference: &Reference| match reference {
        Reference::Field { step, .. } | Reference::Sent { step, .. } | Reference::ControlField { step, .. } => Some(step.clone()),
        Reference::Variable(_) | Reference::Client(_) | Reference::User(_) | Reference::Target(_) => None,
    };
    step.references().into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::step::{ClientRole, Origin, Parameter, ResourcePlace, Transport, UserRole};
    use crate::model::value::{Expression, Part, Template, Value};

    /// `session.name`, by a client, using what another step was answered.
    fn step(name: &str, kind: StepKind, client: ClientRole, uses: Option<&str>) -> PlannedStep {
        let field = |step: &str| Expression::Reference(Reference::Field { step: step.into(), field: "x".into() });
        let value = uses.map(|step| Value::Text(Template(vec![Part::Expression(field(step))])));
        let parameter = |value| Parameter { name: "p".into(), value, place: None, origin: Origin::Kept };
        PlannedStep {
            name: name.into(),
            session: PlannedStep::session_of(name).into(),
            kind,
            client,
            user: UserRole::Default,
            parameters: std::sync::Arc::new(value.map(parameter).into_iter().collect()),
            removed: Vec::new(),
            authentication: None,
            certificate: None,
            proof: None,
            carried: None,
            transport: Transport::default(),
            wait: None,
            burst: None,
            probe: false,
            logged_out: false,
            before_login: false,
            conduct: None,
            cookies_of: None,
            at: ResourcePlace::Proof,
            added: false,
        }
    }

    fn control(steps: &[PlannedStep]) -> Control {
        Control { flow: "f".into(), variables: Vec::new(), steps: steps.to_vec(), bent: Vec::new() }
    }

    fn united(one: &[PlannedStep], other: &[PlannedStep]) -> Option<Vec<String>> {
        let (one, other) = (control(one), control(other));
        unite(&[Arc::new(one.clone())], &one, &other).map(|c| c.steps.into_iter().map(|s| s.name).collect())
    }

    #[test]
    fn flows_are_put_together_where_one_run_shows_both() {
        use ClientRole::{Public, Second};
        use StepKind::{AuthorizationRequest as A, ResourceRequest as R, RevocationRequest as V, TokenRequest as T};
        let (authorize, redeem) = (step("authorize", A, Public, None), step("redeem", T, Public, Some("authorize")));
        let (used, rotate) = (step("use", R, Public, Some("redeem")), step("rotate", T, Public, Some("redeem")));
        let start = [authorize.clone(), redeem.clone()];
        let with = |more: &[PlannedStep]| [&start[..], more].concat();

        let names = |list: &[&str]| Some(list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        // A longer flow stands for its beginning; what only reads goes anywhere.
        assert_eq!(united(&with(std::slice::from_ref(&rotate)), &start), names(&["authorize", "redeem", "rotate"]));
        assert_eq!(
            united(&with(std::slice::from_ref(&rotate)), &with(std::slice::from_ref(&used))),
            names(&["authorize", "redeem", "use", "rotate"])
        );
        // Another client in a session of its own, before what a third flow goes on with.
        let other = [step("other.authorize", A, Second, None), step("other.redeem", T, Second, Some("other.authorize"))];
        assert_eq!(
            united(&with(std::slice::from_ref(&rotate)), &with(&other)),
            names(&["authorize", "redeem", "other.authorize", "other.redeem", "rotate"])
        );
        // What uses the tokens of the flow, or ends some, may be why the next step is granted or refused.
        for between in [
            step("revoke", V, Public, Some("redeem")),
            step("again", T, Public, Some("redeem")),
            step("other.authorize", A, Public, None),
            step("other.redeem", T, Second, Some("authorize")),
        ] {
            let last = step("last", T, Public, Some(between.name.as_str()));
            assert_eq!(united(&with(std::slice::from_ref(&rotate)), &with(&[between.clone(), last])), None, "{}", between.name);
        }
        // One name, two requests.
        assert_eq!(united(&start, &[authorize, step("redeem", T, Public, None)]), None);
    }
}
