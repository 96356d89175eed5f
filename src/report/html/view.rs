//! One report of the page: where its parts are found, and what belongs together. Ids of a report are hostile, so anchors are
//! made of numbers, and causes are followed no further than there are scenarios.

use std::collections::{BTreeMap, HashMap};

use maud::{Markup, html};

use crate::model::report::{Report, Requirement, ScenarioVerdict};
use crate::model::verdict::Verdict;

use super::text::{Mark, T};

/// Causes of causes that are followed.
const LONGEST_CHAIN: usize = 16;

pub struct View<'r> {
    pub report: &'r Report,
    /// Begins every anchor of this report: empty, or `t3-` in a page of several.
    pub prefix: String,
    /// Of the headings of its sections.
    pub level: u8,
    /// Among several.
    pub number: Option<usize>,
    /// One of several: what is not a finding is kept short.
    pub fleet: bool,
    by_id: HashMap<&'r str, usize>,
    pub requirements: HashMap<&'r str, &'r Requirement>,
}

/// A finding with what follows from it, by number.
pub struct Root {
    pub index: usize,
    pub consequences: Vec<usize>,
}

/// The scenarios of one group, by number.
pub struct Group<'r> {
    pub name: &'r str,
    pub members: Vec<usize>,
}

impl<'r> View<'r> {
    /// `number`: of the report among several; None: there is one.
    pub fn new(report: &'r Report, number: Option<usize>) -> View<'r> {
        let mut by_id = HashMap::new();
        for (index, verdict) in report.verdicts.iter().enumerate() {
            by_id.entry(verdict.id.as_str()).or_insert(index);
        }
        let requirements = report.standards.iter().flat_map(|s| &s.requirements).map(|r| (r.id.as_str(), r)).collect();
        View {
            report,
            prefix: number.map(|n| format!("t{n}-")).unwrap_or_default(),
            level: if number.is_some() { 3 } else { 2 },
            number,
            fleet: number.is_some(),
            by_id,
            requirements,
        }
    }

    pub fn anchor(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What a section is called by; in a page of several the sections of each have the same names, and are no landmarks.
    pub fn label<'a>(&self, anchor: &'a str) -> Option<&'a str> {
        (!self.fleet).then_some(anchor)
    }

    /// Begins a section that is written piece by piece.
    pub fn section(&self, anchor: &str) -> String {
        let label = self.label(anchor).map(|a| format!(" aria-labelledby=\"{a}\"")).unwrap_or_default();
        format!("<section{label}>")
    }

    /// The target's name, with its number among several.
    pub fn title(&self) -> String {
        let name = &self.report.target.name;
        self.number.map_or_else(|| name.clone(), |n| format!("{n}. {name}"))
    }

    /// Of a scenario: it stands at one place of the page.
    pub fn scenario_anchor(&self, index: usize) -> String {
        format!("{}s{index}", self.prefix)
    }

    pub fn verdict(&self, index: usize) -> Option<&'r ScenarioVerdict> {
        self.report.verdicts.get(index)
    }

    pub fn index(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The scenario that an id names, itself or by one of its attacks: `refresh/rotation`, `refresh/rotation/again[word]`.
    pub fn named(&self, id: &str) -> Option<usize> {
        let mut end = id.len();
        loop {
            if let Some(index) = self.by_id.get(&id[..end]) {
                return Some(*index);
            }
            end = id[..end].rfind('/')?;
        }
    }

    /// A scenario by its id, with a link to where it stands.
    pub fn reference(&self, id: &str) -> Markup {
        match self.named(id) {
            Some(index) => html! { a class="id" href={ "#" (self.scenario_anchor(index)) } { (T(id)) } },
            None => html! { span class="id" { (T(id)) } },
        }
    }

    /// The same with the sign of its verdict before it.
    pub fn marked(&self, id: &str) -> Markup {
        let mark = self.index(id).and_then(|i| self.verdict(i)).map(Mark::of);
        html! { @if let Some(mark) = mark { (mark.icon()) span class="sr" { (mark.words()) " " } } (self.reference(id)) }
    }

    /// The broken scenario that explains this one in the end; None: itself, or one that is not broken.
    fn cause(&self, index: usize) -> Option<usize> {
        let mut at = index;
        // Causes that run in a circle explain nothing.
        for _ in 0..LONGEST_CHAIN {
            match self.verdict(at)?.implied_by.as_deref() {
                None => return (at != index && self.verdict(at)?.verdict == Verdict::Broken).then_some(at),
                Some(cause) => at = self.named(cause)?,
            }
        }
        None
    }

    /// Broken ones, each with what follows from it (also what is undecided for its sake); worst first, as in the report.
    pub fn roots(&self) -> Vec<Root> {
        let mut below: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let findings = || {
            self.report
                .verdicts
                .iter()
                .enumerate()
                .filter(|(_, v)| v.selected && matches!(v.verdict, Verdict::Broken | Verdict::Inconclusive))
        };
        for (index, _) in findings() {
            if let Some(cause) = self.cause(index) {
                below.entry(cause).or_default().push(index);
            }
        }
        findings()
            .filter(|(index, v)| v.verdict == Verdict::Broken && self.cause(*index).is_none())
            .map(|(index, _)| Root { index, consequences: below.remove(&index).unwrap_or_default() })
            .collect()
    }

    /// What is undecided on its own account.
    pub fn undecided(&self) -> Vec<usize> {
        let open =
            |(index, v): &(usize, &ScenarioVerdict)| v.selected && v.verdict == Verdict::Inconclusive && self.cause(*index).is_none();
        self.report.verdicts.iter().enumerate().filter(open).map(|(index, _)| index).collect()
    }

    /// The groups, the worst first, then by name.
    pub fn groups(&self) -> Vec<Group<'r>> {
        let mut groups: BTreeMap<&'r str, Vec<usize>> = BTreeMap::new();
        for (index, verdict) in self.report.verdicts.iter().enumerate() {
            groups.entry(group(&verdict.id)).or_default().push(index);
        }
        let mut groups: Vec<Group<'r>> = groups.into_iter().map(|(name, members)| Group { name, members }).collect();
        for group in &mut groups {
            group.members.sort_by_key(|i| self.verdict(*i).map(Mark::of));
        }
        let worst = |group: &Group<'_>| {
            let marks = || group.members.iter().filter_map(|i| self.verdict(*i)).map(Mark::of);
            let count = |mark: Mark| std::cmp::Reverse(marks().filter(|m| *m == mark).count());
            (
                marks().all(|m| m == Mark::NotSelected),
                count(Mark::Broken),
                count(Mark::Follows),
                count(Mark::Waived),
                count(Mark::Inconclusive),
            )
        };
        groups.sort_by_cached_key(worst);
        groups
    }
}

/// `refresh` of `refresh/rotation`.
pub fn group(id: &str) -> &str {
    id.split_once('/').map_or(id, |(group, _)| group)
}
