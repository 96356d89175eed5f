//! What changed between two reports of a target: verdicts, the evidence behind them, and what was tried.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::profile::Severity;
use crate::model::report::{Report, SCHEMA_VERSION, ScenarioVerdict, Since};
use crate::model::verdict::Verdict;

use super::baseline;
use super::safe::line as safe;

/// The differences of all targets.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Differences {
    pub schema_version: String,
    pub targets: Vec<Diff>,
}

/// The differences of one target.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Diff {
    pub target: String,
    /// None: there is no report of it.
    pub old: Option<Side>,
    pub new: Option<Side>,
    /// Worst first.
    pub changes: Vec<Change>,
    /// Scenarios that only the new catalogue has.
    pub added: Vec<String>,
    /// Scenarios that only the old catalogue had.
    pub removed: Vec<String>,
    /// Scenarios whose attack is another one now, so that their verdicts are not of the same question.
    pub altered: Vec<String>,
}

/// One of the two reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Side {
    pub started: String,
    pub version: String,
    pub profile: String,
    pub catalogue_digest: String,
    pub target_digest: String,
    pub complete: bool,
}

/// What became of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Change {
    pub id: String,
    pub title: String,
    pub severity: Severity,
    pub kind: Kind,
    pub old: Option<Verdict>,
    pub new: Option<Verdict>,
    /// What else is different, in words: variants, whether it is confirmed, who is at fault.
    pub details: Vec<String>,
}

/// How a scenario changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    NewlyBroken,
    /// Broken before, and more now.
    Worse,
    /// Decided before, and not now, though it was tried.
    NewlyUndecided,
    /// Decided before, and not tried now.
    CoverageLost,
    /// A finding that is less than it was.
    Better,
    Fixed,
    /// Not known before, and it holds or does not apply.
    NewlyDecided,
    /// The same verdict, seen in another way.
    Evidence,
}

impl Kind {
    const ALL: &'static [Kind] = &[
        Kind::NewlyBroken,
        Kind::Worse,
        Kind::NewlyUndecided,
        Kind::CoverageLost,
        Kind::Better,
        Kind::Fixed,
        Kind::NewlyDecided,
        Kind::Evidence,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Kind::NewlyBroken => "newly broken",
            Kind::Worse => "worse",
            Kind::NewlyUndecided => "newly undecided",
            Kind::CoverageLost => "no longer tested",
            Kind::Better => "better",
            Kind::Fixed => "fixed",
            Kind::NewlyDecided => "newly decided",
            Kind::Evidence => "the same verdict, other evidence",
        }
    }
}

/// Compares the reports of each target; targets are known by their names.
pub fn diff(old: &[Report], new: &[Report]) -> Differences {
    let mut targets: Vec<Diff> = Vec::new();
    // One report on each side is of one target, whatever it was called.
    if let ([a], [b]) = (old, new) {
        targets.push(one(Some(a), Some(b)));
    } else {
        targets.extend(new.iter().map(|b| one(old.iter().find(|a| a.target.name == b.target.name), Some(b))));
        let gone = old.iter().filter(|a| !new.iter().any(|b| b.target.name == a.target.name));
        targets.extend(gone.map(|a| one(Some(a), None)));
    }
    Differences { schema_version: SCHEMA_VERSION.into(), targets }
}

fn one(old: Option<&Report>, new: Option<&Report>) -> Diff {
    let find = |report: Option<&'_ Report>, id: &str| report.and_then(|r| r.verdicts.iter().find(|v| v.id == id)).cloned();
    let ids = |report: Option<&Report>| report.map(|r| r.verdicts.iter().map(|v| v.id.clone()).collect::<Vec<_>>()).unwrap_or_default();
    let (before, after) = (ids(old), ids(new));
    let mut all = after.clone();
    all.extend(before.iter().filter(|id| !after.contains(id)).cloned());
    let mut diff = Diff {
        target: new.or(old).map(|r| r.target.name.clone()).unwrap_or_default(),
        old: old.map(side),
        new: new.map(side),
        changes: Vec::new(),
        added: after.iter().filter(|id| old.is_some() && !before.contains(id)).cloned().collect(),
        removed: before.iter().filter(|id| new.is_some() && !after.contains(id)).cloned().collect(),
        altered: Vec::new(),
    };
    for id in all {
        let (a, b) = (find(old, &id), find(new, &id));
        if let (Some(a), Some(b)) = (&a, &b)
            && !a.case.is_empty()
            && !b.case.is_empty()
            && a.case != b.case
        {
            diff.altered.push(id.clone());
        }
        diff.changes.extend(change(a.as_ref(), b.as_ref()));
    }
    diff.changes.sort_by(|a, b| a.kind.cmp(&b.kind).then(b.severity.cmp(&a.severity)).then(a.id.cmp(&b.id)));
    diff
}

fn side(report: &Report) -> Side {
    Side {
        started: report.run.started.clone(),
        version: report.run.version.clone(),
        profile: report.run.profile.name().to_owned(),
        catalogue_digest: report.run.catalogue_digest.clone(),
        target_digest: report.target.digest.clone(),
        complete: report.run.complete,
    }
}

