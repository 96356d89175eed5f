//! Attacks on a client that is refused what they need: another client of the target file may have it. Many servers give refresh tokens to
//! confidential clients alone, or let nobody push a request who does not authenticate.

use std::collections::BTreeSet;

use crate::judge::{self, Applies};
use crate::model::observation::{Outcome, Trial};
use crate::model::predicate::Predicate;
use crate::model::scenario::Applicability;
use crate::model::value::Reference;
use crate::plan::{self, Case};

use super::{Framed, Runner};

impl<'r> Runner<'r> {
    /// Finds the cases whose control shows that the default client does not get what they attack, and has the next client of the target
    /// file try. Where that one gets it, the case is its; where nobody does, it stays with the first.
    pub(super) async fn on_other_clients<'a>(&mut self, groups: &mut Vec<Framed<'a>>) {
        let target = &self.engine.target;
        let lacking = |framed: &Framed<'a>| {
            let trial = framed.controls.last().and_then(|number| self.record.controls.get(*number));
            framed.group.cases.iter().filter(move |case| trial.is_some_and(|trial| lacks(case, trial))).cloned().collect::<Vec<Case<'a>>>()
        };
        let mut open: Vec<Case<'a>> = groups.iter().flat_map(lacking).filter_map(|case| plan::with_next_client(&case, target)).collect();
        let mut found = Vec::new();
        while !open.is_empty() {
            let mut lacking = Vec::new();
            for mut group in plan::grouped(std::mem::take(&mut open)) {
                if self.stop.is_stopped() {
                    return;
                }
                let (number, _granted) = self.control(&group.control, "before, as another client").await;
                let Some(trial) = self.record.controls.get(number) else { continue };
                let works = |case: &Case<'_>| judge::granted(&case.control, trial).is_ok() && self.applies(case, trial);
                let (works, not): (Vec<_>, Vec<_>) = group.cases.into_iter().partition(works);
                lacking.extend(not);
                group.cases = works;
                if !group.cases.is_empty() {
                    found.push(Framed { group, controls: vec![number] });
                }
            }
            open = lacking.iter().filter_map(|case| plan::with_next_client(case, &self.engine.target)).collect();
        }
        let taken: BTreeSet<String> = found.iter().flat_map(|framed| &framed.group.cases).map(Case::name).collect();
        groups.iter_mut().for_each(|framed| framed.group.cases.retain(|case| !taken.contains(&case.name())));
        groups.extend(found);
    }
}

/// What a client gets by its registration: another one may get it where this one does not.
const BY_REGISTRATION: &[&str] = &["refresh_token", "id_token", "scope", "access_token_format"];

/// Whether the control of a case shows that the default client does not get what the case needs: it was refused a step, or not given
/// what is given by registration.
fn lacks(case: &Case<'_>, trial: &Trial) -> bool {
    let client = plan::default_client(case);
    let is_its = |name: &str| case.control.steps.iter().any(|step| step.name == name && Some(step.client) == client);
    let is_refused = |name: &str| is_its(name) && trial.step(name).is_some_and(|seen| seen.outcome == Outcome::Refused);
    let is_ungiven = |condition: &Applicability| {
        let could_be = match &condition.predicate {
            Predicate::Outcome { step, .. } => is_refused(step.strip_prefix("control.").unwrap_or(step)),
            Predicate::Field { subject: Reference::ControlField { step, field }, .. } => {
                is_its(step) && BY_REGISTRATION.contains(&field.as_str())
            }
            Predicate::Field { .. } => false,
        };
        could_be && judge::applies(condition, &case.control, trial, &[]) == Applies::No
    };
    judge::granted(&case.control, trial).is_err_and(|failed| is_refused(&failed.step))
        || case.scenario.applies_when.iter().chain(&case.attack.applies_when).any(is_ungiven)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::observation::StepObservation;
    use crate::model::scenario::Risk;
    use crate::model::step::{ClientRole, StepKind};
    use crate::target::{Client, ClientAuthentication, Target};

    /// What a registration decides, another client may get; what the server decides, nobody.
    #[test]
    fn what_another_client_may_get() {
        let catalogue = crate::cli::inputs::catalogue(None).expect("the catalogue");
        let mut target = Target::bare("http://127.0.0.1:1");
        for role in [ClientRole::Public, ClientRole::Second] {
            target.clients.insert(role, Client::new(role.name(), "https://app.example/cb", ClientAuthentication::None));
        }
        let lacks_it = |id: &str, fields: &[(&str, &str)]| {
            let plan = plan::draw(&[&catalogue.scenarios[id]], &target, Risk::Noisy);
            let case = plan.groups.iter().flat_map(|group| &group.cases).find(|case| plan::default_client(case).is_some());
            let case = case.unwrap_or_else(|| panic!("{id} is about clients that it names"));
            let seen = |step: &Arc<crate::model::step::PlannedStep>| StepObservation {
                fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
                ..StepObservation::new(
                    &step.name,
                    step.kind,
                    if step.kind == StepKind::ResourceRequest { Outcome::Accepted } else { Outcome::Issued },
                )
            };
            lacks(case, &Trial { steps: case.control.steps.iter().map(seen).collect(), ..Trial::default() })
        };
        assert!(lacks_it("jwt-access-token/alg-none", &[("access_token_format", "opaque")]));
        assert!(!lacks_it("jwt-access-token/alg-none", &[("access_token_format", "jwt")]));
        assert!(lacks_it("refresh/scope-escalation", &[]));
    }
}
