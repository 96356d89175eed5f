//! The table of the verdict calculus, row by row, and its properties for arbitrary observations.

use proptest::prelude::*;

use super::*;
use crate::model::observation::Exchange;
use crate::model::scenario::Scenario;
use crate::scenario::resolve::{self, Library};

/// A scenario as an author would write it: redemption with a wrong verifier, with a condition on the control.
const TEXT: &str = "
id: pkce/wrong
title: t
defense: d
severity: high
basis: [X]
level: {baseline: must}
harm: h
fix: f
applies_when:
  - control.redeem.refresh_token: present
    else: no refresh token
control:
  flow: authorization_code
  steps: [authorize, redeem]
attacks:
  - id: a
    change:
      redeem:
        replace:
          code_verifier: x
    holds_if_any:
      - redeem: refused
        as: invalid_grant
    broken_if_any:
      - redeem: issued
    proved_by: flaw
";

fn scenario_of(text: &str) -> Scenario {
    let flow = include_str!("../../flows/authorization_code.yaml");
    let flow = crate::yaml::read("flow", flow).unwrap_or_else(|d| panic!("{d:?}"));
    let library = Library {
        flows: [("authorization_code".to_owned(), flow)].into(),
        requirements: ["X".to_owned()].into(),
        flaws: ["flaw".to_owned()].into(),
        ..Library::default()
    };
    resolve::scenario("test.yaml", text, None, &library).unwrap_or_else(|d| panic!("{}", d[0]))
}

fn step(name: &str, kind: StepKind, outcome: Outcome, fields: &[(&str, &str)]) -> StepObservation {
    StepObservation {
        fields: fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        shape: format!("shape of {}", outcome.words()),
        ..StepObservation::new(name, kind, outcome)
    }
}

/// A trial of both steps; the redemption is answered with 400 invalid_grant when it is refused.
fn trial(authorize: Outcome, redeem: Outcome) -> Trial {
    let fields: &[(&str, &str)] = match redeem {
        Outcome::Issued => &[("refresh_token", "r"), ("access_token", "a"), ("status", "200")],
        Outcome::Refused => &[("error", "invalid_grant"), ("status", "400")],
        _ => &[],
    };
    Trial {
        steps: vec![
            step("authorize", StepKind::AuthorizationRequest, authorize, &[]),
            step("redeem", StepKind::TokenRequest, redeem, fields),
        ],
        ..Trial::default()
    }
}

static SCENARIO: std::sync::LazyLock<Scenario> = std::sync::LazyLock::new(|| scenario_of(TEXT));

/// That a renewal was found malformed is no sign that renewals bring nothing new.
#[test]
fn what_a_refused_renewal_would_have_brought_is_not_known() {
    let applies = |error: &str, grant: &str| {
        let mut before = trial(Outcome::Issued, Outcome::Refused);
        let redeem = &mut before.steps[1];
        redeem.fields.insert("error".into(), error.into());
        redeem.sent.insert("grant_type".into(), grant.into());
        super::applies(&SCENARIO.applies_when[0], &SCENARIO.control, &before, &[])
    };
    assert!(matches!(applies("invalid_request", "refresh_token"), Applies::Unknown(..)));
    assert_eq!(applies("unauthorized_client", "refresh_token"), Applies::No);
    assert_eq!(applies("invalid_request", "authorization_code"), Applies::No);
}

/// A login that nobody answered is no session that was not taken over.
#[test]
fn what_comes_after_a_step_that_came_to_nothing_decides_nothing() {
    let changed = "      authorize:\n        set:\n          prompt: login\n";
    let scenario = scenario_of(&TEXT.replace("      redeem:\n        replace:\n          code_verifier: x\n", changed));
    let control = trial(Outcome::Issued, Outcome::Issued);
    for (outcome, decides) in [
        (Outcome::Issued, true),
        (Outcome::Refused, true),
        (Outcome::TimedOut, false),
        (Outcome::Crashed, false),
        (Outcome::Stuck, false),
        (Outcome::Unreachable, false),
    ] {
        let seen = sight(&scenario.attacks[0], &trial(outcome, Outcome::Refused), &control, &[]);
        assert_eq!(matches!(seen, Sight::Refusal(_)), decides, "{outcome:?}: {seen:?}");
    }
    // The harm as well, where an answer is missing.
    let harm = |outcome| sight(&scenario.attacks[0], &trial(outcome, Outcome::Issued), &control, &[]);
    assert!(matches!(harm(Outcome::TimedOut), Sight::Neither { .. }) && matches!(harm(Outcome::Refused), Sight::Harm(_)));
}