fn change(old: Option<&ScenarioVerdict>, new: Option<&ScenarioVerdict>) -> Option<Change> {
    let known = new.or(old)?;
    let tried = |v: &&ScenarioVerdict| v.selected;
    let details = match (old, new) {
        (Some(old), Some(new)) => details(old, new),
        _ => Vec::new(),
    };
    let kind = match (old.filter(tried), new.filter(tried)) {
        (None, None) => return None,
        (Some(old), None) => {
            if !baseline::decided(old) {
                return None;
            }
            Kind::CoverageLost
        }
        (old, Some(new)) if new.verdict == Verdict::Broken => match baseline::since(old, new) {
            Since::New => Kind::NewlyBroken,
            Since::Worse if old.is_some_and(|o| o.verdict != Verdict::Broken) => Kind::NewlyBroken,
            Since::Worse => Kind::Worse,
            Since::Better => Kind::Better,
            Since::Same if details.is_empty() => return None,
            Since::Same => Kind::Evidence,
        },
        (Some(old), Some(new)) if baseline::is_fixed(old, new) && old.verdict == Verdict::Broken => Kind::Fixed,
        (Some(old), Some(new)) if baseline::is_fixed(old, new) => Kind::NewlyDecided,
        (Some(old), Some(new)) if new.verdict == Verdict::Skipped && baseline::decided(old) => Kind::CoverageLost,
        (Some(old), Some(new)) if baseline::is_lost(old, new) => Kind::NewlyUndecided,
        (None, Some(new)) if baseline::decided(new) => Kind::NewlyDecided,
        (None, Some(new)) if new.verdict == Verdict::Inconclusive => Kind::NewlyUndecided,
        (Some(old), Some(new)) if old.verdict != new.verdict || !details.is_empty() => Kind::Evidence,
        _ => return None,
    };
    Some(Change {
        id: known.id.clone(),
        title: known.title.clone(),
        severity: known.severity,
        kind,
        old: old.filter(tried).map(|v| v.verdict),
        new: new.filter(tried).map(|v| v.verdict),
        details,
    })
}

/// What is different beside the verdict; hashes and times in reasons are left alone, since they differ in every run.
fn details(old: &ScenarioVerdict, new: &ScenarioVerdict) -> Vec<String> {
    let mut all = Vec::new();
    if old.confirmed != new.confirmed {
        all.push(if new.confirmed { "confirmed now".to_owned() } else { "no longer confirmed".to_owned() });
    }
    if old.at_fault != new.at_fault {
        let party = |v: &ScenarioVerdict| v.at_fault.map_or("nobody", |p| p.words()).to_owned();
        all.push(format!("at fault: {}, before: {}", party(new), party(old)));
    }
    if old.implied_by != new.implied_by {
        let cause = |v: &ScenarioVerdict| v.implied_by.clone().unwrap_or_else(|| "nothing else".into());
        all.push(format!("follows from {}, before: from {}", cause(new), cause(old)));
    }
    if old.deviation.is_some() != new.deviation.is_some() {
        all.push(match &new.deviation {
            Some(deviation) => format!("a deviation now: {deviation}"),
            None => "no deviation any more".to_owned(),
        });
    }
    for variant in &new.variants {
        match old.variants.iter().find(|v| v.id == variant.id) {
            Some(before) if before.verdict != variant.verdict => {
                all.push(format!("{}: {}, before: {}", variant.id, variant.verdict.words(), before.verdict.words()));
            }
            _ => {}
        }
    }
    all
}

impl Differences {
    /// Something is newly broken or worse.
    pub fn is_worse(&self) -> bool {
        self.targets.iter().flat_map(|t| &t.changes).any(|c| matches!(c.kind, Kind::NewlyBroken | Kind::Worse))
    }

    /// For a person.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (index, diff) in self.targets.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            diff.text(&mut out);
        }
        out
    }
}

impl Diff {
    fn text(&self, out: &mut String) {
        let _ = writeln!(out, "{}", safe(&self.target));
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => self.sides(out, old, new),
            (None, _) => out.push_str("  no earlier report of this target\n"),
            (_, None) => out.push_str("  no newer report of this target\n"),
        }
        for kind in Kind::ALL {
            let changes: Vec<&Change> = self.changes.iter().filter(|c| c.kind == *kind).collect();
            if changes.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{} ({})", kind.words(), changes.len());
            for change in changes {
                let word = |v: Option<Verdict>| v.map_or("not tested", |v| v.words());
                let _ = writeln!(
                    out,
                    "  {}  {}  {} → {}\n    {}",
                    safe(&change.id),
                    change.severity.name(),
                    word(change.old),
                    word(change.new),
                    safe(&change.title)
                );
                for detail in &change.details {
                    let _ = writeln!(out, "    {}", safe(detail));
                }
            }
        }
        let lists = [
            ("new in the catalogue", &self.added),
            ("no longer in the catalogue", &self.removed),
            ("another attack than before", &self.altered),
        ];
        for (what, ids) in lists.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            let _ = writeln!(out, "\n{what} ({}): {}", ids.len(), safe(&ids.join(", ")));
        }
        if self.changes.is_empty() {
            out.push_str("\nno verdict changed\n");
        }
    }

    fn sides(&self, out: &mut String, old: &Side, new: &Side) {
        let _ = writeln!(out, "  {} → {}", safe(&old.started), safe(&new.started));
        let facts = [
            ("grantproof", &old.version, &new.version),
            ("profile", &old.profile, &new.profile),
            ("catalogue", &old.catalogue_digest, &new.catalogue_digest),
            ("target file", &old.target_digest, &new.target_digest),
        ];
        for (what, old, new) in facts.into_iter().filter(|(_, old, new)| old != new) {
            let short = |text: &str| text.chars().take(12).collect::<String>();
            let _ = writeln!(out, "  another {what}: {} → {}", safe(&short(old)), safe(&short(new)));
        }
        for (side, what) in [(old, "earlier"), (new, "newer")] {
            if !side.complete {
                let _ = writeln!(out, "  the {what} run was not complete");
            }
        }
    }
}
