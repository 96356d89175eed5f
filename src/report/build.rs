//! Recording → report: every case judged, cases to variants, variants to scenarios, causes filed.

use std::collections::BTreeMap;

use crate::curl;
use crate::judge::{self, Evidence, OPEN_RESOURCE};
use crate::model::account::{Account, Sight};
use crate::model::finding::{Measure, MeasuredBy, Probe};
use crate::model::observation::Trial;
use crate::model::predicate::Condition;
use crate::model::report::{CaseRecord, Recording, Report, SCHEMA_VERSION, ScenarioVerdict, Summary, VariantVerdict};
use crate::model::scenario::{Attack, Operation, Scenario, case_name};
use crate::model::verdict::{Judgement, Verdict};
use crate::scenario::catalogue::Catalogue;

/// Judges a recording against the catalogue that it was made with.
///
/// # Errors
/// Evidence that cannot be read back from where it is kept.
pub fn report(catalogue: &Catalogue, mut recording: Recording) -> std::io::Result<Report> {
    let mut by_scenario: BTreeMap<String, Vec<CaseRecord>> = BTreeMap::new();
    for case in std::mem::take(&mut recording.cases) {
        by_scenario.entry(case.scenario.clone()).or_default().push(case);
    }
    let mut verdicts = Vec::with_capacity(catalogue.scenarios.len());
    for entry in catalogue.scenarios.values() {
        verdicts.push(scenario(entry, by_scenario.remove(&entry.id).unwrap_or_default(), &recording)?);
    }
    file_under_causes(catalogue, &mut verdicts);
    worst_first(&mut verdicts);
    Ok(Report {
        advertised: super::beside::advertised(catalogue, &verdicts, &recording.claims),
        measurements: super::beside::measurements(catalogue, &verdicts, &recording.controls),
        schema_version: SCHEMA_VERSION.into(),
        summary: summary(&verdicts),
        run: recording.run,
        target: recording.target,
        verdicts,
        controls: recording.controls,
        negative_controls: recording.negative_controls,
        fatal: recording.fatal,
        warnings: recording.warnings,
        cleaned_up: recording.cleaned_up,
        remains: recording.remains,
        gate: None,
        baseline: None,
        standards: super::coverage::standards(catalogue),
        made_of: Vec::new(),
        integrity: None,
    })
}

/// Puts them in the order of a report.
pub fn worst_first(verdicts: &mut [ScenarioVerdict]) {
    verdicts.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.id.cmp(&b.id)));
}

/// Worst first: broken before undecided, causes before what they imply, by level and severity.
fn rank(v: &ScenarioVerdict) -> (u8, bool, Option<crate::model::profile::Level>, crate::model::profile::Severity) {
    (v.verdict.weight(), v.implied_by.is_none(), v.level, v.severity)
}

fn scenario(scenario: &Scenario, mut cases: Vec<CaseRecord>, recording: &Recording) -> std::io::Result<ScenarioVerdict> {
    let selected = recording.selected.contains(&scenario.id);
    let mut variants = Vec::new();
    let mut judged: Vec<Judgement> = Vec::new();
    let mut lesser: Vec<String> = Vec::new();
    for attack in &scenario.attacks {
        let (mut own, others): (Vec<CaseRecord>, Vec<CaseRecord>) = cases.into_iter().partition(|c| c.attack == attack.id);
        cases = others;
        // In the order of the file, not of who came first: two runs that saw the same make the same report.
        own.sort_by_key(|case| place_of(attack, case.word.as_deref()));
        let none = own.is_empty();
        for mut case in own {
            let account = match case.account.take() {
                Some(account) => account,
                None => account(attack, &case, recording)?,
            };
            let (judgement, measured) = if attack.measures {
                measured(scenario, attack, &case, &account, recording)
            } else {
                (case_judgement(scenario, attack, &case, &account, recording), None)
            };
            // The harm of a lesser attack is a deviation; a refusal of it is a refusal like any other.
            match (attack.lesser, judgement.verdict) {
                _ if attack.measures => {}
                (true, Verdict::Broken) => {
                    let word = case.word.as_ref().map(|w| format!(" ({w})")).unwrap_or_default();
                    lesser.push(format!("{}{word}", attack.title));
                }
                (false, _) | (true, Verdict::Holds) => judged.push(judgement.clone()),
                (true, _) => {}
            }
            variants.push(VariantVerdict { measured, ..variant(scenario, attack, case, judgement, account) });
        }
        if none && selected && !attack.lesser && !attack.measures {
            let why = recording
                .fatal
                .as_deref()
                .map(|f| f.lines().next().unwrap_or(f))
                .or(recording.run.interrupted.as_deref())
                .unwrap_or("it was not run");
            judged.push(Judgement::new(Verdict::Inconclusive, format!("nothing was judged: {why}")));
        }
    }
    let mut overall = if selected { judge::worst(&judged) } else { Judgement::new(Verdict::Skipped, "not selected") };
    overall.deviations.extend(lesser);
    round_count(scenario, &variants, &mut overall);
    Ok(ScenarioVerdict {
        id: scenario.id.clone(),
        title: scenario.title.clone(),
        verdict: overall.verdict,
        confirmed: overall.confirmed,
        deviation: joined(&overall.deviations),
        reason: overall.reason,
        at_fault: overall.at_fault,
        implied_by: None,
        severity: scenario.severity,
        cwe: scenario.cwe.clone(),
        level: scenario.level_in(recording.run.profile),
        basis: scenario.basis.clone(),
        harm: scenario.harm.clone(),
        fix: scenario.fix.clone(),
        selected,
        case: scenario.digest.clone(),
        defense: scenario.defense.clone(),
        waived: None,
        since_baseline: None,
        not_waited: not_waited(overall.verdict, &variants),
        variants,
    })
}