fn judged(before: Option<&Trial>, attempts: &[Trial], after: Option<&Trial>) -> Judgement {
    let scenario = &*SCENARIO;
    let attack = &scenario.attacks[0];
    let attempts = all_shown(attack, before, attempts, &[]);
    let evidence = Evidence { before, attempts: &attempts, after, negatives: &[], controls: &[] };
    case(&scenario.control, &[&scenario.applies_when], attack, evidence)
}

fn all_shown(attack: &Attack, before: Option<&Trial>, attempts: &[Trial], negatives: &[NegativeControl]) -> Vec<Shown> {
    before.map_or_else(Vec::new, |before| attempts.iter().map(|trial| shown(attack, trial, before, negatives)).collect())
}

/// The first attack of a scenario without conditions, between two controls that were granted.
fn between(scenario: &Scenario, granted: &Trial, attempts: &[Trial], negatives: &[NegativeControl]) -> Judgement {
    let attempts = all_shown(&scenario.attacks[0], Some(granted), attempts, negatives);
    let evidence = Evidence { before: Some(granted), attempts: &attempts, after: Some(granted), negatives, controls: &[] };
    case(&scenario.control, &[], &scenario.attacks[0], evidence)
}

/// Where the server refuses what the control itself bends and grants the same client its plain request, there is nothing to
/// attack; without that sight the reason stays open.
#[test]
fn a_bent_control_that_is_refused() {
    let bent =
        TEXT.replace("  steps: [authorize, redeem]\n", "  steps: [authorize, redeem]\n  change:\n    authorize:\n      remove: [state]\n");
    let scenario = scenario_of(&bent);
    let with_client = |mut trial: Trial| {
        for step in &mut trial.steps {
            step.sent.insert("client_id".into(), "c".into());
        }
        trial
    };
    let before = with_client(trial(Outcome::Refused, Outcome::NotSent));
    let judged = |before: &Trial, controls: &[Trial]| {
        let evidence = Evidence { before: Some(before), attempts: &[], after: None, negatives: &[], controls };
        case(&scenario.control, &[], &scenario.attacks[0], evidence).verdict
    };
    let plain = [with_client(trial(Outcome::Issued, Outcome::Issued))];
    assert_eq!(judged(&before, &plain), Verdict::NotApplicable);
    assert_eq!(judged(&before, &[]), Verdict::Inconclusive);
    assert_eq!(judged(&before, &[trial(Outcome::Issued, Outcome::Issued)]), Verdict::Inconclusive, "another client");
    assert_eq!(judged(&with_client(trial(Outcome::Crashed, Outcome::NotSent)), &plain), Verdict::Inconclusive);
    // What follows from the bent request is the bend's doing, where the plain flow of the client came so far.
    let further = with_client(trial(Outcome::Issued, Outcome::Refused));
    assert_eq!(judged(&further, &plain), Verdict::NotApplicable);
    assert_eq!(judged(&further, std::slice::from_ref(&further)), Verdict::Inconclusive, "nobody came further");
    // An answer of the shape of this server's refusals is one.
    let strange = with_client(trial(Outcome::Unclear, Outcome::NotSent));
    let negatives = [NegativeControl {
        kind: StepKind::AuthorizationRequest,
        what: "a client that never existed".into(),
        answer: strange.steps[0].clone(),
        leads_nowhere: false,
    }];
    let evidence = Evidence { before: Some(&strange), attempts: &[], after: None, negatives: &negatives, controls: &plain };
    assert_eq!(case(&scenario.control, &[], &scenario.attacks[0], evidence).verdict, Verdict::NotApplicable);
    assert_eq!(judged(&strange, &plain), Verdict::Inconclusive);
    // The plain flow of the scenario above is no bent one: its refusal is a matter of the set-up.
    assert_eq!(self::judged(Some(&before), &[], None).verdict, Verdict::Inconclusive);
}

