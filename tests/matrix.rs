//! The matrix of the self-test as a test: strict lab and the lab with each flaw.

use std::collections::BTreeMap;

use grantproof::cli::inputs::{catalogue, flaw_names};
use grantproof::cli::start_subject;
use grantproof::selftest::{Asks, Cells, Verdicts, matrix};

#[test]
fn every_flaw_is_found_and_nothing_else_moves() {
    let catalogue = catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let flaws: Vec<String> = flaw_names().into_iter().collect();
    let result = matrix(&catalogue, &flaws, Cells::Asked, Asks::Everything, start_subject).expect("threads");
    assert!(result.problems.is_empty(), "{}", result.problems.join("\n"));
    assert_eq!(result.rows.len(), flaws.len() + 1);
}

/// What is not run has the verdict that it would have: the rows are the same when every cell is run.
#[test]
fn a_cell_that_is_not_run_would_have_the_strict_verdict() {
    let catalogue = catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    // Some of them are asked for at once, and some as soon as they make a difference; three are tried together first.
    let flaws = [
        "pkce-verifier-ignored",
        "redirect-uri-prefix-match",
        "id-token-unsigned",
        "refresh-reuse-accepted",
        "code-race",
        "logout-csrf",
        "clickjacking",
        "jwks-private-members",
    ]
    .map(str::to_owned);
    let verdicts = |cells| {
        let result = matrix(&catalogue, &flaws, cells, Asks::Everything, start_subject).expect("threads");
        let of = |row: Verdicts| row.into_iter().map(|(id, v)| (id, v.verdict)).collect::<BTreeMap<_, _>>();
        (result.run, result.rows.into_iter().map(|(flaw, row)| (flaw, of(row))).collect::<BTreeMap<_, _>>())
    };
    let ((few, some), (every, all)) = (verdicts(Cells::Asked), verdicts(Cells::All));
    assert_eq!(some, all);
    assert_eq!(every, flaws.len() * catalogue.scenarios.len());
    assert!(few < every, "{few} of {every} cells were run");
}

/// The matrix must be able to fail: a subject that has another flaw than it says, and one that has none.
#[test]
fn a_hole_in_the_matrix_is_a_problem() {
    let catalogue = catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let flaws = ["pkce-verifier-ignored".to_owned()];
    let strict_everywhere = matrix(&catalogue, &flaws, Cells::Asked, Asks::Everything, |_| start_subject(vec![])).expect("threads");
    assert!(
        strict_everywhere.problems.iter().any(|p| p == "nothing kills the flaw pkce-verifier-ignored"),
        "{:?}",
        strict_everywhere.problems
    );
    let broken_everywhere =
        matrix(&catalogue, &flaws, Cells::Asked, Asks::Everything, |_| start_subject(vec!["code-reusable".into()])).expect("threads");
    assert!(broken_everywhere.problems.iter().any(|p| p.starts_with("strict: code/replay/")), "{:?}", broken_everywhere.problems);
}

/// A flaw that is tried together with others is still the one that is named.
#[test]
fn what_moves_beside_other_flaws_is_found_alone() {
    let catalogue = catalogue(None).unwrap_or_else(|e| panic!("{}", e.message));
    let flaws = ["clickjacking", "jwks-private-members", "referrer-leak"].map(str::to_owned);
    let with_a_second_hole = |mut flaws: Vec<String>| {
        if flaws.iter().any(|flaw| flaw == "referrer-leak") {
            flaws.push("code-reusable".into());
        }
        start_subject(flaws)
    };
    let result = matrix(&catalogue, &flaws, Cells::Asked, Asks::Everything, with_a_second_hole).expect("threads");
    assert!(result.problems.iter().any(|p| p.starts_with("referrer-leak: code/replay/")), "{:?}", result.problems);
    assert!(result.problems.iter().all(|p| p.starts_with("referrer-leak: ") || p.contains("kills no flaw")), "{:?}", result.problems);
    assert!(result.together > catalogue.scenarios.len() / 2, "{} were run with several flaws", result.together);
}
