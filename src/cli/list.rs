//! `list`: what there is to run, and what of each standard it tests.

use std::fmt::Write as _;

use serde_json::json;

use crate::diagnostic::suggestion;
use crate::model::report::{Requirement, Standard};
use crate::report::{coverage, safe};
use crate::scenario::catalogue::{self, Catalogue};
use crate::scenario::outline::{Choosable as _, Outline};

use super::args::List;
use super::{Failure, inputs, print};

/// # Errors
/// Wrong scenario files, a selection that selects nothing, or a standard that is not known.
pub fn list(arguments: &List) -> Result<u8, Failure> {
    if arguments.not_tested {
        print(&not_tested(arguments.json)?)?;
        return Ok(0);
    }
    let own = arguments.choose.scenarios.as_deref();
    if let Some(document) = &arguments.standard {
        let catalogue = inputs::catalogue(own)?;
        print(&covered(&catalogue, document, arguments.json)?)?;
        return Ok(0);
    }
    // What the program has in itself was checked when it was tested; files of the user's are checked now.
    let all = match own.is_none().then(catalogue::outlines).flatten() {
        Some(outlines) => outlines,
        None => inputs::catalogue(own)?.scenarios.values().map(Outline::from).collect(),
    };
    let selected = inputs::selected(all.iter(), &arguments.choose, arguments.choose.profile)?;
    let text = if arguments.count {
        format!("{}\n", selected.len())
    } else if arguments.peers {
        peers(&selected, arguments.json)?
    } else {
        scenarios(&selected, arguments)?
    };
    print(&text)?;
    Ok(0)
}

fn not_tested(as_json: bool) -> Result<String, Failure> {
    let entries = catalogue::not_tested().map_err(|wrong| inputs::diagnostics(&wrong))?;
    if as_json {
        return lines(&entries);
    }
    let width = entries.iter().map(|e| e.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for entry in &entries {
        let _ = writeln!(out, "{:width$}  {}", entry.id, safe::line(&entry.why));
    }
    let _ = writeln!(out, "\n{} attacks are known and not tested", entries.len());
    Ok(out)
}

/// Which other tools try the selected scenarios.
fn peers(selected: &[&Outline], as_json: bool) -> Result<String, Failure> {
    let known = catalogue::peers().map_err(|wrong| inputs::diagnostics(&wrong))?;
    let of = |scenario: &Outline| known.attacks.get(&scenario.id).map_or(&[][..], Vec::as_slice);
    if as_json {
        return lines(&selected.iter().map(|s| json!({ "id": s.id, "peers": of(s) })).collect::<Vec<_>>());
    }
    let width = selected.iter().map(|s| s.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for scenario in selected {
        let _ = writeln!(out, "{:width$}  {}", scenario.id, if of(scenario).is_empty() { "-".into() } else { of(scenario).join(", ") });
    }
    out.push('\n');
    for (name, tool) in &known.tools {
        let count = selected.iter().filter(|s| of(s).contains(name)).count();
        let _ = writeln!(out, "{count:4} also tried by {name} ({}, {})", tool.title, tool.link);
    }
    let _ = writeln!(out, "{:4} of {} tried by none of them", selected.iter().filter(|s| of(s).is_empty()).count(), selected.len());
    Ok(out)
}

fn scenarios(selected: &[&Outline], arguments: &List) -> Result<String, Failure> {
    let profile = arguments.choose.profile();
    if arguments.json {
        let entry = |s: &&Outline| {
            json!({
                "id": s.id, "title": s.title, "severity": s.severity, "level": s.head().level_in(profile), "risk": s.risk,
                "basis": s.basis, "attacks": s.attacks,
            })
        };
        return lines(&selected.iter().map(entry).collect::<Vec<_>>());
    }
    let width = selected.iter().map(|s| s.id.len()).max().unwrap_or(0);
    let mut out = String::new();
    for s in selected {
        let level = s.head().level_in(profile).map_or("-", |l| l.name());
        let _ = writeln!(out, "{:width$}  {:8}  {level:6}  {}", s.id, s.severity.name(), s.title);
    }
    let of = if arguments.choose.profile.is_some() { " in the profile" } else { "; levels of the profile" };
    let _ = writeln!(out, "\n{} scenarios{of} {}", selected.len(), profile.name());
    Ok(out)
}

fn lines<T: serde::Serialize>(entries: &[T]) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(entries).map_err(|e| Failure::input(e.to_string()))? + "\n")
}

/// What of a standard is tested, by what, and where nothing is.
fn covered(catalogue: &Catalogue, document: &str, as_json: bool) -> Result<String, Failure> {
    let standards = coverage::standards(catalogue);
    if document == "all" {
        return overview(&standards, as_json);
    }
    let Some(standard) = standards.iter().find(|s| s.document.eq_ignore_ascii_case(document)) else {
        let known = standards.iter().map(|s| s.document.as_str());
        let help = suggestion(document, known).unwrap_or_default();
        return Err(Failure::input(format!("error: no standard `{document}`\n  = help: {help}; `--standard all` lists them")));
    };
    if as_json {
        return lines(&standard.requirements);
    }
    let mut out = format!("{}: {}\n{}\n\n", standard.document, standard.title, standard.link);
    for requirement in &standard.requirements {
        let _ = writeln!(out, "{}  {}  {}", requirement.id, requirement.keyword, safe::line(&requirement.asks));
        let _ = writeln!(out, "    {}", tested(requirement));
    }
    let _ = writeln!(out, "\n{}", counts(standard));
    Ok(out)
}

fn tested(requirement: &Requirement) -> String {
    match (&requirement.why_not, requirement.scenarios.is_empty()) {
        (_, false) => format!("tested by {}", requirement.scenarios.join(", ")),
        (Some(why), true) => format!("not from outside: {}", safe::line(why)),
        (None, true) => "a hole: nothing tests it yet".to_owned(),
    }
}

fn counts(standard: &Standard) -> String {
    let (tested, rest): (Vec<_>, Vec<_>) = standard.requirements.iter().partition(|r| !r.scenarios.is_empty());
    let holes = rest.iter().filter(|r| r.why_not.is_none()).count();
    format!("{} requirements: {} tested, {} not from outside, {holes} holes", standard.requirements.len(), tested.len(), rest.len() - holes)
}

fn overview(standards: &[Standard], as_json: bool) -> Result<String, Failure> {
    if as_json {
        return lines(standards);
    }
    let width = standards.iter().map(|s| s.document.len()).max().unwrap_or(0);
    let mut out = String::new();
    for standard in standards {
        let _ = writeln!(out, "{:width$}  {}  {}", standard.document, counts(standard), standard.title);
    }
    Ok(out)
}