#[test]
fn a_bend_of_another_part_explains_nothing() {
    let bent = TEXT.replace("attacks:", "  change:\n    authorize:\n      set:\n        prompt: none\nattacks:");
    let mut control = scenario_of(&bent).control;
    let trial = trial(Outcome::Issued, Outcome::Refused);
    let failed = granted(&control, &trial).expect_err("the redemption was refused");
    assert!(Bend::before(&control, &trial, &failed).is_some());
    control.parts = vec![vec!["authorize".into()], vec!["authorize".into(), "redeem".into()]];
    assert!(Bend::before(&control, &trial, &failed).is_some());
    control.parts = vec![vec!["authorize".into()], vec!["redeem".into()]];
    assert!(Bend::before(&control, &trial, &failed).is_none());
}

#[test]
fn the_table() {
    use Outcome::*;
    let granted = trial(Issued, Issued);
    let refused = trial(Issued, Refused);
    let one = |t: &Trial| vec![t.clone()];
    let two = |t: &Trial| vec![t.clone(), t.clone()];
    let no_refresh = Trial {
        steps: vec![
            step("authorize", StepKind::AuthorizationRequest, Issued, &[]),
            step("redeem", StepKind::TokenRequest, Issued, &[("access_token", "a")]),
        ],
        ..Trial::default()
    };
    type Row<'a> = (&'a str, Option<&'a Trial>, Vec<Trial>, Option<&'a Trial>, Verdict, &'a str);
    let stuck = trial(Stuck, NotSent);
    let crashed = trial(Issued, Crashed);
    let throttled = trial(Issued, Throttled);
    let rows: Vec<Row> = vec![
        ("no control", None, one(&refused), Some(&granted), Verdict::Inconclusive, "the control was not run"),
        ("control before fails", Some(&stuck), one(&refused), Some(&granted), Verdict::Inconclusive, "authorize was stuck"),
        ("does not apply", Some(&no_refresh), vec![], None, Verdict::NotApplicable, "no refresh token"),
        ("harm, repeated", Some(&granted), two(&granted), Some(&granted), Verdict::Broken, "redeem was issued"),
        ("harm, control after fails", Some(&granted), two(&granted), Some(&crashed), Verdict::Broken, "redeem was issued"),
        ("harm, once", Some(&granted), one(&granted), Some(&granted), Verdict::Inconclusive, "the repetition is missing"),
        ("harm, then refusal", Some(&granted), vec![granted.clone(), refused.clone()], Some(&granted), Verdict::Inconclusive, "unstable"),
        ("refusal", Some(&granted), one(&refused), Some(&granted), Verdict::Holds, "redeem was refused"),
        ("refusal, control after fails", Some(&granted), one(&refused), Some(&throttled), Verdict::Inconclusive, "refuses the control too"),
        ("refusal, no control after", Some(&granted), one(&refused), None, Verdict::Inconclusive, "not run again"),
        ("crash", Some(&granted), one(&crashed), Some(&granted), Verdict::Inconclusive, "redeem has crashed"),
        ("throttled", Some(&granted), one(&throttled), Some(&granted), Verdict::Inconclusive, "throttled"),
        ("nothing was run", Some(&granted), vec![], Some(&granted), Verdict::Inconclusive, "the attack was not run"),
    ];
    for (name, before, attempts, after, verdict, reason) in rows {
        let judgement = judged(before, &attempts, after);
        assert_eq!(judgement.verdict, verdict, "{name}: {judgement:?}");
        assert!(judgement.reason.contains(reason), "{name}: {}", judgement.reason);
    }
}

#[test]
fn the_party_at_fault_is_named() {
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let table = [
        (Outcome::Crashed, Party::AuthorizationServer),
        (Outcome::Throttled, Party::Edge),
        (Outcome::Unreachable, Party::Edge),
        (Outcome::TimedOut, Party::Edge),
    ];
    for (outcome, party) in table {
        let attack = trial(Outcome::Issued, outcome);
        assert_eq!(judged(Some(&granted), &[attack], Some(&granted)).at_fault, Some(party), "{outcome:?}");
    }
    let stuck = trial(Outcome::Stuck, Outcome::NotSent);
    assert_eq!(judged(Some(&stuck), &[], None).at_fault, Some(Party::LoginPage));
}

#[test]
fn a_refusal_with_another_wording_holds_with_a_deviation() {
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let mut odd = trial(Outcome::Issued, Outcome::Refused);
    odd.steps[1].fields = [("error".to_owned(), "invalid_code".to_owned()), ("status".to_owned(), "403".to_owned())].into();
    let judgement = judged(Some(&granted), &[odd], Some(&granted));
    assert_eq!(judgement.verdict, Verdict::Holds);
    assert_eq!(judgement.deviations.len(), 2, "{:?}", judgement.deviations);
}