/// The longest of the waits for which a scenario was left out, where nothing else was lacking.
fn not_waited(verdict: Verdict, variants: &[VariantVerdict]) -> Option<u64> {
    let mut skipped = variants.iter().filter(|v| v.verdict == Verdict::Skipped).peekable();
    if verdict != Verdict::Skipped || skipped.peek().is_none() {
        return None;
    }
    skipped.map(|v| v.not_waited).collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// The place of a word among those of the attack; bursts are numbered.
fn place_of(attack: &Attack, word: Option<&str>) -> usize {
    let word = word.unwrap_or_default();
    let listed = attack.for_each.as_ref().and_then(|(_, words)| words.iter().position(|w| w == word));
    listed.or_else(|| word.parse().ok()).unwrap_or(0)
}

/// Races are statistics: "0 of 5 bursts", never a bare `holds`.
fn round_count(scenario: &Scenario, variants: &[VariantVerdict], overall: &mut Judgement) {
    let bursts = scenario.attacks.iter().any(Attack::is_race);
    if bursts && matches!(overall.verdict, Verdict::Holds | Verdict::Broken) {
        let broken = variants.iter().filter(|v| v.verdict == Verdict::Broken).count();
        overall.reason = format!("{broken} of {} bursts succeeded twice; {}", variants.len(), overall.reason);
    }
}

fn joined(deviations: &[String]) -> Option<String> {
    (!deviations.is_empty()).then(|| deviations.join("; "))
}

/// What the trials of a case come to, read off the evidence.
fn account(attack: &Attack, case: &CaseRecord, recording: &Recording) -> std::io::Result<Account> {
    let mut account = Account::default();
    // Without its control nothing is judged, and nothing was tried.
    let Some(before) = case.control_before.and_then(|number| recording.controls.get(number)) else { return Ok(account) };
    for trial in case.attempts.load()?.iter() {
        account.add(trial, judge::shown(attack, trial, before, &recording.negative_controls), curl::decisive(attack, trial));
    }
    Ok(account)
}

fn case_judgement(scenario: &Scenario, attack: &Attack, case: &CaseRecord, account: &Account, recording: &Recording) -> Judgement {
    if let Some(why) = &case.not_applicable {
        return Judgement::new(Verdict::NotApplicable, why.clone());
    }
    if let Some(why) = &case.skipped {
        return Judgement::new(Verdict::Skipped, why.clone());
    }
    let control = |number: Option<usize>| number.and_then(|n| recording.controls.get(n));
    let evidence = Evidence {
        before: control(case.control_before),
        attempts: &account.shown,
        after: control(case.control_after),
        negatives: &recording.negative_controls,
        controls: &recording.controls,
    };
    let judgement = judge::case(&scenario.control, &[&scenario.applies_when, &attack.applies_when], attack, evidence);
    match &recording.run.interrupted {
        Some(why) if judgement.verdict == Verdict::Inconclusive && case.control_after.is_none() => {
            Judgement { reason: format!("{}; {why}", judgement.reason), ..judgement }
        }
        _ => judgement,
    }
}

/// What a case that measures showed: the value of its word, and no verdict.
fn measured(
    scenario: &Scenario,
    attack: &Attack,
    case: &CaseRecord,
    account: &Account,
    recording: &Recording,
) -> (Judgement, Option<Probe>) {
    if let Some(why) = &case.skipped {
        return (Judgement::new(Verdict::NotApplicable, format!("a measurement that was not made: {why}")), None);
    }
    let control = |number: Option<usize>| number.and_then(|n| recording.controls.get(n));
    let Some(shown) = account.shown.last() else {
        return (Judgement::new(Verdict::NotApplicable, "nothing was measured: the control was not granted, or it does not apply"), None);
    };
    let goes_on = |after: &Trial| judge::granted(&scenario.control, after).is_ok();
    // Where "caught" is what is measured, it is the refusal that is looked for as the harm.
    let own = |measure: &&Measure| matches!(&measure.by, MeasuredBy::Attack(id) if *id == attack.id);
    let [yes, no] = match scenario.measures.iter().find(own).and_then(|measure| measure.words.as_ref()) {
        Some([yes, no]) => [yes.as_str(), no.as_str()],
        None => ["taken", "refused"],
    };
    let (taken, words) = match &shown.sight {
        Sight::Harm(seen) => (Some(true), format!("{yes}: {seen}")),
        // A server that refuses everything has refused nothing in particular.
        Sight::Refusal(truth) if control(case.control_after).is_some_and(goes_on) => (Some(false), format!("{no}: {}", truth.seen)),
        _ => (None, format!("neither {yes} nor {no}")),
    };
    let value = case.word.as_deref().and_then(|word| word.parse::<i64>().ok()).map(i64::abs);
    (Judgement::new(Verdict::NotApplicable, format!("a measurement, no verdict: {words}")), value.map(|value| Probe { value, taken }))
}

fn variant(scenario: &Scenario, attack: &Attack, case: CaseRecord, judgement: Judgement, account: Account) -> VariantVerdict {
    VariantVerdict {
        id: case_name(&scenario.id, &attack.id, case.word.as_deref()),
        title: attack.title.clone(),
        verdict: judgement.verdict,
        confirmed: judgement.confirmed,
        deviation: joined(&judgement.deviations),
        reason: judgement.reason,
        at_fault: judgement.at_fault,
        implied_by: None,
        lesser: attack.lesser,
        waived: None,
        not_waited: case.not_waited.filter(|_| !attack.measures),
        measured: None,
        change: changes(attack, case.word.as_deref()),
        expected: expected(&attack.holds),
        control_before: case.control_before,
        control_after: case.control_after,
        curl: account.curl,
        requests: account.requests,
        server_micros: account.server_micros,
        attempts: case.attempts,
    }
}

fn expected(holds: &Condition) -> String {
    holds.to_string()
}

/// The change of an attack in words, one line each.
pub fn changes(attack: &Attack, word: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    for (step, operations) in &attack.change {
        for operation in operations {
            let text = match operation {
                Operation::Set(name, value) => format!("{step}: + {name} = {value}"),
                Operation::Replace(name, value) => format!("{step}: {name} = {value}"),
                Operation::Remove(name) => format!("{step}: - {name}"),
                Operation::Omit(name) => format!("{step}: - {name}, if the target file adds one"),
                Operation::Duplicate(name, value) => format!("{step}: {name} twice, then {value}"),
                Operation::DuplicateBefore(name, value) => {
                    format!("{step}: {name} twice, first {value}")
                }
                Operation::Move(name, place) => format!("{step}: {name} in the {}", format!("{place:?}").to_lowercase()),
                Operation::Method(method) => format!("{step}: sent with {method}"),
                Operation::ContentType(media) => format!("{step}: sent as {media}"),
                Operation::PathSuffix(suffix) => format!("{step}: path ends in {suffix}"),
                Operation::Unencoded(name) => format!("{step}: {name} byte for byte"),
                Operation::Authenticate(authentication) => {
                    format!("{step}: authenticates with {authentication}")
                }
                Operation::Certificate(certificate) => format!("{step}: {certificate}"),
                Operation::Proof(proof) => format!("{step}: {proof}"),
                Operation::Carried(carried) => format!("{step}: {carried}"),
                Operation::As(client) => format!("{step}: as the {} client", client.name()),
                Operation::User(_) => format!("{step}: as another user"),
                Operation::LoggedOut => format!("{step}: nobody is logged in"),
                Operation::BeforeLogin => format!("{step}: with the cookies from before the login"),
                Operation::Browser(conduct) => format!("{step}: {conduct}"),
                Operation::CookiesOf(session) if session.is_empty() => format!("{step}: with the cookies of the browser"),
                Operation::CookiesOf(session) => format!("{step}: with the cookies of the browser of {session}"),
                Operation::Repeat(name) => {
                    format!("after {step}: the same request once more ({name})")
                }
                Operation::Skip => format!("{step}: left out"),
                Operation::Wait(duration) => format!("{step}: after a pause of {duration}"),
                Operation::Burst(count) => format!("{step}: {count} times at the same moment"),
                Operation::Each(name) => format!("{step}: once for each {name}, one after the other"),
            };
            lines.push(match (&attack.for_each, word) {
                (Some((variable, _)), Some(word)) => text.replace(&format!("${{{variable}}}"), word),
                _ => text,
            });
        }
    }
    lines
}

/// One hole is counted once: what another broken attack explains is filed under it (rule 12).
pub fn file_under_causes(catalogue: &Catalogue, verdicts: &mut [ScenarioVerdict]) {
    let broken: BTreeMap<String, ()> = verdicts
        .iter()
        .flat_map(|v| {
            let variants = v.variants.iter().filter(|x| x.verdict == Verdict::Broken && !x.lesser).map(|x| {
                let end = x.id.find('[').unwrap_or(x.id.len());
                x.id[..end].to_owned()
            });
            (v.verdict == Verdict::Broken).then(|| v.id.clone()).into_iter().chain(variants.collect::<Vec<_>>())
        })
        .map(|id| (id, ()))
        .collect();
    for verdict in verdicts.iter_mut() {
        let Some(scenario) = catalogue.scenarios.get(&verdict.id) else {
            continue;
        };
        for variant in &mut verdict.variants {
            let attack = scenario.attacks.iter().find(|a| {
                let end = variant.id.find('[').unwrap_or(variant.id.len());
                variant.id[..end].ends_with(&format!("/{}", a.id))
            });
            let Some(attack) = attack else { continue };
            if variant.verdict == Verdict::Broken {
                variant.implied_by = attack.implied_by.iter().find(|cause| broken.contains_key(*cause)).cloned();
            } else if variant.reason.ends_with(&format!("(see {OPEN_RESOURCE})")) {
                variant.implied_by = Some(OPEN_RESOURCE.to_owned());
            }
        }
        // A cause outside of the entry itself explains it only where each of its broken variants has one.
        let own = format!("{}/", verdict.id);
        let counted: Vec<&VariantVerdict> = verdict.variants.iter().filter(|v| v.verdict == verdict.verdict && !v.lesser).collect();
        let causes: Vec<Option<&String>> = counted.iter().map(|v| v.implied_by.as_ref().filter(|c| !c.starts_with(&own))).collect();
        let inner = |v: &&VariantVerdict| v.implied_by.as_ref().is_some_and(|c| c.starts_with(&own));
        if matches!(verdict.verdict, Verdict::Broken | Verdict::Inconclusive)
            && !counted.is_empty()
            && counted.iter().zip(&causes).all(|(v, cause)| cause.is_some() || inner(v))
        {
            verdict.implied_by = causes.into_iter().flatten().next().cloned();
        }
    }
}

/// The counts, made again when something is marked.
pub fn summary(verdicts: &[ScenarioVerdict]) -> Summary {
    let count = |verdict: Verdict| verdicts.iter().filter(|v| v.verdict == verdict).count();
    Summary {
        holds: count(Verdict::Holds),
        broken: count(Verdict::Broken),
        implied: verdicts.iter().filter(|v| v.verdict == Verdict::Broken && v.implied_by.is_some()).count(),
        inconclusive: count(Verdict::Inconclusive),
        not_applicable: count(Verdict::NotApplicable),
        skipped: verdicts.iter().filter(|v| v.verdict == Verdict::Skipped && v.selected).count(),
        not_selected: verdicts.iter().filter(|v| !v.selected).count(),
        deviations: verdicts.iter().filter(|v| v.verdict == Verdict::Holds && v.deviation.is_some()).count(),
        waived: verdicts.iter().filter(|v| v.waived.is_some()).count(),
    }
}
