//! A lab with habits is no other one to judge: what servers do in their own way makes no verdict wrong.

use std::collections::BTreeSet;

use grantproof::cli::inputs::catalogue;
use grantproof::cli::start_with;
use grantproof::lab::Habit;
use grantproof::selftest::{Asks, Cells, matrix};

/// What is wrong on labs with these habits, strict and with each flaw.
fn problems(habits: &[Habit], flaws: &[&str]) -> Vec<String> {
    let catalogue = catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let set: BTreeSet<Habit> = habits.iter().copied().collect();
    let flaws: Vec<String> = flaws.iter().map(|flaw| (*flaw).to_owned()).collect();
    let result = matrix(&catalogue, &flaws, Cells::All, Asks::NoError, |flaw| start_with(flaw, set.clone())).expect("threads");
    assert_eq!(result.rows.len(), flaws.len() + 1, "{habits:?}: a row was not run");
    let of = |problem: &String| format!("{}: {problem}", habits.iter().map(|habit| habit.name()).collect::<Vec<_>>().join(" "));
    result.problems.iter().map(of).collect()
}

#[test]
fn nothing_is_broken_on_a_strict_lab_with_a_habit() {
    let per_thread = Habit::ALL.len().div_ceil(std::thread::available_parallelism().map_or(2, usize::from) * 2);
    let all: Vec<String> = std::thread::scope(|scope| {
        let work = |habits: &'static [Habit]| habits.iter().flat_map(|habit| problems(&[*habit], &[])).collect::<Vec<_>>();
        let threads: Vec<_> = Habit::ALL.chunks(per_thread).map(|habits| scope.spawn(move || work(habits))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// Several habits at once, and holes that none of them hides.
#[test]
fn what_is_broken_does_not_hold_on_a_lab_with_habits() {
    let quiet = [Habit::ErrorPagesAreOk, Habit::ErrorsForbidden, Habit::CoarseErrors, Habit::OpaqueTokens, Habit::BareTokenResponse];
    let asking = [Habit::AnswersByPage, Habit::LoginEachTime, Habit::OneTokenPerUser, Habit::ReplayEndsSession];
    let small = [Habit::ErrorsElsewhere, Habit::ConsentEachTime, Habit::ErrorsWithoutJson, Habit::FewEndpoints, Habit::OneCodePerUser];
    let renewing = [Habit::RefreshAsksVerifier, Habit::ErrorPagesAreOk];
    let flaws =
        ["pkce-verifier-ignored", "code-reusable", "redirect-uri-prefix-match", "refresh-reuse-accepted", "client-secret-unchecked"];
    let all: Vec<String> = [&quiet[..], &asking, &small, &renewing].into_iter().flat_map(|habits| problems(habits, &flaws)).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}