#[test]
fn a_crash_counts_as_refused_only_where_the_negative_control_crashed_alike() {
    let scenario = scenario_of(TEXT);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let crashed = trial(Outcome::Issued, Outcome::Crashed);
    let negative = |shape: &str| NegativeControl {
        kind: StepKind::TokenRequest,
        what: "a code that never existed".into(),
        answer: StepObservation { shape: shape.into(), ..step("n", StepKind::TokenRequest, Outcome::Crashed, &[]) },
        leads_nowhere: false,
    };
    let with = |negatives: &[NegativeControl]| between(&scenario, &granted, std::slice::from_ref(&crashed), negatives);
    let same = with(&[negative(&crashed.steps[1].shape)]);
    assert_eq!((same.verdict, same.deviations.len()), (Verdict::Holds, 1));
    assert_eq!(with(&[negative("500 text/html other")]).verdict, Verdict::Inconclusive);
    assert_eq!(with(&[]).verdict, Verdict::Inconclusive);
    // How a client is refused that asks for a token of its own says nothing of a code.
    let mut own = negative(&crashed.steps[1].shape);
    own.answer.sent.insert("grant_type".into(), "client_credentials".into());
    assert_eq!(with(std::slice::from_ref(&own)).verdict, Verdict::Inconclusive);
    let mut asks = crashed.clone();
    asks.steps[1].sent.insert("grant_type".into(), "client_credentials".into());
    assert_eq!(between(&scenario, &granted, &[asks], &[own]).verdict, Verdict::Holds);
}

/// A page that a script fills in may say anything, unless the pages that lead to the client are known to look otherwise.
#[test]
fn a_page_with_scripts_is_a_refusal_where_no_page_on_the_way_looks_like_it() {
    let scenario = scenario_of(TEXT);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let mut odd = trial(Outcome::Issued, Outcome::Unclear);
    odd.steps[1].shape = "200 text/html 5cb48e script".into();
    let with = |leads_nowhere: bool| {
        let what = "a code that never existed".into();
        let negative = NegativeControl { kind: StepKind::TokenRequest, what, answer: odd.steps[1].clone(), leads_nowhere };
        between(&scenario, &granted, std::slice::from_ref(&odd), &[negative]).verdict
    };
    assert_eq!((with(true), with(false)), (Verdict::Holds, Verdict::Inconclusive));
}

/// A refresh that is granted shows that a token is alive, unless this server renews whatever it is shown.
#[test]
fn a_refresh_shows_nothing_where_any_token_is_renewed() {
    let text = TEXT
        .replace("broken_if_any:\n      - redeem: issued", "broken_if_any:\n      - redeem: refused")
        .replace("- redeem: refused\n        as: invalid_grant", "- redeem: issued");
    let scenario = scenario_of(&text);
    let mut renewed = trial(Outcome::Issued, Outcome::Issued);
    renewed.steps[1].sent.insert("grant_type".into(), "refresh_token".into());
    let with = |outcome: Outcome| {
        let answer = StepObservation {
            sent: [("grant_type".to_owned(), "refresh_token".to_owned())].into(),
            ..step("n", StepKind::TokenRequest, outcome, &[])
        };
        let what = "a refresh token that never existed".into();
        let negative = NegativeControl { kind: StepKind::TokenRequest, what, answer, leads_nowhere: false };
        between(&scenario, &renewed, std::slice::from_ref(&renewed), &[negative]).verdict
    };
    assert_eq!((with(Outcome::Refused), with(Outcome::Issued)), (Verdict::Holds, Verdict::Inconclusive));
}

#[test]
fn what_was_not_delivered_proves_nothing() {
    let granted = trial(Outcome::Issued, Outcome::Issued);
    for outcome in [Outcome::Refused, Outcome::Issued] {
        let mut attack = trial(Outcome::Issued, outcome);
        attack.steps[1].undelivered = Some("the change is missing".into());
        let judgement = judged(Some(&granted), &[attack.clone(), attack], Some(&granted));
        assert_eq!((judgement.verdict, judgement.at_fault), (Verdict::Inconclusive, Some(Party::Grantproof)));
    }
}

/// A forged token at the resource: the same text, and what the resource does to a made-up one.
#[test]
fn an_endpoint_that_takes_anything_shows_nothing() {
    let text = TEXT
        .replace("steps: [authorize, redeem]", "steps: [authorize, redeem, use]")
        .replace("      redeem:\n        replace:\n          code_verifier: x", "      use:\n        replace:\n          access_token: x")
        .replace("- redeem: refused\n        as: invalid_grant", "- use: refused")
        .replace("- redeem: issued", "- use: accepted");
    let scenario = scenario_of(&text);
    let mut attack = trial(Outcome::Issued, Outcome::Issued);
    attack.steps.push(step("use", StepKind::ResourceRequest, Outcome::Accepted, &[]));
    let negative = |outcome| NegativeControl {
        kind: StepKind::ResourceRequest,
        what: "a made-up token".into(),
        answer: step("n", StepKind::ResourceRequest, outcome, &[]),
        leads_nowhere: false,
    };
    let with = |negatives: &[NegativeControl]| between(&scenario, &attack, &[attack.clone(), attack.clone()], negatives);
    let refuses = with(&[negative(Outcome::Refused)]);
    assert_eq!((refuses.verdict, refuses.confirmed), (Verdict::Broken, true));
    let takes = with(&[negative(Outcome::Accepted)]);
    assert_eq!((takes.verdict, takes.at_fault), (Verdict::Inconclusive, Some(Party::Resource)));
    assert_eq!(with(&[]).verdict, Verdict::Inconclusive, "never asked is not refused");
}

/// Whoever misses a scope has taken the token for genuine (RFC 6750 §3.1): that is the refusal where the scope is what is tried, and nowhere else.
#[test]
fn a_missing_scope_refuses_no_token() {
    let text = |holds: &str| {
        TEXT.replace("steps: [authorize, redeem]", "steps: [authorize, redeem, use]")
            .replace(
                "      redeem:\n        replace:\n          code_verifier: x",
                "      use:\n        replace:\n          access_token: x",
            )
            .replace("- redeem: refused\n        as: invalid_grant", holds)
            .replace("- redeem: issued", "- use: accepted")
    };
    let place = |fields: &[(&str, &str)]| {
        let mut place = step("use", StepKind::ResourceRequest, Outcome::Refused, fields);
        place.fields.insert("endpoint".into(), "resource".into());
        place.sent.insert("access_token".into(), "x".into());
        place
    };
    let judged = |holds: &str, answer: &[(&str, &str)], made_up: &[(&str, &str)]| {
        let mut granted = trial(Outcome::Issued, Outcome::Issued);
        let mut attack = granted.clone();
        granted.steps.push(step("use", StepKind::ResourceRequest, Outcome::Accepted, &[]));
        attack.steps.push(place(answer));
        let what = "a made-up token".to_owned();
        let negative = NegativeControl { kind: StepKind::ResourceRequest, what, answer: place(made_up), leads_nowhere: false };
        between(&scenario_of(&text(holds)), &granted, &[attack], &[negative])
    };
    let (invalid, scope): (&[_], &[_]) = (&[("error", "invalid_token")], &[("error", "insufficient_scope"), ("status", "403")]);
    assert_eq!(judged("- use: refused", invalid, invalid).verdict, Verdict::Holds);
    let of_scope = judged("- use: refused\n        as: invalid_token", scope, invalid);
    assert_eq!(of_scope.verdict, Verdict::Inconclusive);
    assert!(of_scope.reason.contains("taken for genuine"), "{of_scope:?}");
    assert_eq!(judged("- use: refused\n        as: insufficient_scope", scope, invalid).verdict, Verdict::Holds);
    let named = "- use: refused\n        use.error: equals insufficient_scope";
    assert_eq!(judged(named, scope, invalid).verdict, Verdict::Holds);
    assert_eq!(judged("- use: refused", scope, scope).verdict, Verdict::Holds, "it says so to any text");
}

#[test]
fn a_grace_window_is_lawful_and_is_reported() {
    let text = TEXT.replace("    proved_by: flaw", "    confirm_after: ${target.refresh_grace}\n    proved_by: flaw");
    let scenario = scenario_of(&text);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let with = |waited_millis: u64| {
        let mut late = trial(Outcome::Issued, Outcome::Refused);
        late.steps[1].waited_millis = waited_millis;
        between(&scenario, &granted, &[granted.clone(), late], &[])
    };
    assert_eq!(with(0).verdict, Verdict::Inconclusive, "without a pause it is a server that flaps");
    let judgement = with(65_000);
    assert_eq!(judgement.verdict, Verdict::Holds);
    assert!(judgement.deviations.iter().any(|d| d.contains("grace window")), "{judgement:?}");
}

/// A client that was just given tokens and may not revoke is a fact of the server; another one's wrong secret is not.
#[test]
fn who_may_not_revoke() {
    let judged = |step_name: &str, sessions: &str| {
        let text = TEXT
            .replace(
                "  - control.redeem.refresh_token: present\n    else: no refresh token",
                &format!("  - control.{step_name}.status: differs 401\n    else: it may not revoke"),
            )
            .replace("  steps: [authorize, redeem]\n", &format!("  steps: [authorize, redeem, {step_name}]\n{sessions}"));
        let scenario = scenario_of(&text);
        let mut before = trial(Outcome::Issued, Outcome::Issued);
        before.steps.push(step(
            step_name,
            StepKind::RevocationRequest,
            Outcome::Refused,
            &[("error", "invalid_client"), ("status", "401")],
        ));
        before.steps[2].note = "401 invalid_client".into();
        let evidence = Evidence { before: Some(&before), attempts: &[], after: None, negatives: &[], controls: &[] };
        case(&scenario.control, &[&scenario.applies_when], &scenario.attacks[0], evidence)
    };
    let fact = judged("revoke", "");
    assert_eq!(fact.verdict, Verdict::NotApplicable);
    assert_eq!(fact.reason, "it may not revoke (revoke was refused: 401 invalid_client)", "with the words of the server");
    assert_eq!(judged("other.revoke", "  sessions:\n    other: {client: second}\n").verdict, Verdict::Inconclusive);
}

/// A page that this server shows for what nobody may grant is its refusal: what a control's step would have brought, it does not bring.
#[test]
fn a_refusal_in_words_of_its_own_excludes() {
    let text = TEXT.replace(
        "  - control.redeem.refresh_token: present\n    else: no refresh token",
        "  - control.authorize.delivered_to: equals registered\n    else: errors stay on pages",
    );
    let scenario = scenario_of(&text);
    let page = |name: &str, shape: &str| {
        let mut page = step(name, StepKind::AuthorizationRequest, Outcome::Unclear, &[("status", "200")]);
        page.shape = shape.into();
        page
    };
    let applies = |shape: &str| {
        let mut before = trial(Outcome::Issued, Outcome::Issued);
        before.steps[0] = page("authorize", shape);
        let answer = page("negative control", "error page");
        let kind = StepKind::AuthorizationRequest;
        let negatives = [NegativeControl { kind, what: "nobody".into(), answer, leads_nowhere: true }];
        super::applies(&scenario.applies_when[0], &scenario.control, &before, &negatives)
    };
    assert_eq!(applies("error page"), Applies::No);
    assert!(matches!(applies("another page"), Applies::Unknown(..)));
}

/// Chance decides a race: two sights of two winners break it, however many bursts had one; a single sight stays open.
#[test]
fn races_are_counted_over_all_bursts() {
    let text = TEXT
        .replace("          code_verifier: x\n", "")
        .replace("      redeem:\n        replace:\n", "      redeem:\n        burst: 8\n")
        .replace("      - redeem: refused\n        as: invalid_grant\n", "      - redeem.winners: at_most 1\n")
        .replace("      - redeem: issued\n", "      - redeem.winners: more_than 1\n");
    let scenario = scenario_of(&text);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let burst = |winners: &str| {
        let mut trial = granted.clone();
        trial.steps[1].fields.insert("winners".into(), winners.into());
        trial
    };
    let (won, lost, crashed) = (burst("3"), burst("1"), trial(Outcome::Issued, Outcome::Crashed));
    let judged = |attempts: &[&Trial]| {
        let attempts: Vec<Trial> = attempts.iter().map(|t| (*t).clone()).collect();
        between(&scenario, &granted, &attempts, &[])
    };
    let broken = judged(&[&won, &lost, &crashed, &won]);
    assert_eq!(broken.verdict, Verdict::Broken);
    assert!(broken.reason.ends_with("in 2 of 4 bursts"), "{}", broken.reason);
    assert_eq!(judged(&[&won, &lost, &lost]).verdict, Verdict::Inconclusive);
    assert_eq!(judged(&[&crashed, &lost]).verdict, Verdict::Holds);
    assert_eq!(judged(&[&crashed, &crashed]).verdict, Verdict::Inconclusive, "nothing was refused");
}

/// Refusals that are no OAuth error are told; a list is told by its first line.
#[test]
fn a_burst_tells_what_else_came() {
    let text = TEXT
        .replace("          code_verifier: x\n", "")
        .replace("      redeem:\n        replace:\n", "      redeem:\n        burst: 8\n")
        .replace(
            "      - redeem: refused\n        as: invalid_grant\n",
            "      - redeem.winners: at_most 1\n        redeem.refresh_tokens: present\n",
        )
        .replace("      - redeem: issued\n", "      - redeem.winners: more_than 1\n");
    let scenario = scenario_of(&text);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let mut burst = granted.clone();
    for (field, value) in [("winners", "1"), ("odd_refusals", "7"), ("refresh_tokens", "a\nb\nc")] {
        burst.steps[1].fields.insert(field.into(), value.into());
    }
    let held = between(&scenario, &granted, &[burst], &[]);
    assert_eq!((held.verdict, held.deviations.len()), (Verdict::Holds, 1));
    assert!(held.deviations[0].starts_with("7 of the requests"), "{:?}", held.deviations);
    assert!(held.reason.ends_with("redeem.refresh_tokens is `a` and 2 more"), "{}", held.reason);
}

/// A connection that was cut says nothing, and neither takes away nor adds to what the trials say that came through.
#[test]
fn a_connection_that_was_cut_is_no_attempt() {
    let scenario = scenario_of(TEXT);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let (harm, refusal) = (granted.clone(), trial(Outcome::Issued, Outcome::Refused));
    let mut cut = trial(Outcome::Issued, Outcome::Crashed);
    cut.steps[1].exchanges.push(Exchange {
        method: "POST".into(),
        url: "http://127.0.0.1/token".into(),
        request_headers: Vec::new(),
        request_body: String::new(),
        certificate: None,
        status: 0,
        response_headers: Vec::new(),
        response_body: String::new(),
        error: Some("the connection broke".into()),
        server_micros: 0,
    });
    let mut answered = cut.clone();
    answered.steps[1].exchanges[0].status = 500;
    let judged = |attempts: &[&Trial]| {
        let attempts: Vec<Trial> = attempts.iter().map(|t| (*t).clone()).collect();
        between(&scenario, &granted, &attempts, &[]).verdict
    };
    assert_eq!(judged(&[&cut, &refusal]), Verdict::Holds);
    assert_eq!(judged(&[&cut, &harm, &harm]), Verdict::Broken);
    assert_eq!(judged(&[&harm, &cut]), Verdict::Inconclusive, "the repetition is missing");
    assert_eq!(judged(&[&cut, &cut]), Verdict::Inconclusive);
    assert_eq!(judged(&[&answered, &refusal]), Verdict::Inconclusive, "a server error is an answer, and unstable");
}

#[test]
fn what_turns_out_to_be_no_attack_is_not_held() {
    let text = TEXT.replace("    proved_by: flaw", "    moot_if_any:\n      - authorize.form_pages: at_most 0\n    proved_by: flaw");
    let scenario = scenario_of(&text);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let judged = |pages: Option<&str>, redeem: Outcome| {
        let mut attack = trial(Outcome::Issued, redeem);
        attack.steps[0].fields.extend(pages.map(|n| ("form_pages".to_owned(), n.to_owned())));
        between(&scenario, &granted, &[attack.clone(), attack], &[]).verdict
    };
    assert_eq!(judged(Some("0"), Outcome::Unclear), Verdict::NotApplicable);
    assert_eq!(judged(Some("1"), Outcome::Unclear), Verdict::Inconclusive);
    assert_eq!(judged(None, Outcome::Unclear), Verdict::Inconclusive, "not seen is not absent");
    assert_eq!(judged(Some("0"), Outcome::Issued), Verdict::Broken, "the harm was seen all the same");
    assert_eq!(judged(Some("0"), Outcome::Refused), Verdict::Holds);
}

/// An error at an address that is not registered is no code there: refused, and a deviation. With a code it is none.
#[test]
fn a_refusal_that_goes_astray() {
    let text = TEXT.replace("      - redeem: refused\n        as: invalid_grant", "      - authorize: refused");
    let mut scenario = scenario_of(&text);
    scenario.attacks[0].change = vec![("authorize".into(), Vec::new())];
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let judged = |fields: &[(&str, &str)]| {
        let mut attack = trial(Outcome::Strayed, Outcome::NotSent);
        attack.steps[0].fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        between(&scenario, &granted, &[attack], &[])
    };
    let astray = judged(&[("error", "invalid_request"), ("location", "https://evil.example/cb?error=invalid_request")]);
    assert_eq!(astray.verdict, Verdict::Holds, "{}", astray.reason);
    assert!(astray.deviations.iter().any(|d| d.contains("not registered")), "{:?}", astray.deviations);
    assert_ne!(judged(&[("error", "x"), ("code", "c")]).verdict, Verdict::Holds);
    assert_ne!(judged(&[("location", "https://evil.example/")]).verdict, Verdict::Holds);
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    proptest::sample::select(Outcome::ALL)
}

fn any_trial() -> impl Strategy<Value = Trial> {
    (any_outcome(), any_outcome(), any::<bool>(), any::<bool>()).prop_map(|(authorize, redeem, refresh, undelivered)| {
        let mut trial = trial(authorize, redeem);
        if !refresh {
            trial.steps[1].fields.remove("refresh_token");
        }
        if undelivered && refresh {
            trial.steps[1].undelivered = Some("lost".into());
        }
        trial
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_verdict_by_absence(
        before in proptest::option::of(any_trial()),
        attempts in proptest::collection::vec(any_trial(), 0..4),
        after in proptest::option::of(any_trial()),
    ) {
        let scenario = &*SCENARIO;
        let judgement = judged(before.as_ref(), &attempts, after.as_ref());
        let is_granted = |t: &Option<Trial>| t.as_ref().is_some_and(|t| granted(&scenario.control, t).is_ok());
        let outcome = |t: &Trial| t.steps[1].outcome;
        match judgement.verdict {
            Verdict::Holds => {
                prop_assert!(is_granted(&before) && is_granted(&after), "both controls");
                prop_assert!(!attempts.is_empty() && attempts.iter().all(|t| outcome(t) == Outcome::Refused), "the refusal was seen");
            }
            Verdict::Broken => {
                prop_assert!(is_granted(&before), "the control before");
                prop_assert!(attempts.len() >= 2 && attempts.iter().all(|t| outcome(t) == Outcome::Issued), "the harm was seen twice");
            }
            Verdict::NotApplicable => {
                let control = before.as_ref().map(|t| &t.steps[1]);
                let by_control = control.is_some_and(|s| !s.fields.contains_key("refresh_token"));
                let by_document = attempts.iter().flat_map(|t| &t.steps).any(|s| s.outcome == Outcome::Impossible);
                prop_assert!(by_control || by_document, "with a proof");
            }
            Verdict::Inconclusive | Verdict::Skipped => {}
        }
        // Monotone in the controls: a worse control never makes a verdict more certain.
        let certain = |v: Verdict| matches!(v, Verdict::Holds | Verdict::Broken);
        let failed = trial(Outcome::Crashed, Outcome::NotSent);
        prop_assert!(!certain(judged(Some(&failed), &attempts, after.as_ref()).verdict));
        let worse_after = judged(before.as_ref(), &attempts, Some(&failed)).verdict;
        prop_assert!(worse_after != Verdict::Holds);
        prop_assert_eq!(worse_after == Verdict::Broken, judgement.verdict == Verdict::Broken);
    }

    #[test]
    fn the_worst_of_several_is_one_of_them(codes in proptest::collection::vec(0usize..5, 1..6)) {
        let judgements: Vec<Judgement> = codes.iter().map(|c| Judgement::new(Verdict::ALL[*c], "r")).collect();
        let worst = worst(&judgements).verdict;
        prop_assert!(judgements.iter().all(|j| j.verdict.weight() <= worst.weight()));
        prop_assert!(judgements.iter().any(|j| j.verdict == worst));
    }
}

#[test]
fn what_the_target_file_lacks_is_skipped_and_not_proved_away() {
    let text = TEXT.replace("control.redeem.refresh_token: present", "target.extra_scope: present");
    let scenario = scenario_of(&text);
    let granted = trial(Outcome::Issued, Outcome::Issued);
    let evidence = Evidence { before: Some(&granted), attempts: &[], after: None, negatives: &[], controls: &[] };
    let judgement = case(&scenario.control, &[&scenario.applies_when], &scenario.attacks[0], evidence);
    assert_eq!((judgement.verdict, judgement.reason.as_str()), (Verdict::Skipped, "no refresh token"));
}
